/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store of broker_world.h: blocks in memory, one operation at a time in each queue. Decides nothing that
 * its switches do not say. */
#include "tests/unit/broker_world_parts.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static void make_images(const struct world_io *io)
{
	for (uint32_t i = 0; i < io->count; i++) {
		const uint8_t *block = io->world->blocks[io->first + i];

		io->images[i] = block[0] == '\0' ? NULL : image_new(block);
	}
}

static void io_fired(struct timer *timer)
{
	struct world_io *io = (struct world_io *)((char *)timer - offsetof(struct world_io, timer));
	struct world *world = io->world;
	struct store_op *op = io->op;

	io->op = NULL;
	if (io->write && world->write_error < 0) {
		op->done(op, world->write_error);
		return;
	}
	if (io->write) {
		memcpy(world->blocks[io->first], io->data, BLOCK_SIZE);
		world->last_written = io->first;
		world->writes++;
		if (world->after_write)
			world->after_write(world, io->first);
	} else {
		if (io->images)
			make_images(io);
		else
			memcpy(io->into, world->blocks[io->first], (size_t)io->count * BLOCK_SIZE);
		world->reads++;
		world->blocks_read += io->count;
	}
	op->done(op, 0);
}

static struct world_io *io_begin(struct store *store, enum store_queue queue, struct store_op *op)
{
	struct world *world = WORLD_OF(store, store);
	struct world_io *io = &world->io[queue];

	if (io->op)
		return NULL;
	io->world = world;
	io->op = op;
	io->timer.fire = io_fired;
	world->clock.set(&world->clock, &io->timer, world->now + LATENCY_MS);
	return io;
}

static int read_begin(struct store *store, enum store_queue queue, uint32_t first, uint32_t count,
		      struct store_op *op, struct world_io **ret)
{
	struct world_io *io = io_begin(store, queue, op);

	if (!io)
		return -EBUSY;
	assert(count > 0 && first + count <= WORLD_BLOCKS);
	io->write = false;
	io->first = first;
	io->count = count;
	*ret = io;
	return 0;
}

static int store_read(struct store *store, enum store_queue queue, uint32_t first, uint32_t count,
		      uint8_t *blocks, struct store_op *op)
{
	struct world_io *io;
	int r = read_begin(store, queue, first, count, op, &io);

	if (r < 0)
		return r;
	io->into = blocks;
	io->images = NULL;
	return 0;
}

static int store_scan(struct store *store, enum store_queue queue, uint32_t first, uint32_t count,
		      struct image **images, struct store_op *op)
{
	struct world_io *io;
	int r = read_begin(store, queue, first, count, op, &io);

	if (r < 0)
		return r;
	io->images = images;
	return 0;
}

static int store_write(struct store *store, enum store_queue queue, uint32_t block, const uint8_t *data,
		       struct store_op *op)
{
	struct world_io *io = io_begin(store, queue, op);

	if (!io)
		return -EBUSY;
	io->write = true;
	io->first = block;
	memcpy(io->data, data, BLOCK_SIZE);
	return 0;
}

static void store_close(struct store *store)
{
	struct world *world = WORLD_OF(store, store);

	for (size_t i = 0; i < STORE_QUEUE_COUNT; i++) {
		if (world->io[i].op)
			world->clock.cancel(&world->clock, &world->io[i].timer);
		world->io[i].op = NULL;
	}
}

static void store_health(struct store *store, struct store_health *ret)
{
	*ret = (struct store_health){
		.last_read = MONO_UNSET, .last_write = MONO_UNSET, .stuck_since = MONO_UNSET};
}

void world_store_init(struct world *world)
{
	world->store.read = store_read;
	world->store.scan = store_scan;
	world->store.write = store_write;
	world->store.health = store_health;
	world->store.close = store_close;
}
