/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A line of a trace: what it says, what it refuses and where, and that every field goes there and back.
 * Random inputs go through it in tests/fuzz/fuzz_step.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/trace.h"

#define PEERS 4

static struct peer peers[PEERS];

static void begin(struct trace *trace)
{
	memset(peers, 0xaa, sizeof(peers));
	trace_init(trace, peers, PEERS);
}

static int format(const struct trace *trace, char *line, size_t size)
{
	return trace_format(&trace->machine, &trace->known, &trace->policy, trace->now, line, size);
}

/* Each line is what trace_format() makes of itself. */
static const char *const lines[] = {
	"now=0",
	"now=-5",
	"now=unset machine.deadline=1",
	"now=never machine.kill_since=never",
	"now=7 policy.loop=1000 policy.require_watchdog=0 policy.weight_retry=51 policy.io_timeout_s=1",
	"now=7 machine.state=EngineUp machine.reason=vm-healthy machine.in_flight=shutdown "
	"machine.in_flight_since=3 "
	"machine.failed_tries=4294967295 machine.held_version=18446744073709551615",
	"now=7 machine.cause.network=4/3/1000/-5 machine.cause.cpu-load=1/0/0/200 "
	"machine.penalty.network=unset "
	"machine.penalty.stopped=77",
	"now=7 local_maintenance=1 stop_wanted=1 config_outdated=1 broker_answers=1 wanted=start-paused",
	"now=7 vm.vm=up vm.detail=Powering_up vm.pause=io-error vm.reason=failed_liveliness_check "
	"vm.running_since=5 "
	"vm.seen_at=6 vm.memory_mib=4096 vm.look_old=1",
	"now=7 vm.reason=Storage_of_VM_is_locked._Is_another_host_already_starting_the_VM?",
	"now=7 cluster.host_id=2000 cluster.membership=joined cluster.maintenance=yes cluster.qemu_pid=-1 "
	"cluster.monitor.network=5/1000/1 cluster.monitor.storage-domain=1/0/0",
	"now=7 result=start:lease-held result=kill:ok result=none:none",
	"now=7 peer=3",
	"now=7 peer=2 peer.2.fault=ok peer.2.timestamp=9 peer.2.score=-1 peer.2.detail=Migration_Source "
	"peer=1999 "
	"peer.1999.alien_advances=255",
};

static void test_lines(void **state)
{
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct trace trace;
		char line[1024];
		size_t at = 0;

		begin(&trace);
		if (trace_parse(lines[i], &trace, &at) < 0)
			fail_msg("refused: %s", lines[i] + at);
		assert_int_equal(format(&trace, line, sizeof(line)), strlen(lines[i]));
		assert_string_equal(line, lines[i]);
	}
}

static const struct {
	const char *line;
	int error;
	size_t at;
} refused[] = {
	{"nonsense", -EINVAL, 0},
	{"now=7 no.such=1", -EINVAL, 6},
	{"now=7  now=", -EINVAL, 7},
	{"now=0x7", -EINVAL, 0},
	{"now= 7", -EINVAL, 0},
	{"now=x", -EINVAL, 0},
	{"now=-", -EINVAL, 0},
	{"vm.detail=Powering-up", -EINVAL, 0},
	{"machine.held_version=x", -EINVAL, 0},
	{"machine.held_version=1x", -EINVAL, 0},
	{"machine.penalty.network=x", -EINVAL, 0},
	{"machine.cause.network=x/2/3/4", -EINVAL, 0},
	{"machine.cause.network=1/x/3/4", -EINVAL, 0},
	{"machine.cause.network=1/2/x/4", -EINVAL, 0},
	{"machine.cause.network=1/2/3/x", -EINVAL, 0},
	{"cluster.monitor.network=x/2/1", -EINVAL, 0},
	{"cluster.monitor.network=1/x/1", -EINVAL, 0},
	{"policy.loop=x", -EINVAL, 0},
	{"peer.2.score=2147483648", -EINVAL, 0},
	{"peer.2.alien_advances=256", -EINVAL, 0},
	{"peer.=1", -EINVAL, 0},
	{"result=begin:ok", -EINVAL, 0},
	{"result=start:well", -EINVAL, 0},
	{"now=9223372036854775808", -EINVAL, 0},
	{"machine.state=engineup", -EINVAL, 0},
	{"machine.failed_tries=4294967296", -EINVAL, 0},
	{"machine.failed_tries=-1", -EINVAL, 0},
	{"machine.held_version=-1", -EINVAL, 0},
	{"machine.held_version=18446744073709551616", -EINVAL, 0},
	{"machine.cause.network=1/2/3", -EINVAL, 0},
	{"machine.cause.nothing=1/2/3/4", -EINVAL, 0},
	{"cluster.host_id=65536", -EINVAL, 0},
	{"cluster.hosts_known=2", -EINVAL, 0},
	{"cluster.monitor.network=1/2/3", -EINVAL, 0},
	{"peer=0", -EINVAL, 0},
	{"peer=2001", -EINVAL, 0},
	{"peer.2=1", -EINVAL, 0},
	{"peer..score=1", -EINVAL, 0},
	{"peer.2.score", -EINVAL, 0},
	{"peer=1 peer=2 peer=3 peer=4 peer=5", -ENOSPC, 28},
	{"result=start", -EINVAL, 0},
	{"result=none:ok result=none:ok result=none:ok result=none:ok result=none:ok", -ENOSPC, 60},
};

