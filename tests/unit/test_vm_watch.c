/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From libvirt's words to what the VM is: rows of a history, one step each second, and what is said at its
 * end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/vm_watch.h"

#define SHUTDOWN_MS 300000

enum what { NOTHING, VIEW, OLD_VIEW, EVENT, BEGAN, OK, FAILED, SETTLE, PID, NOW };

struct move {
	enum what what; /* NOW: it is asked at once, not 8 s after the first */
	int value;	/* domain_state, domain_end, action, or pid */
	enum pause pause;
};

struct row {
	const char *name;
	struct move moves[8];
	enum vm vm;
	enum detail detail;
	enum pause pause;
	enum engine_reason reason;
	bool runs;
};

#define V(s)                                                                                                 \
	{                                                                                                    \
		VIEW, s, PAUSE_NONE                                                                          \
	}
#define P(p)                                                                                                 \
	{                                                                                                    \
		VIEW, DOMAIN_PAUSED, p                                                                       \
	}
#define GONE(e)                                                                                              \
	{                                                                                                    \
		EVENT, e, PAUSE_NONE                                                                         \
	}
#define M(w, v)                                                                                              \
	{                                                                                                    \
		w, v, PAUSE_NONE                                                                             \
	}
#define NOT_HERE VM_DOWN, DETAIL_DOWN, PAUSE_NONE, ENGINE_REASON_NOT_HERE, false
#define UNEXPECTED VM_DOWN_UNEXPECTED, DETAIL_DOWN, PAUSE_NONE, ENGINE_REASON_NOT_HERE, false
#define ENDING VM_DOWN_MISSING, DETAIL_POWERING_DOWN, PAUSE_NONE, ENGINE_REASON_NOT_HERE, false
#define RUNS VM_UP, DETAIL_UP, PAUSE_NONE, ENGINE_REASON_NONE, true

