/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides when a connection is made, kept and thrown away, which address is tried next, and what becomes of
 * an operation meanwhile: it ends at its deadline, whatever the server does. A connection serves one
 * operation at a time and is thrown away after any doubt, since libraries that were timed out mix the answers
 * of old requests into new ones. It may not block the loop: names are resolved by workers. Called by the
 * stores over networks. */
#include "metadata/store_remote.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "metadata/identity.h"
#include "metadata/remote_names.h"
#include "util/cleanup.h"
#include "util/loop.h"
#include "util/worker.h"

enum link_state {
	LINK_NONE,
	LINK_RESOLVING,
	LINK_CONNECTING,
	LINK_IDLE,
	LINK_CONFIRMING, /* reads the identity block, before the first write */
	LINK_BUSY,
};

struct resolve_job {
	struct job job;		    /* first: util/worker.h */
	struct remote_queue *queue; /* only for done(), in the loop's thread */
	struct store_place places[STORE_PLACES_MAX];
	size_t n_places;
	struct remote_addresses found;
	int error;
};

struct remote_queue {
	struct op_queue ops;
	struct store_remote *store;
	struct worker *resolver; /* NULL: all places are addresses */
	struct remote_addresses addresses;
	size_t address; /* the one in use, or tried first */
	size_t tried;	/* by this operation */
	enum link_state state;
	void *link;
	int epoll;	/* of the link's descriptor, which libraries change under us */
	int watched_fd; /* in it, -1 none */
	int watched_events;
	bool proven;	/* the link has ended an operation well */
	bool confirmed; /* it leads to the storage that the identity was read from */
	mono_t attempt_until;

	bool ended; /* said by the library, to be looked at when it has returned */
	int error;
	bool finished; /* the operation: done() is to be called */
	int result;

	uint64_t at;
	size_t size;
	uint8_t *bytes;	  /* where the library reads: the caller's blocks, or ours */
	uint8_t *scanned; /* ours, of a scan */
	uint8_t data[BLOCK_SIZE];
	uint8_t identity[BLOCK_SIZE]; /* that this link gave */
};

struct store_remote {
	struct store store; /* first */
	const struct remote_library *library;
	void *config;
	uint64_t offset;
	struct store_place places[STORE_PLACES_MAX];
	size_t n_places;
	struct loop *loop;
	struct clock_port *clock;
	struct store_health health;
	bool identified;	      /* the identity was read once */
	uint8_t identity[BLOCK_SIZE]; /* as our user read it last, or as the first link gave it */
	struct remote_queue queues[STORE_QUEUE_COUNT];
};

static mono_t now_of(const struct remote_queue *queue)
{
	return queue->store->clock->now(queue->store->clock);
}

void remote_ended(struct remote_queue *queue, int error)
{
	queue->ended = true;
	queue->error = error;
}

/* Safety rule 13: what was given up must not be sent later. Closed in the usual way, a connection goes on in
 * the kernel, and a write from before a break of the network would reach the server after it; and while a
 * child of ours that was just begun still has the descriptor, it is not even closed. So it is disconnected,
 * whoever has it: what was not sent is dropped, and the server told. What the server has taken it may still
 * write, on any connection: readers know such a record by its generation and timestamp, and the own block is
 * read back.
 */
static void drop_link(struct remote_queue *queue)
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

static void finish(struct remote_queue *queue, int error)
{
	if (error < 0)
		drop_link(queue);
	else
		queue->state = LINK_IDLE;
	queue->finished = true;
	queue->result = error;
}

static uint64_t place_of(const struct store_remote *store, uint32_t first, uint32_t count)
{
	return store->offset + block_offset(first, count);
}

/* Safety rule 8: a new connection may lead to other storage under the same address - a unit mapped anew,
 * another export in the place of ours - and nothing is written there. Our user judges what the identity block
 * says; here it only has to be what he read last. */
static void take_identity(struct store_remote *store, const uint8_t block[BLOCK_SIZE])
{
	if (store->identified && memcmp(store->identity, block, BLOCK_SIZE) == 0)
		return;
	store->identified = true;
	memcpy(store->identity, block, BLOCK_SIZE);
	for (size_t i = 0; i < STORE_QUEUE_COUNT; i++)
		store->queues[i].confirmed = false;
}

