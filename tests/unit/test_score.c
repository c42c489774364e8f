/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each penalty alone and at its edges, how long a cause must last, and what a score says about a start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/score.h"
#include "tests/unit/words.h"

#define S MONO_SECOND

struct fixture {
	struct score_memory memory;
	struct snapshot known;
	struct score_input input;
	struct score score;
};

static void begin(struct fixture *f)
{
	*f = (struct fixture){.input = {.judge_memory = true,
					.tries_clear_at = MONO_NEVER,
					.unexpected_until = MONO_UNSET,
					.config_since = MONO_UNSET}};
	f->known.vm.memory_mib = 4096;
	f->known.cluster.monitors[MONITOR_MGMT_BRIDGE].value = 1;
	f->known.cluster.monitors[MONITOR_MEM_FREE].value = 8192;
}

static int32_t ask(struct fixture *f, mono_t now)
{
	score_update(&f->memory, &f->known, &policy_default, &f->input, now, &f->score);
	return f->score.value;
}

/* `n` samples of a monitor, one each 10 s from 0 on; the score right after the last. */
static int32_t after_samples(struct fixture *f, enum monitor monitor, int32_t value, unsigned n)
{
	int32_t score = 0;

	for (unsigned i = 0; i < n; i++) {
		struct sample *sample = &f->known.cluster.monitors[monitor];

		*sample = (struct sample){.number = sample->number + 1, .value = value, .known = true};
		score = ask(f, i * 10 * S);
	}
	return score;
}

static const struct {
	const char *name;
	enum monitor monitor;
	int32_t value;
	unsigned samples;
	int32_t score;
} rows[] = {
	{"network: all lost", MONITOR_NETWORK, 1000, 4, 1800},
	{"network: a quarter lost", MONITOR_NETWORK, 250, 4, 3000},
	{"network: one per mille lost", MONITOR_NETWORK, 1, 4, 3399},
	{"network: none lost", MONITOR_NETWORK, 0, 9, 3400},
	{"network: one lost ping", MONITOR_NETWORK, 1000, 1, 3400},
	{"network: three samples in 20 s", MONITOR_NETWORK, 1000, 3, 3400},
	{"bridge down", MONITOR_MGMT_BRIDGE, 0, 3, 2800},
	{"bridge down twice", MONITOR_MGMT_BRIDGE, 0, 2, 3400},
	{"bridge up", MONITOR_MGMT_BRIDGE, 1, 9, 3400},
	{"memory one MiB short", MONITOR_MEM_FREE, 4095, 3, 3000},
	{"memory just enough", MONITOR_MEM_FREE, 4096, 9, 3400},
	{"load 40 %", MONITOR_CPU_LOAD, 400, 40, 3400},
	{"load 65 %", MONITOR_CPU_LOAD, 650, 40, 2900},
	{"load 90 %", MONITOR_CPU_LOAD, 900, 40, 2400},
	{"load 100 %", MONITOR_CPU_LOAD, 1000, 40, 2400},
	{"load for 4:50", MONITOR_CPU_LOAD, 1000, 30, 3400},
	{"load for 5:00", MONITOR_CPU_LOAD, 1000, 31, 2400},
};

static void test_monitors(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture f;
		int32_t score;

		begin(&f);
		score = after_samples(&f, rows[i].monitor, rows[i].value, rows[i].samples);
		if (score != rows[i].score)
			fail_msg("%s: %d, not %d", rows[i].name, score, rows[i].score);
	}
}

/* A good sample ends a penalty at once; an unknown one changes nothing; the same one again is none. */
static void test_samples(void **state)
{
	struct fixture f;
	struct sample *sample = &f.known.cluster.monitors[MONITOR_NETWORK];

	begin(&f);
	assert_int_equal(after_samples(&f, MONITOR_NETWORK, 1000, 4), 1800);
	*sample = (struct sample){.number = 5, .value = 0, .known = false};
	assert_int_equal(ask(&f, 40 * S), 1800);
	assert_int_equal(f.score.entries[PENALTY_NETWORK].since, 30 * S);
	*sample = (struct sample){.number = 6, .value = 0, .known = true};
	assert_int_equal(ask(&f, 50 * S), 3400);

	begin(&f);
	*sample = (struct sample){.number = 1, .value = 1000, .known = true};
	for (int i = 0; i < 100; i++)
		assert_int_equal(ask(&f, i * S), 3400);
}

