/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The terminal of a deployment: lines with a level, a bar, questions. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `[ INFO  ] line`; an error goes to stderr. Levels: INFO, WARNING, ERROR. */
void terminal_say(const char *level, const char *line);
/* A bar that is drawn over itself, on a terminal alone; NULL ends its line. */
void terminal_bar(const char *what, unsigned percent);
/* The same for what has no end that is known. */
void terminal_wait(const char *what, int64_t seconds);

/* Of struct dialogue: a question on stdout, its answer from stdin. 0, -ECANCELED at the end of the input
 * and when a signal asked to leave (deploy_break.h), -EMSGSIZE. */
int terminal_ask(void *data, const char *prompt, bool secret, char *ret, size_t size);
void terminal_tell(void *data, const char *line);
/* The same on stderr, where nobody is there to be asked again. */
void terminal_refuse(void *data, const char *line);
