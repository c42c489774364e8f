/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real local port. Used by agent_main.c alone. */
#pragma once

#include <limits.h>

#include "daemon/local_port.h"

struct local_files_config {
	char ha_conf[PATH_MAX];
	char state[PATH_MAX]; /* agent-state */
	char vm_xml[PATH_MAX];
	char uuid[37];
	char lockspace[48], lease_name[48], lease_path[PATH_MAX];
	uint64_t lease_offset;
	/* The VM's configuration is a copy that the broker touches as long as it is up to date: one that was
	 * not touched for so many seconds is outdated. 0: it is a file of this host's own. */
	int64_t vm_age_s;
	int64_t limit_ms; /* what takes longer is given up */
};

struct loop;

int local_files_new(const struct local_files_config *config, struct loop *loop, struct local_port **ret);
/* What was saved, at start; blocks on a small file. A file that is not there, or says nothing that makes
 * sense, gives zeros: at worst a failed try is tried again. What is there and makes no sense is logged. */
void local_files_load(const char *path, struct saved *ret);
