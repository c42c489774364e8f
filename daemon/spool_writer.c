/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The agent's end of the spool. Decides only what goes when the disk takes nothing: the oldest, counted. It
 * may not decide which transitions the operator hears of. Called by agent_main.c. */
#include "daemon/spool_writer.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/log.h"
#include "util/worker.h"

#define RETRY_MS 2000
#define LAST_MS 300

struct spool_writer {
	struct timer retry; /* first */
	struct loop *loop;
	struct worker *worker;
	char folder[PATH_MAX];
	char host[256];
	uint64_t sequence;
	struct alert queue[SPOOL_QUEUE_MAX];
	size_t n;
	size_t lost; /* for want of room since it was last said */
	int said;    /* the last failure that was logged, 0 none */
};

struct put_job {
	struct job job;		     /* first */
	struct spool_writer *writer; /* for done() only */
	char folder[PATH_MAX];
	struct alert transitions[SPOOL_QUEUE_MAX];
	size_t n, written, dropped;
	int error;
};

static struct clock_port *clock_of(const struct spool_writer *writer)
{
	return loop_clock(writer->loop);
}

static void put_run(struct job *base)
{
	struct put_job *job = (struct put_job *)base;

	while (job->error == 0 && job->written < job->n) {
		size_t dropped = 0;

		job->error = spool_put(job->folder, SPOOL_EVENT, &job->transitions[job->written], &dropped);
		job->dropped += dropped;
		job->written += job->error == 0;
	}
}

static void put_destroy(struct job *base)
{
	free(base);
}

static void write_next(struct spool_writer *writer);

static void try_later(struct spool_writer *writer)
{
	struct clock_port *clock = clock_of(writer);

	clock->set(clock, &writer->retry, mono_add(clock->now(clock), RETRY_MS));
}

static void queue_put(struct spool_writer *writer, const struct alert *transition)
{
	if (writer->n == SPOOL_QUEUE_MAX) {
		memmove(&writer->queue[0], &writer->queue[1], --writer->n * sizeof(writer->queue[0]));
		writer->lost++;
	}
	writer->queue[writer->n++] = *transition;
}

/* What was not written comes before what came meanwhile. */
static void put_back(struct spool_writer *writer, const struct put_job *job)
{
	size_t back = job->n - job->written, room = SPOOL_QUEUE_MAX - writer->n;

	if (back > room) {
		writer->lost += back - room;
		back = room;
	}
	memmove(&writer->queue[back], &writer->queue[0], writer->n * sizeof(writer->queue[0]));
	memcpy(&writer->queue[0], &job->transitions[job->n - back], back * sizeof(writer->queue[0]));
	writer->n += back;
}

static void put_done(struct job *base)
{
	struct put_job *job = (struct put_job *)base;
	struct spool_writer *writer = job->writer;

	if (job->error < 0) {
		put_back(writer, job);
		if (job->error != writer->said)
			log_error("%s: state transitions can't be kept for the operator: %s; make room, or "
				  "give it "
				  "to the user ovirt-ha; nothing else waits for it",
				  writer->folder, strerror(-job->error));
		try_later(writer);
	} else if (writer->said < 0 || writer->lost > 0) {
		log_info("%s: state transitions are kept again, %zu were lost", writer->folder, writer->lost);
		writer->lost = 0;
	}
	if (job->dropped > 0)
		log_warning("%s is full, the %zu oldest state transitions went; see ovirt-ha-notify.service",
			    writer->folder, job->dropped);
	writer->said = job->error;
	if (job->error == 0)
		write_next(writer);
	free(job);
}

static void write_next(struct spool_writer *writer)
{
	struct put_job *job;

	if (writer->n == 0 || worker_busy(writer->worker))
		return;
	job = calloc(1, sizeof(*job));
	if (!job) {
		try_later(writer);
		return;
	}
	job->job = (struct job){.run = put_run, .done = put_done, .destroy = put_destroy};
	job->writer = writer;
	memcpy(job->folder, writer->folder, sizeof(job->folder));
	memcpy(job->transitions, writer->queue, writer->n * sizeof(job->transitions[0]));
	job->n = writer->n;
	if (worker_start(writer->worker, &job->job) < 0) {
		free(job);
		try_later(writer);
		return;
	}
	writer->n = 0;
}

static void retry_fired(struct timer *timer)
{
	write_next((struct spool_writer *)timer);
}

void spool_writer_put(struct spool_writer *writer, enum state from, enum state to, enum reason reason,
		      int32_t score)
{
	struct clock_port *clock = clock_of(writer);
	struct alert transition = {.wall = clock->wall(clock), .score = score};

	transition.sequence = writer->sequence++;
	memcpy(transition.host, writer->host, sizeof(transition.host));
	snprintf(transition.from, sizeof(transition.from), "%s", state_str(from));
	snprintf(transition.to, sizeof(transition.to), "%s", state_str(to));
	snprintf(transition.reason, sizeof(transition.reason), "%s", reason_str(reason));
	queue_put(writer, &transition);
	if (writer->said == 0) /* else the retry comes */
		write_next(writer);
}

int spool_writer_new(const char *folder, const char *host, struct loop *loop, struct spool_writer **ret)
{
	struct spool_writer *writer = calloc(1, sizeof(*writer));
	int r;

	if (!writer)
		return -ENOMEM;
	writer->loop = loop;
	writer->retry.fire = retry_fired;
	snprintf(writer->folder, sizeof(writer->folder), "%s", folder);
	snprintf(writer->host, sizeof(writer->host), "%s", host);
	/* Rises over restarts too, and with it the order; spool_put() raises one that is taken. */
	writer->sequence = (uint64_t)clock_of(writer)->wall(clock_of(writer)) * 1000;
	r = worker_new("spool", &writer->worker);
	if (r == 0)
		r = loop_add_worker(loop, writer->worker);
	if (r < 0) {
		worker_free(writer->worker);
		free(writer);
		return r;
	}
	*ret = writer;
	return 0;
}

void spool_writer_free(struct spool_writer *writer)
{
	struct pollfd wait;

	if (!writer)
		return;
	/* The agent's own end is a transition as well. */
	wait = (struct pollfd){.fd = worker_fd(writer->worker), .events = POLLIN};
	for (int i = 0; i < 2 && worker_busy(writer->worker) && poll(&wait, 1, LAST_MS / 2) > 0; i++)
		worker_dispatch(writer->worker);
	clock_of(writer)->cancel(clock_of(writer), &writer->retry);
	loop_del_fd(writer->loop, worker_fd(writer->worker));
	worker_free(writer->worker);
	free(writer);
}
