/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The operator's own program for alerts: run for a transition, with it as one line of JSON on standard input,
 * ALERT_SCRIPTS_MAX at a time, each killed with its children when its time is over. */
#pragma once

#include "notify/spool.h"
#include "util/loop.h"

#define ALERT_SCRIPTS_MAX 4

struct alert_scripts;

/* `ended` is called when one has ended, in the loop. 0 or -errno. */
int alert_scripts_new(struct loop *loop, void (*ended)(void *data), void *data, struct alert_scripts **ret);
void alert_scripts_free(struct alert_scripts *scripts); /* kills what runs */
unsigned alert_scripts_running(const struct alert_scripts *scripts);
/* Starts one; does not block. Failures, its own too, are logged. There must be room. */
void alert_scripts_run(struct alert_scripts *scripts, const char *path, const struct alert *transition,
		       int64_t limit_ms);
