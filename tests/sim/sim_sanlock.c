/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lockspace half of the model: join, renewal, loss, leave, and what is seen of others; sim_acquire.c has
 * the leases. It decides what sanlock would; nothing here knows of VMs. Called by sim_lease.c and sim_host.c.
 */
#include "tests/sim/sim_sanlock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim_acquire.h"

#define RETRY_MS 1000
#define WATCHDOG_PET_MS 10000 /* wdmd looks so often, and pets the device */

#define OF(pointer, member) ((struct sim_sanlock *)((char *)(pointer)-offsetof(struct sim_sanlock, member)))

static mono_t now_of(struct sim_sanlock *sanlock)
{
	return sim_clock_mono(sanlock->clock);
}

/* At a moment of the host's clock. */
static void set_event(struct sim_sanlock *sanlock, struct sim_event *event, mono_t at)
{
	sim_set(sanlock->sim, event, sanlock->clock->host, sim_clock_due(sanlock->clock, at));
}

static struct sim_delta *own_delta(struct sim_sanlock *sanlock)
{
	return &sanlock->disk->storage->deltas[sanlock->host_id];
}

static bool delta_is_ours(struct sim_sanlock *sanlock)
{
	const struct sim_delta *delta = own_delta(sanlock);

	return delta->name == sanlock->name && delta->generation == sanlock->generation &&
	       delta->timestamp != 0;
}

static void write_delta(struct sim_io *io)
{
	struct sim_storage *storage = io->disk->storage;

	storage->deltas[io->id] = io->delta;
	if (io->id > storage->highest_id)
		storage->highest_id = io->id;
}

static void see_all(struct sim_sanlock *sanlock)
{
	const struct sim_storage *storage = sanlock->disk->storage;
	mono_t now = now_of(sanlock);

	if (sanlock->n_seen <= storage->highest_id) {
		size_t n = (size_t)storage->highest_id + 1;

		sanlock->seen = reallocarray(sanlock->seen, n, sizeof(*sanlock->seen));
		if (!sanlock->seen)
			abort();
		for (size_t i = sanlock->n_seen; i < n; i++)
			sanlock->seen[i] =
				(struct sim_seen){.first_check = MONO_UNSET, .last_live = MONO_UNSET};
		sanlock->n_seen = n;
	}
	for (uint16_t id = 1; id <= storage->highest_id; id++) {
		const struct sim_delta *delta = &storage->deltas[id];
		struct sim_seen *seen = &sanlock->seen[id];

		if (seen->first_check == MONO_UNSET)
			seen->first_check = now;
		if (seen->timestamp == delta->timestamp && seen->generation == delta->generation)
			continue;
		seen->timestamp = delta->timestamp;
		seen->generation = delta->generation;
		seen->io_timeout_s = delta->io_timeout_s;
		seen->last_live = now;
	}
	sanlock->checked = true;
}

enum host_state sim_sanlock_state(const struct sim_sanlock *sanlock, uint16_t id, mono_t now)
{
	const struct sim_seen *seen;
	struct lease_timing timing = sanlock->timing;
	mono_t last;

	if (id >= sanlock->n_seen || sanlock->seen[id].timestamp == 0)
		return HOST_ABSENT;
	seen = &sanlock->seen[id];
	if (seen->io_timeout_s != 0)
		timing.io_timeout_s = seen->io_timeout_s;
	last = seen->last_live != MONO_UNSET ? seen->last_live : seen->first_check;
	if (id == sanlock->host_id)
		return HOST_LIVE;
	if (now - last <= lease_fail_ms(&timing))
		return seen->first_check == seen->last_live ? HOST_UNKNOWN : HOST_LIVE;
	return now - last > lease_dead_ms(&timing) ? HOST_DEAD : HOST_FAIL;
}

/* The lockspace is gone from the daemon. */
static void space_end(struct sim_sanlock *sanlock)
{
	sanlock->space = SIM_SPACE_NONE;
	sanlock->disk->life++;
	sanlock->checked = false;
	for (size_t i = 0; i < sanlock->n_seen; i++)
		sanlock->seen[i] = (struct sim_seen){.first_check = MONO_UNSET, .last_live = MONO_UNSET};
	sim_cancel(sanlock->sim, &sanlock->renew);
	sim_cancel(sanlock->sim, &sanlock->fail);
	sim_cancel(sanlock->sim, &sanlock->fires);
	sim_cancel(sanlock->sim, &sanlock->join_step);
	sim_cancel(sanlock->sim, &sanlock->kill_step);
	if (sanlock->renewal)
		sanlock->renewal->end = NULL;
	if (sanlock->joining)
		sanlock->joining->end = NULL;
	sanlock->renewal = sanlock->joining = NULL;
	sim_acquire_space_gone(sanlock);
}

