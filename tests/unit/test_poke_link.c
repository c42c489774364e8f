/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pokes in a whole broker: what is told, what is read for it, and that all goes on without them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/broker_state.h"
#include "metadata/record.h"
#include "tests/unit/broker_world.h"

/* A member of the group, host 2 too, which owns the lease. */
static struct world *world_with_group(void **state)
{
	struct world *world = *state;

	world->pokes = true;
	world_record(world, 2, "host2.example", 10, 1, 3000);
	world->owner = (struct lease_owner){.kind = OWNER_HOST, .id = 2, .generation = 1, .version = 1};
	world_joined(world);
	world_poke_joined(world);
	world->poke_calls->came(world->poke_data, (struct poke_member){2, 1});
	world_poke(world, 2, 1);
	world_publish(world, 3000);
	world_run(world, 12000);
	return world;
}

static struct poke last_sent(struct world *world)
{
	struct poke poke;

	assert_int_equal(poke_decode(world->poke_sent, POKE_SIZE, &poke), 0);
	return poke;
}

static int32_t known_score(struct world *world)
{
	struct peer peers[4];
	struct cluster cluster;

	assert_int_equal(broker_facts(world->broker, &cluster, peers), 1);
	return peers[0].claim.score;
}

static void news_are_told_once_they_stand_there(void **state)
{
	struct world *world = world_with_group(state);
	unsigned sends = world->poke_sends;
	struct poke before = last_sent(world);
	struct record record;
	char cause[RECORD_CAUSE_SIZE];

	world_publish(world, 2900);
	world_run(world, 100);
	assert_int_equal(world->poke_sends, sends + 1);
	assert_int_equal(record_decode(world->poke_block, 1, &record, cause), RECORD_OK);
	assert_int_equal(record.claim.score, 2900);
	assert_int_equal(last_sent(world).host_id, 1);
	assert_int_equal(last_sent(world).what, POKE_SCORE);
	assert_int_equal(last_sent(world).sequence, before.sequence + 1);
	assert_int_equal(last_sent(world).cluster, poke_cluster("", "hosted-engine"));
	/* A heartbeat is no news. */
	for (int i = 0; i < 12; i++) {
		world_publish(world, 2900);
		world_run(world, 5000);
	}
	assert_int_equal(world->poke_sends, sends + 1);
}

static void what_is_not_stored_is_not_told(void **state)
{
	struct world *world = world_with_group(state);
	unsigned sends = world->poke_sends;

	world->write_error = -EIO;
	world_publish(world, 2900);
	world_run(world, 5000);
	assert_int_equal(world->poke_sends, sends);
	world->write_error = 0;
	world_run(world, 2000);
	assert_int_equal(world->poke_sends, sends + 1);
	assert_int_equal(last_sent(world).what, POKE_SCORE);
}

static void a_poke_is_one_read_at_once(void **state)
{
	struct world *world = world_with_group(state);
	uint64_t read = world->broker->board.poked_reads;

	world_record(world, 2, "host2.example", 20, 1, 1234);
	world_poke(world, 2, 2);
	world_run(world, 20);
	assert_int_equal(known_score(world), 1234);
	assert_int_equal(world->broker->board.poked_reads, read + 1);
	/* Twice the same, and what it says is nowhere but in the block. */
	world_poke(world, 2, 2);
	world_run(world, 20);
	assert_int_equal(world->broker->board.poked_reads, read + 1);
	assert_int_equal(known_score(world), 1234);
}

/* Its write may have ended after the read under way began. */
static void a_poke_during_a_read_is_another(void **state)
{
	struct world *world = world_with_group(state);
	uint64_t read = world->broker->board.poked_reads;

	world_fault(world, (struct store_fault){.kind = STORE_FAULT_DELAY,
						.ops = STORE_FAULT_READS,
						.delay_ms = 300,
						.block = 2});
	world_record(world, 2, "host2.example", 20, 1, 1111);
	world_poke(world, 2, 2);
	world_run(world, 100);
	world_record(world, 2, "host2.example", 21, 1, 2222);
	world_poke(world, 2, 3);
	world_poke(world, 2, 4);
	world_run(world, 1000);
	world_heal(world);
	assert_int_equal(known_score(world), 2222);
	assert_int_equal(world->broker->board.poked_reads, read + 2);
}

