/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logged steps: which lines belong to one, and that a log which says something else than this version decides
 * is seen to differ, in each part of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tools/simulator/replayed_step.h"

/* A lone host that starts the VM. */
#define INPUT                                                                                                \
	"now=1000010 machine.state=EngineDown machine.entered=1000010 machine.reason=initialized "           \
	"machine.lease_free_since=1000010 broker_answers=1 vm.vm=down vm.detail=Down vm.seen_at=1000010 "    \
	"cluster.host_id=1 cluster.generation=3 cluster.membership=joined cluster.hosts_known=1 "            \
	"cluster.whiteboard_read=1 cluster.maintenance=no cluster.maintenance_read=1 cluster.watchdog=hard " \
	"cluster.io_timeout_s=10 cluster.watchdog_fire_s=60 cluster.owner=nobody cluster.owner_version=5 "   \
	"cluster.owner_begun=1000005 cluster.held=no cluster.held_begun=1000005"
#define STATE                                                                                                \
	"state EngineDown -> EngineStart reason=best-score score=3400 vs=0 lease=none vm=down health=bad"
#define BEGUN "action start begun state=EngineStart reason=best-score"

static void test_input(void **state)
{
	static const struct {
		const char *name, *line;
		bool found, cut;
	} rows[] = {
		{"bare", "input now=7", true, false},
		{"of the journal", "Nov 22 02:00:00 h1 ovirt-ha-agent[77]: input now=7 vm.vm=up", true,
		 false},
		{"in the foreground", "ovirt-ha-agent: info: input now=7", true, false},
		{"cut", "input cut=yes now=7", true, true},
		{"another line", "state EngineDown -> EngineStart", false, false},
		{"within a word", "xinput now=7", false, false},
		{"empty", "", false, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool cut = false;
		const char *at = replay_input(rows[i].line, &cut);

		print_message("# %s\n", rows[i].name);
		assert_int_equal(at != NULL, rows[i].found);
		assert_int_equal(cut, rows[i].cut);
		if (at)
			assert_memory_equal(at, "now=7", 5);
	}
}

static void test_compare(void **state)
{
	static const struct {
		const char *name, *lines[4];
		const char *difference; /* NULL: none */
	} rows[] = {
		{"as logged", {STATE, BEGUN}, NULL},
		{"with what else is logged", {STATE, "penalty retries 0 -> 50 score=3350", BEGUN}, NULL},
		{"others' lines between", {"systemd[1]: Reloading.", STATE, BEGUN}, NULL},
		{"nothing follows", {NULL}, NULL},
		{"later steps",
		 {STATE, BEGUN, "state EngineStart -> EngineDown reason=start-failed score=3350"},
		 NULL},
		{"another state",
		 {"state EngineDown -> EngineStarting reason=best-score score=3400", BEGUN},
		 "EngineDown -> EngineStarting, this version EngineDown -> EngineStart"},
		{"no change of state",
		 {BEGUN},
		 "EngineDown -> EngineDown, this version EngineDown -> EngineStart"},
		{"another reason",
		 {"state EngineDown -> EngineStart reason=alone score=3400", BEGUN},
		 "reason=alone, this version best-score"},
		{"another score",
		 {"state EngineDown -> EngineStart reason=best-score score=3350", BEGUN},
		 "score=3350, this version 3400"},
		{"no action", {STATE, "vm down -> up detail=Up pause=none"}, "do=none, this version start"},
		{"another action",
		 {STATE, "action destroy begun state=EngineStart reason=best-score"},
		 "do=destroy, this version start"},
		{"a word of another version",
		 {"state EngineDown -> EngineLaunch reason=best-score score=3400", BEGUN},
		 "words that this version does not know"},
	};
	struct replayed_step step;
	size_t at;

	assert_int_equal(replay_take(INPUT, &step, &at), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct logged_step logged = {0};
		char difference[REPLAY_TEXT_MAX] = "";
		bool same;

		print_message("# %s\n", rows[i].name);
		for (size_t k = 0; k < 4 && rows[i].lines[k]; k++)
			replay_follow(rows[i].lines[k], &logged);
		same = replay_same(&step, &logged, difference);
		if (rows[i].difference)
			assert_non_null(strstr(difference, rows[i].difference));
		else
			assert_string_equal(difference, "");
		assert_int_equal(same, rows[i].difference == NULL);
	}
	replay_done(&step);
}

static void test_refused(void **state)
{
	static const struct {
		const char *input;
		size_t at;
	} rows[] = {
		{"now=7 vm.colour=red", 6},
		{"now=7 machine.state=EngineLaunch", 6},
		{"now=soon", 0},
		{"now=7 policy.loop=0", 0},
		{"now=7 policy.io_timeout_s=0", 0},
		{"now=7 machine.deadline=9", 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct replayed_step step;
		size_t at = 99;

		print_message("# %s\n", rows[i].input);
		assert_int_equal(replay_take(rows[i].input, &step, &at), -EINVAL);
		assert_int_equal(at, rows[i].at);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_input),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
