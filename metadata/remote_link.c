/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides how a queue gets its connection and loses it: which address is tried next and for how long, what is
 * dropped with it, and when the loop looks at it. Names are resolved by workers. It may not judge an
 * operation's end: store_remote.c does, and calls this. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "metadata/remote_state.h"
#include "util/cleanup.h"

struct resolve_job {
	struct job job;		    /* first: util/worker.h */
	struct remote_queue *queue; /* only for done(), in the loop's thread */
	struct store_place places[STORE_PLACES_MAX];
	size_t n_places;
	struct remote_addresses found;
	int error;
};

/* Safety rule 13: what was given up must not be sent later. Closed in the usual way, a connection goes on in
 * the kernel, and a write from before a break of the network would reach the server after it; and while a
 * child of ours that was just begun still has the descriptor, it is not even closed. So it is disconnected,
 * whoever has it: what was not sent is dropped, and the server told. What the server has taken it may still
 * write, on any connection: readers know such a record by its generation and timestamp, and the own block is
 * read back.
 */
void remote_link_drop(struct remote_queue *queue)
{
	const struct remote_library *library = queue->store->library;
	static const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	if (queue->link) {
		int fd = library->fd(queue->link);

		if (fd >= 0)
			(void)connect(fd, &nobody, sizeof(nobody));
		if (queue->watched_fd >= 0)
			(void)epoll_ctl(queue->epoll, EPOLL_CTL_DEL, queue->watched_fd, NULL);
		queue->watched_fd = -1;
		library->destroy(TAKE_PTR(queue->link));
	}
	queue->state = LINK_NONE;
	queue->proven = queue->confirmed = false;
	queue->ended = false;
}

/* The addresses that are left share the time that is left; the last has all of it. */
static void start_connect(struct remote_queue *queue)
{
	struct store_remote *store = queue->store;
	mono_t now = remote_now(queue);
	int64_t left = queue->ops.op->deadline > now ? queue->ops.op->deadline - now : 0;
	int r;

	queue->state = LINK_CONNECTING;
	queue->attempt_until = mono_add(now, left / (int64_t)(queue->addresses.n - queue->tried));
	r = store->library->connect(store->config, &queue->addresses.list[queue->address], queue,
				    &queue->link);
	if (r < 0)
		remote_ended(queue, r);
}

void remote_link_next(struct remote_queue *queue, int error)
{
	remote_link_drop(queue);
	queue->address = (queue->address + 1) % queue->addresses.n;
	if (++queue->tried < queue->addresses.n)
		start_connect(queue);
	else
		remote_finish(queue, error);
}

static void resolve_run(struct job *base)
{
	struct resolve_job *job = (struct resolve_job *)base;

	job->error = remote_names_resolve(job->places, job->n_places, &job->found);
}

static void resolve_destroy(struct job *base)
{
	free((struct resolve_job *)base);
}

/* A name server that fails is nothing to a server whose addresses are known. */
void remote_link_resolved(struct remote_queue *queue, int error)
{
	if (queue->addresses.n > 0)
		start_connect(queue);
	else
		remote_finish(queue, error);
}

static void resolve_done(struct job *base)
{
	struct resolve_job *job = (struct resolve_job *)base;
	struct remote_queue *queue = job->queue;
	int error = job->error;

	if (error == 0) {
		queue->addresses = job->found;
		queue->address %= queue->addresses.n;
	}
	free(job);
	remote_link_resolved(queue, error);
	remote_settle(queue);
}

static void start_resolve(struct remote_queue *queue)
{
	struct store_remote *store = queue->store;
	struct resolve_job *job = calloc(1, sizeof(*job));
	mono_t now = remote_now(queue), deadline = queue->ops.op->deadline;
	int r;

	if (!job) {
		remote_link_resolved(queue, -ENOMEM);
		return;
	}
	job->job = (struct job){.run = resolve_run, .done = resolve_done, .destroy = resolve_destroy};
	job->queue = queue;
	job->n_places = store->n_places;
	memcpy(job->places, store->places, sizeof(job->places));
	queue->state = LINK_RESOLVING;
	queue->attempt_until =
		queue->addresses.n > 0 && deadline > now ? mono_add(now, (deadline - now) / 2) : deadline;
	r = worker_start(queue->resolver, &job->job);
	if (r < 0) {
		free(job);
		/* All threads that may hang do so in name servers. */
		remote_link_resolved(queue, r == -EBUSY ? -ETIMEDOUT : r);
	}
}

void remote_link_start(struct remote_queue *queue)
{
	queue->tried = 0;
	if (queue->resolver)
		start_resolve(queue);
	else
		start_connect(queue);
}

/* Libraries close and open descriptors while they connect, often with the same number, which epoll forgets:
 * hence ours, and added anew each time it does not know it. A link that works keeps its own. */
void remote_link_watch(struct remote_queue *queue)
{
	const struct remote_library *library = queue->store->library;
	int fd = queue->link ? library->fd(queue->link) : -1,
	    events = fd >= 0 ? library->events(queue->link) : 0;
	struct epoll_event event = {.events = (uint32_t)events};

	if (queue->watched_fd == fd && queue->watched_events == events && queue->state != LINK_CONNECTING)
		return;
	if (queue->watched_fd >= 0 && queue->watched_fd != fd)
		(void)epoll_ctl(queue->epoll, EPOLL_CTL_DEL, queue->watched_fd, NULL);
	queue->watched_fd = fd;
	queue->watched_events = events;
	if (fd >= 0 && epoll_ctl(queue->epoll, EPOLL_CTL_MOD, fd, &event) < 0) {
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
		if (epoll_ctl(queue->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
			remote_ended(queue, -errno);
	}
}
