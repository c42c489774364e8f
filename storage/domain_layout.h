/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which areas a storage domain has, how large each is and where it begins on a LUN. Pure. Follows sanlock's
 * alignment, which the size of the sectors sets. */
#pragma once

#include <stdint.h>

#define DOMAIN_MIB UINT64_C(1048576)
#define DOMAIN_CONF_SIZE (4 * DOMAIN_MIB) /* what a conf volume has at most: metadata/conf_layout.h */
#define DOMAIN_LEASES                                                                                        \
	3 /* the engine's, that of the whiteboard's block 0, the conf volume's: in this order                \
	   */

/* In the order in which they lie on a LUN. */
enum domain_area { AREA_LOCKSPACE, AREA_LEASES, AREA_METADATA, AREA_CONF, AREA_DISK, AREA_COUNT };

/* The file's name on file storage; on a LUN the partition's, behind DOMAIN_PARTITION_PREFIX. */
extern const char *const domain_area_names[AREA_COUNT];
#define DOMAIN_PARTITION_PREFIX "ovirt-ha-"

struct domain_layout {
	unsigned sector_size; /* bytes: 512 or 4096 */
	uint64_t alignment;   /* bytes from one lease to the next */
	struct {
		uint64_t offset; /* bytes on the LUN; 0 on file storage */
		uint64_t size;
	} areas[AREA_COUNT];
};

/* Files: sizes are what is needed, no more. -EINVAL: no such sector size, or no disk. */
int domain_layout_files(unsigned sector_size, uint64_t disk_size, struct domain_layout *ret);
/* A LUN of `size` bytes: every area begins at a multiple of the alignment and leaves room for the partition
 * table at both ends. disk_size 0: all that is left, a MiB at least. -EINVAL: no such sector size; -ENOSPC:
 * too small, then *ret_needed has the bytes that it takes (it is untouched otherwise). */
int domain_layout_lun(unsigned sector_size, uint64_t size, uint64_t disk_size, struct domain_layout *ret,
		      uint64_t *ret_needed);
