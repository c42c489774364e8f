/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tells guard_rule.c what the guard would know, and does what it says. While no QEMU lives it does not tick:
 * there is nothing to kill. Called by sim_host.c, and by broker and agent through their ports. */
#include "tests/sim/sim_guard.h"

#include <errno.h>
#include <string.h>

#define TICK_MS 1000 /* while a QEMU survives */
#define AGAIN_MS 100
#define ANSWER_MS 2
#define STANDS_MS 500
#define KILL_WAIT_MS 1000 /* lockspace/guard_protocol.h */

#define OF(pointer, member) ((struct sim_guard *)((char *)(pointer)-offsetof(struct sim_guard, member)))

static mono_t now_of(const struct sim_guard *guard)
{
	return sim_clock_mono(guard->clock);
}

static bool stands(const struct sim_guard *guard)
{
	return sim_stands(guard->sim, guard->clock->host, SIM_DAEMON_GUARD);
}

static void set_tick(struct sim_guard *guard, int64_t ms)
{
	guard->ticks_at = mono_add(now_of(guard), ms);
	sim_set(guard->sim, &guard->tick, guard->clock->host, sim_clock_due(guard->clock, guard->ticks_at));
}

static void watch_reset(struct sim_guard *guard)
{
	mono_t now = now_of(guard);

	guard->facts = (struct guard_facts){.qemu_seen = MONO_UNSET,
					    .renewed = MONO_UNSET,
					    .since = now,
					    .asked = now,
					    .io_timeout_s = guard->sanlock->timing.io_timeout_s};
}

static void word_take(struct sim_guard *guard, enum guard_word word, mono_t now)
{
	if (word != guard->facts.word) {
		guard->facts.since = now;
		if (word == WORD_JOINED)
			guard->facts.renewed = MONO_UNSET;
	}
	guard->facts.word = word;
	guard->facts.asked = now;
}

static void hear(struct sim_guard *guard, mono_t now)
{
	const struct sim_sanlock *sanlock = guard->sanlock;

	if (!sanlock->running)
		word_take(guard, WORD_GONE, now);
	else if (sanlock->space == SIM_SPACE_NONE || sanlock->space == SIM_SPACE_LEAVING ||
		 sanlock->space == SIM_SPACE_ADDING)
		word_take(guard, WORD_OUT, now);
	else
		word_take(guard, WORD_JOINED, now);
	if (guard->facts.word == WORD_JOINED && sanlock->renewed > guard->facts.renewed)
		guard->facts.renewed = sanlock->renewed;
	guard->facts.watchdog = guard->require_watchdog && sanlock->running && sanlock->has_watchdog;
}

/* sanlock's answer; a stopped daemon gives none. */
static void ask(struct sim_guard *guard, mono_t now)
{
	if (!guard->sanlock->stopped)
		hear(guard, now);
}

/* Not later than that. */
static void tick_within(struct sim_guard *guard, int64_t ms)
{
	if (!sim_is_set(&guard->tick) || guard->ticks_at > mono_add(now_of(guard), ms))
		set_tick(guard, ms);
}

static int64_t gap_of(const struct sim_guard *guard)
{
	return guard->survives_since == MONO_UNSET ? guard_ask_gap(&guard->facts, now_of(guard)) : TICK_MS;
}

static void kill_qemu(struct sim_guard *guard, mono_t now)
{
	guard->kills++;
	if (guard->survives_since == MONO_UNSET || guard->survivor != guard->vm->number)
		guard->survives_since = now;
	guard->survivor = guard->vm->number;
	tick_within(guard, TICK_MS);
	sim_vm_kill(guard->vm, END_CRASHED);
}

static void tick_fired(struct sim_event *event)
{
	struct sim_guard *guard = OF(event, tick);
	mono_t now = now_of(guard);
	bool out;

	if (guard->vm->pid == 0) {
		guard->survives_since = MONO_UNSET;
		guard->facts.qemu_seen = MONO_UNSET;
		return;
	}
	guard->facts.slept_ms = guard->clock->boot_ahead_ms - guard->boot_ahead_ms;
	guard->boot_ahead_ms = guard->clock->boot_ahead_ms;
	ask(guard, now);
	set_tick(guard, gap_of(guard));
	if (guard->proc_fails)
		return;
	out = guard->facts.word == WORD_GONE || guard->facts.word == WORD_OUT;
	if (out && guard->facts.qemu_seen == MONO_UNSET) {
		guard->facts.qemu_seen = now;
		set_tick(guard, AGAIN_MS); /* a younger answer is needed */
	} else if (!out) {
		guard->facts.qemu_seen = MONO_UNSET;
	}
	if (guard_judge(&guard->facts, now) != GUARD_FINE)
		kill_qemu(guard, now);
	guard->facts.slept_ms = 0;
	/* Rule 12. */
	if (guard->survives_since != MONO_UNSET && guard->survivor == guard->vm->number &&
	    guard_must_reset(guard->survives_since, now)) {
		guard->resets++;
		guard->reset(guard->data, "QEMU survives SIGKILL");
	}
}

