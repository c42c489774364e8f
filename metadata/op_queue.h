/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What every store keeps of one of its queues, whatever does the I/O: the operation under way, its deadline,
 * how long the last good ones took and since when the queue is late. It may not do I/O nor decide what
 * becomes of an I/O that is late. Called by the stores. */
#pragma once

#include <stdbool.h>

#include "metadata/store.h"
#include "util/loop.h"

#define BLOCK_LIMIT (BLOCKS_MAX + 1) /* the identity block follows the hosts' */

struct op_queue {
	struct store_op *op;   /* NULL: idle */
	uint32_t first;	       /* block that it begins at */
	uint8_t *blocks;       /* where a read goes */
	struct image **images; /* or this, of a scan */
	struct image **known;  /* what a scan gave last, per block: the same again while it has not changed */
	mono_t begun;
	mono_t stuck_since; /* MONO_UNSET none; begin of the first operation that was late */
	bool write;
	struct timer timer; /* fire is the store's */
};

void op_queue_init(struct op_queue *queue, void (*fire)(struct timer *timer));
void op_queue_done(struct op_queue *queue);
/* The operation, from block `first` on, is under way and its deadline is set. `blocks` and `images` NULL: a
 * write. -EBUSY: another one is. */
int op_queue_begin(struct op_queue *queue, struct clock_port *clock, uint32_t first, uint8_t *blocks,
		   struct image **images, struct store_op *op);
/* What was read reaches who asked for it: `count` blocks. */
void op_queue_fill(struct op_queue *queue, const uint8_t *bytes, size_t count);
/* It ends: 0 or -errno. -ETIMEDOUT makes the queue stuck since its begin, unless it was so before. Last thing
 * a caller does: done() may begin the next one or close the store. */
void op_queue_end(struct op_queue *queue, struct clock_port *clock, struct store_health *health, int error);
/* Adds what this queue has to `ret`: threads that hang, and since when it is stuck. */
void op_queue_health(const struct op_queue *queue, unsigned threads, struct store_health *ret);

/* Where block `first` begins and whether `count` blocks from there are of the whiteboard: asserted. */
uint64_t block_offset(uint32_t first, uint32_t count);
