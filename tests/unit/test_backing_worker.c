/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The backing port on a storage that hangs: backing_find() is this test's own, so it blocks for as long as it
 * likes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "broker/backing_port.h"
#include "util/clock.h"
#include "util/loop.h"
#include "util/worker.h"

#define LATE_MS 200

const struct backing_sources backing_machine;

static struct {
	pthread_mutex_t lock;
	pthread_cond_t free;
	bool hangs;
} storage = {.lock = PTHREAD_MUTEX_INITIALIZER, .free = PTHREAD_COND_INITIALIZER};

void backing_find(const struct backing_sources *from, const char *path, struct backing *ret)
{
	(void)from;
	pthread_mutex_lock(&storage.lock);
	while (storage.hangs)
		pthread_cond_wait(&storage.free, &storage.lock);
	pthread_mutex_unlock(&storage.lock);
	*ret = (struct backing){.kind = BACKING_FILES, .inode = (ino_t)path[1]};
}

static void storage_set(bool hangs)
{
	pthread_mutex_lock(&storage.lock);
	storage.hangs = hangs;
	pthread_cond_broadcast(&storage.free);
	pthread_mutex_unlock(&storage.lock);
}

static struct bench {
	struct loop *loop;
	struct backing_port *port;
	struct timer limit;
	unsigned answers;
	bool known;
	struct backing found[PART_COUNT];
} bench;

static int setup(void **state)
{
	static const char *const paths[PART_COUNT] = {
		[PART_WHITEBOARD] = "/a", [PART_LOCKSPACE] = "/b", [PART_LEASE] = "/c", [PART_DISK] = ""};

	memset(&bench, 0, sizeof(bench));
	storage_set(false);
	assert_int_equal(loop_new(&bench.loop), 0);
	assert_int_equal(backing_worker_new(paths, bench.loop, &bench.port), 0);
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	b->port->close(b->port);
	loop_free(b->loop);
	storage_set(false);
	return 0;
}

static void found(void *data, const struct backing *backings)
{
	struct bench *b = data;

	b->answers++;
	b->known = backings;
	if (backings)
		memcpy(b->found, backings, sizeof(b->found));
	loop_stop(b->loop);
}

static void too_long(struct timer *timer)
{
	(void)timer;
	loop_stop(bench.loop);
}

static void wait_ms(struct bench *b, int64_t ms)
{
	struct clock_port *clock = loop_clock(b->loop);

	b->limit.fire = too_long;
	clock->set(clock, &b->limit, mono_add(clock_mono(), ms));
	assert_int_equal(loop_run(b->loop), 0);
	clock->cancel(clock, &b->limit);
}

static int ask(struct bench *b, int64_t ms)
{
	return b->port->find(b->port, mono_add(clock_mono(), ms), found, b);
}

static void test_found(void **state)
{
	struct bench *b = *state;

	assert_int_equal(ask(b, 5000), 0);
	assert_int_equal(ask(b, 5000), -EBUSY);
	wait_ms(b, 5000);
	assert_int_equal(b->answers, 1);
	assert_true(b->known);
	assert_int_equal(b->found[PART_LEASE].inode, 'c');
	assert_int_equal(b->found[PART_DISK].kind, BACKING_UNKNOWN);
}

static void test_hangs(void **state)
{
	struct bench *b = *state;
	mono_t begun = clock_mono();

	storage_set(true);
	for (unsigned i = 1; i <= WORKER_STUCK_MAX; i++) {
		assert_int_equal(ask(b, LATE_MS), 0);
		wait_ms(b, 5000);
		assert_int_equal(b->answers, i);
		assert_false(b->known);
	}
	assert_true(clock_mono() - begun < 4000);
	assert_int_equal(ask(b, LATE_MS), -EBUSY);
	/* What comes late is taken by nobody. */
	storage_set(false);
	wait_ms(b, LATE_MS);
	assert_int_equal(b->answers, WORKER_STUCK_MAX);
	assert_int_equal(ask(b, 5000), 0);
	wait_ms(b, 5000);
	assert_true(b->known);
}

static void test_closed_meanwhile(void **state)
{
	struct bench *b = *state;

	storage_set(true);
	assert_int_equal(ask(b, 5000), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_found, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hangs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_meanwhile, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
