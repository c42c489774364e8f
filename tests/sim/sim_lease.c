/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers the broker's questions out of the sanlock model as lockspace/sanlock_port.c does out of the daemon.
 * It decides nothing but the moment of the answer. */
#include "tests/sim/sim_lease.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 1
#define AGAIN_MS 500
#define CHILD_PID 2

static mono_t now_of(const struct sim_call *call)
{
	return sim_clock_mono(call->port->sanlock->clock);
}

static void call_set(struct sim_call *call, mono_t at)
{
	struct sim_sanlock *sanlock = call->port->sanlock;

	sim_set(sanlock->sim, &call->step, sanlock->clock->host, sim_clock_due(sanlock->clock, at));
}

static void fill_look(const struct sim_call *call, struct lease_look *ret)
{
	struct sim_sanlock *sanlock = call->port->sanlock;
	mono_t now = now_of(call);

	switch (sanlock->space) {
	case SIM_SPACE_ADDING:
		ret->membership = MEMBERSHIP_JOINING;
		break;
	case SIM_SPACE_JOINED:
	case SIM_SPACE_KILLING:
		ret->membership = MEMBERSHIP_JOINED;
		break;
	case SIM_SPACE_NONE:
	case SIM_SPACE_LEAVING:
		ret->membership = MEMBERSHIP_NONE;
		break;
	}
	if (ret->membership == MEMBERSHIP_JOINED && sanlock->checked) {
		ret->hosts_known = true;
		ret->hosts = call->port->scratch;
		for (uint16_t id = 1; id < sanlock->n_seen; id++) {
			enum host_state state = sim_sanlock_state(sanlock, id, now);

			if (state == HOST_ABSENT)
				continue;
			call->port->scratch[ret->n_hosts++] =
				(struct lease_host){.id = id,
						    .state = state,
						    .generation = sanlock->seen[id].generation,
						    .timestamp = sanlock->seen[id].timestamp,
						    .io_timeout_s = sanlock->seen[id].io_timeout_s};
			if (id == sanlock->host_id)
				ret->generation = sanlock->seen[id].generation;
		}
	}
	if (call->pid > 0) {
		if (sanlock->acquires[SIM_LEASE_ENGINE].active)
			ret->held = HELD_UNKNOWN; /* -EBUSY during a command */
		else
			ret->held = sanlock->registered == call->pid &&
						    sanlock->holders[SIM_LEASE_ENGINE] == call->pid
					    ? HELD_YES
					    : HELD_NO;
	}
}

static void ended_late(struct sim_io *io, int error)
{
	struct sim_call *call = io->owner;

	if (io->count == call->epoch)
		call->stuck--;
}

/* To the broker. */
static void tell(struct sim_call *call, int error)
{
	struct sim_sanlock *sanlock = call->port->sanlock;

	call->under_way = false;
	switch (call->kind) {
	case SIM_CALL_LOOK:
		((void (*)(void *, const struct lease_look *))call->done)(call->data, &call->look);
		break;
	case SIM_CALL_OWNER:
		((void (*)(void *, const struct lease_owner *))call->done)(call->data, &call->owner);
		break;
	case SIM_CALL_WATCHDOG:
		((void (*)(void *, enum watchdog))call->done)(call->data, error < 0 ? WATCHDOG_UNKNOWN
									  : sanlock->has_watchdog
										  ? call->port->watchdog
										  : WATCHDOG_NONE);
		break;
	case SIM_CALL_JOIN:
	case SIM_CALL_LEAVE:
		((void (*)(void *, int))call->done)(call->data, error);
		break;
	case SIM_CALL_COUNT:
		assert(false);
	}
}

/* It knows then what was true when it was asked. */
static void tell_later(struct sim_call *call, int error)
{
	struct sim_sanlock *sanlock = call->port->sanlock;
	size_t size = call->look.n_hosts * sizeof(*call->told_hosts);

	if (size > 0) {
		call->told_hosts = malloc(size);
		if (!call->told_hosts)
			abort();
		memcpy(call->told_hosts, call->look.hosts, size);
		call->look.hosts = call->told_hosts;
	}
	call->told_error = error;
	sim_set(sanlock->sim, &call->told, sanlock->clock->host, sanlock->sim->now);
}

static void call_end(struct sim_call *call, int error)
{
	struct sim_sanlock *sanlock = call->port->sanlock;
	const struct sim_lease *lease = &sanlock->disk->storage->leases[SIM_LEASE_ENGINE];

	call->look = (struct lease_look){.error = error, .pid = call->pid, .begun = call->begun};
	call->owner = (struct lease_owner){.error = error, .begun = call->begun};
	sim_cancel(sanlock->sim, &call->step);
	if (call->io) {
		call->stuck++;
		call->io->end = ended_late;
		call->io->count = call->epoch;
	}
	call->io = NULL;
	if (error == 0 && call->kind == SIM_CALL_LOOK)
		fill_look(call, &call->look);
	if (error == 0 && lease->other_domain) {
		call->owner.error = -EXDEV;
	} else if (error == 0) {
		call->owner.kind = lease->owner == 0 ? OWNER_NOBODY : OWNER_HOST;
		call->owner.id = lease->owner;
		call->owner.generation = lease->owner == 0 ? 0 : lease->generation;
		call->owner.version = lease->version;
	}
	if (sim_stands(sanlock->sim, sanlock->clock->host, SIM_DAEMON_BROKER))
		tell_later(call, error);
	else
		tell(call, error);
}

