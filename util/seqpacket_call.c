/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sends one message and waits in the loop for one. It decides nothing about what is said. Called by
 * lockspace/fence_guard.c and broker/connect_socket.c. */
#include "util/seqpacket_call.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/seqpacket.h"

void seqpacket_call_end(struct seqpacket_call *call)
{
	struct clock_port *clock;

	if (call->fd < 0)
		return;
	clock = loop_clock(call->loop);
	clock->cancel(clock, &call->timer);
	loop_del_fd(call->loop, call->fd);
	close(call->fd);
	call->fd = -1;
}

static void answer(struct seqpacket_call *call, int error, const void *reply)
{
	seqpacket_call_end(call);
	call->done(call, error, reply);
}

static void timer_fired(struct timer *timer)
{
	answer((struct seqpacket_call *)timer, -ETIMEDOUT, NULL);
}

static void ready(int fd, short revents, void *data)
{
	struct seqpacket_call *call = data;
	_Alignas(max_align_t) char reply[SEQPACKET_REPLY_MAX];
	ssize_t n = recv(fd, reply, sizeof(reply), MSG_DONTWAIT | MSG_TRUNC);

	(void)revents;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
		answer(call, -errno, NULL);
	else if (n == 0)
		answer(call, -ECONNRESET, NULL);
	else if ((size_t)n != call->reply_size)
		answer(call, -EPROTO, NULL);
	else
		answer(call, 0, reply);
}

void seqpacket_call_init(struct seqpacket_call *call, struct loop *loop, size_t reply_size,
			 void (*done)(struct seqpacket_call *call, int error, const void *reply))
{
	assert(loop && done && reply_size <= SEQPACKET_REPLY_MAX);
	*call = (struct seqpacket_call){
		.timer.fire = timer_fired, .loop = loop, .fd = -1, .reply_size = reply_size, .done = done};
}

int seqpacket_call_start(struct seqpacket_call *call, const char *path, const void *message, size_t size,
			 mono_t deadline)
{
	struct clock_port *clock = loop_clock(call->loop);
	_cleanup_close_ int fd = -1;
	int r;

	if (call->fd >= 0)
		return -EBUSY;
	fd = seqpacket_connect(path);
	if (fd < 0)
		return fd;
	if (send(fd, message, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	r = loop_add_fd(call->loop, fd, POLLIN, ready, call);
	if (r < 0)
		return r;
	call->fd = TAKE_FD(fd);
	clock->set(clock, &call->timer, deadline);
	return 0;
}
