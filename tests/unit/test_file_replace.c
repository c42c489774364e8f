/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file in the place of another: content, mode, and nothing left behind by a failure. */
#include "util/file_replace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"

static char dir[64], path[96];

static int setup(void **state)
{
	strcpy(dir, "/tmp/file_replace.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	return 0;
}

static int teardown(void **state)
{
	unlink(path);
	return rmdir(dir); /* nothing else is there */
}

static void assert_file(const char *text, mode_t mode)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	struct stat st;
	char got[64];

	assert_non_null(file);
	got[fread(got, 1, sizeof(got) - 1, file)] = '\0';
	assert_string_equal(got, text);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static void test_replaces(void **state)
{
	assert_int_equal(file_replace(path, "first", 5, 0600), 0);
	assert_file("first", 0600);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(file_replace(path, "", 0, 0600), 0);
	assert_file("", 0644);
}

static void test_private(void **state)
{
	char other[128];

	assert_int_equal(file_replace(path, "old", 3, 0644), 0);
	assert_int_equal(file_replace_private(path, "secret", 6), 0);
	assert_file("secret", 0600);
	snprintf(other, sizeof(other), "%s/link", dir);
	assert_int_equal(symlink(path, other), 0);
	assert_int_equal(file_replace_private(other, "x", 1), -EINVAL);
	assert_int_equal(file_replace(other, "followed", 8, 0600), 0);
	assert_file("followed", 0600);
	assert_int_equal(unlink(other), 0);
}

static void test_fails(void **state)
{
	char below[128];
	struct stat st;

	snprintf(below, sizeof(below), "%s/none/file", dir);
	assert_int_equal(file_replace(below, "x", 1, 0600), -ENOENT);
	/* A folder is no file, nor is what stands for a device. */
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(file_replace(path, "x", 1, 0600), -EISDIR);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(file_replace(path, "x", 1, 0600), -EINVAL);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_replaces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_private, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fails, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
