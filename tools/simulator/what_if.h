/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The answer to one question about a whiteboard: the cluster is simulated as it stands there, something
 * happens to it, and what becomes of the VM is written down. Several runs, since where the fault falls
 * between two renewals of a host id makes seconds. what_if.c asks, what_if_text.c prints. */
#pragma once

#include "tools/simulator/board_scenario.h"
#include "tools/simulator/simulation.h"

#define WHAT_IF_RUNS 8
#define WHAT_IF_CHANGES 400

/* A change that was kept: with a copy of its step. */
struct kept_change {
	struct change change;
	struct step step;
};

struct what_if_run {
	int64_t fault_at;
	int64_t renewed_ago; /* of the host that it hits, before it; -1 unknown */
	uint16_t vm_before;  /* who ran the VM then, 0 nobody */
	bool left;	     /* the VM did not stay where it was */
	int64_t gone;	     /* ms after the fault until the VM had ended there, -1: it did not */
	uint16_t host;	     /* who runs the VM in the end, 0 nobody */
	int64_t start;	     /* until that host began to start it, -1 */
	enum reason reason;  /* why it did */
	int64_t runs;	     /* until the VM ran there, -1 */
	int64_t answers;     /* until the engine answered, -1 */
	bool refused;	     /* what was asked for was refused: `refusal` */
	char refusal[160];
	bool two_ran;
	/* Steps of all hosts when the first start was begun, else at the end; [host], any: it had one. */
	struct step *steps;
	bool *has_step;
	struct kept_change *changes; /* after the fault */
	size_t n_changes, more_changes;
};

struct what_if {
	struct board_scenario board;
	struct scenario_event fault; /* its `at` is each run's */
	struct what_if_run runs[WHAT_IF_RUNS];
	size_t n_runs;
	size_t typical;		  /* the run in the middle by time: the one to tell */
	int64_t earliest, latest; /* of `runs`, over those where the VM left and runs again; -1: none */
};

/* Simulates. `board` is taken over. 0 or -ENOMEM; then, too, the struct is for what_if_done(). */
int what_if_ask(struct board_scenario *board, enum scenario_fault fault, enum scenario_how how, uint16_t host,
		struct what_if *ret);
void what_if_done(struct what_if *what_if);

/* Does the VM wait for sanlock to call its host dead? */
bool what_if_waits_for_dead(const struct what_if *what_if, const struct what_if_run *run);
/* How long after the fault sanlock calls the host dead, in ms. */
int64_t what_if_dead_at(const struct what_if *what_if, const struct what_if_run *run);

void what_if_put_text(const struct what_if *what_if, FILE *out);
/* One line. 0, or 1 after it said why not. */
int what_if_put_json(const struct what_if *what_if, FILE *out);
