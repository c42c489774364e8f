/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of transitions, every pair of it, against one written from STATES.md; the words of states,
 * reasons and actions that others know; a machine at the agent's start. What the rows do is in tests/golden.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/machine.h"

/* From each state by its row and its timeout, and (after the bar) by the checks that come first:
 * AgentStopped, GlobalMaintenance, UnknownLocalVmState from everywhere; local maintenance from where
 * STATES.md does not say that the state finishes by its row; a VM that stays there and is paused goes to
 * EngineForceStop. StartState, ReinitializeFSM and EngineDown go to
 * EngineStarting first when they find a VM here, and leave it from there; the maintenance states and the
 * unknown VM go on over ReinitializeFSM. */
static const struct {
	const char *from, *to;
} table[] = {
	{"StartState", "ReinitializeFSM | LocalMaintenance"},
	{"ReinitializeFSM", "EngineStarting EngineDown | LocalMaintenance"},
	{"GlobalMaintenance", "ReinitializeFSM"},
	{"LocalMaintenance", "ReinitializeFSM | EngineStop EngineForceStop EngineMigratingAway"},
	{"UnknownLocalVmState", "ReinitializeFSM"},
	{"EngineDown", "EngineStarting EngineStart | LocalMaintenance"},
	{"EngineStart", "EngineStarting EngineDown EngineForceStop"},
	{"EngineStarting",
	 "EngineUp EngineForceStop EngineUnexpectedlyDown EngineMaybeAway EngineStop | LocalMaintenance "
	 "EngineMigratingAway"},
	{"EngineUp",
	 "EngineMaybeAway EngineUnexpectedlyDown EngineUpBadHealth EngineStop EngineMigratingAway "
	 "EngineForceStop | LocalMaintenance"},
	{"EngineUpBadHealth",
	 "EngineUp EngineMaybeAway EngineUnexpectedlyDown EngineStop EngineMigratingAway "
	 "EngineForceStop | LocalMaintenance"},
	{"EngineStop", "EngineForceStop EngineDown ReinitializeFSM"},
	{"EngineForceStop", "EngineDown"},
	{"EngineMaybeAway",
	 "EngineUnexpectedlyDown EngineDown EngineUp | LocalMaintenance EngineStop EngineForceStop "
	 "EngineMigratingAway"},
	{"EngineUnexpectedlyDown",
	 "EngineDown EngineUp EngineStart | LocalMaintenance EngineStop EngineForceStop "
	 "EngineMigratingAway"},
	{"EngineMigratingAway", "EngineDown EngineUp EngineStop"},
	{"AgentStopped", ""},
};

static bool listed(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += length)
		if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
			return true;
	return false;
}

static void test_allowed(void **state)
{
	_Static_assert(sizeof(table) / sizeof(table[0]) == STATE_COUNT, "a state is missing");

	for (enum state from = 0; from < STATE_COUNT; from++) {
		assert_string_equal(state_str(from), table[from].from);
		for (enum state to = 0; to < STATE_COUNT; to++) {
			bool check = to == STATE_AGENT_STOPPED || to == STATE_GLOBAL_MAINTENANCE ||
				     to == STATE_UNKNOWN_LOCAL_VM;
			bool expected = (check && from != to && from != STATE_AGENT_STOPPED) ||
					listed(table[from].to, state_str(to));

			if (machine_allowed(from, to) != expected)
				fail_msg("%s -> %s: the table says %d", state_str(from), state_str(to),
					 !expected);
		}
	}
}

static void test_words(void **state)
{
	for (enum state s = 0; s < STATE_COUNT; s++)
		assert_int_equal(state_parse(state_str(s)), s);
	for (enum reason r = 0; r < REASON_COUNT; r++)
		assert_int_equal(reason_parse(reason_str(r)), r);
	for (enum action a = 0; a < ACTION_COUNT; a++)
		assert_int_equal(action_parse(action_str(a)), a);
	for (enum penalty p = 0; p < PENALTY_COUNT; p++)
		assert_int_equal(penalty_parse(penalty_str(p)), p);
	assert_int_equal(state_parse("engineup"), -1);
	assert_string_equal(state_str(STATE_COUNT), "?");
}

static void test_init(void **state)
{
	struct machine machine;

	memset(&machine, 0xff, sizeof(machine));
	machine_init(&machine, 5);
	assert_int_equal(machine.state, STATE_START);
	assert_int_equal(machine.entered, 5);
	assert_true(machine.deadline == MONO_NEVER && machine.lease_free_since == MONO_UNSET);
	assert_int_equal(machine.failed_tries, 0);
	assert_int_equal(machine.in_flight, ACTION_NONE);
}

/* Nothing known at all: a step says so, asks for nothing, and comes again within a loop. */
static void test_nothing_known(void **state)
{
	struct snapshot known = {0};
	struct machine machine;
	struct step step;

	machine_init(&machine, 0);
	machine_step(&machine, &known, &policy_default, 1000, &step);
	assert_int_equal(step.n_actions, 0);
	assert_int_equal(step.score.value, 0);
	assert_int_equal(step.reason, REASON_BROKER_AWAY);
	assert_true(step.alarm && !step.may_start && !step.can_move);
	assert_true(step.wake > 1000 && step.wake <= 11000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_init),
		cmocka_unit_test(test_nothing_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
