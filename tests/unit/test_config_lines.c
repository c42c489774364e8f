/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Single lines of other programs' files: which is taken for a key's, what it says, what becomes of the rest.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "deploy/config_lines.h"
#include "util/cleanup.h"

static const struct {
	const char *name, *text;
	int found;
	const char *value, *replaced, *removed; /* by "k = new" */
} rows[] = {
	{"none", "a = 1\n", 0, NULL, "a = 1\nk = new\n", "a = 1\n"},
	{"empty", "", 0, NULL, "k = new\n", ""},
	{"no newline at its end", "a = 1", 0, NULL, "a = 1\nk = new\n", "a = 1"},
	{"a comment", "#k = 1\n # k = 2\n", 0, NULL, "#k = 1\n # k = 2\nk = new\n", "#k = 1\n # k = 2\n"},
	{"a longer key", "kk = 1\nk_2 = 1\nk x = 1\n", 0, NULL, "kk = 1\nk_2 = 1\nk x = 1\nk = new\n",
	 "kk = 1\nk_2 = 1\nk x = 1\n"},
	{"in the middle", "a\n  k=1\nb\n", 1, "1", "a\nk = new\nb\n", "a\nb\n"},
	{"last, no newline", "a\nk = 1", 1, "1", "a\nk = new", "a\n"},
	{"quotes", "k = \"a # b\" # c\n", 1, "a # b", "k = new\n", ""},
	{"other quotes", "k='a \"b'\n", 1, "a \"b", "k = new\n", ""},
	{"a quote that stays open", "k=\"a b\n", 1, "\"a b", "k = new\n", ""},
	{"a comment behind", "k = 1 # c\n", 1, "1", "k = new\n", ""},
	{"Windows' line end", "k = 1\r\n", 1, "1", "k = new\n", ""},
	{"nothing", "k =\n", 1, "", "k = new\n", ""},
	{"twice", "k = 1\nk = 1\n", -EINVAL, NULL, NULL, NULL},
	{"goes on", "k = 1 \\\n2\n", -EINVAL, NULL, NULL, NULL},
};

static void test_lines(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		_cleanup_free_ char *value = NULL, *replaced = NULL, *removed = NULL;
		size_t at = 0, length = 0;

		if (config_line_find(rows[i].text, "k", &at, &length) != rows[i].found)
			fail_msg("%s", rows[i].name);
		if (rows[i].found < 0)
			continue;
		if (rows[i].found > 0)
			value = config_line_value(rows[i].text + at, length);
		replaced = config_line_replace(rows[i].text, "k", "k = new");
		removed = config_line_replace(rows[i].text, "k", NULL);
		if ((value ? !rows[i].value || strcmp(value, rows[i].value) != 0 : rows[i].value != NULL) ||
		    strcmp(replaced, rows[i].replaced) != 0 || strcmp(removed, rows[i].removed) != 0)
			fail_msg("%s: [%s] [%s] [%s]", rows[i].name, value ? value : "", replaced, removed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
