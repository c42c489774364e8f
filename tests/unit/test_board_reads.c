/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of the whiteboard is read when, and what of it the agent hears, on a virtual clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "metadata/identity.h"
#include "tests/unit/broker_world.h"

static void reads_blocks_in_use_only(void **state)
{
	struct world *world = *state;
	uint64_t scan;

	world_record(world, 2, "host2", 10, 1, 3000);
	world_record(world, 700, "host700", 10, 1, 3000);
	world->hosts[0] = (struct lease_host){.id = 1, .state = HOST_LIVE, .generation = 1};
	world->hosts[1] = (struct lease_host){.id = 5, .state = HOST_LIVE, .generation = 1};
	world->n_hosts = 2;
	world_start(world);
	world_run(world, 3000);
	assert_true(world_cluster(world).whiteboard_read);
	scan = world->blocks_read;
	assert_true(scan >= HOST_ID_MAX);
	world_run(world, 55000);
	/* Five cycles: 1, 2, 5 and 700, and block 0. */
	assert_in_range(world->blocks_read - scan, 23, 28);
	scan = world->blocks_read;
	/* And a piece of 16 a minute. */
	world_run(world, 600000);
	assert_in_range(world->blocks_read - scan, 16 * 9 + 270, 16 * 10 + 330);
}

static bool is_listed(struct world *world, uint16_t id)
{
	struct slot_block block;
	uint32_t next;

	return broker_blocks(world->broker, id, &block, 1, &next) == 1 && block.id == id;
}

/* Those of a host on another lockspace, which sanlock here does not list: written after the scan at start,
 * and again after they were empty once. */
static void blocks_that_nobody_listed_are_found(void **state)
{
	static const uint16_t ids[] = {2, 16, 17, 1999, HOST_ID_MAX};
	struct world *world = world_joined(*state);

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
			world_record(world, ids[i], "alien.example", 50, 9, 3400);
		world_run(world, 126 * 60000);
		for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
			assert_true(is_listed(world, ids[i]));
			memset(world->blocks[ids[i]], 0, BLOCK_SIZE);
		}
		world_run(world, 11000);
		for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
			assert_false(is_listed(world, ids[i]));
	}
}

/* One block that can't be read, whose word is known, blinds nobody. */
static void unread_domain_hides_no_host(void **state)
{
	struct world *world = *state;
	static struct peer peers[HOST_ID_MAX];
	struct cluster cluster;
	char text[TEXT_MAX];

	world_record(world, 2, "host2.example", 99, 3, 3400);
	world_joined(*state);
	world_fault(world, (struct store_fault){.kind = STORE_FAULT_EIO,
						.ops = STORE_FAULT_READS,
						.block = IDENTITY_BLOCK});
	for (uint64_t i = 0; i < 20; i++) {
		world_record(world, 2, "host2.example", 100 + i, 3, 3400);
		world_publish(world, 3400);
		world_run(world, 10000);
		assert_int_equal(broker_facts(world->broker, &cluster, peers), 1);
		if (i > 1 && world->now - peers[0].changed_at > 15000)
			fail_msg("not read at %u", (unsigned)i);
		broker_trouble(world->broker, text);
		assert_null(strstr(text, "reads fail"));
	}
	assert_int_equal(world->published_error, 0);
	world_heal(world);
}

static void owner_is_read_every_second(void **state)
{
	struct world *world = *state;
	uint64_t before;

	world_record(world, 2, "host2", 10, 1, 3000);
	world->owner = (struct lease_owner){.kind = OWNER_HOST, .id = 2, .generation = 1, .version = 1};
	world_start(world);
	world_run(world, 12000);
	before = world->blocks_read;
	world_run(world, 45000);
	assert_in_range(world->blocks_read - before, 50, 63);
}

/* While others would take the VM long before us, each loop is enough; and when it may be our turn it is read
 * each second again. */
