/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Joining, joining again and leaving (safety rules 4, 7 and 13), on a virtual clock. The fake lease port
 * asserts that no join begins while a QEMU may live. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "tests/unit/broker_world.h"

static void joins_at_once(void **state)
{
	struct world *world = *state;

	world_start(world);
	world_run(world, 1200);
	assert_int_equal(world->joins, 1);
	assert_int_equal(world_cluster(world).membership, MEMBERSHIP_JOINED);
	assert_int_equal(world_cluster(world).generation, 1);
	assert_int_equal(world_cluster(world).watchdog, WATCHDOG_HARD);
	assert_true(world_cluster(world).hosts_known);
	assert_int_equal(world->kills, 0);
	world_run(world, 60000);
	assert_int_equal(world->joins, 1);
}

static void kills_before_the_join(void **state)
{
	struct world *world = *state;

	world->qemu_pid = 77;
	world->kills_needed = 3;
	world_start(world);
	world_run(world, 1500);
	assert_int_equal(world->joins, 0);
	world_run(world, 5000);
	assert_int_equal(world->kills, 3);
	assert_int_equal(world->joins, 1);
}

static void no_proof_no_join(void **state)
{
	struct world *world = *state;
	char text[TEXT_MAX];

	world->qemu_error = -EIO;
	world_start(world);
	world_run(world, 30000);
	assert_int_equal(world->joins, 0);
	assert_int_equal(world_cluster(world).qemu_pid, -1);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "/proc"));
	world->qemu_error = 0;
	world_run(world, 3000);
	assert_int_equal(world->joins, 1);
}

/* A process in state D keeps the reader of /proc waiting: all else goes on, no join. */
static void hanging_proc_no_join(void **state)
{
	struct world *world = *state;
	char text[TEXT_MAX];

	world->qemu_hangs = true;
	world_start(world);
	world_run(world, 30000);
	assert_int_equal(world->joins, 0);
	assert_int_equal(world_cluster(world).membership, MEMBERSHIP_NONE);
	assert_int_equal(world_cluster(world).qemu_pid, -1);
	assert_true(world_cluster(world).whiteboard_read);
	assert_true(world->proofs > 10);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "reading /proc hangs"));
	world->qemu_hangs = false;
	world_run(world, 3000);
	assert_int_equal(world->joins, 1);
}

/* The VM's state changes, so the broker looks at once. */
static void make_look(struct world *world, enum vm vm)
{
	struct publish_request request = {.claim = {.vm = vm}, .timeout_in_ms = -1, .config_age_ms = -1};

	broker_publish(world->broker, &request);
	world_run(world, 10);
}

/* What /proc shows in the membership before proves nothing in this one. */
static void proof_from_before_a_loss(void **state)
{
	struct world *world = *state;

	world->prove_ms = 900;
	world_start(world);
	world_attach(world);
	world_run(world, 100);
	assert_int_equal(world->proofs, 1);
	world->sanlock_error = -ECONNREFUSED;
	make_look(world, VM_DOWN);
	assert_int_equal(world_cluster(world).membership, MEMBERSHIP_UNKNOWN);
	world->sanlock_error = 0;
	make_look(world, VM_UP);
	assert_int_equal(world_cluster(world).membership, MEMBERSHIP_NONE);
	/* Void, then one before and one after the whiteboard is read. */
	world_run(world, 1800);
	assert_int_equal(world->joins, 0);
	assert_int_equal(world->proofs, 3);
	world_run(world, 1000);
	assert_int_equal(world->joins, 1);
	assert_int_equal(world->proofs, 3);
}

/* Rule 13: after a loss the storage daemon is ended before anything else, once; the next loss ends the next.
 */
static void storage_daemon_ends_before_the_join(void **state)
{
	struct world *world = *state;

	world_start(world);
	world_run(world, 2000);
	assert_int_equal(world->joins, 1);
	assert_int_equal(world->ends, 1);
	world->membership = MEMBERSHIP_NONE;
	world->late_writes = true;
	world->ends_needed = 3;
	for (int i = 0; i < 200 && world->ends < 3; i++)
		world_run(world, 100);
	assert_int_equal(world->ends, 3);
	assert_int_equal(world->joins, 1);
	world_run(world, 4000);
	assert_int_equal(world->ends, 4);
	assert_int_equal(world->joins, 2);
	world_run(world, 60000);
	assert_int_equal(world->ends, 4);
}

