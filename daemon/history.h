/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keeps this host's last transitions over restarts. Used by agent_main.c. */
#pragma once

#include "metadata/transition.h"

struct history;
struct loop;

/* Reads what was kept, which blocks on a small file; one that is not there is empty. 0 or -errno. */
int history_new(const char *path, struct loop *loop, struct history **ret);
/* Written by a worker, the last ones in one go; a failure is logged once and tried again with the next. */
void history_add(struct history *history, const struct transition *transition);
/* NULL is fine. What is being written may or may not be there afterwards. */
void history_free(struct history *history);
