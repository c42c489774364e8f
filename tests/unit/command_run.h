/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs the real hosted-engine (HOSTED_ENGINE in the environment) for a test, for 30 s at most, and collects
 * what it writes. */
#pragma once

#define COMMAND_ARGS_MAX 4

/* `args` up to a NULL or COMMAND_ARGS_MAX. Returns the exit code, -1 when a signal ended it or it could not
 * be run; the texts are for free(). */
int command_run(const char *const *args, char **ret_out, char **ret_err);