/* It has asked all along, nobody heard it: the last time just now, so that the next question is as late as it
 * can be. What a stopped daemon would say is what it had said. */
void sim_guard_begun(struct sim_guard *guard)
{
	if (!guard->running || sim_is_set(&guard->tick))
		return;
	hear(guard, now_of(guard));
	guard->boot_ahead_ms = guard->clock->boot_ahead_ms;
	set_tick(guard, stands(guard) ? ANSWER_MS : gap_of(guard));
}

void sim_guard_resumed(struct sim_guard *guard, int64_t ms)
{
	if (guard->running && sim_is_set(&guard->tick) && ms >= GUARD_RESUME_MS)
		set_tick(guard, ANSWER_MS);
}

void sim_guard_sanlock_ended(struct sim_guard *guard)
{
	mono_t now = now_of(guard);

	if (!guard->running)
		return;
	if (stands(guard)) {
		tick_within(guard, ANSWER_MS); /* it asks when it goes on */
		return;
	}
	word_take(guard, WORD_GONE, now);
	guard->facts.watchdog = false;
	tick_within(guard, gap_of(guard));
	if (guard->vm->pid != 0 && !guard->proc_fails)
		kill_qemu(guard, now);
}

static void fence_set(struct sim_fence *fence, int64_t ms)
{
	sim_set(fence->guard->sim, &fence->ends, fence->guard->clock->host,
		sim_clock_due(fence->guard->clock, mono_add(now_of(fence->guard), ms)));
}

static void fence_fired(struct sim_event *event)
{
	struct sim_fence *fence = (struct sim_fence *)((char *)event - offsetof(struct sim_fence, ends));
	struct sim_guard *guard = fence->guard;

	if (fence->resets && guard->running && stands(guard)) {
		fence_set(fence, STANDS_MS); /* the request waits in its socket */
		return;
	}
	fence->under_way = false;
	if (fence->resets && guard->running)
		guard->reset(guard->data, "asked by the agent");
	else if (fence->resets)
		fence->failed(fence->data, -ECONNREFUSED);
	else if (!guard->running)
		fence->killed(fence->data, -ECONNREFUSED, -1);
	else if (sim_is_set(&fence->served)) {
		sim_cancel(guard->sim, &fence->served); /* the guard drops what its client gave up */
		fence->killed(fence->data, -ETIMEDOUT, -1);
	} else if (guard->proc_fails)
		fence->killed(fence->data, -EACCES, 0);
	else
		fence->killed(fence->data, 0, guard->vm->pid != 0);
}

static void fence_served(struct sim_event *event)
{
	struct sim_fence *fence = (struct sim_fence *)((char *)event - offsetof(struct sim_fence, served));
	struct sim_guard *guard = fence->guard;

	if (!guard->proc_fails && guard->vm->pid != 0)
		kill_qemu(guard, now_of(guard));
	fence_set(fence, sim_is_set(&guard->vm->dies) ? 10 : KILL_WAIT_MS);
}

static int fence_kill(struct fence_port *port, mono_t deadline,
		      void (*done)(void *data, int error, int alive), void *data)
{
	struct sim_fence *fence = (struct sim_fence *)port;
	struct sim_guard *guard = fence->guard;

	if (fence->under_way)
		return -EBUSY;
	fence->under_way = true;
	fence->resets = false;
	fence->killed = done;
	fence->data = data;
	if (guard->running && stands(guard)) {
		sim_set(guard->sim, &fence->served, guard->clock->host, guard->sim->now);
		fence_set(fence, deadline > now_of(guard) ? deadline - now_of(guard) : ANSWER_MS);
	} else if (guard->running && !guard->proc_fails && guard->vm->pid != 0) {
		kill_qemu(guard, now_of(guard));
		fence_set(fence, sim_is_set(&guard->vm->dies) ? 10 : KILL_WAIT_MS);
	} else {
		fence_set(fence, ANSWER_MS);
	}
	return 0;
}

