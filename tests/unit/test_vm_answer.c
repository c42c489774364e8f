/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The agent's answers to a start, and what of them goes where with which exit code. */
#include "tools/vm_answer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_answers(void **state)
{
	static const struct {
		const char *name;
		int error;
		const char *text, *out, *err;
		int code;
	} rows[] = {
		{"started", 0, "VM in WaitForLaunch", "VM in WaitForLaunch\n", "", 0},
		{"started, said nothing", 0, "", "VM in WaitForLaunch\n", "", 0},
		{"cleaned up first", 0,
		 "VM exists and is Down, cleaning up and restarting\nVM in WaitForLaunch",
		 "VM exists and is Down, cleaning up and restarting\nVM in WaitForLaunch\n", "", 0},
		{"cleaned up, outcome unsaid", 0, "VM exists and is Down, cleaning up and restarting",
		 "VM exists and is Down, cleaning up and restarting\nVM in WaitForLaunch\n", "", 0},
		{"runs here", -EEXIST, "VM exists and its status is Up", "VM exists and its status is Up\n",
		 "", 1},
		{"paused here", -EEXIST, "VM exists and its status is Paused\n",
		 "VM exists and its status is Paused\n", "", 1},
		{"failed with reason", -EIO, "VM failed to launch\nlease is held by host 2",
		 "VM failed to launch\n", "lease is held by host 2\n", 1},
		{"failed, reason alone", -EBUSY, "lease is held by host 2", "VM failed to launch\n",
		 "lease is held by host 2\n", 1},
		{"failed, said nothing", -EIO, "", "VM failed to launch\n", "Input/output error\n", 1},
		{"escape codes", -EIO, "\x1b[2J", "VM failed to launch\n", "?[2J\n", 1},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *out_text = NULL, *err_text = NULL;
		size_t size;
		FILE *out = open_memstream(&out_text, &size), *err = open_memstream(&err_text, &size);

		print_message("# %s\n", rows[i].name);
		assert_true(out && err);
		assert_int_equal(vm_start_answer(rows[i].error, rows[i].text, out, err), rows[i].code);
		fclose(out);
		fclose(err);
		assert_string_equal(out_text, rows[i].out);
		assert_string_equal(err_text, rows[i].err);
		free(out_text);
		free(err_text);
	}
}

/* Where no agent answered nothing is said of the VM. */
static void test_lost(void **state)
{
	assert_true(vm_answer_lost(-ENOTCONN, "") && vm_answer_lost(-EACCES, "") &&
		    vm_answer_lost(-ETIMEDOUT, "") && vm_answer_lost(-EHOSTDOWN, ""));
	assert_false(vm_answer_lost(-ETIMEDOUT, "the lease was not to be had in 200 s"));
	assert_false(vm_answer_lost(0, "") || vm_answer_lost(-EEXIST, "") || vm_answer_lost(-EIO, ""));
}

/* The broker reads first, behind a read that is under way; the agent refuses within 30 s what it can't begin,
 * then gives a start up by its own limit: who asked is there to hear both. */
static void test_time(void **state)
{
	static const struct {
		struct lease_timing timing;
		int64_t io_ms, ms;
	} rows[] = {
		{{.io_timeout_s = 1, .watchdog_fire_s = 60}, 500, 169000},
		{{.io_timeout_s = 10, .watchdog_fire_s = 60}, 10000, 260000},
		{{.io_timeout_s = 60, .watchdog_fire_s = 600}, 60000, 1300000},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t ms = vm_answer_ms(&rows[i].timing, rows[i].io_ms);

		assert_int_equal(ms, rows[i].ms);
		assert_true(ms > 2 * rows[i].io_ms + 30000 + lease_start_ms(&rows[i].timing));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
