/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keeps at most one live thread per worker and forgets those that hang. A thread and its owner share a `seat`
 * that changes hands by its state alone: nobody waits for the other's lock, so the loop does not stand still
 * for a thread that was put off the processor. The eventfd stays open until the last thread is gone, so that
 * one that comes back late writes to no descriptor of somebody else. Called by the loop's thread; the thread
 * runs jobs and nothing else. */
#include "util/worker.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "util/cleanup.h"

#define STACK_BYTES (1024 * 1024)

/* What threads that come back, maybe after the worker is gone, still need. */
struct tally {
	atomic_uint stuck; /* they count themselves down */
	atomic_uint references;
	int eventfd; /* the worker's */
};

enum seat_state {
	SEAT_IDLE,
	SEAT_BUSY,  /* the thread has the job */
	SEAT_ENDED, /* run() returned, done() is to come */
	SEAT_LEFT,  /* the owner is gone: give-up, or end of the worker */
};

struct seat {
	sem_t wake;
	_Atomic(enum seat_state) state;
	struct job *job; /* whose it is says the state; NULL on a wake-up: the thread ends */
	struct tally *tally;
};

struct worker {
	const char *name;
	struct tally *tally;
	struct seat *seat; /* NULL: no thread yet */
};

_Static_assert(WORKER_STUCK_MAX >= 1, "a job that hangs could not be given up");

static void tally_unref(struct tally *tally)
{
	if (atomic_fetch_sub(&tally->references, 1) != 1)
		return;
	cleanup_close(&tally->eventfd);
	free(tally);
}

static void seat_free(struct seat *seat)
{
	sem_destroy(&seat->wake);
	tally_unref(seat->tally);
	free(seat);
}

static struct job *next_job(struct seat *seat)
{
	while (sem_wait(&seat->wake) < 0)
		;
	return seat->job;
}

static void *serve(void *data)
{
	struct seat *seat = data;
	struct job *job;
	bool quiet;

	while ((job = next_job(seat))) {
		enum seat_state state = SEAT_BUSY;

		job->run(job);
		quiet = job->quiet; /* it may be gone as soon as it has ended */
		if (!atomic_compare_exchange_strong(&seat->state, &state, SEAT_ENDED)) {
			job->destroy(job);
			atomic_fetch_sub(&seat->tally->stuck, 1);
			break;
		}
		if (!quiet)
			(void)eventfd_write(seat->tally->eventfd, 1);
	}
	seat_free(seat);
	return NULL;
}

/* Signals belong to the loop's thread. */
static int thread_start(struct seat *seat, const char *name)
{
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_t thread;
	char short_name[16] = "";
	int r;

	r = pthread_attr_init(&attr);
	if (r != 0)
		return -r;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&thread, &attr, serve, seat);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (r != 0)
		return -r;
	for (size_t i = 0; i < sizeof(short_name) - 1 && name[i]; i++)
		short_name[i] = name[i];
	/* The thread can't end before the seat is left, so its id is valid. */
	pthread_setname_np(thread, short_name);
	return 0;
}

static int seat_new(const struct worker *w, struct seat **ret)
{
	struct seat *seat = calloc(1, sizeof(*seat));
	int r;

	if (!seat)
		return -ENOMEM;
	sem_init(&seat->wake, 0, 0);
	seat->tally = w->tally;
	atomic_fetch_add(&w->tally->references, 1);
	r = thread_start(seat, w->name);
	if (r < 0) {
		seat_free(seat);
		return r;
	}
	*ret = seat;
	return 0;
}

int worker_new(const char *name, struct worker **ret)
{
	struct worker *w = calloc(1, sizeof(*w));

	assert(name && ret);
	if (!w)
		return -ENOMEM;
	w->name = name;
	w->tally = calloc(1, sizeof(*w->tally));
	if (!w->tally) {
		free(w);
		return -ENOMEM;
	}
	atomic_store(&w->tally->references, 1);
	w->tally->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->tally->eventfd < 0) {
		int r = -errno;

		worker_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

/* Leaves the thread to itself. A job that ended without being dispatched is destroyed here: nobody else will.
 */
static void leave(struct worker *w)
{
	struct seat *seat = TAKE_PTR(w->seat);
	struct job *ended;

	if (!seat)
		return;
	/* Before the thread can see it and count itself down. */
	atomic_fetch_add(&w->tally->stuck, 1);
	if (atomic_exchange(&seat->state, SEAT_LEFT) == SEAT_BUSY)
		return;
	atomic_fetch_sub(&w->tally->stuck, 1);
	ended = TAKE_PTR(seat->job);
	sem_post(&seat->wake);
	if (ended)
		ended->destroy(ended);
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	leave(w);
	tally_unref(w->tally);
	free(w);
}

int worker_fd(const struct worker *w)
{
	return w->tally->eventfd;
}

void worker_dispatch(struct worker *w)
{
	struct seat *seat = w->seat;
	struct job *job;
	eventfd_t count;

	(void)eventfd_read(w->tally->eventfd, &count);
	/* One that was given up may have written too. */
	if (!seat || atomic_load(&seat->state) != SEAT_ENDED)
		return;
	job = TAKE_PTR(seat->job);
	atomic_store(&seat->state, SEAT_IDLE);
	/* Last: done() may start the next job or free the worker. */
	job->done(job);
}

bool worker_busy(const struct worker *w)
{
	return w->seat && atomic_load(&w->seat->state) != SEAT_IDLE;
}

unsigned worker_stuck(const struct worker *w)
{
	return atomic_load(&w->tally->stuck);
}

int worker_start(struct worker *w, struct job *job)
{
	int r;

	assert(job && job->run && job->done && job->destroy);
	/* Threads in state D can't be ended: without a limit a dead storage would fill the process table. */
	if (worker_busy(w) || worker_stuck(w) >= WORKER_STUCK_MAX)
		return -EBUSY;
	if (!w->seat) {
		r = seat_new(w, &w->seat);
		if (r < 0)
			return r;
	}
	w->seat->job = job;
	atomic_store(&w->seat->state, SEAT_BUSY);
	sem_post(&w->seat->wake);
	return 0;
}

void worker_give_up(struct worker *w)
{
	if (worker_busy(w))
		leave(w);
}
