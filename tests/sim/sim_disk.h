/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared storage, and each host's path to it, which can be slow, fail, lie and hang. A storage holds the
 * whiteboard as bytes, and sanlock's areas as what sanlock reads from them. Everything a host does on it is a
 * struct sim_io, which lands at one moment and ends at the same or a later one, or never. */
#pragma once

#include "metadata/image.h"
#include "metadata/store.h"
#include "tests/sim/sim_queue.h"

#define SIM_BLOCKS (BLOCKS_MAX + 1) /* with the identity */
#define SIM_SECTOR 512
#define SIM_SECTORS (BLOCK_SIZE / SIM_SECTOR)

#define SIM_STUCK_MAX 3 /* operations of one kind that may be left behind, as util/worker.h has it */

enum sim_lease_id { SIM_LEASE_ENGINE, SIM_LEASE_BLOCK0, SIM_LEASE_COUNT };

/* The leader of a resource's lease. */
struct sim_lease {
	uint16_t owner; /* host id, 0: nobody */
	uint64_t generation;
	uint64_t version;  /* rises by one at each acquire */
	bool other_domain; /* it carries another lockspace's name */
};

/* A host id's sector in the lockspace. */
struct sim_delta {
	uint64_t timestamp; /* s of its owner's clock, 0: free */
	uint64_t generation;
	uint32_t name; /* which host: its number, not its id (clones differ) */
	uint32_t io_timeout_s;
};

struct sim_storage {
	unsigned handed; /* hand-overs that are not settled: who does not read the record's word of them is
			    nobody's guarantee */
	struct image *blocks[SIM_BLOCKS]; /* NULL: never written, all NUL */
	struct image *before[SIM_BLOCKS]; /* what stood there before the last write, for stale reads */
	struct sim_delta deltas[HOST_ID_MAX + 1];
	uint16_t highest_id; /* that ever had a delta */
	struct sim_lease leases[SIM_LEASE_COUNT];
	/* Called when a write of `host` has landed in `block` (checkers), NULL: nobody. */
	void (*landed)(void *data, uint16_t host, uint32_t block, struct image *image);
	/* Called when `host` begins to write `block` (checkers), NULL: nobody. */
	void (*writes)(void *data, uint16_t host, uint32_t block);
	/* Called when `host` has read `block`, with what it got, scans aside, NULL: nobody. */
	void (*was_read)(void *data, uint16_t host, uint32_t block, const uint8_t *bytes);
	void *data;
};

enum sim_disk_fault {
	SIM_DISK_EIO,	/* fails, at once or after it has landed */
	SIM_DISK_HANG,	/* does not end before sim_disk_heal(), then lands late */
	SIM_DISK_LOST,	/* a write is acknowledged and never lands */
	SIM_DISK_TORN,	/* a write of a block lands in some of its sectors, and fails or is acknowledged */
	SIM_DISK_STALE, /* a read of blocks gives what stood there before the last write */
	SIM_DISK_SLOW,	/* takes `slow_ms` more */
	SIM_DISK_CUT,	/* a write of a block lands up to a byte of its first sector, and fails */
	SIM_DISK_HELD,	/* the host's storage daemon stands still, and holds what is begun */
	SIM_DISK_FAULT_COUNT
};

struct sim_disk;

/* One read or write. Made by sim_io_new(), freed by the disk after its end; whoever waits for it no more sets
 * `end` to NULL, and it still lands. */
struct sim_io {
	struct sim_event event;
	struct sim_disk *disk;
	struct sim_io *next; /* of those that hang, or are free */
	size_t place;	     /* in disk->under_way */
	bool write;
	/* sanlock's, not the whiteboard: a sector each, so never torn. Nor lost or stale: leases can't
	 * survive a storage that lies about them. */
	bool areas;
	int8_t fault;	 /* enum sim_disk_fault, -1 none */
	int error;	 /* of its end */
	uint8_t sectors; /* a write's that land, all set: all, 0: it is lost */
	uint16_t cut;	 /* so many bytes of a write land, 0: all of `sectors` */
	unsigned life;	 /* disk->life when it was begun */
	/* Its effect on disk->storage, or what is read. NULL: none. */
	void (*land)(struct sim_io *io);
	void (*end)(struct sim_io *io, int error); /* 0 or -EIO */
	void *owner;
	/* The owner's. */
	uint32_t first, count;
	uint8_t *into;
	struct image **images; /* of a scan */
	union {
		uint8_t data[BLOCK_SIZE];
		struct sim_lease lease;
		struct {
			struct sim_delta delta;
			uint16_t id;
			int64_t begun; /* the owner's clock */
		};
	};
};

/* A host's path. */
struct sim_disk {
	struct sim *sim;
	uint16_t host;
	struct sim_storage *storage;
	int64_t latency_min_ms, latency_max_ms, slow_ms;
	uint32_t per_mille[SIM_DISK_FAULT_COUNT]; /* of I/Os begun */
	uint64_t fired[SIM_DISK_FAULT_COUNT];
	struct sim_io *hanging;
	struct sim_io *held; /* by the storage daemon */
	/* Of the host in the lockspace; sanlock's model counts. Writes of one that land in a later one are
	 * what safety rule 13 is against. */
	unsigned life, late_writes;
	struct sim_io *free;
	struct sim_io **under_way; /* to find them when the power goes */
	size_t n_under_way, under_way_size;
};

void sim_storage_init(struct sim_storage *storage); /* whiteboard NUL, all ids and leases free */
void sim_storage_done(struct sim_storage *storage);
/* Writes a block as somebody whom the simulator does not run would. `host` 0: nobody of ours. */
void sim_storage_write(struct sim_storage *storage, uint16_t host, uint32_t block,
		       const uint8_t bytes[BLOCK_SIZE], uint8_t sectors);
/* The bytes, zeros when there are none. */
void sim_storage_read(const struct sim_storage *storage, uint32_t block, uint8_t ret[BLOCK_SIZE]);

void sim_disk_init(struct sim_disk *disk, struct sim *sim, uint16_t host, struct sim_storage *storage);
void sim_disk_done(struct sim_disk *disk);
/* Another storage from now on (safety rule 9); what is under way stays with the old one's path and is
 * dropped. */
void sim_disk_attach(struct sim_disk *disk, struct sim_storage *storage);
/* `per_mille` of the I/Os begun from now on have the fault; 0: none. */
void sim_disk_fault(struct sim_disk *disk, enum sim_disk_fault fault, uint32_t per_mille);
/* No fault any more; what hung goes on, in its order, and lands late. What the storage daemon held over the
 * end of a life in the lockspace lands later still, as after a connection is made anew, while all else works.
 */
void sim_disk_heal(struct sim_disk *disk);
bool sim_disk_hangs(const struct sim_disk *disk);
/* The host loses its power (or is reset): each write under way lands or does not. */
void sim_disk_power_off(struct sim_disk *disk);
/* Safety rule 13's kill of the storage daemon: what it holds ends and never lands; the next one does not
 * stand still. True: it held something. */
bool sim_disk_end_daemon(struct sim_disk *disk);

/* Zeroed but for `disk`. */
struct sim_io *sim_io_new(struct sim_disk *disk);
/* Begins it: land(), end() and what they need are set. */
void sim_io_begin(struct sim_io *io);
