/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keeps at most one live thread per worker and forgets those that hang. A thread and its owner share a `seat`
 * only: who leaves it last frees it. The thread may touch the eventfd only under the seat's lock and only
 * while it is not given up, so a descriptor that was closed and used again is never written. Called by the
 * loop's thread; the thread runs jobs and nothing else. */
#include "util/worker.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STACK_BYTES (1024 * 1024)

/* Threads that hang, counted down by themselves when they come back, maybe after the worker is gone. */
struct tally {
	atomic_uint stuck;
	atomic_uint references;
};

struct seat {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct job *job; /* NULL: idle */
	bool ended;	 /* run() returned, done() is to come */
	bool left;	 /* the owner is gone: give-up, or end of the worker */
	int eventfd;	 /* the worker's */
	struct tally *tally;
};

struct worker {
	const char *name;
	int eventfd;
	struct tally *tally;
	struct seat *seat; /* NULL: no thread yet */
};

_Static_assert(WORKER_STUCK_MAX >= 1, "a job that hangs could not be given up");

static void tally_unref(struct tally *tally)
{
	if (atomic_fetch_sub(&tally->references, 1) == 1)
		free(tally);
}

static void seat_free(struct seat *seat)
{
	pthread_cond_destroy(&seat->wake);
	pthread_mutex_destroy(&seat->lock);
	tally_unref(seat->tally);
	free(seat);
}

static void *serve(void *data)
{
	struct seat *seat = data;
	struct job *job;

	pthread_mutex_lock(&seat->lock);
	for (;;) {
		while (!seat->left && (!seat->job || seat->ended))
			pthread_cond_wait(&seat->wake, &seat->lock);
		job = seat->job;
		if (!job || seat->ended)
			break; /* left while idle */
		pthread_mutex_unlock(&seat->lock);
		job->run(job);
		pthread_mutex_lock(&seat->lock);
		if (seat->left) {
			job->destroy(job);
			atomic_fetch_sub(&seat->tally->stuck, 1);
			break;
		}
		seat->ended = true;
		(void)eventfd_write(seat->eventfd, 1);
	}
	pthread_mutex_unlock(&seat->lock);
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
	pthread_mutex_init(&seat->lock, NULL);
	pthread_cond_init(&seat->wake, NULL);
	seat->eventfd = w->eventfd;
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
	w->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!w->tally || w->eventfd < 0) {
		int r = w->tally ? -errno : -ENOMEM;

		if (w->eventfd >= 0)
			close(w->eventfd);
		free(w->tally);
		free(w);
		return r;
	}
	atomic_store(&w->tally->references, 1);
	*ret = w;
	return 0;
}

/* Leaves the thread to itself. A job that ended without being dispatched is destroyed here: nobody else will.
 */
static void leave(struct worker *w)
{
	struct seat *seat = w->seat;
	struct job *ended = NULL;

	if (!seat)
		return;
	w->seat = NULL;
	pthread_mutex_lock(&seat->lock);
	seat->left = true;
	if (seat->ended)
		ended = seat->job;
	else if (seat->job)
		atomic_fetch_add(&w->tally->stuck, 1);
	pthread_cond_signal(&seat->wake);
	pthread_mutex_unlock(&seat->lock);
	if (ended)
		ended->destroy(ended);
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	leave(w);
	close(w->eventfd);
	tally_unref(w->tally);
	free(w);
}

int worker_fd(const struct worker *w)
{
	return w->eventfd;
}

void worker_dispatch(struct worker *w)
{
	struct seat *seat = w->seat;
	struct job *job = NULL;
	eventfd_t count;

	(void)eventfd_read(w->eventfd, &count);
	if (!seat)
		return;
	pthread_mutex_lock(&seat->lock);
	if (seat->ended) {
		job = seat->job;
		seat->job = NULL;
		seat->ended = false;
	}
	pthread_mutex_unlock(&seat->lock);
	/* Last: done() may start the next job or free the worker. */
	if (job)
		job->done(job);
}

bool worker_busy(const struct worker *w)
{
	bool busy;

	if (!w->seat)
		return false;
	pthread_mutex_lock(&w->seat->lock);
	busy = w->seat->job != NULL;
	pthread_mutex_unlock(&w->seat->lock);
	return busy;
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
	pthread_mutex_lock(&w->seat->lock);
	w->seat->job = job;
	pthread_cond_signal(&w->seat->wake);
	pthread_mutex_unlock(&w->seat->lock);
	return 0;
}

void worker_give_up(struct worker *w)
{
	if (worker_busy(w))
		leave(w);
}
