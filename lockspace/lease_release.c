/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the leader record of a lease, which lies in its first sector, and the block of its owner: that of
 * host N in sector 1 + N. It writes nothing and decides nothing but what the bytes say. Called by the lease
 * port's worker threads. */
#include "lockspace/lease_release.h"

#include <assert.h>
#include <stdlib.h>

#include "lockspace/lease_leader.h"
#include "util/cleanup.h"
#include "util/direct_read.h"

#define SECTOR_MAX 4096 /* of either size it holds the leader record */

bool lease_released(const struct lease_place *place, const struct lease_owner *owner)
{
	_cleanup_free_ uint8_t *sector = aligned_alloc(SECTOR_MAX, SECTOR_MAX);
	struct leader leader;

	assert(owner->kind == OWNER_HOST);
	if (!sector || direct_read(place->path, place->offset, SECTOR_MAX, sector) < 0)
		return false;
	leader_decode(sector, &leader);
	if (leader.kind != LEADER_RESOURCE || leader.owner_id != owner->id ||
	    leader.owner_generation != owner->generation || leader.version != owner->version)
		return false;
	if (direct_read(place->path, place->offset + (uint64_t)leader.sector_size * (1 + owner->id),
			leader.sector_size, sector) < 0)
		return false;
	return leader_released(sector, &leader);
}
