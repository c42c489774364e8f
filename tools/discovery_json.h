/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What discovery found, as JSON for deployment. Pure but for the heap. NULL: out of memory. */
#pragma once

#include <jansson.h>

#include "storage/lun.h"
#include "storage/server_discovery.h"

json_t *discovered_luns(const struct lun *luns, size_t n);
json_t *discovered_targets(const struct iscsi_target *targets, size_t n);
json_t *discovered_exports(const struct nfs_export *exports, size_t n);
