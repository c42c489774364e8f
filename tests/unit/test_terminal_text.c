/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of a foreign text reaches a terminal: rows of bytes and how they are shown. */
#include "tools/terminal_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_shown(const char *bytes, size_t len, const char *shown)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	terminal_put(out, bytes, len);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, shown);
	free(text);
}

static void test_rows(void **state)
{
	static const struct {
		const char *name, *bytes, *shown;
	} rows[] = {
		{"plain", "host1.example.com", "host1.example.com"},
		{"empty", "", ""},
		{"colours", "\x1b[31mred\x1b[0m", "?[31mred?[0m"},
		{"newline and tab", "a\nb\tc\r", "a?b?c?"},
		{"delete", "a\x7f", "a?"},
		{"letters beyond ASCII", "h\xc3\xa9te\xe4\xb8\xad\xf0\x9f\x98\x80",
		 "h\xc3\xa9te\xe4\xb8\xad\xf0\x9f\x98\x80"},
		{"C1 control as UTF-8",
		 "\xc2\x9b"
		 "31m",
		 "??31m"},
		{"C1 control as a byte",
		 "\x9b"
		 "31m",
		 "?31m"},
		{"right to left override",
		 "a\xe2\x80\xae"
		 "b",
		 "a???b"},
		{"line separator",
		 "a\xe2\x80\xa8"
		 "b",
		 "a???b"},
		{"byte order mark",
		 "\xef\xbb\xbf"
		 "a",
		 "???a"},
		{"overlong escape", "\xc1\x9b", "??"},
		{"overlong of three", "\xe0\x80\x9b", "???"},
		{"surrogate", "\xed\xa0\x80", "???"},
		{"cut off", "a\xe4\xb8", "a??"},
		{"cut off by a letter",
		 "\xe4"
		 "ab",
		 "?ab"},
		{"beyond the last", "\xf4\x90\x80\x80", "????"},
		{"no UTF-8 at all", "\xff\xfe", "??"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("# %s\n", rows[i].name);
		assert_shown(rows[i].bytes, strlen(rows[i].bytes), rows[i].shown);
	}
}

static void test_nul(void **state)
{
	assert_shown("a\0b", 3, "a?b");
}

/* Whatever two bytes come, no control byte gets through and nothing is lost. */
static void test_all_pairs(void **state)
{
	for (unsigned pair = 0; pair < 0x10000; pair++) {
		char bytes[2] = {(char)(pair >> 8), (char)pair}, *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);

		assert_non_null(out);
		terminal_put(out, bytes, 2);
		assert_int_equal(fclose(out), 0);
		assert_int_equal(size, 2);
		for (size_t i = 0; i < size; i++)
			assert_true((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
		free(text);
	}
}

static void test_word(void **state)
{
	static const struct {
		const char *name, *fill, *last;
		size_t len, shown; /* bytes, also of `fill`'s; more than those: dots */
	} rows[] = {
		{"empty", "x", "", 0, 0},
		{"as long as may be", "x", "", 200, 200},
		{"longer", "x", "...", 201, 200},
		{"much longer", "x", "...", 100000, 200},
		{"a character of two ends there", "\xc3\xb6", "...", 202, 200},
		{"a character of three is cut", "\xe2\x82\xac", "...", 300, 198},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *word = malloc(rows[i].len + 1), *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);

		print_message("# %s\n", rows[i].name);
		assert_true(word && out);
		for (size_t k = 0; k < rows[i].len; k++)
			word[k] = rows[i].fill[k % strlen(rows[i].fill)];
		terminal_put_word(out, word, rows[i].len);
		assert_int_equal(fclose(out), 0);
		assert_int_equal(size, rows[i].shown + strlen(rows[i].last));
		assert_memory_equal(text, word, rows[i].shown);
		assert_string_equal(text + rows[i].shown, rows[i].last);
		free(text);
		free(word);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_all_pairs),
		cmocka_unit_test(test_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