/* A QEMU in state D that waits for the daemon ends with it. */
static void storage_daemon_ends_before_qemu(void **state)
{
	struct world *world = *state;

	world->qemu_pid = 77;
	world->ends_needed = 5;
	world_start(world);
	world_run(world, 3000);
	assert_true(world->ends >= 2);
	assert_int_equal(world->kills, 0);
	world_run(world, 6000);
	assert_int_equal(world->kills, 1);
	assert_int_equal(world->joins, 1);
}

static void unproven_end_of_storage_daemon_no_join(void **state)
{
	struct world *world = *state;
	char text[TEXT_MAX];

	world->end_error = -ECONNREFUSED;
	world_start(world);
	world_run(world, 30000);
	assert_true(world->ends > 20);
	assert_int_equal(world->joins, 0);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "late writes"));
	world->end_error = 0;
	world_run(world, 3000);
	assert_int_equal(world->joins, 1);
}

/* A join that came to nothing may have left writes behind, too. */
static void storage_daemon_ends_after_a_failed_join(void **state)
{
	struct world *world = *state;

	world_start(world);
	world_run(world, 2000);
	assert_int_equal(world->ends, 1);
	world->membership = MEMBERSHIP_JOINING;
	world_run(world, 11000);
	world->membership = MEMBERSHIP_NONE;
	world_run(world, 4000);
	assert_int_equal(world->ends, 2);
	assert_int_equal(world->joins, 2);
}

static void end_from_before_a_loss(void **state)
{
	struct world *world = *state;

	world->end_ms = 900;
	world_start(world);
	world_attach(world);
	world_run(world, 100);
	assert_int_equal(world->ends, 1);
	world->sanlock_error = -ECONNREFUSED;
	make_look(world, VM_DOWN);
	assert_int_equal(world_cluster(world).membership, MEMBERSHIP_UNKNOWN);
	world->sanlock_error = 0;
	make_look(world, VM_UP);
	assert_int_equal(world_cluster(world).membership, MEMBERSHIP_NONE);
	world_run(world, 1200);
	assert_int_equal(world->joins, 0);
	assert_int_equal(world->ends, 2);
	world_run(world, 1500);
	assert_int_equal(world->joins, 1);
	assert_int_equal(world->ends, 2);
}

/* Asked before the join, and answered after it: no loss, and the daemon that the join needs stays. */
static void look_from_before_the_join(void **state)
{
	struct world *world = *state;

	world->look_ms = 900;
	world->join_ms = 1300; /* the next look is begun 1000 ms after the first has ended */
	world_start(world);
	for (int i = 0; i < 100 && world->joins == 0; i++)
		world_run(world, 50);
	assert_int_equal(world->joins, 1);
	world_run(world, 1200);
	assert_int_equal(world->look_membership, MEMBERSHIP_NONE);
	assert_non_null(world->look_done);
	world_run(world, 20000);
	assert_int_equal(world_cluster(world).membership, MEMBERSHIP_JOINED);
	assert_int_equal(world->joins, 1);
	assert_int_equal(world->ends, 1);
}

static void no_guard_no_join(void **state)
{
	struct world *world = *state;

	world->qemu_pid = 77;
	world->fence_error = -ECONNREFUSED;
	world_start(world);
	world_run(world, 30000);
	assert_true(world->kills > 5);
	assert_int_equal(world->joins, 0);
}

/* A host without its second net says so, and goes on. */
static void dead_guard_is_said(void **state)
{
	struct world *world = *state;
	char text[TEXT_MAX];

	world_start(world);
	world_attach(world);
	world_run(world, 2000);
	broker_trouble(world->broker, text);
	assert_string_equal(text, "");
	world->guard_error = -ECONNREFUSED;
	world_run(world, 10000);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "guard: not listening for "));
	assert_non_null(strstr(text, "Connection refused"));
	assert_int_equal(world_cluster(world).membership, MEMBERSHIP_JOINED);
	world->guard_error = 0;
	world_run(world, 5000);
	broker_trouble(world->broker, text);
	assert_null(strstr(text, "guard"));
}

static void joins_again_after_a_loss(void **state)
{
	struct world *world = *state;

	world_start(world);
	world_run(world, 2000);
	assert_int_equal(world->joins, 1);
	/* sanlock lost it to an I/O error while a VM runs: the VM goes first. */
	world->membership = MEMBERSHIP_NONE;
	world->qemu_pid = 99;
	world->kills_needed = 1;
	world_run(world, 15000);
	assert_int_equal(world->kills, 1);
	assert_int_equal(world->joins, 2);
	assert_int_equal(world_cluster(world).generation, 2);
}

