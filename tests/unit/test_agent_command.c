/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The operator's commands at an agent with the real core: what they answer, what they do, what they leave
 * alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "tests/unit/agent_world.h"

struct command_row {
	const char *name;
	enum command command;
	bool up, global, shut_off, silent;
	enum outcome outcome;
	bool destroy_fails;
	int error;
	const char *text;
	enum action acted; /* ACTION_NONE: nothing must have been done */
};

static const struct command_row command_rows[] = {
	{"start where it runs", COMMAND_VM_START, true, false, false, false, OUTCOME_OK, false, -EEXIST,
	 "VM exists and its status is Up", ACTION_NONE},
	{"start in global maintenance", COMMAND_VM_START, false, true, false, false, OUTCOME_OK, false, 0,
	 "VM in WaitForLaunch", ACTION_START},
	{"start over a domain that is shut off", COMMAND_VM_START, false, true, true, false, OUTCOME_OK,
	 false, 0, "VM exists and is Down, cleaning up and restarting\nVM in WaitForLaunch", ACTION_START},
	{"start, lease elsewhere", COMMAND_VM_START, false, true, false, false, OUTCOME_LEASE_HELD, false,
	 -EBUSY, "VM failed to launch\nthe engine lease is not to be had: libvirt said no", ACTION_START},
	{"start fails", COMMAND_VM_START, false, true, false, false, OUTCOME_FAILED, false, -EIO,
	 "VM failed to launch\nlibvirt said no", ACTION_START},
	{"start, libvirt silent", COMMAND_VM_START, false, true, false, true, OUTCOME_OK, false, -EAGAIN,
	 "VM failed to launch\nlibvirt does not answer: the VM's state is unknown", ACTION_NONE},
	{"paused start", COMMAND_VM_START_PAUSED, false, true, false, false, OUTCOME_OK, false, 0,
	 "VM in WaitForLaunch", ACTION_START_PAUSED},
	{"shutdown", COMMAND_VM_SHUTDOWN, true, true, false, false, OUTCOME_OK, false, 0, "",
	 ACTION_SHUTDOWN},
	{"shutdown where it is not", COMMAND_VM_SHUTDOWN, false, true, false, false, OUTCOME_OK, false,
	 -ENOENT, "the engine VM is not on this host", ACTION_NONE},
	{"poweroff", COMMAND_VM_POWEROFF, true, true, false, false, OUTCOME_OK, false, 0, "", ACTION_DESTROY},
	{"poweroff, libvirt can't, the guard can", COMMAND_VM_POWEROFF, true, true, false, false, OUTCOME_OK,
	 true, 0, "", ACTION_DESTROY},
};

static void test_vm_commands(void **state)
{
	for (size_t i = 0; i < sizeof(command_rows) / sizeof(command_rows[0]); i++) {
		const struct command_row *row = &command_rows[i];

		world_make();
		if (row->global)
			world.cluster.maintenance = FLAG_YES;
		if (row->up) {
			world.view.state = DOMAIN_RUNNING;
			world_own_lease(true);
		}
		if (row->shut_off)
			world.view.state = DOMAIN_SHUT_OFF;
		world.silent = row->silent;
		world.start_outcome = row->outcome;
		world.destroy_fails = row->destroy_fails;
		world_start(NULL);
		world_run(20 * S);
		if (world.n_acted != 0)
			fail_msg("%s: acted before the command", row->name);
		agent_broker_calls.command(world.agent, 77, row->command, "/some/vm.xml");
		world_run(20 * S);
		if (world.answers != 1 || world.answered_ticket != 77 || world.answered_error != row->error ||
		    strcmp(world.answered, row->text) != 0)
			fail_msg("%s: %u answers, error %d: %s", row->name, world.answers,
				 world.answered_error, world.answered);
		if (row->acted == ACTION_NONE ? world.n_acted != 0
					      : world.n_acted != 1 || world.acted[0] != row->acted)
			fail_msg("%s: %zu actions, first %s", row->name, world.n_acted,
				 action_str(world.acted[0]));
		if (row->acted == ACTION_START)
			assert_string_equal(world.argument, "/some/vm.xml");
		if (row->destroy_fails)
			assert_int_equal(world.kills, 1);
		world_end();
	}
}

