/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real backing port: a stat of a storage that hangs never returns, so a thread asks, and is given up at
 * the deadline. Decides nothing. Called by storage_parts.c through its port. */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/backing_port.h"
#include "util/cleanup.h"
#include "util/loop.h"
#include "util/worker.h"

struct backing_worker {
	struct backing_port port; /* first */
	const char *paths[PART_COUNT];
	struct loop *loop;
	struct worker *worker;
	struct timer limit;
	void (*done)(void *data, const struct backing *backings); /* NULL: nothing under way */
	void *data;
};

struct backing_job {
	struct job job;		       /* first */
	struct backing_worker *worker; /* for done() only */
	char paths[PART_COUNT][PATH_MAX];
	struct backing backings[PART_COUNT];
};

static void backing_run(struct job *job)
{
	struct backing_job *find = (struct backing_job *)job;

	for (enum part i = 0; i < PART_COUNT; i++)
		if (find->paths[i][0])
			backing_find(&backing_machine, find->paths[i], &find->backings[i]);
}

static void backing_destroy(struct job *job)
{
	free(job);
}

static void backing_end(struct backing_worker *worker, const struct backing *backings)
{
	void (*done)(void *data, const struct backing *backings) = worker->done;
	struct clock_port *clock = loop_clock(worker->loop);

	clock->cancel(clock, &worker->limit);
	worker->done = NULL;
	done(worker->data, backings);
}

static void backing_done(struct job *job)
{
	struct backing_job *find = (struct backing_job *)job;

	backing_end(find->worker, find->backings);
	free(find);
}

static void backing_late(struct timer *timer)
{
	struct backing_worker *worker =
		(struct backing_worker *)((char *)timer - offsetof(struct backing_worker, limit));

	/* It may have ended this instant. */
	worker_dispatch(worker->worker);
	if (!worker->done)
		return;
	worker_give_up(worker->worker);
	backing_end(worker, NULL);
}

static int backing_begin(struct backing_port *port, mono_t deadline,
			 void (*done)(void *data, const struct backing *backings), void *data)
{
	struct backing_worker *worker = (struct backing_worker *)port;
	struct clock_port *clock = loop_clock(worker->loop);
	_cleanup_free_ struct backing_job *find = calloc(1, sizeof(*find));
	int r;

	if (!find)
		return -ENOMEM;
	if (worker->done)
		return -EBUSY;
	find->job = (struct job){.run = backing_run, .done = backing_done, .destroy = backing_destroy};
	find->worker = worker;
	for (enum part i = 0; i < PART_COUNT; i++)
		snprintf(find->paths[i], sizeof(find->paths[i]), "%s", worker->paths[i]);
	r = worker_start(worker->worker, &find->job);
	if (r < 0)
		return r;
	TAKE_PTR(find);
	worker->done = done;
	worker->data = data;
	clock->set(clock, &worker->limit, deadline);
	return 0;
}

static void backing_close(struct backing_port *port)
{
	struct backing_worker *worker = (struct backing_worker *)port;
	struct clock_port *clock = loop_clock(worker->loop);

	clock->cancel(clock, &worker->limit);
	if (worker->worker)
		loop_del_fd(worker->loop, worker_fd(worker->worker));
	worker_free(worker->worker);
	free(worker);
}

int backing_worker_new(const char *const paths[PART_COUNT], struct loop *loop, struct backing_port **ret)
{
	struct backing_worker *worker = calloc(1, sizeof(*worker));
	int r;

	if (!worker)
		return -ENOMEM;
	worker->port = (struct backing_port){.find = backing_begin, .close = backing_close};
	memcpy(worker->paths, paths, sizeof(worker->paths));
	worker->loop = loop;
	worker->limit.fire = backing_late;
	r = worker_new("backing", &worker->worker);
	if (r == 0)
		r = loop_add_worker(loop, worker->worker);
	if (r < 0) {
		backing_close(&worker->port);
		return r;
	}
	*ret = &worker->port;
	return 0;
}