static void sanlock_gone_and_back(void **state)
{
	struct world *world = *state;

	world_start(world);
	world_run(world, 2000);
	world->sanlock_error = -ECONNREFUSED;
	world_run(world, 11000);
	assert_int_equal(world_cluster(world).membership, MEMBERSHIP_UNKNOWN);
	assert_int_equal(world_cluster(world).watchdog, WATCHDOG_UNKNOWN);
	assert_false(world_cluster(world).hosts_known);
	assert_int_equal(world_cluster(world).held, HELD_UNKNOWN);
	world->sanlock_error = 0;
	world->membership = MEMBERSHIP_NONE;
	world_run(world, 3000);
	assert_int_equal(world->joins, 2);
	assert_int_equal(world_cluster(world).watchdog, WATCHDOG_HARD);
}

/* sanlock was away for a moment while it was asked to join, and then refuses. */
static void refusal_from_before_a_loss(void **state)
{
	struct world *world = *state;

	world->join_ms = 8000;
	world->join_error = -EIO;
	world_start(world);
	world_run(world, 1500);
	assert_int_equal(world->joins, 1);
	world->sanlock_error = -ETIMEDOUT;
	world_run(world, 2000);
	assert_int_equal(world_cluster(world).membership, MEMBERSHIP_UNKNOWN);
	world->sanlock_error = 0;
	world_run(world, 2000);
	assert_int_equal(world_cluster(world).membership, MEMBERSHIP_NONE);
	world_run(world, 5000);
	world->join_ms = 0;
	world->join_error = 0;
	world_run(world, 15000);
	assert_int_equal(world_cluster(world).membership, MEMBERSHIP_JOINED);
}

static void joined_as_another(void **state)
{
	struct world *world = *state;
	char text[TEXT_MAX];

	world->sanlock_error = -EXDEV;
	world_start(world);
	world_run(world, 3000);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "under another host id"));
	assert_int_equal(world->joins, 0);
}

/* The question would make libvirt's acquire fail (lockspace/sanlock_port.c). */
static void paused_is_not_asked_about(void **state)
{
	static const struct {
		const char *name;
		enum vm vm;
		enum detail detail;
		bool asked;
	} rows[] = {
		{"up", VM_UP, DETAIL_UP, true},
		{"our start, waits for its lease", VM_DOWN, DETAIL_WAIT_FOR_LAUNCH, false},
		{"up again", VM_UP, DETAIL_UP, true},
		{"paused", VM_UP, DETAIL_PAUSED, false},
		{"libvirt is silent", VM_UNKNOWN, DETAIL_UNKNOWN, true},
		{"shutting down", VM_UP, DETAIL_POWERING_DOWN, true},
		{"libvirt has lost it", VM_UP, DETAIL_UNKNOWN, true},
		{"down, QEMU not gone yet", VM_DOWN, DETAIL_DOWN, true},
	};
	struct world *world = *state;
	struct publish_request request = {.claim = {.score = 3400}, .timeout_in_ms = -1};

	world_start(world);
	world_run(world, 2000);
	world_attach(world);
	world->qemu_pid = 77;
	world->held = HELD_YES;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("# %s\n", rows[i].name);
		request.serial = i + 1;
		request.claim.vm = rows[i].vm;
		request.claim.detail = rows[i].detail;
		broker_publish(world->broker, &request);
		/* At once, not at the next loop: a start is judged by it. */
		world_run(world, 500);
		assert_int_equal(world->look_pid, rows[i].asked ? 77 : 0);
		assert_int_equal(world_cluster(world).qemu_pid, 77);
		assert_int_equal(world_cluster(world).held, rows[i].asked ? HELD_YES : HELD_UNKNOWN);
	}
	request.claim.detail = DETAIL_PAUSED;
	broker_publish(world->broker, &request);
	world_run(world, 20000);
	assert_int_equal(world_cluster(world).held, HELD_UNKNOWN);
	/* What an agent said that is gone holds nobody back. */
	broker_agent_detach(world->broker, world);
	world_run(world, 20000);
	assert_int_equal(world_cluster(world).held, HELD_YES);
}

static void held_of_this_pid_alone(void **state)
{
	struct world *world = *state;

	world_start(world);
	world_run(world, 2000);
	world->held = HELD_YES;
	world->qemu_pid = 10;
	world_run(world, 11000);
	assert_int_equal(world_cluster(world).held, HELD_YES);
	assert_int_equal(world_cluster(world).qemu_pid, 10);
	world->qemu_pid = 0;
	world_run(world, 11000);
	assert_int_equal(world_cluster(world).held, HELD_UNKNOWN);
}

