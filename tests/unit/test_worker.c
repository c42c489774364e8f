/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The worker: jobs end in the loop's thread, one that hangs is given up at once and frees itself late, a new
 * thread serves the next, and no more than WORKER_STUCK_MAX are left behind. Hanging is a read of a pipe that
 * the test writes when it likes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <assert.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "util/worker.h"

#define WAIT_MS 10000
#define ROUNDS 5000

struct pipe_job {
	struct job job;
	int gate;   /* run() reads a byte of it, -1: returns at once */
	int report; /* gets 'd' from destroy() */
	bool quiet;
	pthread_t ran_in;
	struct pipe_job **done_here;
};

/* Not cmocka's asserts: they jump, and this is another thread. */
static void job_run(struct job *job)
{
	struct pipe_job *j = (struct pipe_job *)job;
	char c;

	j->ran_in = pthread_self();
	if (j->gate >= 0)
		assert(read(j->gate, &c, 1) == 1);
	job->quiet = j->quiet;
}

static void job_done(struct job *job)
{
	struct pipe_job *j = (struct pipe_job *)job;

	*j->done_here = j;
}

static void job_destroy(struct job *job)
{
	struct pipe_job *j = (struct pipe_job *)job;
	int report = j->report;

	free(j);
	assert(write(report, "d", 1) == 1);
}

static struct pipe_job *job_new(int gate, int report, struct pipe_job **done_here)
{
	struct pipe_job *j = calloc(1, sizeof(*j));

	assert_non_null(j);
	*j = (struct pipe_job){.job = {.run = job_run, .done = job_done, .destroy = job_destroy},
			       .gate = gate,
			       .report = report,
			       .done_here = done_here};
	return j;
}

static bool readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

static void test_ends_in_loop(void **state)
{
	struct pipe_job *done = NULL;
	struct worker *w;

	assert_int_equal(worker_new("test", &w), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(worker_start(w, &job_new(-1, -1, &done)->job), 0);
		assert_true(worker_busy(w));
		assert_true(readable(worker_fd(w), WAIT_MS));
		assert_true(worker_busy(w));
		assert_null(done);
		worker_dispatch(w);
		assert_non_null(done);
		assert_false(worker_busy(w));
		assert_false(pthread_equal(done->ran_in, pthread_self()));
		assert_false(readable(worker_fd(w), 0));
		free(done);
		done = NULL;
	}
	worker_free(w);
	worker_free(NULL);
}

/* Its end wakes nobody, and is found by who looks. */
static void test_quiet(void **state)
{
	struct pipe_job *done = NULL, *job = job_new(-1, -1, &done);
	struct worker *w;

	job->quiet = true;
	assert_int_equal(worker_new("test", &w), 0);
	assert_int_equal(worker_start(w, &job->job), 0);
	for (int i = 0; !done && i < WAIT_MS; i++) {
		assert_false(readable(worker_fd(w), 1));
		worker_dispatch(w);
	}
	assert_ptr_equal(done, job);
	assert_false(worker_busy(w));
	free(done);
	worker_free(w);
}

static void test_one_at_a_time(void **state)
{
	struct pipe_job *done = NULL, *second = job_new(-1, -1, &done);
	struct worker *w;
	int gate[2];

	assert_int_equal(pipe(gate), 0);
	assert_int_equal(worker_new("test", &w), 0);
	assert_int_equal(worker_start(w, &job_new(gate[0], -1, &done)->job), 0);
	assert_int_equal(worker_start(w, &second->job), -EBUSY);
	assert_int_equal(write(gate[1], "g", 1), 1);
	assert_true(readable(worker_fd(w), WAIT_MS));
	assert_int_equal(worker_start(w, &second->job), -EBUSY);
	worker_dispatch(w);
	free(done);
	free(second);
	worker_free(w);
	close(gate[0]);
	close(gate[1]);
}

