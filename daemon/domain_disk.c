/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Refuses a domain that would write to another disk than the configured one: the lease of this domain would
 * guard the disk of another, which its own hosts write to. Only what is certain is refused, since a disk has
 * many names. It changes nothing. Called by libvirt_call.c in its threads, before a start and on the live
 * XML. */
#include "daemon/domain_disk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/cleanup.h"

int domain_disk_check(const struct backing_sources *from, const char *text, size_t length, const char *disk,
		      char why[DOMAIN_WHY_MAX])
{
	_cleanup_free_ struct domain_disks *disks = NULL;
	struct backing wanted, found = {0};
	int r;

	if (!disk[0])
		return 0;
	disks = malloc(sizeof(*disks));
	if (!disks)
		return -ENOMEM;
	r = domain_xml_disks(text, length, disks, why);
	if (r < 0)
		return r;
	if (disks->n == 0 && !disks->others) {
		snprintf(why, DOMAIN_WHY_MAX, "it has no writable disk, and disk_path=%.100s is to be one",
			 disk);
		return -EINVAL;
	}
	for (size_t i = 0; i < disks->n; i++)
		if (strcmp(disks->paths[i], disk) == 0)
			return 0;
	backing_find(from, disk, &wanted);
	for (size_t i = 0; i < disks->n; i++) {
		backing_find(from, disks->paths[i], &found);
		if (backing_same(&wanted, &found) != BACKING_OTHER)
			return 0;
	}
	if (disks->others)
		return 0;
	snprintf(why, DOMAIN_WHY_MAX,
		 "disk_path=%.80s is none of its writable disks, the last of which is %.80s: correct the one "
		 "or the other",
		 disk, disks->paths[disks->n - 1]);
	return -EINVAL;
}