static void owner_is_read_by_those_in_turn(void **state)
{
	struct world *world = *state;
	struct publish_request request = {.claim = {.vm = VM_DOWN}, .timeout_in_ms = -1, .config_age_ms = -1};
	uint64_t before;

	world_record(world, 2, "host2", 10, 1, 3000);
	world->owner = (struct lease_owner){.kind = OWNER_HOST, .id = 2, .generation = 1, .version = 1};
	world_joined(state[0]);
	for (int i = 0; i < 2; i++) {
		request.in_turn = i == 1;
		broker_publish(world->broker, &request);
		world_run(world, 12000);
		before = world->blocks_read;
		world_run(world, 15000);
		if (request.in_turn)
			assert_true(world->blocks_read - before >= 15);
		else
			assert_true(world->blocks_read - before <= 12);
	}
}

static void watch_anew(struct world *world)
{
	static bool closely;
	struct publish_request request = {.claim = {.vm = VM_DOWN}, .timeout_in_ms = -1, .config_age_ms = -1};

	closely = !closely;
	request.watch_closely = closely;
	broker_publish(world->broker, &request);
}

/* Who hears of a change asks for all blocks at once, while the cycle that brought it still takes in what it
 * read. */
static void cycle_ends_when_it_was_taken(void **state)
{
	struct world *world = world_joined(*state);
	char text[TEXT_MAX];

	world->on_changed = watch_anew;
	world_fault(world, (struct store_fault){
				   .kind = STORE_FAULT_DELAY, .ops = STORE_FAULT_READS, .delay_ms = 1100});
	for (uint64_t i = 0; i < 5; i++) {
		world_record(world, 2, "host2.example", 100 + 10 * i, 3, 3000 + (int32_t)i);
		for (int ms = 0; ms < 20000; ms += 20) {
			world_run(world, 20);
			broker_trouble(world->broker, text);
			assert_null(strstr(text, "reads fail"));
		}
	}
	assert_true(world->changed >= 3);
	world_heal(world);
}

static void agent_is_told_of_what_matters(void **state)
{
	struct world *world = world_joined(*state);
	unsigned before;

	world_record(world, 2, "host2", 10, 1, 3000);
	world->hosts[0] = (struct lease_host){.id = 2, .state = HOST_LIVE, .generation = 1};
	world->n_hosts = 1;
	world_run(world, 21000);
	before = world->changed;
	assert_true(before > 0);
	/* A beat is not news. */
	world_record(world, 2, "host2", 20, 1, 3000);
	world_run(world, 11000);
	assert_int_equal(world->changed, before);
	world_record(world, 2, "host2", 30, 1, 2000);
	world_run(world, 11000);
	assert_int_equal(world->changed, before + 1);
	world->hosts[0].state = HOST_DEAD;
	world_run(world, 11000);
	assert_int_equal(world->changed, before + 2);
}

/* The first few at once, since each of them may be what a start waits for; a flood of them is bounded, and
 * its last word comes too. */
static void a_flood_is_bounded(void **state)
{
	struct world *world = world_joined(*state);
	unsigned before;
	int32_t value = 0;

	world_run(world, 11000);
	before = world->changed;
	while (value < 3)
		broker_sample(world->broker, MONITOR_NETWORK, true, ++value);
	assert_int_equal(world->changed, before + 3);
	while (value < 1000) {
		broker_sample(world->broker, MONITOR_NETWORK, true, ++value);
		world_run(world, 1);
	}
	assert_in_range(world->changed, before + 15, before + 25);
	before = world->changed;
	broker_sample(world->broker, MONITOR_NETWORK, true, 0);
	assert_int_equal(world->changed, before);
	world_run(world, 100);
	assert_int_equal(world->changed, before + 1);
}

static void dead_monitor_is_unknown(void **state)
{
	struct world *world = world_joined(*state);

	broker_sample(world->broker, MONITOR_NETWORK, true, 200);
	world_run(world, 29000);
	assert_true(world_cluster(world).monitors[MONITOR_NETWORK].known);
	world_run(world, 3000);
	assert_false(world_cluster(world).monitors[MONITOR_NETWORK].known);
	assert_int_equal(world_cluster(world).monitors[MONITOR_NETWORK].value, 200);
}

