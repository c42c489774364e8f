/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "metadata/slots.h"
#include "tests/vectors/vector_file.h"

#define OWN 9

static const struct lease_timing timing = {10, 60};

CLEANUP_DEFINE(struct slots *, slots_free)
#define _cleanup_slots_ _cleanup_(slots_free_p)

static struct slots *slots_make(void)
{
	struct slots *slots;

	assert_int_equal(slots_new(OWN, &slots), 0);
	return slots;
}

static struct record record_make(uint16_t id)
{
	struct record record = {
		.host_id = id,
		.claim = {.timestamp = 1000,
			  .generation = 3,
			  .score = 3400,
			  .vm = VM_DOWN,
			  .health = HEALTH_BAD},
	};

	snprintf(record.hostname, sizeof(record.hostname), "host%u", id);
	snprintf(record.state, sizeof(record.state), "EngineDown");
	return record;
}

static enum slot_change take(struct slots *slots, const struct record *record, mono_t now)
{
	uint8_t block[BLOCK_SIZE];

	assert_int_equal(record_encode(record, 1700000000, block), 0);
	return slots_take_block(slots, record->host_id, block, &timing, now);
}

/* The line of before a reboot with the text of after it: no record, and the next whole one counts. */
static void test_torn(void **state)
{
	_cleanup_slots_ struct slots *slots = slots_make();
	uint8_t before[BLOCK_SIZE], after[BLOCK_SIZE];
	struct record record = record_make(7);

	slots_take_host(slots, 7, HOST_LIVE, 4, 1, 0);
	assert_int_equal(record_encode(&record, 1700000000, before), 0);
	record.claim.timestamp = 5;
	record.claim.generation = 4;
	assert_int_equal(record_encode(&record, 1700000000, after), 0);
	memcpy(after, before, RECORD_LINE_MAX);
	assert_int_equal(slots_take_block(slots, 7, after, &timing, 1000), SLOT_BEAT);
	record.claim.timestamp = 15;
	take(slots, &record, 2000);
	assert_int_equal(slots_get(slots, 7)->peer.claim.timestamp, 15);
	assert_int_equal(slots_get(slots, 7)->peer.fault, RECORD_OK);
}

static void test_changes(void **state)
{
	_cleanup_slots_ struct slots *slots = slots_make();
	struct record record = record_make(7);
	uint8_t block[BLOCK_SIZE];

	assert_null(slots_get(slots, 7));
	assert_int_equal(take(slots, &record, 0), SLOT_CHANGED);
	assert_int_equal(take(slots, &record, 1000), SLOT_SAME);
	assert_int_equal(slots_decoded(slots), 1);
	assert_int_equal(slots_get(slots, 7)->read_at, 1000);
	assert_true(slots_get(slots, 7)->peer.changed_at == MONO_UNSET);
	record.claim.timestamp++;
	assert_int_equal(take(slots, &record, 2000), SLOT_BEAT);
	assert_int_equal(slots_get(slots, 7)->peer.changed_at, 2000);
	record.claim.timestamp++;
	record.claim.score = 0;
	assert_int_equal(take(slots, &record, 3000), SLOT_CHANGED);
	record.claim.timestamp++;
	snprintf(record.state, sizeof(record.state), "EngineStart");
	assert_int_equal(take(slots, &record, 4000), SLOT_CHANGED);
	assert_int_equal(slots_decoded(slots), 4);
	image_copy(slots_get(slots, 7)->image, block);
	assert_int_equal(slots_take_block(slots, 7, block, &timing, 5000), SLOT_SAME);
	/* A byte in the padding is a change of bytes, and of nothing else. */
	block[BLOCK_SIZE - 1] = 'x';
	assert_int_equal(slots_take_block(slots, 7, block, &timing, 6000), SLOT_BEAT);
	assert_int_equal(slots_decoded(slots), 5);
	assert_int_equal(slots_count(slots), 1);
}

static void test_late_write(void **state)
{
	_cleanup_slots_ struct slots *slots = slots_make();
	struct record newer = record_make(1), late = record_make(1), reborn = record_make(1);

	newer.claim.timestamp = 2000;
	late.claim.timestamp = 1999;
	late.claim.score = 17;
	reborn.claim.timestamp = 5;
	reborn.claim.generation = 4;
	take(slots, &newer, 0);
	assert_int_equal(take(slots, &late, 1000), SLOT_BEAT);
	assert_int_equal(slots_get(slots, 1)->peer.claim.timestamp, 2000);
	assert_int_equal(slots_get(slots, 1)->peer.claim.score, 3400);
	assert_int_equal(take(slots, &reborn, 2000), SLOT_CHANGED);
	assert_int_equal(slots_get(slots, 1)->peer.claim.generation, 4);
}

