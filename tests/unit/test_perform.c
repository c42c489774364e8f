/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How an agent ends a VM, through libvirt, the guard, or the end of its host (safety rules 3 and 12), and for
 * how long it waits for the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "tests/unit/agent_world.h"

static void test_lease_of_another_kills(void **state)
{
	world_make_with_vm_up();
	world_add_peer();
	world.peer.claim.vm = VM_UP;
	world.cluster.owner_id = 2;
	world.cluster.owner_generation = 1;
	world_run(15 * S);
	assert_true(world.kills >= 1);
	assert_int_equal(world.view.state, DOMAIN_NONE);
	assert_int_equal(world.n_acted, 0);
	world_end();
}

static void test_kill_without_guard_asks_libvirt(void **state)
{
	world_make_with_vm_up();
	world.kill_error = -ENOENT;
	world_add_peer();
	world.peer.claim.vm = VM_UP;
	world.cluster.owner_id = 2;
	world.cluster.owner_generation = 1;
	world_run(15 * S);
	assert_true(world.kills >= 1);
	assert_true(world.n_acted >= 1);
	assert_int_equal(world.acted[0], ACTION_DESTROY);
	assert_int_equal(world.view.state, DOMAIN_NONE);
	world_end();
}

/* libvirt was restarted and lost it; /proc shows it. */
static void test_poweroff_of_a_qemu_that_libvirt_lost(void **state)
{
	world_make_with_vm_up();
	world.cluster.maintenance = FLAG_YES;
	world.view.state = DOMAIN_NONE;
	world_run(30 * S);
	assert_int_equal(world.published.claim.vm, VM_UP);
	agent_broker_calls.command(world.agent, 77, COMMAND_VM_POWEROFF, "");
	world_run(5 * S);
	assert_int_equal(world.answers, 1);
	assert_int_equal(world.answered_error, 0);
	assert_int_equal(world.kills, 1);
	assert_int_equal(world.cluster.qemu_pid, 0);
	world_end();
}

/* Neither guard nor libvirt can end it (safety rule 12). */
static void test_unkillable_resets_the_host(void **state)
{
	world_make_with_vm_up();
	world.kill_error = -ETIMEDOUT;
	world.destroy_fails = true;
	world.cluster.owner_id = 2;
	world_run(58 * S);
	assert_true(world.kills >= 1);
	assert_int_equal(world.resets, 0);
	world_run(25 * S);
	assert_true(world.resets >= 1);
	world_end();
}

/* The guard is gone: the failure is told at once and brings a step, which must not ask again at once. */
static void test_failed_reset_is_tried_each_second(void **state)
{
	world_make_with_vm_up();
	world.kill_error = world.reset_error = -ECONNREFUSED;
	world.destroy_fails = true;
	world.cluster.owner_id = 2;
	world_run(83 * S);
	assert_in_range(world.resets, 1, 25);
	world_end();
}

/* The minute of safety rule 12 is one since SIGKILL was sent: a destroy that sent none begins nothing. */
static void test_no_reset_before_a_sigkill(void **state)
{
	world_make_with_vm_up();
	world.view.state = DOMAIN_PAUSED;
	world.view.pause = PAUSE_OTHER;
	world.cluster.owner = OWNER_NOBODY;
	world.cluster.held = HELD_NO;
	world.destroy_fails = true;
	world.kill_error = -ENOENT;
	world_run(110 * S);
	assert_int_equal(world.last.next.state, STATE_ENGINE_FORCE_STOP);
	assert_true(world.kills > 1);
	assert_int_equal(world.resets, 0);
	world.kill_error = 0;
	world.survives = true;
	world_run(55 * S);
	assert_int_equal(world.resets, 0);
	world_run(15 * S);
	assert_true(world.resets > 0);
	world_end();
}

/* A start may wait for as long as sanlock makes it, by the io_timeout that sanlock uses; a resume that hangs
 * must not keep a paused VM from its end for so long. */
static void test_time_for_start_and_resume(void **state)
{
	world_make();
	world.cluster.lease.io_timeout_s = 20;
	world_start(NULL);
	world_run(30 * S);
	assert_int_equal(world.n_acted, 1);
	assert_int_equal(world.act_ms, (8 * 20 + 60 + 60) * S);
	assert_int_equal(world.last.next.state, STATE_ENGINE_UP);
	world.view.state = DOMAIN_PAUSED;
	world.view.pause = PAUSE_IO_ERROR;
	world.cluster.owner = OWNER_NOBODY;
	world.cluster.held = HELD_NO;
	world_run(15 * S);
	assert_true(world.n_acted > 1);
	assert_int_equal(world.acted[1], ACTION_RESUME);
	assert_int_equal(world.act_ms, policy_default.paused);
	world_end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lease_of_another_kills),
		cmocka_unit_test(test_kill_without_guard_asks_libvirt),
		cmocka_unit_test(test_poweroff_of_a_qemu_that_libvirt_lost),
		cmocka_unit_test(test_unkillable_resets_the_host),
		cmocka_unit_test(test_failed_reset_is_tried_each_second),
		cmocka_unit_test(test_no_reset_before_a_sigkill),
		cmocka_unit_test(test_time_for_start_and_resume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
