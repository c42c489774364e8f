/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Joining by what the whiteboard and the leases say: whose block it is, whose domain (safety rule 8), on a
 * virtual clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "tests/unit/broker_world.h"

static void id_taken(void **state)
{
	struct world *world = *state;

	world_record(world, 1, "other.example", 100, 0, 3400);
	world_start(world);
	world_run(world, 20000);
	assert_int_equal(world->joins, 0);
	world_record(world, 1, "other.example", 120, 0, 3400);
	world_run(world, 3000);
	assert_int_equal(world_cluster(world).block, BLOCK_ID_TAKEN);
	world_run(world, 55000);
	assert_int_equal(world->joins, 0);
	/* It stands still for as long as makes a record stale: a dead host's. */
	world_run(world, 8000);
	assert_int_equal(world->joins, 1);
	assert_int_equal(world_cluster(world).block, BLOCK_NONE);
}

/* A write of ours that stopped inside its line: the timestamp is the new one's, the checksum is not. */
static void write_half_record(struct world *world, unsigned tens)
{
	world_record(world, 1, "host1.example", 100 + 10 * tens, 3, 3400);
	world->blocks[1][4] ^= 1; /* the first digit of the timestamp */
}

static void half_record_of_ours_is_written_over(void **state)
{
	struct world *world = *state;
	char text[TEXT_MAX];

	write_half_record(world, 0);
	world_start(world);
	world_run(world, 55000);
	assert_int_equal(world->joins, 0);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "half a record of this host"));
	/* Whoever writes it lives. */
	write_half_record(world, 1);
	world_run(world, 55000);
	assert_int_equal(world->joins, 0);
	world_run(world, 15000);
	assert_int_equal(world->joins, 1);
	world_attach(world);
	world_publish(world, 3400);
	world_run(world, 1000);
	assert_int_equal(world->published_error, 0);
}

/* While nobody can read, whoever wrote it may be unable to write. */
static void nothing_stands_still_unseen(void **state)
{
	struct world *world = *state;

	for (int i = 0; i < 2; i++) {
		if (i == 0)
			write_half_record(world, 0);
		else
			world_record(world, 1, "other.example", 100, 0, 3400);
		world_start(world);
		world_run(world, 30000);
		world_fault(world, (struct store_fault){.kind = STORE_FAULT_EIO, .ops = STORE_FAULT_READS});
		world_run(world, 40000);
		world_heal(world);
		world_run(world, 58000);
		assert_int_equal(world->joins, 0);
		world_run(world, 5000);
		assert_int_equal(world->joins, 1);
		if (i == 0) {
			world_free(world);
			*state = world = world_new();
		}
	}
}

/* It names another host: nothing of ours. */
static void half_record_of_another_stays(void **state)
{
	struct world *world = *state;
	uint8_t theirs[BLOCK_SIZE];

	world_record(world, 1, "other.example", 100, 3, 3400);
	world->blocks[1][4] ^= 1;
	memcpy(theirs, world->blocks[1], BLOCK_SIZE);
	world_start(world);
	world_run(world, 200000);
	assert_int_equal(world->joins, 0);
	assert_memory_equal(world->blocks[1], theirs, BLOCK_SIZE);
	assert_int_equal(world_cluster(world).block, BLOCK_ID_TAKEN);
}

static void own_record_needs_no_watch(void **state)
{
	struct world *world = *state;

	world_record(world, 1, "host1.example", 100, 3, 3400);
	world_start(world);
	world_run(world, 1200);
	assert_int_equal(world->joins, 1);
}

static void qemu_appears_during_the_watch(void **state)
{
	struct world *world = *state;

	world_record(world, 1, "other.example", 100, 0, 3400);
	world_start(world);
	world_run(world, 30000);
	world->qemu_pid = 5;
	world->kills_needed = 2;
	world_run(world, 40000);
	assert_int_equal(world->kills, 2);
	assert_int_equal(world->joins, 1);
}

static void noise_is_not_overwritten(void **state)
{
	struct world *world = *state;
	uint8_t before[BLOCK_SIZE];

	memset(world->blocks[1], 'x', BLOCK_SIZE);
	memcpy(before, world->blocks[1], BLOCK_SIZE);
	world_start(world);
	world_attach(world);
	world_publish(world, 3400);
	world_run(world, 200000);
	assert_int_equal(world->joins, 0);
	assert_int_equal(world_cluster(world).block, BLOCK_ID_TAKEN);
	assert_memory_equal(world->blocks[1], before, BLOCK_SIZE);
}

static void newer_record_is_not_overwritten(void **state)
{
	struct world *world = *state;
	uint8_t before[BLOCK_SIZE];

	world_record(world, 2, "host2.example", 100, 3, 3400);
	world_record(world, 1, "host1.example", 100, 3, 3400);
	world->blocks[1][0] = '2';
	memcpy(before, world->blocks[1], BLOCK_SIZE);
	world_start(world);
	world_attach(world);
	world_publish(world, 3400);
	world_run(world, 200000);
	assert_memory_equal(world->blocks[1], before, BLOCK_SIZE);
	assert_int_equal(world->joins, 0);
	assert_int_equal(world_cluster(world).block, BLOCK_ID_TAKEN);
}

static void other_domain(void **state)
{
	struct world *world = *state;
	struct identity identity = {.domain = "11111111-2222-3333-4444-555555555555",
				    .lockspace = "hosted-engine"};

	strcpy(world->config.domain, "99999999-2222-3333-4444-555555555555");
	assert_int_equal(identity_encode(&identity, world->blocks[IDENTITY_BLOCK]), 0);
	world_start(world);
	world_run(world, 30000);
	assert_int_equal(world->joins, 0);
	assert_int_equal(world_cluster(world).block, BLOCK_DOMAIN);
}

