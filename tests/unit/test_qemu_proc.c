/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The QEMU port with readings of /proc that hang: qemu_find() and qemu_open() are this test's own, so they
 * block for as long as it likes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/qemu_port.h"
#include "lockspace/qemu_pid.h"
#include "util/clock.h"
#include "util/loop.h"
#include "util/worker.h"

#define LATE_MS 200
#define AT_ONCE_MS 150

static struct {
	pthread_mutex_t lock;
	pthread_cond_t free;
	bool hangs;
	unsigned readings;
	int error;
	pid_t pid;
} proc = {.lock = PTHREAD_MUTEX_INITIALIZER, .free = PTHREAD_COND_INITIALIZER};

int qemu_find(const char *uuid, struct qemu_pids *ret)
{
	int r;

	(void)uuid;
	pthread_mutex_lock(&proc.lock);
	proc.readings++;
	while (proc.hangs)
		pthread_cond_wait(&proc.free, &proc.lock);
	*ret = (struct qemu_pids){.n = proc.pid > 0, .pids = {proc.pid}};
	r = proc.error;
	pthread_mutex_unlock(&proc.lock);
	return r;
}

int qemu_open(const char *uuid, pid_t pid)
{
	(void)uuid;
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static void proc_set(bool hangs, int error, pid_t pid)
{
	pthread_mutex_lock(&proc.lock);
	proc.hangs = hangs;
	proc.error = error;
	proc.pid = pid;
	pthread_cond_broadcast(&proc.free);
	pthread_mutex_unlock(&proc.lock);
}

static unsigned readings(void)
{
	unsigned n;

	pthread_mutex_lock(&proc.lock);
	n = proc.readings;
	pthread_mutex_unlock(&proc.lock);
	return n;
}

struct bench {
	struct loop *loop;
	struct qemu_port *port;
	bool answered;
	int error;
	int32_t pid;
	mono_t begun;
	struct timer limit;
	pid_t child;
	unsigned ends;
};

static struct bench bench;

static void found(void *data, int error, int32_t pid, mono_t begun)
{
	struct bench *b = data;

	assert_false(b->answered);
	b->answered = true;
	b->error = error;
	b->pid = pid;
	b->begun = begun;
	loop_stop(b->loop);
}

static void too_long(struct timer *timer)
{
	(void)timer;
	loop_stop(bench.loop);
}

/* How long the answer took. */
static int64_t answer(struct bench *b)
{
	struct clock_port *clock = loop_clock(b->loop);
	mono_t begun = clock_mono();

	b->limit.fire = too_long;
	clock->set(clock, &b->limit, mono_add(begun, 5000));
	while (!b->answered && clock_mono() < begun + 5000)
		loop_run(b->loop);
	clock->cancel(clock, &b->limit);
	assert_true(b->answered);
	return clock_mono() - begun;
}

static int64_t ask(struct bench *b, int (*question)(struct qemu_port *, mono_t, qemu_found_fn, void *))
{
	b->answered = false;
	assert_int_equal(question(b->port, clock_mono() + LATE_MS, found, b), 0);
	assert_false(b->answered);
	return answer(b);
}

static int setup(void **state)
{
	memset(&bench, 0, sizeof(bench));
	proc_set(false, 0, 0);
	proc.readings = 0;
	assert_int_equal(loop_new(&bench.loop), 0);
	assert_int_equal(qemu_proc_new("12345678-1234-4234-8234-123456789012", bench.loop, &bench.port), 0);
	bench.child = fork();
	if (bench.child == 0) {
		alarm(60);
		for (;;)
			pause();
	}
	*state = &bench;
	return 0;
}

static void child_end(struct bench *b)
{
	if (b->child <= 0)
		return;
	kill(b->child, SIGKILL);
	waitpid(b->child, NULL, 0);
	b->child = 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	proc_set(false, 0, 0);
	b->port->close(b->port);
	loop_free(b->loop);
	child_end(b);
	return 0;
}

static void test_answers(void **state)
{
	struct bench *b = *state;
	mono_t before = clock_mono();

	ask(b, b->port->find);
	assert_int_equal(b->error, 0);
	assert_int_equal(b->pid, 0);
	assert_true(b->begun >= before);
	proc_set(false, -EPERM, 0);
	ask(b, b->port->find);
	assert_int_equal(b->error, -EPERM);
	proc_set(false, 0, b->child);
	ask(b, b->port->prove);
	assert_int_equal(b->error, 0);
	assert_int_equal(b->pid, b->child);
}

static void test_none_is_read_anew(void **state)
{
	struct bench *b = *state;

	ask(b, b->port->find);
	ask(b, b->port->find);
	assert_int_equal(readings(), 2);
}

static void ended(void *data)
{
	struct bench *b = data;

	b->ends++;
	b->answered = true;
	loop_stop(b->loop);
}

/* Told once, whoever has asked since, and only of the one that is known. */
static void test_end_is_told(void **state)
{
	struct bench *b = *state;
	pid_t child = b->child;

	b->port->ended = ended;
	b->port->data = b;
	proc_set(false, 0, child);
	ask(b, b->port->find);
	ask(b, b->port->prove);
	b->answered = false;
	child_end(b);
	assert_true(answer(b) < LATE_MS);
	assert_int_equal(b->ends, 1);
	proc_set(false, 0, 0);
	ask(b, b->port->find);
	assert_int_equal(b->error, 0);
	assert_int_equal(b->pid, 0);
	assert_int_equal(b->ends, 1);
}

static void test_found_is_kept(void **state)
{
	struct bench *b = *state;
	mono_t before;

	proc_set(false, 0, b->child);
	ask(b, b->port->find);
	before = clock_mono();
	ask(b, b->port->find);
	assert_int_equal(b->pid, b->child);
	assert_true(b->begun >= before);
	assert_int_equal(readings(), 1);
	/* A proof rests on nothing that is kept. */
	ask(b, b->port->prove);
	assert_int_equal(readings(), 2);
	proc_set(false, 0, 0);
	child_end(b);
	ask(b, b->port->find);
	assert_int_equal(b->error, 0);
	assert_int_equal(b->pid, 0);
	assert_int_equal(readings(), 3);
}

static void test_hanging(void **state)
{
	struct bench *b = *state;
	int64_t taken;

	proc_set(true, 0, 0);
	for (unsigned i = 0; i < WORKER_STUCK_MAX; i++) {
		taken = ask(b, b->port->find);
		assert_int_equal(b->error, -ETIMEDOUT);
		assert_in_range(taken, LATE_MS - 20, LATE_MS + 2000);
	}
	/* Threads that hang are not piled up, and proofs have their own. */
	assert_int_equal(b->port->find(b->port, clock_mono() + LATE_MS, found, b), -EBUSY);
	ask(b, b->port->prove);
	assert_int_equal(b->error, -ETIMEDOUT);
	proc_set(false, 0, b->child);
	ask(b, b->port->prove);
	assert_int_equal(b->error, 0);
	assert_int_equal(b->pid, b->child);
	assert_true(ask(b, b->port->find) < AT_ONCE_MS);
	assert_int_equal(b->pid, b->child);
}

static mono_t long_ago(struct clock_port *port)
{
	(void)port;
	return clock_mono() - 2 * QEMU_RESCAN_MS;
}

/* One that was found is known to live, however many readings hang. */
static void test_kept_while_all_hang(void **state)
{
	struct bench *b = *state;
	struct clock_port *clock = loop_clock(b->loop);
	mono_t (*now_now)(struct clock_port * port) = clock->now, now;

	proc_set(false, 0, b->child);
	clock->now = long_ago;
	ask(b, b->port->find);
	clock->now = now_now;
	proc_set(true, 0, 0);
	for (unsigned i = 0; i < WORKER_STUCK_MAX + 2; i++) {
		now = clock_mono();
		ask(b, b->port->find);
		assert_int_equal(b->error, 0);
		assert_int_equal(b->pid, b->child);
		assert_true(b->begun >= now);
	}
	child_end(b);
	assert_int_equal(b->port->find(b->port, clock_mono() + LATE_MS, found, b), -EBUSY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_none_is_read_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_found_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hanging, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept_while_all_hang, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
