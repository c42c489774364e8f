/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which pokes are worth a read, and how many: members, sequences, token buckets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "broker/poke.h"
#include "broker/poke_intake.h"

#define CLUSTER 77
#define BEGIN 500000

static struct poke_intake intake;
static mono_t now;

static int setup(void **state)
{
	memset(&intake, 0, sizeof(intake));
	intake.own_id = 1;
	intake.cluster = CLUSTER;
	now = BEGIN;
	return 0;
}

static struct poke_member member(uint32_t node)
{
	return (struct poke_member){node, 100 + node};
}

static uint16_t poke_of(uint32_t node, uint16_t host_id, uint64_t sequence, uint64_t cluster)
{
	struct poke poke = {.cluster = cluster, .sequence = sequence, .what = POKE_VM, .host_id = host_id};
	uint8_t bytes[POKE_SIZE];

	poke_encode(&poke, bytes);
	return poke_intake_take(&intake, member(node), bytes, sizeof(bytes), now);
}

static void only_a_members_own_block_is_read(void **state)
{
	assert_int_equal(poke_of(2, 2, 1, CLUSTER), 0); /* no member */
	assert_true(poke_intake_came(&intake, member(2)));
	assert_false(poke_intake_came(&intake, member(2)));
	assert_int_equal(poke_of(2, 2, 1, CLUSTER + 1), 0);
	assert_int_equal(poke_of(2, 1, 2, CLUSTER), 0); /* ours */
	assert_int_equal(poke_of(2, 2, 3, CLUSTER), 2);
	assert_int_equal(poke_of(2, 3, 4, CLUSTER), 0); /* another host's than before */
	assert_int_equal(poke_of(2, 2, 4, CLUSTER), 2);
	assert_int_equal(intake.taken, 2);
	assert_int_equal(intake.foreign, 4);
	assert_int_equal(poke_intake_take(&intake, member(2), "oHaP", 4, now), 0);
	assert_int_equal(intake.malformed, 1);
}

static void repeated_and_late_ones_cost_nothing(void **state)
{
	static const struct {
		uint64_t sequence;
		uint16_t read;
	} rows[] = {{5, 2}, {5, 0}, {4, 0}, {7, 2}, {6, 0}, {8, 2}, {1, 0}, {UINT64_MAX, 2}, {9, 0}};

	poke_intake_came(&intake, member(2));
	poke_intake_came(&intake, member(3));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(poke_of(2, 2, rows[i].sequence, CLUSTER), rows[i].read);
	/* Another member's numbers are its own, whatever block it speaks of. */
	assert_int_equal(poke_of(3, 2, 1, CLUSTER), 2);
	/* A broker that was started again begins anew. */
	poke_intake_left(&intake, member(2), now);
	poke_intake_came(&intake, member(2));
	assert_int_equal(poke_of(2, 2, 1, CLUSTER), 2);
}

static unsigned flood(uint32_t first, uint32_t last, int64_t ms)
{
	static uint64_t sequence;
	unsigned read = 0;

	for (mono_t end = now + ms; now < end; now++)
		for (uint32_t node = first; node <= last; node++)
			read += poke_of(node, (uint16_t)node, ++sequence, CLUSTER) != 0;
	return read;
}

static void one_member_costs_so_many(void **state)
{
	poke_intake_came(&intake, member(2));
	assert_in_range(flood(2, 2, 10000), POKE_BURST + POKE_PER_SECOND * 10 - 1,
			POKE_BURST + POKE_PER_SECOND * 10);
	/* The others are heard all the same. */
	poke_intake_came(&intake, member(3));
	assert_int_equal(poke_of(3, 3, 1, CLUSTER), 3);
	/* After a rest it may again. */
	now += 60000;
	assert_in_range(flood(2, 2, 1000), POKE_BURST + 1, POKE_BURST + POKE_PER_SECOND);
}

static void all_of_them_cost_so_many(void **state)
{
	for (uint32_t node = 2; node <= POKE_MEMBERS_MAX + 1; node++)
		assert_true(poke_intake_came(&intake, member(node)));
	assert_false(poke_intake_came(&intake, member(500)));
	assert_in_range(flood(2, POKE_MEMBERS_MAX + 1, 10000), POKE_BURST_ALL + POKE_PER_SECOND_ALL * 9,
			POKE_BURST_ALL + POKE_PER_SECOND_ALL * 10);
}

