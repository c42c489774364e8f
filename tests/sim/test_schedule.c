/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The simulator's schedules: the same seed gives the same, text is read back as it was written, wrong text is
 * named, and a failing list is cut down to what it needs. */
#include "tests/sim/sim_schedule.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *text_of(const struct schedule *schedule)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	schedule_print(schedule, out);
	fclose(out);
	return text;
}

static void test_round_trip(void **state)
{
	static struct schedule made, again, read;
	char why[128];

	for (uint64_t seed = 1; seed <= 300; seed++) {
		unsigned kinds_used = seed % 3 == 0 ? FAULT_VM_MIGRATED : FAULT_COUNT;
		char *one, *two, *three;
		FILE *in;

		schedule_generate(seed, kinds_used, &made);
		schedule_generate(seed, kinds_used, &again);
		one = text_of(&made);
		two = text_of(&again);
		assert_string_equal(one, two);
		in = fmemopen(one, strlen(one), "r");
		assert_non_null(in);
		assert_int_equal(schedule_read(in, &read, why), 0);
		fclose(in);
		three = text_of(&read);
		assert_string_equal(one, three);
		for (size_t i = 0; i < made.n_faults; i++) {
			assert_true(i == 0 || made.faults[i].at >= made.faults[i - 1].at);
			assert_true(made.faults[i].at + made.faults[i].length < made.heal_at);
			assert_in_range(made.faults[i].host, 1, made.hosts);
			assert_true(made.faults[i].fault < kinds_used);
		}
		free(one);
		free(two);
		free(three);
	}
}

static void test_wrong_text(void **state)
{
#define SETUP "setup seed=1 hosts=3 io_timeout=10 other_timing=0 no_watchdog=0 heal=1000 end=2000\n"
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"", "no line"},
		{"# nothing\n", "no line"},
		{"at=1 host=1 vm-crash\n", "line 1: expected `setup"},
		{"setup seed=1 hosts=2001 io_timeout=10 other_timing=0 no_watchdog=0 heal=1000 end=2000\n",
		 "line 1"},
		{"setup seed=1 hosts=3 io_timeout=0 other_timing=0 no_watchdog=0 heal=1000 end=2000\n",
		 "line 1"},
		{SETUP "at=1 host=1 vm-crush\n", "line 2: expected `at="},
		{SETUP "\nat=1 host=4 vm-crash\n", "line 3: expected `at="},
		{SETUP "at=1 host=1 vm-crash for=3\n", "line 2: expected `at="},
		{SETUP "at=1 host=1 vm-sick\n", "line 2: expected `at="},
		{SETUP "at=-1 host=1 vm-crash\n", "line 2: expected `at="},
		{"setup seed=1 hosts=1998 io_timeout=10 other_timing=0 no_watchdog=0 heal=1000 end=2000\n"
		 "at=1 host=1 alien for=180000\n",
		 "line 2: expected `at="},
	};
	static struct schedule read;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char why[128] = "";
		FILE *in = rows[i].text[0]
				   ? fmemopen((void *)(uintptr_t)rows[i].text, strlen(rows[i].text), "r")
				   : fopen("/dev/null", "r");

		assert_non_null(in);
		assert_int_equal(schedule_read(in, &read, why), -EINVAL);
		fclose(in);
		if (!strstr(why, rows[i].why))
			fail_msg("%s: %s", rows[i].text, why);
	}
}

/* Fails while it has the first crash and the first cut of the list below, in this order. */
static bool needs_two(const struct schedule *schedule, void *data)
{
	unsigned *calls = data;
	bool crashed = false;

	(*calls)++;
	for (size_t i = 0; i < schedule->n_faults; i++) {
		if (schedule->faults[i].fault == FAULT_VM_CRASH)
			crashed = true;
		if (schedule->faults[i].fault == FAULT_HOST_CUT && crashed)
			return true;
	}
	return false;
}

static void test_shrink(void **state)
{
	static struct schedule schedule;
	unsigned calls = 0;

	schedule.hosts = 3;
	for (size_t i = 0; i < 100; i++)
		schedule.faults[i] = (struct scheduled){.at = (int64_t)i,
							.host = 1,
							.fault = i == 20   ? FAULT_VM_CRASH
								 : i == 77 ? FAULT_HOST_CUT
									   : FAULT_GLOBAL_ON};
	schedule.n_faults = 100;
	schedule_shrink(&schedule, needs_two, &calls, 300);
	assert_int_equal(schedule.n_faults, 2);
	assert_int_equal(schedule.faults[0].at, 20);
	assert_int_equal(schedule.faults[1].at, 77);
	assert_true(calls <= 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_wrong_text),
		cmocka_unit_test(test_shrink),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