static void health_is_of_one_qemu(void **state)
{
	struct world *world = world_joined(*state);
	const struct sample *health;
	struct cluster cluster;

	for (int32_t pid = 77; pid < 79; pid++) {
		world->qemu_pid = pid;
		world_run(world, 11000);
		cluster = world_cluster(world);
		health = &cluster.monitors[MONITOR_ENGINE_HEALTH];
		assert_int_equal(cluster.qemu_pid, pid);
		assert_false(health->known);
		broker_sample(world->broker, MONITOR_ENGINE_HEALTH, true, HEALTH_GOOD);
		world_run(world, 11000);
		cluster = world_cluster(world);
		assert_true(health->known);
	}
}

static void says(struct world *world, enum vm vm)
{
	struct publish_request request = {.claim = {.vm = vm}, .timeout_in_ms = -1, .config_age_ms = -1};

	broker_publish(world->broker, &request);
	world_run(world, 11000);
}

/* Who is asked for its health: what the agent says counts, but without QEMU there is nobody to ask. */
static void whether_the_vm_runs(void **state)
{
	struct world *world = world_joined(*state);

	world->qemu_pid = 77;
	world_run(world, 11000);
	assert_true(broker_vm_runs(world->broker)); /* no word yet */
	says(world, VM_UP);
	assert_true(broker_vm_runs(world->broker));
	says(world, VM_DOWN);
	assert_false(broker_vm_runs(world->broker));
	world->qemu_error = -ETIMEDOUT;
	says(world, VM_UP);
	assert_int_equal(broker_qemu_pid(world->broker), -1);
	assert_true(broker_vm_runs(world->broker));
	says(world, VM_DOWN);
	assert_false(broker_vm_runs(world->broker));
	says(world, VM_UNKNOWN);
	assert_false(broker_vm_runs(world->broker));
	world->qemu_error = 0;
	world->qemu_pid = 0;
	says(world, VM_UP);
	assert_false(broker_vm_runs(world->broker));
}

static void answered(void *data, int error, const char *text)
{
	struct world *world = data;

	world->answers++;
	world->answer_error = error;
	snprintf(world->answer_text, sizeof(world->answer_text), "%s", text);
}

/* Far from its turn, where each block is read once a loop: also right behind a look, and while one is under
 * way. */
static void start_comes_after_a_look(void **state)
{
	struct world *world = *state;
	struct publish_request request = {.claim = {.vm = VM_DOWN}, .timeout_in_ms = -1, .config_age_ms = -1};
	static struct peer peers[HOST_ID_MAX];
	struct cluster cluster;
	int64_t ms;

	world_record(world, 2, "host2.example", 10, 3, 3400);
	for (uint16_t id = 100; id < 120; id += 2) /* a read each */
		world_record(world, id, "other.example", 10, 3, 3400);
	world_joined(*state);
	broker_publish(world->broker, &request);
	world_run(world, 30000);
	for (int i = 0; i < 40; i++) {
		world_record(world, 2, "host2.example", 100, 3, 1000 + i);
		world->command = 0;
		assert_int_equal(broker_command(world->broker, COMMAND_VM_START, "", answered, world), 0);
		for (ms = 0; ms < 100 && world->command == 0; ms++)
			world_run(world, 1);
		assert_int_equal(world->command, COMMAND_VM_START);
		assert_int_equal(broker_facts(world->broker, &cluster, peers), 11);
		assert_int_equal(peers[0].claim.score, 1000 + i);
		assert_int_equal(broker_answer(world->broker, world->ticket, 0, ""), 0);
		/* The next of its own begins 10 s after this one. */
		world_run(world, 9980 - ms + i);
	}
	assert_int_equal(world->answers, 40);
	/* What begins nothing waits for nothing. */
	broker_command(world->broker, COMMAND_VM_SHUTDOWN, "", answered, world);
	assert_int_equal(world->command, COMMAND_VM_SHUTDOWN);
}

