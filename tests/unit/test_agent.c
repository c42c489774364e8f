/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the agent makes of its ports' words with the real core: when it starts the VM and when it leaves it
 * alone, what it knows of its own host, what it logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/agent_world.h"

static void test_starts_the_vm(void **state)
{
	world_make();
	world_start(NULL);
	world_run(30 * S);
	assert_int_equal(world.n_acted, 1);
	assert_int_equal(world.acted[0], ACTION_START);
	assert_int_equal(world.last.next.state, STATE_ENGINE_UP);
	assert_int_equal(world.published.claim.vm, VM_UP);
	assert_int_equal(world.published.claim.health, HEALTH_GOOD);
	assert_int_equal(world.published.claim.score, 3400);
	assert_int_equal(world.published.memory_mib, 96);
	world_end();
}

static void test_first_step_is_prompt(void **state)
{
	world_make();
	world_start(NULL);
	world_run(S);
	/* Answers came after 10 ms: the start is under way, and nothing was ever unknown. */
	assert_int_equal(world.n_acted, 1);
	world_end();
}

static void test_restart_leaves_the_vm_alone(void **state)
{
	world_make_with_vm_up();
	world_run(600 * S);
	assert_int_equal(world.n_acted, 0);
	assert_int_equal(world.kills, 0);
	assert_int_equal(world.last.next.state, STATE_ENGINE_UP);
	world_end();
}

static void test_restart_while_libvirt_is_silent(void **state)
{
	world_make();
	world.view.state = DOMAIN_RUNNING;
	world_own_lease(true);
	world.silent = true;
	world_start(NULL);
	world_run(60 * S);
	assert_int_equal(world.last.next.state, STATE_UNKNOWN_LOCAL_VM);
	assert_int_equal(world.published.claim.vm, VM_UNKNOWN);
	world.silent = false;
	world_run(30 * S);
	assert_int_equal(world.last.next.state, STATE_ENGINE_UP);
	assert_int_equal(world.n_acted, 0);
	assert_int_equal(world.kills, 0);
	world_end();
}

static void test_broker_away_begins_nothing(void **state)
{
	world_make();
	world.connected = false;
	agent_start(world.agent, &world.ports, NULL);
	agent_broker_calls.lost(world.agent, -ENOTCONN);
	world_run(120 * S);
	assert_int_equal(world.n_acted, 0);
	world.connected = true;
	agent_broker_calls.connected(world.agent);
	world_run(30 * S);
	assert_int_equal(world.last.next.state, STATE_ENGINE_UP);
	/* Back, but without an answer yet: what it said before is of the past. */
	world.deaf = true;
	world.connected = false;
	agent_broker_calls.lost(world.agent, -ENOTCONN);
	world.connected = true;
	agent_broker_calls.connected(world.agent);
	world_run(1 * S);
	assert_int_equal(world.last.reason, REASON_BROKER_AWAY);
	world.deaf = false;
	agent_broker_calls.facts(world.agent, 0, &world.cluster, &world.peer, 0);
	world_run(30 * S);
	assert_int_equal(world.last.next.state, STATE_ENGINE_UP);
	/* Hangs: the VM goes on. */
	world.deaf = true;
	agent_broker_calls.facts(world.agent, -ETIMEDOUT, NULL, NULL, 0);
	world_run(300 * S);
	assert_int_equal(world.n_acted, 1);
	assert_int_equal(world.kills, 0);
	world_end();
}

/* Whoever stood still for 20 s knows what was: libvirt is heard first. */
static void test_look_of_long_ago_begins_nothing(void **state)
{
	struct cluster facts;

	world_make();
	world.cluster.maintenance = FLAG_YES;
	world_start(NULL);
	world_run(25 * S);
	world.clock.now += 20 * S;
	world.cluster.maintenance = FLAG_NO;
	facts = world.cluster;
	facts.held_begun = facts.owner_begun = world.clock.now - 1;
	world.view.state = DOMAIN_RUNNING;
	world_own_lease(true);
	agent_broker_calls.facts(world.agent, 0, &facts, &world.peer, 0);
	world_run(30 * S);
	assert_int_equal(world.n_acted, 0);
	assert_int_equal(world.last.next.state, STATE_ENGINE_UP);
	world_end();
}