static void test_refused(void **state)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct trace trace;
		size_t at = 12345;
		int r;

		begin(&trace);
		r = trace_parse(refused[i].line, &trace, &at);
		if (r != refused[i].error || at != refused[i].at)
			fail_msg("%s: %d at %zu", refused[i].line, r, at);
	}
}

/* The keys of one struct alone, without its prefix. */
static void test_set(void **state)
{
	struct policy policy = policy_default;
	struct peer peer;

	peer_init(&peer, 2);
	assert_int_equal(trace_set_peer(&peer, "score=7"), 0);
	assert_int_equal(peer.claim.score, 7);
	assert_int_equal(trace_set_peer(&peer, "score"), -EINVAL);
	assert_int_equal(trace_set_policy(&policy, "loop=7000"), 0);
	assert_int_equal(policy.loop, 7000);
	assert_int_equal(trace_set_policy(&policy, "loop"), -EINVAL);
}

static void test_long_token(void **state)
{
	struct trace trace;
	char line[4096];
	size_t at = 1;

	begin(&trace);
	memset(line, '1', sizeof(line));
	memcpy(line, "now=", 4);
	line[sizeof(line) - 1] = '\0';
	assert_int_equal(trace_parse(line, &trace, &at), -EINVAL);
	assert_int_equal(at, 0);
}

/* Peers come in any order and stand by rising id. */
static void test_order(void **state)
{
	struct trace trace;
	size_t at;

	begin(&trace);
	assert_int_equal(
		trace_parse("peer.9.score=1 peer.2.score=2 peer.70.score=3 peer.2.vm=up", &trace, &at), 0);
	assert_int_equal(trace.known.n_peers, 3);
	assert_int_equal(peers[0].id, 2);
	assert_int_equal(peers[0].claim.score, 2);
	assert_int_equal(peers[0].claim.vm, VM_UP);
	assert_int_equal(peers[1].id, 9);
	assert_int_equal(peers[2].id, 70);
	assert_int_equal(peers[2].claim.score, 3);
	assert_true(peers[2].changed_at == MONO_UNSET);
}

static void test_too_small(void **state)
{
	struct trace trace;
	char whole[2048], line[2048];
	size_t at;
	int length;

	begin(&trace);
	assert_int_equal(trace_parse(lines[4], &trace, &at), 0);
	length = format(&trace, whole, sizeof(whole));
	assert_true(length > 0);
	for (size_t size = 1; size <= (size_t)length; size++) {
		memset(line, 'x', sizeof(line));
		assert_int_equal(format(&trace, line, size), -EMSGSIZE);
		assert_int_equal(strlen(line), size - 1);
		assert_memory_equal(line, whole, size - 1);
		assert_int_equal(line[size], 'x');
	}
	assert_int_equal(format(&trace, line, (size_t)length + 1), length);
}

/* Every byte of the structs belongs to a field of the table: set all bytes, one value at a time, and the line
 * must differ from the defaults'. Padding, the peers' pointer and what is said elsewhere are left out by
 * name. */
