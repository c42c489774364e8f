/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Acquire and release of leases, as sanlock's paxos_lease.c decides: who may take an owned lease, and how
 * long it waits to know. The ballot itself is one atomic compare and write. Called by libvirt's model and the
 * broker's block0 port. */
#include "tests/sim/sim_acquire.h"

#include <errno.h>
#include <string.h>

#define POLL_MS 1000
#define EXIT_MS 20 /* until the daemon notices the end of a holder */

static mono_t now_of(struct sim_sanlock *sanlock)
{
	return sim_clock_mono(sanlock->clock);
}

static void set_event(struct sim_sanlock *sanlock, struct sim_event *event, int64_t ms)
{
	sim_set(sanlock->sim, event, sanlock->clock->host,
		sim_clock_due(sanlock->clock, mono_add(now_of(sanlock), ms)));
}

static struct sim_lease *lease_of(struct sim_sanlock *sanlock, enum sim_lease_id which)
{
	return &sanlock->disk->storage->leases[which];
}

bool sim_sanlock_owns(const struct sim_sanlock *sanlock, enum sim_lease_id which)
{
	const struct sim_lease *lease = &sanlock->disk->storage->leases[which];

	return lease->owner == sanlock->host_id && lease->generation == sanlock->generation;
}

static void acquire_end(struct sim_acquire *acquire, int error)
{
	void (*done)(void *data, int error) = acquire->done;
	struct sim_sanlock *sanlock = acquire->sanlock;

	acquire->active = false;
	acquire->done = NULL;
	if (error == 0) {
		sanlock->holders[acquire->which] = acquire->pid;
		sanlock->acquired++;
	} else if (error == -EBUSY) {
		sanlock->refused++;
	}
	if (done)
		done(acquire->data, error);
	else if (error == 0)
		sim_sanlock_release(sanlock, acquire->which);
}

static void commit_land(struct sim_io *io)
{
	struct sim_acquire *acquire = io->owner;
	struct sim_sanlock *sanlock = acquire->sanlock;
	struct sim_lease *lease = &io->disk->storage->leases[io->id];

	/* One that was given up, or lost against another ballot, changes nothing. */
	if (io->end == NULL)
		return;
	if (lease->version != acquire->leader.version || lease->owner != acquire->leader.owner) {
		io->error = -EBUSY;
		return;
	}
	lease->owner = sanlock->host_id;
	lease->generation = sanlock->generation;
	lease->version++;
}

static void commit_end(struct sim_io *io, int error)
{
	struct sim_acquire *acquire = io->owner;
	struct sim_sanlock *sanlock = acquire->sanlock;

	acquire->io = NULL;
	/* Acknowledged and lost: sanlock reads back what it wrote. */
	if (error == 0 && !sim_sanlock_owns(sanlock, acquire->which))
		error = -EIO;
	acquire_end(acquire, error);
	/* Failed, and landed all the same. */
	if (error == -EIO && sim_sanlock_owns(sanlock, acquire->which) &&
	    sanlock->holders[acquire->which] == 0)
		set_event(sanlock, &sanlock->release[acquire->which].event, POLL_MS);
}

static struct sim_io *acquire_io(struct sim_acquire *acquire, bool write, void (*land)(struct sim_io *io),
				 void (*end)(struct sim_io *io, int error))
{
	struct sim_io *io = sim_io_new(acquire->sanlock->disk);

	io->areas = true;
	io->write = write;
	io->land = land;
	io->end = end;
	io->owner = acquire;
	io->id = (uint16_t)acquire->which;
	acquire->io = io;
	return io;
}

static void commit(struct sim_acquire *acquire)
{
	sim_io_begin(acquire_io(acquire, true, commit_land, commit_end));
}