static void test_bad_hides_nobody(void **state)
{
	_cleanup_slots_ struct slots *slots = slots_make();
	struct record one = record_make(1), two = record_make(2), three = record_make(3);
	uint8_t noise[BLOCK_SIZE];

	memset(noise, 0xff, sizeof(noise));
	take(slots, &one, 0);
	take(slots, &two, 0);
	take(slots, &three, 0);
	assert_int_equal(slots_take_block(slots, 2, noise, &timing, 1000), SLOT_CHANGED);
	assert_int_equal(slots_get(slots, 2)->peer.fault, RECORD_BAD);
	assert_string_equal(slots_get(slots, 2)->image->cause, "not UTF-8");
	assert_int_equal(slots_get(slots, 2)->peer.claim.score, 3400);
	noise[100] = 'x';
	assert_int_equal(slots_take_block(slots, 2, noise, &timing, 2000), SLOT_BEAT);
	assert_int_equal(slots_get(slots, 1)->peer.fault, RECORD_OK);
	assert_int_equal(slots_get(slots, 3)->peer.fault, RECORD_OK);
	two.claim.timestamp++;
	assert_int_equal(take(slots, &two, 3000), SLOT_CHANGED);
	assert_int_equal(slots_get(slots, 2)->peer.fault, RECORD_OK);
}

/* Whatever one byte of a block becomes, no other slot sees it. */
static void test_flips_stay_in_their_slot(void **state)
{
	_cleanup_slots_ struct slots *slots = slots_make();
	struct record records[] = {record_make(1), record_make(2), record_make(3)};
	static const uint8_t flips[] = {0x01, 0x10, 0x80, 0xff};
	struct slot others[2];
	uint8_t block[BLOCK_SIZE];

	for (size_t i = 0; i < 3; i++)
		take(slots, &records[i], 0);
	others[0] = *slots_get(slots, 1);
	others[1] = *slots_get(slots, 3);
	image_copy(slots_get(slots, 2)->image, block);
	for (size_t at = 0; at < sizeof(block); at++) {
		for (size_t i = 0; i < sizeof(flips); i++) {
			block[at] ^= flips[i];
			slots_take_block(slots, 2, block, &timing, 1000);
			block[at] ^= flips[i];
			assert_int_equal(slots_count(slots), slots_get(slots, 2) ? 3 : 2);
		}
	}
	slots_take_block(slots, 2, block, &timing, 2000);
	assert_int_equal(slots_get(slots, 2)->peer.fault, RECORD_OK);
	assert_memory_equal(&others[0], slots_get(slots, 1), sizeof(others[0]));
	assert_memory_equal(&others[1], slots_get(slots, 3), sizeof(others[1]));
}

static void test_zeroed_is_gone(void **state)
{
	_cleanup_slots_ struct slots *slots = slots_make();
	struct record record = record_make(5);
	const uint8_t zeros[BLOCK_SIZE] = {0};

	assert_int_equal(slots_take_block(slots, 5, zeros, &timing, 0), SLOT_SAME);
	assert_int_equal(slots_count(slots), 0);
	take(slots, &record, 0);
	assert_int_equal(slots_take_block(slots, 5, zeros, &timing, 1000), SLOT_CHANGED);
	assert_null(slots_get(slots, 5));
	/* Known to sanlock: the slot stays, without a record. */
	take(slots, &record, 2000);
	assert_true(slots_take_host(slots, 5, HOST_LIVE, 3, 100, 2000));
	assert_int_equal(slots_take_block(slots, 5, zeros, &timing, 3000), SLOT_CHANGED);
	assert_non_null(slots_get(slots, 5));
	assert_int_equal(slots_get(slots, 5)->peer.fault, RECORD_ABSENT);
	assert_null(slots_get(slots, 5)->image);
	assert_true(slots_take_host(slots, 5, HOST_ABSENT, 0, 0, 4000));
	assert_null(slots_get(slots, 5));
}

static void test_hosts(void **state)
{
	_cleanup_slots_ struct slots *slots = slots_make();
	struct record record = record_make(9);
	struct peer peers[3];

	assert_false(slots_take_host(slots, 4, HOST_ABSENT, 0, 0, 0));
	assert_int_equal(slots_count(slots), 0);
	assert_true(slots_take_host(slots, 2000, HOST_LIVE, 1, 10, 0));
	assert_false(slots_take_host(slots, 2000, HOST_LIVE, 1, 20, 1000));
	assert_int_equal(slots_get(slots, 2000)->peer.renewed_at, 1000);
	assert_true(slots_take_host(slots, 2000, HOST_UNKNOWN, 0, 0, 2000));
	assert_non_null(slots_get(slots, 2000));
	assert_true(slots_take_host(slots, 1, HOST_LIVE, 8, 10, 0));
	take(slots, &record, 0);
	assert_int_equal(slots_count(slots), 3);
	assert_int_equal(slots_next(slots, 0)->peer.id, 1);
	assert_int_equal(slots_next(slots, 1)->peer.id, 9);
	assert_int_equal(slots_next(slots, 9)->peer.id, 2000);
	assert_null(slots_next(slots, 2000));
	/* The own one is none. */
	assert_int_equal(slots_peers(slots, peers), 2);
	assert_int_equal(peers[0].id, 1);
	assert_int_equal(peers[1].id, 2000);
}

