/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One block of the whiteboard made ready for showing: decoded, with what follows from its moments. Pure;
 * status_text.c and status_json.c call it. */
#pragma once

#include "metadata/record.h"
#include "tools/status_text.h"

struct status_view {
	uint32_t id;
	enum record_fault fault;
	char cause[RECORD_CAUSE_SIZE]; /* of a fault */
	struct record record;	       /* RECORD_OK, and not of block 0 */
	const char *extra;	       /* the text part, in the block; not terminated */
	size_t extra_len;
	bool fresh;
	int64_t age_ms;	   /* since its timestamp changed, 0 or more; -1 unknown */
	int64_t timeout_s; /* left of the state's timeout, 0 or more; -1: none runs, or it can't be told */
	int64_t wall; /* at its timestamp, of the writer's wall clock in its own time zone; INT64_MIN unknown
		       */
};

/* `slot` must stay while the view is used. */
void status_view_of(const struct board_status *status, const struct slot_block *slot,
		    struct status_view *ret);
/* A moment of the writer's monotonic clock as its wall clock shows it. False: it can't be told. */
bool status_view_moment(const struct status_view *view, int64_t moment_s, char ret[RECORD_WORD_SIZE]);
/* The broker's word, or block 0's where there is no broker; an absent block 0 is no maintenance. */
enum flag status_maintenance(const struct board_status *status);