static void test_hangs(void **state)
{
	struct pipe_job *done = NULL, *extra;
	int gate[2], report[2], fd;
	struct worker *w;
	char c;

	assert_int_equal(pipe(gate), 0);
	assert_int_equal(pipe(report), 0);
	assert_int_equal(worker_new("test", &w), 0);
	for (unsigned i = 1; i <= WORKER_STUCK_MAX; i++) {
		assert_int_equal(worker_start(w, &job_new(gate[0], report[1], &done)->job), 0);
		worker_give_up(w);
		assert_false(worker_busy(w));
		assert_int_equal(worker_stuck(w), i);
		if (i == WORKER_STUCK_MAX)
			break;
		/* A new thread serves the next job at once. */
		assert_int_equal(worker_start(w, &job_new(-1, report[1], &done)->job), 0);
		assert_true(readable(worker_fd(w), WAIT_MS));
		worker_dispatch(w);
		assert_non_null(done);
		free(done);
		done = NULL;
	}
	extra = job_new(-1, report[1], &done);
	assert_int_equal(worker_start(w, &extra->job), -EBUSY);
	assert_false(readable(report[0], 0));

	/* One comes back late: destroyed, never done, and there is room again. */
	assert_int_equal(write(gate[1], "g", 1), 1);
	assert_true(readable(report[0], WAIT_MS));
	assert_int_equal(read(report[0], &c, 1), 1);
	for (int i = 0; i < WAIT_MS && worker_stuck(w) == WORKER_STUCK_MAX; i++)
		poll(NULL, 0, 1);
	assert_int_equal(worker_stuck(w), WORKER_STUCK_MAX - 1);
	assert_null(done);
	assert_int_equal(worker_start(w, &extra->job), 0);
	assert_true(readable(worker_fd(w), WAIT_MS));
	worker_dispatch(w);
	assert_ptr_equal(done, extra);
	free(extra);

	/* The worker goes before the others come back, and its descriptor with the last of them: until then
	 * the number must not become another's. */
	fd = worker_fd(w);
	worker_free(w);
	for (unsigned i = 1; i < WORKER_STUCK_MAX; i++) {
		assert_true(fcntl(fd, F_GETFD) >= 0);
		assert_int_equal(write(gate[1], "g", 1), 1);
		assert_true(readable(report[0], WAIT_MS));
		assert_int_equal(read(report[0], &c, 1), 1);
	}
	for (int i = 0; i < WAIT_MS && fcntl(fd, F_GETFD) >= 0; i++)
		poll(NULL, 0, 1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	close(gate[0]);
	close(gate[1]);
	close(report[0]);
	close(report[1]);
}

/* Whoever of the two is first at the end of a job: it is done or destroyed, once. */
static void test_each_has_one_end(void **state)
{
	struct pipe_job *done = NULL;
	unsigned n_done = 0, n_given_up = 0;
	struct worker *w;
	int report[2];
	char c;

	assert_int_equal(pipe(report), 0);
	assert_int_equal(worker_new("test", &w), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		for (int ms = 0; ms < WAIT_MS && worker_stuck(w) == WORKER_STUCK_MAX; ms++)
			poll(NULL, 0, 1);
		assert_int_equal(worker_start(w, &job_new(-1, report[1], &done)->job), 0);
		/* Given up at once, or about when it ends, or never. */
		for (unsigned look = 0; !done && (look < i % 64 || i % 8 == 7); look++) {
			if (i % 8 == 7)
				assert_true(readable(worker_fd(w), WAIT_MS));
			worker_dispatch(w);
		}
		worker_give_up(w);
		assert_false(worker_busy(w));
		n_done += done != NULL;
		n_given_up += done == NULL;
		free(done);
		done = NULL;
	}
	assert_true(n_done > 0 && n_given_up > 0);
	worker_free(w);
	for (unsigned i = 0; i < n_given_up; i++) {
		assert_true(readable(report[0], WAIT_MS));
		assert_int_equal(read(report[0], &c, 1), 1);
	}
	assert_false(readable(report[0], 0));
	close(report[0]);
	close(report[1]);
}

static void test_given_up_after_its_end(void **state)
{
	struct pipe_job *done = NULL;
	struct worker *w;
	int report[2];

	assert_int_equal(pipe(report), 0);
	assert_int_equal(worker_new("test", &w), 0);
	assert_int_equal(worker_start(w, &job_new(-1, report[1], &done)->job), 0);
	assert_true(readable(worker_fd(w), WAIT_MS));
	worker_give_up(w);
	assert_true(readable(report[0], WAIT_MS));
	assert_int_equal(worker_stuck(w), 0);
	worker_dispatch(w);
	assert_null(done);
	assert_false(worker_busy(w));
	worker_free(w);
	close(report[0]);
	close(report[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends_in_loop),	 cmocka_unit_test(test_quiet),
		cmocka_unit_test(test_one_at_a_time),	 cmocka_unit_test(test_hangs),
		cmocka_unit_test(test_each_has_one_end), cmocka_unit_test(test_given_up_after_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