static void kill_step_fired(struct sim_event *event)
{
	struct sim_sanlock *sanlock = OF(event, kill_step);

	if (sanlock->stopped)
		return;
	for (int i = 0; i < SIM_LEASE_COUNT; i++)
		if (sanlock->holders[i] != 0) {
			sanlock->calls->kill(sanlock->data, (enum sim_lease_id)i);
			set_event(sanlock, event, mono_add(now_of(sanlock), RETRY_MS));
			return;
		}
	space_end(sanlock);
}

static void space_lost(struct sim_sanlock *sanlock)
{
	if (sanlock->space != SIM_SPACE_JOINED)
		return;
	sanlock->space = SIM_SPACE_KILLING;
	sanlock->losses++;
	sim_cancel(sanlock->sim, &sanlock->renew);
	sim_cancel(sanlock->sim, &sanlock->fail);
	set_event(sanlock, &sanlock->kill_step, now_of(sanlock));
}

static void fail_fired(struct sim_event *event)
{
	struct sim_sanlock *sanlock = OF(event, fail);

	if (!sanlock->stopped)
		space_lost(sanlock);
}

static void fires_fired(struct sim_event *event)
{
	struct sim_sanlock *sanlock = OF(event, fires);

	sanlock->calls->reset(sanlock->data);
}

static void renew_good(struct sim_sanlock *sanlock, mono_t begun)
{
	const struct lease_timing *t = &sanlock->timing;
	mono_t fail = mono_add(begun, lease_fail_ms(t));
	int64_t fire_ms = t->watchdog_fire_s * MONO_SECOND -
			  sim_random_between(&sanlock->sim->random, 0, WATCHDOG_PET_MS);

	sanlock->renewed = begun;
	set_event(sanlock, &sanlock->renew, mono_add(begun, lease_renew_ms(t)));
	set_event(sanlock, &sanlock->fail, fail);
	/* The device is not held up with its host. */
	if (sanlock->has_watchdog)
		sim_set(sanlock->sim, &sanlock->fires, 0,
			sim_clock_due(sanlock->clock, mono_add(fail, fire_ms)));
}

static void renewal_land(struct sim_io *io)
{
	const struct sim_delta *delta = &io->disk->storage->deltas[io->id];

	/* One that lands late, of a daemon that is gone, writes all the same. */
	if (io->end == NULL) {
		write_delta(io);
		return;
	}
	if (delta->name != io->delta.name || delta->generation != io->delta.generation) {
		io->error = -EXDEV; /* another host has our id */
		return;
	}
	write_delta(io);
}

static void renewal_end(struct sim_io *io, int error)
{
	struct sim_sanlock *sanlock = io->owner;
	mono_t now = now_of(sanlock);
	bool late = now - io->begun > sanlock->timing.io_timeout_s * MONO_SECOND;

	sanlock->renewal = NULL;
	if (sanlock->space != SIM_SPACE_JOINED)
		return;
	if (error == -EXDEV) {
		space_lost(sanlock);
		return;
	}
	if (error == 0)
		see_all(sanlock);
	if (error == 0 && !late)
		renew_good(sanlock, io->begun);
	else
		set_event(sanlock, &sanlock->renew, mono_add(now, RETRY_MS));
}

static void renew_fired(struct sim_event *event)
{
	struct sim_sanlock *sanlock = OF(event, renew);
	struct sim_io *io;

	if (sanlock->stopped || sanlock->renewal)
		return; /* one that hangs is waited for */
	io = sim_io_new(sanlock->disk);
	io->write = io->areas = true;
	io->land = renewal_land;
	io->end = renewal_end;
	io->owner = sanlock;
	io->begun = now_of(sanlock);
	io->id = sanlock->host_id;
	io->delta = (struct sim_delta){.timestamp = (uint64_t)(io->begun / MONO_SECOND),
				       .generation = sanlock->generation,
				       .name = sanlock->name,
				       .io_timeout_s = sanlock->timing.io_timeout_s};
	sanlock->renewal = io;
	sim_io_begin(io);
}

static void join_failed(struct sim_sanlock *sanlock)
{
	space_end(sanlock);
}

