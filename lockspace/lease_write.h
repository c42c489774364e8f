/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes the leases of a new storage domain: sanlock's own code on the storage, with no daemon. Whatever was
 * there is overwritten, and a host that holds such a lease does not notice (safety rules 3 and 15): the
 * caller knows that nobody does. Called by storage/, for deployment. */
#pragma once

#include <stdint.h>

/* Bytes from one lease to the next for 2000 hosts: 1 MiB at sectors of 512 bytes, 8 MiB at 4096; 0: sanlock
 * has no such sectors. */
static inline uint64_t lease_alignment(unsigned sector_size)
{
	return sector_size == 512 ? UINT64_C(1) << 20 : sector_size == 4096 ? UINT64_C(8) << 20 : 0;
}

/* The lockspace, or one resource of it, into the alignment's bytes from `offset` of a file or block device;
 * durable on return. io_timeout_s is 1..60. Both block for as long as the storage does. 0 or -errno; -EINVAL
 * for a name or path too long for sanlock. */
int lease_write_lockspace(const char *path, uint64_t offset, const char *lockspace, unsigned sector_size,
			  uint32_t io_timeout_s);
int lease_write_resource(const char *path, uint64_t offset, const char *lockspace, const char *resource,
			 unsigned sector_size);
