/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an operator is told when the broker, or the agent behind it, did not do what a command wanted. The
 * words of the first line are known to scripts. The commands of tools/ call it. */
#pragma once

#include <stdio.h>

/* `error` (a -errno of broker_client.h) and the broker's `text` ("" none) in words, one line without its end,
 * to `out`. */
void broker_trouble_put(FILE *out, int error, const char *text);
/* The same for free(); NULL: out of memory. */
char *broker_trouble_text(int error, const char *text);
/* All of it on stderr, after the line that scripts know where the broker or the agent was not to be had.
 * Returns the exit code, 1. */
int broker_trouble_say(int error, const char *text);
/* A text of the broker on `out`, each line cleaned and ended; nothing for "". */
void broker_text_put(FILE *out, const char *text);
