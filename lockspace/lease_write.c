/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes lockspaces and resources by sanlock's direct calls, and says what their codes mean. Decides no
 * place and no size. It is apart from what asks the daemon: that is another library of the same names. */
#include "lockspace/lease_write.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <sanlock.h>
#include <sanlock_direct.h>
#include <sanlock_rv.h>

/* libsanlock's resource with its one disk, which must follow it in memory. */
struct lease {
	struct sanlk_resource resource;
	struct sanlk_disk disk;
};
_Static_assert(offsetof(struct lease, disk) == offsetof(struct sanlk_resource, disks),
	       "the disk follows at once");

/* Given to sanlock, which for a file would take sectors of 512 bytes on its own. */
static uint32_t shape(unsigned sector_size)
{
	return sector_size == 4096 ? SANLK_RES_ALIGN8M | SANLK_RES_SECTOR4K
				   : SANLK_RES_ALIGN1M | SANLK_RES_SECTOR512;
}

static int code(int rv)
{
	if (rv >= 0)
		return 0;
	if (rv == SANLK_AIO_TIMEOUT)
		return -ETIMEDOUT;
	return rv > -200 && rv != -1 ? rv : -EIO; /* -1: not opened, without a reason */
}

static int put(char *to, size_t size, const char *text)
{
	if (strlen(text) >= size)
		return -EINVAL;
	strcpy(to, text);
	return 0;
}

int lease_write_lockspace(const char *path, uint64_t offset, const char *lockspace, unsigned sector_size,
			  uint32_t io_timeout_s)
{
	struct sanlk_lockspace ls = {.flags = shape(sector_size), .host_id_disk.offset = offset};

	if (lease_alignment(sector_size) == 0 || put(ls.name, sizeof(ls.name), lockspace) < 0 ||
	    put(ls.host_id_disk.path, sizeof(ls.host_id_disk.path), path) < 0)
		return -EINVAL;
	return code(sanlock_direct_write_lockspace(&ls, 0, 0, io_timeout_s));
}

int lease_write_resource(const char *path, uint64_t offset, const char *lockspace, const char *resource,
			 unsigned sector_size)
{
	struct lease lease = {.resource = {.flags = shape(sector_size), .num_disks = 1},
			      .disk.offset = offset};

	if (lease_alignment(sector_size) == 0 ||
	    put(lease.resource.lockspace_name, sizeof(lease.resource.lockspace_name), lockspace) < 0 ||
	    put(lease.resource.name, sizeof(lease.resource.name), resource) < 0 ||
	    put(lease.disk.path, sizeof(lease.disk.path), path) < 0)
		return -EINVAL;
	return code(sanlock_direct_write_resource(&lease.resource, 0, 0, 0));
}
