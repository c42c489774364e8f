/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads sanlock's records of a lease (version 3.8.5, little endian). Decides nothing but what the bytes say;
 * the checksum is not looked at: one that is torn is being written, which a second look shows. Called by
 * lease_release.c, storage/lockspace_watch.c and storage/lockspace_reset.c. */
#include "lockspace/lease_leader.h"

#include <endian.h>
#include <stddef.h>
#include <string.h>

#define MAGIC_HOST_ID 0x12212010
#define MAGIC_RESOURCE 0x06152010
#define ALIGN_1M 0x10 /* of flags; 2M, 4M, 8M are the next bits */

enum {
	AT_MAGIC = 0,
	AT_FLAGS = 8,
	AT_SECTOR_SIZE = 12,
	AT_OWNER = 32,
	AT_GENERATION = 40,
	AT_VERSION = 48,
	AT_LOCKSPACE = 56,
	AT_TIMESTAMP = 152,
	AT_IO_TIMEOUT = 174 /* one byte: sanlock writes no more */
};

/* Of a host's block. */
enum { BLOCK_OWNER = 16, BLOCK_GENERATION = 24, BLOCK_VERSION = 40, BLOCK_FLAGS = 52 };

#define BLOCK_RELEASED 0x1

static uint32_t get32(const uint8_t *sector, size_t at)
{
	uint32_t value;

	memcpy(&value, sector + at, sizeof(value));
	return le32toh(value);
}

static uint64_t get64(const uint8_t *sector, size_t at)
{
	uint64_t value;

	memcpy(&value, sector + at, sizeof(value));
	return le64toh(value);
}

static enum leader_kind kind_of(uint32_t magic)
{
	return magic == MAGIC_HOST_ID	 ? LEADER_HOST_ID
	       : magic == MAGIC_RESOURCE ? LEADER_RESOURCE
					 : LEADER_NONE;
}

void leader_decode(const uint8_t sector[512], struct leader *ret)
{
	struct leader leader = {.kind = kind_of(get32(sector, AT_MAGIC)),
				.sector_size = get32(sector, AT_SECTOR_SIZE)};

	for (unsigned i = 0; i < 4; i++)
		if (get32(sector, AT_FLAGS) & (ALIGN_1M << i))
			leader.alignment = UINT64_C(1048576) << i;
	*ret = (struct leader){0};
	if (leader.kind == LEADER_NONE || leader.alignment == 0 ||
	    (leader.sector_size != 512 && leader.sector_size != 4096))
		return;
	leader.io_timeout_s = sector[AT_IO_TIMEOUT];
	leader.free = get64(sector, AT_TIMESTAMP) == 0;
	leader.owner_id = get64(sector, AT_OWNER);
	leader.owner_generation = get64(sector, AT_GENERATION);
	leader.version = get64(sector, AT_VERSION);
	memcpy(leader.lockspace, sector + AT_LOCKSPACE, sizeof(leader.lockspace) - 1);
	*ret = leader;
}

bool leader_released(const uint8_t block[512], const struct leader *leader)
{
	return (get32(block, BLOCK_FLAGS) & BLOCK_RELEASED) &&
	       get64(block, BLOCK_OWNER) == leader->owner_id &&
	       get64(block, BLOCK_GENERATION) == leader->owner_generation &&
	       get64(block, BLOCK_VERSION) == leader->version;
}
