/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store port as metadata/store_path.c has it: one operation a queue, an end at the deadline whatever the
 * I/O does, as many left behind as threads may hang. Called by the broker. */
#include "tests/sim/sim_store.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* What a read gets of `block`, NULL: zeros. */
static struct image *seen(const struct sim_io *io, uint32_t block)
{
	const struct sim_storage *storage = io->disk->storage;

	if (io->fault == SIM_DISK_STALE && storage->blocks[block])
		return storage->before[block];
	return storage->blocks[block];
}

static void land_scan(const struct sim_io *io)
{
	for (uint32_t i = 0; i < io->count; i++) {
		struct image *image = seen(io, io->first + i);

		io->images[i] = image && !image_empty(image) ? image_keep(image) : NULL;
	}
}

static void land_read(const struct sim_io *io)
{
	const struct sim_storage *storage = io->disk->storage;

	for (uint32_t i = 0; i < io->count; i++) {
		uint8_t *into = io->into + (size_t)i * BLOCK_SIZE;

		image_copy(seen(io, io->first + i), into);
		if (storage->was_read)
			storage->was_read(storage->data, io->disk->host, io->first + i, into);
	}
}

/* Storage that takes pieces smaller than a sector. */
static void land_cut(struct sim_io *io)
{
	uint8_t block[BLOCK_SIZE];

	sim_storage_read(io->disk->storage, io->first, block);
	memcpy(block, io->data, io->cut);
	sim_storage_write(io->disk->storage, io->disk->host, io->first, block, io->sectors);
}

static void land(struct sim_io *io)
{
	if (io->write && io->cut)
		land_cut(io);
	else if (io->write)
		sim_storage_write(io->disk->storage, io->disk->host, io->first, io->data, io->sectors);
	else if (io->images)
		land_scan(io);
	else if (io->into)
		land_read(io);
}

static void operation_end(struct sim_store_queue *queue, int error)
{
	struct sim_store *store = queue->store;
	struct store_op *op = queue->op;
	mono_t now = sim_clock_mono(store->clock);

	sim_cancel_timer(store->clock->sim, &queue->late);
	queue->op = NULL;
	if (error == 0 && queue->wrote) {
		store->health.last_write = now;
		store->health.write_ms = now - queue->begun;
	} else if (error == 0) {
		store->health.last_read = now;
		store->health.read_ms = now - queue->begun;
	}
	queue->io = NULL;
	op->done(op, error);
}

static void ended(struct sim_io *io, int error)
{
	struct sim_store_queue *queue = io->owner;
	const struct sim_clock *clock = queue->store->clock;

	if (!sim_stands(clock->sim, clock->host, SIM_DAEMON_BROKER)) {
		operation_end(queue, error);
		return;
	}
	sim_cancel_timer(clock->sim, &queue->late);
	queue->io = NULL;
	queue->told_error = error;
	sim_set(clock->sim, &queue->told, clock->host, clock->sim->now);
}

static void told_fired(struct sim_event *event)
{
	struct sim_store_queue *queue =
		(struct sim_store_queue *)((char *)event - offsetof(struct sim_store_queue, told));

	operation_end(queue, queue->told_error);
}

static void ended_late(struct sim_io *io, int error)
{
	struct sim_store_queue *queue = io->owner;
	struct sim_store *store = queue->store;

	if (io->count != store->epoch)
		return;
	queue->stuck--;
	if (--store->health.stuck == 0)
		store->health.stuck_since = MONO_UNSET;
}

static void late(struct timer *timer)
{
	struct sim_store_queue *queue = (struct sim_store_queue *)timer;
	struct sim_store *store = queue->store;

	queue->io->into = NULL;
	queue->io->images = NULL;
	queue->io->count = store->epoch;
	queue->io->end = ended_late;
	queue->io = NULL;
	queue->stuck++;
	if (store->health.stuck++ == 0)
		store->health.stuck_since = queue->begun;
	operation_end(queue, -ETIMEDOUT);
}

