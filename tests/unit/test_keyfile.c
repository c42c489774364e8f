/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Configuration files as text: what is read, which lines are problems and how they are said, and that a
 * rewrite keeps all it does not change and is durable or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/keyfile.h"

static char said[8192];
static struct problems problems;
static char folder[64];

static void listen(void *data, const char *line)
{
	strncat(said, line, sizeof(said) - strlen(said) - 2);
	strcat(said, "\n");
}

static int setup(void **state)
{
	said[0] = '\0';
	problems = (struct problems){.say = listen};
	strcpy(folder, "/tmp/ovirt-ha-keyfile-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static unsigned entries_in_folder(bool delete)
{
	char path[512];
	struct dirent *entry;
	unsigned n = 0;
	DIR *dir = opendir(folder);

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' && strlen(entry->d_name) < 3)
			continue;
		n++;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (delete)
			remove(path);
	}
	closedir(dir);
	return n;
}

static int teardown(void **state)
{
	entries_in_folder(true);
	return rmdir(folder);
}

static char *in_folder(const char *name)
{
	static char paths[4][128];
	static unsigned i;
	char *path = paths[i++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static void put(const char *path, const char *text, size_t size)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static void test_values(void **state)
{
	static const char text[] = "# comment\n"
				   "\n"
				   "a=1\n"
				   "  b = two words \t\n"
				   "; c=no\n"
				   "semi=a;b#c\n"
				   "equals=x=y=z\n"
				   "empty=\n"
				   "utf=\xc3\xa4\n"
				   "last=no newline";
	static const struct {
		const char *key, *value;
	} rows[] = {{"a", "1"},	   {"b", "two words"},	{"semi", "a;b#c"},     {"equals", "x=y=z"},
		    {"empty", ""}, {"utf", "\xc3\xa4"}, {"last", "no newline"}};
	_cleanup_keyfile_ struct keyfile *file = NULL;
	const char *section, *key, *value;
	unsigned line;

	assert_int_equal(keyfile_parse("f", text, sizeof(text) - 1, false, &file, &problems), 0);
	assert_string_equal(said, "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(keyfile_entry(file, i, &section, &key, &value, &line));
		assert_string_equal(section, "");
		assert_string_equal(key, rows[i].key);
		assert_string_equal(value, rows[i].value);
		assert_string_equal(keyfile_get(file, "", rows[i].key), rows[i].value);
	}
	assert_int_equal(line, 10);
	assert_false(keyfile_entry(file, sizeof(rows) / sizeof(rows[0]), NULL, NULL, NULL, NULL));
	assert_null(keyfile_get(file, "", "c"));
	assert_null(keyfile_get(file, "x", "a"));
}

static void test_sections(void **state)
{
	static const char text[] = "[one]\nk=1\n[two]\nk=2\n[one]\nl=3\n";
	_cleanup_keyfile_ struct keyfile *file = NULL;

	assert_int_equal(keyfile_parse("f", text, sizeof(text) - 1, true, &file, &problems), 0);
	assert_string_equal(keyfile_get(file, "one", "k"), "1");
	assert_string_equal(keyfile_get(file, "two", "k"), "2");
	assert_string_equal(keyfile_get(file, "one", "l"), "3");
	assert_null(keyfile_get(file, "", "k"));
}

#define TEXT(t) .text = t, .size = sizeof(t) - 1

static void test_problems(void **state)
{
	static const struct {
		const char *name, *text;
		size_t size;
		bool sections;
		const char *said;
	} rows[] = {
		{"no equals", TEXT("a=1\njust words\n"), false,
		 "f:2: just words: has no '='; write KEY=VALUE\n"},
		{"no key", TEXT("=v\n"), false, "f:1: =v: has no key; write KEY=VALUE\n"},
		{"twice", TEXT("a=1\n#\na=2\n"), false,
		 "f:3: a: stands in line 1 already; keep one of the two\n"},
		{"twice after a bad line", TEXT("x\na=1\na=2\n"), false,
		 "f:1: x: has no '='; write KEY=VALUE\nf:3: a: stands in line 2 already; keep one of the "
		 "two\n"},
		{"NUL", TEXT("a=1\0b\n"), false, "f:1: holds a NUL byte; remove it\n"},
		{"control", TEXT("a=\x1b[31m\n"), false, "f:1: holds a control character; remove it\n"},
		{"control in a comment", TEXT("# \x07\n"), false,
		 "f:1: holds a control character; remove it\n"},
		{"carriage return", TEXT("a=1\r\n"), false,
		 "f:1: holds a carriage return; save the file with Unix line ends\n"},
		{"section in a flat file", TEXT("[x]\n"), false,
		 "f:1: is a section, and this file has none; write KEY=VALUE\n"},
		{"section not closed", TEXT("[x\n"), true, "f:1: is not a section; write [name]\n"},
		{"section without a name", TEXT("[]\n"), true, "f:1: is not a section; write [name]\n"},
		{"blank before a section's name", TEXT("[ a]\n"), true,
		 "f:1: is not a section; write [name]\n"},
		{"blank after a section's name", TEXT("[a\t]\n"), true,
		 "f:1: is not a section; write [name]\n"},
		{"words after a section", TEXT("[a] b]\n"), true, "f:1: is not a section; write [name]\n"},
		{"twice in a section that comes twice", TEXT("[a]\nk=1\n[b]\nk=1\n[a]\nk=2\n"), true,
		 "f:6: k: stands in line 2 already; keep one of the two\n"},
		{"other bytes are escaped", TEXT("\xff\xfe\n"), false,
		 "f:1: \\xff\\xfe: has no '='; write KEY=VALUE\n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct keyfile *file = NULL;

		said[0] = '\0';
		if (keyfile_parse("f", rows[i].text, rows[i].size, rows[i].sections, &file, &problems) !=
		    -EINVAL)
			fail_msg("%s: was taken", rows[i].name);
		assert_null(file);
		if (strcmp(said, rows[i].said) != 0)
			fail_msg("%s: said %s", rows[i].name, said);
	}
}

static void test_long_lines(void **state)
{
	_cleanup_free_ char *text = malloc(KEYFILE_LINE_MAX + 10);
	_cleanup_keyfile_ struct keyfile *file = NULL;
	struct keyfile *none = NULL;

	memset(text, 'v', KEYFILE_LINE_MAX + 10);
	memcpy(text, "key=", 4);
	text[KEYFILE_LINE_MAX] = '\n';
	assert_int_equal(keyfile_parse("f", text, KEYFILE_LINE_MAX + 1, false, &file, &problems), 0);
	assert_int_equal(strlen(keyfile_get(file, "", "key")), KEYFILE_LINE_MAX - 4);
	text[KEYFILE_LINE_MAX] = 'v';
	assert_int_equal(keyfile_parse("f", text, KEYFILE_LINE_MAX + 1, false, &none, &problems), -EINVAL);
	assert_string_equal(said, "f:1: the line is over 1 MiB; shorten it\n");
}

static void test_noise(void **state)
{
	_cleanup_free_ char *text = malloc(KEYFILE_SIZE_MAX);
	struct keyfile *file = NULL;
	uint32_t x = 1;
	size_t lines = 0;

	for (size_t i = 0; i < KEYFILE_SIZE_MAX; i++) {
		x = x * 1664525 + 1013904223;
		text[i] = (char)(x >> 24);
	}
	assert_int_equal(keyfile_parse("f", text, KEYFILE_SIZE_MAX, false, &file, &problems), -EINVAL);
	for (const char *c = said; *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, KEYFILE_PROBLEMS_MAX + 1);
	assert_non_null(strstr(said, "is this the right file?"));
}

static void test_files(void **state)
{
	char *path = in_folder("conf");
	struct keyfile *file = NULL;

	assert_int_equal(keyfile_load(path, false, &file, &problems), -ENOENT);
	assert_string_equal(said, "");
	assert_int_equal(keyfile_load(folder, false, &file, &problems), -EISDIR);
	assert_non_null(strstr(said, ": is not a regular file; put one in its place\n"));
	said[0] = '\0';
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(keyfile_load(path, false, &file, &problems), -ENXIO);
	assert_non_null(strstr(said, "is not a regular file; put one in its place\n"));
	unlink(path);
	said[0] = '\0';
	put(path, "", 0);
	assert_int_equal(truncate(path, KEYFILE_SIZE_MAX + 1), 0);
	assert_int_equal(keyfile_load(path, false, &file, &problems), -EFBIG);
	assert_non_null(strstr(said, "is over 4 MiB; is this the right file?\n"));
	said[0] = '\0';
	assert_int_equal(keyfile_load(in_folder("conf/below"), false, &file, &problems), -ENOTDIR);
	assert_non_null(strstr(said, "cannot be read: Not a directory"));
	assert_null(file);
}

static void check_text(const char *path, const char *expected)
{
	char text[1024] = "";
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) < sizeof(text) - 1);
	fclose(f);
	assert_string_equal(text, expected);
}

static void test_rewrite(void **state)
{
	static const char text[] = "# top\n\n  a = 1  \nunknown=kept;#\n\n[s]\n;c\nb=2\n\n[t]\nd=4\n";
	_cleanup_keyfile_ struct keyfile *file = NULL;
	char *path = in_folder("conf"), *alias = in_folder("alias");
	struct stat st;

	put(path, text, sizeof(text) - 1);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(symlink("conf", alias), 0);
	assert_int_equal(keyfile_load(alias, true, &file, &problems), 0);
	assert_int_equal(keyfile_save(file, alias, 0600), 0);
	check_text(path, text);
	assert_int_equal(keyfile_set(file, "", "a", "one"), 0);
	assert_int_equal(keyfile_set(file, "s", "new", "3"), 0);
	assert_int_equal(keyfile_set(file, "t", "d", NULL), 0);
	assert_int_equal(keyfile_set(file, "t", "never", NULL), 0);
	assert_int_equal(keyfile_set(file, "u", "e", ""), 0);
	assert_int_equal(keyfile_set(file, "", "z", "26"), 0);
	assert_int_equal(keyfile_save(file, alias, 0600), 0);
	check_text(path, "# top\n\na=one\nunknown=kept;#\nz=26\n\n[s]\n;c\nb=2\nnew=3\n\n[t]\n[u]\ne=\n");
	assert_int_equal(lstat(alias, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(entries_in_folder(false), 2);
	assert_string_equal(keyfile_get(file, "", "a"), "one");
	assert_null(keyfile_get(file, "t", "d"));
}

static void test_rewrite_refused(void **state)
{
	static const struct {
		const char *name, *section, *key, *value;
	} rows[] = {
		{"newline in the value", "", "k", "a\nb"}, {"control in the value", "", "k", "\x1b"},
		{"blank before the value", "", "k", " a"}, {"empty key", "", "", "a"},
		{"equals in the key", "", "a=b", "c"},	   {"key like a comment", "", "#k", "v"},
		{"key like a section", "", "[k", "v"},	   {"section in a flat file", "s", "k", "v"},
	};
	_cleanup_keyfile_ struct keyfile *file = NULL;

	assert_int_equal(keyfile_new("f", false, &file), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (keyfile_set(file, rows[i].section, rows[i].key, rows[i].value) != -EINVAL)
			fail_msg("%s: was taken", rows[i].name);
	assert_false(keyfile_entry(file, 0, NULL, NULL, NULL, NULL));
	/* Nothing is left behind when the replacement fails. */
	assert_int_equal(keyfile_save(file, in_folder("no/such"), 0600), -ENOENT);
	assert_int_equal(mkdir(in_folder("dir"), 0700), 0);
	assert_int_equal(keyfile_save(file, in_folder("dir"), 0600), -EISDIR);
	assert_int_equal(entries_in_folder(false), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sections, setup, teardown),
		cmocka_unit_test_setup_teardown(test_problems, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_noise, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rewrite, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rewrite_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
