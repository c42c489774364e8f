/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One schedule run against one simulated cluster, with the checkers after every event. Each trial is a
 * process of its own: an assertion of a daemon that fails ends that process alone and is a finding like any
 * other. Used by run_trials.c. */
#pragma once

#include "tests/sim/sim_schedule.h"

struct trial {
	char failed[32]; /* the checker's name; "assertion" or "endless" where the process ended; "" all held
			  */
	char text[256];	 /* what it saw */
	int64_t at;	 /* ms, when */
	uint64_t hash;	 /* over the trace */
	uint64_t events, starts;
	uint32_t fired[FAULT_COUNT]; /* how many faults of each kind fired */
	char missed[96];	     /* the first fault that did not fire, "" none */
	int64_t up_after;	     /* ms from the last fault until the VM was up, -1 never */
};

/* Who reads what the daemons log and what happens to them. TRIAL_TRACE is for golden cases: to stdout, from
 * the first fault on, without the inputs of steps, and what is said again and again once. */
enum trial_log { TRIAL_QUIET, TRIAL_LOUD /* all, to stderr */, TRIAL_TRACE };

/* In this process. `whole`: see struct check. */
void trial_run(const struct schedule *schedule, enum trial_log log, bool whole, struct trial *ret);
/* In a child of its own, which ends after `limit_s` seconds of the processor at the latest. */
void trial_run_apart(const struct schedule *schedule, unsigned limit_s, enum trial_log log, bool whole,
		     struct trial *ret);