static void hung_look(struct vm_port *port, mono_t deadline)
{
}

/* QEMU is gone and libvirt still runs it by its last word: down, until it says so again or counts as silent.
 */
static void test_libvirt_after_the_end(void **state)
{
	struct domain_view silence = {.state = DOMAIN_UNKNOWN, .begun = MONO_UNSET};

	for (int hangs = 0; hangs < 2; hangs++) {
		world_make_with_vm_up();
		world_run(20 * S + 100); /* the next beat is far */
		world_own_lease(false);
		if (hangs)
			world.vm.look = hung_look;
		agent_broker_calls.changed(world.agent);
		world_run(100);
		assert_int_equal(world.published.claim.vm, VM_DOWN_MISSING);
		assert_int_equal(world.published.claim.score, 0);
		world_run(1500);
		assert_int_equal(world.published.claim.vm, VM_DOWN_MISSING);
		world_run(2000);
		assert_int_equal(world.published.claim.vm, hangs ? VM_DOWN_MISSING : VM_UP);
		world_run(6000);
		assert_int_equal(world.published.claim.vm, hangs ? VM_DOWN_MISSING : VM_UP);
		world.vm.changed(world.vm.data, hangs ? &silence : &world.view);
		world_run(4000);
		assert_int_equal(world.published.claim.vm, hangs ? VM_UNKNOWN : VM_UP);
		assert_int_equal(world.n_acted, 0);
		world_end();
	}
}

static void test_crash_is_restarted_when_alone(void **state)
{
	world_make_with_vm_up();
	world_vm_ends(END_CRASHED);
	world_run(3 * S);
	assert_int_equal(world.n_acted, 1);
	assert_int_equal(world.acted[0], ACTION_START);
	world_run(30 * S);
	assert_int_equal(world.published.claim.vm, VM_UP);
	world_end();
}

static void test_crash_is_over_when_the_machine_took_it_in(void **state)
{
	world_make_with_vm_up();
	world_add_peer();
	world_run(20 * S);
	world.peer.claim.vm = VM_UP;
	world.cluster.owner_id = 2;
	world.cluster.owner_generation = 1;
	world_vm_ends(END_CRASHED);
	world_run(60 * S);
	assert_int_equal(world.last.next.state, STATE_ENGINE_UNEXPECTEDLY_DOWN);
	assert_int_equal(world.published.claim.vm, VM_DOWN_UNEXPECTED);
	world_run(600 * S);
	assert_int_equal(world.last.next.state, STATE_ENGINE_DOWN);
	assert_int_equal(world.published.claim.vm, VM_DOWN);
	world_end();
}

static void test_failed_tries_are_saved_and_read(void **state)
{
	struct saved saved;

	world_make();
	world.start_outcome = OUTCOME_FAILED;
	world_start(NULL);
	world_run(30 * S);
	assert_true(world.saves >= 2);
	assert_true(world.saved.failed_tries >= 2);
	saved = world.saved;
	world_end();

	world_make();
	world.start_outcome = OUTCOME_FAILED;
	saved.failed_tries = 3;
	saved.last_failed_wall = world.clock.wall + 1000 - 2;
	world_start(&saved);
	world_run(10 * S);
	/* Three tries, the last 2 s ago: the next one waits for its 15 s. */
	assert_int_equal(world.n_acted, 0);
	assert_int_equal(world.last.next.failed_tries, 3);
	world_end();
}

