/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads and writes the shared configuration over a store that carries the conf volume (metadata/conf_layout.h
 * tells how it lies there). Never blocks; the whole ends by one deadline. */
#pragma once

#include "metadata/conf_archive.h"
#include "metadata/conf_layout.h"
#include "util/loop.h"

/* One reading or writing at a time. Owned by the caller, zeroed before its first use but for the first four
 * members; must stay, as the store must, until done() was called, or the store is closed. */
struct conf_transfer {
	/* Once per conf_read() or conf_write() that returned 0; in the loop; may start the next one. 0 or
	 * -errno: -ENODATA: the volume was never written. -EBADMSG: nothing on it is whole, `cause` says what
	 * is wrong. -ETIMEDOUT: the deadline passed; no block is begun after it. Else the store's. */
	void (*done)(struct conf_transfer *transfer, int error);
	struct store *store;
	struct clock_port *clock;
	mono_t deadline;

	/* What was found; good after a 0. Stays until the next start. The archive may be taken out. */
	struct conf_place place;
	struct conf_archive archive;
	char cause[CONF_CAUSE_SIZE]; /* after -EBADMSG, plain ASCII; else "" */

	/* Its own. */
	struct store_op op;
	int (*next)(struct conf_transfer *transfer);
	int (*found)(struct conf_transfer *transfer, int error);
	struct conf_heads heads;
	struct conf_place places[2], expected;
	unsigned place_at, place_count, tries;
	bool checked; /* `expected` is */
	struct conf_plan plan;
	uint32_t step;
	uint8_t *packed; /* what is written */
	size_t packed_size;
	uint8_t *blocks; /* an archive as it is read */
	uint8_t first[BLOCK_SIZE], spare[BLOCK_SIZE];
};

/* Begins to read the generation that counts. Needs no lease: who is overtaken by two writings reads again. 0:
 * under way. -errno: as of struct store's read. */
int conf_read(struct conf_transfer *transfer);

/* Begins to write `archive` (copied) as a new generation, and reads it back. The caller holds the conf lease
 * from before until done(). `expected`: the place that was read and that the archive was made from; all zeros
 * for a volume that was never written; NULL: whatever is there is replaced, damaged or not. 0: under way.
 * -errno: as of conf_archive_pack() and struct store's read. More ends of done(): -ESTALE: something else
 * than `expected` is there, nothing was written. -EIO: not what was written reads back, the
 * storage lost it or another wrote. After an error of the store or the deadline either the old or the new
 * generation counts, whole; which, the next reading tells. After -ETIMEDOUT a block can still land: the
 * caller keeps the lease until the store has no stuck thread. */
int conf_write(struct conf_transfer *transfer, const struct conf_archive *archive,
	       const struct conf_place *expected);

/* Frees what it found and what it held. NULL is fine, one under way is not, unless its store is closed. */
void conf_transfer_done(struct conf_transfer *transfer);
