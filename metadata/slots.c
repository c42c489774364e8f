/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keeps each slot on its own, so that one bad block never hides another, and decodes a block only when its
 * bytes changed. Decides which slots are in use and what counts as a change; judges no host (core/peer.c
 * does). Called by the broker's loop. */
#include "metadata/slots.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROW_SLOTS 64
#define ROWS (HOST_ID_MAX / ROW_SLOTS + 1)
#define FETCH_IMAGE 4
#define FETCH_SLOT 8

struct slots {
	/* Of neighbouring ids side by side, since all are gone through by rising id; NULL: none was ever in
	 * use. */
	struct slot *rows[ROWS];
	uint64_t used[ROWS]; /* a bit per id in use: most clusters have few of many ids */
	size_t count;
	uint64_t decoded, news;
	uint16_t own;
};

int slots_new(uint16_t own, struct slots **ret)
{
	struct slots *slots = calloc(1, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	slots->own = own;
	*ret = slots;
	return 0;
}

void slots_free(struct slots *slots)
{
	const struct slot *slot;

	if (!slots)
		return;
	for (slot = slots_next(slots, 0); slot; slot = slots_next(slots, slot->peer.id))
		image_drop(slot->image);
	for (size_t row = 0; row < ROWS; row++)
		free(slots->rows[row]);
	free(slots);
}

/* Like every loop's memory: without it nothing can go on. */
static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static void note_news(struct slots *slots, uint16_t id)
{
	slots->news += id != slots->own;
}

/* NULL: not in use. */
static struct slot *slot_of(const struct slots *slots, uint16_t id)
{
	return slots->used[id / ROW_SLOTS] >> id % ROW_SLOTS & 1
		       ? &slots->rows[id / ROW_SLOTS][id % ROW_SLOTS]
		       : NULL;
}

static struct slot *slot_use(struct slots *slots, uint16_t id)
{
	struct slot **row = &slots->rows[id / ROW_SLOTS], *slot = slot_of(slots, id);

	if (slot)
		return slot;
	if (!*row)
		*row = must(calloc(ROW_SLOTS, sizeof(*slot)));
	slot = &(*row)[id % ROW_SLOTS];
	*slot = (struct slot){.read_at = MONO_UNSET};
	peer_init(&slot->peer, id);
	slots->used[id / ROW_SLOTS] |= 1ULL << id % ROW_SLOTS;
	slots->count++;
	note_news(slots, id);
	return slot;
}

static void drop_unused(struct slots *slots, uint16_t id)
{
	const struct slot *slot = slot_of(slots, id);

	if (!slot || slot->image || slot->peer.host_generation != 0 ||
	    (slot->peer.host != HOST_ABSENT && slot->peer.host != HOST_UNKNOWN))
		return;
	slots->used[id / ROW_SLOTS] &= ~(1ULL << id % ROW_SLOTS);
	slots->count--;
	note_news(slots, id);
}

static bool same_claim(const struct claim *a, const struct claim *b)
{
	return a->generation == b->generation && a->score == b->score && a->vm == b->vm &&
	       a->health == b->health && a->detail == b->detail && a->maintenance == b->maintenance &&
	       a->stopped == b->stopped && a->migrating_to == b->migrating_to &&
	       a->io_timeout_s == b->io_timeout_s && a->watchdog_fire_s == b->watchdog_fire_s;
}

/* A host whose block became zero is gone at once, not after its record went stale. */
static enum slot_change take_absent(struct slots *slots, uint16_t id, mono_t now)
{
	struct slot *slot = slot_of(slots, id);

	if (!slot)
		return SLOT_SAME;
	slot->read_at = now;
	if (!slot->image)
		return SLOT_SAME;
	image_drop(slot->image);
	slot->image = NULL;
	peer_observe_fault(&slot->peer, RECORD_ABSENT, now);
	note_news(slots, id);
	drop_unused(slots, id);
	return SLOT_CHANGED;
}

static enum slot_change take_fault(struct slots *slots, struct slot *slot, mono_t now)
{
	const struct image *image = slot->image;
	bool same_fault = slot->peer.fault == image->fault, same = same_fault && slot->words == image->words;

	slot->words = image->words;
	peer_observe_fault(&slot->peer, image->fault, now);
	if (!same_fault)
		note_news(slots, slot->peer.id);
	return same ? SLOT_BEAT : SLOT_CHANGED;
}

static enum slot_change take_record(struct slots *slots, struct slot *slot, const struct lease_timing *t,
				    mono_t now)
{
	const struct image *image = slot->image;
	uint8_t advances = slot->peer.alien_advances;
	bool known = slot->peer.fault == RECORD_OK && same_claim(&slot->peer.claim, &image->claim);
	bool same = known && slot->words == image->words;

	/* A late write of the past: the newer record stays. */
	if (!peer_observe_claim(&slot->peer, &image->claim, t, now))
		return SLOT_BEAT;
	slot->words = image->words;
	if (!known || slot->peer.alien_advances != advances)
		note_news(slots, slot->peer.id);
	return same ? SLOT_BEAT : SLOT_CHANGED;
}

/* Known to be of other bytes without a look at them. */
static bool moved_on(const struct image *was, const struct image *image)
{
	return was->id != 0 && was->id == image->id && was->fault == RECORD_OK && image->fault == RECORD_OK &&
	       was->claim.timestamp != image->claim.timestamp;
}

/* Blocks are taken in by rising id, and of many hosts what the slots hold is in no cache: asked for a few ids
 * ahead, it comes while others are taken in. */
static void fetch_ahead(const struct slots *slots, uint16_t id)
{
	const struct slot *row = slots->rows[id / ROW_SLOTS];
	size_t place = id % ROW_SLOTS;

	if (!row || place + FETCH_SLOT >= ROW_SLOTS)
		return;
	__builtin_prefetch(row[place + FETCH_IMAGE].image, 1);
	for (size_t i = 0; i < sizeof(*row); i += 64)
		__builtin_prefetch((const char *)&row[place + FETCH_SLOT] + i, 1);
}

enum slot_change slots_take_image(struct slots *slots, uint16_t id, struct image *image,
				  const struct lease_timing *t, mono_t now)
{
	struct slot *slot;
	bool same;

	assert(id >= 1 && id <= HOST_ID_MAX);
	fetch_ahead(slots, id);
	if (!image || image_empty(image))
		return take_absent(slots, id, now);
	slot = slot_use(slots, id);
	slot->read_at = now;
	if (slot->image == image)
		return SLOT_SAME;
	same = slot->image && !moved_on(slot->image, image) && image_same_bytes(slot->image, image);
	/* Also of the same bytes: it may be the one that the store gives next time. */
	image_drop(slot->image);
	slot->image = image_keep(image);
	if (same)
		return SLOT_SAME;
	slots->decoded += image_decode(image, id);
	if (image->fault != RECORD_OK)
		return take_fault(slots, slot, now);
	/* Half of it is of the past; its host writes it anew within a loop. */
	return image->torn ? SLOT_BEAT : take_record(slots, slot, t, now);
}

enum slot_change slots_take_block(struct slots *slots, uint16_t id, const uint8_t block[BLOCK_SIZE],
				  const struct lease_timing *t, mono_t now)
{
	struct image *image = image_new(block);
	enum slot_change change = slots_take_image(slots, id, image, t, now);

	image_drop(image);
	return change;
}

bool slots_take_host(struct slots *slots, uint16_t id, enum host_state state, uint64_t generation,
		     uint64_t timestamp, mono_t now)
{
	struct slot *slot = slot_of(slots, id);
	enum host_state was_state;
	uint64_t was_generation;
	uint8_t advances;
	bool changed;

	assert(id >= 1 && id <= HOST_ID_MAX);
	/* Not listed and without a block: nothing to keep. */
	if (!slot && (state == HOST_ABSENT || (state == HOST_UNKNOWN && generation == 0)))
		return false;
	slot = slot_use(slots, id);
	was_state = slot->peer.host;
	was_generation = slot->peer.host_generation;
	advances = slot->peer.alien_advances;
	peer_observe_host(&slot->peer, state, generation, timestamp, now);
	changed = slot->peer.host != was_state || slot->peer.host_generation != was_generation;
	if (changed || slot->peer.alien_advances != advances)
		note_news(slots, id);
	if (state == HOST_ABSENT)
		drop_unused(slots, id);
	return changed;
}

const struct slot *slots_get(const struct slots *slots, uint16_t id)
{
	assert(id >= 1 && id <= HOST_ID_MAX);
	return slot_of(slots, id);
}

const struct slot *slots_next(const struct slots *slots, uint16_t id)
{
	size_t row = ((size_t)id + 1) / ROW_SLOTS;
	uint64_t left;

	if (id >= HOST_ID_MAX)
		return NULL;
	left = slots->used[row] & UINT64_MAX << (id + 1) % ROW_SLOTS;
	while (left == 0 && ++row < ROWS)
		left = slots->used[row];
	return left == 0 ? NULL : &slots->rows[row][__builtin_ctzll(left)];
}

size_t slots_count(const struct slots *slots)
{
	return slots->count;
}

size_t slots_peers(const struct slots *slots, struct peer *peers)
{
	const struct slot *slot;
	size_t n = 0;

	for (slot = slots_next(slots, 0); slot; slot = slots_next(slots, slot->peer.id))
		if (slot->peer.id != slots->own)
			peers[n++] = slot->peer;
	return n;
}

uint64_t slots_news(const struct slots *slots)
{
	return slots->news;
}

uint64_t slots_decoded(const struct slots *slots)
{
	return slots->decoded;
}
