/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The configured places are of one storage, or nothing is joined and nothing started (safety rule 8). On a
 * virtual clock, through the broker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "tests/unit/broker_world.h"

static int setup(void **state)
{
	struct world *world = world_new();

	strcpy(world->config.places.whiteboard, "metadata_path=/s/metadata");
	strcpy(world->config.places.lockspace, "lockspace_path=/s/lockspace");
	strcpy(world->config.places.lease, "lease_path=/s/leases");
	strcpy(world->config.places.disk, "disk_path=/s/disk");
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static struct backing files(unsigned device)
{
	struct backing backing = {.kind = BACKING_FILES, .device = device, .inode = 1, .certain = true};

	snprintf(backing.what, sizeof(backing.what), "nfs4 srv%u:/engine", device);
	return backing;
}

/* Each place's filesystem, 0 unknown. */
static const struct row {
	const char *name;
	unsigned on[PART_COUNT];
	bool no_disk, refused;
	const char *text;
} rows[] = {
	{"all of one", {1, 1, 1, 1}, false, false, ""},
	{"nothing is known", {0, 0, 0, 0}, false, false, ""},
	{"one is not known", {1, 0, 1, 1}, false, false, ""},
	{"the disk is elsewhere",
	 {1, 1, 1, 2},
	 false,
	 true,
	 "metadata_path=/s/metadata is on nfs4 srv1:/engine, but disk_path=/s/disk on nfs4 srv2:/engine"},
	{"elsewhere, and it is not configured", {1, 1, 1, 2}, true, false, ""},
	{"the lockspace is elsewhere", {1, 2, 1, 1}, false, true, "lockspace_path=/s/lockspace on nfs4 srv2"},
	{"the leases are elsewhere", {1, 1, 2, 1}, false, true, "lease_path=/s/leases on nfs4 srv2"},
	{"the whiteboard is elsewhere",
	 {2, 1, 1, 1},
	 false,
	 true,
	 "metadata_path=/s/metadata is on nfs4 srv2"},
	{"two others differ beside unknown", {0, 1, 0, 2}, false, true, "correct hosted-engine.conf"},
};

static void place(struct world *world, const unsigned on[PART_COUNT])
{
	for (unsigned i = 0; i < PART_COUNT; i++)
		world->backings[i] = on[i] ? files(on[i]) : (struct backing){0};
}

static void test_join(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct world *world;
		char text[TEXT_MAX];

		setup((void **)&world);
		place(world, row->on);
		if (row->no_disk)
			world->config.places.disk[0] = '\0';
		world_start(world);
		world_run(world, 30000);
		broker_trouble(world->broker, text);
		if (world->joins != !row->refused || !strstr(text, row->text) ||
		    world_cluster(world).block != (row->refused ? BLOCK_DOMAIN : BLOCK_NONE))
			fail_msg("%s: joins=%u block=%d %s", row->name, world->joins,
				 world_cluster(world).block, text);
		/* Mended, it joins without a restart. */
		place(world, rows[0].on);
		world_run(world, 10000);
		if (world->joins != 1 || world_cluster(world).block != BLOCK_NONE)
			fail_msg("%s: not joined after it was mended", row->name);
		world_free(world);
	}
}

/* The lockspace was joined by the broker before this one. */
static void test_joined_already(void **state)
{
	struct world *world = *state;
	char text[TEXT_MAX];

	world->membership = MEMBERSHIP_JOINED;
	world->generation = 7;
	world->qemu_pid = 77;
	place(world, rows[3].on);
	world_start(world);
	world_attach(world);
	world_publish(world, 0);
	world_run(world, 30000);
	assert_int_equal(world_cluster(world).membership, MEMBERSHIP_JOINED);
	assert_int_equal(world_cluster(world).block, BLOCK_DOMAIN);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, rows[3].text));
	/* It stays, kills nobody, and tells the others its score 0: the whiteboard is ours. */
	assert_int_equal(world->leaves + world->kills, 0);
	assert_true(world->writes > 0);
	place(world, rows[0].on);
	world_run(world, 6000);
	assert_int_equal(world_cluster(world).block, BLOCK_NONE);
	broker_trouble(world->broker, text);
	assert_null(strstr(text, "storage domain"));
}

static void test_joined_already_and_hangs(void **state)
{
	struct world *world = *state;

	world->membership = MEMBERSHIP_JOINED;
	world->generation = 7;
	world->backing_hangs = true;
	world_start(world);
	world_run(world, 9000);
	assert_false(world_cluster(world).whiteboard_read);
	world_run(world, 2000);
	assert_true(world_cluster(world).whiteboard_read);
}

/* A storage that hangs keeps the gate for one deadline: what can't be told is accepted, and no look's end is
 * taken for a fault that is over. */
static void test_hangs(void **state)
{
	struct world *world = *state;

	world->backing_hangs = true;
	place(world, rows[3].on);
	world_start(world);
	world_run(world, 9000);
	assert_int_equal(world->joins, 0);
	world_run(world, 3000);
	assert_int_equal(world->joins, 1);
	world->backing_hangs = false;
	world_run(world, 61000);
	assert_int_equal(world_cluster(world).block, BLOCK_DOMAIN);
	world->backing_hangs = true;
	world_run(world, 61000);
	assert_int_equal(world_cluster(world).block, BLOCK_DOMAIN);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_join),
		cmocka_unit_test_setup_teardown(test_joined_already, setup, teardown),
		cmocka_unit_test_setup_teardown(test_joined_already_and_hangs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hangs, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
