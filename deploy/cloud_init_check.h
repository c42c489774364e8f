/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between the files of cloud_init.h alone. */
#pragma once

#include "deploy/cloud_init.h"

/* Every member of it: 0, or -EINVAL with its name and the reason. */
int cloud_init_check(const struct cloud_init *conf, char ret_why[CLOUD_INIT_WHY_SIZE]);
