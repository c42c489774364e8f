/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A whiteboard as the begin of a scenario: who takes part, who runs the VM, and that each penalty becomes its
 * cause. */
#include "tools/simulator/board_scenario.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "metadata/record.h"

#define NOW (1000 * MONO_SECOND)

#define HOSTS 200

static struct slot_block slots[HOSTS];
static struct board_status status;
static struct board_scenario board;

static struct record *add_record(uint16_t id, int32_t score, enum vm vm)
{
	static struct record record;

	record = (struct record){
		.claim = {.timestamp = 500,
			  .score = score,
			  .vm = vm,
			  .health = vm == VM_UP ? HEALTH_GOOD : HEALTH_BAD,
			  .io_timeout_s = 5,
			  .watchdog_fire_s = 60},
		.host_id = id,
	};
	return &record;
}

static void put(const struct record *record, bool fresh)
{
	struct slot_block *slot = &slots[status.n_blocks++];

	*slot = (struct slot_block){
		.id = record->host_id, .fresh = fresh, .read_at = NOW, .changed_at = NOW - 1000};
	assert_int_equal(record_encode(record, 86400, slot->block), 0);
}

static int clear(void **state)
{
	status = (struct board_status){
		.blocks = slots, .live = true, .now = NOW, .maintenance = FLAG_NO, .trouble = ""};
	return 0;
}

static int done(void **state)
{
	board_scenario_done(&board);
	return 0;
}

static const struct scenario_event *event_of(uint16_t host, enum scenario_fault fault)
{
	for (size_t i = 0; i < board.scenario.n_events; i++)
		if (board.scenario.events[i].host == host && board.scenario.events[i].fault == fault)
			return &board.scenario.events[i];
	return NULL;
}

static bool noted(const char *text)
{
	for (size_t i = 0; i < board.n_notes; i++)
		if (strstr(board.notes[i], text))
			return true;
	return false;
}

static void test_who(void **state)
{
	struct record *record;

	put(add_record(2, 3400, VM_DOWN), true);
	put(add_record(3, 3400, VM_UP), true);
	put(add_record(4, 3400, VM_UP), false);
	record = add_record(5, 0, VM_DOWN);
	record->claim.stopped = true;
	put(record, true);
	memset(slots[status.n_blocks].block, '?', 9);
	slots[status.n_blocks++].id = 6;

	assert_int_equal(board_scenario_make(&status, NULL, 0, 0, &board), 0);
	assert_int_equal(board.scenario.n_hosts, 3);
	assert_int_equal(board.vm_host, 3);
	assert_false(board.lives[1] || board.lives[4] || board.lives[5] || board.lives[6]);
	assert_true(board.lives[2] && board.lives[3]);
	assert_true(board.scenario.hosts[1].off && board.scenario.hosts[2].off);
	assert_false(board.scenario.hosts[3].off);
	assert_int_equal(board.scenario.hosts[2].policy.lease.io_timeout_s, 5);
	assert_non_null(event_of(2, FAULT_POWER_ON));
	assert_null(event_of(1, FAULT_POWER_ON));
	assert_true(noted("host 4: its record is stale") && noted("host 5: its agent is stopped") &&
		    noted("host 6: its record can't be read"));
	for (size_t i = 0; i < board.scenario.n_events; i++)
		assert_in_range(board.scenario.events[i].at, 1, board.settled - 1);
}

/* The lease knows better than records. */
static void test_owner(void **state)
{
	put(add_record(1, 3400, VM_UP), true);
	put(add_record(2, 3400, VM_DOWN), true);
	assert_int_equal(board_scenario_make(&status, NULL, 2, 0, &board), 0);
	assert_int_equal(board.vm_host, 2);
	assert_null(event_of(2, FAULT_POWER_ON));
}

