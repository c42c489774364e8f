/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "metadata/image.h"

static struct record record_make(void)
{
	struct record record = {
		.host_id = 7,
		.claim = {.timestamp = 1000, .generation = 3, .score = 3400, .vm = VM_DOWN},
	};

	snprintf(record.hostname, sizeof(record.hostname), "host7");
	snprintf(record.state, sizeof(record.state), "EngineDown");
	snprintf(record.penalties, sizeof(record.penalties), "gateway:1600:1:0");
	return record;
}

static struct image *image_of(const struct record *record)
{
	uint8_t block[BLOCK_SIZE];

	assert_int_equal(record_encode(record, 1700000000, block), 0);
	return image_new(block);
}

static void test_bytes(void **state)
{
	static const uint8_t zeros[BLOCK_SIZE];
	uint8_t block[BLOCK_SIZE] = {0}, copy[BLOCK_SIZE];
	struct image *empty = image_new(block), *one, *same, *longer;

	block[0] = 'a';
	one = image_new(block);
	same = image_new(block);
	memset(copy, 'c', sizeof(copy));
	image_copy(one, copy);
	assert_memory_equal(copy, block, BLOCK_SIZE);
	image_copy(NULL, copy);
	assert_memory_equal(copy, zeros, BLOCK_SIZE);
	block[BLOCK_SIZE - 1] = 'b';
	longer = image_new(block);
	assert_true(image_empty(empty));
	assert_int_equal(empty->length, 0);
	assert_false(image_empty(one));
	assert_int_equal(one->length, 1);
	assert_int_equal(longer->length, BLOCK_SIZE);
	assert_memory_equal(longer->bytes, block, BLOCK_SIZE);
	assert_true(image_same_bytes(one, one));
	assert_true(image_same_bytes(one, same));
	assert_false(image_same_bytes(one, longer));
	assert_false(image_same_bytes(one, empty));
	image_drop(empty);
	image_drop(one);
	image_drop(same);
	image_drop(longer);
	image_drop(NULL);
}

/* What a store takes for unchanged: the bytes, and the rest of the sector in which they end. */
static void test_unchanged(void **state)
{
	static const struct {
		uint16_t length, at;
		bool same;
	} rows[] = {
		{700, 0, false},    {700, 699, false}, {700, 700, false},   {700, 1023, false},
		{700, 1024, true},  {700, 4095, true}, {512, 511, false},   {512, 512, false},
		{512, 1023, false}, {512, 1024, true}, {4096, 4095, false}, {4095, 4095, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t block[BLOCK_SIZE] = {0};
		struct image *image;

		memset(block, 'a', rows[i].length);
		image = image_new(block);
		assert_true(image_is_of(image, block));
		block[rows[i].at]++;
		if (image_is_of(image, block) != rows[i].same)
			fail_msg("length %u, changed at %u", rows[i].length, rows[i].at);
		image_drop(image);
	}
}

static void test_decoded_once(void **state)
{
	struct record record = record_make();
	struct image *image = image_of(&record);

	assert_true(image_decode(image, 7));
	assert_int_equal(image->fault, RECORD_OK);
	assert_int_equal(image->claim.score, 3400);
	assert_false(image->torn);
	assert_false(image_decode(image, 7));
	/* In another's block it says something else. */
	assert_true(image_decode(image, 8));
	assert_int_equal(image->fault, RECORD_BAD);
	assert_ptr_equal(image_keep(image), image);
	image_drop(image);
	assert_false(image_decode(image, 8));
	image_drop(image);
}

static void test_torn(void **state)
{
	struct record record = record_make();
	struct image *before = image_of(&record), *after;
	uint8_t block[BLOCK_SIZE];

	record.claim.timestamp++;
	after = image_of(&record);
	image_copy(after, block);
	memcpy(block, before->bytes, RECORD_LINE_MAX);
	image_drop(before);
	image_drop(after);
	after = image_new(block);
	image_decode(after, 7);
	assert_int_equal(after->fault, RECORD_OK);
	assert_true(after->torn);
	image_drop(after);
}

/* What people are shown is one word; what is a decision's or a moment's is not part of it. */
static void test_words(void **state)
{
	static const struct {
		const char *name;
		size_t at;
		const char *text;
		bool differs;
	} rows[] = {
		{"host name", offsetof(struct record, hostname), "host8", true},
		{"engine's reason", offsetof(struct record, engine_reason), "bad vm status", true},
		{"state", offsetof(struct record, state), "EngineStart", true},
		{"penalties", offsetof(struct record, penalties), "", true},
		{"time left", offsetof(struct record, timeout), "Mon Nov 20 10:00:00 2026", false},
	};
	struct record first = record_make(), record;
	struct image *before = image_of(&first), *after;

	image_decode(before, 7);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		record = record_make();
		strcpy((char *)&record + rows[i].at, rows[i].text);
		after = image_of(&record);
		image_decode(after, 7);
		if ((before->words != after->words) != rows[i].differs)
			fail_msg("%s", rows[i].name);
		image_drop(after);
	}
	record = record_make();
	record.claim.timestamp++;
	record.claim.score = 0;
	after = image_of(&record);
	image_decode(after, 7);
	assert_true(before->words == after->words);
	image_drop(after);
	image_drop(before);
}

static void test_causes(void **state)
{
	uint8_t block[BLOCK_SIZE] = {0xff};
	struct image *noise = image_new(block), *older;

	memcpy(block, "0|0|5", 5);
	older = image_new(block);
	image_decode(noise, 7);
	image_decode(older, 7);
	assert_int_equal(noise->fault, RECORD_BAD);
	assert_string_equal(noise->cause, "not UTF-8");
	assert_true(noise->words != older->words);
	assert_false(noise->torn);
	image_drop(noise);
	image_drop(older);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),	     cmocka_unit_test(test_unchanged),
		cmocka_unit_test(test_decoded_once), cmocka_unit_test(test_torn),
		cmocka_unit_test(test_words),	     cmocka_unit_test(test_causes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
