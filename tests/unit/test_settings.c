/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables of settings: each type with its good and bad values and the words of each problem, unknown keys and
 * what they might have been, and the file written from a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/settings.h"

struct target {
	char text[8];
	uint16_t number;
	int32_t signed_number;
	uint32_t scaled;
	uint8_t tiny;
	bool flag;
	int64_t ms;
	uint32_t seconds;
	char path[16];
	struct place place;
	char uuid[37];
	uint32_t word;
	char secret[8];
};

static const char *const colours[] = {"red", "green", "blue", NULL};

static const char *check_no_x(const char *value)
{
	return strchr(value, 'x') ? "has an x; give one without" : NULL;
}

#define FIELD(member) SETTING_FIELD(struct target, member)

static const struct setting rows[] = {
	{"s", "text", SETTING_STRING, "abc", FIELD(text), .check = check_no_x, .help = "a text"},
	{"s", "number", SETTING_INT, "", FIELD(number), .min = 1, .max = 2000, .help = "a number"},
	{"s", "signed", SETTING_INT, "-5", FIELD(signed_number), .min = -10, .max = 10, .help = "signed"},
	{"s", "scaled", SETTING_INT, "40", FIELD(scaled), .min = 0, .max = 100, .scale = 10, .unit = "%",
	 .help = "scaled"},
	{"s", "tiny", SETTING_INT, "7", FIELD(tiny), .min = 0, .max = 255, .help = "tiny"},
	{"s", "flag", SETTING_BOOL, "yes", FIELD(flag), .help = "a flag"},
	{"t", "time", SETTING_DURATION, "500ms", FIELD(ms), .min = 100, .max = 3600000, .help = "a time"},
	{"t", "seconds", SETTING_DURATION, "10", FIELD(seconds), .min = 1000, .max = 60000, .scale = 1000,
	 .help = "seconds"},
	{"t", "path", SETTING_PATH, "", FIELD(path), .help = "a path"},
	{"t", "place", SETTING_PLACE, "", FIELD(place), .help = "a place"},
	{"t", "uuid", SETTING_UUID, "", FIELD(uuid), .help = "a uuid"},
	{"t", "word", SETTING_WORD, "green", FIELD(word), .words = colours, .help = "a word"},
	{"t", "password", SETTING_STRING, "", FIELD(secret), .secret = true, .help = "a secret"},
	{"t", "old", SETTING_KEPT, "", .help = "kept"},
};

static const struct settings table = {
	.rows = rows, .n_rows = sizeof(rows) / sizeof(rows[0]), .title = "one\ntwo"};

static char said[4096];

static void listen(void *data, const char *line)
{
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s\n", line);
}

static int apply(const char *text, struct target *target)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	struct problems problems = {.say = listen};

	said[0] = '\0';
	memset(target, 0, sizeof(*target));
	settings_defaults(&table, target);
	assert_int_equal(keyfile_parse("f", text, strlen(text), true, &file, &problems), 0);
	return settings_apply(&table, file, target, &problems);
}

static void test_defaults(void **state)
{
	struct target t;

	assert_int_equal(apply("", &t), 0);
	assert_string_equal(t.text, "abc");
	assert_int_equal(t.number, 0);
	assert_int_equal(t.signed_number, -5);
	assert_int_equal(t.scaled, 400);
	assert_int_equal(t.tiny, 7);
	assert_true(t.flag);
	assert_int_equal(t.ms, 500);
	assert_int_equal(t.seconds, 10);
	assert_int_equal(t.word, 1);
}

static void test_integers(void **state)
{
	struct target t;

	assert_int_equal(apply("[s]\nnumber=2000\nsigned=-10\nscaled=99\ntiny=255\n", &t), 0);
	assert_int_equal(t.number, 2000);
	assert_int_equal(t.signed_number, -10);
	assert_int_equal(t.scaled, 990);
	assert_int_equal(t.tiny, 255);
	assert_true(t.flag);
}

static void test_bools(void **state)
{
	static const struct {
		const char *text;
		bool value;
	} cases[] = {{"[s]\nflag=no", false}, {"[s]\nflag=False", false}, {"[s]\nflag=0", false},
		     {"[s]\nflag=YES", true}, {"[s]\nflag=true", true},	  {"[s]\nflag=1", true}};
	struct target t;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(apply(cases[i].text, &t), 0);
		assert_int_equal(t.flag, cases[i].value);
	}
}

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {{"[t]\ntime=1", 1000},	 {"[t]\ntime=250ms", 250},  {"[t]\ntime=3 s", 3000},
		     {"[t]\ntime=5min", 300000}, {"[t]\ntime=1h", 3600000}, {"[t]\ntime=100ms", 100}};
	struct target t;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(apply(cases[i].text, &t), 0);
		assert_int_equal(t.ms, cases[i].ms);
	}
	assert_int_equal(apply("[t]\nseconds=1min", &t), 0);
	assert_int_equal(t.seconds, 60);
}