/* Is the owner's sector proof that it is dead? 1 yes, 0 not yet, -EBUSY it lives. */
static int judge_owner(struct sim_acquire *acquire, const struct sim_delta *delta)
{
	struct sim_sanlock *sanlock = acquire->sanlock;
	struct lease_timing timing = sanlock->timing;

	if (delta->timestamp == 0 || delta->generation > acquire->leader.generation)
		return 1;
	if (acquire->last_timestamp == 0)
		acquire->last_timestamp = delta->timestamp;
	if (delta->timestamp != acquire->last_timestamp)
		return -EBUSY;
	if (delta->io_timeout_s != 0)
		timing.io_timeout_s = delta->io_timeout_s;
	return now_of(sanlock) - acquire->wait_start > lease_dead_ms(&timing);
}

static void delta_end(struct sim_io *io, int error)
{
	struct sim_acquire *acquire = io->owner;

	acquire->io = NULL;
	if (error == 0)
		error = judge_owner(acquire, &io->disk->storage->deltas[acquire->leader.owner]);
	if (error < 0)
		acquire_end(acquire, error);
	else if (error > 0)
		commit(acquire);
	else
		set_event(acquire->sanlock, &acquire->step, POLL_MS);
}

/* What is known of the owner says how long to wait. */
static void leader_end(struct sim_io *io, int error)
{
	struct sim_acquire *acquire = io->owner;
	struct sim_sanlock *sanlock = acquire->sanlock;
	const struct sim_lease *leader = &acquire->leader;
	const struct sim_seen *seen;

	acquire->io = NULL;
	if (error == 0) {
		acquire->leader = *lease_of(sanlock, acquire->which);
		if (leader->other_domain)
			error = -EXDEV;
	}
	if (error < 0) {
		acquire_end(acquire, error);
		return;
	}
	if (leader->owner == 0 || leader->owner == sanlock->host_id) {
		if (leader->owner != 0 && sanlock->holders[acquire->which] != 0)
			acquire_end(acquire, -EBUSY); /* not let go yet */
		else
			commit(acquire);
		return;
	}
	acquire->wait_start = now_of(sanlock);
	acquire->last_timestamp = 0;
	seen = leader->owner < sanlock->n_seen ? &sanlock->seen[leader->owner] : NULL;
	if (seen && seen->generation == leader->generation && seen->last_live != MONO_UNSET) {
		acquire->wait_start = seen->last_live;
		acquire->last_timestamp = seen->timestamp;
	}
	sim_io_begin(acquire_io(acquire, false, NULL, delta_end));
}

static void step_fired(struct sim_event *event)
{
	struct sim_acquire *acquire = (struct sim_acquire *)event;

	if (acquire->sanlock->space != SIM_SPACE_JOINED) {
		acquire_end(acquire, -ENOSPC);
	} else if (acquire->leader_read) {
		sim_io_begin(acquire_io(acquire, false, NULL, delta_end));
	} else {
		acquire->leader_read = true;
		sim_io_begin(acquire_io(acquire, false, NULL, leader_end));
	}
}

int sim_sanlock_acquire(struct sim_sanlock *sanlock, enum sim_lease_id which, int32_t pid,
			void (*done)(void *data, int error), void *data)
{
	struct sim_acquire *acquire = &sanlock->acquires[which];

	if (acquire->active)
		return -EBUSY;
	sim_cancel(sanlock->sim, &sanlock->release[which].event);
	acquire->active = true;
	acquire->leader_read = false;
	acquire->pid = pid;
	acquire->done = done;
	acquire->data = data;
	set_event(sanlock, &acquire->step, 1);
	return 0;
}

static void acquire_drop(struct sim_acquire *acquire)
{
	if (!acquire->active)
		return;
	sim_cancel(acquire->sanlock->sim, &acquire->step);
	/* A ballot that is under way ends, and is let go then. */
	if (acquire->io && acquire->io->end == commit_end) {
		acquire->done = NULL;
		return;
	}
	if (acquire->io)
		acquire->io->end = NULL;
	acquire->io = NULL;
	acquire->active = false;
	acquire->done = NULL;
}

