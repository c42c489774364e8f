/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Global maintenance: set, read back, still there two loops later, against other writers, without lease and
 * without storage (safety rule 16), on a virtual clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "tests/unit/broker_world.h"

static struct world *started(void **state)
{
	struct world *world = *state;

	world_start(world);
	world_run(world, 2000);
	return world;
}

static void absent_is_no(void **state)
{
	struct world *world = started(state);

	assert_int_equal(world_cluster(world).maintenance, FLAG_NO);
	assert_true(world_cluster(world).maintenance_read);
	assert_int_equal(world->kept_value, FLAG_NO);
}

/* Nobody but the operator changes block 0, and what a newer version put beside the key stays. */
static void what_is_not_asked_is_not_written(void **state)
{
	static const char *const texts[] = {"version=2\nmaintenance=perhaps\nnew=1\n", "version=2\nnew=1\n",
					    "2|3|\xff"};
	struct world *world = started(state);
	uint8_t before[BLOCK_SIZE];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		memset(world->blocks[0], 0, BLOCK_SIZE);
		strcpy((char *)world->blocks[0], texts[i]);
		memcpy(before, world->blocks[0], BLOCK_SIZE);
		world_run(world, 100000);
		assert_memory_equal(world->blocks[0], before, BLOCK_SIZE);
	}
	memset(world->blocks[0], 0, BLOCK_SIZE);
	strcpy((char *)world->blocks[0], "version=2\nmaintenance=0\nnew=1\n");
	world_set_global(world, true);
	world_run(world, 30000);
	assert_string_equal((char *)world->blocks[0], "maintenance=1\nversion=2\nnew=1");
}

static void set_is_answered_two_loops_later(void **state)
{
	struct world *world = started(state);

	strcpy((char *)world->blocks[0], "maintenance=0\nother=7\n");
	world_set_global(world, true);
	world_run(world, 100);
	assert_memory_equal(world->blocks[0], "maintenance=1", 13);
	assert_non_null(strstr((char *)world->blocks[0], "other=7"));
	assert_int_equal(world_cluster(world).maintenance, FLAG_YES);
	assert_false(world->block0_held);
	assert_int_equal(world->block0_takes, 1);
	world_run(world, 19000);
	assert_int_equal(world->answers, 0);
	world_run(world, 2000);
	assert_int_equal(world->answers, 1);
	assert_int_equal(world->answer_error, 0);
	assert_string_equal(world->answer_text, "");
	assert_int_equal(world->kept_value, FLAG_YES);
}

static void old_writer_overwrites(void **state)
{
	struct world *world = started(state);

	world_set_global(world, true);
	world_run(world, 5000);
	strcpy((char *)world->blocks[0], "maintenance=False\n");
	world_run(world, 16000);
	/* Seen at the check, written again, and the two loops begin anew. */
	assert_int_equal(world->answers, 0);
	assert_memory_equal(world->blocks[0], "maintenance=1", 13);
	assert_int_equal(world->block0_takes, 2);
	world_run(world, 21000);
	assert_int_equal(world->answers, 1);
	assert_int_equal(world->answer_error, 0);
}

static void undo(struct world *world, uint32_t block)
{
	if (block == 0)
		strcpy((char *)world->blocks[0], "maintenance=0\n");
}

static void stubborn_writer(void **state)
{
	struct world *world = started(state);

	world->after_write = undo;
	world_set_global(world, true);
	world_run(world, 100000);
	assert_int_equal(world->answers, 1);
	assert_int_equal(world->answer_error, -EAGAIN);
	assert_in_range(world->block0_takes, 5, 5);
}

static void lease_not_to_be_had(void **state)
{
	struct world *world = started(state);

	world->block0_error = -ETIMEDOUT;
	world_set_global(world, true);
	world_run(world, 9000);
	assert_int_not_equal(world->blocks[0][0], 'm');
	world_run(world, 1100);
	assert_memory_equal(world->blocks[0], "maintenance=1", 13);
	world_run(world, 21000);
	assert_int_equal(world->answers, 1);
	assert_int_equal(world->answer_error, 0);
	assert_non_null(strstr(world->answer_text, "without the lease"));
}

static void lease_refused_at_once(void **state)
{
	struct world *world = started(state);

	world->block0_refuses = true;
	world_set_global(world, true);
	world_run(world, 9900);
	assert_int_not_equal(world->blocks[0][0], 'm');
	assert_in_range(world->block0_takes, 20, 20); /* asked for all the time */
	world_run(world, 22000);
	assert_int_equal(world->answers, 1);
	assert_int_equal(world->answer_error, 0);
	assert_non_null(strstr(world->answer_text, "without the lease"));
}

/* sanlock has ended its holder before the write. */
static void lease_lost_before_the_write(void **state)
{
	struct world *world = started(state);

	world->block0_losses = 1;
	world_set_global(world, true);
	world_run(world, 100);
	assert_int_equal(world->block0_takes, 2);
	assert_memory_equal(world->blocks[0], "maintenance=1", 13);
	world_run(world, 21000);
	assert_int_equal(world->answer_error, 0);
	assert_string_equal(world->answer_text, "");
	world->block0_losses = 100;
	world_set_global(world, false);
	world_run(world, 60000);
	assert_int_equal(world->answers, 2);
	assert_int_equal(world->answer_error, -EAGAIN);
	assert_memory_equal(world->blocks[0], "maintenance=1", 13);
}