static void check_covered(struct trace *trace, void *base, size_t size, const char *what,
			  bool (*left_out)(size_t offset))
{
	char before[4096], after[4096];
	unsigned char *bytes = base;

	format(trace, before, sizeof(before));
	for (size_t i = 0; i < size; i++) {
		if (left_out(i))
			continue;
		bytes[i] ^= 1;
		format(trace, after, sizeof(after));
		bytes[i] ^= 1;
		if (strcmp(before, after) == 0)
			fail_msg("byte %zu of %s is in no field", i, what);
	}
}

#define INSIDE(base, member)                                                                                 \
	(offset >= offsetof(struct base, member) &&                                                          \
	 offset < offsetof(struct base, member) + sizeof(((struct base *)0)->member))
#define BETWEEN(base, before, after)                                                                         \
	(offset >= offsetof(struct base, before) + sizeof(((struct base *)0)->before) &&                     \
	 offset < offsetof(struct base, after))

/* Padding; and `since`, which means something only while `applied` says so. */
static bool skip_machine(size_t offset)
{
	return INSIDE(machine, scores.since) ||
	       (INSIDE(machine, scores.causes) &&
		(offset - offsetof(struct machine, scores.causes)) % sizeof(struct cause) >=
			offsetof(struct cause, value) + sizeof(int32_t)) ||
	       BETWEEN(machine, state, entered) || BETWEEN(machine, in_flight, in_flight_since) ||
	       BETWEEN(machine, must_leave, failed_tries) || BETWEEN(machine, reason, in_flight) ||
	       BETWEEN(machine, lease_refusals, refused_at) || BETWEEN(machine, crashes, last_failed) ||
	       offset >= offsetof(struct machine, scores.applied) + PENALTY_COUNT;
}

static bool skip_vm(size_t offset)
{
	return offset >= offsetof(struct vm_facts, look_old) + sizeof(bool);
}

static bool skip_policy(size_t offset)
{
	return BETWEEN(policy, cpu_load_to, network) || BETWEEN(policy, network.samples, network.ms) ||
	       BETWEEN(policy, cpu.samples, cpu.ms) || BETWEEN(policy, other.samples, other.ms) ||
	       BETWEEN(policy, live_migration, weights) ||
	       offset >= offsetof(struct policy, lease) + sizeof(struct lease_timing);
}

static bool skip_cluster(size_t offset)
{
	return BETWEEN(cluster, host_id, generation) || BETWEEN(cluster, whiteboard_read, maintenance) ||
	       BETWEEN(cluster, maintenance_read, watchdog) || BETWEEN(cluster, lease, owner) ||
	       BETWEEN(cluster, owner, owner_id) || BETWEEN(cluster, owner_id, owner_generation) ||
	       (INSIDE(cluster, monitors) &&
		(offset - offsetof(struct cluster, monitors)) % sizeof(struct sample) > 8) ||
	       offset >= offsetof(struct cluster, monitors) + sizeof(((struct cluster *)0)->monitors);
}

static bool skip_peer(size_t offset)
{
	return offset < offsetof(struct peer, fault) || BETWEEN(peer, fault, claim) ||
	       BETWEEN(peer, claim.stopped, claim.migrating_to) ||
	       BETWEEN(peer, claim.migrating_to, claim.io_timeout_s) || BETWEEN(peer, claim, first_seen) ||
	       (offset >= offsetof(struct peer, claim.watchdog_fire_s) + 4 &&
		offset < offsetof(struct peer, first_seen)) ||
	       BETWEEN(peer, host, host_generation) || offset > offsetof(struct peer, alien_advances);
}

static void test_every_field(void **state)
{
	struct trace trace;
	size_t at;

	begin(&trace);
	assert_int_equal(trace_parse("peer=2", &trace, &at), 0);
	check_covered(&trace, &trace.machine, sizeof(trace.machine), "machine", skip_machine);
	check_covered(&trace, &trace.policy, sizeof(trace.policy), "policy", skip_policy);
	check_covered(&trace, &trace.known.vm, sizeof(trace.known.vm), "vm_facts", skip_vm);
	check_covered(&trace, &trace.known.cluster, sizeof(trace.known.cluster), "cluster", skip_cluster);
	check_covered(&trace, &peers[0], sizeof(peers[0]), "peer", skip_peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),	    cmocka_unit_test(test_refused),
		cmocka_unit_test(test_set),	    cmocka_unit_test(test_long_token),
		cmocka_unit_test(test_order),	    cmocka_unit_test(test_too_small),
		cmocka_unit_test(test_every_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
