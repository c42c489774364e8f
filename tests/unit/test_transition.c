/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines of the history: written and read back, and what makes no sense in them. */
#include "metadata/transition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct transition found[TRANSITIONS_MAX];

static void test_lines(void **state)
{
	static const struct {
		const char *name, *text;
		size_t n;
		const char *last; /* the reason of the last one */
	} rows[] = {
		{"nothing", "", 0, NULL},
		{"one", "1 A B because 3400\n", 1, "because"},
		{"no newline at the end", "1 A B x 0\n2 B C y -1", 2, "y"},
		{"a word too many", "1 A B x 0 more\n2 B C y 0\n", 1, "y"},
		{"a word too few", "1 A B 0\n", 0, NULL},
		{"no number", "now A B x 0\n", 0, NULL},
		{"a word too long",
		 "1 A B aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 0\n2 B C y 0\n",
		 1, "y"},
		{"blank lines", "\n\n1 A B x 0\n\n", 1, "x"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t n = transitions_parse(rows[i].text, found);

		if (n != rows[i].n || (n > 0 && strcmp(found[n - 1].reason, rows[i].last) != 0))
			fail_msg("%s: %zu", rows[i].name, n);
	}
}

/* Of more than are kept the last ones are. */
static void test_many(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (int i = 0; i < TRANSITIONS_MAX + 7; i++) {
		struct transition it = {.wall = i,
					.from = "EngineDown",
					.to = "EngineStart",
					.reason = "best-score",
					.score = -i};
		char line[TRANSITION_LINE];

		transition_format(&it, line);
		fputs(line, out);
	}
	fclose(out);
	assert_int_equal(transitions_parse(text, found), TRANSITIONS_MAX);
	assert_int_equal(found[0].wall, 7);
	assert_int_equal(found[TRANSITIONS_MAX - 1].wall, TRANSITIONS_MAX + 6);
	assert_int_equal(found[TRANSITIONS_MAX - 1].score, -(TRANSITIONS_MAX + 6));
	assert_string_equal(found[0].from, "EngineDown");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
