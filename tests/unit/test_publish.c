/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An agent's last words: what its record says when it stops (safety rule 7), and how long it waits for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/agent_world.h"

static void test_stop_without_vm(void **state)
{
	world_make();
	world.cluster.watchdog = WATCHDOG_NONE;
	world_start(NULL);
	world_run(20 * S);
	agent_stop(world.agent, world_stopped, NULL);
	world_run(500);
	assert_true(world.stopped);
	assert_int_equal(world.published.state, STATE_AGENT_STOPPED);
	assert_int_equal(world.published.claim.score, 0);
	assert_true(world.published.claim.stopped);
	world_end();
}

static void test_stop_with_vm(void **state)
{
	world_make_with_vm_up();
	agent_stop(world.agent, world_stopped, NULL);
	world_run(500);
	assert_true(world.stopped);
	assert_int_equal(world.published.state, STATE_AGENT_STOPPED);
	assert_false(world.published.claim.stopped); /* safety rule 7 */
	assert_int_equal(world.published.claim.vm, VM_UP);
	assert_int_equal(world.n_acted, 0);
	assert_int_equal(world.kills, 0);
	world_end();
}

/* libvirt says that there is none, /proc that QEMU lives, or nothing. */
static void test_stop_with_a_qemu_that_libvirt_lost(void **state)
{
	static const int32_t pids[] = {4711, -1};

	for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++) {
		world_make();
		world.cluster.watchdog = WATCHDOG_NONE;
		world.cluster.qemu_pid = pids[i];
		world_start(NULL);
		world_run(500);
		agent_stop(world.agent, world_stopped, NULL);
		world_run(500);
		assert_int_equal(world.published.state, STATE_AGENT_STOPPED);
		assert_false(world.published.claim.stopped); /* safety rule 7 */
		world_end();
	}
}

static void test_stop_while_the_record_can_not_be_written(void **state)
{
	world_make_with_vm_up();
	world.unwritable = true;
	agent_stop(world.agent, world_stopped, NULL);
	world_run(900);
	assert_false(world.stopped);
	world_run(200);
	assert_true(world.stopped);
	world_end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stop_without_vm),
		cmocka_unit_test(test_stop_with_vm),
		cmocka_unit_test(test_stop_with_a_qemu_that_libvirt_lost),
		cmocka_unit_test(test_stop_while_the_record_can_not_be_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
