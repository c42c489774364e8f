/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "metadata/global.h"

static void block_of(const char *text, size_t length, uint8_t ret[BLOCK_SIZE])
{
	memset(ret, 0, BLOCK_SIZE);
	memcpy(ret, text, length);
}

static const struct row {
	const char *name, *text;
	size_t length; /* 0: strlen */
	enum flag flag;
	const char *set, *cleared; /* what the block becomes */
} rows[] = {
	{"absent", "", 0, FLAG_NO, "maintenance=1", "maintenance=0"},
	{"leading NUL", "\0maintenance=1", 14, FLAG_NO, "maintenance=1", "maintenance=0"},
	{"on", "maintenance=1", 0, FLAG_YES, "maintenance=1", "maintenance=0"},
	{"a word", "maintenance=false", 0, FLAG_NO, "maintenance=1", "maintenance=0"},
	{"last line counts", "maintenance=1\nmaintenance=0", 0, FLAG_NO, "maintenance=1", "maintenance=0"},
	{"one of two unreadable", "maintenance=x\nmaintenance=0", 0, FLAG_UNKNOWN, "maintenance=1",
	 "maintenance=0"},
	{"unknown keys stay", "colour=blue\nmaintenance=0\nzzz\n\n", 0, FLAG_NO,
	 "maintenance=1\ncolour=blue\nzzz", "maintenance=0\ncolour=blue\nzzz"},
	{"noise", "\xff\xfe\x01", 0, FLAG_UNKNOWN, "maintenance=1", "maintenance=0"},
	{"noise beside the key", "maintenance=1\n\xff\na=b", 0, FLAG_YES, "maintenance=1\na=b",
	 "maintenance=0\na=b"},
	{"NUL inside", "maintenance=1\nx\0y", 17, FLAG_YES, "maintenance=1", "maintenance=0"},
};

static void test_rows(void **state)
{
	uint8_t block[BLOCK_SIZE], wanted[BLOCK_SIZE], got[BLOCK_SIZE];
	char cause[GLOBAL_CAUSE_SIZE];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];

		block_of(row->text, row->length ? row->length : strlen(row->text), block);
		if (global_decode(block, cause) != row->flag)
			fail_msg("%s: not %s", row->name, flag_str(row->flag));
		assert_int_equal(cause[0] != '\0', row->flag == FLAG_UNKNOWN);
		for (int on = 0; on < 2; on++) {
			block_of(on ? row->set : row->cleared, strlen(row->set), wanted);
			global_encode(block, on, got);
			if (memcmp(got, wanted, sizeof(got)) != 0)
				fail_msg("%s: written is %s", row->name, (const char *)got);
			assert_int_equal(global_decode(got, cause), on ? FLAG_YES : FLAG_NO);
		}
	}
}

static void test_full(void **state)
{
	uint8_t block[BLOCK_SIZE], got[BLOCK_SIZE];
	char cause[GLOBAL_CAUSE_SIZE];

	memset(block, 'x', sizeof(block));
	memcpy(block, "key=", 4);
	memcpy(block + 4000, "\nb=c\n", 5);
	global_encode(block, true, got);
	assert_int_equal(global_decode(got, cause), FLAG_YES);
	assert_int_equal(memcmp(got + 13, "\nkey=xxx", 8), 0);
	/* The last line has no room any more, the one before it has. */
	assert_memory_equal(got + 13 + 1 + 4000, "\nb=c\0\0", 6);
	/* In place. */
	global_encode(block, true, block);
	assert_memory_equal(got, block, sizeof(got));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
