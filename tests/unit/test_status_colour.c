/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Colour changes no word of the status, and nothing where it is not wanted. */
#include "tools/status_colour.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pty.h>
#include <unistd.h>

static void test_lines(void **state)
{
	static const struct {
		const char *text, *coloured;
	} rows[] = {
		{"", ""},
		{"\n\n--== Host h (id: 1) status ==--\n\n",
		 "\n\n\033[1m--== Host h (id: 1) status ==--\033[0m\n\n"},
		{"Score                              : 3400\n",
		 "Score                              : 3400\n"},
		{"Status up-to-date                  : True", "Status up-to-date                  : True"},
		{"Status up-to-date                  : False\nx\n",
		 "\033[31mStatus up-to-date                  : False\033[0m\nx\n"},
		/* what it has is looked for in its own line */
		{"Local maintenance                  : False\nstopped : True\n",
		 "Local maintenance                  : False\nstopped : True\n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);

		assert_non_null(out);
		status_put_coloured(rows[i].text, out);
		fclose(out);
		assert_string_equal(text, rows[i].coloured);
		free(text);
	}
}

static void test_wanted(void **state)
{
	int ours, theirs;
	FILE *terminal, *file = tmpfile();

	assert_int_equal(openpty(&ours, &theirs, NULL, NULL, NULL), 0);
	terminal = fdopen(theirs, "w");
	assert_true(terminal && file);
	unsetenv("NO_COLOR");
	assert_true(status_colour_wanted(terminal));
	assert_false(status_colour_wanted(file));
	setenv("NO_COLOR", "", 1);
	assert_true(status_colour_wanted(terminal));
	setenv("NO_COLOR", "1", 1);
	assert_false(status_colour_wanted(terminal));
	fclose(terminal);
	fclose(file);
	close(ours);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
