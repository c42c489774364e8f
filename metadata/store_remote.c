/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides when a connection is made, kept and thrown away, and what becomes of an operation meanwhile: it
 * ends at its deadline, whatever the server does. A connection serves one operation at a time and is thrown
 * away after any doubt, since libraries that were timed out mix the answers of old requests into new ones. It
 * may not block the loop. Called by the stores over networks. */
#include "metadata/store_remote.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "metadata/identity.h"
#include "metadata/remote_state.h"
#include "util/cleanup.h"

void remote_ended(struct remote_queue *queue, int error)
{
	queue->ended = true;
	queue->error = error;
}

void remote_finish(struct remote_queue *queue, int error)
{
	if (error < 0)
		remote_link_drop(queue);
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
	mono_t now = remote_now(queue);
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

/* A server that was restarted, a handle of a file that was replaced: a link that had worked fails, and a new
 * one does: once, since the new one is not proven. The same bytes to the same place a second time harm
 * nobody.
 */
static void give_up_link(struct remote_queue *queue, int error)
{
	if (!queue->proven) {
		remote_finish(queue, error);
		return;
	}
	remote_link_drop(queue);
	remote_link_start(queue);
}

/* The link has ended what it was asked for. */
static void advance(struct remote_queue *queue, int error)
{
	switch (queue->state) {
	case LINK_CONNECTING:
		if (error < 0)
			remote_link_next(queue, error);
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
			remote_finish(queue, 0);
			return;
		}
		give_up_link(queue, error);
		return;
	default: /* nobody asked: the peer has closed it, or has lost its mind */
		remote_link_drop(queue);
	}
}

/* Waits for what comes next: the link's descriptor, an end to look at, the deadline. */
static void arm(struct remote_queue *queue)
{
	struct clock_port *clock = queue->store->clock;
	mono_t until;

	remote_link_watch(queue);
	if (!queue->ops.op) {
		clock->cancel(clock, &queue->ops.timer);
		return;
	}
	until = queue->ops.op->deadline;
	if ((queue->state == LINK_RESOLVING || queue->state == LINK_CONNECTING) &&
	    queue->attempt_until < until)
		until = queue->attempt_until;
	/* What failed within its own call ends by the loop: who asked is still in his call. */
	clock->set(clock, &queue->ops.timer, queue->ended || queue->finished ? remote_now(queue) : until);
}

void remote_settle(struct remote_queue *queue)
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
	remote_link_watch(queue);
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
	remote_settle(queue);
}

static void timer_fired(struct timer *timer)
{
	struct remote_queue *queue =
		(struct remote_queue *)((char *)timer - offsetof(struct remote_queue, ops.timer));
	mono_t now = remote_now(queue);

	if (!queue->ended && !queue->finished) {
		bool over = now >= queue->ops.op->deadline;

		if (queue->state == LINK_RESOLVING)
			worker_give_up(queue->resolver);
		if (over)
			remote_finish(queue, -ETIMEDOUT);
		else if (queue->state == LINK_RESOLVING)
			remote_link_resolved(queue, -ETIMEDOUT);
		else if (queue->state == LINK_CONNECTING)
			remote_link_next(queue, -ETIMEDOUT);
	}
	remote_settle(queue);
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
	r = op_queue_begin(&queue->ops, store->clock, first, blocks, images, op);
	assert(r == 0);
	queue->at = place_of(store, first, count);
	queue->size = size;
	queue->scanned = scanned;
	queue->bytes = images ? scanned : blocks;
	if (data)
		memcpy(queue->data, data, BLOCK_SIZE);
	if (queue->ended) /* between two operations */
		remote_link_drop(queue);
	if (queue->state == LINK_IDLE)
		start_io(queue);
	else
		remote_link_start(queue);
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
	op_queue_done(&queue->ops);
	remote_link_drop(queue);
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
