/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pace of mails: one each while the minute has room, then all in one; pauses that double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "notify/mail_plan.h"

#define START 1000000

static void test_pace(void **state)
{
	struct mail_plan plan = {0};
	mono_t now = START, wake;

	assert_int_equal(mail_plan_next(&plan, 0, 3, now, &wake), 0);
	assert_int_equal(wake, MONO_NEVER);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mail_plan_next(&plan, 1, 3, now, &wake), 1);
		mail_plan_sent(&plan, now);
		now += 1000;
	}
	/* One mail is left: two transitions share it. */
	assert_int_equal(mail_plan_next(&plan, 2, 3, now, &wake), 2);
	mail_plan_sent(&plan, now);
	/* None is: until the first one's minute is over. */
	assert_int_equal(mail_plan_next(&plan, 5, 3, now, &wake), 0);
	assert_int_equal(wake, START + 60000);
	assert_int_equal(mail_plan_next(&plan, 5, 3, START + 59999, &wake), 0);
	assert_int_equal(mail_plan_next(&plan, 5, 3, START + 60000, &wake), 5);
	/* A number that was lowered meanwhile. */
	assert_int_equal(mail_plan_next(&plan, 1, 1, START + 60000, &wake), 0);
	assert_int_equal(wake, START + 62000);
}

static void test_thousand_in_a_minute(void **state)
{
	struct mail_plan plan = {0};
	unsigned mails = 0, pending = 0, told = 0;
	mono_t wake;

	for (mono_t now = START; now < START + 180000; now += 60) {
		size_t n;

		pending += now < START + 60000;
		n = mail_plan_next(&plan, pending, 10, now, &wake);
		if (n == 0)
			continue;
		mail_plan_sent(&plan, now);
		told += (unsigned)n;
		pending -= (unsigned)n;
		mails++;
	}
	assert_int_equal(told, 1000);
	assert_true(mails <= 20);
}

static void test_ring(void **state)
{
	struct mail_plan plan = {0};
	mono_t wake;

	for (int i = 0; i < 2 * MAILS_PER_MINUTE_MAX; i++)
		mail_plan_sent(&plan, START + i);
	assert_int_equal(mail_plan_next(&plan, 1, MAILS_PER_MINUTE_MAX, START + 1000, &wake), 0);
	assert_int_equal(wake, START + MAILS_PER_MINUTE_MAX + 60000);
}

static void test_pauses(void **state)
{
	struct mail_plan plan = {0};
	mono_t now = START, wake;
	int64_t pause = 10000;

	for (int i = 0; i < 10; i++) {
		mail_plan_failed(&plan, 10000, now);
		assert_int_equal(mail_plan_next(&plan, 1, 10, now + pause - 1, &wake), 0);
		assert_int_equal(wake, now + pause);
		assert_int_equal(mail_plan_next(&plan, 1, 10, now + pause, &wake), 1);
		now += pause;
		pause = pause * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : pause * 2;
	}
	assert_int_equal(pause, RETRY_MAX_MS);
	mail_plan_sent(&plan, now);
	assert_int_equal(mail_plan_next(&plan, 1, 10, now, &wake), 1);
	mail_plan_failed(&plan, 10000, now);
	assert_int_equal(plan.retry_at, now + 10000);
	mail_plan_renew(&plan);
	assert_int_equal(mail_plan_next(&plan, 1, 10, now, &wake), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pace),
		cmocka_unit_test(test_thousand_in_a_minute),
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_pauses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
