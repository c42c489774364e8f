/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A block as it was read once: its bytes, which never change, and what they say, taken apart at the first
 * question for all who keep it. Stores make images, the slots keep them. No I/O, no clock; for one thread. */
#pragma once

#include "metadata/record.h"

struct image {
	unsigned keepers;
	uint16_t id;	 /* of whose block it was taken apart, 0: not yet */
	uint16_t length; /* without the NULs at the end */
	/* Once taken apart. */
	enum record_fault fault;
	bool torn;	    /* see struct record */
	struct claim claim; /* with RECORD_OK */
	uint64_t words; /* a hash of what people are shown of it: with RECORD_OK the record's own words, else
			   the cause */
	char cause[RECORD_CAUSE_SIZE];
	uint8_t bytes[]; /* `length` of them */
};

/* Of a copy of the bytes, with one keeper. Never fails (no memory: aborts). */
struct image *image_new(const uint8_t block[BLOCK_SIZE]);
/* One keeper more. Returns it. */
static inline struct image *image_keep(struct image *image)
{
	image->keepers++;
	return image;
}
/* One less; the last one frees it. NULL: nothing. */
void image_drop(struct image *image);
/* No record, whatever follows: its block counts as empty. */
static inline bool image_empty(const struct image *image)
{
	return image->length == 0 || image->bytes[0] == '\0';
}
/* The whole block again; NULL: zeros. */
void image_copy(const struct image *image, uint8_t ret[BLOCK_SIZE]);
/* Has `block`, which was read later, the same bytes? Only the sector in which the image ends is looked at
 * beyond its end: a record is written with its padding, and no write of one stops within a sector. */
bool image_is_of(const struct image *image, const uint8_t block[BLOCK_SIZE]);
bool image_same_bytes(const struct image *a, const struct image *b);
/* Takes it apart as the block of host `id` (1..HOST_ID_MAX). False: that was done before. */
bool image_decode(struct image *image, uint16_t id);
