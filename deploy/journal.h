/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The record of a deployment on this host: which stages were begun and what the way back has to know. Each
 * change is on disk before what it tells of is done, so that a clean-up after a crash at any point knows all.
 * Called by the stages; blocks on its file. */
#pragma once

#include <stdbool.h>

#include "util/cleanup.h"
#include "util/problems.h"

struct journal;

/* The journal at `path`, as it stands or new; nothing is written yet. 0 or -errno, said to `problems`. */
int journal_open(const char *path, struct problems *problems, struct journal **ret);
void journal_free(struct journal *journal);
CLEANUP_DEFINE(struct journal *, journal_free)

/* The value, or NULL. */
const char *journal_get(const struct journal *journal, const char *key);
/* Nothing stands in it. */
bool journal_empty(const struct journal *journal);
/* Durable when it returns 0; NULL takes the key out. -errno: the file is as it was. */
int journal_set(struct journal *journal, const char *key, const char *value);
/* The file goes. 0 or -errno. */
int journal_remove(struct journal *journal);