/* Two hosts read one image: it is taken apart for the first, and each counts for itself what changed. */
static void test_one_image_of_two(void **state)
{
	_cleanup_slots_ struct slots *slots = slots_make(), *others = slots_make();
	struct record record = record_make(7);
	uint8_t block[BLOCK_SIZE];
	struct image *image;

	assert_int_equal(record_encode(&record, 1700000000, block), 0);
	image = image_new(block);
	assert_int_equal(slots_take_image(slots, 7, image, &timing, 0), SLOT_CHANGED);
	assert_int_equal(slots_take_image(others, 7, image, &timing, 0), SLOT_CHANGED);
	assert_int_equal(slots_take_image(others, 7, image, &timing, 1000), SLOT_SAME);
	assert_int_equal(slots_decoded(slots), 1);
	assert_int_equal(slots_decoded(others), 0);
	assert_int_equal(slots_get(others, 7)->peer.claim.score, 3400);
	assert_int_equal(image->keepers, 3);
	/* Other bytes take its place, the same ones of another image too. */
	assert_int_equal(slots_take_block(slots, 7, block, &timing, 2000), SLOT_SAME);
	assert_int_equal(image->keepers, 2);
	assert_int_equal(slots_take_image(others, 7, NULL, &timing, 2000), SLOT_CHANGED);
	assert_int_equal(image->keepers, 1);
	image_drop(image);
}

/* What the agent is told of, row by row. */
static void test_news(void **state)
{
	_cleanup_slots_ struct slots *slots = slots_make();
	struct record record = record_make(7), own = record_make(OWN);
	const uint8_t zeros[BLOCK_SIZE] = {0};
	uint64_t news = slots_news(slots);
	uint8_t noise[BLOCK_SIZE];

#define NEWS(is_news, call)                                                                                  \
	do {                                                                                                 \
		call;                                                                                        \
		assert_int_equal(slots_news(slots) != news, is_news);                                        \
		news = slots_news(slots);                                                                    \
	} while (0)
	NEWS(true, take(slots, &record, 0));
	NEWS(false, take(slots, &record, 1000));
	record.claim.timestamp += 10;
	NEWS(false, take(slots, &record, 2000));
	snprintf(record.state, sizeof(record.state), "EngineStart");
	NEWS(false, take(slots, &record, 3000));
	record.claim.score--;
	NEWS(true, take(slots, &record, 4000));
	memset(noise, 'x', sizeof(noise));
	NEWS(true, slots_take_block(slots, 7, noise, &timing, 5000));
	noise[1] = 'y';
	NEWS(false, slots_take_block(slots, 7, noise, &timing, 6000));
	NEWS(true, take(slots, &record, 7000));
	NEWS(true, slots_take_host(slots, 7, HOST_LIVE, 4, 10, 8000));
	NEWS(false, slots_take_host(slots, 7, HOST_LIVE, 4, 20, 9000));
	/* On another lockspace: two advances after 40 s of that, then a third. */
	for (int i = 0; i < 3; i++) {
		record.claim.timestamp += 10;
		NEWS(i < 2, take(slots, &record, 60000 + i));
	}
	/* And it is none of those any more. */
	record.claim.generation = 4;
	NEWS(true, take(slots, &record, 61000));
	NEWS(true, slots_take_host(slots, 7, HOST_ABSENT, 0, 0, 62000));
	NEWS(true, slots_take_block(slots, 7, zeros, &timing, 63000));
	NEWS(true, slots_take_host(slots, 8, HOST_LIVE, 1, 1, 64000));
	NEWS(true, slots_take_host(slots, 8, HOST_ABSENT, 0, 0, 65000));
	/* The own one tells this host nothing. */
	NEWS(false, take(slots, &own, 0));
	NEWS(false, slots_take_host(slots, OWN, HOST_LIVE, 1, 1, 66000));
	NEWS(false, slots_take_block(slots, OWN, zeros, &timing, 67000));
#undef NEWS
}

static void test_2000_hosts(void **state)
{
	_cleanup_slots_ struct slots *slots = slots_make();
	size_t size;
	_cleanup_free_ unsigned char *image = vector_read("image-2000hosts.bin", 0, &size);

	for (int round = 0; round < 2; round++)
		for (uint16_t id = 1; id <= HOST_ID_MAX; id++)
			assert_int_equal(
				slots_take_block(slots, id, image + (size_t)id * BLOCK_SIZE, &timing, round),
				round == 0 ? SLOT_CHANGED : SLOT_SAME);
	assert_int_equal(slots_count(slots), HOST_ID_MAX);
	assert_int_equal(slots_decoded(slots), HOST_ID_MAX);
	assert_int_equal(slots_get(slots, 1000)->peer.claim.vm, VM_UP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_late_write),
		cmocka_unit_test(test_bad_hides_nobody),
		cmocka_unit_test(test_flips_stay_in_their_slot),
		cmocka_unit_test(test_zeroed_is_gone),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_one_image_of_two),
		cmocka_unit_test(test_news),
		cmocka_unit_test(test_2000_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
