/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Global maintenance: block 0 of the whiteboard. Reads it every loop, keeps the last good value on local disk
 * for the time when storage is away, and changes it under block 0's own lease (safety rule 16), or without
 * when that is not to be had. A change counts only when it is still there two loops later: writers exist that
 * use no lease. Used by broker.c. */
#pragma once

#include "core/snapshot.h"
#include "lockspace/block0_port.h"
#include "metadata/store.h"
#include "util/loop.h"

/* The last good value on local disk. */
struct kept_port {
	enum flag (*load)(struct kept_port *port);	       /* at start; FLAG_UNKNOWN: none */
	void (*save)(struct kept_port *port, enum flag value); /* returns at once */
};

enum set_step {
	SET_IDLE,
	SET_LEASE,
	SET_READ,
	SET_WRITE,
	SET_VERIFY,
	SET_SETTLE, /* two loops, then read again */
	SET_CHECK,
	SET_STEP_COUNT
};

#define GLOBAL_WAITERS_MAX 64

struct global_waiter {
	void (*answer)(void *data, int error, const char *text);
	void *data;
};

struct global_flag {
	struct clock_port *clock;
	struct store *store;
	struct block0_port *lease;
	struct kept_port *kept;
	void (*changed)(void *data); /* value or `read` changed */
	void *data;
	int64_t loop_ms;
	int64_t io_ms; /* deadline of one read or write */

	enum flag value;
	bool read;		      /* read, or found absent, since start */
	mono_t read_at, unread_since; /* MONO_UNSET: never; readable */
	char cause[96];		      /* why unreadable, "" readable */
	uint8_t block[BLOCK_SIZE];    /* as last read */

	enum set_step step;
	mono_t asked; /* for the lease, of SET_LEASE */
	bool target, unleased, in_flight, reading, again;
	unsigned tries;
	struct global_waiter waiters[GLOBAL_WAITERS_MAX];
	size_t n_waiters;
	struct store_op op;
	struct timer loop_timer, settle_timer, ask_timer;
	uint8_t buffer[BLOCK_SIZE], written[BLOCK_SIZE];
};

/* Zeroed before; ports, callbacks, loop_ms and io_ms set by the caller. */
void global_flag_start(struct global_flag *flag);
/* `answer` comes once, from inside when all fails at once. -EBUSY: too many wait. A request whose value is
 * not the latest one's is answered -ECANCELED at once. */
int global_flag_set(struct global_flag *flag, bool maintenance,
		    void (*answer)(void *data, int error, const char *text), void *data);
/* The one who waits with `data` is gone. The change goes on. */
void global_flag_forget(struct global_flag *flag, void *data);
void global_flag_done(struct global_flag *flag);
