/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hosts on the storage that do not run this code: a clone that writes another's block, a host of another
 * lockspace, agents of other versions, which hold a host id and may take the engine's lease as well as
 * anybody. They write straight to the storage. Used by sim_fault.c. */
#pragma once

#include "tests/sim/sim_disk.h"

enum ghost_kind {
	GHOST_NONE,
	GHOST_CLONE, /* another name in the block of a host of ours */
	GHOST_ALIEN, /* writes a generation that our lockspace does not have */
	GHOST_OLDER, /* agents of other versions, in our lockspace */
	GHOST_PYTHON,
	GHOST_NEWER,
	GHOST_NOISE, /* overwrites a block with noise */
	GHOST_FLAG,  /* puts an old copy of block 0 back */
	GHOST_OWNER, /* lives in the lockspace, writes no record, and was made the engine lease's owner by
			somebody */
};

struct ghost {
	struct sim_event event; /* first */
	struct sim *sim;
	struct sim_storage *storage;
	enum ghost_kind kind;
	uint16_t id;
	int64_t begun, until;
	uint32_t io_timeout_s;
	unsigned writes;
	bool owns; /* it has the engine's lease, and its VM runs */
	uint64_t stamp;
	uint8_t old[BLOCK_SIZE]; /* GHOST_FLAG: its copy */
};

/* `ghost` zeroed. It begins now and ends at `until`. */
void ghost_begin(struct ghost *ghost, struct sim *sim, struct sim_storage *storage, enum ghost_kind kind,
		 uint16_t id, int64_t until, uint32_t io_timeout_s);
void ghost_end(struct ghost *ghost);
/* Is it the owner on disk now? It notices at its next renewal that it is not any more. */
bool ghost_owns(const struct ghost *ghost);
/* A record of a host that was here once and said that it stopped. */
void ghost_left_behind(struct sim_storage *storage, uint16_t id);
