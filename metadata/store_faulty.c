/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which operations meet the fault and what becomes of them; all others go to the wrapped store as
 * they are. What a real store owes its caller holds under every fault: one end each, by the deadline, and in
 * the loop. Called by tests. */
#include "metadata/store_faulty.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "metadata/image.h"
#include "metadata/op_queue.h"
#include "util/cleanup.h"
#include "util/worker.h"

#define TORN_AT 512 /* no device tears a sector */
#define STEP_MS 1   /* no operation ends within the call that begins it; also between tries of a busy queue */

struct faulty_queue {
	struct op_queue ops;
	struct store_op inner;
	struct timer step; /* what comes next of the operation under way */
	struct store_faulty *store;
	uint32_t first, count;
	enum store_fault_kind fault; /* that it met */
	bool look_first;	     /* what stands in the block is read before it is written */
	unsigned stuck;
	uint8_t data[BLOCK_SIZE], stood[BLOCK_SIZE];
};

/* A write that was given up and lands all the same. */
struct late_write {
	struct store_op inner;
	struct timer timer;
	struct late_write *next;
	struct faulty_queue *queue;
	uint32_t block;
	uint8_t data[BLOCK_SIZE];
};

struct store_faulty {
	struct store store; /* first */
	struct store *wrapped;
	struct clock_port *clock;
	struct store_fault fault;
	unsigned passed, fired; /* operations that it spared at first, and met */
	struct store_health health;
	struct faulty_queue queues[STORE_QUEUE_COUNT];
	struct late_write *late;
	uint8_t *stale[BLOCKS_MAX + 1]; /* NULL: not read under the fault yet */
};

#define CONTAINER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

static struct store_faulty *faulty_of(struct store *store)
{
	return (struct store_faulty *)store;
}

static enum store_queue queue_number(const struct faulty_queue *queue)
{
	return (enum store_queue)(queue - queue->store->queues);
}

static void step_in(struct faulty_queue *queue, int64_t ms)
{
	struct clock_port *clock = queue->store->clock;

	clock->set(clock, &queue->step, mono_add(clock->now(clock), ms));
}

static void forget_returned(struct faulty_queue *queue)
{
	if (queue->stuck == 0)
		queue->ops.stuck_since = MONO_UNSET;
}

static void operation_end(struct faulty_queue *queue, int error)
{
	struct store_faulty *store = queue->store;

	store->clock->cancel(store->clock, &queue->step);
	op_queue_end(&queue->ops, store->clock, &store->health, error);
}

static bool can_meet(enum store_fault_kind kind, bool write)
{
	switch (kind) {
	case STORE_FAULT_NONE:
		return false;
	case STORE_FAULT_TORN:
	case STORE_FAULT_LOST:
		return write;
	case STORE_FAULT_STALE:
		return !write;
	default:
		return true;
	}
}

/* Whether the operation meets the fault, which counts it. */
static enum store_fault_kind meet(struct store_faulty *store, enum store_queue queue, uint32_t first,
				  bool write)
{
	const struct store_fault *fault = &store->fault;

	if (!can_meet(fault->kind, write) ||
	    (fault->ops && !(fault->ops & (write ? STORE_FAULT_WRITES : STORE_FAULT_READS))) ||
	    (fault->queues && !(fault->queues & 1U << queue)) || (fault->block && fault->block != first))
		return STORE_FAULT_NONE;
	if (store->passed < fault->after) {
		store->passed++;
		return STORE_FAULT_NONE;
	}
	if (fault->count && store->fired >= fault->count)
		return STORE_FAULT_NONE;
	store->fired++;
	return fault->kind;
}

/* Hands the operation to the wrapped store, which ends it by the same deadline. */
static int forward(struct faulty_queue *queue)
{
	struct store_faulty *store = queue->store;
	struct store *wrapped = store->wrapped;
	enum store_queue number = queue_number(queue);
	int r;

	queue->inner.deadline = queue->ops.op->deadline;
	if (queue->look_first)
		r = wrapped->read(wrapped, number, queue->first, 1, queue->stood, &queue->inner);
	else if (queue->ops.write)
		r = wrapped->write(wrapped, number, queue->first, queue->data, &queue->inner);
	else if (queue->ops.images)
		r = wrapped->scan(wrapped, number, queue->first, queue->count, queue->ops.images,
				  &queue->inner);
	else
		r = wrapped->read(wrapped, number, queue->first, queue->count, queue->ops.blocks,
				  &queue->inner);
	if (r == 0)
		store->clock->cancel(store->clock, &queue->ops.timer);
	return r;
}

