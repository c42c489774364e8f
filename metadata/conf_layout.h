/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the generations of the shared configuration stand on the conf volume, in blocks of BLOCK_SIZE:
 *
 *     0            the first head: which slot counts
 *     1..1020      three slots of 340 blocks, a tar each, zeros up to the end of its last block
 *     1023         the spare head, of the same form
 *
 * A head is a tar header of an entry `generation` whose content is the rest of the head and whatever lies
 * before the slot, so the whole volume is at every moment one tar file: `tar xf VOLUME vm.conf` and the
 * agents of existing clusters (dd | tar) read what the first head says. What those write, a tar from the
 * volume's begin, is read too. The text behind the header:
 *
 *     layout=1
 *     generation=8
 *     slot=1
 *     length=12288
 *     crc32=0a1b2c3d          zlib's, of the slot's `length` bytes
 *     head_crc32=4e5f6071     of the head with zeros here
 *
 * A new generation goes into a slot that no head names; then the spare head is written, then the first, each
 * when the one before is on storage. A head that is torn by a power cut has no right CRC, so at every byte
 * there is a head that names a whole archive. Of two sound heads the higher generation counts: a write that
 * timed out can land later, and must not bring an older one back. Pure; bytes are untrusted. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "metadata/store.h"

#define CONF_FIRST_BLOCK 0
#define CONF_SLOTS 3
#define CONF_SLOT_BLOCKS 340
#define CONF_SLOT_SIZE (CONF_SLOT_BLOCKS * BLOCK_SIZE)
#define CONF_SPARE_BLOCK 1023
#define CONF_VOLUME_BLOCKS 1024 /* 4 MiB */
/* An archive without a head: as far as it may reach without touching the second slot. */
#define CONF_PLAIN_BLOCKS (1 + CONF_SLOT_BLOCKS)

/* One archive on the volume. All zeros: none, a volume that was never written. */
struct conf_place {
	uint64_t generation; /* 1 and up; 0: without a head, or none */
	uint32_t first;	     /* its first block: 0 without a head */
	uint32_t length;     /* bytes */
	uint32_t crc32;	     /* of them; without a head known when they were read */
};

/* What the two heads say. */
struct conf_heads {
	bool plain;    /* block 0 begins an archive instead */
	bool sound[2]; /* first, spare */
	struct conf_place place[2];
};

/* 0, -ENODATA when both blocks are zeros, -EBADMSG when they hold nothing that is known; *ret is untouched
 * then. */
int conf_heads_decode(const uint8_t first[BLOCK_SIZE], const uint8_t spare[BLOCK_SIZE],
		      struct conf_heads *ret);

/* The archives to try, best first: the first that is whole counts. An archive without a head comes before any
 * head: an older version has written it, over the first head. Returns how many, 1 or 2. */
unsigned conf_heads_places(const struct conf_heads *heads, struct conf_place ret[2]);

/* How a new generation comes on the volume: `count` blocks, in this order, each durable before the next. */
struct conf_plan {
	const uint8_t *first, *archive; /* the caller's, for as long as the plan is used */
	struct conf_place old, next;
	uint32_t count;
	bool mend; /* the first head comes first, once more: the spare one is the only that names `old` */
	bool turn; /* block 0 gets its header alone before it becomes a head */
};

/* The plan from what was found: `heads`, or NULL for a volume that is empty or to be overwritten, of its
 * places the one that is whole (all zeros: none), and block 0. 0, or -EFBIG: no archive of `size` bytes fits,
 * -EOVERFLOW: the last generation. */
int conf_plan_init(struct conf_plan *plan, const struct conf_heads *heads, const struct conf_place *old,
		   const uint8_t first[BLOCK_SIZE], const uint8_t *archive, size_t size);
/* The plan's block `step`, 0 .. count - 1. 0 or -errno. */
int conf_plan_block(const struct conf_plan *plan, uint32_t step, uint32_t *ret_block,
		    uint8_t ret[BLOCK_SIZE]);
