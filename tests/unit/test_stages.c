/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stages of a deployment and their journal: broken off at each point, by a failure or a crash, and walked
 * back from there by another process. */
#include "deploy/stages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define N 4 /* the third has no way back */

static struct {
	char folder[64], journal[128];
	int fail_at, crash_at, undo_fails_at; /* -1: none */
	bool crash_after;
	bool skip_last;
	char said[4096];
} test;

/* What a stage did is a file. */
static const char *mark(int i)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%d", test.folder, i);
	return path;
}

static int run(int i, char why[STAGE_WHY_SIZE])
{
	char key[64], text[512] = "";
	FILE *file;

	/* Whatever happens now, the journal knows of it. */
	snprintf(key, sizeof(key), "stage.s%d=begun\n", i);
	file = fopen(test.journal, "r");
	if (i != 2) {
		assert_non_null(file);
		text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
		assert_non_null(strstr(text, key));
	}
	if (file)
		fclose(file);
	if (test.crash_at == i && !test.crash_after)
		_exit(9);
	if (test.fail_at == i) {
		snprintf(why, STAGE_WHY_SIZE, "no %d", i);
		return -EIO;
	}
	file = fopen(mark(i), "wx");
	assert_non_null(file);
	fclose(file);
	if (test.crash_at == i)
		_exit(9);
	if (i == 1)
		strcpy(why, "one\ntwo\n");
	return 0;
}

static int undo(int i, char why[STAGE_WHY_SIZE])
{
	if (test.undo_fails_at == i) {
		snprintf(why, STAGE_WHY_SIZE, "not %d", i);
		return -EBUSY;
	}
	for (int later = i + 1; later < N; later++)
		assert_true(later == 2 || access(mark(later), F_OK) < 0);
	return unlink(mark(i)) == 0 || errno == ENOENT ? 0 : -errno;
}

#define STAGE(i)                                                                                             \
	static int run##i(void *data, char why[STAGE_WHY_SIZE])                                              \
	{                                                                                                    \
		assert_ptr_equal(data, &test);                                                               \
		return run(i, why);                                                                          \
	}                                                                                                    \
	static int undo##i(void *data, char why[STAGE_WHY_SIZE])                                             \
	{                                                                                                    \
		assert_ptr_equal(data, &test);                                                               \
		return undo(i, why);                                                                         \
	}

STAGE(0)
STAGE(1)
STAGE(3)

static int run2(void *data, char why[STAGE_WHY_SIZE])
{
	return run(2, why);
}

static bool last(void *data)
{
	return !test.skip_last;
}

static const struct stage all[N] = {
	{"s0", "Zero", run0, undo0, NULL},
	{"s1", "One", run1, undo1, NULL},
	{"s2", "Two", run2, NULL, NULL},
	{"s3", "Three", run3, undo3, last},
};

static void say(void *data, const char *level, const char *line)
{
	snprintf(test.said + strlen(test.said), sizeof(test.said) - strlen(test.said), "%s %s\n", level,
		 line);
}

static int setup(void **state)
{
	memset(&test, 0, sizeof(test));
	test.fail_at = test.crash_at = test.undo_fails_at = -1;
	strcpy(test.folder, "/tmp/ovirt-ha-stages-XXXXXX");
	if (!mkdtemp(test.folder))
		return -1;
	snprintf(test.journal, sizeof(test.journal), "%s/journal", test.folder);
	return 0;
}

static int teardown(void **state)
{
	for (int i = 0; i < N; i++)
		unlink(mark(i));
	unlink(test.journal);
	return rmdir(test.folder);
}

/* As a process of its own would: the journal is all that it knows. */
static int go(int (*what)(const struct stages *stages))
{
	_cleanup_(journal_free_p) struct journal *journal = NULL;
	struct stages stages = {.all = all, .n = N, .data = &test, .say = say};
	int r = journal_open(test.journal, NULL, &journal);

	assert_int_equal(r, 0);
	stages.journal = journal;
	r = what(&stages);
	if (r == 0 && what == stages_undo) {
		assert_true(journal_empty(journal));
		assert_int_equal(journal_remove(journal), 0);
	}
	return r;
}

static unsigned marks(void)
{
	unsigned n = 0;

	for (int i = 0; i < N; i++)
		n += access(mark(i), F_OK) == 0;
	return n;
}

static void test_all(void **state)
{
	struct stat st;

	assert_int_equal(go(stages_run), 0);
	assert_int_equal(marks(), N);
	assert_string_equal(test.said,
			    "INFO Zero\nINFO One\nINFO     one\nINFO     two\nINFO Two\nINFO Three\n");
	assert_int_equal(stat(test.journal, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(go(stages_undo), 0);
	assert_int_equal(marks(), 1);
	unlink(mark(2));
	assert_int_equal(access(test.journal, F_OK), -1);
	assert_int_equal(go(stages_undo), 0);
	assert_int_equal(go(stages_run), 0);
}

static void test_broken_at_each(void **state)
{
	for (int i = 0; i < N; i++) {
		char line[64];

		test.said[0] = '\0';
		test.fail_at = i;
		assert_int_equal(go(stages_run), -EIO);
		snprintf(line, sizeof(line), "ERROR Failed: %s: no %d\n", all[i].text, i);
		assert_non_null(strstr(test.said, line));
		assert_int_equal(marks(), i);
		assert_int_equal(go(stages_undo), 0);
		assert_int_equal(marks(), i > 2);
		unlink(mark(2));
	}
	test.fail_at = -1;
	assert_int_equal(go(stages_run), 0);
}

static void test_crash_at_each(void **state)
{
	for (int i = 0; i < 2 * N; i++) {
		int status;
		pid_t pid;

		test.crash_at = i / 2;
		test.crash_after = i % 2;
		pid = fork();
		if (pid == 0) {
			go(stages_run);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 9);
		assert_int_equal(go(stages_undo), 0);
		unlink(mark(2));
		assert_int_equal(marks(), 0);
	}
}

static void test_not_taken_back(void **state)
{
	assert_int_equal(go(stages_run), 0);
	test.undo_fails_at = 1;
	assert_int_equal(go(stages_undo), -EBUSY);
	assert_non_null(strstr(test.said, "ERROR Not taken back: One: not 1\n"));
	assert_int_equal(access(mark(0), F_OK), 0);
	assert_int_equal(access(mark(1), F_OK), 0);
	assert_int_equal(access(mark(3), F_OK), -1);
	test.undo_fails_at = -1;
	assert_int_equal(go(stages_undo), 0);
	assert_int_equal(access(mark(0), F_OK), -1);
}

static void test_done_is_not_repeated(void **state)
{
	test.fail_at = 2;
	assert_int_equal(go(stages_run), -EIO);
	test.fail_at = -1;
	test.skip_last = true;
	test.said[0] = '\0';
	assert_int_equal(go(stages_run), 0);
	assert_string_equal(test.said, "INFO Two\n");
}

static void test_journal_not_written(void **state)
{
	if (geteuid() == 0)
		strcpy(test.journal, "/proc/no/journal");
	assert_true(go(stages_run) < 0);
	assert_int_equal(marks(), 0);
	assert_non_null(strstr(test.said, "the journal can't be written"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_at_each, setup, teardown),
		cmocka_unit_test_setup_teardown(test_crash_at_each, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_taken_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_done_is_not_repeated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_journal_not_written, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