/* Joined already by the broker before this one: nobody asked at a gate. */
static void other_domain_found_joined(void **state)
{
	static const struct identity other = {.domain = "11111111-2222-3333-4444-555555555555",
					      .lockspace = "hosted-engine"};
	struct world *world = *state;
	static struct peer peers[HOST_ID_MAX];
	struct cluster cluster;
	char text[TEXT_MAX];

	strcpy(world->config.domain, "99999999-2222-3333-4444-555555555555");
	assert_int_equal(identity_encode(&other, world->blocks[IDENTITY_BLOCK]), 0);
	world_record(world, 2, "host2.example", 100, 3, 3400);
	world->membership = MEMBERSHIP_JOINED;
	world->generation = 7;
	world->qemu_pid = 77;
	world_start(world);
	world_attach(world);
	world_run(world, 100);
	world_publish(world, 0);
	world_run(world, 30000);
	assert_int_equal(broker_facts(world->broker, &cluster, peers), 0);
	assert_int_equal(cluster.membership, MEMBERSHIP_JOINED);
	assert_int_equal(cluster.block, BLOCK_DOMAIN);
	assert_false(cluster.whiteboard_read);
	assert_false(cluster.maintenance_read);
	assert_int_equal(cluster.maintenance, FLAG_UNKNOWN);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "belongs to another domain"));
	assert_int_equal(world->published_error, -EXDEV);
	assert_int_equal(broker_set_global(world->broker, true, NULL, NULL), -EXDEV);
	/* Nothing is written, nobody is killed, and who runs keeps the host id. */
	assert_int_equal(world->writes, 0);
	assert_int_equal(world->kills + world->leaves, 0);

	strcpy((char *)world->blocks[IDENTITY_BLOCK], "");
	world_run(world, 60000);
	world_publish(world, 3400);
	world_run(world, 11000);
	assert_int_equal(world_cluster(world).block, BLOCK_NONE);
	assert_true(world_cluster(world).whiteboard_read);
	assert_true(world->writes > 0);
}

/* Nothing is written before it is known whose whiteboard it is; then at once. */
static void same_domain_found_joined(void **state)
{
	struct world *world = *state;

	world->membership = MEMBERSHIP_JOINED;
	world->generation = 7;
	world_fault(world, (struct store_fault){.kind = STORE_FAULT_EIO});
	world_start(world);
	world_attach(world);
	world_run(world, 100);
	world_publish(world, 3400);
	world_run(world, 3000);
	assert_int_equal(world->published, 0);
	world_heal(world);
	world_run(world, 1500);
	assert_true(world->writes > 0);
	assert_int_equal(world->published_error, 0);
	assert_int_equal(world_cluster(world).block, BLOCK_NONE);
	assert_int_equal(world->joins, 0);
}

static void other_lease_found_joined(void **state)
{
	struct world *world = *state;

	world->membership = MEMBERSHIP_JOINED;
	world->generation = 7;
	world->owner.error = -EXDEV;
	world_start(world);
	world_run(world, 3000);
	assert_int_equal(world_cluster(world).block, BLOCK_DOMAIN);
	assert_int_equal(world_cluster(world).membership, MEMBERSHIP_JOINED);
	world->owner.error = 0;
	world_run(world, 11000);
	assert_int_equal(world_cluster(world).block, BLOCK_NONE);
}

static void other_lease(void **state)
{
	struct world *world = *state;

	world->join_error = -EXDEV;
	world_start(world);
	world_run(world, 3000);
	assert_int_equal(world_cluster(world).block, BLOCK_DOMAIN);
	assert_int_equal(world_cluster(world).membership, MEMBERSHIP_NONE);
}

static void engine_lease_of_another_domain(void **state)
{
	struct world *world = *state;

	world->owner.error = -EXDEV;
	world_start(world);
	world_run(world, 30000);
	assert_int_equal(world->joins, 0);
	assert_int_equal(world_cluster(world).block, BLOCK_DOMAIN);
	world->owner.error = 0;
	world_run(world, 10000);
	assert_int_equal(world->joins, 1);
	assert_int_equal(world_cluster(world).block, BLOCK_NONE);
}

static void storage_away_at_start(void **state)
{
	struct world *world = *state;
	char text[TEXT_MAX];

	world_fault(world, (struct store_fault){.kind = STORE_FAULT_EIO});
	world_start(world);
	world_run(world, 30000);
	assert_int_equal(world->joins, 0);
	assert_false(world_cluster(world).whiteboard_read);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "storage: reads fail for 29 s"));
	world_heal(world);
	world_run(world, 3000);
	assert_int_equal(world->joins, 1);
	assert_true(world_cluster(world).whiteboard_read);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_ROW(id_taken),
		WORLD_ROW(half_record_of_ours_is_written_over),
		WORLD_ROW(half_record_of_another_stays),
		WORLD_ROW(nothing_stands_still_unseen),
		WORLD_ROW(own_record_needs_no_watch),
		WORLD_ROW(qemu_appears_during_the_watch),
		WORLD_ROW(noise_is_not_overwritten),
		WORLD_ROW(newer_record_is_not_overwritten),
		WORLD_ROW(other_domain),
		WORLD_ROW(other_domain_found_joined),
		WORLD_ROW(same_domain_found_joined),
		WORLD_ROW(other_lease_found_joined),
		WORLD_ROW(other_lease),
		WORLD_ROW(engine_lease_of_another_domain),
		WORLD_ROW(storage_away_at_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