static void test_memory_not_judged(void **state)
{
	struct fixture f;

	begin(&f);
	f.input.judge_memory = false;
	assert_int_equal(after_samples(&f, MONITOR_MEM_FREE, 1, 9), 3400);
	/* What was seen meanwhile does not count later. */
	f.input.judge_memory = true;
	assert_int_equal(ask(&f, 100 * S), 3400);
	/* Nobody knows what the VM needs. */
	begin(&f);
	f.known.vm.memory_mib = 0;
	assert_int_equal(after_samples(&f, MONITOR_MEM_FREE, 1, 9), 3400);
}

static void test_tries(void **state)
{
	static const int32_t scores[] = {3400, 3350, 3300, 3250, 0, 0};
	struct fixture f;

	begin(&f);
	f.input.tries_clear_at = 600 * S;
	for (uint32_t i = 0; i < 6; i++) {
		f.input.failed_tries = i;
		assert_int_equal(ask(&f, i), scores[i]);
		assert_true(score_allows_start(&f.score));
	}
	assert_int_equal(f.score.entries[PENALTY_TRIES_SPENT].until, 600 * S);
	assert_int_equal(f.score.entries[PENALTY_TRIES_SPENT].since, 4);
}

static void test_zero(void **state)
{
	struct fixture f;

	begin(&f);
	f.input.unexpected_until = 560 * S;
	assert_int_equal(ask(&f, 0), 0);
	assert_true(score_allows_start(&f.score));
	assert_int_equal(f.score.entries[PENALTY_UNEXPECTED_SHUTDOWN].until, 560 * S);
	for (enum penalty p = PENALTY_FIRST_NEVER; p < PENALTY_COUNT; p++) {
		begin(&f);
		f.input.zero[p] = true;
		if (ask(&f, 0) != 0 || score_allows_start(&f.score))
			fail_msg("%s", penalty_str(p));
	}
}

/* Three looks are two loops. */
static void test_configuration(void **state)
{
	struct fixture f;

	begin(&f);
	f.input.config_since = 5 * S;
	assert_int_equal(ask(&f, 5 * S), 3400);
	assert_int_equal(ask(&f, 25 * S - 1), 3400);
	assert_int_equal(ask(&f, 25 * S), 2400);
	assert_true(score_allows_start(&f.score));
	f.input.config_since = MONO_UNSET;
	assert_int_equal(ask(&f, 26 * S), 3400);
}

/* A patience in time beside the one in samples. */
static void test_configuration_for_a_time(void **state)
{
	struct policy policy = policy_default;
	struct fixture f;

	begin(&f);
	policy.other.ms = 60 * S;
	f.input.config_since = 0;
	score_update(&f.memory, &f.known, &policy, &f.input, 60 * S - 1, &f.score);
	assert_int_equal(f.score.value, 3400);
	score_update(&f.memory, &f.known, &policy, &f.input, 60 * S, &f.score);
	assert_int_equal(f.score.value, 2400);
}

/* A cause that lasts longer than can be counted goes on. */
static void test_endless_cause(void **state)
{
	struct fixture f;

	begin(&f);
	after_samples(&f, MONITOR_MGMT_BRIDGE, 0, 1);
	f.memory.causes[MONITOR_MGMT_BRIDGE].samples = UINT32_MAX;
	assert_int_equal(after_samples(&f, MONITOR_MGMT_BRIDGE, 0, 1), 2800);
	assert_int_equal(f.memory.causes[MONITOR_MGMT_BRIDGE].samples, UINT32_MAX);
}

static void test_words(void **state)
{
	CHECK_WORDS(penalty, PENALTY_COUNT);
}

static void test_never_below_zero(void **state)
{
	struct fixture f;

	begin(&f);
	f.input.config_since = -20 * S;
	f.input.failed_tries = 3;
	after_samples(&f, MONITOR_MGMT_BRIDGE, 0, 4);
	after_samples(&f, MONITOR_CPU_LOAD, 1000, 40);
	assert_int_equal(after_samples(&f, MONITOR_NETWORK, 1000, 40), 0);
	assert_true(score_allows_start(&f.score));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_monitors),
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_memory_not_judged),
		cmocka_unit_test(test_tries),
		cmocka_unit_test(test_zero),
		cmocka_unit_test(test_configuration),
		cmocka_unit_test(test_configuration_for_a_time),
		cmocka_unit_test(test_endless_cause),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_never_below_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