static const struct row rows[] = {
	{"libvirt has not answered",
	 {{NOTHING, 0, 0}},
	 VM_UNKNOWN,
	 DETAIL_UNKNOWN,
	 PAUSE_NONE,
	 ENGINE_REASON_NO_STATS,
	 false},
	{"none since the start", {V(DOMAIN_NONE)}, NOT_HERE},
	{"defined, shut off", {V(DOMAIN_SHUT_OFF)}, NOT_HERE},
	{"runs", {V(DOMAIN_RUNNING)}, RUNS},
	{"libvirt silent",
	 {V(DOMAIN_RUNNING), V(DOMAIN_UNKNOWN)},
	 VM_UNKNOWN,
	 DETAIL_UNKNOWN,
	 PAUSE_NONE,
	 ENGINE_REASON_NO_STATS,
	 false},
	{"silent for a moment",
	 {V(DOMAIN_RUNNING), V(DOMAIN_RUNNING), V(DOMAIN_RUNNING), V(DOMAIN_RUNNING), V(DOMAIN_RUNNING),
	  V(DOMAIN_RUNNING), V(DOMAIN_UNKNOWN), V(DOMAIN_UNKNOWN)},
	 RUNS},
	{"silent, then there", {V(DOMAIN_RUNNING), V(DOMAIN_UNKNOWN), V(DOMAIN_RUNNING)}, RUNS},
	{"silent, then gone without an event",
	 {V(DOMAIN_RUNNING), V(DOMAIN_UNKNOWN), V(DOMAIN_NONE)},
	 VM_DOWN_MISSING,
	 DETAIL_DOWN,
	 PAUSE_NONE,
	 ENGINE_REASON_NOT_HERE,
	 false},
	{"guest powered itself off", {V(DOMAIN_RUNNING), GONE(END_INSIDE)}, UNEXPECTED},
	{"crashed", {V(DOMAIN_RUNNING), GONE(END_CRASHED)}, UNEXPECTED},
	{"crashed, then an answer without it",
	 {V(DOMAIN_RUNNING), GONE(END_CRASHED), V(DOMAIN_NONE)},
	 UNEXPECTED},
	{"crashed, settled", {V(DOMAIN_RUNNING), GONE(END_CRASHED), M(SETTLE, 0)}, NOT_HERE},
	{"crashed, a start began",
	 {V(DOMAIN_RUNNING), GONE(END_CRASHED), M(BEGAN, ACTION_START)},
	 VM_DOWN,
	 DETAIL_WAIT_FOR_LAUNCH,
	 PAUSE_NONE,
	 ENGINE_REASON_NOT_HERE,
	 false},
	{"destroyed through libvirt", {V(DOMAIN_RUNNING), GONE(END_BY_US)}, NOT_HERE},
	{"our shutdown under way",
	 {V(DOMAIN_RUNNING), M(BEGAN, ACTION_SHUTDOWN)},
	 VM_UP,
	 DETAIL_POWERING_DOWN,
	 PAUSE_NONE,
	 ENGINE_REASON_NONE,
	 true},
	{"our shutdown done",
	 {V(DOMAIN_RUNNING), M(BEGAN, ACTION_SHUTDOWN), M(OK, ACTION_SHUTDOWN), GONE(END_INSIDE)},
	 NOT_HERE},
	{"our shutdown refused, then a crash",
	 {V(DOMAIN_RUNNING), M(BEGAN, ACTION_SHUTDOWN), M(FAILED, ACTION_SHUTDOWN), GONE(END_CRASHED)},
	 UNEXPECTED},
	{"our shutdown refused while our kill is under way",
	 {V(DOMAIN_RUNNING), M(BEGAN, ACTION_SHUTDOWN), M(BEGAN, ACTION_KILL), M(FAILED, ACTION_SHUTDOWN),
	  GONE(END_CRASHED)},
	 NOT_HERE},
	{"our kill", {V(DOMAIN_RUNNING), M(BEGAN, ACTION_KILL), GONE(END_CRASHED)}, NOT_HERE},
	{"our destroy, no event", {V(DOMAIN_RUNNING), M(BEGAN, ACTION_DESTROY), V(DOMAIN_NONE)}, NOT_HERE},
	{"a crash after our kill of the one before",
	 {V(DOMAIN_RUNNING), M(BEGAN, ACTION_KILL), GONE(END_CRASHED), M(SETTLE, 0), V(DOMAIN_RUNNING),
	  GONE(END_CRASHED)},
	 UNEXPECTED},
	{"migrated away by somebody",
	 {V(DOMAIN_RUNNING), GONE(END_MIGRATED)},
	 VM_DOWN,
	 DETAIL_DOWN,
	 PAUSE_NONE,
	 ENGINE_REASON_MIGRATED,
	 false},
	{"migrated away by us",
	 {V(DOMAIN_RUNNING), M(OK, ACTION_MIGRATE), GONE(END_MIGRATED), M(SETTLE, 0)},
	 VM_DOWN,
	 DETAIL_DOWN,
	 PAUSE_NONE,
	 ENGINE_REASON_MIGRATED,
	 false},
	{"migrated away by us, its copy was killed",
	 {V(DOMAIN_RUNNING), M(BEGAN, ACTION_KILL), GONE(END_CRASHED), M(SETTLE, 0), M(OK, ACTION_MIGRATE),
	  V(DOMAIN_NONE)},
	 VM_DOWN,
	 DETAIL_DOWN,
	 PAUSE_NONE,
	 ENGINE_REASON_MIGRATED,
	 false},
	{"migrated away, back, and crashed",
	 {V(DOMAIN_RUNNING), M(OK, ACTION_MIGRATE), GONE(END_MIGRATED), M(SETTLE, 0), P(PAUSE_MIGRATION),
	  V(DOMAIN_RUNNING), GONE(END_CRASHED)},
	 UNEXPECTED},
	{"migrated away by us, a paused copy is left",
	 {V(DOMAIN_RUNNING), P(PAUSE_MIGRATION), M(OK, ACTION_MIGRATE), P(PAUSE_MIGRATION)},
	 VM_UP,
	 DETAIL_MIGRATION_SOURCE,
	 PAUSE_MIGRATION,
	 ENGINE_REASON_BAD_VM_STATUS,
	 false},
	{"our migration failed", {V(DOMAIN_RUNNING), M(FAILED, ACTION_MIGRATE), V(DOMAIN_RUNNING)}, RUNS},
	{"taken in by migration",
	 {V(DOMAIN_NONE), P(PAUSE_MIGRATION)},
	 VM_UP,
	 DETAIL_MIGRATION_DESTINATION,
	 PAUSE_MIGRATION,
	 ENGINE_REASON_BAD_VM_STATUS,
	 false},
	{"handed over by migration",
	 {V(DOMAIN_RUNNING), P(PAUSE_MIGRATION)},
	 VM_UP,
	 DETAIL_MIGRATION_SOURCE,
	 PAUSE_MIGRATION,
	 ENGINE_REASON_BAD_VM_STATUS,
	 false},
	{"started, and handed over before a look",
	 {V(DOMAIN_NONE), M(BEGAN, ACTION_START), M(OK, ACTION_START), P(PAUSE_MIGRATION)},
	 VM_UP,
	 DETAIL_MIGRATION_SOURCE,
	 PAUSE_MIGRATION,
	 ENGINE_REASON_BAD_VM_STATUS,
	 false},
	{"destroyed, and taken in before a look",
	 {V(DOMAIN_RUNNING), M(BEGAN, ACTION_DESTROY), M(OK, ACTION_DESTROY), P(PAUSE_MIGRATION)},
	 VM_UP,
	 DETAIL_MIGRATION_DESTINATION,
	 PAUSE_MIGRATION,
	 ENGINE_REASON_BAD_VM_STATUS,
	 false},
	{"could not be taken in", {V(DOMAIN_NONE), P(PAUSE_MIGRATION), GONE(END_CRASHED)}, NOT_HERE},
	{"taken in, crashed", {P(PAUSE_MIGRATION), V(DOMAIN_RUNNING), GONE(END_CRASHED)}, UNEXPECTED},
	{"could not be taken in, started, crashed",
	 {P(PAUSE_MIGRATION), GONE(END_CRASHED), M(SETTLE, 0), M(BEGAN, ACTION_START), M(OK, ACTION_START),
	  GONE(END_CRASHED)},
	 UNEXPECTED},
	{"an old event is not this end",
	 {V(DOMAIN_RUNNING), GONE(END_CRASHED), M(SETTLE, 0), V(DOMAIN_RUNNING), V(DOMAIN_NONE)},
	 VM_DOWN_MISSING,
	 DETAIL_DOWN,
	 PAUSE_NONE,
	 ENGINE_REASON_NOT_HERE,
	 false},
	{"paused on an I/O error",
	 {V(DOMAIN_RUNNING), P(PAUSE_IO_ERROR)},
	 VM_UP,
	 DETAIL_PAUSED,
	 PAUSE_IO_ERROR,
	 ENGINE_REASON_BAD_VM_STATUS,
	 false},
	{"shutting down by itself",
	 {V(DOMAIN_RUNNING), V(DOMAIN_SHUTTING_DOWN)},
	 VM_UP,
	 DETAIL_POWERING_DOWN,
	 PAUSE_NONE,
	 ENGINE_REASON_NONE,
	 true},
	{"start waits for its lease",
	 {V(DOMAIN_NONE), M(BEGAN, ACTION_START), P(PAUSE_OTHER)},
	 VM_DOWN,
	 DETAIL_WAIT_FOR_LAUNCH,
	 PAUSE_NONE,
	 ENGINE_REASON_STORAGE_LOCKED,
	 false},
	{"start waits for its lease, and libvirt with it",
	 {V(DOMAIN_NONE), M(BEGAN, ACTION_START), P(PAUSE_OTHER), V(DOMAIN_UNKNOWN)},
	 VM_DOWN,
	 DETAIL_WAIT_FOR_LAUNCH,
	 PAUSE_NONE,
	 ENGINE_REASON_STORAGE_LOCKED,
	 false},
	{"start, guest runs before the result",
	 {V(DOMAIN_NONE), M(BEGAN, ACTION_START), P(PAUSE_OTHER), V(DOMAIN_RUNNING)},
	 RUNS},
	{"start ended well",
	 {M(BEGAN, ACTION_START), P(PAUSE_OTHER), V(DOMAIN_RUNNING), M(OK, ACTION_START)},
	 RUNS},
	{"start refused, destroyed by the port",
	 {V(DOMAIN_NONE), M(BEGAN, ACTION_START), P(PAUSE_OTHER), M(FAILED, ACTION_START), GONE(END_BY_US)},
	 NOT_HERE},
	{"start refused, libvirt not asked since",
	 {V(DOMAIN_NONE), M(BEGAN, ACTION_START), P(PAUSE_OTHER), M(FAILED, ACTION_START)},
	 NOT_HERE},
	{"start refused, destroyed without an event",
	 {V(DOMAIN_NONE), M(BEGAN, ACTION_START), P(PAUSE_OTHER), M(FAILED, ACTION_START), V(DOMAIN_NONE)},
	 NOT_HERE},
	{"started paused",
	 {M(BEGAN, ACTION_START_PAUSED), P(PAUSE_OTHER), M(OK, ACTION_START_PAUSED)},
	 VM_UP,
	 DETAIL_PAUSED,
	 PAUSE_STARTING,
	 ENGINE_REASON_BAD_VM_STATUS,
	 false},
	{"suspended by somebody",
	 {V(DOMAIN_RUNNING), P(PAUSE_OTHER)},
	 VM_UP,
	 DETAIL_PAUSED,
	 PAUSE_OTHER,
	 ENGINE_REASON_BAD_VM_STATUS,
	 false},
	{"QEMU lives, libvirt does not list it",
	 {V(DOMAIN_NONE), M(NOTHING, 0), M(NOTHING, 0), M(PID, 77)},
	 VM_UP,
	 DETAIL_UNKNOWN,
	 PAUSE_NONE,
	 ENGINE_REASON_NO_STATS,
	 true},
	{"QEMU seen before libvirt's answer", {M(PID, 77), V(DOMAIN_NONE)}, NOT_HERE},
	{"QEMU still dying", {V(DOMAIN_RUNNING), GONE(END_CRASHED), M(PID, 77)}, UNEXPECTED},
	{"an answer from before our destroy's end",
	 {V(DOMAIN_RUNNING),
	  M(BEGAN, ACTION_DESTROY),
	  M(OK, ACTION_DESTROY),
	  {OLD_VIEW, DOMAIN_RUNNING, PAUSE_NONE}},
	 NOT_HERE},
	{"settled while it lives, then a crash",
	 {V(DOMAIN_RUNNING), M(SETTLE, 0), GONE(END_CRASHED)},
	 UNEXPECTED},
	{"QEMU not known", {V(DOMAIN_NONE), M(NOTHING, 0), M(NOTHING, 0), M(PID, -1)}, NOT_HERE},
	{"QEMU has ended, libvirt does not know",
	 {V(DOMAIN_RUNNING), M(PID, 77), M(PID, 0), M(NOW, 0)},
	 ENDING},
	{"and says that it runs",
	 {V(DOMAIN_RUNNING), M(PID, 77), M(PID, 0), M(PID, 0), V(DOMAIN_RUNNING)},
	 RUNS}, /* 2 s later */
	{"and says so at once",
	 {V(DOMAIN_RUNNING), M(PID, 77), M(PID, 0), V(DOMAIN_RUNNING), M(NOW, 0)},
	 ENDING},
	{"and has not been asked since: it hangs",
	 {V(DOMAIN_RUNNING), M(PID, 77), M(PID, 0)},
	 ENDING}, /* 5 s later */
	{"and was asked in time, and hangs",
	 {V(DOMAIN_RUNNING), M(PID, 77), M(PID, 0), V(DOMAIN_RUNNING)},
	 ENDING},
	{"and says so late, asked before",
	 {V(DOMAIN_RUNNING),
	  M(PID, 77),
	  M(PID, 0),
	  M(NOTHING, 0),
	  M(NOTHING, 0),
	  {OLD_VIEW, DOMAIN_RUNNING, PAUSE_NONE}},
	 ENDING},
	{"and is silent",
	 {V(DOMAIN_RUNNING), M(PID, 77), M(PID, 0), V(DOMAIN_UNKNOWN)},
	 VM_UNKNOWN,
	 DETAIL_UNKNOWN,
	 PAUSE_NONE,
	 ENGINE_REASON_NO_STATS,
	 false},
	{"then tells of a crash", {V(DOMAIN_RUNNING), M(PID, 77), M(PID, 0), GONE(END_CRASHED)}, UNEXPECTED},
	{"then tells of a destroy", {V(DOMAIN_RUNNING), M(PID, 77), M(PID, 0), GONE(END_BY_US)}, NOT_HERE},
	{"then lists none",
	 {V(DOMAIN_RUNNING), M(PID, 77), M(PID, 0), V(DOMAIN_NONE)},
	 VM_DOWN_MISSING,
	 DETAIL_DOWN,
	 PAUSE_NONE,
	 ENGINE_REASON_NOT_HERE,
	 false},
	{"then lists none, a moment ago",
	 {V(DOMAIN_RUNNING), M(PID, 77), M(PID, 0), V(DOMAIN_NONE), M(NOW, 0)},
	 ENDING},
	{"then runs the next one",
	 {V(DOMAIN_RUNNING), M(PID, 77), M(PID, 0), GONE(END_BY_US), V(DOMAIN_RUNNING)},
	 RUNS},
	{"it ended because we asked for it",
	 {V(DOMAIN_RUNNING), M(PID, 77), M(BEGAN, ACTION_DESTROY), M(PID, 0), M(NOW, 0)},
	 VM_UP,
	 DETAIL_POWERING_DOWN,
	 PAUSE_NONE,
	 ENGINE_REASON_NONE,
	 true},
	{"in our migration",
	 {V(DOMAIN_RUNNING), M(PID, 77), M(BEGAN, ACTION_MIGRATE), M(PID, 0), M(NOW, 0)},
	 RUNS},
	{"after our migration",
	 {V(DOMAIN_RUNNING), M(PID, 77), M(BEGAN, ACTION_MIGRATE), M(OK, ACTION_MIGRATE), M(PID, 0),
	  M(NOW, 0)},
	 RUNS},
	{"another one lives", {V(DOMAIN_RUNNING), M(PID, 77), M(PID, 0), M(PID, 78), M(NOW, 0)}, RUNS},
	{"after a migration in vain",
	 {V(DOMAIN_RUNNING), M(PID, 77), M(BEGAN, ACTION_MIGRATE), M(FAILED, ACTION_MIGRATE), M(PID, 0),
	  M(NOW, 0)},
	 ENDING},
	{"in the hand-over",
	 {V(DOMAIN_RUNNING), M(PID, 77), P(PAUSE_MIGRATION), M(PID, 0), M(NOW, 0)},
	 VM_UP,
	 DETAIL_MIGRATION_SOURCE,
	 PAUSE_MIGRATION,
	 ENGINE_REASON_BAD_VM_STATUS,
	 false},
	{"in our start", {M(BEGAN, ACTION_START), V(DOMAIN_RUNNING), M(PID, 77), M(PID, 0), M(NOW, 0)}, RUNS},
	{"the one before it", {M(PID, 77), M(PID, 0), V(DOMAIN_RUNNING), M(NOW, 0)}, RUNS},
	{"/proc has never shown it", {V(DOMAIN_RUNNING), M(PID, 0), M(NOW, 0)}, RUNS},
	{"/proc can't be read", {V(DOMAIN_RUNNING), M(PID, 77), M(PID, -1), M(NOW, 0)}, RUNS},
};

