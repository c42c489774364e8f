/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the leader record of a lease, which lies in its first sector, and the block of its owner: that of
 * host N in sector 1 + N. It writes nothing and decides nothing but what the bytes say. Called by the lease
 * port's worker threads. */
#include "lockspace/lease_release.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lockspace/lease_leader.h"
#include "util/cleanup.h"

#define SECTOR_MAX 4096 /* of either size it holds the leader record */

bool lease_released(const struct lease_place *place, const struct lease_owner *owner)
{
	_cleanup_close_ int fd = open(place->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	_cleanup_free_ uint8_t *sector = aligned_alloc(SECTOR_MAX, SECTOR_MAX);
	off_t start = (off_t)place->offset;
	struct leader leader;

	assert(owner->kind == OWNER_HOST);
	if (fd < 0 || !sector || pread(fd, sector, SECTOR_MAX, start) != SECTOR_MAX)
		return false;
	leader_decode(sector, &leader);
	if (leader.kind != LEADER_RESOURCE || leader.owner_id != owner->id ||
	    leader.owner_generation != owner->generation || leader.version != owner->version)
		return false;
	if (pread(fd, sector, leader.sector_size, start + (off_t)leader.sector_size * (1 + owner->id)) !=
	    (ssize_t)leader.sector_size)
		return false;
	return leader_released(sector, &leader);
}
