/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ovirt-ha-guard on one host: asks sanlock as often as the rule says while a QEMU lives, lets
 * daemon/guard_rule.c judge, kills, and serves the fence port. The rule is the real one; what it is told is
 * modelled after daemon/guard.c and guard_watch.c. */
#pragma once

#include "daemon/guard_rule.h"
#include "lockspace/fence_port.h"
#include "tests/sim/sim_vm.h"

struct sim_guard;

struct sim_fence {
	struct fence_port port; /* first */
	struct sim_event ends;
	struct sim_guard *guard;
	bool under_way, resets;
	struct sim_event served; /* by a guard that stood still, whether anybody waits or not */
	void (*killed)(void *data, int error, int alive);
	void (*failed)(void *data, int error);
	void *data;
	/* The end of the storage daemon. */
	struct sim_event storage_ends;
	mono_t storage_deadline;
	void (*storage_ended)(void *data, int error, int alive);
	void *storage_data;
};

struct sim_guard {
	struct sim *sim;
	struct sim_clock *clock;
	struct sim_sanlock *sanlock;
	struct sim_vm *vm;
	/* Ends the host at once; the guard's and the watchdog's way. */
	void (*reset)(void *data, const char *why);
	void *data;
	bool running, require_watchdog;
	bool proc_fails; /* /proc can't be read on this host */
	struct guard_facts facts;
	mono_t survives_since; /* of a QEMU that SIGKILL did not end, MONO_UNSET none */
	uint32_t survivor;     /* its number */
	int64_t boot_ahead_ms;
	struct sim_event tick;
	mono_t ticks_at;
	struct sim_fence broker_fence, agent_fence; /* a connection each */
	unsigned kills, resets, storage_ends;	    /* that ended a daemon which held something */
};

void sim_guard_init(struct sim_guard *guard, struct sim_vm *vm);
void sim_guard_start(struct sim_guard *guard);
void sim_guard_crash(struct sim_guard *guard);
/* The guest runs. */
void sim_guard_begun(struct sim_guard *guard);
/* The host was suspended for `ms`. */
void sim_guard_resumed(struct sim_guard *guard, int64_t ms);
void sim_guard_sanlock_ended(struct sim_guard *guard);
void sim_fence_close(struct sim_fence *fence);