static void play(const struct row *row, struct vm_facts *ret)
{
	struct vm_watch watch;
	struct domain_view view = {.state = DOMAIN_UNKNOWN, .begun = MONO_UNSET};
	int32_t pid = 0;
	mono_t now = 1000, pid_begun = MONO_UNSET;

	vm_watch_init(&watch, SHUTDOWN_MS);
	for (size_t i = 0; i < sizeof(row->moves) / sizeof(row->moves[0]); i++) {
		const struct move *move = &row->moves[i];

		if (move->what == NOW)
			break;
		now += MONO_SECOND;
		switch (move->what) {
		case OLD_VIEW:
		case VIEW:
			view.state = (enum domain_state)move->value;
			view.pause = move->pause;
			view.begun = move->what == OLD_VIEW ? now - 2 * MONO_SECOND : now;
			vm_watch_view(&watch, &view, now);
			break;
		case EVENT:
			view.state = DOMAIN_NONE;
			view.end = (enum domain_end)move->value;
			view.ends++;
			view.begun = now;
			vm_watch_view(&watch, &view, now);
			break;
		case BEGAN:
			vm_watch_began(&watch, (enum action)move->value);
			break;
		case OK:
			vm_watch_ended(&watch, (enum action)move->value, OUTCOME_OK, now);
			break;
		case FAILED:
			vm_watch_ended(&watch, (enum action)move->value, OUTCOME_FAILED, now);
			break;
		case SETTLE:
			vm_watch_settle(&watch);
			break;
		case PID:
			pid = move->value;
			pid_begun = now;
			vm_watch_facts(&watch, pid, pid_begun, now, ret);
			break;
		case NOTHING:
		case NOW:
			break;
		}
	}
	vm_watch_facts(&watch, pid, pid_begun, now, ret);
}

