/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of the hosts' slots as this host knows them: the image last read, and the peer that decisions
 * see. Slots in use are those with a block, and those that sanlock lists; memory is held by rows of 64 ids,
 * for rows that ever had one. No I/O, no clock. */
#pragma once

#include "core/peer.h"
#include "metadata/image.h"

struct slot {
	struct peer peer;    /* peer.id: the slot's number; peer.fault: of the last image that counted */
	mono_t read_at;	     /* when the block was last read, MONO_UNSET never */
	struct image *image; /* the block as last read, NULL: none */
	uint64_t words;	     /* of the last image that counted */
};

enum slot_change {
	SLOT_SAME,    /* the same bytes: nothing was decoded */
	SLOT_BEAT,    /* only moments moved (timestamp, time left) */
	SLOT_CHANGED, /* something that decisions or people look at */
};

struct slots;

/* `own`: this host's id, whose slot is no peer; 0: none is. 0 or -ENOMEM. */
int slots_new(uint16_t own, struct slots **ret);
void slots_free(struct slots *slots);

/* Takes in what was read of block `id` (1..HOST_ID_MAX), NULL or an empty image: it is empty. Keeps the
 * image. `t`: this host's timing, see peer_observe_claim(). */
enum slot_change slots_take_image(struct slots *slots, uint16_t id, struct image *image,
				  const struct lease_timing *t, mono_t now);
enum slot_change slots_take_block(struct slots *slots, uint16_t id, const uint8_t block[BLOCK_SIZE],
				  const struct lease_timing *t, mono_t now);
/* Takes in sanlock's answer, see peer_observe_host(). HOST_ABSENT drops a slot without a block; nothing else
 * does. True when state or generation changed. */
bool slots_take_host(struct slots *slots, uint16_t id, enum host_state state, uint64_t generation,
		     uint64_t timestamp, mono_t now);

/* The slot, or NULL when it is not in use. Valid until its block or its host becomes absent. */
const struct slot *slots_get(const struct slots *slots, uint16_t id);
/* The first slot in use after `id` (0: the first of all), or NULL. */
const struct slot *slots_next(const struct slots *slots, uint16_t id);
size_t slots_count(const struct slots *slots);
/* Copies the peers of all slots in use but the own one, by rising id. `peers` has room for slots_count().
 * Returns how many. */
size_t slots_peers(const struct slots *slots, struct peer *peers);
/* Rises whenever something of a peer that decisions look at has changed, moments and timestamps aside: what
 * has not risen is no news. */
uint64_t slots_news(const struct slots *slots);

/* How many images were taken apart for these slots so far: identical bytes are decoded once. */
uint64_t slots_decoded(const struct slots *slots);