static void test_start_paused_only_in_global_maintenance(void **state)
{
	world_make();
	world.cluster.watchdog = WATCHDOG_NONE; /* keeps it from starting by itself */
	world_start(NULL);
	world_run(20 * S);
	agent_broker_calls.command(world.agent, 5, COMMAND_VM_START_PAUSED, "");
	world_run(S);
	assert_int_equal(world.answered_error, -ECANCELED);
	assert_non_null(strstr(world.answered, "global maintenance only"));
	/* And without the required watchdog no start at all. */
	agent_broker_calls.command(world.agent, 6, COMMAND_VM_START, "");
	world_run(S);
	assert_int_equal(world.answered_ticket, 6);
	assert_int_equal(world.answered_error, -ECANCELED);
	assert_non_null(strstr(world.answered, penalty_str(PENALTY_NO_WATCHDOG)));
	assert_int_equal(world.n_acted, 0);
	world_end();
}

/* What stood still for 20 s hears libvirt before it takes a start. */
static void test_start_waits_for_libvirt(void **state)
{
	for (int here = 0; here < 2; here++) {
		world_make();
		world.cluster.maintenance = FLAG_YES;
		world_start(NULL);
		world_run(25 * S);
		world.clock.now += 20 * S;
		if (here)
			world.view.state = DOMAIN_RUNNING;
		agent_broker_calls.command(world.agent, 3, COMMAND_VM_START, "");
		world_run(S);
		assert_int_equal(world.n_acted, here ? 0 : 1);
		assert_int_equal(world.answered_ticket, 3);
		assert_int_equal(world.answered_error, here ? -ECANCELED : 0);
		world_end();
	}
}

/* Safety rule 14 holds for the operator, too. */
static void test_start_in_a_hand_over(void **state)
{
	world_make();
	world_add_peer();
	world.peer.claim.vm = VM_UP;
	world.peer.claim.migrating_to = 3;
	world_start(NULL);
	world_run(20 * S);
	agent_broker_calls.command(world.agent, 3, COMMAND_VM_START, "");
	world_run(S);
	assert_int_equal(world.n_acted, 0);
	assert_int_equal(world.answered_error, -EBUSY);
	assert_non_null(strstr(world.answered, "says that it is migrated"));
	world_end();
}

/* What the broker has learned since it was asked last counts. */
static void test_start_by_what_is_known_now(void **state)
{
	world_make();
	world.cluster.maintenance = FLAG_YES;
	world_add_peer();
	world_start(NULL);
	world_run(20 * S);
	world.peer.claim.vm = VM_UP;
	world.peer.claim.migrating_to = 3;
	agent_broker_calls.command(world.agent, 3, COMMAND_VM_START, "");
	world_run(S);
	assert_int_equal(world.n_acted, 0);
	assert_int_equal(world.answered_error, -EBUSY);
	world_end();
}

static void test_second_command_is_refused(void **state)
{
	world_make();
	world.cluster.maintenance = FLAG_YES;
	world_start(NULL);
	world_run(20 * S);
	agent_broker_calls.command(world.agent, 1, COMMAND_VM_START, "");
	agent_broker_calls.command(world.agent, 2, COMMAND_VM_START, "");
	assert_int_equal(world.answered_ticket, 2);
	assert_int_equal(world.answered_error, -EBUSY);
	world_run(S);
	assert_int_equal(world.answered_ticket, 1);
	assert_int_equal(world.answered_error, 0);
	world_end();
}

