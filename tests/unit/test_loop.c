/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real loop: order of timers, moving and cancelling them, a descriptor removed by its own callback,
 * slack, signals, a stop before the run, and the watchdog's notification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/loop.h"
#include "util/worker.h"

struct fixture {
	struct loop *loop;
	struct clock_port *clock;
	struct timer timers[3];
	struct timer limit;
	char fired[16];
	mono_t moment;
	unsigned stopping;
};

static struct fixture f;
static int64_t behind_ms; /* that the clock is */
static unsigned trims;

mono_t __real_clock_mono(void);
mono_t __wrap_clock_mono(void);
int __wrap_malloc_trim(size_t pad);

mono_t __wrap_clock_mono(void)
{
	return __real_clock_mono() - behind_ms;
}

int __wrap_malloc_trim(size_t pad)
{
	trims++;
	return 0;
}

static void fire_letter(struct timer *t)
{
	f.fired[strlen(f.fired)] = (char)('a' + (t - f.timers));
}

static void fire_moment(struct timer *t)
{
	fire_letter(t);
	f.moment = f.clock->now(f.clock);
}

static void fire_stop(struct timer *t)
{
	loop_stop(f.loop);
}

static void fire_too_late(struct timer *t)
{
	abort();
}

static int setup(void **state)
{
	memset(&f, 0, sizeof(f));
	if (loop_new(&f.loop) < 0)
		return -1;
	f.clock = loop_clock(f.loop);
	for (int i = 0; i < 3; i++)
		f.timers[i].fire = fire_letter;
	f.limit.fire = fire_too_late;
	f.clock->set(f.clock, &f.limit, f.clock->now(f.clock) + 20000);
	return 0;
}

static int teardown(void **state)
{
	loop_free(f.loop);
	return 0;
}

static void test_timers(void **state)
{
	mono_t now = f.clock->now(f.clock);
	struct timer stop = {.fire = fire_stop};

	f.clock->set(f.clock, &f.timers[0], now + 60);
	f.clock->set(f.clock, &f.timers[1], now - 5000);
	f.clock->set(f.clock, &f.timers[2], now + 20);
	f.clock->set(f.clock, &f.timers[0], now + 30); /* moved */
	f.clock->set(f.clock, &stop, now + 90);
	assert_int_equal(loop_run(f.loop), 0);
	assert_string_equal(f.fired, "bca");
	assert_true(f.clock->now(f.clock) >= now + 90);
	assert_false(f.timers[0].set);
}

static void test_cancel(void **state)
{
	mono_t now = f.clock->now(f.clock);
	struct timer stop = {.fire = fire_stop};

	f.clock->set(f.clock, &f.timers[0], now + 5);
	f.clock->set(f.clock, &f.timers[1], now + 5);
	f.clock->set(f.clock, &f.timers[2], now + 5);
	f.clock->cancel(f.clock, &f.timers[0]);
	f.clock->cancel(f.clock, &f.timers[0]);
	f.clock->set(f.clock, &f.timers[1], MONO_NEVER);
	f.clock->set(f.clock, &stop, now + 30);
	assert_int_equal(loop_run(f.loop), 0);
	assert_string_equal(f.fired, "c");
}

/* One that may wait fires with the next, and by itself when it may wait no longer. */
static void test_slack(void **state)
{
	mono_t now = f.clock->now(f.clock);
	struct timer stop = {.fire = fire_stop}, alone = {.fire = fire_stop, .slack_ms = 40};

	f.timers[0].fire = fire_moment;
	f.timers[0].slack_ms = 30000; /* beyond the test's limit */
	f.clock->set(f.clock, &f.timers[0], now + 5);
	f.clock->set(f.clock, &f.timers[1], now + 40);
	f.clock->set(f.clock, &stop, now + 60);
	assert_int_equal(loop_run(f.loop), 0);
	assert_string_equal(f.fired, "ab");
	assert_true(f.moment >= now + 40);

	now = f.clock->now(f.clock);
	f.clock->set(f.clock, &f.timers[0], now + 5);
	f.clock->set(f.clock, &alone, now + 10);
	assert_int_equal(loop_run(f.loop), 0);
	assert_string_equal(f.fired, "aba");
	assert_true(f.moment >= now + 50);
}

static void fire_cancel_next(struct timer *t)
{
	fire_letter(t);
	f.clock->cancel(f.clock, t + 1);
}

/* Timers of one moment fire in the order of their setting, and one may still cancel the next. */
static void test_same_moment(void **state)
{
	mono_t now = f.clock->now(f.clock);
	struct timer stop = {.fire = fire_stop};

	f.timers[0].fire = fire_cancel_next;
	f.clock->set(f.clock, &f.timers[2], now + 5);
	f.clock->set(f.clock, &f.timers[0], now + 5);
	f.clock->set(f.clock, &f.timers[1], now + 5);
	f.clock->set(f.clock, &stop, now + 5);
	assert_int_equal(loop_run(f.loop), 0);
	assert_string_equal(f.fired, "ca");
}