/* A look at this host's files that is late is no bad configuration, for a minute. */
static void test_late_files_are_unknown(void **state)
{
	const int32_t *points = &world.last.score.entries[PENALTY_CONFIG].points;

	world_make_with_vm_up();
	assert_int_equal(*points, 0);
	world.local_view = (struct local_view){0};
	world_run(60 * S);
	assert_int_equal(*points, 0);
	world_run(40 * S);
	assert_true(*points > 0);
	world.local_view = (struct local_view){
		.ha_known = true, .vm_known = true, .vm_config_good = true, .vm_memory_mib = 96};
	world_run(20 * S);
	assert_int_equal(*points, 0);
	/* What was read to be bad needs no such time. */
	world.local_view.vm_config_good = false;
	world_run(40 * S);
	assert_true(*points > 0);
	world_end();
}

/* What was never understood is no "not in maintenance"; what was stays. */
static void test_local_maintenance_that_is_not_known(void **state)
{
	world_make();
	world.local_view.ha_known = false;
	world_start(NULL);
	world_run(120 * S);
	assert_int_equal(world.n_acted, 0);
	assert_int_equal(world.last.score.value, 0);
	assert_true(world.last.score.entries[PENALTY_NO_KNOWLEDGE].points > 0);
	world.local_view.ha_known = true;
	world_run(20 * S);
	assert_int_equal(world.last.next.state, STATE_ENGINE_UP);
	world.local_view.ha_known = false;
	world_run(60 * S);
	assert_int_equal(world.last.score.value, 3400);
	world_end();
}

/* Runs on, and gives the alarms that are logged meanwhile: how many, and whether one has that reason. */
static unsigned alarms(int64_t ms, const char *reason, bool *ret_has)
{
	FILE *file = tmpfile();
	int before = dup(2);
	char line[65536];
	unsigned n = 0;

	assert_non_null(file);
	assert_true(before >= 0 && dup2(fileno(file), 2) >= 0);
	world_run(ms);
	fflush(stderr);
	assert_true(dup2(before, 2) >= 0);
	close(before);
	rewind(file);
	*ret_has = false;
	while (fgets(line, sizeof(line), file))
		if (strstr(line, "the operator is needed")) {
			n++;
			*ret_has = *ret_has || strstr(line, reason);
		}
	fclose(file);
	return n;
}

static void test_alarms_are_told_once_with_their_reason(void **state)
{
	bool has;

	world_make_with_vm_up();
	world.connected = false;
	agent_broker_calls.lost(world.agent, -ENOTCONN);
	assert_int_equal(alarms(3 * S, "", &has), 0);
	world.connected = true;
	agent_broker_calls.connected(world.agent);
	assert_int_equal(alarms(20 * S, "", &has), 0);
	world.connected = false;
	agent_broker_calls.lost(world.agent, -ENOTCONN);
	assert_int_equal(alarms(60 * S, " reason=broker-away ", &has), 1);
	assert_true(has);
	world.connected = true;
	agent_broker_calls.connected(world.agent);
	world_add_peer();
	world.peer.alien_advances = 2;
	assert_int_equal(alarms(20 * S, " reason=alien-peer ", &has), 1);
	assert_true(has);
	/* A graver one while that one stands. */
	world.cluster.held = HELD_NO;
	world.kill_error = -ENOENT;
	world.destroy_fails = true;
	assert_int_equal(alarms(15 * S, " reason=lease-lost ", &has), 1);
	assert_true(has);
	world_end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_starts_the_vm),
		cmocka_unit_test(test_first_step_is_prompt),
		cmocka_unit_test(test_restart_leaves_the_vm_alone),
		cmocka_unit_test(test_restart_while_libvirt_is_silent),
		cmocka_unit_test(test_broker_away_begins_nothing),
		cmocka_unit_test(test_look_of_long_ago_begins_nothing),
		cmocka_unit_test(test_libvirt_after_the_end),
		cmocka_unit_test(test_crash_is_restarted_when_alone),
		cmocka_unit_test(test_crash_is_over_when_the_machine_took_it_in),
		cmocka_unit_test(test_failed_tries_are_saved_and_read),
		cmocka_unit_test(test_late_files_are_unknown),
		cmocka_unit_test(test_local_maintenance_that_is_not_known),
		cmocka_unit_test(test_alarms_are_told_once_with_their_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
