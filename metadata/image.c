/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes images and takes them apart. Decides what of a record people look at: a change of it is told, though
 * no decision needs it. Called by the stores and the slots. */
#include "metadata/image.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "metadata/padding.h"

#define SECTOR_MIN 512
#define HASH_BEGIN 0xcbf29ce484222325ULL

struct image *image_new(const uint8_t block[BLOCK_SIZE])
{
	size_t length = padding_begin(block, BLOCK_SIZE);
	struct image *image = malloc(sizeof(*image) + length);

	/* Like every loop's memory: without it nothing can go on. */
	if (!image)
		abort();
	image->keepers = 1;
	image->id = 0;
	image->length = (uint16_t)length;
	memcpy(image->bytes, block, length);
	return image;
}

void image_drop(struct image *image)
{
	if (image && --image->keepers == 0)
		free(image);
}

void image_copy(const struct image *image, uint8_t ret[BLOCK_SIZE])
{
	size_t length = image ? image->length : 0;

	if (image)
		memcpy(ret, image->bytes, length);
	memset(ret + length, 0, BLOCK_SIZE - length);
}

bool image_is_of(const struct image *image, const uint8_t block[BLOCK_SIZE])
{
	static const uint8_t zeros[SECTOR_MIN];
	size_t rest = image->length < BLOCK_SIZE ? SECTOR_MIN - image->length % SECTOR_MIN : 0;

	return memcmp(image->bytes, block, image->length) == 0 &&
	       memcmp(block + image->length, zeros, rest) == 0;
}

bool image_same_bytes(const struct image *a, const struct image *b)
{
	return a == b || (a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0);
}

/* With its end, so that what one text loses the next can't gain. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
	do
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3ULL;
	while (*text++ != '\0');
	return hash;
}

static uint64_t words_of(const struct record *record)
{
	uint64_t hash = (HASH_BEGIN ^ record->config_shared) * 0x100000001b3ULL;

	hash = hash_text(hash, record->hostname);
	hash = hash_text(hash, record->engine_reason);
	hash = hash_text(hash, record->state);
	return hash_text(hash, record->penalties);
}

bool image_decode(struct image *image, uint16_t id)
{
	struct record record;

	if (image->id == id)
		return false;
	image->id = id;
	image->fault = record_decode_bytes(image->bytes, image->length, id, &record, image->cause);
	if (image->fault != RECORD_OK) {
		image->words = hash_text(HASH_BEGIN, image->cause);
		image->torn = false;
		return true;
	}
	image->torn = record.torn;
	image->claim = record.claim;
	image->words = words_of(&record);
	return true;
}