static int confirm(struct remote_queue *queue)
{
	struct store_remote *store = queue->store;

	/* Where nobody has read it yet, the first link's counts. */
	if (!store->identified)
		take_identity(store, queue->identity);
	queue->confirmed = memcmp(store->identity, queue->identity, BLOCK_SIZE) == 0;
	return queue->confirmed ? 0 : -EXDEV;
}

/* What was asked leaves at once, not with the loop's next turn. */
static int send_now(struct remote_queue *queue)
{
	const struct remote_library *library = queue->store->library;

	return library->events(queue->link) & POLLOUT ? library->service(queue->link, POLLOUT) : 0;
}

static void start_io(struct remote_queue *queue)
{
	const struct remote_library *library = queue->store->library;
	mono_t now = now_of(queue);
	int r;

	if (queue->ops.write && !queue->confirmed) {
		queue->state = LINK_CONFIRMING;
		r = library->read(queue->link, place_of(queue->store, IDENTITY_BLOCK, 1), queue->identity,
				  BLOCK_SIZE, now);
	} else {
		queue->state = LINK_BUSY;
		r = queue->ops.write ? library->write(queue->link, queue->at, queue->data, queue->size, now)
				     : library->read(queue->link, queue->at, queue->bytes, queue->size, now);
	}
	if (r == 0)
		r = send_now(queue);
	if (r < 0 && !queue->ended)
		remote_ended(queue, r);
}

/* The addresses that are left share the time that is left; the last has all of it. */
static void start_connect(struct remote_queue *queue)
{
	struct store_remote *store = queue->store;
	mono_t now = now_of(queue);
	int64_t left = queue->ops.op->deadline > now ? queue->ops.op->deadline - now : 0;
	int r;

	queue->state = LINK_CONNECTING;
	queue->attempt_until = mono_add(now, left / (int64_t)(queue->addresses.n - queue->tried));
	r = store->library->connect(store->config, &queue->addresses.list[queue->address], queue,
				    &queue->link);
	if (r < 0)
		remote_ended(queue, r);
}

static void connect_next(struct remote_queue *queue, int error)
{
	drop_link(queue);
	queue->address = (queue->address + 1) % queue->addresses.n;
	if (++queue->tried < queue->addresses.n)
		start_connect(queue);
	else
		finish(queue, error);
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

static void settle(struct remote_queue *queue);

/* A name server that fails is nothing to a server whose addresses are known. */
static void resolved(struct remote_queue *queue, int error)
{
	if (queue->addresses.n > 0)
		start_connect(queue);
	else
		finish(queue, error);
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
	resolved(queue, error);
	settle(queue);
}

static void start_resolve(struct remote_queue *queue)
{
	struct store_remote *store = queue->store;
	struct resolve_job *job = calloc(1, sizeof(*job));
	mono_t now = now_of(queue), deadline = queue->ops.op->deadline;
	int r;

	if (!job) {
		resolved(queue, -ENOMEM);
		return;
	}
	job->job = (struct job){resolve_run, resolve_done, resolve_destroy};
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
		resolved(queue, r == -EBUSY ? -ETIMEDOUT : r);
	}
}

static void start_link(struct remote_queue *queue)
{
	queue->tried = 0;
	if (queue->resolver)
		start_resolve(queue);
	else
		start_connect(queue);
}

/* A server that was restarted, a handle of a file that was replaced: a link that had worked fails, and a new
 * one does: once, since the new one is not proven. The same bytes to the same place a second time harm
 * nobody.
 */
static void give_up_link(struct remote_queue *queue, int error)
{
	if (!queue->proven) {
		finish(queue, error);
		return;
	}
	drop_link(queue);
	start_link(queue);
}

/* The link has ended what it was asked for. */
static void advance(struct remote_queue *queue, int error)
{
	switch (queue->state) {
	case LINK_CONNECTING:
		if (error < 0)
			connect_next(queue, error);
		else
			start_io(queue);
		return;
	case LINK_CONFIRMING:
		if (error == 0)
			error = confirm(queue);
		if (error == 0)
			start_io(queue);
		else
			give_up_link(queue, error);
		return;
	case LINK_BUSY:
		if (error == 0) {
			queue->proven = true;
			finish(queue, 0);
			return;
		}
		give_up_link(queue, error);
		return;
	default: /* nobody asked: the peer has closed it, or has lost its mind */
		drop_link(queue);
	}
}