static int begin(struct store *port, enum store_queue which, struct store_op *op, struct sim_io **ret)
{
	struct sim_store *store = (struct sim_store *)port;
	struct sim_store_queue *queue = &store->queues[which];
	struct clock_port *clock = &store->clock->daemons[SIM_DAEMON_BROKER].port;

	if (queue->op)
		return -EBUSY;
	if (queue->stuck >= SIM_STUCK_MAX)
		return -ETIMEDOUT;
	queue->op = op;
	queue->begun = sim_clock_mono(store->clock);
	queue->io = sim_io_new(store->disk);
	queue->io->land = land;
	queue->io->end = ended;
	queue->io->owner = queue;
	queue->wrote = false;
	clock->set(clock, &queue->late, op->deadline);
	*ret = queue->io;
	return 0;
}

static int store_read(struct store *port, enum store_queue which, uint32_t first, uint32_t count,
		      uint8_t *blocks, struct store_op *op)
{
	struct sim_io *io;
	int r = begin(port, which, op, &io);

	if (r < 0)
		return r;
	assert(count > 0 && first + count <= SIM_BLOCKS);
	io->first = first;
	io->count = count;
	io->into = blocks;
	sim_io_begin(io);
	return 0;
}

static int store_scan(struct store *port, enum store_queue which, uint32_t first, uint32_t count,
		      struct image **images, struct store_op *op)
{
	struct sim_io *io;
	int r = begin(port, which, op, &io);

	if (r < 0)
		return r;
	assert(count > 0 && first + count <= BLOCKS_MAX);
	io->first = first;
	io->count = count;
	io->images = images;
	sim_io_begin(io);
	return 0;
}

static int store_write(struct store *port, enum store_queue which, uint32_t block, const uint8_t *data,
		       struct store_op *op)
{
	struct sim_store *store = (struct sim_store *)port;
	const struct sim_storage *storage = store->disk->storage;
	struct sim_io *io;
	int r = begin(port, which, op, &io);

	if (r < 0)
		return r;
	if (storage->writes)
		storage->writes(storage->data, store->disk->host, block);
	io->write = store->queues[which].wrote = true;
	io->first = block;
	memcpy(io->data, data, BLOCK_SIZE);
	sim_io_begin(io);
	return 0;
}

static void store_health(struct store *port, struct store_health *ret)
{
	*ret = ((struct sim_store *)port)->health;
}

static void store_close(struct store *port)
{
	sim_store_close((struct sim_store *)port);
}

void sim_store_close(struct sim_store *store)
{
	for (size_t i = 0; i < STORE_QUEUE_COUNT; i++) {
		struct sim_store_queue *queue = &store->queues[i];

		sim_cancel_timer(store->clock->sim, &queue->late);
		sim_cancel(store->clock->sim, &queue->told);
		if (queue->io) {
			queue->io->into = NULL;
			queue->io->images = NULL;
			queue->io->end = NULL;
		}
		queue->io = NULL;
		queue->op = NULL;
		queue->stuck = 0;
	}
	store->epoch++;
	store->health = (struct store_health){
		.last_read = MONO_UNSET, .last_write = MONO_UNSET, .stuck_since = MONO_UNSET};
}

void sim_store_init(struct sim_store *store, struct sim_clock *clock, struct sim_disk *disk)
{
	memset(store, 0, sizeof(*store));
	store->port = (struct store){store_read, store_scan, store_write, store_health, store_close};
	store->clock = clock;
	store->disk = disk;
	for (size_t i = 0; i < STORE_QUEUE_COUNT; i++) {
		store->queues[i].store = store;
		store->queues[i].late.fire = late;
		store->queues[i].told.fire = told_fired;
		store->queues[i].told.kind = SIM_IO;
		store->queues[i].told.daemon = SIM_DAEMON_BROKER;
	}
	sim_store_close(store);
}
