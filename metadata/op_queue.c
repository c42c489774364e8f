/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of a store's queue: metadata/op_queue.h. Called by the stores; it knows none of them. */
#include "metadata/op_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "metadata/image.h"
#include "util/cleanup.h"

void op_queue_init(struct op_queue *queue, void (*fire)(struct timer *timer))
{
	*queue = (struct op_queue){.stuck_since = MONO_UNSET, .timer = {.fire = fire}};
}

void op_queue_done(struct op_queue *queue)
{
	for (uint32_t i = 0; queue->known && i < BLOCK_LIMIT; i++)
		image_drop(queue->known[i]);
	free(queue->known);
	queue->known = NULL;
}

int op_queue_begin(struct op_queue *queue, struct clock_port *clock, uint32_t first, uint8_t *blocks,
		   struct image **images, struct store_op *op)
{
	assert(op && op->done);
	if (queue->op)
		return -EBUSY;
	queue->op = op;
	queue->first = first;
	queue->blocks = blocks;
	queue->images = images;
	queue->write = !blocks && !images;
	queue->begun = clock->now(clock);
	clock->set(clock, &queue->timer, op->deadline);
	return 0;
}

/* Most blocks have not changed since they were read a second ago. */
static struct image *known_image(struct image **known, const uint8_t *block)
{
	if (block[0] == '\0') {
		image_drop(TAKE_PTR(*known));
		return NULL;
	}
	if (!*known || !image_is_of(*known, block)) {
		image_drop(*known);
		*known = image_new(block);
	}
	return image_keep(*known);
}

void op_queue_fill(struct op_queue *queue, const uint8_t *bytes, size_t count)
{
	if (queue->blocks && queue->blocks != bytes)
		memcpy(queue->blocks, bytes, count * BLOCK_SIZE);
	if (!queue->images)
		return;
	if (!queue->known)
		queue->known = calloc(BLOCK_LIMIT, sizeof(*queue->known));
	/* Like every loop's memory: without it nothing can go on. */
	if (!queue->known)
		abort();
	for (size_t i = 0; i < count; i++)
		queue->images[i] = known_image(&queue->known[queue->first + i], bytes + i * BLOCK_SIZE);
}

void op_queue_end(struct op_queue *queue, struct clock_port *clock, struct store_health *health, int error)
{
	struct store_op *op = TAKE_PTR(queue->op);
	mono_t now = clock->now(clock);

	clock->cancel(clock, &queue->timer);
	if (error == 0) {
		*(queue->write ? &health->last_write : &health->last_read) = now;
		*(queue->write ? &health->write_ms : &health->read_ms) = now - queue->begun;
	}
	if (error == -ETIMEDOUT && queue->stuck_since == MONO_UNSET)
		queue->stuck_since = queue->begun;
	op->done(op, error);
}

void op_queue_health(const struct op_queue *queue, unsigned threads, struct store_health *ret)
{
	ret->stuck += threads;
	if (queue->stuck_since != MONO_UNSET &&
	    (ret->stuck_since == MONO_UNSET || queue->stuck_since < ret->stuck_since))
		ret->stuck_since = queue->stuck_since;
}

uint64_t block_offset(uint32_t first, uint32_t count)
{
	assert(count >= 1 && count <= BLOCK_LIMIT && first <= BLOCK_LIMIT - count);
	return (uint64_t)first * BLOCK_SIZE;
}