static void test_places(void **state)
{
	static const struct {
		const char *text, *path;
		uint64_t offset;
	} cases[] = {
		{"[t]\nplace=/a/b", "/a/b", 0},
		{"[t]\nplace=/a/b:1048576", "/a/b", 1048576},
		{"[t]\nplace=/a:b/c", "/a:b/c", 0},
		{"[t]\nplace=/server:_path/x:512", "/server:_path/x", 512},
		{"[t]\nplace=/a:", "/a:", 0},
		{"[t]\nplace=", "", 0},
	};
	struct target t;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(apply(cases[i].text, &t), 0);
		assert_string_equal(t.place.path, cases[i].path);
		assert_int_equal(t.place.offset, cases[i].offset);
	}
}

static void test_other_types(void **state)
{
	struct target t;

	assert_int_equal(
		apply("[t]\nuuid=3F2B8C1E-0d5a-4c6f-9b7e-2a1d8e4f5c60\nword=blue\npath=/x\nold=any\n", &t),
		0);
	assert_string_equal(t.uuid, "3f2b8c1e-0d5a-4c6f-9b7e-2a1d8e4f5c60");
	assert_int_equal(t.word, 2);
	assert_string_equal(t.path, "/x");
}

static void test_problems(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{"[s]\nnumber=0", "f:2: number=0: is too small; give whole number, 1 to 2000\n"},
		{"[s]\nnumber=2001", "f:2: number=2001: is too large; give whole number, 1 to 2000\n"},
		{"[s]\nnumber=-1", "f:2: number=-1: is too small; give whole number, 1 to 2000\n"},
		{"[s]\nnumber=99999999999999999999",
		 "f:2: number=99999999999999999999: is too large; give whole number, 1 to 2000\n"},
		{"[s]\nnumber=-99999999999999999999",
		 "f:2: number=-99999999999999999999: is too small; give whole number, 1 to 2000\n"},
		{"[s]\nnumber=1e3", "f:2: number=1e3: is not a whole number; give whole number, 1 to 2000\n"},
		{"[s]\nnumber=0x10",
		 "f:2: number=0x10: is not a whole number; give whole number, 1 to 2000\n"},
		{"[s]\nnumber=-", "f:2: number=-: is not a whole number; give whole number, 1 to 2000\n"},
		{"[s]\nnumber=1 0", "f:2: number=1 0: is not a whole number; give whole number, 1 to 2000\n"},
		{"[s]\nscaled=101", "f:2: scaled=101: is too large; give whole number, 0 to 100 %\n"},
		{"[s]\nscaled=", "f:2: scaled=: is empty; give a value or take the line out (default 40)\n"},
		{"[s]\nflag=maybe", "f:2: flag=maybe: is neither yes nor no; give yes or no\n"},
		{"[s]\ntext=12345678", "f:2: text=12345678: is too long; give at most 7 bytes\n"},
		{"[s]\ntext=x", "f:2: text=x: has an x; give one without\n"},
		{"[t]\ntime=99ms", "f:2: time=99ms: is too small; give 100 ms to 1 h\n"},
		{"[t]\ntime=2h", "f:2: time=2h: is too large; give 100 ms to 1 h\n"},
		{"[t]\ntime=9223372036854775807h",
		 "f:2: time=9223372036854775807h: is too large; give 100 ms to 1 h\n"},
		{"[t]\ntime=-1", "f:2: time=-1: is too small; give 100 ms to 1 h\n"},
		{"[t]\ntime=1d", "f:2: time=1d: is not a time; give 100 ms to 1 h\n"},
		{"[t]\ntime=soon", "f:2: time=soon: is not a time; give 100 ms to 1 h\n"},
		{"[t]\nseconds=1500ms", "f:2: seconds=1500ms: is finer than a second; give whole seconds\n"},
		{"[t]\npath=a/b", "f:2: path=a/b: is not an absolute path; begin it with /\n"},
		{"[t]\npath=/123456789012345",
		 "f:2: path=/123456789012345: is too long; give at most 15 bytes\n"},
		{"[t]\nplace=a:0", "f:2: place=a:0: is not an absolute path; begin it with /\n"},
		{"[t]\nplace=/a:9223372036854775296", "f:2: place=/a:9223372036854775296: has an offset "
						      "beyond any device; give PATH:OFFSET in bytes\n"},
		{"[t]\nplace=/a:100",
		 "f:2: place=/a:100: has an offset that is no multiple of 512; give PATH:OFFSET in bytes\n"},
		{"[t]\nuuid=1234",
		 "f:2: uuid=1234: is not a uuid; give one like 3f2b8c1e-0d5a-4c6f-9b7e-2a1d8e4f5c60\n"},
		{"[t]\nuuid=3f2b8c1e-0d5a-4c6f-9b7e-2a1d8e4f5c60a",
		 "f:2: uuid=3f2b8c1e-0d5a-4c6f-9b7e-2a1d8e4f5c60a: is not a uuid; give one like "
		 "3f2b8c1e-0d5a-4c6f-9b7e-2a1d8e4f5c60\n"},
		{"[t]\nword=pink", "f:2: word=pink: is not a word for this key; give red, green or blue\n"},
		{"[t]\npassword=hunter2long", "f:2: password=***: is too long; give at most 7 bytes\n"},
		{"[s]\nnumbr=1", "f:2: numbr=1: is unknown in [s]; did you mean number in [s]?\n"},
		{"[t]\nnumber=1", "f:2: number=1: is unknown in [t]; did you mean number in [s]?\n"},
		{"[s]\nentirely_else=1", "f:2: entirely_else=1: is unknown; take the line out\n"},
		{"[q]\nentirely_else=1",
		 "f:2: entirely_else=1: stands in an unknown section; take the line out\n"},
		{"[\xc3\x9c]\nnumber=1",
		 "f:2: number=1: is unknown in [\\xc3\\x9c]; did you mean number in [s]?\n"},
		{"[t]\npasswort=hunter2",
		 "f:2: passwort: is unknown in [t]; did you mean password in [t]?\n"},
		{"[s]\nnumber=0\nflag=x", "f:2: number=0: is too small; give whole number, 1 to 2000\n"
					  "f:3: flag=x: is neither yes nor no; give yes or no\n"},
	};
	struct target t, untouched;

	apply("", &untouched);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (apply(cases[i].text, &t) != -EINVAL)
			fail_msg("%s: was taken", cases[i].text);
		if (strcmp(said, cases[i].said) != 0)
			fail_msg("%s: said %s", cases[i].text, said);
		assert_memory_equal(&t, &untouched, sizeof(t));
	}
}

