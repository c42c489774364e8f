/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tables themselves, and the defaults that a line leaves out. */
#include "core/trace_fields.h"

#include <assert.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define FIELD(base, member, type)                                                                            \
	{                                                                                                    \
#member, offsetof(struct base, member), TYPE_##type, NULL, 0                                 \
	}
#define AS(base, name, member, type)                                                                         \
	{                                                                                                    \
		name, offsetof(struct base, member), TYPE_##type, NULL, 0                                    \
	}
#define WORD(base, member, words, count)                                                                     \
	{                                                                                                    \
#member, offsetof(struct base, member), TYPE_WORD, words##_str, count                        \
	}
#define WORD_AS(base, name, member, words, count)                                                            \
	{                                                                                                    \
		name, offsetof(struct base, member), TYPE_WORD, words##_str, count                           \
	}
#define EACH(base, name, member, type, words, count)                                                         \
	{                                                                                                    \
		name, offsetof(struct base, member), TYPE_##type, words##_str, count                         \
	}

static const struct trace_field policy_fields[] = {
	FIELD(policy, loop, I64),
	FIELD(policy, stale, I64),
	FIELD(policy, bad_health, I64),
	FIELD(policy, shutdown, I64),
	FIELD(policy, starting, I64),
	FIELD(policy, away, I64),
	FIELD(policy, unexpected, I64),
	FIELD(policy, retry_window, I64),
	FIELD(policy, healthy_clears, I64),
	FIELD(policy, untaken, I64),
	FIELD(policy, paused, I64),
	FIELD(policy, kill_limit, I64),
	FIELD(policy, owner_retry, I64),
	FIELD(policy, migration, I64),
	FIELD(policy, rank_delay, I64),
	FIELD(policy, better_held, I64),
	FIELD(policy, move_interval, I64),
	FIELD(policy, better_threshold, I32),
	FIELD(policy, cpu_load_from, U32),
	FIELD(policy, cpu_load_to, U32),
	AS(policy, "network_samples", network.samples, U32),
	AS(policy, "network_ms", network.ms, I64),
	AS(policy, "cpu_samples", cpu.samples, U32),
	AS(policy, "cpu_ms", cpu.ms, I64),
	AS(policy, "other_samples", other.samples, U32),
	AS(policy, "other_ms", other.ms, I64),
	FIELD(policy, require_watchdog, BOOL),
	FIELD(policy, live_migration, BOOL),
	AS(policy, "base", weights.base, I32),
	AS(policy, "weight_network", weights.network, I32),
	AS(policy, "weight_mgmt_bridge", weights.mgmt_bridge, I32),
	AS(policy, "weight_cpu_load", weights.cpu_load, I32),
	AS(policy, "weight_memory", weights.memory, I32),
	AS(policy, "weight_config", weights.config, I32),
	AS(policy, "weight_retry", weights.retry, I32),
	AS(policy, "io_timeout_s", lease.io_timeout_s, U32),
	AS(policy, "watchdog_fire_s", lease.watchdog_fire_s, U32),
};

static const struct trace_field machine_fields[] = {
	WORD(machine, state, state, STATE_COUNT),
	FIELD(machine, entered, MOMENT),
	FIELD(machine, deadline, MOMENT),
	WORD(machine, reason, reason, REASON_COUNT),
	WORD(machine, in_flight, action, ACTION_COUNT),
	FIELD(machine, in_flight_since, MOMENT),
	FIELD(machine, shutdown_refused, BOOL),
	FIELD(machine, must_leave, BOOL),
	FIELD(machine, migrate_to, U16),
	FIELD(machine, migrate_score, I32),
	FIELD(machine, cancel_at, MOMENT),
	FIELD(machine, failed_tries, U32),
	FIELD(machine, last_failed, MOMENT),
	FIELD(machine, crashes, U32),
	FIELD(machine, last_crash, MOMENT),
	FIELD(machine, lease_refusals, U32),
	FIELD(machine, refused_at, MOMENT),
	FIELD(machine, next_owner_try, MOMENT),
	FIELD(machine, unexpected_until, MOMENT),
	FIELD(machine, healthy_since, MOMENT),
	FIELD(machine, lease_free_since, MOMENT),
	FIELD(machine, free_version, U64),
	FIELD(machine, version_since, MOMENT),
	FIELD(machine, start_due_since, MOMENT),
	FIELD(machine, better_since, MOMENT),
	FIELD(machine, last_move, MOMENT),
	FIELD(machine, unknown_since, MOMENT),
	FIELD(machine, paused_since, MOMENT),
	FIELD(machine, config_since, MOMENT),
	FIELD(machine, held_version, U64),
	FIELD(machine, held_at, MOMENT),
	FIELD(machine, gave_lease, MOMENT),
	FIELD(machine, resume_version, U64),
	FIELD(machine, kill_since, MOMENT),
	FIELD(machine, next_kill, MOMENT),
	EACH(machine, "cause.", scores.causes, CAUSES, monitor, MONITOR_COUNT),
	EACH(machine, "penalty.", scores, PENALTIES, penalty, PENALTY_COUNT),
};