static void test_rows(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct vm_facts facts;

		play(row, &facts);
		if (facts.vm != row->vm || facts.detail != row->detail || facts.pause != row->pause ||
		    facts.reason != row->reason || (facts.running_since != MONO_UNSET) != row->runs)
			fail_msg("%s: vm=%s detail=%d pause=%d reason=%d runs=%d", row->name,
				 vm_str(facts.vm), facts.detail, facts.pause, facts.reason,
				 facts.running_since != MONO_UNSET);
	}
}

static void test_running_since(void **state)
{
	struct vm_watch watch;
	struct domain_view view = {.state = DOMAIN_RUNNING, .begun = 10};
	struct vm_facts facts;

	vm_watch_init(&watch, SHUTDOWN_MS);
	vm_watch_view(&watch, &view, 10);
	vm_watch_view(&watch, &view, 5000);
	vm_watch_facts(&watch, 0, MONO_UNSET, 6000, &facts);
	assert_int_equal(facts.running_since, 10);
	/* Silence is no break, a pause is. */
	view.state = DOMAIN_UNKNOWN;
	vm_watch_view(&watch, &view, 7000);
	view.state = DOMAIN_RUNNING;
	vm_watch_view(&watch, &view, 8000);
	vm_watch_facts(&watch, 0, MONO_UNSET, 9000, &facts);
	assert_int_equal(facts.running_since, 10);
	view.state = DOMAIN_PAUSED;
	vm_watch_view(&watch, &view, 10000);
	view.state = DOMAIN_RUNNING;
	vm_watch_view(&watch, &view, 11000);
	vm_watch_facts(&watch, 0, MONO_UNSET, 12000, &facts);
	assert_int_equal(facts.running_since, 11000);
}