static int fence_reset(struct fence_port *port, const char *why, void (*done)(void *data, int error),
		       void *data)
{
	struct sim_fence *fence = (struct sim_fence *)port;

	if (fence->under_way)
		return -EBUSY;
	fence->under_way = fence->resets = true;
	fence->failed = done;
	fence->data = data;
	fence_set(fence, ANSWER_MS);
	return 0;
}

static void storage_ends_fired(struct sim_event *event)
{
	struct sim_fence *fence =
		(struct sim_fence *)((char *)event - offsetof(struct sim_fence, storage_ends));
	struct sim_guard *guard = fence->guard;
	mono_t now = now_of(guard);
	int error = !guard->running ? -ECONNREFUSED : guard->proc_fails ? -EACCES : 0;

	if (guard->running && stands(guard) && now < fence->storage_deadline) {
		sim_set(guard->sim, event, guard->clock->host,
			sim_clock_due(guard->clock, mono_add(now, STANDS_MS)));
		return;
	}
	if (guard->running && stands(guard))
		error = -ETIMEDOUT;
	if (error == 0) {
		guard->storage_ends += sim_disk_end_daemon(guard->vm->disk);
		sim_vm_storage(guard->vm, false);
	}
	fence->storage_ended(fence->storage_data, error, 0);
}

static int fence_end_storage(struct fence_port *port, mono_t deadline,
			     void (*done)(void *data, int error, int alive), void *data)
{
	struct sim_fence *fence = (struct sim_fence *)port;
	struct sim_guard *guard = fence->guard;

	if (sim_is_set(&fence->storage_ends))
		return -EBUSY;
	fence->storage_deadline = deadline;
	fence->storage_ended = done;
	fence->storage_data = data;
	sim_set(guard->sim, &fence->storage_ends, guard->clock->host,
		sim_clock_due(guard->clock, mono_add(now_of(guard), ANSWER_MS)));
	return 0;
}

static int fence_listens(struct fence_port *port)
{
	return ((struct sim_fence *)port)->guard->running ? 0 : -ECONNREFUSED;
}

static void fence_port_close(struct fence_port *port)
{
	sim_fence_close((struct sim_fence *)port);
}

void sim_fence_close(struct sim_fence *fence)
{
	sim_cancel(fence->guard->sim, &fence->ends);
	sim_cancel(fence->guard->sim, &fence->served);
	sim_cancel(fence->guard->sim, &fence->storage_ends);
	fence->under_way = false;
}

static void fence_init(struct sim_fence *fence, struct sim_guard *guard, enum sim_daemon client)
{
	fence->port = (struct fence_port){fence_kill, fence_end_storage, fence_reset, fence_listens,
					  fence_port_close};
	fence->guard = guard;
	fence->ends.fire = fence_fired;
	fence->storage_ends.fire = storage_ends_fired;
	fence->ends.kind = fence->served.kind = fence->storage_ends.kind = SIM_GUARD;
	fence->ends.daemon = fence->storage_ends.daemon = client;
	fence->served.fire = fence_served;
	fence->served.daemon = SIM_DAEMON_GUARD;
}

void sim_guard_start(struct sim_guard *guard)
{
	guard->running = true;
	guard->boot_ahead_ms = guard->clock->boot_ahead_ms;
	/* systemd has kept it for who lives still. */
	if (guard->vm->pid == 0 || guard->survivor != guard->vm->number)
		guard->survives_since = MONO_UNSET;
	watch_reset(guard);
	if (guard->vm->pid != 0)
		set_tick(guard, ANSWER_MS);
}

void sim_guard_crash(struct sim_guard *guard)
{
	guard->running = false;
	sim_cancel(guard->sim, &guard->tick);
	sim_cancel(guard->sim, &guard->broker_fence.served);
	sim_cancel(guard->sim, &guard->agent_fence.served);
}

void sim_guard_init(struct sim_guard *guard, struct sim_vm *vm)
{
	memset(guard, 0, sizeof(*guard));
	guard->sim = vm->sim;
	guard->clock = vm->clock;
	guard->sanlock = vm->sanlock;
	guard->vm = vm;
	guard->survives_since = MONO_UNSET;
	guard->tick.fire = tick_fired;
	guard->tick.kind = SIM_GUARD;
	guard->tick.daemon = SIM_DAEMON_GUARD;
	fence_init(&guard->broker_fence, guard, SIM_DAEMON_BROKER);
	fence_init(&guard->agent_fence, guard, SIM_DAEMON_AGENT);
}
