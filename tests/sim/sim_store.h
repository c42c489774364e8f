/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store port of one host's broker over its simulated path: a queue each for the own block, block 0 and
 * the scan, deadlines, and I/O that goes on after them. */
#pragma once

#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_disk.h"

struct sim_store_queue {
	struct timer late; /* first */
	struct sim_store *store;
	struct store_op *op; /* under way, NULL: none */
	struct sim_io *io;
	unsigned stuck;
	mono_t begun;
	struct sim_event told; /* its end, to a broker that stood still */
	int told_error;
	bool wrote;
};

struct sim_store {
	struct store port; /* first */
	struct sim_clock *clock;
	struct sim_disk *disk;
	struct sim_store_queue queues[STORE_QUEUE_COUNT];
	struct store_health health;
	uint32_t epoch; /* of the broker: what an earlier one left behind counts for nobody */
};

void sim_store_init(struct sim_store *store, struct sim_clock *clock, struct sim_disk *disk);
/* The broker is gone: nothing ends any more, what is under way lands. */
void sim_store_close(struct sim_store *store);