static void unreadable_is_the_last_good_value(void **state)
{
	struct world *world = *state;
	char text[TEXT_MAX];

	strcpy((char *)world->blocks[0], "maintenance=1\n");
	world_start(world);
	world_run(world, 2000);
	memset(world->blocks[0], 0xfe, BLOCK_SIZE);
	world_run(world, 30000);
	assert_int_equal(world_cluster(world).maintenance, FLAG_YES);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "block 0 unreadable"));
	/* The command made for it rewrites it. */
	world_set_global(world, false);
	world_run(world, 21000);
	assert_int_equal(world->answer_error, 0);
	assert_int_equal(world_cluster(world).maintenance, FLAG_NO);
	assert_memory_equal(world->blocks[0], "maintenance=0", 13);
}

static void kept_value_without_storage(void **state)
{
	struct world *world = *state;

	world->kept_value = FLAG_YES;
	world_fault(world, (struct store_fault){.kind = STORE_FAULT_EIO});
	world_start(world);
	world_run(world, 30000);
	assert_int_equal(world_cluster(world).maintenance, FLAG_YES);
	assert_false(world_cluster(world).maintenance_read);
	world_heal(world);
	world_run(world, 3000);
	assert_int_equal(world_cluster(world).maintenance, FLAG_NO);
	assert_true(world_cluster(world).maintenance_read);
}

static void noise_after_a_restart(void **state)
{
	struct world *world = *state;

	world->kept_value = FLAG_NO;
	memset(world->blocks[0], 0xfe, BLOCK_SIZE);
	world_start(world);
	world_run(world, 5000);
	assert_int_equal(world_cluster(world).maintenance, FLAG_NO);
	assert_true(world_cluster(world).maintenance_read);
}

static void nothing_known(void **state)
{
	struct world *world = *state;

	memset(world->blocks[0], 0xfe, BLOCK_SIZE);
	world_start(world);
	world_run(world, 30000);
	assert_int_equal(world_cluster(world).maintenance, FLAG_UNKNOWN);
	assert_false(world_cluster(world).maintenance_read);
}

static void failed_write_is_said(void **state)
{
	struct world *world = started(state);

	world_fault(world, (struct store_fault){.kind = STORE_FAULT_EIO});
	world_set_global(world, true);
	world_run(world, 5000);
	assert_int_equal(world->answers, 1);
	assert_int_equal(world->answer_error, -EIO);
	assert_false(world->block0_held);
	world_heal(world);
}

static void last_request_wins(void **state)
{
	struct world *world = started(state);

	world_set_global(world, true);
	world_set_global(world, true);
	world_run(world, 3000);
	world_set_global(world, false);
	assert_int_equal(world->answers, 2);
	assert_int_equal(world->answer_error, -ECANCELED);
	world_run(world, 100);
	assert_memory_equal(world->blocks[0], "maintenance=0", 13);
	world_run(world, 21000);
	assert_int_equal(world->answers, 3);
	assert_int_equal(world->answer_error, 0);
}

static void turned_round_in_the_middle(void **state)
{
	struct world *world = started(state);

	/* At every step of the way. */
	for (int ms = 0; ms < 8; ms++) {
		world_set_global(world, true);
		world_run(world, ms);
		world->answers = 0;
		world_set_global(world, false);
		world_run(world, 45000);
		assert_memory_equal(world->blocks[0], "maintenance=0", 13);
		assert_int_equal(world->answer_error, 0);
		assert_in_range(world->answers, 1, 2);
	}
}

static void client_is_gone(void **state)
{
	struct world *world = started(state);

	world_set_global(world, true);
	world_run(world, 1000);
	broker_forget(world->broker, world);
	world_run(world, 40000);
	assert_int_equal(world->answers, 0);
	assert_memory_equal(world->blocks[0], "maintenance=1", 13);
}

static void agent_hears_of_it(void **state)
{
	struct world *world = started(state);
	unsigned before;

	world_attach(world);
	world_run(world, 100);
	before = world->changed;
	strcpy((char *)world->blocks[0], "maintenance=True\n");
	world_run(world, 10100);
	assert_int_equal(world->changed, before + 1);
}

static void commands_go_to_the_agent(void **state)
{
	struct world *world = started(state);

	assert_int_equal(broker_command(world->broker, COMMAND_VM_START, "", NULL, NULL), -EHOSTDOWN);
	world_attach(world);
	world_set_global(world, true);
	broker_forget(world->broker, world);
	assert_int_equal(broker_answer(world->broker, 1, 0, ""), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_ROW(absent_is_no),
		WORLD_ROW(what_is_not_asked_is_not_written),
		WORLD_ROW(set_is_answered_two_loops_later),
		WORLD_ROW(old_writer_overwrites),
		WORLD_ROW(stubborn_writer),
		WORLD_ROW(lease_not_to_be_had),
		WORLD_ROW(lease_refused_at_once),
		WORLD_ROW(lease_lost_before_the_write),
		WORLD_ROW(unreadable_is_the_last_good_value),
		WORLD_ROW(kept_value_without_storage),
		WORLD_ROW(noise_after_a_restart),
		WORLD_ROW(nothing_known),
		WORLD_ROW(failed_write_is_said),
		WORLD_ROW(last_request_wins),
		WORLD_ROW(turned_round_in_the_middle),
		WORLD_ROW(client_is_gone),
		WORLD_ROW(agent_hears_of_it),
		WORLD_ROW(commands_go_to_the_agent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
