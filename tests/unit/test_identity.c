/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "metadata/identity.h"

#define DOMAIN "0a1b2c3d-0000-4000-8000-00000000abcd"
static const struct identity ours = {DOMAIN, "hosted-engine"};

static const struct row {
	const char *name, *text;
	int error;
	enum identity_match match;
} rows[] = {
	{"absent", "", -ENODATA, IDENTITY_UNKNOWN},
	{"ours", "domain=" DOMAIN "\nlockspace=hosted-engine\n", 0, IDENTITY_SAME},
	{"no newline at the end", "domain=" DOMAIN "\nlockspace=hosted-engine", 0, IDENTITY_SAME},
	{"other case", "domain=0A1B2C3D-0000-4000-8000-00000000ABCD\nlockspace=hosted-engine\n", 0,
	 IDENTITY_SAME},
	{"more lines", "domain=" DOMAIN "\nlockspace=hosted-engine\nlater=1\n", 0, IDENTITY_SAME},
	{"other domain", "domain=ffffffff-0000-4000-8000-00000000abcd\nlockspace=hosted-engine\n", 0,
	 IDENTITY_OTHER},
	{"other lockspace", "domain=" DOMAIN "\nlockspace=hosted-engine2\n", 0, IDENTITY_OTHER},
	{"old rubbish", "LABELONE\x01\x02", -EBADMSG, IDENTITY_UNKNOWN},
	{"half", "domain=" DOMAIN "\n", -EBADMSG, IDENTITY_UNKNOWN},
	{"empty name", "domain=\nlockspace=x\n", -EBADMSG, IDENTITY_UNKNOWN},
};

static void test_rows(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t block[BLOCK_SIZE] = {0};
		struct identity found = {"?", "?"};

		memcpy(block, rows[i].text, strlen(rows[i].text));
		if (identity_decode(block, &found) != rows[i].error)
			fail_msg("%s: not %d", rows[i].name, rows[i].error);
		if (rows[i].error != 0)
			assert_string_equal(found.domain, "?");
		if (identity_compare(block, &ours) != rows[i].match)
			fail_msg("%s: not match %d", rows[i].name, rows[i].match);
	}
}

static void test_encode(void **state)
{
	uint8_t block[BLOCK_SIZE], full[BLOCK_SIZE];
	struct identity found;

	assert_int_equal(identity_encode(&ours, block), 0);
	assert_string_equal(block, rows[1].text);
	assert_int_equal(identity_decode(block, &found), 0);
	assert_string_equal(found.lockspace, "hosted-engine");
	assert_int_equal(identity_encode(&(struct identity){"", "x"}, block), -EINVAL);
	assert_int_equal(identity_encode(&(struct identity){"a\nb", "x"}, block), -EINVAL);
	memset(full, 'x', sizeof(full));
	assert_int_equal(identity_decode(full, &found), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_encode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