static void test_long_values_are_cut(void **state)
{
	char text[200] = "[s]\nnumber=";
	struct target t;

	memset(text + strlen(text), 'y', 100);
	assert_int_equal(apply(text, &t), -EINVAL);
	assert_non_null(strstr(said, "yyyy...: is not a whole number"));
	assert_true(strlen(said) < 160);
}

static void test_written_file(void **state)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	_cleanup_free_ char *text = NULL;
	struct problems problems = {.say = listen};
	struct target defaults, t;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	settings_write(&table, out);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(
		strncmp(text, "# one\n# two\n\n[s]\n\n# a text (text, up to 7 bytes)\n#text=abc\n", 56), 0);
	assert_non_null(strstr(text, "\n\n[t]\n\n# a time (100 ms to 1 h)\n#time=500ms\n"));
	assert_null(strstr(text, "old"));
	/* With every # before a key taken away it means the same. */
	apply("", &defaults);
	for (char *c = text; *c; c++)
		if (c[0] == '\n' && c[1] == '#' && c[2] != ' ')
			c[1] = ' ';
	said[0] = '\0';
	assert_int_equal(keyfile_parse("f", text, size, true, &file, &problems), 0);
	memset(&t, 0, sizeof(t));
	assert_int_equal(settings_apply(&table, file, &t, &problems), 0);
	assert_string_equal(said, "");
	assert_memory_equal(&t, &defaults, sizeof(t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),     cmocka_unit_test(test_integers),
		cmocka_unit_test(test_bools),	     cmocka_unit_test(test_durations),
		cmocka_unit_test(test_places),	     cmocka_unit_test(test_other_types),
		cmocka_unit_test(test_problems),     cmocka_unit_test(test_long_values_are_cut),
		cmocka_unit_test(test_written_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
