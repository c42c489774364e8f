/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Joining, joining again and leaving (safety rules 4, 7 and 8), on a virtual clock. The fake lease port
 * asserts that no join begins while a QEMU may live. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "tests/unit/broker_world.h"

static int setup(void **state)
{
	*state = world_new();
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

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

static void id_taken(void **state)
{
	struct world *world = *state;

	world_record(world, 1, "other.example", 100, 0, 3400);
	world_start(world);
	world_run(world, 20000);
	assert_int_equal(world->joins, 0);
	world_record(world, 1, "other.example", 120, 0, 3400);
	world_run(world, 3000);
	assert_int_equal(world_cluster(world).block, BLOCK_ID_TAKEN);
	world_run(world, 55000);
	assert_int_equal(world->joins, 0);
	/* It stands still for as long as makes a record stale: a dead host's. */
	world_run(world, 8000);
	assert_int_equal(world->joins, 1);
	assert_int_equal(world_cluster(world).block, BLOCK_NONE);
}

/* A write of ours that stopped inside its line: the timestamp is the new one's, the checksum is not. */
static void write_half_record(struct world *world, unsigned tens)
{
	world_record(world, 1, "host1.example", 100 + 10 * tens, 3, 3400);
	world->blocks[1][4] ^= 1; /* the first digit of the timestamp */
}

static void half_record_of_ours_is_written_over(void **state)
{
	struct world *world = *state;
	char text[TEXT_MAX];

	write_half_record(world, 0);
	world_start(world);
	world_run(world, 55000);
	assert_int_equal(world->joins, 0);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "half a record of this host"));
	/* Whoever writes it lives. */
	write_half_record(world, 1);
	world_run(world, 55000);
	assert_int_equal(world->joins, 0);
	world_run(world, 15000);
	assert_int_equal(world->joins, 1);
	world_attach(world);
	world_publish(world, 3400);
	world_run(world, 1000);
	assert_int_equal(world->published_error, 0);
}

/* While nobody can read, whoever wrote it may be unable to write. */
static void nothing_stands_still_unseen(void **state)
{
	struct world *world = *state;

	for (int i = 0; i < 2; i++) {
		if (i == 0)
			write_half_record(world, 0);
		else
			world_record(world, 1, "other.example", 100, 0, 3400);
		world_start(world);
		world_run(world, 30000);
		world_fault(world, (struct store_fault){.kind = STORE_FAULT_EIO, .ops = STORE_FAULT_READS});
		world_run(world, 40000);
		world_heal(world);
		world_run(world, 58000);
		assert_int_equal(world->joins, 0);
		world_run(world, 5000);
		assert_int_equal(world->joins, 1);
		if (i == 0) {
			world_free(world);
			*state = world = world_new();
		}
	}
}

/* It names another host: nothing of ours. */
static void half_record_of_another_stays(void **state)
{
	struct world *world = *state;
	uint8_t theirs[BLOCK_SIZE];

	world_record(world, 1, "other.example", 100, 3, 3400);
	world->blocks[1][4] ^= 1;
	memcpy(theirs, world->blocks[1], BLOCK_SIZE);
	world_start(world);
	world_run(world, 200000);
	assert_int_equal(world->joins, 0);
	assert_memory_equal(world->blocks[1], theirs, BLOCK_SIZE);
	assert_int_equal(world_cluster(world).block, BLOCK_ID_TAKEN);
}

static void own_record_needs_no_watch(void **state)
{
	struct world *world = *state;

	world_record(world, 1, "host1.example", 100, 3, 3400);
	world_start(world);
	world_run(world, 1200);
	assert_int_equal(world->joins, 1);
}

static void qemu_appears_during_the_watch(void **state)
{
	struct world *world = *state;

	world_record(world, 1, "other.example", 100, 0, 3400);
	world_start(world);
	world_run(world, 30000);
	world->qemu_pid = 5;
	world->kills_needed = 2;
	world_run(world, 40000);
	assert_int_equal(world->kills, 2);
	assert_int_equal(world->joins, 1);
}

