/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A thread around calls that block. It runs one job at a time, posts its end to the owner's loop through an
 * eventfd, and shares nothing else. A job that is late is given up: the owner goes on at once, the thread
 * stays in its system call (it may be in state D) and frees the job when it comes back; a new thread serves
 * the next job. At most WORKER_STUCK_MAX are left behind. All functions are for the loop's thread; none
 * blocks. */
#pragma once

#include <stdbool.h>

#include "util/mono.h"

#define WORKER_STUCK_MAX 3

struct worker;

/* What a thread is given. Embed it as the first member. While the job runs the thread owns it; afterwards
 * done() gets it, in the loop's thread, and owns it. After a give-up done() is never called, and destroy() is
 * called in the stuck thread. */
struct job {
	void (*run)(struct job *job);	  /* in the thread; blocks as it likes; touches only the job */
	void (*done)(struct job *job);	  /* in the loop's thread; must free the job or keep it */
	void (*destroy)(struct job *job); /* frees it; called instead of done() when the owner gave it up */
	/* Set by run() when nobody waits for its end: that wakes no loop, and the next worker_dispatch()
	 * finds it. Only for an owner that calls that at every wake-up. */
	bool quiet;
};

/* `name` shows in logs and as the thread's name (15 bytes), kept by reference. 0 or -errno. */
int worker_new(const char *name, struct worker **ret);
/* Gives up what runs. NULL is fine. */
void worker_free(struct worker *w);

/* The descriptor to poll for POLLIN; on it call worker_dispatch(), which calls done() of what has ended. It
 * may stay open after worker_free() until the last thread comes back: take it out of the poll before. */
int worker_fd(const struct worker *w);
void worker_dispatch(struct worker *w);

/* Starts the job. -EBUSY: one is running (not given up) or WORKER_STUCK_MAX threads are stuck; the job stays
 * the caller's. */
int worker_start(struct worker *w, struct job *job);
bool worker_busy(const struct worker *w);
/* Gives the running job up, if any. */
void worker_give_up(struct worker *w);
/* Threads that were given up and have not come back. */
unsigned worker_stuck(const struct worker *w);
