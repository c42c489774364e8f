/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a simulated cluster did, as a picture: one lane per host with its state, its VM and who holds the
 * lease, faults as numbered marks. Collects changes in the order of their time and writes them as SVG. Pure
 * but for the heap and the stream; times are ms since the begin. */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "core/machine.h"

struct timeline;

enum lane {		/* what is drawn of a host */
	    LANE_STATE, /* enum state, or TIMELINE_OFF */
	    LANE_VM,	/* enum timeline_vm */
	    LANE_LEASE, /* 1: it holds the engine's lease */
	    LANE_COUNT
};

#define TIMELINE_OFF STATE_COUNT /* the host has no power, or no agent runs */

enum timeline_vm { TIMELINE_VM_NONE, TIMELINE_VM_STOPPED /* QEMU without running CPUs */, TIMELINE_VM_RUNS };

/* 0 or -ENOMEM. Hosts are 1..n_hosts. */
int timeline_new(uint16_t n_hosts, struct timeline **ret);
/* NULL is fine. */
void timeline_free(struct timeline *timeline);

/* From `at` on the host's lane has this value, 0 before the first. What is already so is passed over. 0 or
 * -ENOMEM. */
int timeline_set(struct timeline *timeline, int64_t at, uint16_t host, enum lane lane, int value);
/* A fault or a command at `at`; host 0: of all. 0 or -ENOMEM. */
int timeline_mark(struct timeline *timeline, int64_t at, uint16_t host, const char *text);

/* The picture of 0..end. Errors stay with the stream. */
void timeline_put_svg(const struct timeline *timeline, const char *title, int64_t end, FILE *out);