/* One that has not begun: what was ordered last holds. */
static void test_end_withdraws_the_start_before_it(void **state)
{
	static const enum command ends[] = {COMMAND_VM_SHUTDOWN, COMMAND_VM_POWEROFF};

	for (size_t i = 0; i < 2; i++) {
		world_make();
		world.cluster.maintenance = FLAG_YES;
		world_start(NULL);
		world_run(20 * S);
		agent_broker_calls.command(world.agent, 1, COMMAND_VM_START, "");
		world_run(1);
		assert_int_equal(world.answers, 0);
		agent_broker_calls.command(world.agent, 2, ends[i], "");
		assert_int_equal(world.answers, 2);
		assert_int_equal(world.answered_ticket, 2);
		assert_int_equal(world.answered_error, -ENOENT);
		world_run(20 * S);
		assert_int_equal(world.n_acted, 0);
		/* Not one that has. */
		agent_broker_calls.command(world.agent, 3, COMMAND_VM_START, "");
		world_run(100);
		assert_int_equal(world.n_acted, 1);
		agent_broker_calls.command(world.agent, 4, ends[i], "");
		assert_int_equal(world.answered_ticket, 4);
		assert_int_equal(world.answered_error, -EBUSY);
		world_run(S);
		assert_int_equal(world.answered_ticket, 3);
		assert_int_equal(world.answered_error, 0);
		world_end();
	}
}