static void step_fired(struct timer *timer)
{
	struct faulty_queue *queue = CONTAINER(timer, struct faulty_queue, step);
	struct clock_port *clock = queue->store->clock;
	int r;

	if (queue->fault == STORE_FAULT_EIO || queue->fault == STORE_FAULT_LOST) {
		operation_end(queue, queue->fault == STORE_FAULT_EIO ? -EIO : 0);
		return;
	}
	r = forward(queue);
	/* Busy: a late write is landing there. */
	if (r == -EBUSY && clock->now(clock) < queue->ops.op->deadline)
		step_in(queue, STEP_MS);
	else if (r < 0)
		operation_end(queue, r == -EBUSY ? -ETIMEDOUT : r);
}

/* The first word on a block under STORE_FAULT_STALE is the last. */
static const uint8_t *keep_stale(struct store_faulty *store, uint32_t block, const uint8_t *bytes)
{
	uint8_t **kept = &store->stale[block];

	if (!*kept) {
		*kept = malloc(BLOCK_SIZE);
		assert(*kept);
		memcpy(*kept, bytes, BLOCK_SIZE);
	}
	return *kept;
}

static void make_stale(struct faulty_queue *queue)
{
	for (uint32_t i = 0; i < queue->count; i++) {
		struct image **image = queue->ops.images ? &queue->ops.images[i] : NULL;
		uint8_t *bytes = image ? NULL : queue->ops.blocks + (size_t)i * BLOCK_SIZE, block[BLOCK_SIZE];
		const uint8_t *kept;

		if (bytes) {
			memcpy(bytes, keep_stale(queue->store, queue->first + i, bytes), BLOCK_SIZE);
			continue;
		}
		image_copy(*image, block);
		kept = keep_stale(queue->store, queue->first + i, block);
		image_drop(*image);
		*image = kept[0] == '\0' ? NULL : image_new(kept);
	}
}

static void inner_done(struct store_op *op, int error)
{
	struct faulty_queue *queue = CONTAINER(op, struct faulty_queue, inner);

	if (error == 0 && queue->look_first) {
		queue->look_first = false;
		if (queue->fault == STORE_FAULT_TORN)
			memcpy(queue->data + TORN_AT, queue->stood + TORN_AT, BLOCK_SIZE - TORN_AT);
		else
			keep_stale(queue->store, queue->first, queue->stood);
		step_fired(&queue->step);
		return;
	}
	if (error == 0 && queue->fault == STORE_FAULT_STALE)
		make_stale(queue);
	operation_end(queue, error);
}

static void late_free(struct store_faulty *store, struct late_write *late)
{
	struct late_write **at = &store->late;

	while (*at != late)
		at = &(*at)->next;
	*at = late->next;
	free(late);
}

static void late_landed(struct store_op *op, int error)
{
	struct late_write *late = CONTAINER(op, struct late_write, inner);
	struct faulty_queue *queue = late->queue;

	queue->stuck--;
	late_free(queue->store, late);
}

static void late_fired(struct timer *timer)
{
	struct late_write *late = CONTAINER(timer, struct late_write, timer);
	struct store_faulty *store = late->queue->store;
	mono_t now = store->clock->now(store->clock);
	int r;

	late->inner.deadline = MONO_NEVER;
	r = store->wrapped->write(store->wrapped, queue_number(late->queue), late->block, late->data,
				  &late->inner);
	if (r == -EBUSY)
		store->clock->set(store->clock, timer, mono_add(now, STEP_MS));
	else if (r < 0)
		late_landed(&late->inner, r);
}

static void land_later(struct faulty_queue *queue)
{
	struct store_faulty *store = queue->store;
	struct late_write *late = calloc(1, sizeof(*late));

	assert(late);
	late->queue = queue;
	late->block = queue->first;
	late->inner.done = late_landed;
	late->timer.fire = late_fired;
	memcpy(late->data, queue->data, BLOCK_SIZE);
	late->next = store->late;
	store->late = late;
	queue->stuck++;
	store->clock->set(store->clock, &late->timer,
			  mono_add(store->clock->now(store->clock), store->fault.delay_ms));
}

static void deadline_passed(struct timer *timer)
{
	struct faulty_queue *queue = CONTAINER(timer, struct faulty_queue, ops.timer);

	forget_returned(queue);
	if (queue->fault == STORE_FAULT_NEVER)
		queue->stuck++;
	else if (queue->fault == STORE_FAULT_LATE && queue->ops.write)
		land_later(queue);
	operation_end(queue, -ETIMEDOUT);
}