/* Libraries close and open descriptors while they connect, often with the same number, which epoll forgets:
 * hence ours, and added anew each time it does not know it. A link that works keeps its own. */
static void watch(struct remote_queue *queue)
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

/* Waits for what comes next: the link's descriptor, an end to look at, the deadline. */
static void arm(struct remote_queue *queue)
{
	struct clock_port *clock = queue->store->clock;
	mono_t until;

	watch(queue);
	if (!queue->ops.op) {
		clock->cancel(clock, &queue->ops.timer);
		return;
	}
	until = queue->ops.op->deadline;
	if ((queue->state == LINK_RESOLVING || queue->state == LINK_CONNECTING) &&
	    queue->attempt_until < until)
		until = queue->attempt_until;
	/* What failed within its own call ends by the loop: who asked is still in his call. */
	clock->set(clock, &queue->ops.timer, queue->ended || queue->finished ? now_of(queue) : until);
}

/* The last thing that any way in does: done() may begin the next operation or close the store. */
static void settle(struct remote_queue *queue)
{
	struct store_remote *store = queue->store;

	while (queue->ended && !queue->finished) {
		queue->ended = false;
		advance(queue, queue->error);
	}
	if (!queue->finished) {
		arm(queue);
		return;
	}
	watch(queue);
	queue->finished = false;
	if (queue->result != -ETIMEDOUT)
		queue->ops.stuck_since = MONO_UNSET;
	if (queue->result == 0 && !queue->ops.write && queue->at == place_of(store, IDENTITY_BLOCK, 1))
		take_identity(store, queue->bytes);
	if (queue->result == 0 && !queue->ops.write)
		op_queue_fill(&queue->ops, queue->bytes, queue->size / BLOCK_SIZE);
	free(TAKE_PTR(queue->scanned));
	op_queue_end(&queue->ops, store->clock, &store->health, queue->result);
}

static void link_ready(int fd, short revents, void *data)
{
	struct remote_queue *queue = data;
	struct epoll_event event;
	int r;

	if (epoll_wait(queue->epoll, &event, 1, 0) <= 0 || !queue->link)
		return;
	r = queue->store->library->service(queue->link, (int)event.events);
	if (r < 0 && !queue->ended)
		remote_ended(queue, r);
	settle(queue);
}

static void timer_fired(struct timer *timer)
{
	struct remote_queue *queue =
		(struct remote_queue *)((char *)timer - offsetof(struct remote_queue, ops.timer));
	mono_t now = now_of(queue);

	if (!queue->ended && !queue->finished) {
		bool over = now >= queue->ops.op->deadline;

		if (queue->state == LINK_RESOLVING)
			worker_give_up(queue->resolver);
		if (over)
			finish(queue, -ETIMEDOUT);
		else if (queue->state == LINK_RESOLVING)
			resolved(queue, -ETIMEDOUT);
		else if (queue->state == LINK_CONNECTING)
			connect_next(queue, -ETIMEDOUT);
	}
	settle(queue);
}

static int queue_begin(struct remote_queue *queue, uint32_t first, uint32_t count, uint8_t *blocks,
		       struct image **images, const uint8_t *data, struct store_op *op)
{
	struct store_remote *store = queue->store;
	size_t size = (size_t)count * BLOCK_SIZE;
	uint8_t *scanned = NULL;
	int r;

	if (queue->ops.op)
		return -EBUSY;
	if (images) {
		scanned = malloc(size);
		if (!scanned)
			return -ENOMEM;
	}
	r = op_queue_begin(&queue->ops, store->clock, blocks, images, op);
	assert(r == 0);
	queue->at = place_of(store, first, count);
	queue->size = size;
	queue->scanned = scanned;
	queue->bytes = images ? scanned : blocks;
	if (data)
		memcpy(queue->data, data, BLOCK_SIZE);
	if (queue->ended) /* between two operations */
		drop_link(queue);
	if (queue->state == LINK_IDLE)
		start_io(queue);
	else
		start_link(queue);
	arm(queue);
	return 0;
}

