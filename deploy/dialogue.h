/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The dialogue of a deployment: asks for the answers that are missing, in the order of their table, shows
 * what will be done and has it confirmed. Changes nothing. Called by --deploy. */
#pragma once

#include "deploy/answers.h"
#include "deploy/choices.h"

#define DIALOGUE_LINE_SIZE 8192

/* Whom it talks to, and what it asks of the world. All required. */
struct dialogue {
	/* Shows the prompt and reads a line without its newline. 0, -ECANCELED at the end of the input (then
	 * nobody asks again), or -errno. `secret`: not echoed. */
	int (*ask)(void *data, const char *prompt, bool secret, char *ret, size_t size);
	void (*say)(void *data, const char *line);
	/* What can be chosen from for an answer. `typed` is NULL before the question, and else what was typed
	 * for it: words that ask for a list get one, or the reason why there is none, and the question is
	 * asked again. Fills `ret`, which is empty: with nothing the question is asked plainly. May block. */
	void (*offer)(void *data, enum answer which, const struct answers *answers, const char *typed,
		      struct choices *ret);
	/* What only the world can tell of an answer that was just accepted, and what it suggests for later
	 * ones (answer_suggest()). 0, or -EINVAL and in `what` why it can't be taken: it is asked again,
	 * where it was asked. Others end the dialogue, `what` says why. May block. */
	int (*learn)(void *data, enum answer which, struct answers *answers, char what[DIALOGUE_LINE_SIZE]);
	void *data;
	bool silent; /* nobody is there: what has a default gets it, what has none is a failure */
};

/* All answers that apply are there and right: 0, or -errno after it was said; -ECANCELED: left. */
int dialogue_run(const struct dialogue *dialogue, struct answers *answers);
/* The table of what was chosen, and the question whether to go on. 0; -ECANCELED: no. */
int dialogue_confirm(const struct dialogue *dialogue, const struct answers *answers);
/* A question for yes or no. `yes` is the default. 0: yes; -ECANCELED: no, or left. */
int dialogue_yes(const struct dialogue *dialogue, const char *question, bool yes);