static void noise_is_not_overwritten(void **state)
{
	struct world *world = *state;
	uint8_t before[BLOCK_SIZE];

	memset(world->blocks[1], 'x', BLOCK_SIZE);
	memcpy(before, world->blocks[1], BLOCK_SIZE);
	world_start(world);
	world_attach(world);
	world_publish(world, 3400);
	world_run(world, 200000);
	assert_int_equal(world->joins, 0);
	assert_int_equal(world_cluster(world).block, BLOCK_ID_TAKEN);
	assert_memory_equal(world->blocks[1], before, BLOCK_SIZE);
}

static void newer_record_is_not_overwritten(void **state)
{
	struct world *world = *state;
	uint8_t before[BLOCK_SIZE];

	world_record(world, 2, "host2.example", 100, 3, 3400);
	world_record(world, 1, "host1.example", 100, 3, 3400);
	world->blocks[1][0] = '2';
	memcpy(before, world->blocks[1], BLOCK_SIZE);
	world_start(world);
	world_attach(world);
	world_publish(world, 3400);
	world_run(world, 200000);
	assert_memory_equal(world->blocks[1], before, BLOCK_SIZE);
	assert_int_equal(world->joins, 0);
	assert_int_equal(world_cluster(world).block, BLOCK_ID_TAKEN);
}

static void other_domain(void **state)
{
	struct world *world = *state;
	struct identity identity = {.domain = "11111111-2222-3333-4444-555555555555",
				    .lockspace = "hosted-engine"};

	strcpy(world->config.domain, "99999999-2222-3333-4444-555555555555");
	assert_int_equal(identity_encode(&identity, world->blocks[IDENTITY_BLOCK]), 0);
	world_start(world);
	world_run(world, 30000);
	assert_int_equal(world->joins, 0);
	assert_int_equal(world_cluster(world).block, BLOCK_DOMAIN);
}

/* Joined already by the broker before this one: nobody asked at a gate. */
static void other_domain_found_joined(void **state)
{
	static const struct identity other = {.domain = "11111111-2222-3333-4444-555555555555",
					      .lockspace = "hosted-engine"};
	struct world *world = *state;
	static struct peer peers[HOST_ID_MAX];
	struct cluster cluster;
	char text[TEXT_MAX];

	strcpy(world->config.domain, "99999999-2222-3333-4444-555555555555");
	assert_int_equal(identity_encode(&other, world->blocks[IDENTITY_BLOCK]), 0);
	world_record(world, 2, "host2.example", 100, 3, 3400);
	world->membership = MEMBERSHIP_JOINED;
	world->generation = 7;
	world->qemu_pid = 77;
	world_start(world);
	world_attach(world);
	world_run(world, 100);
	world_publish(world, 0);
	world_run(world, 30000);
	assert_int_equal(broker_facts(world->broker, &cluster, peers), 0);
	assert_int_equal(cluster.membership, MEMBERSHIP_JOINED);
	assert_int_equal(cluster.block, BLOCK_DOMAIN);
	assert_false(cluster.whiteboard_read);
	assert_false(cluster.maintenance_read);
	assert_int_equal(cluster.maintenance, FLAG_UNKNOWN);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "belongs to another domain"));
	assert_int_equal(world->published_error, -EXDEV);
	assert_int_equal(broker_set_global(world->broker, true, NULL, NULL), -EXDEV);
	/* Nothing is written, nobody is killed, and who runs keeps the host id. */
	assert_int_equal(world->writes, 0);
	assert_int_equal(world->kills + world->leaves, 0);

	strcpy((char *)world->blocks[IDENTITY_BLOCK], "");
	world_run(world, 60000);
	world_publish(world, 3400);
	world_run(world, 11000);
	assert_int_equal(world_cluster(world).block, BLOCK_NONE);
	assert_true(world_cluster(world).whiteboard_read);
	assert_true(world->writes > 0);
}

