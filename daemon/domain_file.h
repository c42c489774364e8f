/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The configured domain, from its file. Blocks on the file: for worker threads. */
#pragma once

#include "daemon/domain_xml.h"

/* Reads `path` and completes it (domain_xml_prepare). On an error `why` always has a reason for the operator.
 */
int domain_file_prepare(const char *path, const char *uuid, const struct domain_lease *lease, char **ret_xml,
			int32_t *ret_memory_mib, char why[DOMAIN_WHY_MAX]);
