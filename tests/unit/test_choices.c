/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists to choose from: which number picks what, and that a number never means two things. */
#include "deploy/choices.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_picked(void **state)
{
	static const struct {
		const char *name, *values[4], *typed, *picked;
	} rows[] = {
		{"a place", {"iqn.a", "iqn.b"}, "2", "iqn.b"},
		{"no such place", {"iqn.a", "iqn.b"}, "3", NULL},
		{"no place is before the first", {"iqn.a"}, "0", NULL},
		{"text is text", {"iqn.a"}, "iqn.a", NULL},
		{"nothing is nothing", {"iqn.a"}, "", NULL},
		{"a number is itself", {"0", "7", "1"}, "1", "1"},
		{"and no place", {"0", "7", "1"}, "2", NULL},
		{"a number among names has a place", {"7", "b"}, "7", NULL},
		{"which picks it", {"7", "b"}, "1", "7"},
		{"a long number is a name", {"123456789012345678901"}, "1", "123456789012345678901"},
		{"an empty list", {NULL}, "1", NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct choices choices = {0};
		const char *picked;

		for (size_t j = 0; j < 4 && rows[i].values[j]; j++)
			assert_int_equal(choices_add(&choices, rows[i].values[j], "about"), 0);
		picked = choices_pick(&choices, rows[i].typed);
		if ((picked != NULL) != (rows[i].picked != NULL) ||
		    (picked && strcmp(picked, rows[i].picked) != 0))
			fail_msg("%s: %s", rows[i].name, picked ? picked : "nothing");
		choices_done(&choices);
		assert_int_equal(choices.n, 0);
	}
}

static void test_too_many(void **state)
{
	struct choices choices = {0};
	char value[16], label[24];

	for (unsigned i = 0; i < CHOICES_MAX + 3; i++) {
		snprintf(value, sizeof(value), "disk%u", i);
		assert_int_equal(choices_add(&choices, value, ""), 0);
	}
	assert_int_equal(choices.n, CHOICES_MAX);
	assert_int_equal(choices.more, 3);
	assert_string_equal(choices_label(&choices, CHOICES_MAX - 1, label), "256");
	assert_string_equal(choices_pick(&choices, "256"), "disk255");
	choices_done(&choices);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_picked),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