static const struct trace_field cluster_fields[] = {
	FIELD(cluster, host_id, U16),
	FIELD(cluster, generation, U64),
	WORD(cluster, membership, membership, MEMBERSHIP_COUNT),
	FIELD(cluster, hosts_known, BOOL),
	FIELD(cluster, whiteboard_read, BOOL),
	WORD(cluster, maintenance, flag, FLAG_COUNT),
	FIELD(cluster, maintenance_read, BOOL),
	WORD(cluster, watchdog, watchdog, WATCHDOG_COUNT),
	WORD(cluster, block, block_reason, BLOCK_REASON_COUNT),
	AS(cluster, "io_timeout_s", lease.io_timeout_s, U32),
	AS(cluster, "watchdog_fire_s", lease.watchdog_fire_s, U32),
	WORD(cluster, owner, owner_kind, OWNER_KIND_COUNT),
	FIELD(cluster, owner_id, U16),
	FIELD(cluster, owner_generation, U64),
	FIELD(cluster, owner_version, U64),
	FIELD(cluster, owner_begun, MOMENT),
	FIELD(cluster, qemu_pid, I32),
	WORD(cluster, held, held, HELD_COUNT),
	FIELD(cluster, held_begun, MOMENT),
	EACH(cluster, "monitor.", monitors, SAMPLES, monitor, MONITOR_COUNT),
};

static const struct trace_field vm_fields[] = {
	WORD(vm_facts, vm, vm, VM_COUNT),
	WORD(vm_facts, detail, detail, DETAIL_COUNT),
	WORD(vm_facts, pause, pause, PAUSE_COUNT),
	WORD(vm_facts, reason, engine_reason, ENGINE_REASON_COUNT),
	FIELD(vm_facts, running_since, MOMENT),
	FIELD(vm_facts, seen_at, MOMENT),
	FIELD(vm_facts, memory_mib, I32),
	FIELD(vm_facts, look_old, BOOL),
	FIELD(vm_facts, leaving, BOOL),
};

static const struct trace_field known_fields[] = {
	FIELD(snapshot, local_maintenance, BOOL),
	FIELD(snapshot, stop_wanted, BOOL),
	FIELD(snapshot, config_outdated, BOOL),
	FIELD(snapshot, broker_answers, BOOL),
	WORD(snapshot, wanted, action, ACTION_COUNT),
	FIELD(snapshot, local_unknown, BOOL),
	FIELD(snapshot, wanted_host, U16),
	FIELD(snapshot, announced, U16),
};

static const struct trace_field peer_fields[] = {
	WORD(peer, fault, record_fault, RECORD_FAULT_COUNT),
	AS(peer, "timestamp", claim.timestamp, U64),
	AS(peer, "generation", claim.generation, U64),
	AS(peer, "score", claim.score, I32),
	WORD_AS(peer, "vm", claim.vm, vm, VM_COUNT),
	WORD_AS(peer, "health", claim.health, health, HEALTH_COUNT),
	WORD_AS(peer, "detail", claim.detail, detail, DETAIL_COUNT),
	AS(peer, "maintenance", claim.maintenance, BOOL),
	AS(peer, "stopped", claim.stopped, BOOL),
	AS(peer, "migrating_to", claim.migrating_to, U16),
	AS(peer, "io_timeout_s", claim.io_timeout_s, U32),
	AS(peer, "watchdog_fire_s", claim.watchdog_fire_s, U32),
	FIELD(peer, first_seen, MOMENT),
	FIELD(peer, changed_at, MOMENT),
	FIELD(peer, able_since, MOMENT),
	FIELD(peer, vm_since, MOMENT),
	WORD(peer, host, host_state, HOST_STATE_COUNT),
	FIELD(peer, host_generation, U64),
	FIELD(peer, host_timestamp, U64),
	FIELD(peer, renewed_at, MOMENT),
	FIELD(peer, claim_generation, U64),
	FIELD(peer, moves_at, MOMENT),
	FIELD(peer, moves_generation, U64),
	FIELD(peer, alien_since, MOMENT),
	FIELD(peer, alien_advances, U8),
};
const struct trace_fields trace_policy_fields = {policy_fields, LENGTH(policy_fields)};
const struct trace_fields trace_machine_fields = {machine_fields, LENGTH(machine_fields)};
const struct trace_fields trace_cluster_fields = {cluster_fields, LENGTH(cluster_fields)};
const struct trace_fields trace_vm_fields = {vm_fields, LENGTH(vm_fields)};
const struct trace_fields trace_known_fields = {known_fields, LENGTH(known_fields)};
const struct trace_fields trace_peer_fields = {peer_fields, LENGTH(peer_fields)};

void trace_init(struct trace *trace, struct peer *peers, size_t max_peers)
{
	assert(max_peers <= HOST_ID_MAX);
	*trace = (struct trace){
		.policy = policy_default,
		.known = {.peers = peers, .vm = {.running_since = MONO_UNSET}},
		.peers = peers,
		.max_peers = max_peers,
	};
	machine_init(&trace->machine, 0);
}
