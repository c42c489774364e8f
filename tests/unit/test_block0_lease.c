/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Block 0's lease with its real child and a real sanlock: had, refused while another has it, given back,
 * lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lockspace/block0_port.h"
#include "tests/unit/sanlock_domain.h"
#include "util/clock.h"
#include "util/loop.h"

struct bench {
	struct sanlock_domain domain;
	struct loop *loop;
	struct block0_port *a, *b;
	struct timer timer;
	unsigned calls;
	int error;
};

static struct bench bench;

static struct block0_config config_of(const struct bench *b)
{
	struct block0_config config = {
		.lockspace = "LS",
		.name = "whiteboard",
		.engine_place.offset = DOMAIN_ENGINE_OFFSET,
		.behind = BLOCK0_LEASE_BEHIND,
		.program = WHITEBOARD_LEASE,
	};

	strcpy(config.engine_place.path, b->domain.disk);
	return config;
}

static int setup(void **state)
{
	struct block0_config config;

	memset(&bench, 0, sizeof(bench));
	domain_open(&bench.domain);
	config = config_of(&bench);
	assert_int_equal(loop_new(&bench.loop), 0);
	assert_int_equal(block0_lease_new(&config, bench.loop, &bench.a), 0);
	assert_int_equal(block0_lease_new(&config, bench.loop, &bench.b), 0);
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	b->a->close(b->a);
	b->b->close(b->b);
	loop_free(b->loop);
	domain_close(&b->domain);
	return 0;
}

static void over(struct timer *timer)
{
	(void)timer;
	loop_stop(bench.loop);
}

/* Runs the loop for so long, or until something was taken. */
static void run_for(struct bench *b, int ms)
{
	struct clock_port *clock = loop_clock(b->loop);

	b->timer.fire = over;
	clock->set(clock, &b->timer, clock->now(clock) + ms);
	assert_int_equal(loop_run(b->loop), 0);
	clock->cancel(clock, &b->timer);
}

static void taken(void *data, int error)
{
	struct bench *b = data;

	b->calls++;
	b->error = error;
	loop_stop(b->loop);
}

static bool owned(struct bench *b)
{
	char place[256], out[1024] = "";
	FILE *pipe;

	snprintf(place, sizeof(place),
		 "sanlock direct read_leader -r LS:whiteboard:%s:%zu 2>/dev/null | grep ^timestamp",
		 b->domain.disk, DOMAIN_WHITEBOARD_OFFSET);
	pipe = popen(place, "r");
	assert_non_null(pipe);
	assert_non_null(fgets(out, sizeof(out), pipe));
	pclose(pipe);
	return strcmp(out, "timestamp 0\n") != 0;
}

static bool free_again(void *data)
{
	run_for(data, 20);
	return !owned(data);
}

static void test_take_and_release(void **state)
{
	struct bench *b = *state;

	domain_start(&b->domain);
	/* not joined: tried again and again, until given up */
	assert_int_equal(b->a->take(b->a, taken, b), 0);
	assert_int_equal(b->a->take(b->a, taken, b), -EBUSY);
	run_for(b, 800);
	b->a->release(b->a);
	run_for(b, 200);
	assert_int_equal(b->calls, 0);

	domain_join(&b->domain);
	assert_int_equal(b->a->take(b->a, taken, b), 0);
	run_for(b, 5000);
	assert_int_equal(b->calls, 1);
	assert_int_equal(b->error, 0);
	assert_true(owned(b));
	assert_int_equal(b->a->take(b->a, taken, b), -EBUSY);

	/* another waits for it, and gets it once it is free */
	assert_int_equal(b->b->take(b->b, taken, b), 0);
	run_for(b, 1200);
	assert_int_equal(b->calls, 1);
	b->a->release(b->a);
	run_for(b, 5000);
	assert_int_equal(b->calls, 2);
	assert_int_equal(b->error, 0);

	b->b->release(b->b);
	b->b->release(b->b);
	/* taken at once after a release */
	assert_int_equal(b->b->take(b->b, taken, b), 0);
	run_for(b, 5000);
	assert_int_equal(b->calls, 3);
	assert_int_equal(b->error, 0);
	b->b->release(b->b);
	assert_true(domain_wait(free_again, b, 5000));
}

static void test_lost(void **state)
{
	struct bench *b = *state;
	struct block0_config config = config_of(b);

	domain_start(&b->domain);
	domain_join(&b->domain);
	assert_int_equal(b->a->take(b->a, taken, b), 0);
	run_for(b, 5000);
	assert_int_equal(b->error, 0);
	domain_kill(&b->domain);
	run_for(b, 500);
	/* noticed: it may be taken again (and is not to be had) */
	assert_int_equal(b->a->take(b->a, taken, b), 0);
	b->a->release(b->a);

	b->b->close(b->b);
	config.program = "/nowhere/ovirt-ha-whiteboard-lease";
	assert_int_equal(block0_lease_new(&config, b->loop, &b->b), 0);
	assert_int_equal(b->b->take(b->b, taken, b), -ENOENT);
}

/* How many of ours live. */
static int children(void)
{
	char command[96];
	FILE *pipe;
	int n = -1;

	snprintf(command, sizeof(command), "pgrep -c -P %d -x ovirt-ha-whiteb", getpid());
	pipe = popen(command, "r");
	assert_non_null(pipe);
	assert_int_equal(fscanf(pipe, "%d", &n), 1);
	pclose(pipe);
	return n;
}

static bool has_ended(void *data)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t) * (pid_t *)data, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid != 0;
}

/* sanlock hangs: the child is killed in time, and nothing is left. */
static void test_hang(void **state)
{
	struct bench *b = *state;
	mono_t begun;

	domain_start(&b->domain);
	domain_signal(&b->domain, SIGSTOP);
	begun = clock_mono();
	assert_int_equal(b->a->take(b->a, taken, b), 0);
	run_for(b, 15000);
	assert_int_equal(b->calls, 1);
	assert_int_equal(b->error, -ETIMEDOUT);
	assert_in_range(clock_mono() - begun, BLOCK0_TAKE_MS, BLOCK0_TAKE_MS + 1000);
	run_for(b, 200);
	assert_int_equal(children(), 0);
	assert_int_equal(b->a->take(b->a, taken, b), 0);
	b->a->release(b->a);
}

/* Its parent hangs: the child's own clock ends it, and that frees the lease (safety rule 16). */
static void test_time_of_its_own(void **state)
{
	struct bench *b = *state;
	int in[2], status, null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	char offset[24];
	pid_t child;

	domain_start(&b->domain);
	domain_join(&b->domain);
	snprintf(offset, sizeof(offset), "%zu", (size_t)DOMAIN_ENGINE_OFFSET);
	assert_int_equal(pipe(in), 0);
	child = fork();
	if (child == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(null, STDOUT_FILENO); /* its word is the parent's to hear, ours is TAP */
		execl(WHITEBOARD_LEASE, "ovirt-ha-whiteboard-lease", "LS", "whiteboard", b->domain.disk,
		      offset, "1", "2", (char *)NULL);
		_exit(127);
	}
	assert_int_equal(domain_wait(has_ended, &child, 6000), true);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGALRM);
	close(in[0]);
	close(in[1]);
	close(null);
	assert_true(domain_wait(free_again, b, 5000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_take_and_release, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hang, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time_of_its_own, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
