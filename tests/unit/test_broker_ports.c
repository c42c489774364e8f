/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kept flag on a real loop and a real directory: the last value asked for gets there, though the disk
 * refuses it at first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/broker_ports.h"
#include "util/clock.h"
#include "util/loop.h"

#define LOOK_MS 20

struct wait {
	struct timer timer; /* first */
	struct loop *loop;
	struct kept_port *kept;
	enum flag value;
	mono_t until;
};

static void look(struct timer *timer)
{
	struct wait *wait = (struct wait *)timer;
	struct clock_port *clock = loop_clock(wait->loop);

	if (wait->kept->load(wait->kept) == wait->value || clock_mono() > wait->until)
		loop_stop(wait->loop);
	else
		clock->set(clock, timer, clock_mono() + LOOK_MS);
}

/* Runs the loop until the file has the value, or for `ms`. */
static enum flag run_until(struct loop *loop, struct kept_port *kept, enum flag value, int64_t ms)
{
	struct wait wait = {{.fire = look}, loop, kept, value, clock_mono() + ms};

	loop_clock(loop)->set(loop_clock(loop), &wait.timer, clock_mono());
	assert_int_equal(loop_run(loop), 0);
	return kept->load(kept);
}

static void test_kept(void **state)
{
	char dir[] = "/tmp/kept-XXXXXX", below[64], path[80];
	struct kept_port *kept;
	struct loop *loop;

	assert_non_null(mkdtemp(dir));
	snprintf(below, sizeof(below), "%s/below", dir);
	snprintf(path, sizeof(path), "%s/flag", below);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(kept_file_new(path, loop, &kept), 0);
	assert_int_equal(kept->load(kept), FLAG_UNKNOWN);
	/* One that is under way outlasts no later one, whether it fails */
	kept->save(kept, FLAG_NO);
	kept->save(kept, FLAG_YES);
	assert_int_equal(run_until(loop, kept, FLAG_YES, 300), FLAG_UNKNOWN);
	assert_int_equal(mkdir(below, 0700), 0);
	assert_int_equal(run_until(loop, kept, FLAG_YES, 10000), FLAG_YES);
	/* or not. */
	kept->save(kept, FLAG_YES);
	kept->save(kept, FLAG_NO);
	assert_int_equal(run_until(loop, kept, FLAG_NO, 10000), FLAG_NO);
	assert_int_equal(run_until(loop, kept, FLAG_YES, 300), FLAG_NO);
	kept_file_free(kept);
	loop_free(loop);
	unlink(path);
	rmdir(below);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_kept)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
