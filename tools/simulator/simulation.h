/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A scenario played by the simulated cluster (tests/sim): the real brokers and agents in one process on
 * virtual time. Tells every change to its caller; decides nothing. The same scenario gives the same changes.
 */
#pragma once

#include <stdio.h>

#include "tools/simulator/scenario.h"

enum change_kind {
	CHANGE_FAULT,	/* `event` begins, or with `over` its time is over */
	CHANGE_STEP,	/* an agent took a step that says something new */
	CHANGE_HOST,	/* `value`: the host and its agent run */
	CHANGE_GUEST,	/* `value`: 0 no QEMU, 1 QEMU with stopped CPUs, 2 the guest runs */
	CHANGE_LEASE,	/* `host` took the lease; 0: nobody has it */
	CHANGE_REFUSED, /* what the operator asked for failed: `text` */
};

struct change {
	int64_t at; /* ms since the begin */
	enum change_kind kind;
	uint16_t host; /* 0: all, or none */
	int value;
	const struct scenario_event *event;
	bool over;
	const struct step *step;
	enum state before; /* of the step */
	const char *text;
};

struct simulation;

/* `log` NULL, or gets the daemons' own log lines. Nothing happens yet. The scenario stays the caller's and
 * must outlive it. One simulation at a time in a process. 0 or -ENOMEM. */
int simulation_new(const struct scenario *scenario, FILE *log,
		   void (*changed)(void *data, const struct change *change), void *data,
		   struct simulation **ret);
/* Lets everything happen until `end`, or until changed() called simulation_stop(). */
void simulation_run(struct simulation *simulation, int64_t end);
void simulation_stop(struct simulation *simulation);
/* NULL is fine. */
void simulation_free(struct simulation *simulation);

int64_t simulation_now(const struct simulation *simulation);
/* The last step of the host's agent, NULL: none runs. */
const struct step *simulation_step(const struct simulation *simulation, uint16_t host);
/* How long ago the host's last good renewal of its host id began, in ms; -1: it holds none. */
int64_t simulation_renewed_ago(const struct simulation *simulation, uint16_t host);
/* The host where the guest runs, the lowest of several, 0: none. */
uint16_t simulation_runner(const struct simulation *simulation);
/* True while more than one guest ran at one moment. */
bool simulation_two_ran(const struct simulation *simulation);
