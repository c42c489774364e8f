/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ha.conf: local maintenance, which survives restarts of the daemons and of the host. Either key puts this
 * host into it. */
#pragma once

#include "util/settings.h"

struct ha_conf {
	bool local_maintenance;	       /* the management system's */
	bool local_maintenance_manual; /* the operator's */
};

extern const struct settings ha_settings;

/* No file: both no, 0. Else 0, or a negative errno with the problems said and `ret` untouched: unknown.
 * Blocks on the file. */
int ha_conf_load(const char *path, struct ha_conf *ret, struct problems *problems);
/* Writes both keys, durably; lines that we don't know stay. A file that can't be understood is not
 * overwritten: its error. Blocks. */
int ha_conf_save(const char *path, const struct ha_conf *conf);
