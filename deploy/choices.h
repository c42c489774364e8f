/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What there is to choose from for one answer of a deployment: a short list whose lines are picked by a
 * number, beside which any text may be typed. Pure. Called by the dialogue, filled by whom it asks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define CHOICES_MAX 256
#define CHOICES_NOTE_SIZE 512

struct choice {
	char *value; /* the answer */
	char *about; /* what people choose by */
};

/* All zero: none. */
struct choices {
	struct choice all[CHOICES_MAX];
	size_t n, more;		      /* `more`: did not fit */
	char note[CHOICES_NOTE_SIZE]; /* above the list, or why there is none; "": nothing was looked for */
};

/* Copies. 0 or -ENOMEM. */
int choices_add(struct choices *choices, const char *value, const char *about);
/* The number that a line is picked by: its place from 1 on, but where all answers are numbers themselves the
 * answer, so that a number never means two things. For `ret`, which is also returned. */
const char *choices_label(const struct choices *choices, size_t i, char ret[24]);
/* The answer that was picked, or NULL: it is text. */
const char *choices_pick(const struct choices *choices, const char *typed);
void choices_done(struct choices *choices);