static void join_land(struct sim_io *io)
{
	struct sim_sanlock *sanlock = io->owner;
	struct sim_delta *delta = &io->disk->storage->deltas[io->id];
	mono_t now;

	if (io->end == NULL) /* given up: sanlock's write would come after a read that found it free */
		return;
	now = now_of(sanlock);
	if (delta->timestamp != 0 && delta->name != sanlock->name) {
		/* Another name's: it has to be dead. */
		if (sanlock->foreign_timestamp == 0)
			sanlock->foreign_timestamp = delta->timestamp;
		if (sanlock->foreign_timestamp != delta->timestamp) {
			io->error = -EBUSY;
			return;
		}
		if (now - sanlock->join_begun <= lease_dead_ms(&sanlock->timing)) {
			io->error = -EAGAIN;
			return;
		}
	}
	io->delta.generation = delta->generation + 1;
	write_delta(io);
	sanlock->generation = io->delta.generation;
	sanlock->stamp = io->delta.timestamp;
}

static void join_write_end(struct sim_io *io, int error)
{
	struct sim_sanlock *sanlock = io->owner;
	mono_t now = now_of(sanlock);

	sanlock->joining = NULL;
	if (error == -EAGAIN) {
		set_event(sanlock, &sanlock->join_step, mono_add(now, RETRY_MS));
		return;
	}
	if (error < 0) {
		join_failed(sanlock);
		return;
	}
	sanlock->renewed = io->begun;
	set_event(sanlock, &sanlock->join_step, mono_add(now, lease_renew_ms(&sanlock->timing) + RETRY_MS));
}

static void join_read_end(struct sim_io *io, int error)
{
	struct sim_sanlock *sanlock = io->owner;

	sanlock->joining = NULL;
	sim_cancel(sanlock->sim, &sanlock->join_step);
	if (error < 0 || !delta_is_ours(sanlock) || own_delta(sanlock)->timestamp != sanlock->stamp) {
		join_failed(sanlock);
		return;
	}
	sanlock->space = SIM_SPACE_JOINED;
	sanlock->joins++;
	renew_good(sanlock, sanlock->renewed);
	/* Measured: get_hosts knows nothing for 2 to 3 N after a join. */
	set_event(sanlock, &sanlock->renew, mono_add(now_of(sanlock), lease_renew_ms(&sanlock->timing)));
}

/* Writes the claim, waits, reads it back. */
static void join_step_fired(struct sim_event *event)
{
	struct sim_sanlock *sanlock = OF(event, join_step);
	bool reads = sanlock->renewed != MONO_UNSET;
	struct sim_io *io;

	if (sanlock->joining) {
		/* No answer within the I/O timeout. */
		join_failed(sanlock);
		return;
	}
	io = sim_io_new(sanlock->disk);
	io->areas = true;
	io->write = !reads;
	io->land = reads ? NULL : join_land;
	io->end = reads ? join_read_end : join_write_end;
	io->owner = sanlock;
	io->begun = now_of(sanlock);
	io->id = sanlock->host_id;
	io->delta = (struct sim_delta){.timestamp = (uint64_t)(io->begun / MONO_SECOND) + 1,
				       .name = sanlock->name,
				       .io_timeout_s = sanlock->timing.io_timeout_s};
	sanlock->joining = io;
	set_event(sanlock, event, mono_add(io->begun, sanlock->timing.io_timeout_s * MONO_SECOND));
	sim_io_begin(io);
}

int sim_sanlock_join(struct sim_sanlock *sanlock)
{
	assert(sanlock->running);
	if (sanlock->space == SIM_SPACE_JOINED || sanlock->space == SIM_SPACE_KILLING)
		return -EEXIST;
	if (sanlock->space == SIM_SPACE_LEAVING)
		return -EAGAIN;
	if (sanlock->space == SIM_SPACE_ADDING)
		return 0;
	sanlock->space = SIM_SPACE_ADDING;
	sanlock->renewed = MONO_UNSET;
	/* What an earlier join wrote is not what this one reads back when its write is lost. */
	sanlock->generation = sanlock->stamp = 0;
	sanlock->foreign_timestamp = 0;
	sanlock->join_begun = now_of(sanlock);
	set_event(sanlock, &sanlock->join_step, sanlock->join_begun);
	return 0;
}

static void leave_land(struct sim_io *io)
{
	struct sim_delta *delta = &io->disk->storage->deltas[io->id];

	if (delta->name == io->delta.name && delta->generation == io->delta.generation)
		delta->timestamp = 0;
}

