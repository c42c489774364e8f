/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The agent: the thin shell around machine_step(). It gathers a snapshot from what its ports told, takes one
 * step, and performs it; it decides nothing that the core could. It does no I/O of its own and reads no
 * clock, so it runs unchanged against real ports (agent_main.c), fake ones (tests) and virtual hosts (the
 * simulator). Single-threaded: every function is for the thread of its clock's loop, none blocks. */
#pragma once

#include "broker/broker_port.h"
#include "core/machine.h"
#include "daemon/local_port.h"
#include "daemon/vm_port.h"
#include "lockspace/fence_port.h"
#include "util/loop.h"

struct agent;

struct agent_config {
	struct policy policy;
	int64_t libvirt_ms; /* a question to libvirt that takes longer is given up, its answer unknown */
	bool config_shared; /* the VM's configuration comes from the shared storage */
};

/* All required. They stay the caller's and must outlive the agent; the agent sets the callbacks of `vm` and
 * `local`. The broker's are agent_broker_calls, with the agent as their data. */
struct agent_ports {
	struct clock_port *clock;
	struct broker_port *broker;
	struct vm_port *vm;
	struct fence_port *fence;
	struct local_port *local;
	/* Called at the end of each step, before anything else happens. */
	void (*stepped)(void *data, const struct step *step);
	void *data;
};

extern const struct broker_calls agent_broker_calls;

/* `saved` as it was read at start, NULL: nothing. 0 or -ENOMEM. */
int agent_new(const struct agent_config *config, struct agent **ret);
void agent_start(struct agent *agent, const struct agent_ports *ports, const struct saved *saved);
/* Takes the last step (AgentStopped), publishes it, and calls `stopped` when that is on storage, after 1 s at
 * the latest. The VM stays (safety rule 7: nobody leaves the lockspace while it runs). */
void agent_stop(struct agent *agent, void (*stopped)(void *data), void *data);
void agent_free(struct agent *agent);

/* The last step taken, all zero before the first. */
const struct step *agent_step(const struct agent *agent);