/* Its pidfd tells: nobody waits for the next look, 10 s away, and a look under way is of before. */
static void end_of_qemu_is_looked_at(void **state)
{
	struct world *world = *state;

	world->membership = MEMBERSHIP_JOINED;
	world->qemu_pid = 4711;
	world_start(world);
	world_run(world, 12500);
	assert_int_equal(world_cluster(world).qemu_pid, 4711);
	world->qemu_pid = 0;
	world->qemu.ended(world->qemu.data);
	world_run(world, 10);
	assert_int_equal(world_cluster(world).qemu_pid, 0);
	world->qemu_pid = 4712;
	world_run(world, 11000);
	assert_int_equal(world_cluster(world).qemu_pid, 4712);
	world->qemu.ended(world->qemu.data); /* a look begins, and finds it */
	world_run(world, 1);
	world->qemu_pid = 0;
	world->qemu.ended(world->qemu.data);
	world_run(world, 10);
	assert_int_equal(world_cluster(world).qemu_pid, 0);
}

/* Its end has its own moment, and is told, before sanlock has answered. */
static void qemu_ends_while_sanlock_is_slow(void **state)
{
	struct world *world = *state;
	unsigned told;
	mono_t asked;

	world->membership = world->look_membership = MEMBERSHIP_JOINED;
	world->qemu_pid = 4711;
	world->held = HELD_YES;
	world_start(world);
	world_attach(world);
	world_run(world, 12500);
	assert_int_equal(world_cluster(world).held, HELD_YES);
	world->look_ms = 5000;
	world->qemu_pid = 0;
	asked = world->now;
	told = world->changed;
	world->qemu.ended(world->qemu.data);
	world_run(world, 100);
	assert_int_equal(world_cluster(world).qemu_pid, 0);
	assert_int_equal(world_cluster(world).held, HELD_UNKNOWN);
	assert_in_range(world_cluster(world).held_begun, asked, world->now);
	assert_int_equal(world->changed, told + 1);
	world_run(world, 6000);
	assert_in_range(world_cluster(world).held_begun, asked, world->now - 6000);
}

/* What sanlock says of the one before is not said of the next, nor is that older than it is. */
static void next_qemu_is_asked_about_anew(void **state)
{
	struct world *world = *state;
	mono_t asked;

	world->membership = world->look_membership = MEMBERSHIP_JOINED;
	world->qemu_pid = 4711;
	world->held = HELD_NO;
	world_start(world);
	world_run(world, 12500);
	assert_int_equal(world_cluster(world).held, HELD_NO);
	world->look_ms = 5000;
	world->qemu_pid = 4712;
	asked = world->now;
	for (int i = 0; i < 11000 && world_cluster(world).qemu_pid == 4711; i++)
		world_run(world, 1);
	assert_int_equal(world_cluster(world).qemu_pid, 4712);
	assert_int_equal(world_cluster(world).held, HELD_UNKNOWN);
	assert_in_range(world_cluster(world).held_begun, asked, world->now);
}

/* sanlock hangs, and can't even be asked: what /proc shows comes all the same. */
static void qemu_ends_while_sanlock_hangs(void **state)
{
	struct world *world = *state;
	mono_t asked;

	world->membership = MEMBERSHIP_JOINED;
	world->qemu_pid = 4711;
	world->held = HELD_YES;
	world_start(world);
	world_attach(world);
	world_run(world, 2000);
	assert_int_equal(world_cluster(world).held, HELD_YES);
	world->look_busy = true;
	world->qemu_pid = 0;
	asked = world->now;
	world_run(world, 11000);
	assert_int_equal(world_cluster(world).qemu_pid, 0);
	assert_int_equal(world_cluster(world).held, HELD_UNKNOWN);
	assert_true(world_cluster(world).held_begun > asked);
}

static void unread_owner_is_unknown(void **state)
{
	struct world *world = *state;

	world->owner = (struct lease_owner){.kind = OWNER_HOST, .id = 2, .generation = 5, .version = 8};
	world_start(world);
	world_run(world, 2000);
	assert_int_equal(world_cluster(world).owner, OWNER_HOST);
	assert_int_equal(world_cluster(world).owner_version, 8);
	world->owner.error = -EIO;
	world_run(world, 11000);
	assert_int_equal(world_cluster(world).owner, OWNER_UNREAD);
}

static void mark_stopped(void *data)
{
	((struct world *)data)->stopped = true;
}

static void stop_leaves(void **state)
{
	struct world *world = *state;

	world_start(world);
	world_run(world, 2000);
	broker_stop(world->broker, mark_stopped, world);
	world_run(world, 10);
	assert_true(world->stopped);
	assert_int_equal(world->leaves, 1);
	world_run(world, 60000);
	assert_int_equal(world->joins, 1);
}

