/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A poke's bytes, and what is no poke. Any bytes go through it in tests/fuzz/fuzz_poke.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "broker/poke.h"

static const struct poke good = {.cluster = 0x0102030405060708,
				 .sequence = 0x1112131415161718,
				 .what = POKE_VM | POKE_SCORE,
				 .host_id = 2000};
/* What other builds send and expect: it does not change. */
static const uint8_t bytes[POKE_SIZE] = {'o',  'H',  'a',  'P',	 0,    1,    0x07, 0xd0, 0x01, 0x02, 0x03,
					 0x04, 0x05, 0x06, 0x07, 0x08, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16,
					 0x17, 0x18, 0,	   0,	 0,    6,    0,	   0,	 0,    0};

static void same_bytes_everywhere(void **state)
{
	uint8_t written[POKE_SIZE];
	struct poke poke;

	poke_encode(&good, written);
	assert_memory_equal(written, bytes, POKE_SIZE);
	assert_int_equal(poke_decode(bytes, sizeof(bytes), &poke), 0);
	assert_int_equal(poke.cluster, good.cluster);
	assert_int_equal(poke.sequence, good.sequence);
	assert_int_equal(poke.what, good.what);
	assert_int_equal(poke.host_id, good.host_id);
}

static const struct {
	const char *name;
	size_t at, size;
	uint8_t value;
	int error;
} rows[] = {
	{"a byte less", 0, POKE_SIZE - 1, 'o', -EBADMSG},
	{"a byte more", 0, POKE_SIZE + 1, 'o', -EBADMSG},
	{"no version", 0, 5, 'o', -EBADMSG},
	{"nothing", 0, 0, 'o', -EBADMSG},
	{"other letters", 3, POKE_SIZE, 'p', -EBADMSG},
	{"version 0", 5, POKE_SIZE, 0, -EOPNOTSUPP},
	{"version 2", 5, POKE_SIZE, 2, -EOPNOTSUPP},
	{"version 257", 4, POKE_SIZE, 1, -EOPNOTSUPP},
	{"version 2, shorter", 5, 8, 2, -EOPNOTSUPP},
	{"version 2, longer", 5, POKE_SIZE + 8, 2, -EOPNOTSUPP},
	{"host id 2001", 7, POKE_SIZE, 0xd1, -EBADMSG},
	{"nothing changed", 27, POKE_SIZE, 0, -EBADMSG},
	{"something where zero belongs", 28, POKE_SIZE, 1, -EBADMSG},
	{"something at the end", 31, POKE_SIZE, 1, -EBADMSG},
	{"bits of a later build", 24, POKE_SIZE, 0x80, 0},
};

static void takes_nothing_else(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t message[POKE_SIZE + 8] = {0};
		struct poke poke = {.host_id = 77};
		int r;

		memcpy(message, bytes, sizeof(bytes));
		message[rows[i].at] = rows[i].value;
		r = poke_decode(message, rows[i].size, &poke);
		if (r != rows[i].error || (r < 0) != (poke.host_id == 77))
			fail_msg("%s: %d", rows[i].name, r);
	}
}

static void zero_is_no_number(void **state)
{
	static const size_t fields[][2] = {{6, 2}, {16, 8}};
	struct poke poke;

	for (size_t i = 0; i < 2; i++) {
		uint8_t message[POKE_SIZE];

		memcpy(message, bytes, sizeof(bytes));
		memset(message + fields[i][0], 0, fields[i][1]);
		assert_int_equal(poke_decode(message, sizeof(message), &poke), -EBADMSG);
	}
}

static void clusters_differ(void **state)
{
	static const char domain[] = "2a1f3c6e-5b1d-4f0e-9a7c-0d1e2f3a4b5c";

	assert_int_equal(poke_cluster("", ""), 0xaf63a24c860189fe);
	assert_int_not_equal(poke_cluster(domain, "a"), poke_cluster(domain, "b"));
	assert_int_not_equal(poke_cluster(domain, "a"), poke_cluster("", "a"));
	assert_int_not_equal(poke_cluster("a", "bc"), poke_cluster("ab", "c"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_bytes_everywhere),
		cmocka_unit_test(takes_nothing_else),
		cmocka_unit_test(zero_is_no_number),
		cmocka_unit_test(clusters_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
