/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The disks that this host sees: LUNs of Fibre Channel, or all. Reads sysfs, and of each disk what it holds.
 */
#pragma once

#include <stddef.h>

#include "storage/lun.h"
#include "util/mono.h"

/* What the machine says of its disks; tests have recorded ones. */
struct disk_sources {
	const char *sys; /* "/sys" */
	const char *dev; /* "/dev" */
};

extern const struct disk_sources disk_machine;

/* Disks by their kernel's names; ways to one disk are one entry, a multipath map stands for its own.
 * Removable ones, memory and what lies on top of disks are left out. What a disk holds is asked until the
 * deadline and unknown from then on. *ret is for free(). 0, or -errno with a line in `ret_why`. */
int disks_find(const struct disk_sources *from, bool fc_only, mono_t deadline, struct lun **ret,
	       size_t *ret_n, char ret_why[DISCOVERY_WHY_SIZE]);