/* A libvirt that is asked all the time and has lost the VM: what /proc shows is up, from then on without a
 * break, so that rule 3 may judge its lease. */
static void test_unlisted_and_asked_each_second(void **state)
{
	struct vm_watch watch;
	struct domain_view view = {.state = DOMAIN_RUNNING, .begun = 1000};
	struct vm_facts facts;

	vm_watch_init(&watch, SHUTDOWN_MS);
	vm_watch_view(&watch, &view, 1000);
	view.state = DOMAIN_NONE;
	for (mono_t now = 2000; now <= 20000; now += 1000) {
		view.begun = now;
		vm_watch_view(&watch, &view, now);
		vm_watch_facts(&watch, 77, now - 500, now, &facts);
		assert_int_equal(facts.vm, now - 500 < 2000 + VM_WATCH_LINGER_MS ? VM_DOWN_MISSING : VM_UP);
	}
	assert_int_equal(facts.running_since, 5000);
	assert_int_equal(facts.seen_at, 20000);

	/* A pid from before our own start ended is not one that lives on. */
	vm_watch_settle(&watch);
	vm_watch_began(&watch, ACTION_START);
	vm_watch_ended(&watch, ACTION_START, OUTCOME_FAILED, 30000);
	vm_watch_facts(&watch, 78, 29900, 30100, &facts);
	assert_int_equal(facts.vm, VM_DOWN);
}

