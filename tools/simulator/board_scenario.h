/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A whiteboard as the begin of a scenario: the hosts that live, what is off their scores, who runs the VM.
 * Pure but for the heap. */
#pragma once

#include "tools/simulator/scenario.h"
#include "tools/status_text.h"

#define BOARD_NOTE_MAX 160
#define BOARD_HOSTS_MAX 64 /* that are simulated: the ones that are asked for the VM first */

struct board_scenario {
	struct scenario scenario;    /* its events end before `settled` */
	uint16_t vm_host;	     /* who runs the VM, 0: nobody that is known */
	bool lives[HOST_ID_MAX + 1]; /* hosts that take part */
	int64_t settled;	     /* when the simulated cluster is as the whiteboard says */
	/* What could not be carried over, for people. */
	char notes[16][BOARD_NOTE_MAX];
	size_t n_notes, more_notes; /* more_notes: had no room */
};

/* `timing` NULL: the records tell it, else sanlock's defaults. `owner`: the engine lease's, 0: not known, the
 * records tell. `asked`: a host that must not be left out, 0: none. 0; -ENOENT: no host on it lives; -ENOMEM.
 */
int board_scenario_make(const struct board_status *status, const struct lease_timing *timing, uint16_t owner,
			uint16_t asked, struct board_scenario *ret);
void board_scenario_done(struct board_scenario *board);
