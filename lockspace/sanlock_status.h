/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What sanlock's library does not tell and its command does: does the daemon use the watchdog, when did it
 * last renew our host id, and how did the renewals before that go. Blocks: for worker threads. */
#pragma once

#include <stdint.h>

#include "core/snapshot.h"
#include "util/mono.h"

struct sanlock_status {
	int use_watchdog;	/* 0, 1; -1: not said */
	int64_t last_renewal_s; /* of our host id, in seconds of CLOCK_MONOTONIC as the daemon read it; -1:
				   not joined */
};

/* Runs `sanlock client status -D` and reads its answer, which comes from the daemon's memory (2 ms). 0,
 * -ETIMEDOUT after timeout_ms (the command is killed), -ECONNREFUSED when it fails, as without a daemon. */
int sanlock_status_read(const char *lockspace, int timeout_ms, struct sanlock_status *ret);

struct lease_renewals;

/* Runs `sanlock client renewal`, as above; -ECONNREFUSED also where the lockspace is not joined. `error` of
 * what it gives is 0. */
int sanlock_renewals_read(const char *lockspace, int timeout_ms, struct lease_renewals *ret);
/* What the text says, which is cut up by it; never fails. */
void sanlock_renewals_parse(char *bytes, struct lease_renewals *ret);

/* The kind of watchdog that is in use, from the kernel's list of devices in `class_dir` (/sys/class/watchdog)
 * and of modules in `modules` (/proc/modules): WATCHDOG_SOFT when the active device (any, where the kernel
 * doesn't say which is active) is softdog, else WATCHDOG_HARD. Only called once sanlock said that it uses
 * one. */
enum watchdog watchdog_kind(const char *class_dir, const char *modules);
