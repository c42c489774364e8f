/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes transitions out of the spool: those that nobody wants to hear of go, for the others the command is
 * run and a mail sent. One mail is under way at a time, on a worker. */
#pragma once

#include "util/loop.h"

struct alert_sender;

/* `idle` is called, in the loop, when there has been nothing to do for a minute. 0 or -errno. */
int alert_sender_new(struct loop *loop, void (*idle)(void *data), void *data, struct alert_sender **ret);
void alert_sender_free(struct alert_sender *sender); /* what is under way stays in the spool */