static uint64_t read_in(struct world *world, int64_t ms)
{
	uint64_t before = world->blocks_read;

	world_run(world, ms);
	return world->blocks_read - before;
}

/* In a minute, which has one piece of all blocks: 12 looks at the owner, or 60. */
static void owner_that_tells_is_looked_at_less(void **state)
{
	struct world *world = world_with_group(state);
	uint64_t told = read_in(world, 60000), alone;

	world->poke_calls->left(world->poke_data, (struct poke_member){2, 1});
	alone = read_in(world, 60000);
	assert_in_range(alone - told, 46, 50);
	world->poke_calls->came(world->poke_data, (struct poke_member){2, 1});
	world_poke(world, 2, 1);
	assert_in_range(read_in(world, 60000), told - 2, told + 2);
	world->poke_calls->lost(world->poke_data);
	assert_in_range(read_in(world, 60000), alone - 2, alone + 2);
}

static void flood_costs_so_many_reads(void **state)
{
	struct world *world = world_with_group(state);
	uint64_t read = world->broker->board.poked_reads;
	uint64_t sequence = 1;

	for (uint32_t node = 3; node < 60; node++)
		world->poke_calls->came(world->poke_data, (struct poke_member){node, 1});
	for (int ms = 0; ms < 20000; ms += 10) {
		sequence++;
		for (uint16_t id = 3; id < 60; id++)
			world_poke(world, id, sequence);
		world_poke(world, 2, sequence); /* a host that is forged over and over */
		world_run(world, 10);
	}
	assert_in_range(world->broker->board.poked_reads - read, POKE_BURST_ALL,
			POKE_BURST_ALL + 20 * POKE_PER_SECOND_ALL);
	/* And pokes are not trusted: the owner is read as without them. */
	world_record(world, 2, "host2.example", 99, 1, 2345);
	world_run(world, 1100);
	assert_int_equal(known_score(world), 2345);
}

/* Host 7 is read in its rhythm while host 2 asks for more reads of its own block than are done. */
static void flood_on_storage(void **state, int64_t delay_ms, int64_t most_ms)
{
	struct world *world = world_with_group(state);
	uint64_t sequence = 1;

	world_record(world, 7, "host7.example", 5, 1, 500);
	world->hosts[world->n_hosts++] = (struct lease_host){.id = 7, .state = HOST_LIVE, .generation = 1};
	world_run(world, 11000);
	world_fault(world, (struct store_fault){.kind = STORE_FAULT_DELAY,
						.ops = STORE_FAULT_READS,
						.delay_ms = delay_ms,
						.block = 2});
	for (int round = 0; round < 5; round++) {
		struct slot_block block;
		uint32_t next;

		for (int ms = 0; ms < 11000; ms += 5) {
			world_poke(world, 2, ++sequence);
			world_run(world, 5);
		}
		assert_int_equal(broker_blocks(world->broker, 7, &block, 1, &next), 1);
		assert_int_equal(block.id, 7);
		assert_in_range(world->now - block.read_at, 0, most_ms);
	}
}

/* A cycle that falls due meanwhile is not passed over. */
static void flood_starves_no_cycle(void **state)
{
	flood_on_storage(state, 450, 14000);
}

/* A member may ask twice a second: whenever a read ends, another poke waits. */
static void flood_on_slow_storage_starves_no_cycle(void **state)
{
	flood_on_storage(state, 600, 16000);
}

static void own_flood_is_held_back(void **state)
{
	struct world *world = world_with_group(state);
	unsigned sends = world->poke_sends;
	struct record record;
	char cause[RECORD_CAUSE_SIZE];

	world_run(world, 10000);
	for (int i = 0; i < 200; i++) {
		world_publish(world, 1000 + i);
		world_run(world, 50);
	}
	assert_in_range(world->poke_sends - sends, POKE_SEND_BURST + 10 * POKE_PER_SECOND - 3,
			POKE_SEND_BURST + 10 * POKE_PER_SECOND + 1);
	/* The last one says it all. */
	world_run(world, 2000);
	assert_int_equal(record_decode(world->poke_block, 1, &record, cause), RECORD_OK);
	assert_int_equal(record.claim.score, 1199);
}

