/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The agent's answer to a start, in the words and on the streams that scripts know. Pure but for the streams;
 * vm_command.c calls it. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "core/policy.h"

/* How long, ms, the agent's answer may take. `io_ms`: that a read of the whiteboard may, [storage]
 * io_deadline of broker.conf. */
int64_t vm_answer_ms(const struct lease_timing *timing, int64_t io_ms);

/* The error says that no answer of the agent came: the VM's state is not known from it. */
bool vm_answer_lost(int error, const char *text);
/* `error` 0 or -errno and `text`, lines. Known words go to `out`, everything else to `err`; what the agent
 * left unsaid is added. Returns the exit code. */
int vm_start_answer(int error, const char *text, FILE *out, FILE *err);