/* What the broker last saw of QEMU is from before its end. */
static void test_start_right_behind_the_poweroff(void **state)
{
	static const struct {
		const char *name;
		bool lives_on;
		int error;
		const char *text;
	} rows[] = {{"it dies", false, 0, "VM in WaitForLaunch"},
		    {"it lives on", true, -EBUSY, "VM failed to launch\na QEMU of the engine VM that"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		world_make_with_vm_up();
		world.cluster.maintenance = FLAG_YES;
		world_run(20 * S);
		agent_broker_calls.command(world.agent, 77, COMMAND_VM_POWEROFF, "");
		for (int k = 0; k < 1000 && world.answers == 0; k++)
			world_run(1);
		assert_int_equal(world.answered_error, 0);
		world.cluster.qemu_pid = 4711;
		agent_broker_calls.command(world.agent, 78, COMMAND_VM_START, "");
		world_run(300);
		if (world.answers != 1)
			fail_msg("%s: %s", rows[i].name, world.answered);
		if (!rows[i].lives_on)
			world.cluster.qemu_pid = 0;
		world_run(20 * S);
		if (world.answers != 2 || world.answered_ticket != 78 ||
		    world.answered_error != rows[i].error ||
		    strncmp(world.answered, rows[i].text, strlen(rows[i].text)) != 0)
			fail_msg("%s: %u answers, error %d: %s", rows[i].name, world.answers,
				 world.answered_error, world.answered);
		world_end();
	}
}

/* The end of QEMU is known at once, libvirt's word of it is still to come. */
static void test_start_before_libvirt_knows_the_end(void **state)
{
	static const struct {
		const char *name;
		bool told, silent;
		int error;
		size_t n_acted;
		const char *text;
	} rows[] = {
		{"libvirt tells", true, false, 0, 1, "VM in WaitForLaunch"},
		{"libvirt goes on to list it", false, false, -ECANCELED, 0,
		 "VM failed to launch\nrefused in"},
		{"libvirt hangs", false, true, -ECANCELED, 0, "VM failed to launch\nrefused in"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		world_make_with_vm_up();
		world.cluster.maintenance = FLAG_YES;
		world_run(20 * S);
		world_own_lease(false);
		agent_broker_calls.changed(world.agent);
		world_run(20);
		world.silent = rows[i].silent;
		agent_broker_calls.command(world.agent, 78, COMMAND_VM_START, "");
		world_run(100);
		if (world.answers != 0 || world.n_acted != 0)
			fail_msg("%s: at once: %s", rows[i].name, world.answered);
		if (rows[i].told)
			world_vm_ends(END_INSIDE);
		world_run(20 * S);
		if (world.n_acted != rows[i].n_acted || world.answers != 1 || world.answered_ticket != 78 ||
		    world.answered_error != rows[i].error ||
		    strncmp(world.answered, rows[i].text, strlen(rows[i].text)) != 0)
			fail_msg("%s: %u answers, error %d: %s", rows[i].name, world.answers,
				 world.answered_error, world.answered);
		world_end();
	}
}

/* Its call goes on in libvirt until its own end: no start can be begun meanwhile, and none has failed. */
static void test_poweroff_of_a_start_that_waits(void **state)
{
	world_make();
	world.start_hangs = true;
	world_start(NULL);
	world_run(5 * S);
	assert_int_equal(world.last.next.state, STATE_ENGINE_START);
	agent_broker_calls.command(world.agent, 77, COMMAND_VM_POWEROFF, "");
	world_run(60 * S);
	assert_int_equal(world.answered_error, 0);
	assert_int_equal(world.last.next.state, STATE_ENGINE_DOWN);
	assert_int_equal(world.last.next.failed_tries, 0);
	agent_broker_calls.command(world.agent, 78, COMMAND_VM_START, "");
	world_run(S);
	assert_int_equal(world.answered_error, -EBUSY);
	assert_non_null(strstr(world.answered, "still waits in libvirt"));
	world.start_hangs = world.hanging = false;
	world.vm.ended(world.vm.data, ACTION_START, OUTCOME_FAILED, "no answer");
	world_run(30 * S);
	assert_int_equal(world.last.next.state, STATE_ENGINE_UP);
	assert_int_equal(world.last.next.failed_tries, 0);
	world_end();
}

static void test_local_maintenance_without_a_host_is_refused(void **state)
{
	world_make_with_vm_up();
	agent_broker_calls.command(world.agent, 9, COMMAND_LOCAL_MAINTENANCE_ON, "");
	world_run(20 * S);
	assert_int_equal(world.answers, 1);
	assert_int_equal(world.answered_error, -EBUSY);
	assert_non_null(strstr(world.answered, "no other host can take it"));
	assert_int_equal(world.sets, 0);
	assert_false(world.published.claim.maintenance);
	assert_int_equal(world.n_acted, 0);
	world_end();
}

static void test_local_maintenance_moves_the_vm(void **state)
{
	world_make_with_vm_up();
	world_add_peer();
	strcpy(world.target, "h2.example");
	world_run(20 * S);
	world.unwritable = true;
	agent_broker_calls.command(world.agent, 9, COMMAND_LOCAL_MAINTENANCE_ON, "");
	agent_broker_calls.published(world.agent, world.serial, 0, "");
	assert_int_equal(world.answers, 0); /* that was a record from before */
	world_run(3 * S);
	agent_broker_calls.published(world.agent, 1, 0, "");
	agent_broker_calls.published(world.agent, world.serial, -EIO, "");
	/* Set and published, but not on storage yet: not acknowledged. */
	assert_int_equal(world.sets, 1);
	assert_true(world.published.claim.maintenance);
	assert_int_equal(world.answers, 0);
	/* Safety rule 14: nor is it migrated to a host that is not named there. */
	assert_int_equal(world.published.claim.migrating_to, 2);
	assert_int_equal(world.n_acted, 0);
	world.unwritable = false;
	world_run(15 * S);
	assert_int_equal(world.answers, 1);
	assert_int_equal(world.answered_error, 0);
	assert_string_equal(world.answered, "");
	assert_int_equal(world.acted[0], ACTION_MIGRATE);
	assert_int_equal(world.last.score.value, 0);
	/* And back; the management system's key remains. */
	world.local_view.maintenance_management = true;
	agent_broker_calls.command(world.agent, 10, COMMAND_LOCAL_MAINTENANCE_OFF, "");
	world_run(15 * S);
	assert_int_equal(world.answered_ticket, 10);
	assert_int_equal(world.answered_error, 0);
	assert_non_null(strstr(world.answered, "local_maintenance in ha.conf"));
	assert_int_equal(world.last.score.value, 0);
	world_end();
}

static void test_local_maintenance_that_can_not_be_saved(void **state)
{
	world_make();
	world.cluster.watchdog = WATCHDOG_NONE;
	world_start(NULL);
	world_run(20 * S);
	world.set_error = -EROFS;
	agent_broker_calls.command(world.agent, 9, COMMAND_LOCAL_MAINTENANCE_ON, "");
	world_run(2 * S);
	assert_int_equal(world.answered_error, -EROFS);
	assert_non_null(strstr(world.answered, "ha.conf could not be written"));
	/* Saved, but the record can't be written. */
	world.set_error = 0;
	world.unwritable = true;
	agent_broker_calls.command(world.agent, 10, COMMAND_LOCAL_MAINTENANCE_ON, "");
	world_run(90 * S);
	assert_int_equal(world.answered_ticket, 10);
	assert_int_equal(world.answered_error, -ETIMEDOUT);
	assert_non_null(strstr(world.answered, "the other hosts don't know"));
	world_end();
}

static void test_migration(void **state)
{
	world_make_with_vm_up();
	world_add_peer();
	strcpy(world.target, "h2.example");
	world.cluster.watchdog = WATCHDOG_NONE; /* it may start nothing: that is not why */
	world_run(20 * S);
	/* Where nobody can take it, in global maintenance, with a host that is none. */
	agent_broker_calls.command(world.agent, 1, COMMAND_VM_MIGRATE, "3");
	world_run(1 * S);
	assert_int_equal(world.answered_error, -EBUSY);
	assert_non_null(strstr(world.answered, "that host is not one"));
	world.cluster.watchdog = WATCHDOG_HARD;
	world_run(12 * S);
	agent_broker_calls.command(world.agent, 2, COMMAND_VM_MIGRATE, "h2");
	assert_int_equal(world.answered_error, -EINVAL);
	agent_broker_calls.command(world.agent, 3, COMMAND_VM_MIGRATE_CANCEL, "");
	assert_int_equal(world.answered_error, -ENOENT);
	assert_int_equal(world.n_acted, 0);
	/* Answered when libvirt has begun, and not before the record is on storage. */
	world.unwritable = true;
	agent_broker_calls.command(world.agent, 4, COMMAND_VM_MIGRATE, "2");
	world_run(2 * S);
	assert_int_equal(world.answered_ticket, 3);
	assert_int_equal(world.n_acted, 0);
	world.unwritable = false;
	world_run(200);
	assert_int_equal(world.answered_ticket, 4);
	assert_int_equal(world.answered_error, 0);
	assert_string_equal(world.answered, "h2.example");
	assert_int_equal(world.acted[0], ACTION_MIGRATE);
	assert_string_equal(world.argument, "h2.example");
	assert_int_equal(world.published.claim.migrating_to, 2);
	/* The fake does not end it: cancelled while it is under way, it is told as failed. */
	agent_broker_calls.command(world.agent, 5, COMMAND_VM_MIGRATE_CANCEL, "");
	world_run(100);
	assert_int_equal(world.answered_ticket, 5);
	assert_int_equal(world.answered_error, 0);
	assert_int_equal(world.acted[1], ACTION_CANCEL);
	world.vm.ended(world.vm.data, ACTION_MIGRATE, OUTCOME_FAILED, "libvirt said no");
	world_run(3 * S);
	assert_int_equal(world.last.next.state, STATE_ENGINE_UP);
	assert_int_equal(world.published.claim.migrating_to, 0);
	assert_string_equal(world.published.move_failed, "libvirt said no");
	/* Nor in global maintenance, or when the broker went away before it said so. */
	world.cluster.maintenance = FLAG_YES;
	world_run(12 * S);
	agent_broker_calls.command(world.agent, 6, COMMAND_VM_MIGRATE, "");
	assert_int_equal(world.answered_error, -ECANCELED);
	world_end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vm_commands),
		cmocka_unit_test(test_start_paused_only_in_global_maintenance),
		cmocka_unit_test(test_start_waits_for_libvirt),
		cmocka_unit_test(test_start_in_a_hand_over),
		cmocka_unit_test(test_start_by_what_is_known_now),
		cmocka_unit_test(test_second_command_is_refused),
		cmocka_unit_test(test_end_withdraws_the_start_before_it),
		cmocka_unit_test(test_start_right_behind_the_poweroff),
		cmocka_unit_test(test_start_before_libvirt_knows_the_end),
		cmocka_unit_test(test_poweroff_of_a_start_that_waits),
		cmocka_unit_test(test_local_maintenance_without_a_host_is_refused),
		cmocka_unit_test(test_local_maintenance_moves_the_vm),
		cmocka_unit_test(test_local_maintenance_that_can_not_be_saved),
		cmocka_unit_test(test_migration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