static void a_corosync_that_hangs_is_left(void **state)
{
	struct world *world = world_with_group(state);
	char text[TEXT_MAX];
	unsigned sends;

	world->poke_hangs = true;
	sends = world->poke_sends;
	for (int i = 0; i < 20; i++) {
		world_publish(world, 2000 + i);
		world_run(world, 100);
	}
	assert_int_equal(world->poke_sends, sends + 1);
	assert_int_equal(world->poke_restarts, 0);
	world_run(world, POKE_BACK_MS);
	assert_int_equal(world->poke_restarts, 1);
	assert_false(poke_link_trusts(&world->broker->pokes, 2));
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "corosync: away for 0 min"));
	world_run(world, 24 * 60 * 60000);
	broker_trouble(world->broker, text);
	assert_null(strstr(text, "corosync"));
	assert_int_equal(world->poke_sends, sends + 1);
	world->poke_hangs = false;
	world_poke_joined(world);
	world_run(world, 100);
	assert_int_equal(world->poke_sends, sends + 2);
	broker_trouble(world->broker, text);
	assert_null(strstr(text, "corosync"));
}

static void a_poke_that_could_not_be_sent_comes_later(void **state)
{
	struct world *world = world_with_group(state);
	unsigned sends = world->poke_sends;

	world->poke_error = -EAGAIN;
	world_publish(world, 2900);
	world_run(world, 3500);
	world->poke_error = 0;
	world_run(world, 1000);
	assert_int_equal(world->poke_sends, sends + 1);
	assert_int_equal(last_sent(world).what, POKE_SCORE);
}

/* Its last words are read, and people are told until its record says more. */
static void a_broker_that_goes_is_seen(void **state)
{
	struct world *world = world_with_group(state);
	char text[TEXT_MAX];

	world_record(world, 2, "host2.example", 30, 1, 3000);
	world_run(world, 11000);
	world_record(world, 2, "host2.example", 31, 1, 0);
	world->poke_calls->left(world->poke_data, (struct poke_member){2, 1});
	world_run(world, 20);
	assert_int_equal(known_score(world), 0);
	world_run(world, 3000);
	broker_trouble(world->broker, text);
	assert_null(strstr(text, "host 2")); /* that word came after */
	world->poke_calls->came(world->poke_data, (struct poke_member){2, 1});
	world_poke(world, 2, 1);
	world_run(world, 100);
	world->poke_calls->left(world->poke_data, (struct poke_member){2, 1});
	world_run(world, 3000);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "corosync: the broker of host 2 is not heard for 3 s"));
	world_record(world, 2, "host2.example", 32, 1, 0);
	world_run(world, 11000);
	broker_trouble(world->broker, text);
	assert_null(strstr(text, "host 2"));
}

static void newcomers_are_greeted(void **state)
{
	struct world *world = world_with_group(state);
	unsigned sends = world->poke_sends;

	world->poke_calls->came(world->poke_data, (struct poke_member){2, 1}); /* known */
	world_run(world, 100);
	assert_int_equal(world->poke_sends, sends);
	world->poke_calls->came(world->poke_data, (struct poke_member){3, 1});
	world_run(world, 100);
	assert_int_equal(world->poke_sends, sends + 1);
	assert_int_equal(last_sent(world).what, POKE_HELLO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_ROW(news_are_told_once_they_stand_there),
		WORLD_ROW(what_is_not_stored_is_not_told),
		WORLD_ROW(a_poke_is_one_read_at_once),
		WORLD_ROW(a_poke_during_a_read_is_another),
		WORLD_ROW(owner_that_tells_is_looked_at_less),
		WORLD_ROW(flood_costs_so_many_reads),
		WORLD_ROW(flood_starves_no_cycle),
		WORLD_ROW(flood_on_slow_storage_starves_no_cycle),
		WORLD_ROW(own_flood_is_held_back),
		WORLD_ROW(a_corosync_that_hangs_is_left),
		WORLD_ROW(a_poke_that_could_not_be_sent_comes_later),
		WORLD_ROW(a_broker_that_goes_is_seen),
		WORLD_ROW(newcomers_are_greeted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
