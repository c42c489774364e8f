/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keeps each slot on its own, so that one bad block never hides another, and decodes a block only when its
 * bytes changed. Decides which slots are in use and what counts as a change; judges no host (core/peer.c
 * does). Called by the broker's loop. */
#include "metadata/slots.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "metadata/padding.h"

#define WORD_BITS 64

struct slots {
	struct slot *table[HOST_ID_MAX + 1];
	uint64_t used[HOST_ID_MAX / WORD_BITS +
		      1]; /* a bit per id in use: most clusters have few of many ids */
	size_t count;
	uint64_t decoded;
};

int slots_new(struct slots **ret)
{
	struct slots *slots = calloc(1, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	*ret = slots;
	return 0;
}

static void slot_free(struct slot *slot)
{
	if (!slot)
		return;
	free(slot->bytes);
	free(slot);
}

void slots_free(struct slots *slots)
{
	if (!slots)
		return;
	for (size_t id = 0; id <= HOST_ID_MAX; id++)
		slot_free(slots->table[id]);
	free(slots);
}

/* Like every loop's memory: without it nothing can go on. */
static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static struct slot *slot_use(struct slots *slots, uint16_t id)
{
	assert(id >= 1 && id <= HOST_ID_MAX);
	if (!slots->table[id]) {
		slots->table[id] = must(calloc(1, sizeof(struct slot)));
		peer_init(&slots->table[id]->peer, id);
		slots->table[id]->read_at = MONO_UNSET;
		slots->used[id / WORD_BITS] |= 1ULL << id % WORD_BITS;
		slots->count++;
	}
	return slots->table[id];
}

static void drop_unused(struct slots *slots, uint16_t id)
{
	struct slot *slot = slots->table[id];

	if (!slot || slot->bytes || slot->peer.host_generation != 0 ||
	    (slot->peer.host != HOST_ABSENT && slot->peer.host != HOST_UNKNOWN))
		return;
	slot_free(slot);
	slots->table[id] = NULL;
	slots->used[id / WORD_BITS] &= ~(1ULL << id % WORD_BITS);
	slots->count--;
}

static bool all_zero(const uint8_t *bytes, size_t length)
{
	/* Equal to itself moved by one byte, and the first is zero. */
	return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

static bool same_bytes(const struct slot *slot, const uint8_t block[BLOCK_SIZE])
{
	return slot->bytes && memcmp(slot->bytes, block, slot->length) == 0 &&
	       all_zero(block + slot->length, BLOCK_SIZE - (size_t)slot->length);
}

static void keep_bytes(struct slot *slot, const uint8_t block[BLOCK_SIZE])
{
	size_t length = padding_begin(block, BLOCK_SIZE);

	if (length != slot->length || !slot->bytes) {
		free(slot->bytes);
		slot->bytes = must(malloc(length));
		slot->length = (uint16_t)length;
	}
	memcpy(slot->bytes, block, length);
}

static bool same_claim(const struct claim *a, const struct claim *b)
{
	return a->generation == b->generation && a->score == b->score && a->vm == b->vm &&
	       a->health == b->health && a->detail == b->detail && a->maintenance == b->maintenance &&
	       a->stopped == b->stopped && a->migrating_to == b->migrating_to &&
	       a->io_timeout_s == b->io_timeout_s && a->watchdog_fire_s == b->watchdog_fire_s;
}

static bool same_record(const struct record *a, const struct record *b)
{
	return same_claim(&a->claim, &b->claim) && a->config_shared == b->config_shared &&
	       strcmp(a->hostname, b->hostname) == 0 && strcmp(a->engine_reason, b->engine_reason) == 0 &&
	       strcmp(a->state, b->state) == 0 && strcmp(a->penalties, b->penalties) == 0;
}

/* A host whose block became zero is gone at once, not after its record went stale. */
static enum slot_change take_absent(struct slots *slots, uint16_t id, mono_t now)
{
	struct slot *slot = slots->table[id];

	if (!slot)
		return SLOT_SAME;
	slot->read_at = now;
	if (!slot->bytes)
		return SLOT_SAME;
	free(slot->bytes);
	slot->bytes = NULL;
	slot->length = 0;
	slot->has_record = false;
	slot->cause[0] = '\0';
	peer_observe_fault(&slot->peer, RECORD_ABSENT, now);
	drop_unused(slots, id);
	return SLOT_CHANGED;
}

enum slot_change slots_take_block(struct slots *slots, uint16_t id, const uint8_t block[BLOCK_SIZE],
				  const struct lease_timing *t, mono_t now)
{
	char cause[RECORD_CAUSE_SIZE];
	struct record record;
	enum record_fault fault;
	struct slot *slot;
	bool same;

	assert(id >= 1 && id <= HOST_ID_MAX);
	if (block[0] == '\0')
		return take_absent(slots, id, now);
	slot = slot_use(slots, id);
	slot->read_at = now;
	if (same_bytes(slot, block))
		return SLOT_SAME;
	keep_bytes(slot, block);
	slots->decoded++;
	fault = record_decode(block, id, &record, cause);
	if (fault != RECORD_OK) {
		same = slot->peer.fault == fault && strcmp(slot->cause, cause) == 0;
		memcpy(slot->cause, cause, sizeof(cause));
		peer_observe_fault(&slot->peer, fault, now);
		return same ? SLOT_BEAT : SLOT_CHANGED;
	}
	/* Half of it is of the past; its host writes it anew within a loop. */
	if (record.torn)
		return SLOT_BEAT;
	same = slot->has_record && slot->peer.fault == RECORD_OK && same_record(&slot->record, &record);
	/* A late write of the past: the newer record stays. */
	if (!peer_observe_claim(&slot->peer, &record.claim, t, now))
		return SLOT_BEAT;
	slot->cause[0] = '\0';
	slot->record = record;
	slot->has_record = true;
	return same ? SLOT_BEAT : SLOT_CHANGED;
}

bool slots_take_host(struct slots *slots, uint16_t id, enum host_state state, uint64_t generation,
		     uint64_t timestamp, mono_t now)
{
	struct slot *slot = slots_get(slots, id) ? slots->table[id] : NULL;
	enum host_state was_state;
	uint64_t was_generation;
	bool changed;

	/* Not listed and without a block: nothing to keep. */
	if (!slot && (state == HOST_ABSENT || (state == HOST_UNKNOWN && generation == 0)))
		return false;
	slot = slot_use(slots, id);
	was_state = slot->peer.host;
	was_generation = slot->peer.host_generation;
	peer_observe_host(&slot->peer, state, generation, timestamp, now);
	changed = slot->peer.host != was_state || slot->peer.host_generation != was_generation;
	if (state == HOST_ABSENT)
		drop_unused(slots, id);
	return changed;
}

const struct slot *slots_get(const struct slots *slots, uint16_t id)
{
	assert(id >= 1 && id <= HOST_ID_MAX);
	return slots->table[id];
}

const struct slot *slots_next(const struct slots *slots, uint16_t id)
{
	size_t word = ((size_t)id + 1) / WORD_BITS;
	uint64_t left;

	if (id >= HOST_ID_MAX)
		return NULL;
	left = slots->used[word] & UINT64_MAX << (id + 1) % WORD_BITS;
	while (left == 0 && ++word < sizeof(slots->used) / sizeof(slots->used[0]))
		left = slots->used[word];
	return left == 0 ? NULL : slots->table[word * WORD_BITS + (size_t)__builtin_ctzll(left)];
}

size_t slots_count(const struct slots *slots)
{
	return slots->count;
}

size_t slots_peers(const struct slots *slots, uint16_t own, struct peer *peers)
{
	const struct slot *slot;
	size_t n = 0;

	for (slot = slots_next(slots, 0); slot; slot = slots_next(slots, slot->peer.id))
		if (slot->peer.id != own)
			peers[n++] = slot->peer;
	return n;
}

void slot_block_copy(const struct slot *slot, uint8_t ret[BLOCK_SIZE])
{
	memset(ret, 0, BLOCK_SIZE);
	if (slot->bytes)
		memcpy(ret, slot->bytes, slot->length);
}

uint64_t slots_decoded(const struct slots *slots)
{
	return slots->decoded;
}
