/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A world for the broker's code: ports on a virtual clock that fires one event at a time, with switches for
 * what goes wrong. Used by the unit tests of membership, board, global_flag and broker. */
#pragma once

#include "broker/broker.h"
#include "broker/poke.h"
#include "metadata/store_faulty.h"

#define WORLD_TIMERS 64
#define WORLD_BLOCKS (BLOCKS_MAX + 1)

struct world {
	struct clock_port clock;
	mono_t now;
	struct {
		struct timer *timer;
		mono_t at;
		uint64_t order;
	} timers[WORLD_TIMERS];
	uint64_t order;

	struct store store;   /* of `blocks`, without fault */
	struct store *faulty; /* over it: the broker's */
	uint8_t (*blocks)[BLOCK_SIZE];
	struct world_io {
		struct world *world;
		struct timer timer;
		struct store_op *op;
		bool write;
		uint32_t first, count;
		uint8_t *into;
		struct image **images; /* NULL: a read into `into` */
		uint8_t data[BLOCK_SIZE];
	} io[STORE_QUEUE_COUNT];
	unsigned reads, writes;
	int write_error; /* of each write, which does not land */
	uint64_t blocks_read;
	uint32_t last_written;
	/* Called after each write: somebody else's writes. */
	void (*after_write)(struct world *world, uint32_t block);

	struct lease_port lease;
	enum membership membership;
	int sanlock_error; /* of look, e.g. -ECONNREFUSED */
	bool look_busy;	   /* it can't be asked: too many questions hang */
	uint64_t generation;
	struct lease_host hosts[8];
	size_t n_hosts;
	struct lease_owner owner;
	enum held held;
	int join_error, leave_error;
	int64_t join_ms; /* how long a join takes, 0: as all else */
	int64_t look_ms; /* the same of a look; it tells of when it was begun */
	enum membership look_membership;
	unsigned joins, leaves;
	struct timer look_timer, owner_timer, join_timer, leave_timer, watchdog_timer;
	pid_t look_pid;
	mono_t look_begun;
	void (*look_done)(void *data, const struct lease_look *look);
	void (*owner_done)(void *data, const struct lease_owner *owner);
	void (*join_done)(void *data, int error);
	void (*leave_done)(void *data, int error);
	void (*watchdog_done)(void *data, enum watchdog watchdog);
	void *look_data, *owner_data, *join_data, *leave_data, *watchdog_data;

	struct fence_port fence;
	int fence_error, guard_error; /* of a kill; of `listens` */
	unsigned kills;
	int kills_needed; /* QEMU is gone after so many */
	struct timer kill_timer;
	void (*kill_done)(void *data, int error, int alive);
	void *kill_data;
	/* The storage daemon: `late_writes` are gone when it is ended; the join asserts that there are none.
	 */
	int end_error;
	int ends_needed; /* it is gone after so many */
	unsigned ends;
	bool late_writes;
	int64_t end_ms; /* how long an end takes, 0: as all else */
	struct timer end_timer;
	void (*end_done)(void *data, int error, int alive);
	void *end_data;

	struct qemu_port qemu;
	int qemu_error;
	bool qemu_hangs; /* who asks now has no answer before the deadline */
	int32_t qemu_pid;
	int64_t prove_ms; /* how long a proof takes, 0: as all else */
	unsigned proofs;
	struct world_search {
		struct world *world;
		struct timer timer;
		qemu_found_fn found;
		void *data;
		mono_t begun;
		bool hangs;
	} find, prove;

	struct block0_port block0;
	int block0_error;
	bool block0_refuses;	/* take() itself fails */
	unsigned block0_losses; /* so many more are lost as soon as they are had */
	unsigned block0_takes;
	bool block0_held;
	struct timer block0_timer;
	void (*block0_done)(void *data, int error);
	void *block0_data;

	struct backing_port backing;
	struct backing backings[PART_COUNT]; /* unknown until a test says more */
	bool backing_hangs;		     /* no answer by its deadline */
	unsigned backing_looks;
	struct timer backing_timer;
	void (*backing_done)(void *data, const struct backing *backings);
	void *backing_data;

	struct connect_port connect;
	bool connects; /* the broker gets the port */
	int connect_refused, connect_error;
	const char *connect_why;
	bool connect_hangs, connect_useless; /* it is answered late; well, and nothing comes of it */
	unsigned connect_asked;
	struct timer connect_timer;
	void (*connect_done)(void *data, int error, const char *why);
	void *connect_data;

	struct poke_port poke;
	bool pokes; /* the broker gets the port */
	const struct poke_calls *poke_calls;
	void *poke_data;
	int poke_error;			    /* of a send */
	bool poke_hangs;		    /* what is sent does not come back */
	unsigned poke_sends, poke_restarts; /* good ones */
	uint8_t poke_sent[POKE_SIZE];	    /* the last one */
	uint8_t poke_block[BLOCK_SIZE];	    /* what our block was then */
	struct timer poke_timer;

	struct kept_port kept;
	enum flag kept_value;

	struct broker_config config;
	struct broker *broker;
	/* What the agent heard. */
	unsigned changed;
	void (*on_changed)(struct world *world); /* what the agent does then */
	uint64_t published_serial;
	int published_error;
	char published_target[HOST_NAME_MAX_SIZE];
	unsigned published;
	uint64_t ticket;
	enum command command;
	/* What a client heard. */
	unsigned answers;
	int answer_error;
	char answer_text[TEXT_MAX];
	bool stopped;
};

/* Host 1, `host1.example`, loop 10 s, io_timeout 10; sanlock answers and is not joined; nothing on the
 * whiteboard. */
struct world *world_new(void);
void world_free(struct world *world);
/* cmocka's: a world of its own for each row. */
int world_setup(void **state);
int world_teardown(void **state);
#define WORLD_ROW(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
void world_start(struct world *world); /* makes the broker */
void world_run(struct world *world, int64_t ms);
/* Storage is bad from now on; healing asserts that something met the fault. */
void world_fault(struct world *world, struct store_fault fault);
void world_heal(struct world *world);
/* Writes a host's record as another broker would. */
void world_record(struct world *world, uint16_t slot, const char *hostname, uint64_t timestamp,
		  uint64_t generation, int32_t score);
/* The own block on storage, decoded. */
enum record_fault world_own(struct world *world, struct record *ret);
void world_attach(struct world *world);
void world_publish(struct world *world, int32_t score);
void world_set_global(struct world *world, bool maintenance);
struct cluster world_cluster(struct world *world);
/* In the group as member 1 of node 1, alone. */
void world_poke_joined(struct world *world);
/* A poke of host `id`, from the member that node `id` has. */
void world_poke(struct world *world, uint16_t id, uint64_t sequence);
struct world *world_joined(struct world *world); /* started, with an agent, and a member; returns it */
