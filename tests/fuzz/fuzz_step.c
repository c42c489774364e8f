/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes become a history of facts, one step after each: whatever a host is told, and however late, the step
 * must keep to what is written here (safety rules, STATES "Checked first"). A result, an event, a silence may
 * come at any moment; only what core's callers promise (DESIGN "The heart") is kept: peers in order, time
 * never goes back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/outlook.h"
#include "core/trace.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/step_walk.h"

#define PEERS 4
#define SPIN_MAX 20
#define LINE_SIZE 16384
#define ROUND_TRIP_EVERY 64
#define NOW (1000 * MONO_SECOND)

uint64_t step_walk_steps;

struct history {
	const uint8_t *at, *end;
	struct trace trace;
	struct peer peers[PEERS];
	struct step last;
};

#define REQUIRE(condition)                                                                                   \
	do {                                                                                                 \
		if (!(condition))                                                                            \
			broken(h, step, #condition, __LINE__);                                               \
	} while (0)

/* Says what is wrong with an input that can be replayed. */
static void broken(const struct history *h, const struct step *step, const char *condition, int line)
{
	static char text[LINE_SIZE];

	trace_format(&h->trace.machine, &h->trace.known, &h->trace.policy, h->trace.now, text, sizeof(text));
	fprintf(stderr, "fuzz_step.c:%d: not %s\ninput: %s\nstep: %s reason=%s", line, condition, text,
		state_str(step->next.state), reason_str(step->reason));
	for (size_t i = 0; i < step->n_actions; i++)
		fprintf(stderr, " do=%s", action_str(step->actions[i]));
	fputc('\n', stderr);
	abort();
}

static uint8_t take(struct history *h)
{
	return h->at < h->end ? *h->at++ : 0;
}

static unsigned pick(struct history *h, unsigned n)
{
	return take(h) % n;
}

/* Some time, mostly short: 0..63 ms, 0..63 s/4, 0..63 s, 0..63 x 10 s. */
static int64_t some_time(struct history *h)
{
	static const int64_t units[] = {1, 250, 1000, 10000};
	uint8_t byte = take(h);

	return units[byte >> 6] * (byte & 63);
}

static bool seldom(struct history *h)
{
	return take(h) < 32;
}

static void change_peer(struct history *h)
{
	struct peer *peer = &h->peers[pick(h, PEERS)];
	struct claim claim = peer->claim;
	mono_t now = h->trace.now;

	switch (pick(h, 8)) {
	case 0:
		peer_observe_fault(peer, RECORD_ABSENT + pick(h, RECORD_FAULT_COUNT - 1), now);
		return;
	case 1:
		peer_observe_host(peer, pick(h, HOST_STATE_COUNT), pick(h, 4), take(h), now);
		return;
	case 2:
		claim.generation = pick(h, 4);
		break;
	case 3:
		claim.vm = pick(h, VM_COUNT);
		claim.detail = pick(h, DETAIL_COUNT);
		break;
	case 4:
		claim.score = (int32_t)pick(h, 18) * 200;
		break;
	case 5:
		claim.stopped = seldom(h);
		claim.maintenance = seldom(h);
		claim.migrating_to = seldom(h) ? 70 : 0;
		break;
	case 6:
		claim.io_timeout_s = pick(h, 3) * 5;
		break;
	default:
		break;
	}
	claim.timestamp += pick(h, 8) ? 1 : (uint64_t)-1;
	peer_observe_claim(peer, &claim, &h->trace.policy.lease, now);
}

static void renew_peers(struct history *h)
{
	for (size_t i = 0; i < PEERS; i++) {
		struct peer *peer = &h->peers[i];

		if (peer->fault == RECORD_OK) {
			struct claim claim = peer->claim;

			claim.timestamp++;
			peer_observe_claim(peer, &claim, &h->trace.policy.lease, h->trace.now);
		}
		if (peer->host == HOST_LIVE)
			peer_observe_host(peer, HOST_LIVE, peer->host_generation, peer->host_timestamp + 1,
					  h->trace.now);
	}
}

static void change_cluster(struct history *h)
{
	struct cluster *c = &h->trace.known.cluster;

	switch (pick(h, 14)) {
	case 0:
		c->membership = seldom(h) ? pick(h, MEMBERSHIP_COUNT) : MEMBERSHIP_JOINED;
		c->generation = c->membership == MEMBERSHIP_JOINED ? 1 + pick(h, 3) : 0;
		break;
	case 1:
		c->hosts_known = !seldom(h);
		c->whiteboard_read = !seldom(h);
		c->maintenance_read = !seldom(h);
		break;
	case 2:
	case 3:
		c->maintenance = pick(h, 4) ? FLAG_NO : pick(h, FLAG_COUNT);
		break;
	case 4:
		c->watchdog = seldom(h) ? pick(h, WATCHDOG_COUNT) : WATCHDOG_HARD;
		c->block = seldom(h) ? pick(h, BLOCK_REASON_COUNT) : BLOCK_NONE;
		break;
	case 5:
	case 6:
		c->owner = pick(h, OWNER_KIND_COUNT);
		c->owner_id = pick(h, 2) ? c->host_id : h->peers[pick(h, PEERS)].id;
		c->owner_generation = pick(h, 4);
		c->owner_version += pick(h, 3);
		break;
	case 7:
		c->qemu_pid = (int32_t)pick(h, 3) - 1;
		c->held = pick(h, HELD_COUNT);
		break;
	default: {
		enum monitor m = pick(h, MONITOR_COUNT);

		c->monitors[m].number += pick(h, 3);
		c->monitors[m].known = !seldom(h);
		c->monitors[m].value = m == MONITOR_NETWORK || m == MONITOR_CPU_LOAD ? (int32_t)take(h) * 4
				       : m == MONITOR_MEM_FREE			     ? (int32_t)take(h) * 64
										     : (int32_t)pick(h, 3);
		break;
	}
	}
}

static void change_vm(struct history *h)
{
	struct vm_facts *vm = &h->trace.known.vm;

	vm->vm = pick(h, 2) ? VM_UP : pick(h, VM_COUNT);
	vm->detail = vm->vm == VM_UP ? DETAIL_UP : DETAIL_DOWN;
	vm->pause = PAUSE_NONE;
	vm->running_since = MONO_UNSET;
	if (vm->vm != VM_UP)
		return;
	if (seldom(h)) {
		vm->pause = pick(h, PAUSE_COUNT);
		vm->detail = pick(h, DETAIL_COUNT);
	} else
		vm->running_since = h->trace.now - some_time(h);
}

/* The VM runs here and all is well with its lease, or it just paused itself on an I/O error. */
static void settle_here(struct history *h, bool paused)
{
	struct cluster *c = &h->trace.known.cluster;
	struct vm_facts *vm = &h->trace.known.vm;

	vm->vm = VM_UP;
	vm->detail = paused ? DETAIL_PAUSED : DETAIL_UP;
	vm->pause = paused ? PAUSE_IO_ERROR : PAUSE_NONE;
	vm->running_since = paused ? MONO_UNSET : h->trace.now - 10 * MONO_SECOND;
	c->qemu_pid = 1;
	c->held = paused ? HELD_NO : HELD_YES;
	c->owner = paused ? OWNER_NOBODY : OWNER_HOST;
	c->owner_id = c->host_id;
	c->owner_generation = c->generation;
	c->owner_version += !paused && h->trace.machine.resume_version != 0;
	c->monitors[MONITOR_STORAGE_DOMAIN] = (struct sample){.number = 1, .value = 1, .known = true};
}

/* A host at peace with itself. */
static void heal(struct history *h)
{
	struct cluster *c = &h->trace.known.cluster;

	c->membership = MEMBERSHIP_JOINED;
	c->generation = c->generation ? c->generation : 1;
	c->hosts_known = c->whiteboard_read = c->maintenance_read = true;
	c->maintenance = FLAG_NO;
	c->watchdog = WATCHDOG_HARD;
	c->block = BLOCK_NONE;
	c->lease = h->trace.policy.lease;
	h->trace.known.local_maintenance = h->trace.known.stop_wanted = h->trace.known.config_outdated =
		false;
	h->trace.known.local_unknown = false;
	h->trace.known.broker_answers = true;
	for (size_t i = 0; i < PEERS; i++) {
		struct claim claim = h->peers[i].claim;

		claim.timestamp++;
		claim.generation = 4;
		claim.stopped = claim.maintenance = false;
		claim.migrating_to = 0;
		claim.io_timeout_s = 0;
		peer_observe_host(&h->peers[i], HOST_LIVE, 4, h->peers[i].host_timestamp + 1, h->trace.now);
		peer_observe_claim(&h->peers[i], &claim, &h->trace.policy.lease, h->trace.now);
	}
}

static void change_facts(struct history *h)
{
	struct snapshot *known = &h->trace.known;

	switch (pick(h, 16)) {
	case 0:
	case 1:
		change_cluster(h);
		break;
	case 2:
		change_vm(h);
		break;
	case 3:
		change_peer(h);
		break;
	case 4:
		known->results[known->n_results++] = (struct result){
			.action = h->trace.machine.in_flight, .outcome = 1 + pick(h, OUTCOME_COUNT - 1)};
		break;
	case 5:
		known->results[known->n_results++] =
			(struct result){.action = pick(h, ACTION_COUNT), .outcome = pick(h, OUTCOME_COUNT)};
		break;
	case 6:
		known->wanted = pick(h, ACTION_COUNT);
		break;
	case 7:
		known->local_maintenance = seldom(h);
		known->local_unknown = seldom(h);
		known->config_outdated = seldom(h);
		break;
	case 8:
		known->broker_answers = !seldom(h);
		known->stop_wanted = seldom(h) && seldom(h);
		break;
	case 9:
		heal(h);
		break;
	case 10:
		if (h->trace.machine.state == STATE_AGENT_STOPPED || seldom(h))
			machine_init(&h->trace.machine, h->trace.now);
		known->stop_wanted = false;
		break;
	case 11:
		settle_here(h, false);
		break;
	case 12:
		settle_here(h, true);
		break;
	default:
		renew_peers(h);
		break;
	}
}

static void pass_time(struct history *h)
{
	struct trace *trace = &h->trace;

	if (pick(h, 4) && step_walk_steps > 0)
		trace->now = h->last.wake > trace->now ? h->last.wake : trace->now;
	else
		trace->now += some_time(h);
	if (!seldom(h)) {
		trace->known.vm.seen_at = trace->now;
		if (trace->known.broker_answers)
			trace->known.cluster.owner_begun = trace->known.cluster.held_begun = trace->now - 1;
	}
}

static bool did(const struct step *step, enum action action)
{
	for (size_t i = 0; i < step->n_actions; i++)
		if (step->actions[i] == action)
			return true;
	return false;
}

static bool ended(const struct snapshot *known, enum action action)
{
	for (size_t i = 0; i < known->n_results; i++)
		if (known->results[i].action == action)
			return true;
	return false;
}

static void check_actions(const struct history *h, const struct step *step)
{
	const struct machine *cur = &h->trace.machine;
	const struct snapshot *known = &h->trace.known;
	const struct cluster *c = &known->cluster;
	bool start = did(step, ACTION_START) || did(step, ACTION_START_PAUSED);
	bool ordered = (known->wanted == ACTION_START || known->wanted == ACTION_START_PAUSED ||
			known->wanted == ACTION_SHUTDOWN || known->wanted == ACTION_DESTROY) &&
		       did(step, known->wanted);

	REQUIRE(step->n_actions <= 1);
	if (start) {
		REQUIRE(known->vm.vm != VM_UP && known->vm.vm != VM_UNKNOWN);
		REQUIRE(known->broker_answers && c->membership == MEMBERSHIP_JOINED);
		REQUIRE(c->block == BLOCK_NONE);
		REQUIRE(!h->trace.policy.require_watchdog || c->watchdog >= WATCHDOG_SOFT);
		REQUIRE(!known->stop_wanted);
	}
	if (start && !ordered) {
		REQUIRE(did(step, ACTION_START));
		REQUIRE(c->maintenance == FLAG_NO && !known->local_maintenance && !known->local_unknown);
		REQUIRE(score_allows_start(&step->score));
		REQUIRE(c->owner != OWNER_UNREAD);
		REQUIRE(step->next.state == STATE_ENGINE_START);
	}
	if (did(step, ACTION_START_PAUSED))
		REQUIRE(c->maintenance == FLAG_YES);
	if (did(step, ACTION_SHUTDOWN) || did(step, ACTION_DESTROY) || did(step, ACTION_RESUME))
		REQUIRE(ordered || (c->maintenance == FLAG_NO && known->broker_answers));
	if (did(step, ACTION_RESUME))
		REQUIRE(known->vm.pause == PAUSE_IO_ERROR && c->owner != OWNER_UNREAD &&
			c->owner_version == step->next.held_version);
	if (did(step, ACTION_KILL))
		REQUIRE(c->qemu_pid != 0 && known->broker_answers);
	if (did(step, ACTION_RESET_HOST))
		REQUIRE(c->qemu_pid > 0 && c->held_begun - cur->kill_since >= h->trace.policy.kill_limit);
	if (step->n_actions > 0 && step->actions[0] < ACTION_DESTROY)
		REQUIRE(cur->in_flight == ACTION_NONE || ended(known, cur->in_flight));
}

static void check_step(const struct history *h, const struct step *step)
{
	const struct machine *cur = &h->trace.machine;
	bool moved = step->next.state != cur->state;

	REQUIRE(step->next.state < STATE_COUNT && step->reason < REASON_COUNT);
	REQUIRE(!moved || machine_allowed(cur->state, step->next.state));
	REQUIRE(!moved || step->next.entered == h->trace.now);
	REQUIRE(step->wake >= h->trace.now && step->wake <= h->trace.now + h->trace.policy.loop);
	REQUIRE(moved || step->wake > h->trace.now);
	REQUIRE(step->score.value >= 0 && step->score.value <= h->trace.policy.weights.base);
	REQUIRE(step->health != HEALTH_UNKNOWN || h->trace.known.vm.vm == VM_UNKNOWN);
	REQUIRE(!h->trace.known.local_maintenance || step->score.value == 0);
	REQUIRE(step->next.state != STATE_AGENT_STOPPED || step->score.value == 0);
	REQUIRE(!step->may_start || score_allows_start(&step->score));
	check_actions(h, step);
}

/* What is logged must give the same step again. */
static void check_round_trip(const struct history *h, const struct step *step)
{
	static char line[LINE_SIZE], again[LINE_SIZE];
	struct peer peers[PEERS];
	struct trace trace;
	struct step replayed;
	size_t at;

	REQUIRE(trace_format(&h->trace.machine, &h->trace.known, &h->trace.policy, h->trace.now, line,
			     sizeof(line)) > 0);
	trace_init(&trace, peers, PEERS);
	REQUIRE(trace_parse(line, &trace, &at) == 0);
	REQUIRE(trace_format(&trace.machine, &trace.known, &trace.policy, trace.now, again, sizeof(again)) >
		0);
	REQUIRE(strcmp(line, again) == 0);
	machine_step(&trace.machine, &trace.known, &trace.policy, trace.now, &replayed);
	REQUIRE(replayed.reason == step->reason && replayed.wake == step->wake &&
		replayed.n_actions == step->n_actions && replayed.score.value == step->score.value &&
		memcmp(replayed.actions, step->actions, sizeof(step->actions)) == 0);
	trace_format(&step->next, &h->trace.known, &h->trace.policy, h->trace.now, line, sizeof(line));
	trace_format(&replayed.next, &trace.known, &trace.policy, trace.now, again, sizeof(again));
	REQUIRE(strcmp(line, again) == 0);
}

static void begin(struct history *h)
{
	static const uint16_t ids[PEERS] = {1, 2, 70, 1999};
	struct policy *policy = &h->trace.policy;

	trace_init(&h->trace, h->peers, PEERS);
	h->trace.now = NOW;
	for (size_t i = 0; i < PEERS; i++)
		peer_init(&h->peers[i], ids[i]);
	h->trace.known.n_peers = PEERS;
	h->trace.known.cluster.host_id = 3;
	h->trace.known.vm.memory_mib = 4096;
	policy->require_watchdog = !seldom(h);
	policy->loop = (1 + (int64_t)pick(h, 10)) * MONO_SECOND;
	policy->lease.io_timeout_s = 1 + pick(h, 10);
	policy->lease.watchdog_fire_s = pick(h, 2) ? 60 : 10;
	h->trace.known.cluster.lease = policy->lease;
	machine_init(&h->trace.machine, NOW);
	if (pick(h, 4))
		heal(h);
}

static void make_step(struct history *h)
{
	struct step step;

	machine_step(&h->trace.machine, &h->trace.known, &h->trace.policy, h->trace.now, &step);
	check_step(h, &step);
	if (step_walk_steps++ % ROUND_TRIP_EVERY == 0)
		check_round_trip(h, &step);
	h->trace.machine = step.next;
	h->last = step;
	h->trace.known.wanted = ACTION_NONE;
	h->trace.known.n_results = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct history history = {.at = data, .end = data + size}, *h = &history;

	begin(h);
	while (h->at < h->end) {
		change_facts(h);
		pass_time(h);
		make_step(h);
		/* The same facts at the same moment come to rest. */
		if (seldom(h))
			continue;
		for (unsigned spin = 0; h->last.wake == h->trace.now; spin++) {
			if (spin > SPIN_MAX)
				broken(h, &h->last, "at rest", __LINE__);
			make_step(h);
		}
	}
	return 0;
}