static int remote_read(struct store *base, enum store_queue queue, uint32_t first, uint32_t count,
		       uint8_t *blocks, struct store_op *op)
{
	assert(blocks && queue < STORE_QUEUE_COUNT);
	return queue_begin(&((struct store_remote *)base)->queues[queue], first, count, blocks, NULL, NULL,
			   op);
}

static int remote_scan(struct store *base, enum store_queue queue, uint32_t first, uint32_t count,
		       struct image **images, struct store_op *op)
{
	assert(images && queue < STORE_QUEUE_COUNT);
	return queue_begin(&((struct store_remote *)base)->queues[queue], first, count, NULL, images, NULL,
			   op);
}

static int remote_write(struct store *base, enum store_queue queue, uint32_t block, const uint8_t *data,
			struct store_op *op)
{
	assert(data && queue < STORE_QUEUE_COUNT);
	return queue_begin(&((struct store_remote *)base)->queues[queue], block, 1, NULL, NULL, data, op);
}

static void remote_health(struct store *base, struct store_health *ret)
{
	struct store_remote *store = (struct store_remote *)base;

	*ret = store->health;
	for (size_t i = 0; i < STORE_QUEUE_COUNT; i++) {
		const struct remote_queue *queue = &store->queues[i];

		op_queue_health(&queue->ops, queue->resolver ? worker_stuck(queue->resolver) : 0, ret);
	}
}

static void queue_done(struct remote_queue *queue)
{
	struct store_remote *store = queue->store;

	if (!store)
		return;
	store->clock->cancel(store->clock, &queue->ops.timer);
	drop_link(queue);
	free(queue->scanned);
	if (queue->resolver)
		loop_del_fd(store->loop, worker_fd(queue->resolver));
	worker_free(queue->resolver);
	if (queue->epoll >= 0)
		loop_del_fd(store->loop, queue->epoll);
	cleanup_close(&queue->epoll);
}

static void remote_close(struct store *base)
{
	struct store_remote *store = (struct store_remote *)base;

	for (size_t i = 0; i < STORE_QUEUE_COUNT; i++)
		queue_done(&store->queues[i]);
	if (store->config)
		store->library->free_config(store->config);
	free(store);
}

static int queue_init(struct remote_queue *queue, struct store_remote *store, const char *name)
{
	int r;

	*queue = (struct remote_queue){.store = store, .epoll = -1, .watched_fd = -1};
	op_queue_init(&queue->ops, timer_fired);
	if (remote_names_known(store->places, store->n_places, &queue->addresses) < 0) {
		r = worker_new(name, &queue->resolver);
		if (r == 0)
			r = loop_add_worker(store->loop, queue->resolver);
		if (r < 0)
			return r;
	}
	queue->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (queue->epoll < 0)
		return -errno;
	return loop_add_fd(store->loop, queue->epoll, POLLIN, link_ready, queue);
}

int store_remote_new(const struct store_place *places, size_t n_places, uint64_t offset,
		     const struct remote_library *library, void *config, struct loop *loop,
		     struct store **ret)
{
	static const char *const names[STORE_QUEUE_COUNT] = {"name-own", "name-global", "name-scan"};
	struct store_remote *store;
	int r = 0;

	assert(library && config && loop && ret && n_places >= 1 && n_places <= STORE_PLACES_MAX);
	store = calloc(1, sizeof(*store));
	if (!store)
		return -ENOMEM;
	store->store = (struct store){remote_read, remote_scan, remote_write, remote_health, remote_close};
	store->library = library;
	store->offset = offset;
	memcpy(store->places, places, n_places * sizeof(*places));
	store->n_places = n_places;
	store->loop = loop;
	store->clock = loop_clock(loop);
	store->health = (struct store_health){
		.last_read = MONO_UNSET, .last_write = MONO_UNSET, .stuck_since = MONO_UNSET};
	for (size_t i = 0; r == 0 && i < STORE_QUEUE_COUNT; i++)
		r = queue_init(&store->queues[i], store, names[i]);
	if (r < 0) {
		remote_close(&store->store);
		return r;
	}
	store->config = config;
	*ret = &store->store;
	return 0;
}