/* sanlock takes the lease of a VM that just ended back in its own time. */
static void stop_waits_for_the_lease(void **state)
{
	struct world *world = *state;

	world->leave_error = -EBUSY;
	world_start(world);
	world_run(world, 2000);
	broker_stop(world->broker, mark_stopped, world);
	world_run(world, 1000);
	assert_false(world->stopped);
	world->leave_error = 0;
	world_run(world, 200);
	assert_true(world->stopped);
	assert_in_range(world->leaves, 3, 12);
}

static void stop_with_a_held_lease_stays(void **state)
{
	struct world *world = *state;

	world->leave_error = -EBUSY;
	world_start(world);
	world_run(world, 2000);
	broker_stop(world->broker, mark_stopped, world);
	world_run(world, 1500);
	assert_true(world->stopped);
}

/* Between two tries a start of the agent's makes one. */
static void stop_with_qemu_begun_meanwhile_stays(void **state)
{
	struct world *world = *state;
	unsigned leaves;

	world->leave_error = -EBUSY;
	world_start(world);
	world_run(world, 2000);
	broker_stop(world->broker, mark_stopped, world);
	world_run(world, 500);
	assert_false(world->stopped);
	leaves = world->leaves;
	assert_int_not_equal(leaves, 0);
	world->qemu_pid = 4;
	world_run(world, 300);
	assert_true(world->stopped);
	assert_int_equal(world->leaves, leaves);
}

static void stop_with_qemu_stays(void **state)
{
	struct world *world = *state;

	world_start(world);
	world_run(world, 2000);
	world->qemu_pid = 4;
	broker_stop(world->broker, mark_stopped, world);
	world_run(world, 10);
	assert_true(world->stopped);
	assert_int_equal(world->leaves, 0);
}

static void stop_unproven_stays(void **state)
{
	struct world *world = *state;

	world_start(world);
	world_run(world, 2000);
	world->qemu_error = -EACCES;
	broker_stop(world->broker, mark_stopped, world);
	world_run(world, 10);
	assert_true(world->stopped);
	assert_int_equal(world->leaves, 0);
}

static void stop_with_hanging_proc_stays(void **state)
{
	struct world *world = *state;

	world_start(world);
	world_run(world, 2000);
	world->qemu_hangs = true;
	broker_stop(world->broker, mark_stopped, world);
	assert_false(world->stopped);
	world_run(world, 1000);
	assert_true(world->stopped);
	assert_int_equal(world->leaves, 0);
}

static void stop_is_bounded(void **state)
{
	struct world *world = *state;

	world->leave_error = -ETIMEDOUT;
	world_start(world);
	world_run(world, 2000);
	broker_stop(world->broker, mark_stopped, world);
	world_run(world, 1500);
	assert_true(world->stopped);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_ROW(joins_at_once),
		WORLD_ROW(refusal_from_before_a_loss),
		WORLD_ROW(joined_as_another),
		WORLD_ROW(kills_before_the_join),
		WORLD_ROW(no_proof_no_join),
		WORLD_ROW(hanging_proc_no_join),
		WORLD_ROW(proof_from_before_a_loss),
		WORLD_ROW(storage_daemon_ends_before_the_join),
		WORLD_ROW(storage_daemon_ends_before_qemu),
		WORLD_ROW(unproven_end_of_storage_daemon_no_join),
		WORLD_ROW(storage_daemon_ends_after_a_failed_join),
		WORLD_ROW(end_from_before_a_loss),
		WORLD_ROW(look_from_before_the_join),
		WORLD_ROW(no_guard_no_join),
		WORLD_ROW(joins_again_after_a_loss),
		WORLD_ROW(sanlock_gone_and_back),
		WORLD_ROW(paused_is_not_asked_about),
		WORLD_ROW(held_of_this_pid_alone),
		WORLD_ROW(end_of_qemu_is_looked_at),
		WORLD_ROW(qemu_ends_while_sanlock_is_slow),
		WORLD_ROW(next_qemu_is_asked_about_anew),
		WORLD_ROW(qemu_ends_while_sanlock_hangs),
		WORLD_ROW(unread_owner_is_unknown),
		WORLD_ROW(dead_guard_is_said),
		WORLD_ROW(stop_leaves),
		WORLD_ROW(stop_waits_for_the_lease),
		WORLD_ROW(stop_with_a_held_lease_stays),
		WORLD_ROW(stop_with_qemu_begun_meanwhile_stays),
		WORLD_ROW(stop_with_qemu_stays),
		WORLD_ROW(stop_unproven_stays),
		WORLD_ROW(stop_with_hanging_proc_stays),
		WORLD_ROW(stop_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