/* What a stop left undone is done when the loop goes on. */
static void test_stop_in_a_round(void **state)
{
	mono_t now = f.clock->now(f.clock);
	struct timer stop = {.fire = fire_stop}, end = {.fire = fire_stop};

	f.clock->set(f.clock, &stop, now + 1);
	f.clock->set(f.clock, &f.timers[0], now + 1);
	f.clock->set(f.clock, &f.timers[1], now + 1);
	while (f.clock->now(f.clock) <= now + 1)
		; /* all are due in one round */
	assert_int_equal(loop_run(f.loop), 0);
	assert_string_equal(f.fired, "");
	assert_true(f.timers[1].set);
	f.clock->set(f.clock, &end, now + 10);
	assert_int_equal(loop_run(f.loop), 0);
	assert_string_equal(f.fired, "ab");
}

static void fire_again_at_once(struct timer *t)
{
	f.clock->set(f.clock, t, MONO_UNSET);
}

static void read_once(int fd, short revents, void *data)
{
	char c;

	assert_true(revents & POLLIN);
	assert_int_equal(read(fd, &c, 1), 1);
	assert_int_equal(c, 'x');
	loop_del_fd(f.loop, fd);
	loop_stop(f.loop);
}

/* Two timers that always ask for "at once" keep no descriptor from its turn. */
static void test_no_starving(void **state)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	f.timers[0].fire = f.timers[1].fire = fire_again_at_once;
	f.clock->set(f.clock, &f.timers[0], 0);
	f.clock->set(f.clock, &f.timers[1], 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(loop_add_fd(f.loop, fds[0], POLLIN, read_once, NULL), 0);
	assert_int_equal(loop_run(f.loop), 0);
	close(fds[0]);
	close(fds[1]);
}

static void test_descriptor(void **state)
{
	struct timer stop = {.fire = fire_stop};
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(loop_add_fd(f.loop, ends[0], POLLIN, read_once, NULL), 0);
	assert_int_equal(write(ends[1], "xy", 2), 2);
	assert_int_equal(loop_run(f.loop), 0);
	/* Removed: the second byte calls nobody. */
	f.clock->set(f.clock, &stop, f.clock->now(f.clock) + 20);
	assert_int_equal(loop_run(f.loop), 0);
	close(ends[0]);
	close(ends[1]);
}

static bool stop_later(void *data)
{
	struct timer *stop = data;

	f.stopping++;
	f.clock->set(f.clock, stop, f.clock->now(f.clock) + 20);
	return true;
}

static void test_signals(void **state)
{
	struct timer stop = {.fire = fire_stop};

	assert_int_equal(loop_on_signals(f.loop, stop_later, &stop), 0);
	kill(getpid(), SIGTERM);
	kill(getpid(), SIGINT);
	assert_int_equal(loop_run(f.loop), 0);
	assert_int_equal(f.stopping, 1);
}

static void test_stop_before_run(void **state)
{
	loop_stop(f.loop);
	assert_int_equal(loop_run(f.loop), 0);
}

static void count_notices(int fd, short revents, void *data)
{
	unsigned *n = data;
	char text[64];
	ssize_t size = recv(fd, text, sizeof(text) - 1, 0);

	assert_true(size > 0);
	text[size] = '\0';
	assert_string_equal(text, "WATCHDOG=1");
	if (++*n == 3)
		loop_stop(f.loop);
}

static void test_watchdog(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char pid[16], name[64];
	unsigned n = 0;

	/* Abstract: nothing to remove. */
	snprintf(name, sizeof(name), "@ovirt-ha-test-%d", getpid());
	memcpy(address.sun_path, name, strlen(name));
	address.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
			 0);
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("NOTIFY_SOCKET", name, 1);
	setenv("WATCHDOG_PID", pid, 1);
	setenv("WATCHDOG_USEC", "40000", 1);
	assert_int_equal(loop_add_fd(f.loop, fd, POLLIN, count_notices, &n), 0);
	loop_watchdog(f.loop);
	assert_int_equal(loop_run(f.loop), 0);
	assert_int_equal(n, 3);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
	loop_del_fd(f.loop, fd);
	close(fd);
}

struct stop_job {
	struct job job;
	bool ran;
};

static void stop_run(struct job *job)
{
	((struct stop_job *)job)->ran = true;
}

static void stop_done(struct job *job)
{
	loop_stop(f.loop);
}

static void stop_destroy(struct job *job)
{
	abort();
}

static void test_worker_in_loop(void **state)
{
	struct stop_job job = {.job = {.run = stop_run, .done = stop_done, .destroy = stop_destroy}};
	struct worker *w;

	assert_int_equal(worker_new("test", &w), 0);
	assert_int_equal(loop_add_worker(f.loop, w), 0);
	assert_int_equal(worker_start(w, &job.job), 0);
	assert_int_equal(loop_run(f.loop), 0);
	assert_true(job.ran);
	loop_del_fd(f.loop, worker_fd(w));
	worker_free(w);
}

/* A minute after it began to run: the clock goes right again by as much. */
static void test_memory_is_given_back(void **state)
{
	struct timer stop = {.fire = fire_stop};

	trims = 0;
	for (behind_ms = 60000; behind_ms >= 0; behind_ms -= 60000) {
		f.clock->set(f.clock, &stop, f.clock->now(f.clock) + 20);
		assert_int_equal(loop_run(f.loop), 0);
		assert_int_equal(trims, behind_ms == 0);
	}
	behind_ms = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_timers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slack, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_moment, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_in_a_round, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_starving, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptor, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_before_run, setup, teardown),
		cmocka_unit_test_setup_teardown(test_watchdog, setup, teardown),
		cmocka_unit_test_setup_teardown(test_worker_in_loop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory_is_given_back, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
