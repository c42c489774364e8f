/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The last changes of this host's state, as the agent keeps them in the state directory: a line each, oldest
 * first, `SECONDS FROM TO REASON SCORE`. Pure but for the heap; text is untrusted. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define TRANSITIONS_MAX 1000
#define TRANSITION_WORD 40
#define TRANSITION_LINE 192

struct transition {
	int64_t wall; /* seconds since the epoch */
	char from[TRANSITION_WORD], to[TRANSITION_WORD], reason[TRANSITION_WORD];
	int32_t score; /* after it */
};

/* The line with its newline. The words must not be empty nor have blanks. */
void transition_format(const struct transition *transition, char ret[TRANSITION_LINE]);
/* The last TRANSITIONS_MAX lines that make sense; returns how many. */
size_t transitions_parse(const char *text, struct transition ret[TRANSITIONS_MAX]);