void sim_sanlock_forget(struct sim_sanlock *sanlock, enum sim_lease_id which)
{
	acquire_drop(&sanlock->acquires[which]);
}

void sim_acquire_space_gone(struct sim_sanlock *sanlock)
{
	for (int i = 0; i < SIM_LEASE_COUNT; i++) {
		struct sim_acquire *acquire = &sanlock->acquires[i];

		sim_cancel(sanlock->sim, &sanlock->release[i].event);
		sanlock->holders[i] = 0;
		if (!acquire->active)
			continue;
		sim_cancel(sanlock->sim, &acquire->step);
		if (acquire->io)
			acquire->io->end = NULL;
		acquire->io = NULL;
		acquire_end(acquire, -ENOSPC);
	}
}

static void release_land(struct sim_io *io)
{
	struct sim_lease *lease = &io->disk->storage->leases[io->first];

	if (lease->owner == io->id && lease->generation == io->delta.generation)
		lease->owner = 0;
}

static void release_end(struct sim_io *io, int error)
{
	struct sim_sanlock *sanlock = io->owner;

	/* As long as the lockspace lives it is tried again. */
	if (sanlock->space == SIM_SPACE_JOINED && sanlock->holders[io->first] == 0 &&
	    !sanlock->acquires[io->first].active && sim_sanlock_owns(sanlock, (enum sim_lease_id)io->first))
		set_event(sanlock, &sanlock->release[io->first].event, POLL_MS);
}

static void release_fired(struct sim_event *event)
{
	const struct sim_release *release = (const struct sim_release *)event;
	struct sim_sanlock *sanlock = release->sanlock;
	struct sim_io *io;

	if (sanlock->space != SIM_SPACE_JOINED || sanlock->stopped)
		return;
	io = sim_io_new(sanlock->disk);
	io->write = io->areas = true;
	io->land = release_land;
	io->end = release_end;
	io->owner = sanlock;
	io->first = (uint32_t)release->which;
	io->id = sanlock->host_id;
	io->delta.generation = sanlock->generation;
	sim_io_begin(io);
}

void sim_acquire_go_on(struct sim_sanlock *sanlock)
{
	for (int i = 0; i < SIM_LEASE_COUNT; i++)
		if (sanlock->holders[i] == 0 && !sanlock->acquires[i].active &&
		    sim_sanlock_owns(sanlock, (enum sim_lease_id)i))
			set_event(sanlock, &sanlock->release[i].event, 1);
}

void sim_sanlock_release(struct sim_sanlock *sanlock, enum sim_lease_id which)
{
	if (sanlock->holders[which] == 0)
		return;
	sanlock->holders[which] = 0;
	set_event(sanlock, &sanlock->release[which].event, 1);
}

void sim_sanlock_exited(struct sim_sanlock *sanlock, enum sim_lease_id which)
{
	acquire_drop(&sanlock->acquires[which]);
	if (which == SIM_LEASE_ENGINE)
		sanlock->registered = 0;
	if (sanlock->holders[which] == 0)
		return;
	sanlock->holders[which] = 0;
	set_event(sanlock, &sanlock->release[which].event, EXIT_MS);
}

void sim_sanlock_register(struct sim_sanlock *sanlock, int32_t pid)
{
	if (sanlock->running)
		sanlock->registered = pid;
}

void sim_acquire_init(struct sim_sanlock *sanlock)
{
	for (int i = 0; i < SIM_LEASE_COUNT; i++) {
		sanlock->acquires[i].sanlock = sanlock;
		sanlock->acquires[i].which = (enum sim_lease_id)i;
		sanlock->acquires[i].step.fire = step_fired;
		sanlock->acquires[i].step.kind = SIM_SANLOCK;
		sanlock->release[i].sanlock = sanlock;
		sanlock->release[i].which = (enum sim_lease_id)i;
		sanlock->release[i].event.fire = release_fired;
		sanlock->release[i].event.kind = SIM_SANLOCK;
	}
}
