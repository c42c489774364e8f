/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes a schedule's faults happen in a simulated cluster. A fault whose target is not there - no VM to
 * crash, a host that is off - waits until it is, and one that has to hit an I/O lasts until it has hit one:
 * each fault fires, or the trial tells which did not. Used by sim_trial.c. */
#pragma once

#include "tests/sim/sim_check.h"
#include "tests/sim/sim_fault.h"
#include "tests/sim/sim_ghost.h"
#include "tests/sim/sim_repair.h"
#include "tests/sim/sim_schedule.h"

/* Ids beyond the hosts' that ghosts with records use. */
#define FAULTS_GHOST_IDS 2

struct faults;

struct one_fault {
	struct sim_event event; /* first */
	struct faults *faults;
	const struct scheduled *what;
	struct sim_host *host; /* that it hits */
	bool begun, over;
	uint64_t disk_before;  /* the path's count of this fault when it began */
	unsigned moves_before; /* migrations away from the host that had ended */
	struct ghost ghost;
	struct sim_repair repair;
};

struct faults {
	struct sim_cluster *cluster;
	struct check *check;
	const struct schedule *schedule;
	struct one_fault all[SCHEDULE_FAULTS_MAX];
	uint8_t active[SCHEDULE_HOSTS_MAX + 1][FAULT_COUNT]; /* how many of a kind are under way on a host */
	int32_t ppm[SCHEDULE_HOSTS_MAX + 1];		     /* by host id: its clock's own drift */
};

/* Sets all their events. `faults` zeroed. */
void faults_begin(struct faults *faults, struct sim_cluster *cluster, struct check *check,
		  const struct schedule *schedule);
/* Is this fault's kind under way on this host? */
bool faults_active(const struct faults *faults, const struct sim_host *host, enum fault kind);
/* The first that is not over, and that waits for a VM or not; NULL: none. */
const struct one_fault *faults_open(const struct faults *faults, bool vm);