/* Nothing is written before it is known whose whiteboard it is; then at once. */
static void same_domain_found_joined(void **state)
{
	struct world *world = *state;

	world->membership = MEMBERSHIP_JOINED;
	world->generation = 7;
	world_fault(world, (struct store_fault){.kind = STORE_FAULT_EIO});
	world_start(world);
	world_attach(world);
	world_run(world, 100);
	world_publish(world, 3400);
	world_run(world, 3000);
	assert_int_equal(world->published, 0);
	world_heal(world);
	world_run(world, 1500);
	assert_true(world->writes > 0);
	assert_int_equal(world->published_error, 0);
	assert_int_equal(world_cluster(world).block, BLOCK_NONE);
	assert_int_equal(world->joins, 0);
}

static void other_lease_found_joined(void **state)
{
	struct world *world = *state;

	world->membership = MEMBERSHIP_JOINED;
	world->generation = 7;
	world->owner.error = -EXDEV;
	world_start(world);
	world_run(world, 3000);
	assert_int_equal(world_cluster(world).block, BLOCK_DOMAIN);
	assert_int_equal(world_cluster(world).membership, MEMBERSHIP_JOINED);
	world->owner.error = 0;
	world_run(world, 11000);
	assert_int_equal(world_cluster(world).block, BLOCK_NONE);
}

static void other_lease(void **state)
{
	struct world *world = *state;

	world->join_error = -EXDEV;
	world_start(world);
	world_run(world, 3000);
	assert_int_equal(world_cluster(world).block, BLOCK_DOMAIN);
	assert_int_equal(world_cluster(world).membership, MEMBERSHIP_NONE);
}

static void engine_lease_of_another_domain(void **state)
{
	struct world *world = *state;

	world->owner.error = -EXDEV;
	world_start(world);
	world_run(world, 30000);
	assert_int_equal(world->joins, 0);
	assert_int_equal(world_cluster(world).block, BLOCK_DOMAIN);
	world->owner.error = 0;
	world_run(world, 10000);
	assert_int_equal(world->joins, 1);
	assert_int_equal(world_cluster(world).block, BLOCK_NONE);
}

static void storage_away_at_start(void **state)
{
	struct world *world = *state;
	char text[TEXT_MAX];

	world_fault(world, (struct store_fault){.kind = STORE_FAULT_EIO});
	world_start(world);
	world_run(world, 30000);
	assert_int_equal(world->joins, 0);
	assert_false(world_cluster(world).whiteboard_read);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "storage: reads fail for 29 s"));
	world_heal(world);
	world_run(world, 3000);
	assert_int_equal(world->joins, 1);
	assert_true(world_cluster(world).whiteboard_read);
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

#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(joins_at_once),
		ROW(refusal_from_before_a_loss),
		ROW(joined_as_another),
		ROW(kills_before_the_join),
		ROW(no_proof_no_join),
		ROW(hanging_proc_no_join),
		ROW(proof_from_before_a_loss),
		ROW(storage_daemon_ends_before_the_join),
		ROW(storage_daemon_ends_before_qemu),
		ROW(unproven_end_of_storage_daemon_no_join),
		ROW(storage_daemon_ends_after_a_failed_join),
		ROW(end_from_before_a_loss),
		ROW(look_from_before_the_join),
		ROW(no_guard_no_join),
		ROW(joins_again_after_a_loss),
		ROW(sanlock_gone_and_back),
		ROW(id_taken),
		ROW(half_record_of_ours_is_written_over),
		ROW(half_record_of_another_stays),
		ROW(nothing_stands_still_unseen),
		ROW(own_record_needs_no_watch),
		ROW(qemu_appears_during_the_watch),
		ROW(noise_is_not_overwritten),
		ROW(newer_record_is_not_overwritten),
		ROW(other_domain),
		ROW(other_domain_found_joined),
		ROW(same_domain_found_joined),
		ROW(other_lease_found_joined),
		ROW(other_lease),
		ROW(engine_lease_of_another_domain),
		ROW(storage_away_at_start),
		ROW(paused_is_not_asked_about),
		ROW(held_of_this_pid_alone),
		ROW(qemu_ends_while_sanlock_hangs),
		ROW(unread_owner_is_unknown),
		ROW(dead_guard_is_said),
		ROW(stop_leaves),
		ROW(stop_with_qemu_stays),
		ROW(stop_unproven_stays),
		ROW(stop_with_hanging_proc_stays),
		ROW(stop_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