/* Accepted by libvirt, ignored by the guest. */
static void test_shutdown_that_is_ignored(void **state)
{
	static const struct {
		const char *name;
		enum action action;
		enum outcome outcome;
	} asked[] = {{"shutdown", ACTION_SHUTDOWN, OUTCOME_OK},
		     {"destroy that failed", ACTION_DESTROY, OUTCOME_FAILED}};

	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		struct vm_watch watch;
		struct domain_view view = {.state = DOMAIN_RUNNING, .begun = 1000};
		struct vm_facts facts;

		vm_watch_init(&watch, SHUTDOWN_MS);
		vm_watch_view(&watch, &view, 1000);
		vm_watch_began(&watch, asked[i].action);
		vm_watch_ended(&watch, asked[i].action, asked[i].outcome, 2000);
		view.begun = 2000 + SHUTDOWN_MS - 1;
		vm_watch_view(&watch, &view, view.begun);
		vm_watch_facts(&watch, 0, MONO_UNSET, view.begun, &facts);
		assert_int_equal(facts.detail, DETAIL_POWERING_DOWN);
		view.begun = 2000 + SHUTDOWN_MS;
		vm_watch_view(&watch, &view, view.begun);
		vm_watch_facts(&watch, 0, MONO_UNSET, view.begun, &facts);
		if (facts.detail != DETAIL_UP)
			fail_msg("%s: %s", asked[i].name, detail_str(facts.detail));
		view.state = DOMAIN_NONE;
		view.end = END_CRASHED;
		view.ends++;
		vm_watch_view(&watch, &view, 400000);
		vm_watch_facts(&watch, 0, MONO_UNSET, 400000, &facts);
		assert_int_equal(facts.vm, VM_DOWN_UNEXPECTED);
	}
}