static void no_start_without_a_look(void **state)
{
	struct world *world = world_joined(*state);

	world_run(world, 30000);
	world_fault(world, (struct store_fault){.kind = STORE_FAULT_EIO, .ops = STORE_FAULT_READS});
	assert_int_equal(broker_command(world->broker, COMMAND_VM_START, "", answered, world), 0);
	world_run(world, 1000);
	assert_int_equal(world->command, 0);
	assert_int_equal(world->answers, 1);
	assert_int_equal(world->answer_error, -EIO);
	assert_non_null(strstr(world->answer_text, "VM failed to launch\n"));
	world_heal(world);
	assert_int_equal(broker_command(world->broker, COMMAND_VM_START, "", answered, world), 0);
	world_run(world, 1000);
	assert_int_equal(world->command, COMMAND_VM_START);
}

/* What was ordered last holds. */
static void end_withdraws_the_start_before_it(void **state)
{
	static const enum command ends[] = {COMMAND_VM_SHUTDOWN, COMMAND_VM_POWEROFF};
	struct world *world = world_joined(*state);

	world_run(world, 30000);
	for (unsigned i = 0; i < 2; i++) {
		broker_command(world->broker, COMMAND_VM_START, "", answered, world);
		assert_int_equal(world->answers, i);
		broker_command(world->broker, ends[i], "", answered, world);
		assert_int_equal(world->answers, i + 1);
		assert_int_equal(world->answer_error, -ECANCELED);
		assert_string_equal(world->answer_text, START_WITHDRAWN);
		world_run(world, 1000);
		assert_int_equal(world->command, ends[i]);
	}
	/* Nothing else does. */
	broker_command(world->broker, COMMAND_VM_START, "", answered, world);
	broker_command(world->broker, COMMAND_VM_MIGRATE_CANCEL, "", answered, world);
	world_run(world, 1000);
	assert_int_equal(world->command, COMMAND_VM_START);
}

static void blocks_in_pieces(void **state)
{
	struct world *world = *state;
	struct slot_block blocks[10];
	uint32_t next;

	for (uint16_t id = 2; id <= 24; id++)
		world_record(world, id, "other", 10, 1, 3000);
	world_start(world);
	world_run(world, 3000);
	assert_int_equal(broker_blocks(world->broker, 0, blocks, 10, &next), 10);
	assert_int_equal(blocks[0].id, 0);
	assert_int_equal(blocks[1].id, 2);
	assert_int_equal(next, 11);
	assert_int_equal(broker_blocks(world->broker, next, blocks, 10, &next), 10);
	assert_int_equal(next, 21);
	assert_int_equal(broker_blocks(world->broker, next, blocks, 10, &next), 4);
	assert_int_equal(next, 0);
	assert_int_equal(broker_blocks(world->broker, 5000, blocks, 10, &next), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_ROW(reads_blocks_in_use_only),
		WORLD_ROW(unread_domain_hides_no_host),
		WORLD_ROW(blocks_that_nobody_listed_are_found),
		WORLD_ROW(owner_is_read_every_second),
		WORLD_ROW(owner_is_read_by_those_in_turn),
		WORLD_ROW(cycle_ends_when_it_was_taken),
		WORLD_ROW(agent_is_told_of_what_matters),
		WORLD_ROW(a_flood_is_bounded),
		WORLD_ROW(dead_monitor_is_unknown),
		WORLD_ROW(health_is_of_one_qemu),
		WORLD_ROW(whether_the_vm_runs),
		WORLD_ROW(start_comes_after_a_look),
		WORLD_ROW(no_start_without_a_look),
		WORLD_ROW(end_withdraws_the_start_before_it),
		WORLD_ROW(blocks_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
