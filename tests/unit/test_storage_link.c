/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The broker has its storage connected when a place is missing: at once, then with growing pauses, and says
 * so. On a virtual clock, through the broker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "tests/unit/broker_world.h"

static int setup(void **state)
{
	struct world *world = world_new();

	strcpy(world->config.places.whiteboard, "metadata_path=/s/metadata");
	strcpy(world->config.places.lockspace, "lockspace_path=/s/lockspace");
	strcpy(world->config.places.lease, "lease_path=/s/leases");
	world->connects = true;
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static void take_away(struct world *world, int error)
{
	for (int i = 0; i < PART_COUNT; i++)
		world->backings[i].error = error;
}

static const char *trouble(struct world *world)
{
	static char text[TEXT_MAX];

	broker_trouble(world->broker, text);
	return text;
}

static void test_not_asked(void **state)
{
	static const struct {
		const char *name, *whiteboard;
		int error;
		bool connects;
	} rows[] = {
		{"all is there", "metadata_path=/s/metadata", 0, true},
		{"not to be looked at", "metadata_path=/s/metadata", -EACCES, true},
		{"the whiteboard is a server's", "metadata_path=nfs://srv/e/metadata", -ENOENT, true},
		{"connected by other means", "metadata_path=/s/metadata", -ENOENT, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world *world;

		setup((void **)&world);
		world->connects = rows[i].connects;
		strcpy(world->config.places.whiteboard, rows[i].whiteboard);
		world->backings[PART_WHITEBOARD].error = rows[i].error;
		world_start(world);
		world_run(world, 300000);
		if (world->connect_asked != 0 || strstr(trouble(world), "connected"))
			fail_msg("%s: asked %u times, %s", rows[i].name, world->connect_asked,
				 trouble(world));
		world_free(world);
	}
}

static void test_connected_at_start(void **state)
{
	struct world *world = *state;

	take_away(world, -ENOENT);
	world_start(world);
	world_run(world, 10000);
	assert_int_equal(world->connect_asked, 1);
	assert_null(strstr(trouble(world), "connected"));
	assert_int_equal(world->joins, 1);
	world_run(world, 300000);
	assert_int_equal(world->connect_asked, 1);
}

/* Lost later, and found missing because the whiteboard fails: within seconds. */
static void test_lost(void **state)
{
	struct world *world = *state;

	world_start(world);
	world_run(world, 65000);
	assert_int_equal(world->connect_asked, 0);
	take_away(world, -ENOTCONN);
	world_fault(world, (struct store_fault){.kind = STORE_FAULT_EIO});
	world_run(world, 15000);
	assert_int_equal(world->connect_asked, 1);
	world_heal(world);
}

static void test_pauses(void **state)
{
	static const unsigned asked_by[][2] = {{1, 1},	{4, 1},	 {7, 2},   {14, 2},  {17, 3},
					       {37, 4}, {77, 5}, {137, 6}, {197, 7}, {257, 8}};
	struct world *world = *state;
	mono_t begun = world->now;

	take_away(world, -ENOENT);
	world->connect_error = -EIO;
	world->connect_why = "mount.nfs: Connection refused";
	world_start(world);
	for (size_t i = 0; i < sizeof(asked_by) / sizeof(asked_by[0]); i++) {
		world_run(world, begun + asked_by[i][0] * 1000 - world->now);
		if (world->connect_asked != asked_by[i][1])
			fail_msg("after %u s asked %u times", asked_by[i][0], world->connect_asked);
	}
	assert_non_null(strstr(trouble(world), "storage: the storage is not connected: mount.nfs: Connection "
					       "refused (for 25"));
	world->connect_error = 0;
	world_run(world, 61000);
	assert_int_equal(world->connect_asked, 9);
	assert_null(strstr(trouble(world), "connected"));
	/* The next loss begins anew. */
	take_away(world, -ENOENT);
	world_run(world, 65000);
	assert_int_equal(world->connect_asked, 10);
}

static void test_nobody_to_ask(void **state)
{
	struct world *world = *state;

	take_away(world, -ENOENT);
	world->connect_refused = -ECONNREFUSED;
	world_start(world);
	world_run(world, 1000);
	assert_non_null(strstr(trouble(world), "ovirt-ha-storage does not answer: Connection refused; see"));
	world->connect_refused = 0;
	world_run(world, 10000);
	assert_null(strstr(trouble(world), "connected"));
}

static void test_hangs(void **state)
{
	struct world *world = *state;

	take_away(world, -ENOENT);
	world->connect_hangs = true;
	world_start(world);
	world_run(world, 100000);
	assert_int_equal(world->connect_asked, 1);
	assert_non_null(strstr(trouble(world), "storage: it is being connected (for 99 s)"));
	/* It came by itself, and the question ends by its deadline: then there is nothing to try again. */
	take_away(world, 0);
	world->connect_why = "Connection timed out";
	world_run(world, 300000);
	assert_int_equal(world->connect_asked, 1);
	assert_null(strstr(trouble(world), "connected"));
}

/* All was connected, and the place is still not there: another export than the domain's. */
static void test_connected_and_missing(void **state)
{
	struct world *world = *state;

	world_start(world);
	world_run(world, 1000);
	world->connect_useless = true;
	take_away(world, -ENOENT);
	world_run(world, 70000);
	assert_non_null(strstr(trouble(world),
			       "the storage is connected, but metadata_path=/s/metadata is not "
			       "there"));
	assert_in_range(world->connect_asked, 1, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_asked),
		TEST(test_connected_at_start),
		TEST(test_lost),
		TEST(test_pauses),
		TEST(test_nobody_to_ask),
		TEST(test_hangs),
		TEST(test_connected_and_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