static void test_causes(void **state)
{
	static const struct {
		const char *name;
		enum penalty penalty;
		int32_t points;
		enum scenario_fault fault; /* FAULT_COUNT: a setting */
		enum scenario_how how;
		int32_t value;
	} rows[] = {
		{"network", PENALTY_NETWORK, 1600, FAULT_NETWORK, HOW_NONE, 1000},
		{"half the network", PENALTY_NETWORK, 800, FAULT_NETWORK, HOW_NONE, 500},
		{"bridge", PENALTY_MGMT_BRIDGE, 600, FAULT_BRIDGE, HOW_DOWN, 0},
		{"a little load", PENALTY_CPU_LOAD, 1, FAULT_CPU, HOW_NONE, 401},
		{"all load", PENALTY_CPU_LOAD, 1000, FAULT_CPU, HOW_NONE, 900},
		{"memory", PENALTY_MEMORY, 400, FAULT_MEMORY, HOW_NONE, 0},
		{"maintenance", PENALTY_LOCAL_MAINTENANCE, 3400, FAULT_LOCAL_MAINTENANCE, HOW_ON, 0},
		{"configuration", PENALTY_CONFIG, 1000, FAULT_COUNT, HOW_NONE, 0},
		{"tries", PENALTY_RETRIES, 100, FAULT_COUNT, HOW_NONE, 0},
		{"tries spent", PENALTY_TRIES_SPENT, 3400, FAULT_COUNT, HOW_NONE, 0},
		{"watchdog", PENALTY_NO_WATCHDOG, 3400, FAULT_COUNT, HOW_NONE, 0},
		{"something that passes", PENALTY_VM_UNKNOWN, 3400, FAULT_COUNT, HOW_NONE, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct score score = {.value = 3400 - rows[i].points};
		const struct scenario_event *event;
		const struct scenario_host *host;
		struct record *record;

		print_message("# %s\n", rows[i].name);
		clear(NULL);
		put(add_record(1, 3400, VM_UP), true);
		record = add_record(2, score.value, VM_DOWN);
		score.entries[rows[i].penalty] =
			(struct penalty_entry){.points = rows[i].points, .until = MONO_NEVER};
		record_set_penalties(record, &score);
		put(record, true);
		assert_int_equal(board_scenario_make(&status, NULL, 0, 0, &board), 0);
		host = &board.scenario.hosts[2];
		if (rows[i].fault < FAULT_COUNT) {
			event = event_of(2, rows[i].fault);
			assert_non_null(event);
			assert_int_equal(event->how, rows[i].how);
			assert_int_equal(event->value, rows[i].value);
		}
		assert_int_equal(host->config_outdated, rows[i].penalty == PENALTY_CONFIG);
		assert_int_equal(host->failed_tries, rows[i].penalty == PENALTY_RETRIES	      ? 2
						     : rows[i].penalty == PENALTY_TRIES_SPENT ? 4
											      : 0);
		assert_int_equal(host->watchdog,
				 rows[i].penalty == PENALTY_NO_WATCHDOG ? WATCHDOG_NONE : WATCHDOG_HARD);
		assert_int_equal(noted("vm-unknown is not carried over"),
				 rows[i].penalty == PENALTY_VM_UNKNOWN);
		assert_int_equal(host->policy.weights.base, 3400);
		if (i + 1 < sizeof(rows) / sizeof(rows[0]))
			board_scenario_done(&board);
	}
}

/* Records of other writers have no causes. */
static void test_bare_score(void **state)
{
	put(add_record(1, 3400, VM_UP), true);
	put(add_record(2, 1000, VM_DOWN), true);
	put(add_record(3, 0, VM_DOWN), true);
	status.maintenance = FLAG_YES;
	assert_int_equal(board_scenario_make(&status, NULL, 0, 0, &board), 0);
	assert_int_equal(board.scenario.hosts[2].policy.weights.base, 1000);
	assert_true(noted("host 2: its record does not say what is off its score of 1000"));
	assert_non_null(event_of(3, FAULT_LOCAL_MAINTENANCE));
	assert_int_equal(board.scenario.hosts[3].policy.weights.base, 3400);
	assert_true(noted("host 3: its record does not say why its score is 0"));
	assert_non_null(event_of(0, FAULT_GLOBAL_MAINTENANCE));
}

/* Of many hosts those that are asked first are kept, with the VM's and the one that the question is about. */
static void test_many(void **state)
{
	size_t kept = 0;

	for (uint16_t id = 1; id <= HOSTS; id++)
		put(add_record(id, id > 100 && id < 150 ? 3400 : 2000, id == 180 ? VM_UP : VM_DOWN), true);
	assert_int_equal(board_scenario_make(&status, NULL, 0, 190, &board), 0);
	for (uint16_t id = 1; id <= HOSTS; id++)
		kept += board.lives[id];
	assert_int_equal(kept, BOARD_HOSTS_MAX);
	assert_true(board.lives[101] && board.lives[149] && board.lives[180] && board.lives[190]);
	/* 49 better ones; of the equal ones the first 13. */
	assert_true(board.lives[1] && board.lives[13] && !board.lives[14] && !board.lives[200]);
	assert_true(noted("136 of 200 hosts"));
}

static void test_nobody(void **state)
{
	put(add_record(1, 3400, VM_UP), false);
	assert_int_equal(board_scenario_make(&status, NULL, 0, 0, &board), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_who, clear, done),
		cmocka_unit_test_setup_teardown(test_owner, clear, done),
		cmocka_unit_test_setup_teardown(test_causes, clear, done),
		cmocka_unit_test_setup_teardown(test_bare_score, clear, done),
		cmocka_unit_test_setup_teardown(test_many, clear, done),
		cmocka_unit_test_setup_teardown(test_nobody, clear, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
