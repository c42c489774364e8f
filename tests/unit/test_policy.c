/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The arithmetic of sanlock's timeouts, worked second by second, the back-offs, and the defaults that
 * clusters know.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/policy.h"

/* What the seven functions must give, in seconds. */
static const struct {
	const char *name;
	struct lease_timing timing;
	int64_t renew, alien, guard, fail, dead, start;
} timelines[] = {
	{"sanlock's default: io_timeout 10, watchdog 60", {10, 60}, 20, 40, 60, 80, 140, 200},
	{"the lab: io_timeout 1, watchdog 60", {1, 60}, 2, 4, 6, 8, 68, 128},
	{"io_timeout 2, watchdog 10", {2, 10}, 4, 8, 12, 16, 26, 86},
	{"the slowest: io_timeout 60", {60, 60}, 120, 240, 360, 480, 540, 600},
};

static void test_timelines(void **state)
{
	for (size_t i = 0; i < sizeof(timelines) / sizeof(timelines[0]); i++) {
		const struct lease_timing *t = &timelines[i].timing;

		if (lease_renew_ms(t) != timelines[i].renew * 1000 ||
		    lease_alien_ms(t) != timelines[i].alien * 1000 ||
		    lease_guard_kill_ms(t) != timelines[i].guard * 1000 ||
		    lease_fail_ms(t) != timelines[i].fail * 1000 ||
		    lease_dead_ms(t) != timelines[i].dead * 1000 ||
		    lease_start_ms(t) != timelines[i].start * 1000)
			fail_msg("%s", timelines[i].name);
		/* The order that safety rests on: the guard kills before sanlock does, and both before others
		 * may take the lease. */
		assert_true(lease_renew_ms(t) < lease_guard_kill_ms(t));
		assert_true(lease_guard_kill_ms(t) < lease_fail_ms(t));
		assert_true(lease_fail_ms(t) < lease_dead_ms(t));
		assert_true(lease_dead_ms(t) < lease_start_ms(t));
	}
}

static void test_gaps(void **state)
{
	static const int64_t tries[] = {0, 1000, 5000, 15000, 60000, 60000};
	static const int64_t unexpected[] = {0, 5000, 15000, 60000, 60000, 60000};

	for (uint32_t i = 0; i < 6; i++) {
		assert_int_equal(policy_try_gap(i), tries[i]);
		assert_int_equal(policy_unexpected_gap(i), unexpected[i]);
	}
	assert_int_equal(policy_try_gap(UINT32_MAX), 60000);
	assert_int_equal(policy_unexpected_gap(UINT32_MAX), 60000);
}

/* Written from DESIGN and STATES: who changes a default changes what clusters do. */
static void test_defaults(void **state)
{
	const struct policy *p = &policy_default;

	assert_int_equal(p->loop, 10000);
	assert_int_equal(p->stale, 60000);
	assert_int_equal(p->bad_health, 300000);
	assert_int_equal(p->shutdown, 300000);
	assert_int_equal(p->starting, 600000);
	assert_int_equal(p->away, 40000);
	assert_int_equal(p->unexpected, 560000);
	assert_int_equal(p->retry_window, 600000);
	assert_int_equal(p->healthy_clears, 300000);
	assert_int_equal(p->untaken, 60000);
	assert_int_equal(p->paused, 30000);
	assert_int_equal(p->kill_limit, 60000);
	assert_int_equal(p->owner_retry, 60000);
	assert_int_equal(p->rank_delay, 500);
	assert_int_equal(p->better_held, 300000);
	assert_int_equal(p->move_interval, 1800000);
	assert_int_equal(p->better_threshold, 800);
	assert_int_equal(p->cpu_load_from, 400);
	assert_int_equal(p->cpu_load_to, 900);
	assert_int_equal(p->network.samples, 3);
	assert_int_equal(p->network.ms, 30000);
	assert_int_equal(p->cpu.ms, 300000);
	assert_int_equal(p->other.samples, 3);
	assert_true(p->require_watchdog);
	assert_int_equal(p->weights.base, 3400);
	assert_int_equal(p->weights.network, 1600);
	assert_int_equal(p->weights.mgmt_bridge, 600);
	assert_int_equal(p->weights.cpu_load, 1000);
	assert_int_equal(p->weights.memory, 400);
	assert_int_equal(p->weights.config, 1000);
	assert_int_equal(p->weights.retry, 50);
	/* Who renews in time is never stale: a record is written at least every 20 s. */
	assert_true(p->stale > 2 * 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timelines),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
