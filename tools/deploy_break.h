/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What ^C, SIGTERM and a terminal that goes away do to a deployment: they leave the dialogue, with nothing
 * changed, and end the stages, with the way back told. One per process: signals are. */
#pragma once

#include <signal.h>
#include <stdbool.h>

/* From here on a signal is remembered, and what blocks returns -EINTR; a second one ends the process. */
void break_leave(void);
/* Was there one? */
bool break_asked(void);
/* From here on a signal ends the process with exit code 1, after it said what takes back what was done. */
void break_end(void);
/* Holds them back; `ret` is for ppoll(2), which lets them in, and for sigprocmask(2). */
void break_hold(sigset_t *ret);
