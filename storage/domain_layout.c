/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides sizes and places of a domain's areas, and touches no storage. Called by what formats and reads
 * domains. */
#include "storage/domain_layout.h"

#include <errno.h>

#include "lockspace/lease_write.h"
#include "metadata/conf_layout.h"
#include "metadata/identity.h"

/* Both copies of the table, at either size of sectors: 33 sectors of 512 bytes, 5 of 4096. */
#define TABLE_SIZE UINT64_C(65536)
#define DISK_MAX (UINT64_C(1) << 60)

_Static_assert(DOMAIN_CONF_SIZE >= (uint64_t)CONF_VOLUME_BLOCKS * BLOCK_SIZE, "the VM's disk lies behind it");

const char *const domain_area_names[] = {
	[AREA_LOCKSPACE] = "lockspace", [AREA_LEASES] = "leases", [AREA_METADATA] = "metadata",
	[AREA_CONF] = "conf",		[AREA_DISK] = "disk",
};
_Static_assert(sizeof(domain_area_names) / sizeof(domain_area_names[0]) == AREA_COUNT, "a name each");

static uint64_t round_up(uint64_t size, uint64_t step)
{
	return (size + step - 1) / step * step;
}

int domain_layout_files(unsigned sector_size, uint64_t disk_size, struct domain_layout *ret)
{
	uint64_t alignment = lease_alignment(sector_size);

	if (alignment == 0 || disk_size == 0 || disk_size > DISK_MAX)
		return -EINVAL;
	*ret = (struct domain_layout){.sector_size = sector_size, .alignment = alignment};
	ret->areas[AREA_LOCKSPACE].size = alignment;
	ret->areas[AREA_LEASES].size = DOMAIN_LEASES * alignment;
	ret->areas[AREA_METADATA].size = (uint64_t)(IDENTITY_BLOCK + 1) * BLOCK_SIZE;
	ret->areas[AREA_CONF].size = DOMAIN_CONF_SIZE;
	ret->areas[AREA_DISK].size = round_up(disk_size, sector_size);
	return 0;
}

int domain_layout_lun(unsigned sector_size, uint64_t size, uint64_t disk_size, struct domain_layout *ret,
		      uint64_t *ret_needed)
{
	struct domain_layout layout;
	uint64_t end, at;
	int r = domain_layout_files(sector_size, disk_size ? disk_size : DOMAIN_MIB, &layout);

	if (r < 0)
		return r;
	at = layout.alignment; /* the first one is the table's */
	for (int i = 0; i < AREA_COUNT; i++) {
		layout.areas[i].offset = at;
		layout.areas[i].size = round_up(layout.areas[i].size, layout.alignment);
		at += layout.areas[i].size;
	}
	end = size > TABLE_SIZE ? (size - TABLE_SIZE) / layout.alignment * layout.alignment : 0;
	if (at > end) {
		*ret_needed = at + TABLE_SIZE;
		return -ENOSPC;
	}
	if (disk_size == 0)
		layout.areas[AREA_DISK].size += end - at;
	*ret = layout;
	return 0;
}