static void leave_end(struct sim_io *io, int error)
{
	struct sim_sanlock *sanlock = io->owner;
	void (*left)(void *data, int error) = sanlock->left;

	sanlock->joining = NULL;
	sanlock->left = NULL;
	space_end(sanlock);
	if (left)
		left(sanlock->left_data, error);
}

int sim_sanlock_leave(struct sim_sanlock *sanlock, void (*left)(void *data, int error), void *data)
{
	struct sim_io *io;

	if (sanlock->space == SIM_SPACE_NONE)
		return -ENOENT;
	if (sanlock->space != SIM_SPACE_JOINED || sanlock->joining)
		return -EBUSY;
	for (int i = 0; i < SIM_LEASE_COUNT; i++)
		if (sanlock->holders[i] != 0 || sanlock->acquires[i].active)
			return -EBUSY;
	sanlock->left = left;
	sanlock->left_data = data;
	sanlock->space = SIM_SPACE_LEAVING;
	sim_cancel(sanlock->sim, &sanlock->renew);
	if (sanlock->renewal)
		sanlock->renewal->end = NULL;
	sanlock->renewal = NULL;
	io = sim_io_new(sanlock->disk);
	io->write = io->areas = true;
	io->land = leave_land;
	io->end = leave_end;
	io->owner = sanlock;
	io->id = sanlock->host_id;
	io->delta = (struct sim_delta){.generation = sanlock->generation, .name = sanlock->name};
	sanlock->joining = io;
	sim_io_begin(io);
	return 0;
}

void sim_sanlock_start(struct sim_sanlock *sanlock)
{
	assert(!sanlock->running);
	sanlock->running = true;
	sanlock->stopped = false;
}

void sim_sanlock_crash(struct sim_sanlock *sanlock)
{
	bool in_lockspace = sanlock->space == SIM_SPACE_JOINED || sanlock->space == SIM_SPACE_KILLING;
	struct sim_entry fires = sim_is_set(&sanlock->fires) ? sanlock->sim->entries[sanlock->fires.place]
							     : (struct sim_entry){0};

	if (!sanlock->running)
		return;
	sanlock->running = false;
	sanlock->stopped = false;
	memset(sanlock->holders, 0, sizeof(sanlock->holders));
	sanlock->registered = 0;
	space_end(sanlock);
	/* wdmd misses its word: the device fires. */
	if (sanlock->has_watchdog && in_lockspace && fires.node)
		sim_set(sanlock->sim, &sanlock->fires, 0, fires.at);
}

void sim_sanlock_power_off(struct sim_sanlock *sanlock)
{
	sanlock->running = sanlock->stopped = false;
	memset(sanlock->holders, 0, sizeof(sanlock->holders));
	sanlock->registered = 0;
	space_end(sanlock);
}

void sim_sanlock_stop(struct sim_sanlock *sanlock, bool stopped)
{
	mono_t now = now_of(sanlock);

	sanlock->stopped = stopped;
	if (stopped || !sanlock->running)
		return;
	if (sanlock->space == SIM_SPACE_KILLING)
		set_event(sanlock, &sanlock->kill_step, now);
	if (sanlock->space != SIM_SPACE_JOINED)
		return;
	sim_acquire_go_on(sanlock);
	if (!sim_is_set(&sanlock->fail))
		set_event(sanlock, &sanlock->fail, now);
	if (!sim_is_set(&sanlock->renew))
		set_event(sanlock, &sanlock->renew, now);
}

void sim_sanlock_init(struct sim_sanlock *sanlock, struct sim *sim, struct sim_clock *clock,
		      struct sim_disk *disk)
{
	struct sim_event *const events[] = {&sanlock->renew, &sanlock->fail, &sanlock->fires,
					    &sanlock->join_step, &sanlock->kill_step};

	memset(sanlock, 0, sizeof(*sanlock));
	sanlock->sim = sim;
	sanlock->clock = clock;
	sanlock->disk = disk;
	sanlock->renewed = MONO_UNSET;
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		events[i]->kind = SIM_SANLOCK;
	sanlock->renew.fire = renew_fired;
	sanlock->fail.fire = fail_fired;
	sanlock->fires.fire = fires_fired;
	sanlock->join_step.fire = join_step_fired;
	sanlock->kill_step.fire = kill_step_fired;
	sim_acquire_init(sanlock);
}

void sim_sanlock_done(struct sim_sanlock *sanlock)
{
	sim_sanlock_power_off(sanlock);
	free(sanlock->seen);
	sanlock->seen = NULL;
	sanlock->n_seen = 0;
}
