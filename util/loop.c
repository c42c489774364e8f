/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real clock port, descriptors, signals and the service watchdog on libqb's loop. It decides nothing but
 * the order of calls; it may not block outside its poll. Called by the main functions of broker, agent and
 * guard. */
#include "util/loop.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <qb/qbdefs.h>
#include <qb/qbloop.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/worker.h"

/* Of all alike. libqb passes over what has a lower one in one round of three, and polls again for it. */
#define PRIORITY QB_LOOP_HIGH

/* After so long a daemon has read, connected and joined what it will, and gives back what that took. */
#define SETTLED_MS 60000

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
	int alarm;	     /* timerfd */
	mono_t alarm_at;     /* what it is set to; MONO_NEVER: nothing */
	struct timer *first; /* set timers, the earliest first */
	struct timer *due;   /* those of a round that is under way */
	bool ringing;
	bool (*stopping)(void *data);
	void *stopping_data;
	bool stop_asked; /* by a signal */
	bool stopped;	 /* also before loop_run(), which libqb would forget */
	struct timer watchdog;
	int64_t watchdog_ms;
	struct timer settled;
};

_Static_assert(offsetof(struct loop, port) == 0, "the port is the loop");

static mono_t port_now(struct clock_port *port)
{
	return clock_mono();
}

static int64_t port_wall(struct clock_port *port)
{
	return clock_wall();
}

/* libqb counts the last millisecond before a timer by polling without a wait, which is most of what an idle
 * service would do. So the kernel's clock is asked for the first moment that one of our timers can't wait
 * beyond. */
static void alarm_set(struct loop *loop)
{
	mono_t at = MONO_NEVER;
	struct itimerspec when = {0};

	if (loop->ringing)
		return;
	for (const struct timer *timer = loop->first; timer && timer->at < at; timer = timer->next) {
		mono_t latest = mono_add(timer->at, timer->slack_ms);

		at = latest < at ? latest : at;
	}
	if (at == loop->alarm_at)
		return;
	loop->alarm_at = at;
	if (at != MONO_NEVER) {
		when.it_value.tv_sec = at / MONO_SECOND;
		when.it_value.tv_nsec = at % MONO_SECOND * 1000000;
		/* All zero would stop it. */
		if (at <= 0)
			when.it_value = (struct timespec){.tv_nsec = 1};
	}
	/* Fails for wrong arguments alone, and a lost timer is a lost deadline. */
	if (timerfd_settime(loop->alarm, TFD_TIMER_ABSTIME, &when, NULL) < 0)
		abort();
}

static bool list_remove(struct timer **at, struct timer *timer)
{
	while (*at && *at != timer)
		at = &(*at)->next;
	if (!*at)
		return false;
	*at = timer->next;
	timer->next = NULL;
	timer->set = false;
	return true;
}

/* Behind those of the same moment: they fire in the order of their setting. */
static void list_insert(struct timer **at, struct timer *timer)
{
	while (*at && (*at)->at <= timer->at)
		at = &(*at)->next;
	timer->next = *at;
	timer->set = true;
	*at = timer;
}

/* Fires what is due now. What a callback sets waits for the next round, whatever its moment, so that one that
 * always asks for "at once" keeps nobody else from the loop. */
static int32_t alarm_rang(int32_t fd, int32_t revents, void *data)
{
	struct loop *loop = data;
	mono_t now = clock_mono();
	struct timer **at = &loop->first;
	uint64_t times;

	/* It is set anew below; how often it rang is nothing to us. */
	(void)!read(fd, &times, sizeof(times));
	while (*at && (*at)->at <= now)
		at = &(*at)->next;
	if (at != &loop->first) {
		loop->due = loop->first;
		loop->first = *at;
		*at = NULL;
	}
	loop->ringing = true;
	while (loop->due && !loop->stopped) {
		struct timer *timer = loop->due;

		list_remove(&loop->due, timer);
		timer->fire(timer);
	}
	/* A stop in between: they are due when the loop goes on. */
	while (loop->due) {
		struct timer *timer = loop->due;

		list_remove(&loop->due, timer);
		list_insert(&loop->first, timer);
	}
	loop->ringing = false;
	loop->alarm_at = MONO_UNSET;
	alarm_set(loop);
	return 0;
}

static void timer_remove(struct loop *loop, struct timer *timer)
{
	bool found = list_remove(&loop->first, timer) || list_remove(&loop->due, timer);

	assert(found);
}

static void port_cancel(struct clock_port *port, struct timer *timer)
{
	struct loop *loop = (struct loop *)port;

	if (!timer->set)
		return;
	timer_remove(loop, timer);
	alarm_set(loop);
}

static void port_set(struct clock_port *port, struct timer *timer, mono_t at)
{
	struct loop *loop = (struct loop *)port;

	assert(timer->fire);
	if (timer->set)
		timer_remove(loop, timer);
	if (at != MONO_NEVER) {
		timer->at = at;
		list_insert(&loop->first, timer);
	}
	alarm_set(loop);
}

int loop_new(struct loop **ret)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int r;

	assert(ret);
	if (!loop)
		return -ENOMEM;
	loop->port = (struct clock_port){
		.now = port_now, .wall = port_wall, .set = port_set, .cancel = port_cancel};
	loop->alarm_at = MONO_NEVER;
	loop->alarm = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->alarm < 0) {
		r = -errno;
		free(loop);
		return r;
	}
	loop->qb = qb_loop_create();
	r = loop->qb ? qb_loop_poll_add(loop->qb, PRIORITY, loop->alarm, POLLIN, loop, alarm_rang) : -ENOMEM;
	if (r < 0) {
		loop_free(loop);
		return r;
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
	if (loop->qb)
		qb_loop_destroy(loop->qb);
	close(loop->alarm);
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
	r = qb_loop_poll_add(loop->qb, PRIORITY, fd, events, watch, fd_ready);
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

static void give_back(struct timer *timer)
{
	malloc_trim(0);
}

int loop_run(struct loop *loop)
{
	if (!loop->settled.fire) {
		loop->settled.fire = give_back;
		port_set(&loop->port, &loop->settled, mono_add(clock_mono(), SETTLED_MS));
	}
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