static void told_fired(struct sim_event *event)
{
	struct sim_call *call = (struct sim_call *)((char *)event - offsetof(struct sim_call, told));

	tell(call, call->told_error);
	free(call->told_hosts);
	call->told_hosts = NULL;
}

static void read_ended(struct sim_io *io, int error)
{
	struct sim_call *call = io->owner;

	call->io = NULL;
	if (!call->port->sanlock->running)
		error = -ECONNRESET;
	if (call->kind == SIM_CALL_JOIN && error == 0)
		error = sim_sanlock_join(call->port->sanlock);
	call_end(call, error);
}

static void begin_read(struct sim_call *call)
{
	call->io = sim_io_new(call->port->sanlock->disk);
	call->io->areas = true;
	call->io->end = read_ended;
	call->io->owner = call;
	call_set(call, call->deadline);
	sim_io_begin(call->io);
}

static void left(void *data, int error)
{
	struct sim_call *call = data;

	if (call->under_way)
		call_end(call, error);
}

static void step_fired(struct sim_event *event)
{
	struct sim_call *call = (struct sim_call *)event;
	struct sim_sanlock *sanlock = call->port->sanlock;
	int r;

	if (now_of(call) >= call->deadline) {
		call_end(call, -ETIMEDOUT);
		return;
	}
	if (!sanlock->running) {
		call_end(call, -ECONNREFUSED);
		return;
	}
	switch (call->kind) {
	case SIM_CALL_OWNER:
	case SIM_CALL_JOIN:
		begin_read(call);
		return;
	case SIM_CALL_LEAVE:
		r = sim_sanlock_leave(sanlock, left, call);
		if (r < 0)
			call_end(call, r == -ENOENT ? 0 : r);
		else if (call->under_way)
			call_set(call, call->deadline);
		return;
	default:
		call_end(call, 0);
		return;
	}
}

static int call_begin(struct lease_port *lease, enum sim_call_kind kind, int32_t pid, mono_t deadline,
		      void (*done)(void), void *data)
{
	struct sim_lease_port *port = (struct sim_lease_port *)lease;
	struct sim_call *call = &port->calls[kind];
	mono_t at;

	if (call->under_way || call->stuck >= SIM_STUCK_MAX)
		return -EBUSY;
	call->under_way = true;
	call->pid = pid;
	call->done = done;
	call->data = data;
	call->deadline = deadline;
	call->begun = now_of(call);
	at = mono_add(call->begun, ANSWER_MS);
	call_set(call, port->sanlock->stopped || at > deadline ? deadline : at);
	return 0;
}

static int port_look(struct lease_port *lease, pid_t pid, mono_t deadline,
		     void (*done)(void *data, const struct lease_look *look), void *data)
{
	return call_begin(lease, SIM_CALL_LOOK, pid, deadline, (void (*)(void))done, data);
}

static int port_read_owner(struct lease_port *lease, mono_t deadline,
			   void (*done)(void *data, const struct lease_owner *owner), void *data)
{
	return call_begin(lease, SIM_CALL_OWNER, 0, deadline, (void (*)(void))done, data);
}

static int port_join(struct lease_port *lease, mono_t deadline, void (*done)(void *data, int error),
		     void *data)
{
	return call_begin(lease, SIM_CALL_JOIN, 0, deadline, (void (*)(void))done, data);
}

static int port_leave(struct lease_port *lease, mono_t deadline, void (*done)(void *data, int error),
		      void *data)
{
	return call_begin(lease, SIM_CALL_LEAVE, 0, deadline, (void (*)(void))done, data);
}

static int port_watchdog(struct lease_port *lease, mono_t deadline,
			 void (*done)(void *data, enum watchdog watchdog), void *data)
{
	return call_begin(lease, SIM_CALL_WATCHDOG, 0, deadline, (void (*)(void))done, data);
}

/* Neither broker nor agent makes leases. */
static int port_create(struct lease_port *lease, const char *name, const struct lease_place *place,
		       mono_t deadline, void (*done)(void *data, int error), void *data)
{
	return -EOPNOTSUPP;
}

static void port_close(struct lease_port *lease)
{
	sim_lease_close((struct sim_lease_port *)lease);
}

void sim_lease_close(struct sim_lease_port *port)
{
	for (int i = 0; i < SIM_CALL_COUNT; i++) {
		struct sim_call *call = &port->calls[i];

		sim_cancel(port->sanlock->sim, &call->step);
		sim_cancel(port->sanlock->sim, &call->told);
		free(call->told_hosts);
		call->told_hosts = NULL;
		if (call->io)
			call->io->end = NULL;
		call->io = NULL;
		call->under_way = false;
		call->stuck = 0;
		call->epoch++;
	}
}

