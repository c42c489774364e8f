/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A deployment as a list of stages: run in order, with a line for each, and walked back by what the journal
 * says was begun, also by another process after a crash. It knows no stage. Called by --deploy and
 * hosted-engine-cleanup. */
#pragma once

#include <stddef.h>

#include "deploy/journal.h"

#define STAGE_WHY_SIZE 1024

struct stage {
	const char *name; /* in the journal, as `stage.NAME` */
	const char *text; /* "Importing the appliance" */
	/* Does it. 0, or -errno and what is wrong and what to do in `why`. After a 0 `why` may have lines for
	 * people. */
	int (*run)(void *data, char why[STAGE_WHY_SIZE]);
	/* Takes it back, whether it was finished or not, any number of times. NULL: leaves nothing behind. */
	int (*undo)(void *data, char why[STAGE_WHY_SIZE]);
	/* NULL: always. */
	bool (*applies)(void *data);
};

struct stages {
	const struct stage *all;
	size_t n;
	struct journal *journal;
	void *data;
	/* A line of the level INFO, WARNING or ERROR. */
	void (*say)(void *data, const char *level, const char *line);
};

/* Those that the journal does not have as done, up to the first that fails, which is said with its name. 0 or
 * -errno. */
int stages_run(const struct stages *stages);
/* Back from the last, up to the first that can't be taken back, which is said: what it needs is still there,
 * and the next call goes on. 0 or -errno. */
int stages_undo(const struct stages *stages);
