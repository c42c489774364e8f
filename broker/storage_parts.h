/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether whiteboard, lockspace, leases and the VM's disk are of one storage (safety rule 8), as far as this
 * host can tell. Used by membership_gate.c, and by broker.c while the lockspace is joined. */
#pragma once

#include "broker/backing_port.h"
#include "util/loop.h"

struct storage_parts {
	struct clock_port *clock;
	struct backing_port *port;
	const char *places[PART_COUNT]; /* "metadata_path=/x", for people; NULL: not configured */
	void (*changed)(void *data);
	void *data;

	bool asked; /* answered once, or given up: until then nothing is joined */
	enum backing_match match;
	const char *missing; /* the first place that is not there, NULL: all are, or it can't be told */
	char text[448];	     /* of BACKING_OTHER: what is wrong and what to do, else "" */
	struct timer timer;
};

/* Zeroed before; clock, port, places, changed and data set by the caller. Looks at once, then in its rhythm.
 */
void storage_parts_start(struct storage_parts *parts);
/* Looks now: they may have come. */
void storage_parts_look(struct storage_parts *parts);
void storage_parts_done(struct storage_parts *parts);
