/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The history over restarts: all that was added is in the file, in order, and only the last ones. */
#include "daemon/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/loop.h"

#define WAIT_MS 5000
#define FAIL_MS 200

static struct transition found[TRANSITIONS_MAX];
static struct loop *loop;
static struct timer timer;
static mono_t until;
static int64_t wanted;
static char dir[64], path[96];

static size_t read_file(void)
{
	static char text[TRANSITIONS_MAX * TRANSITION_LINE + 1];
	_cleanup_fclose_ FILE *file = fopen(path, "re");

	text[file ? fread(text, 1, sizeof(text) - 1, file) : 0] = '\0';
	return transitions_parse(text, found);
}

static void look(struct timer *t)
{
	struct clock_port *clock = loop_clock(loop);
	size_t n = read_file();

	if ((n > 0 && found[n - 1].wall == wanted) || clock->now(clock) > until)
		loop_stop(loop);
	else
		clock->set(clock, t, clock->now(clock) + 10);
}

/* Until the last one in the file is of that moment, or for `ms`; how many there are. */
static size_t run(int64_t wall, int64_t ms)
{
	wanted = wall;
	until = loop_clock(loop)->now(loop_clock(loop)) + ms;
	timer.fire = look;
	look(&timer);
	assert_int_equal(loop_run(loop), 0);
	return read_file();
}

static void add(struct history *history, int64_t wall)
{
	struct transition it = {
		.wall = wall, .from = "EngineDown", .to = "EngineStart", .reason = "best-score"};

	history_add(history, &it);
}

static int setup(void **state)
{
	strcpy(dir, "/tmp/history.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/history", dir);
	return loop_new(&loop);
}

static int teardown(void **state)
{
	loop_free(loop);
	unlink(path);
	return rmdir(dir);
}

static void test_restart(void **state)
{
	struct history *history;

	assert_int_equal(history_new(path, loop, &history), 0);
	/* while the first is written the others come */
	for (int64_t wall = 1; wall <= 5; wall++)
		add(history, wall);
	assert_int_equal(run(5, WAIT_MS), 5);
	history_free(history);
	assert_int_equal(history_new(path, loop, &history), 0);
	add(history, 6);
	assert_int_equal(run(6, WAIT_MS), 6);
	assert_int_equal(found[0].wall, 1);
	for (int64_t wall = 7; wall <= TRANSITIONS_MAX + 10; wall++)
		add(history, wall);
	assert_int_equal(run(TRANSITIONS_MAX + 10, WAIT_MS), TRANSITIONS_MAX);
	assert_int_equal(found[0].wall, 11);
	history_free(history);
}

/* What can't be written is written with the next. */
static void test_no_folder(void **state)
{
	struct history *history;

	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(history_new(path, loop, &history), 0);
	add(history, 1);
	assert_int_equal(run(1, FAIL_MS), 0);
	assert_int_equal(mkdir(dir, 0700), 0);
	add(history, 2);
	assert_int_equal(run(2, WAIT_MS), 2);
	history_free(history);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_folder, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
