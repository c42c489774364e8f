/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides how each I/O fares when it begins, by the faults of its path, and lets it land and end. It knows
 * nothing of what is written. Called by sim_store.c and sim_sanlock.c. */
#include "tests/sim/sim_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ALL_SECTORS 0xff
/* When a storage daemon has its connection again and sends what it held: the time that joining again takes,
 * and more. */
#define LATE_MIN_MS 2000
#define LATE_MAX_MS 30000

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

void sim_storage_init(struct sim_storage *storage)
{
	memset(storage, 0, sizeof(*storage));
}

void sim_storage_done(struct sim_storage *storage)
{
	for (size_t i = 0; i < SIM_BLOCKS; i++) {
		image_drop(storage->blocks[i]);
		image_drop(storage->before[i]);
	}
}

void sim_storage_read(const struct sim_storage *storage, uint32_t block, uint8_t ret[BLOCK_SIZE])
{
	image_copy(storage->blocks[block], ret);
}

void sim_storage_write(struct sim_storage *storage, uint16_t host, uint32_t block,
		       const uint8_t bytes[BLOCK_SIZE], uint8_t sectors)
{
	uint8_t torn[BLOCK_SIZE];

	assert(block < SIM_BLOCKS);
	if (sectors != ALL_SECTORS) {
		sim_storage_read(storage, block, torn);
		for (size_t i = 0; i < SIM_SECTORS; i++)
			if (sectors & 1 << i)
				memcpy(torn + i * SIM_SECTOR, bytes + i * SIM_SECTOR, SIM_SECTOR);
		bytes = torn;
	}
	image_drop(storage->before[block]);
	storage->before[block] = storage->blocks[block];
	storage->blocks[block] = image_new(bytes);
	if (storage->landed)
		storage->landed(storage->data, host, block, storage->blocks[block]);
}

struct sim_io *sim_io_new(struct sim_disk *disk)
{
	struct sim_io *io = disk->free;

	if (io)
		disk->free = io->next;
	else
		io = must(malloc(sizeof(*io)));
	memset(io, 0, offsetof(struct sim_io, data));
	io->disk = disk;
	return io;
}

static void io_free(struct sim_io *io)
{
	io->next = io->disk->free;
	io->disk->free = io;
}

static void forget_under_way(struct sim_disk *disk, const struct sim_io *io)
{
	struct sim_io *last = disk->under_way[--disk->n_under_way];

	disk->under_way[io->place] = last;
	last->place = io->place;
}

static void io_fired(struct sim_event *event)
{
	struct sim_io *io = (struct sim_io *)((char *)event - offsetof(struct sim_io, event));
	bool lands = io->sectors != 0;

	forget_under_way(io->disk, io);
	if (lands && io->fault == SIM_DISK_HELD && io->write && io->life != io->disk->life) {
		io->disk->late_writes++;
		io->disk->sim->changes = true;
	}
	/* sanlock's: of the host id, or of a lease. */
	io->disk->sim->changes |= io->areas;
	if (lands && io->land)
		io->land(io);
	if (io->end)
		io->end(io, io->error);
	io_free(io);
}

static void io_go(struct sim_io *io, int64_t extra_ms)
{
	struct sim_disk *disk = io->disk;

	if (disk->n_under_way == disk->under_way_size) {
		disk->under_way_size = disk->under_way_size ? 2 * disk->under_way_size : 16;
		disk->under_way =
			must(reallocarray(disk->under_way, disk->under_way_size, sizeof(disk->under_way[0])));
	}
	io->place = disk->n_under_way;
	disk->under_way[disk->n_under_way++] = io;
	sim_set(disk->sim, &io->event, disk->host,
		disk->sim->now + extra_ms +
			sim_random_between(&disk->sim->random, disk->latency_min_ms, disk->latency_max_ms));
}

/* Which fault it has, -1 none. */
static int8_t choose_fault(struct sim_disk *disk, const struct sim_io *io)
{
	for (int fault = 0; fault < SIM_DISK_FAULT_COUNT; fault++) {
		bool possible = disk->per_mille[fault] == 0 ? false
				: fault == SIM_DISK_LOST    ? io->write && !io->areas
				: fault == SIM_DISK_TORN    ? io->write && !io->areas
				: fault == SIM_DISK_CUT	    ? io->write && !io->areas
				: fault == SIM_DISK_STALE   ? !io->write && !io->areas
							    : true;

		if (possible && sim_random_chance(&disk->sim->random, disk->per_mille[fault])) {
			disk->fired[fault]++;
			return (int8_t)fault;
		}
	}
	return -1;
}

/* At the end: what hangs goes on in its order. */
static void append(struct sim_io **list, struct sim_io *io)
{
	io->disk->sim->changes = true;
	while (*list)
		list = &(*list)->next;
	*list = io;
	io->next = NULL;
}

