/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The clock port, and its real implementation on libqb's loop. Everything that waits takes a `struct
 * clock_port`, so that the same code runs against virtual time. Single-threaded: callbacks run one after
 * another in the loop's thread. */
#pragma once

#include <stdbool.h>

#include "util/mono.h"

struct clock_port;

/* One pending call. Owned by the caller, zeroed before its first use, must not move while set. */
struct timer {
	void (*fire)(struct timer *timer); /* called once per timer_set; may set it again */
	/* The real loop may wait so much longer for another timer to fire with: each wake-up of its own is
	 * most of what a look at memory costs. Set before the timer is, 0 for what has to be in time. */
	int64_t slack_ms;
	/* The port's own. */
	struct timer *next;
	mono_t at;
	bool set;
};

/* All functions required. None blocks or fails (out of memory ends the program). */
struct clock_port {
	mono_t (*now)(struct clock_port *port);
	int64_t (*wall)(struct clock_port *port); /* seconds since the epoch */
	/* Fires at `at` or as soon after as the loop gets to it, slack aside; a moment in the past fires at
	 * once; MONO_NEVER cancels. Setting a set timer moves it. */
	void (*set)(struct clock_port *port, struct timer *timer, mono_t at);
	void (*cancel)(struct clock_port *port, struct timer *timer);
};

/* The real loop. */
struct loop;
struct worker;
struct qb_loop;

int loop_new(struct loop **ret);
void loop_free(struct loop *loop);
struct clock_port *loop_clock(struct loop *loop);
struct qb_loop *loop_qb(struct loop *loop);

/* Calls `ready` whenever `fd` has one of the poll `events`. 0 or -errno. */
int loop_add_fd(struct loop *loop, int fd, short events, void (*ready)(int fd, short revents, void *data),
		void *data);
void loop_del_fd(struct loop *loop, int fd);
/* Dispatches the worker's ends for as long as the loop runs. */
int loop_add_worker(struct loop *loop, struct worker *worker);
/* Ends loop_run() on SIGTERM and SIGINT after calling `stopping` (which may set timers and return true to go
 * on until loop_stop() is called). */
int loop_on_signals(struct loop *loop, bool (*stopping)(void *data), void *data);
/* Notifies systemd: READY=1 now is the caller's; WATCHDOG=1 is sent by the loop itself at half of
 * WATCHDOG_USEC. */
void loop_watchdog(struct loop *loop);
int loop_run(struct loop *loop); /* 0, or -errno */
void loop_stop(struct loop *loop);
