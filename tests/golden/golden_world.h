/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The world around one host's decisions: virtual time, the other hosts that renew their records and host ids,
 * a lease, a VM. It gives machine_step() its facts, does what the steps ask for, and writes one line when a
 * step says something new. It decides nothing itself; tests/golden/run_golden.c drives it from a scenario. */
#pragma once

#include <stdio.h>

#include "core/trace.h"

#define WORLD_HOSTS_MAX 32
#define WORLD_SPIN_MAX 20 /* steps in a row that ask to be called again at once */

struct world_host {
	struct peer says;	   /* its claim, and sanlock's word about its host id */
	bool silent;		   /* its record is not renewed */
	bool frozen;		   /* neither its record nor its host id is renewed */
	uint64_t clock, lockspace; /* timestamps of its record and of its last renewal */
};

struct world {
	struct trace trace; /* the facts as the host has them */
	struct peer peers[WORLD_HOSTS_MAX];
	struct world_host hosts[WORLD_HOSTS_MAX];
	size_t n_hosts;
	mono_t zero; /* of the printed times */
	mono_t next_tick;
	bool old_facts; /* lease and QEMU are not looked at any more */

	bool automatic;	       /* actions are done and end by themselves */
	enum outcome start_as; /* how a start ends, OUTCOME_OK by default */
	mono_t ends_at, healthy_at;
	struct result ends; /* the action that ends then */
	unsigned spin;
	struct step last;
	bool stepped;
	unsigned counts[ACTION_COUNT];
	FILE *out;
};

/* A joined, healthy host 1 alone, VM nowhere, lease nobody's, no global maintenance. */
void world_init(struct world *world, FILE *out);
/* The agent begins anew; what it keeps on disk (failed tries) stays. */
void world_restart(struct world *world);

/* The host with that id, made as a healthy one of score 3400 when it is new. NULL: no room. */
struct world_host *world_host(struct world *world, uint16_t id);
/* The host is gone from the whiteboard and from the lockspace. */
void world_forget(struct world *world, uint16_t id);
/* What the host says now is seen now. */
void world_observe(struct world *world, struct world_host *host);
/* A new sample of one monitor; `known` false: the probe could not tell. */
void world_sample(struct world *world, enum monitor monitor, int32_t value, bool known);

void world_vm_here(struct world *world);
void world_vm_there(struct world *world, struct world_host *host);
void world_vm_gone(struct world *world, enum vm vm);

/* One step now, with `wanted` and an ended action (or ACTION_NONE). -ELOOP: it spins. */
int world_step(struct world *world, enum action wanted, struct result ended);
/* This host does not run for so long: time passes, everything goes on as it was, nobody is heard. */
void world_pause(struct world *world, int64_t ms);
/* Lets time pass and steps whenever a step's wake has come. */
int world_run(struct world *world, int64_t ms);