void sim_io_begin(struct sim_io *io)
{
	struct sim_disk *disk = io->disk;
	struct sim_random *random = &disk->sim->random;

	io->event.fire = io_fired;
	io->event.kind = SIM_IO;
	io->sectors = ALL_SECTORS;
	io->life = disk->life;
	io->fault = choose_fault(disk, io);
	switch (io->fault) {
	case SIM_DISK_HANG:
		append(&disk->hanging, io);
		return;
	case SIM_DISK_HELD:
		append(&disk->held, io);
		return;
	case SIM_DISK_EIO:
		io->error = -EIO;
		io->sectors = io->write && sim_random_chance(random, 500) ? ALL_SECTORS : 0;
		break;
	case SIM_DISK_LOST:
		io->sectors = 0;
		break;
	case SIM_DISK_TORN:
		io->sectors = (uint8_t)sim_random_between(random, 1, ALL_SECTORS - 1);
		io->error = sim_random_chance(random, 500) ? -EIO : 0;
		break;
	case SIM_DISK_CUT: /* where a record has its line */
		io->cut = (uint16_t)sim_random_between(random, 1, SIM_SECTOR / 4);
		io->error = -EIO;
		break;
	case SIM_DISK_SLOW:
		io_go(io, disk->slow_ms);
		return;
	default:
		break;
	}
	io_go(io, 0);
}

void sim_disk_init(struct sim_disk *disk, struct sim *sim, uint16_t host, struct sim_storage *storage)
{
	memset(disk, 0, sizeof(*disk));
	disk->sim = sim;
	disk->host = host;
	disk->storage = storage;
	disk->latency_min_ms = 1;
	disk->latency_max_ms = 3;
}

void sim_disk_fault(struct sim_disk *disk, enum sim_disk_fault fault, uint32_t per_mille)
{
	assert(fault < SIM_DISK_FAULT_COUNT && per_mille <= 1000);
	disk->per_mille[fault] = per_mille;
}

bool sim_disk_hangs(const struct sim_disk *disk)
{
	return disk->per_mille[SIM_DISK_HANG] == 1000 || disk->per_mille[SIM_DISK_HELD] == 1000;
}

static void go_on(struct sim_io **list)
{
	struct sim_io *io = *list;

	*list = NULL;
	while (io) {
		struct sim_io *next = io->next;
		struct sim_disk *disk = io->disk;

		io_go(io, io->fault == SIM_DISK_HELD && io->life != disk->life
				  ? sim_random_between(&disk->sim->random, LATE_MIN_MS, LATE_MAX_MS)
				  : 0);
		io = next;
	}
}

void sim_disk_heal(struct sim_disk *disk)
{
	memset(disk->per_mille, 0, sizeof(disk->per_mille));
	go_on(&disk->hanging);
	go_on(&disk->held);
}

static void drop(struct sim_io **list)
{
	struct sim_io *io = *list;

	/* What ends may begin again, and hang again. */
	*list = NULL;
	while (io) {
		struct sim_io *next = io->next;

		if (io->end)
			io->end(io, -EIO);
		io_free(io);
		io = next;
	}
}

bool sim_disk_end_daemon(struct sim_disk *disk)
{
	bool held = disk->held;

	disk->per_mille[SIM_DISK_HELD] = 0;
	for (size_t i = disk->n_under_way; i-- > 0;) {
		struct sim_io *io = disk->under_way[i];

		if (io->fault != SIM_DISK_HELD)
			continue;
		sim_cancel(disk->sim, &io->event);
		forget_under_way(disk, io);
		append(&disk->held, io);
		held = true;
	}
	drop(&disk->held);
	return held;
}

static void forget(struct sim_io **list)
{
	while (*list) {
		struct sim_io *io = *list;

		*list = io->next;
		io_free(io);
	}
}

void sim_disk_power_off(struct sim_disk *disk)
{
	while (disk->n_under_way > 0) {
		struct sim_io *io = disk->under_way[--disk->n_under_way];

		sim_cancel(disk->sim, &io->event);
		/* It was with the storage's server already, or not. */
		if (io->write && io->land && io->sectors != 0 && sim_random_chance(&disk->sim->random, 500))
			io->land(io);
		io_free(io);
	}
	forget(&disk->hanging);
	forget(&disk->held);
}

void sim_disk_attach(struct sim_disk *disk, struct sim_storage *storage)
{
	drop(&disk->hanging);
	drop(&disk->held);
	while (disk->n_under_way > 0) {
		struct sim_io *io = disk->under_way[--disk->n_under_way];

		sim_cancel(disk->sim, &io->event);
		if (io->end)
			io->end(io, -EIO);
		io_free(io);
	}
	disk->storage = storage;
}

void sim_disk_done(struct sim_disk *disk)
{
	sim_disk_power_off(disk);
	free(disk->under_way);
	while (disk->free) {
		struct sim_io *io = disk->free;

		disk->free = io->next;
		free(io);
	}
}
