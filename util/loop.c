/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real clock port, descriptors, signals and the service watchdog on libqb's loop. It decides nothing but
 * the order of calls; it may not block outside its poll. Called by the main functions of broker, agent and
 * guard. */
#include "util/loop.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <qb/qbdefs.h>
#include <qb/qbloop.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

#include "util/clock.h"
#include "util/worker.h"

#define NS_PER_MS 1000000ULL

struct watch {
	int fd;
	void (*ready)(int fd, short revents, void *data);
	void *data;
	struct watch *next;
};

struct loop {
	struct clock_port port; /* first: the port's `this` */
	struct qb_loop *qb;
	struct watch *watches;
	bool (*stopping)(void *data);
	void *stopping_data;
	bool stop_asked; /* by a signal */
	bool stopped;	 /* also before loop_run(), which libqb would forget */
	struct timer watchdog;
	int64_t watchdog_ms;
};

_Static_assert(offsetof(struct loop, port) == 0, "the port is the loop");
_Static_assert(sizeof(qb_loop_timer_handle) == sizeof(uint64_t), "struct timer keeps libqb's handle");

static mono_t port_now(struct clock_port *port)
{
	return clock_mono();
}

static int64_t port_wall(struct clock_port *port)
{
	return clock_wall();
}

static void timer_fired(void *data)
{
	struct timer *timer = data;

	timer->set = false;
	timer->fire(timer);
}

static void port_cancel(struct clock_port *port, struct timer *timer)
{
	struct loop *loop = (struct loop *)port;

	if (!timer->set)
		return;
	timer->set = false;
	qb_loop_timer_del(loop->qb, timer->impl_handle);
}

static void port_set(struct clock_port *port, struct timer *timer, mono_t at)
{
	struct loop *loop = (struct loop *)port;
	mono_t now = clock_mono();
	uint64_t wait_ms = at > now ? (uint64_t)(at - now) : 0;
	qb_loop_timer_handle handle;
	int r;

	assert(timer->fire);
	port_cancel(port, timer);
	if (at == MONO_NEVER)
		return;
	/* A far moment would overflow libqb's nanoseconds. */
	if (wait_ms > INT64_MAX / NS_PER_MS / 2)
		return;
	r = qb_loop_timer_add(loop->qb, QB_LOOP_MED, wait_ms * NS_PER_MS, timer, timer_fired, &handle);
	/* Fails only without memory, and a lost timer is a lost deadline. */
	if (r != 0)
		abort();
	timer->impl_handle = handle;
	timer->set = true;
}

int loop_new(struct loop **ret)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	assert(ret);
	if (!loop)
		return -ENOMEM;
	loop->port = (struct clock_port){
		.now = port_now, .wall = port_wall, .set = port_set, .cancel = port_cancel};
	loop->qb = qb_loop_create();
	if (!loop->qb) {
		free(loop);
		return -ENOMEM;
	}
	*ret = loop;
	return 0;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	while (loop->watches)
		loop_del_fd(loop, loop->watches->fd);
	qb_loop_destroy(loop->qb);
	free(loop);
}

struct clock_port *loop_clock(struct loop *loop)
{
	return &loop->port;
}

struct qb_loop *loop_qb(struct loop *loop)
{
	return loop->qb;
}

static int32_t fd_ready(int32_t fd, int32_t revents, void *data)
{
	const struct watch *watch = data;

	/* `ready` may remove and free the watch. */
	watch->ready(fd, (short)revents, watch->data);
	return 0;
}

int loop_add_fd(struct loop *loop, int fd, short events, void (*ready)(int fd, short revents, void *data),
		void *data)
{
	struct watch *watch;
	int r;

	assert(fd >= 0 && ready);
	watch = malloc(sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	*watch = (struct watch){.fd = fd, .ready = ready, .data = data, .next = loop->watches};
	r = qb_loop_poll_add(loop->qb, QB_LOOP_MED, fd, events, watch, fd_ready);
	if (r != 0) {
		free(watch);
		return r;
	}
	loop->watches = watch;
	return 0;
}

void loop_del_fd(struct loop *loop, int fd)
{
	for (struct watch **at = &loop->watches; *at; at = &(*at)->next) {
		struct watch *watch = *at;

		if (watch->fd != fd)
			continue;
		qb_loop_poll_del(loop->qb, fd);
		*at = watch->next;
		free(watch);
		return;
	}
}

static void worker_ready(int fd, short revents, void *data)
{
	worker_dispatch(data);
}

int loop_add_worker(struct loop *loop, struct worker *worker)
{
	return loop_add_fd(loop, worker_fd(worker), POLLIN, worker_ready, worker);
}

static int32_t signalled(int32_t number, void *data)
{
	struct loop *loop = data;

	if (loop->stop_asked)
		return 0;
	loop->stop_asked = true;
	if (!loop->stopping || !loop->stopping(loop->stopping_data))
		loop_stop(loop);
	return 0;
}

int loop_on_signals(struct loop *loop, bool (*stopping)(void *data), void *data)
{
	static const int numbers[] = {SIGTERM, SIGINT};

	loop->stopping = stopping;
	loop->stopping_data = data;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		int r = qb_loop_signal_add(loop->qb, QB_LOOP_HIGH, numbers[i], loop, signalled, NULL);

		if (r != 0)
			return r;
	}
	return 0;
}

static void pet(struct timer *timer)
{
	struct loop *loop = (struct loop *)((char *)timer - offsetof(struct loop, watchdog));

	sd_notify(0, "WATCHDOG=1");
	port_set(&loop->port, timer, mono_add(clock_mono(), loop->watchdog_ms));
}

void loop_watchdog(struct loop *loop)
{
	uint64_t usec = 0;

	if (sd_watchdog_enabled(0, &usec) <= 0)
		return;
	/* A late round of the loop still comes in time at half the period. */
	loop->watchdog_ms = (int64_t)(usec / 2000);
	loop->watchdog.fire = pet;
	pet(&loop->watchdog);
}

int loop_run(struct loop *loop)
{
	if (!loop->stopped)
		qb_loop_run(loop->qb);
	loop->stopped = false;
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
	qb_loop_stop(loop->qb);
}
