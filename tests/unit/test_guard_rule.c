/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When QEMU must die, row by row, and the deadlines of the worked timeline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "daemon/guard_rule.h"

#define NONE MONO_UNSET

static void test_judge(void **state)
{
	static const struct {
		const char *name;
		struct guard_facts facts;
		mono_t now;
		enum guard_reason reason;
	} rows[] = {
		{"renewed 5.9 s ago", {WORD_JOINED, 9000, NONE, 4000, 0, 1, false, 0}, 9900, GUARD_FINE},
		{"renewed 6 s ago",
		 {WORD_JOINED, 9000, NONE, 4000, 0, 1, false, 0},
		 10000,
		 GUARD_RENEWAL_OLD},
		{"io_timeout 10, 59 s", {WORD_JOINED, 9000, NONE, 4000, 0, 10, false, 0}, 63999, GUARD_FINE},
		{"io_timeout 10, 60 s",
		 {WORD_JOINED, 9000, NONE, 4000, 0, 10, false, 0},
		 64000,
		 GUARD_RENEWAL_OLD},
		{"the watchdog sees to it",
		 {WORD_JOINED, 9000, NONE, 4000, 0, 1, true, 0},
		 99000,
		 GUARD_FINE},
		{"no daemon, QEMU seen before",
		 {WORD_GONE, 9000, 8900, NONE, 0, 1, false, 0},
		 9100,
		 GUARD_SANLOCK_GONE},
		{"no daemon, QEMU seen after",
		 {WORD_GONE, 9000, 9001, NONE, 0, 1, false, 0},
		 9100,
		 GUARD_FINE},
		{"no daemon, a watchdog",
		 {WORD_GONE, 9000, 8900, NONE, 0, 1, true, 0},
		 9100,
		 GUARD_SANLOCK_GONE},
		{"no daemon, no QEMU", {WORD_GONE, 9000, NONE, NONE, 0, 1, false, 0}, 9100, GUARD_FINE},
		{"not joined, QEMU seen before",
		 {WORD_OUT, 9000, 8900, NONE, 0, 1, false, 0},
		 9100,
		 GUARD_NOT_JOINED},
		{"not joined, QEMU seen after",
		 {WORD_OUT, 9000, 9000, NONE, 0, 1, false, 0},
		 9100,
		 GUARD_FINE},
		{"not joined, then 5 s of silence",
		 {WORD_OUT, 9000, 9500, NONE, 0, 1, false, 0},
		 14000,
		 GUARD_RENEWAL_OLD},
		{"joined, QEMU seen before",
		 {WORD_JOINED, 9000, 8900, 8000, 0, 1, false, 0},
		 9100,
		 GUARD_FINE},
		{"silent since the start",
		 {WORD_SILENT, 1000, NONE, NONE, 1000, 1, false, 0},
		 5999,
		 GUARD_FINE},
		{"silent for 5 s",
		 {WORD_SILENT, 1000, NONE, NONE, 1000, 1, false, 0},
		 6000,
		 GUARD_RENEWAL_OLD},
		{"was suspended", {WORD_JOINED, 9000, NONE, 9000, 0, 1, true, 5000}, 9100, GUARD_SUSPENDED},
		{"clocks drift", {WORD_JOINED, 9000, NONE, 9000, 0, 1, false, 20}, 9100, GUARD_FINE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (guard_judge(&rows[i].facts, rows[i].now) != rows[i].reason)
			fail_msg("%s: %s", rows[i].name,
				 guard_reason_str(guard_judge(&rows[i].facts, rows[i].now)));
}

/* sanlock kills at 8 x io_timeout and others take the lease 60 s later: the guard is before both, and asks
 * before it acts. */
static void test_timeline(void **state)
{
	(void)state;
	for (uint32_t n = 1; n <= 60; n++) {
		struct guard_facts facts = {WORD_JOINED, 0, NONE, 0, 0, n, false, 0};

		assert_int_equal(guard_deadline(&facts), 6000 * (mono_t)n);
		assert_int_equal(guard_doubtful_from(0, n), 4500 * (mono_t)n);
	}
	assert_int_equal(guard_doubtful_from(MONO_UNSET, 1), MONO_UNSET);
}

/* Rarely only while an answer can put no deadline off and bring none nearer. */
static void test_ask_gap(void **state)
{
	static const struct {
		const char *name;
		struct guard_facts facts;
		mono_t now;
		int64_t gap;
	} rows[] = {
		{"renewed a moment ago", {WORD_JOINED, 9000, NONE, 9000, 0, 10, false, 0}, 9000, 5000},
		{"renewed 44.9 s ago", {WORD_JOINED, 9000, NONE, 9000, 0, 10, false, 0}, 53999, 5000},
		{"doubtful", {WORD_JOINED, 9000, NONE, 9000, 0, 10, false, 0}, 54000, 1000},
		{"doubtful, the watchdog sees to it",
		 {WORD_JOINED, 9000, NONE, 9000, 0, 10, true, 0},
		 54000,
		 5000},
		{"no renewal known", {WORD_JOINED, 9000, NONE, NONE, 0, 10, false, 0}, 9000, 1000},
		{"io_timeout 1", {WORD_JOINED, 9000, NONE, 9000, 0, 1, false, 0}, 9000, 1000},
		{"io_timeout 6", {WORD_JOINED, 9000, NONE, 9000, 0, 6, false, 0}, 9000, 3000},
		{"io_timeout 60", {WORD_JOINED, 9000, NONE, 9000, 0, 60, false, 0}, 9000, 5000},
		{"not joined", {WORD_OUT, 9000, NONE, 9000, 0, 10, true, 0}, 9000, 1000},
		{"no daemon", {WORD_GONE, 9000, NONE, 9000, 0, 10, true, 0}, 9000, 1000},
		{"silent", {WORD_SILENT, 9000, NONE, NONE, 0, 10, true, 0}, 9000, 1000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t gap = guard_ask_gap(&rows[i].facts, rows[i].now);

		if (gap != rows[i].gap)
			fail_msg("%s: %lld", rows[i].name, (long long)gap);
		/* Who waits for the next question is not taken for suspended. */
		assert_true(gap < GUARD_RESUME_MS);
	}
}

static void test_must_reset(void **state)
{
	(void)state;
	assert_false(guard_must_reset(1000, 60999));
	assert_true(guard_must_reset(1000, 61000));
	assert_false(guard_must_reset(MONO_UNSET, 99000));
	assert_false(guard_must_end_storage(1000, 10999));
	assert_true(guard_must_end_storage(1000, 11000));
	assert_false(guard_must_end_storage(MONO_UNSET, 99000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_timeline),
		cmocka_unit_test(test_must_reset),
		cmocka_unit_test(test_ask_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
