/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of transitions, every pair of it, against one written from STATES.md; the words of states,
 * reasons and actions that others know; a machine at the agent's start. What the rows do is in tests/golden.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/machine.h"
#include "core/trace.h"
#include "tests/unit/words.h"

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
	{"EngineMigratingAway", "EngineDown EngineUp EngineStop EngineMigratingAway"},
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
	CHECK_WORDS(state, STATE_COUNT);
	CHECK_WORDS(reason, REASON_COUNT);
	CHECK_WORDS(action, ACTION_COUNT);
	CHECK_WORDS(outcome, OUTCOME_COUNT);
	CHECK_WORDS(membership, MEMBERSHIP_COUNT);
	CHECK_WORDS(flag, FLAG_COUNT);
	CHECK_WORDS(watchdog, WATCHDOG_COUNT);
	CHECK_WORDS(block_reason, BLOCK_REASON_COUNT);
	CHECK_WORDS(owner_kind, OWNER_KIND_COUNT);
	CHECK_WORDS(held, HELD_COUNT);
	CHECK_WORDS(monitor, MONITOR_COUNT);
	CHECK_WORDS(pause, PAUSE_COUNT);
	assert_int_equal(state_parse("engineup"), -1);
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

static void test_sound(void **state)
{
	struct machine machine;

	machine_init(&machine, 5);
	assert_true(machine_sound(&machine));
	machine.deadline = 7;
	assert_false(machine_sound(&machine));
	machine.state = STATE_ENGINE_STOP;
	assert_true(machine_sound(&machine));
}

/* Single steps that no history of a scenario comes to: facts of different moments, counts at their end. Each
 * begins from a joined host 3 alone, whose lease and QEMU were looked at just before. */
static const char base[] =
	"now=1000000 broker_answers=1 cluster.host_id=3 cluster.generation=7 cluster.membership=joined "
	"cluster.hosts_known=1 cluster.whiteboard_read=1 cluster.maintenance_read=1 cluster.maintenance=no "
	"cluster.io_timeout_s=10 cluster.watchdog_fire_s=60 "
	"cluster.watchdog=hard cluster.owner=nobody cluster.owner_begun=999999 cluster.held_begun=999999 "
	"vm.vm=down vm.seen_at=999999";

static const struct {
	const char *name, *facts;
	enum state to;
	enum reason reason;
	enum action action;
	uint32_t failed_tries;
} steps[] = {
	{"EngineStarting does not hear of the time before the start",
	 "machine.state=EngineStarting machine.entered=999999 vm.seen_at=999998", STATE_ENGINE_STARTING,
	 REASON_IN_FLIGHT, ACTION_NONE, 0},
	{"what is asked after it counts", "machine.state=EngineStarting machine.entered=999999",
	 STATE_ENGINE_FORCE_STOP, REASON_VM_GONE, ACTION_DESTROY, 0},
	{"a count of failed tries that is at its end",
	 "machine.state=EngineStarting machine.failed_tries=4294967295 machine.last_failed=999000 "
	 "machine.entered=999000 vm.vm=down_unexpected",
	 STATE_ENGINE_UNEXPECTEDLY_DOWN, REASON_VM_UNEXPECTEDLY_DOWN, ACTION_NONE, 4294967295},
	{"a count of crashes that is at its end",
	 "machine.state=EngineUp machine.crashes=4294967295 machine.last_crash=999000 vm.vm=down_unexpected",
	 STATE_ENGINE_UNEXPECTEDLY_DOWN, REASON_VM_UNEXPECTEDLY_DOWN, ACTION_NONE, 0},
	{"EngineForceStop after a kill that has not worked yet",
	 "machine.state=EngineStart machine.deadline=1000000 machine.in_flight=start "
	 "machine.kill_since=999000 cluster.qemu_pid=9",
	 STATE_ENGINE_FORCE_STOP, REASON_START_TIMEOUT, ACTION_DESTROY, 1},
	{"EngineStop waits while a migration pauses it",
	 "machine.state=EngineStop machine.in_flight=shutdown vm.vm=up vm.pause=other "
	 "vm.detail=Migration_Source machine.paused_since=900000 cluster.qemu_pid=9",
	 STATE_ENGINE_STOP, REASON_STAY, ACTION_NONE, 0},
	{"libvirt silent, the lease elsewhere: read before the silence was long",
	 "machine.state=UnknownLocalVmState machine.unknown_since=960000 vm.vm=unknown cluster.qemu_pid=9 "
	 "cluster.held=no cluster.owner=host cluster.owner_id=2 cluster.owner_begun=989999",
	 STATE_UNKNOWN_LOCAL_VM, REASON_VM_UNKNOWN, ACTION_NONE, 0},
	{"and after it",
	 "machine.state=UnknownLocalVmState machine.unknown_since=960000 vm.vm=unknown "
	 "cluster.qemu_pid=9 cluster.held=no cluster.owner=host cluster.owner_id=2 "
	 "cluster.owner_begun=990000",
	 STATE_UNKNOWN_LOCAL_VM, REASON_LEASE_MOVED, ACTION_KILL, 0},
	{"libvirt silent, the lease nobody's",
	 "machine.state=UnknownLocalVmState machine.unknown_since=960000 vm.vm=unknown cluster.qemu_pid=9 "
	 "cluster.held=no",
	 STATE_UNKNOWN_LOCAL_VM, REASON_VM_UNKNOWN, ACTION_NONE, 0},
	{"no resume on a version read before the pause",
	 "machine.state=EngineUp machine.held_version=5 machine.paused_since=999999 vm.vm=up "
	 "vm.pause=io-error vm.detail=Paused cluster.qemu_pid=9 cluster.owner_version=5 "
	 "cluster.monitor.storage-domain=1/1/1",
	 STATE_ENGINE_UP, REASON_VM_PAUSED, ACTION_NONE, 0},
	{"a resume on one read after it",
	 "machine.state=EngineUp machine.held_version=5 machine.paused_since=999998 vm.vm=up "
	 "vm.pause=io-error vm.detail=Paused cluster.qemu_pid=9 cluster.owner_version=5 "
	 "cluster.monitor.storage-domain=1/1/1",
	 STATE_ENGINE_UP, REASON_STORAGE_BACK, ACTION_RESUME, 0},
};

static void test_steps(void **state)
{
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		static struct peer peers[4];
		struct trace trace;
		struct step step;
		char line[2048];
		size_t at = 0;

		trace_init(&trace, peers, 4);
		snprintf(line, sizeof(line), "%s %s", base, steps[i].facts);
		if (trace_parse(line, &trace, &at) < 0)
			fail_msg("%s", line + at);
		machine_step(&trace.machine, &trace.known, &trace.policy, trace.now, &step);
		if (step.next.state != steps[i].to || step.reason != steps[i].reason ||
		    step.next.failed_tries != steps[i].failed_tries ||
		    (step.n_actions > 0 ? step.actions[0] : ACTION_NONE) != steps[i].action)
			fail_msg("%s: %s %s failed_tries=%u do=%s", steps[i].name, state_str(step.next.state),
				 reason_str(step.reason), step.next.failed_tries,
				 step.n_actions > 0 ? action_str(step.actions[0]) : "none");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allowed), cmocka_unit_test(test_words),
		cmocka_unit_test(test_init),	cmocka_unit_test(test_nothing_known),
		cmocka_unit_test(test_sound),	cmocka_unit_test(test_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