static int operation_begin(struct store *base, enum store_queue number, uint32_t first, uint32_t count,
			   uint8_t *blocks, struct image **images, const uint8_t *data, struct store_op *op)
{
	struct store_faulty *store = faulty_of(base);
	struct faulty_queue *queue = &store->queues[number];
	int r;

	block_offset(first, count);
	if (queue->ops.op)
		return -EBUSY;
	if (queue->stuck >= WORKER_STUCK_MAX)
		return -ETIMEDOUT;
	r = op_queue_begin(&queue->ops, store->clock, first, blocks, images, op);
	if (r < 0)
		return r;
	queue->first = first;
	queue->count = count;
	if (data)
		memcpy(queue->data, data, BLOCK_SIZE);
	queue->fault = meet(store, number, first, data != NULL);
	queue->look_first = queue->fault == STORE_FAULT_TORN ||
			    (data && store->fault.kind == STORE_FAULT_STALE && !store->stale[first]);
	switch (queue->fault) {
	case STORE_FAULT_NEVER:
	case STORE_FAULT_LATE:
		return 0;
	case STORE_FAULT_DELAY:
		step_in(queue, store->fault.delay_ms);
		return 0;
	case STORE_FAULT_EIO:
	case STORE_FAULT_LOST:
		step_in(queue, STEP_MS);
		return 0;
	default:
		break;
	}
	r = forward(queue);
	if (r == -EBUSY) {
		step_in(queue, STEP_MS);
		return 0;
	}
	if (r < 0) {
		store->clock->cancel(store->clock, &queue->ops.timer);
		queue->ops.op = NULL;
	}
	return r;
}

static int faulty_read(struct store *base, enum store_queue queue, uint32_t first, uint32_t count,
		       uint8_t *blocks, struct store_op *op)
{
	return operation_begin(base, queue, first, count, blocks, NULL, NULL, op);
}

static int faulty_scan(struct store *base, enum store_queue queue, uint32_t first, uint32_t count,
		       struct image **images, struct store_op *op)
{
	return operation_begin(base, queue, first, count, NULL, images, NULL, op);
}

static int faulty_write(struct store *base, enum store_queue queue, uint32_t block, const uint8_t *data,
			struct store_op *op)
{
	return operation_begin(base, queue, block, 1, NULL, NULL, data, op);
}

/* Times as the caller sees them; what hangs, here and in the wrapped store. */
static void faulty_health(struct store *base, struct store_health *ret)
{
	struct store_faulty *store = faulty_of(base);
	struct store_health wrapped;

	store->wrapped->health(store->wrapped, &wrapped);
	*ret = store->health;
	ret->stuck = wrapped.stuck;
	ret->stuck_since = wrapped.stuck_since;
	for (size_t i = 0; i < STORE_QUEUE_COUNT; i++) {
		forget_returned(&store->queues[i]);
		op_queue_health(&store->queues[i].ops, store->queues[i].stuck, ret);
	}
}

static void forget_stale(struct store_faulty *store)
{
	for (size_t i = 0; i < BLOCKS_MAX + 1; i++) {
		free(store->stale[i]);
		store->stale[i] = NULL;
	}
}

static void faulty_close(struct store *base)
{
	struct store_faulty *store = faulty_of(base);

	for (size_t i = 0; i < STORE_QUEUE_COUNT; i++) {
		store->clock->cancel(store->clock, &store->queues[i].step);
		store->clock->cancel(store->clock, &store->queues[i].ops.timer);
	}
	store->wrapped->close(store->wrapped);
	while (store->late) {
		store->clock->cancel(store->clock, &store->late->timer);
		late_free(store, store->late);
	}
	forget_stale(store);
	free(store);
}

int store_faulty_new(struct store *inner, struct clock_port *clock, struct store **ret)
{
	struct store_faulty *store = calloc(1, sizeof(*store));

	assert(inner && clock && ret);
	if (!store)
		return -ENOMEM;
	store->store = (struct store){faulty_read, faulty_scan, faulty_write, faulty_health, faulty_close};
	store->wrapped = inner;
	store->clock = clock;
	store->health = (struct store_health){
		.last_read = MONO_UNSET, .last_write = MONO_UNSET, .stuck_since = MONO_UNSET};
	for (size_t i = 0; i < STORE_QUEUE_COUNT; i++) {
		struct faulty_queue *queue = &store->queues[i];

		op_queue_init(&queue->ops, deadline_passed);
		queue->store = store;
		queue->inner.done = inner_done;
		queue->step.fire = step_fired;
	}
	*ret = &store->store;
	return 0;
}

void store_faulty_set(struct store *base, const struct store_fault *fault)
{
	struct store_faulty *store = faulty_of(base);

	assert((unsigned)fault->kind < STORE_FAULT_COUNT && fault->delay_ms >= 0);
	for (size_t i = 0; i < STORE_QUEUE_COUNT; i++) {
		struct faulty_queue *queue = &store->queues[i];

		if (queue->ops.op && queue->fault == STORE_FAULT_NEVER) {
			queue->fault = STORE_FAULT_NONE;
			step_in(queue, STEP_MS);
		}
		queue->stuck = 0;
		for (const struct late_write *late = store->late; late; late = late->next)
			queue->stuck += late->queue == queue;
	}
	forget_stale(store);
	store->fault = *fault;
	store->passed = store->fired = 0;
}

unsigned store_faulty_fired(const struct store *base)
{
	return ((const struct store_faulty *)base)->fired;
}
