/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine's status: its words, and which of two is the better one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/engine.h"
#include "tests/unit/words.h"

static void test_words(void **state)
{
	CHECK_WORDS(vm, VM_COUNT);
	CHECK_WORDS(health, HEALTH_COUNT);
	CHECK_WORDS(detail, DETAIL_COUNT);
	CHECK_WORDS(engine_reason, ENGINE_REASON_COUNT);
}

static const struct {
	enum vm vm;
	enum health health;
	enum detail detail;
	int rank;
} rows[] = {
	{VM_UP, HEALTH_GOOD, DETAIL_UP, 4},
	{VM_UP, HEALTH_BAD, DETAIL_UP, 3},
	{VM_UP, HEALTH_UNKNOWN, DETAIL_UP, 3},
	{VM_UP, HEALTH_GOOD, DETAIL_PAUSED, 2},
	{VM_DOWN, HEALTH_GOOD, DETAIL_UP, 1},
	{VM_DOWN_UNEXPECTED, HEALTH_BAD, DETAIL_DOWN, 1},
	{VM_DOWN_MISSING, HEALTH_BAD, DETAIL_DOWN, 1},
	{VM_UNKNOWN, HEALTH_GOOD, DETAIL_UP, 0},
};

static void test_rank(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (engine_rank(rows[i].vm, rows[i].health, rows[i].detail) != rows[i].rank)
			fail_msg("row %zu", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_rank),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
