/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The heads of the conf volume, and the order in which a new generation is written. Decides which archive
 * counts and which blocks are free; may not do I/O (conf_transfer.c does), nor look into an archive. */
#include "metadata/conf_layout.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "metadata/conf_archive.h"

#define JUMP "generation"
#define TEXT_SIZE (BLOCK_SIZE - CONF_TAR_BLOCK)
#define CRC_KEY "head_crc32="
#define CRC_LENGTH 8

_Static_assert(CONF_ARCHIVE_MAX <= CONF_SLOT_SIZE, "five texts of the largest size must fit");
_Static_assert(1 + CONF_SLOTS * CONF_SLOT_BLOCKS <= CONF_SPARE_BLOCK, "the slots end before the spare head");
_Static_assert(CONF_VOLUME_BLOCKS <= BLOCKS_MAX, "every store carries as many blocks");

static uint32_t slot_first(uint32_t slot)
{
	return 1 + slot * CONF_SLOT_BLOCKS;
}

static uint32_t blocks_of(uint32_t length)
{
	return (length + BLOCK_SIZE - 1) / BLOCK_SIZE;
}

/* Of the head with zeros in place of the CRC itself, which is the text's last word. */
static uint32_t head_crc32(const uint8_t head[BLOCK_SIZE], size_t crc_at)
{
	uLong crc = crc32(0, head, (uInt)crc_at);

	crc = crc32(crc, (const Bytef *)"00000000", CRC_LENGTH);
	return (uint32_t)crc32(crc, head + crc_at + CRC_LENGTH, (uInt)(BLOCK_SIZE - crc_at - CRC_LENGTH));
}

/* The text behind the header, and where its CRC stands in the head. */
static size_t format_text(const struct conf_place *place, uint32_t crc, char ret[TEXT_SIZE])
{
	int n;

	memset(ret, 0, TEXT_SIZE);
	n = snprintf(ret, TEXT_SIZE,
		     "layout=1\ngeneration=%" PRIu64 "\nslot=%u\nlength=%u\ncrc32=%08x\n" CRC_KEY "%08x\n",
		     place->generation, (place->first - 1) / CONF_SLOT_BLOCKS, place->length, place->crc32,
		     crc);
	assert(n > 0 && n < TEXT_SIZE);
	return CONF_TAR_BLOCK + (size_t)n - CRC_LENGTH - 1;
}

static int head_header(const struct conf_place *place, uint8_t ret[CONF_TAR_BLOCK])
{
	return conf_archive_jump(JUMP, (size_t)place->first * BLOCK_SIZE - CONF_TAR_BLOCK, ret);
}

static int head_encode(const struct conf_place *place, uint8_t ret[BLOCK_SIZE])
{
	uint8_t head[BLOCK_SIZE];
	size_t crc_at;
	int r = head_header(place, head);

	if (r < 0)
		return r;
	crc_at = format_text(place, 0, (char *)head + CONF_TAR_BLOCK);
	format_text(place, head_crc32(head, crc_at), (char *)head + CONF_TAR_BLOCK);
	memcpy(ret, head, sizeof(head));
	return 0;
}

static bool head_decode(const uint8_t head[BLOCK_SIZE], struct conf_place *ret)
{
	char text[TEXT_SIZE], again[TEXT_SIZE];
	struct conf_place place;
	uint32_t slot, crc;
	size_t crc_at;

	memcpy(text, head + CONF_TAR_BLOCK, sizeof(text));
	text[sizeof(text) - 1] = '\0';
	if (sscanf(text,
		   "layout=1\ngeneration=%" SCNu64 "\nslot=%" SCNu32 "\nlength=%" SCNu32 "\ncrc32=%" SCNx32
		   "\n" CRC_KEY "%" SCNx32,
		   &place.generation, &slot, &place.length, &place.crc32, &crc) != 5)
		return false;
	if (place.generation == 0 || slot >= CONF_SLOTS || place.length == 0 || place.length > CONF_SLOT_SIZE)
		return false;
	place.first = slot_first(slot);
	/* scanf() takes more than we write: only what comes out the same is one of ours. */
	crc_at = format_text(&place, crc, again);
	if (memcmp(head + CONF_TAR_BLOCK, again, sizeof(again)) != 0 || head_crc32(head, crc_at) != crc)
		return false;
	*ret = place;
	return true;
}

static bool is_zero(const uint8_t block[BLOCK_SIZE])
{
	static const uint8_t zeros[BLOCK_SIZE];

	return memcmp(block, zeros, sizeof(zeros)) == 0;
}

int conf_heads_decode(const uint8_t first[BLOCK_SIZE], const uint8_t spare[BLOCK_SIZE],
		      struct conf_heads *ret)
{
	struct conf_heads heads = {0};