/* They tell whose member is whose, and ask for no read. */
static void greetings_cost_nothing(void **state)
{
	struct poke hello = {.cluster = CLUSTER, .what = POKE_HELLO, .host_id = 2};
	uint8_t bytes[POKE_SIZE];

	poke_intake_came(&intake, member(2));
	while (++hello.sequence <= 1000) {
		poke_encode(&hello, bytes);
		assert_int_equal(poke_intake_take(&intake, member(2), bytes, sizeof(bytes), now), 0);
	}
	assert_int_equal(intake.dropped, 0);
	assert_true(poke_intake_trusts(&intake, 2, now));
	assert_int_equal(poke_of(2, 2, hello.sequence, CLUSTER), 2);
}

/* Each time with a bucket of its own. */
static void who_comes_and_goes_costs_so_many(void **state)
{
	unsigned read = 0;

	for (mono_t end = now + 10000; now < end; now++) {
		poke_intake_came(&intake, member(2));
		read += poke_of(2, 2, 1, CLUSTER) != 0;
		read += poke_intake_left(&intake, member(2), now) != 0;
	}
	assert_in_range(read, POKE_BURST_ALL, POKE_BURST_ALL + POKE_PER_SECOND_ALL * 10);
}

static void who_leaves_is_read_once_and_noted(void **state)
{
	poke_intake_came(&intake, member(2));
	poke_intake_came(&intake, member(3));
	assert_int_equal(poke_intake_left(&intake, member(3), now), 0); /* whose it was nobody knows */
	assert_int_equal(poke_intake_left(&intake, member(9), now), 0);
	poke_of(2, 2, 1, CLUSTER);
	now += 5;
	assert_int_equal(poke_intake_left(&intake, member(2), now), 2);
	assert_int_equal(intake.gone[0].host_id, 2);
	assert_int_equal(intake.gone[0].at, now);
	assert_int_equal(poke_intake_left(&intake, member(2), now), 0);
	poke_intake_came(&intake, member(4));
	poke_of(4, 2, 1, CLUSTER);
	assert_int_equal(intake.gone[0].host_id, 0);
}

static void trusts_whom_it_hears(void **state)
{
	poke_intake_came(&intake, member(2));
	poke_intake_came(&intake, member(3));
	assert_false(poke_intake_trusts(&intake, 2, now));
	poke_of(2, 2, 1, CLUSTER);
	assert_true(poke_intake_trusts(&intake, 2, now));
	assert_false(poke_intake_trusts(&intake, 3, now));
	assert_false(poke_intake_trusts(&intake, 0, now));
	/* What was dropped may have been anybody's. */
	flood(3, 3, 100);
	assert_false(poke_intake_trusts(&intake, 2, now));
	now += POKE_DISTRUST_MS - 1;
	assert_true(poke_intake_trusts(&intake, 2, now));
	poke_intake_left(&intake, member(2), now);
	assert_false(poke_intake_trusts(&intake, 2, now));
	poke_of(3, 3, 10000, CLUSTER);
	poke_intake_clear(&intake);
	assert_false(poke_intake_trusts(&intake, 3, now));
}

static void bucket_says_when(void **state)
{
	struct poke_bucket bucket = {0};

	for (int i = 0; i < 4; i++)
		assert_true(poke_bucket_take(&bucket, 4, 2, now));
	assert_false(poke_bucket_take(&bucket, 4, 2, now));
	assert_int_equal(poke_bucket_ready(&bucket, 4, 2, now), BEGIN + 500);
	now += 499;
	assert_false(poke_bucket_take(&bucket, 4, 2, now));
	now += 1;
	assert_true(poke_bucket_take(&bucket, 4, 2, now));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(only_a_members_own_block_is_read, setup),
		cmocka_unit_test_setup(repeated_and_late_ones_cost_nothing, setup),
		cmocka_unit_test_setup(one_member_costs_so_many, setup),
		cmocka_unit_test_setup(all_of_them_cost_so_many, setup),
		cmocka_unit_test_setup(greetings_cost_nothing, setup),
		cmocka_unit_test_setup(who_comes_and_goes_costs_so_many, setup),
		cmocka_unit_test_setup(who_leaves_is_read_once_and_noted, setup),
		cmocka_unit_test_setup(trusts_whom_it_hears, setup),
		cmocka_unit_test_setup(bucket_says_when, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
