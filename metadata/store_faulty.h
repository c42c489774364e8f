/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A store that wraps any other and does to its operations what bad storage does. For tests, which link it by
 * itself: no program that is installed has it. */
#pragma once

#include "metadata/store.h"

struct clock_port;

enum store_fault_kind {
	STORE_FAULT_NONE,
	STORE_FAULT_DELAY, /* begins `delay_ms` late, or not at all when its deadline comes first */
	STORE_FAULT_EIO,   /* fails, and nothing was done */
	STORE_FAULT_TORN,  /* a write lands in the first 512 bytes of its block, and is acknowledged */
	STORE_FAULT_LOST,  /* a write is acknowledged and never lands */
	STORE_FAULT_STALE, /* a read gives what stood in its blocks when they were first touched */
	STORE_FAULT_LATE,  /* is given up at its deadline; a write lands `delay_ms` after it */
	STORE_FAULT_NEVER, /* is given up at its deadline, and never lands */
	STORE_FAULT_COUNT
};

enum store_fault_ops { STORE_FAULT_READS = 1, STORE_FAULT_WRITES = 2 };

struct store_fault {
	enum store_fault_kind kind;
	unsigned ops;	  /* set of store_fault_ops, 0: whatever the kind can meet */
	unsigned queues;  /* set of 1 << enum store_queue, 0: all */
	uint32_t block;	  /* operations that begin at this one, 0: any; block 0 has a queue of its own */
	unsigned after;	  /* of those it could meet, so many pass first */
	unsigned count;	  /* then it meets so many, 0: all */
	int64_t delay_ms; /* >= 0: of DELAY and LATE */
};

/* `inner` belongs to it then and is closed with it. 0 or -ENOMEM. */
int store_faulty_new(struct store *inner, struct clock_port *clock, struct store **ret);
/* From the next operation on, in place of what was set before. What hangs under STORE_FAULT_NEVER goes on,
 * unless its deadline came first: that is given up for good and stuck no more. What is to land late still
 * lands. */
void store_faulty_set(struct store *store, const struct store_fault *fault);
/* How many operations have met the fault since it was set. */
unsigned store_faulty_fired(const struct store *store);