/* Whoever migrates it, and until it is gone or libvirt says that nobody does. */
static void test_leaving(void **state)
{
	struct vm_watch watch;
	struct domain_view view = {.state = DOMAIN_RUNNING, .leaving = true, .begun = 1000};
	struct vm_facts facts;

	vm_watch_init(&watch, SHUTDOWN_MS);
	vm_watch_view(&watch, &view, 1000);
	vm_watch_facts(&watch, 0, MONO_UNSET, 1000, &facts);
	assert_true(facts.vm == VM_UP && facts.leaving);
	/* Its QEMU ends when it has left: libvirt says which it was. */
	vm_watch_facts(&watch, 77, 1500, 1500, &facts);
	vm_watch_facts(&watch, 0, 1600, 1600, &facts);
	assert_true(facts.vm == VM_UP && facts.leaving);
	vm_watch_facts(&watch, 77, 1700, 1700, &facts);
	view.leaving = false;
	vm_watch_view(&watch, &view, 2000);
	vm_watch_facts(&watch, 77, 2000, 2000, &facts);
	assert_false(facts.leaving);
	view.leaving = true;
	vm_watch_view(&watch, &view, 3000);
	vm_watch_began(&watch, ACTION_DESTROY);
	vm_watch_ended(&watch, ACTION_DESTROY, OUTCOME_OK, 4000);
	vm_watch_facts(&watch, 0, MONO_UNSET, 4000, &facts);
	assert_true(facts.vm == VM_DOWN && !facts.leaving);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_running_since),
		cmocka_unit_test(test_unlisted_and_asked_each_second),
		cmocka_unit_test(test_shutdown_that_is_ignored),
		cmocka_unit_test(test_leaving),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