void sim_lease_init(struct sim_lease_port *port, struct sim_sanlock *sanlock, struct lease_host *scratch)
{
	memset(port, 0, sizeof(*port));
	port->port = (struct lease_port){port_look,	port_read_owner, port_join, port_leave,
					 port_watchdog, port_create,	 port_close};
	port->sanlock = sanlock;
	port->scratch = scratch;
	port->watchdog = WATCHDOG_HARD;
	for (int i = 0; i < SIM_CALL_COUNT; i++) {
		port->calls[i].port = port;
		port->calls[i].kind = (enum sim_call_kind)i;
		port->calls[i].step.fire = step_fired;
		port->calls[i].step.kind = SIM_SANLOCK;
		port->calls[i].told.fire = told_fired;
		port->calls[i].told.kind = SIM_SANLOCK;
		port->calls[i].told.daemon = SIM_DAEMON_BROKER;
	}
}

static mono_t block0_now(const struct sim_block0 *block0)
{
	return sim_clock_mono(block0->sanlock->clock);
}

static void block0_set(struct sim_block0 *block0, int64_t ms)
{
	struct sim_sanlock *sanlock = block0->sanlock;

	sim_set(sanlock->sim, &block0->again, sanlock->clock->host,
		sim_clock_due(sanlock->clock, mono_add(block0_now(block0), ms)));
}

static void block0_end(struct sim_block0 *block0, int error)
{
	const struct sim_sanlock *sanlock = block0->sanlock;

	sim_cancel(sanlock->sim, &block0->again);
	if (sim_stands(sanlock->sim, sanlock->clock->host, SIM_DAEMON_BROKER)) {
		block0->told_error = error;
		sim_set(sanlock->sim, &block0->told, sanlock->clock->host, sanlock->sim->now);
		return;
	}
	block0->taking = false;
	block0->held = error == 0;
	block0->taken(block0->data, error);
}

static void block0_told_fired(struct sim_event *event)
{
	struct sim_block0 *block0 = (struct sim_block0 *)((char *)event - offsetof(struct sim_block0, told));

	block0_end(block0, block0->told_error);
}

static void block0_acquired(void *data, int error)
{
	struct sim_block0 *block0 = data;

	if (!block0->taking)
		return;
	if (error == -EBUSY && mono_add(block0_now(block0), AGAIN_MS) < block0->give_up)
		block0_set(block0, AGAIN_MS);
	else
		block0_end(block0, error);
}

static void block0_fired(struct sim_event *event)
{
	struct sim_block0 *block0 = (struct sim_block0 *)((char *)event - offsetof(struct sim_block0, again));
	struct sim_sanlock *sanlock = block0->sanlock;
	int r;

	if (block0_now(block0) >= block0->give_up) {
		sim_sanlock_forget(sanlock, SIM_LEASE_BLOCK0);
		block0_end(block0, -ETIMEDOUT);
		return;
	}
	if (!sanlock->running) {
		block0_end(block0, -ECONNREFUSED);
		return;
	}
	block0_set(block0, block0->give_up - block0_now(block0));
	r = sanlock->stopped
		    ? 0
		    : sim_sanlock_acquire(sanlock, SIM_LEASE_BLOCK0, CHILD_PID, block0_acquired, block0);
	if (r < 0)
		block0_acquired(block0, r);
}

static int block0_take(struct block0_port *port, void (*taken)(void *data, int error), void *data)
{
	struct sim_block0 *block0 = (struct sim_block0 *)port;

	if (block0->taking || block0->held)
		return -EBUSY;
	block0->taking = block0->sanlock->sim->changes = true;
	block0->taken = taken;
	block0->data = data;
	block0->give_up = mono_add(block0_now(block0), BLOCK0_TAKE_MS);
	block0_set(block0, ANSWER_MS);
	return 0;
}

static bool block0_held(struct block0_port *port)
{
	return ((struct sim_block0 *)port)->held;
}

static void block0_release(struct block0_port *port)
{
	sim_block0_close((struct sim_block0 *)port);
}

void sim_block0_close(struct sim_block0 *block0)
{
	sim_cancel(block0->sanlock->sim, &block0->again);
	sim_cancel(block0->sanlock->sim, &block0->told);
	if (block0->taking || block0->held) {
		block0->sanlock->sim->changes = true;
		sim_sanlock_exited(block0->sanlock, SIM_LEASE_BLOCK0);
	}
	block0->taking = block0->held = false;
}

void sim_block0_killed(struct sim_block0 *block0)
{
	block0->held = false;
	sim_sanlock_exited(block0->sanlock, SIM_LEASE_BLOCK0);
}

void sim_block0_init(struct sim_block0 *block0, struct sim_sanlock *sanlock)
{
	memset(block0, 0, sizeof(*block0));
	block0->port = (struct block0_port){block0_take, block0_held, block0_release, block0_release};
	block0->sanlock = sanlock;
	block0->again.fire = block0_fired;
	block0->again.kind = block0->told.kind = SIM_SANLOCK;
	block0->told.fire = block0_told_fired;
	block0->told.daemon = SIM_DAEMON_BROKER;
}
