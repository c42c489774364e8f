/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fence port: asks ovirt-ha-guard over its socket, one connection for each request. It decides nothing;
 * an answer that does not come by the deadline, or is not of our version, is an error, never "none alive".
 * Called by the agent and the broker. */
#include "lockspace/fence_port.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lockspace/guard_protocol.h"
#include "util/cleanup.h"
#include "util/loop.h"
#include "util/seqpacket.h"

#define RESET_MS 5000 /* an answer to a reset is its failure; none by then is one too */

struct request {
	struct timer timer; /* first: timer_fired() casts */
	struct fence_guard *guard;
	enum guard_request_kind kind;
	int fd; /* -1: none under way */
	void (*killed)(void *data, int error, int alive);
	void (*failed)(void *data, int error);
	void *data;
};

struct fence_guard {
	struct fence_port port; /* first */
	struct loop *loop;
	struct request kill, end_storage, reset;
};

static void request_end(struct request *request)
{
	struct clock_port *clock = loop_clock(request->guard->loop);

	if (request->fd < 0)
		return;
	clock->cancel(clock, &request->timer);
	loop_del_fd(request->guard->loop, request->fd);
	close(request->fd);
	request->fd = -1;
}

static void request_answer(struct request *request, int error, int alive)
{
	request_end(request);
	if (request->kind == GUARD_RESET)
		request->failed(request->data, error);
	else
		request->killed(request->data, error, alive);
}

static void timer_fired(struct timer *timer)
{
	request_answer((struct request *)timer, -ETIMEDOUT, 0);
}

static void ready(int fd, short revents, void *data)
{
	struct request *request = data;
	struct guard_reply reply;
	ssize_t n = recv(fd, &reply, sizeof(reply), MSG_DONTWAIT | MSG_TRUNC);

	(void)revents;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
		request_answer(request, -errno, 0);
	else if (n == 0)
		request_answer(request, -ECONNRESET, 0);
	else if (n != sizeof(reply) || reply.version != GUARD_VERSION || reply.error > 0 || reply.alive < 0)
		request_answer(request, -EPROTO, 0);
	else
		request_answer(request, reply.error, reply.alive);
}

/* A connection to the guard, or -errno. Not blocking: a guard whose queue is full is -EAGAIN here. */
static int guard_connect(void)
{
	const char *path = getenv("OVIRT_HA_GUARD_SOCKET");

	return seqpacket_connect(path && path[0] ? path : GUARD_SOCKET);
}

static int request_send(struct request *request, const char *why, mono_t deadline)
{
	struct guard_request message = {.version = GUARD_VERSION, .kind = request->kind};
	struct clock_port *clock = loop_clock(request->guard->loop);
	_cleanup_close_ int fd = -1;
	int r;

	if (request->fd >= 0)
		return -EBUSY;
	memccpy(message.why, why, '\0', sizeof(message.why) - 1);
	fd = guard_connect();
	if (fd < 0)
		return fd;
	if (send(fd, &message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	r = loop_add_fd(request->guard->loop, fd, POLLIN, ready, request);
	if (r < 0)
		return r;
	request->fd = TAKE_FD(fd);
	clock->set(clock, &request->timer, deadline);
	return 0;
}

static int port_listens(struct fence_port *port)
{
	_cleanup_close_ int fd = guard_connect();

	(void)port;
	return fd < 0 ? fd : 0;
}

static int kill_send(struct request *request, const char *why, mono_t deadline,
		     void (*done)(void *data, int error, int alive), void *data)
{
	int r = request_send(request, why, deadline);

	if (r == 0) {
		request->killed = done;
		request->data = data;
	}
	return r;
}

static int port_kill(struct fence_port *port, mono_t deadline, void (*done)(void *data, int error, int alive),
		     void *data)
{
	return kill_send(&((struct fence_guard *)port)->kill, "lease", deadline, done, data);
}

static int port_end_storage(struct fence_port *port, mono_t deadline,
			    void (*done)(void *data, int error, int alive), void *data)
{
	return kill_send(&((struct fence_guard *)port)->end_storage, "join", deadline, done, data);
}

static int port_reset(struct fence_port *port, const char *why, void (*done)(void *data, int error),
		      void *data)
{
	struct fence_guard *guard = (struct fence_guard *)port;
	struct clock_port *clock = loop_clock(guard->loop);
	int r = request_send(&guard->reset, why, mono_add(clock->now(clock), RESET_MS));

	if (r == 0) {
		guard->reset.failed = done;
		guard->reset.data = data;
	}
	return r;
}

static void port_close(struct fence_port *port)
{
	struct fence_guard *guard = (struct fence_guard *)port;

	request_end(&guard->kill);
	request_end(&guard->end_storage);
	request_end(&guard->reset);
	free(guard);
}

int fence_guard_new(struct loop *loop, struct fence_port **ret)
{
	struct fence_guard *guard;

	assert(loop && ret);
	guard = calloc(1, sizeof(*guard));
	if (!guard)
		return -ENOMEM;
	guard->port = (struct fence_port){.kill = port_kill,
					  .end_storage = port_end_storage,
					  .reset = port_reset,
					  .listens = port_listens,
					  .close = port_close};
	guard->loop = loop;
	guard->kill =
		(struct request){.timer.fire = timer_fired, .guard = guard, .kind = GUARD_KILL, .fd = -1};
	guard->end_storage = (struct request){
		.timer.fire = timer_fired, .guard = guard, .kind = GUARD_END_STORAGE, .fd = -1};
	guard->reset =
		(struct request){.timer.fire = timer_fired, .guard = guard, .kind = GUARD_RESET, .fd = -1};
	*ret = &guard->port;
	return 0;
}