	heads.sound[0] = head_decode(first, &heads.place[0]);
	heads.sound[1] = head_decode(spare, &heads.place[1]);
	/* A head, torn or not, is no archive, though its first bytes are one's. */
	heads.plain = conf_archive_begins(first, BLOCK_SIZE, JUMP);
	if (!heads.plain && !heads.sound[0] && !heads.sound[1])
		return is_zero(first) && is_zero(spare) ? -ENODATA : -EBADMSG;
	*ret = heads;
	return 0;
}

static bool same_place(const struct conf_place *a, const struct conf_place *b)
{
	return a->generation == b->generation && a->first == b->first && a->length == b->length &&
	       a->crc32 == b->crc32;
}

unsigned conf_heads_places(const struct conf_heads *heads, struct conf_place ret[2])
{
	const struct conf_place *first = &heads->place[0], *spare = &heads->place[1];
	bool spare_counts = heads->sound[1] && (!heads->sound[0] || spare->generation > first->generation);
	unsigned count = 0;

	if (heads->plain)
		ret[count++] = (struct conf_place){.length = CONF_PLAIN_BLOCKS * BLOCK_SIZE};
	if (spare_counts)
		ret[count++] = *spare;
	if (heads->sound[0])
		ret[count++] = *first;
	if (heads->sound[1] && !spare_counts && !same_place(first, spare))
		ret[count++] = *spare;
	return count;
}

/* Of three slots one is free. From the last on: the first is where an older version's archive goes over it,
 * and if that is cut off, the generation before is still there. */
static uint32_t free_slot(const struct conf_heads *heads)
{
	for (uint32_t slot = CONF_SLOTS; slot-- > 0;) {
		bool taken = false;

		for (unsigned i = 0; heads && i < 2; i++)
			taken = taken || (heads->sound[i] && heads->place[i].first == slot_first(slot));
		if (!taken)
			return slot;
	}
	assert(false);
}

int conf_plan_init(struct conf_plan *plan, const struct conf_heads *heads, const struct conf_place *old,
		   const uint8_t first[BLOCK_SIZE], const uint8_t *archive, size_t size)
{
	uint64_t newest = 0;

	assert(first && archive && size > 0);
	if (size > CONF_SLOT_SIZE)
		return -EFBIG;
	for (unsigned i = 0; heads && i < 2; i++)
		if (heads->sound[i] && heads->place[i].generation > newest)
			newest = heads->place[i].generation;
	if (newest == UINT64_MAX)
		return -EOVERFLOW;
	*plan = (struct conf_plan){
		.first = first,
		.archive = archive,
		.old = *old,
		.next = {.generation = newest + 1,
			 .first = slot_first(free_slot(heads)),
			 .length = (uint32_t)size,
			 .crc32 = (uint32_t)crc32(0, archive, (uInt)size)},
		/* The spare head is written over: were it the only one that names the old archive, a power
		 * cut there would leave none. */
		.mend = heads && old->generation > 0 &&
			!(heads->sound[0] && same_place(&heads->place[0], old)),
		/* An archive without a head has no CRC: with our text in the place of its first entry's it
		 * would be taken for whole. So its first header goes before anything behind it changes. */
		.turn = heads && heads->plain,
	};
	plan->count = blocks_of((uint32_t)size) + 2 + plan->mend + plan->turn;
	return 0;
}

static int turn_block(const struct conf_plan *plan, const struct conf_place *place, uint8_t ret[BLOCK_SIZE])
{
	memcpy(ret, plan->first, BLOCK_SIZE);
	return head_header(place, ret);
}

static void archive_block(const struct conf_plan *plan, uint32_t number, uint8_t ret[BLOCK_SIZE])
{
	size_t at = (size_t)number * BLOCK_SIZE, left = plan->next.length - at;

	memset(ret, 0, BLOCK_SIZE);
	memcpy(ret, plan->archive + at, left < BLOCK_SIZE ? left : BLOCK_SIZE);
}

int conf_plan_block(const struct conf_plan *plan, uint32_t step, uint32_t *ret_block, uint8_t ret[BLOCK_SIZE])
{
	enum { TURN_OLD, HEAD_OLD, ARCHIVE, SPARE_NEXT, TURN_NEXT, HEAD_NEXT, STAGES };
	const uint32_t steps[STAGES] = {plan->mend && plan->turn,     plan->mend,
					blocks_of(plan->next.length), 1,
					!plan->mend && plan->turn,    1};
	const struct conf_place *place;
	unsigned stage = 0;
	int r = 0;

	assert(step < plan->count);
	for (; step >= steps[stage]; stage++)
		step -= steps[stage];
	place = stage < ARCHIVE ? &plan->old : &plan->next;
	if (stage == ARCHIVE)
		archive_block(plan, step, ret);
	else if (stage == TURN_OLD || stage == TURN_NEXT)
		r = turn_block(plan, place, ret);
	else
		r = head_encode(place, ret);
	if (r < 0)
		return r;
	*ret_block = stage == ARCHIVE	   ? place->first + step
		     : stage == SPARE_NEXT ? CONF_SPARE_BLOCK
					   : CONF_FIRST_BLOCK;
	return 0;
}
