/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Programs that end well, badly, late, never; and one whose caller is killed. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "deploy/tool_run.h"
#include "util/cleanup.h"

#define PATIENT_MS 20000

static const struct {
	const char *name, *program, *script;
	int64_t quiet_ms;
	int error;
	const char *why, *out;
} rows[] = {
	{"good", "sh", "printf a; printf b", PATIENT_MS, 0, "", "ab"},
	{"locale", "sh", "printf $LC_ALL", PATIENT_MS, 0, "", "C"},
	{"nothing on its stdin", "sh", "cat; printf x", PATIENT_MS, 0, "", "x"},
	{"fails", "sh", "echo first >&2; echo 'the last ' >&2; echo >&2; exit 3", PATIENT_MS, -EIO,
	 "the last", NULL},
	{"fails without a word", "sh", "exit 3", PATIENT_MS, -EIO, "sh failed, exit status 3", NULL},
	{"killed", "sh", "kill -9 $$", PATIENT_MS, -EIO, "sh was ended by signal 9", NULL},
	{"no such program", "no-such-program", "", PATIENT_MS, -ENOSYS,
	 "there is no no-such-program here: install it", NULL},
	{"says nothing", "sh", "sleep 100", 1000, -ETIMEDOUT, "sh said nothing for 1 s and was ended", NULL},
	{"goes on with its output closed", "sh", "exec >&-; sleep 100", 1000, -ETIMEDOUT,
	 "sh said nothing for 1 s and was ended", NULL},
	{"says too much", "sh", "yes", PATIENT_MS, -EFBIG, "sh said more than 1048576 bytes", NULL},
};

static void test_ask(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *const args[] = {rows[i].program, "-c", rows[i].script, NULL};
		_cleanup_free_ char *out = NULL;
		char why[256] = "";
		int r = tool_ask(args, rows[i].quiet_ms, 0, &out, why, sizeof(why));

		if (r != rows[i].error || strcmp(why, rows[i].why) != 0 ||
		    (out ? !rows[i].out || strcmp(out, rows[i].out) != 0 : rows[i].out != NULL))
			fail_msg("%s: %d %s [%s]", rows[i].name, r, why, out ? out : "");
	}
}

static int stop_at_once(const char *text, size_t size, void *data)
{
	++*(int *)data;
	return 1;
}

/* Also one that says nothing hears of it. */
static void test_cancel(void **state)
{
	const char *const args[] = {"sh", "-c", "sleep 100", NULL};
	struct tool_run run = {.args = args, .quiet_ms = PATIENT_MS, .heard = stop_at_once};
	char why[256];
	int calls = 0;

	run.data = &calls;
	assert_int_equal(tool_run(&run, why, sizeof(why)), -ECANCELED);
	assert_int_equal(calls, 1);
	assert_string_equal(why, "sh was ended as asked");
}

static void test_keep_fd(void **state)
{
	int fd = memfd_create("kept", MFD_CLOEXEC), other = memfd_create("other", MFD_CLOEXEC);
	_cleanup_free_ char *out = NULL;
	char script[128], why[256];
	const char *const args[] = {"sh", "-c", script, NULL};

	assert_int_equal(write(fd, "kept", 4), 4);
	snprintf(script, sizeof(script), "cat /proc/self/fd/%d; test ! -e /proc/self/fd/%d", fd, other);
	assert_int_equal(tool_ask(args, PATIENT_MS, fd, &out, why, sizeof(why)), 0);
	assert_string_equal(out, "kept");
	close(fd);
	close(other);
}

static int tell_pid(const char *text, size_t size, void *data)
{
	return size > 0 && write(*(int *)data, text, size) != (ssize_t)size;
}

/* It must not write on alone. The pipe's end closes when the last who holds it has gone. */
static void test_caller_killed(void **state)
{
	const char *const args[] = {"sh", "-c", "echo $$; exec sleep 100", NULL};
	struct pollfd poll_fd = {.events = POLLIN};
	int ends[2];
	char text[32];
	pid_t caller;
	ssize_t n;

	assert_int_equal(pipe(ends), 0);
	caller = fork();
	if (caller == 0) {
		struct tool_run run = {args, PATIENT_MS, ends[1], tell_pid, &ends[1]};
		char why[256];

		(void)tool_run(&run, why, sizeof(why));
		_exit(0);
	}
	close(ends[1]);
	n = read(ends[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	kill(caller, SIGKILL);
	assert_int_equal(waitpid(caller, NULL, 0), caller);
	poll_fd.fd = ends[0];
	assert_int_equal(poll(&poll_fd, 1, PATIENT_MS), 1);
	assert_int_equal(read(ends[0], text, sizeof(text)), 0);
	close(ends[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ask),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_keep_fd),
		cmocka_unit_test(test_caller_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
