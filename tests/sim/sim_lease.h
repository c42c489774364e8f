/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lease port and the port of block 0's lease over the sanlock model, for one host's broker. Answers from
 * the daemon's memory take 1 ms, those from disk as long as the path does, and none comes of a daemon that is
 * stopped: then the deadline ends the call. */
#pragma once

#include "lockspace/block0_port.h"
#include "tests/sim/sim_sanlock.h"

enum sim_call_kind {
	SIM_CALL_LOOK,
	SIM_CALL_OWNER,
	SIM_CALL_JOIN,
	SIM_CALL_LEAVE,
	SIM_CALL_WATCHDOG,
	SIM_CALL_COUNT
};

struct sim_lease_port;

struct sim_call {
	struct sim_event step; /* first: its answer, or its deadline */
	struct sim_lease_port *port;
	enum sim_call_kind kind;
	bool under_way;
	struct sim_io *io;
	struct sim_event told; /* its answer, to a broker that stood still */
	struct lease_look look;
	struct lease_owner owner;
	int told_error;
	struct lease_host *told_hosts; /* of the look, NULL: not kept */
	unsigned stuck;		       /* threads that hang in earlier ones */
	uint32_t epoch;		       /* of the broker */
	int32_t pid;
	mono_t begun, deadline;
	void (*done)(void); /* cast by its kind */
	void *data;
};

struct sim_lease_port {
	struct lease_port port; /* first */
	struct sim_sanlock *sanlock;
	struct lease_host *scratch; /* room for HOST_ID_MAX, shared by all hosts */
	enum watchdog watchdog;	    /* what is answered while sanlock has one */
	struct sim_call calls[SIM_CALL_COUNT];
};

struct sim_block0 {
	struct block0_port port; /* first */
	struct sim_sanlock *sanlock;
	struct sim_event again, told; /* told: to a broker that stood still */
	int told_error;
	bool taking, held;
	mono_t give_up;
	void (*taken)(void *data, int error);
	void *data;
};

void sim_lease_init(struct sim_lease_port *port, struct sim_sanlock *sanlock, struct lease_host *scratch);
/* The broker is gone: no call ends any more. */
void sim_lease_close(struct sim_lease_port *port);
void sim_block0_init(struct sim_block0 *block0, struct sim_sanlock *sanlock);
void sim_block0_close(struct sim_block0 *block0);
/* sanlock killed the child that holds it. */
void sim_block0_killed(struct sim_block0 *block0);
