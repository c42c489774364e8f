/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What sanlock's library does not tell and its command does: does the daemon use the watchdog, when did it
 * last renew our host id, and how did the renewals before that go. Blocks: for worker threads and commands.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/snapshot.h"
#include "util/mono.h"

struct sanlock_status {
	int use_watchdog;	/* 0, 1; -1: not said */
	int64_t last_renewal_s; /* of our host id, in seconds of CLOCK_MONOTONIC as the daemon read it; -1:
				   not joined */
	bool leaving;		/* the lockspace is being left: some 3 s, measured at io_timeout 1 and 3 */
};

/* Runs `sanlock client status -D` and reads its answer, which comes from the daemon's memory (2 ms). 0,
 * -ETIMEDOUT after timeout_ms (the command is killed), -ECONNREFUSED when it fails, as without a daemon, -EIO
 * when it could not even do that. */
int sanlock_status_read(const char *lockspace, int timeout_ms, struct sanlock_status *ret);

/* How our host id was renewed of late: what sanlock's memory keeps, 180 renewals unless told otherwise. */
struct sanlock_renewals {
	uint32_t count;		   /* good ones; 0: none yet, and nothing below is known */
	mono_t first, last;	   /* their ends, to the second */
	int64_t read_ms, write_ms; /* of the last */
	int64_t slowest_read_ms, slowest_write_ms;
	uint32_t timeouts, errors; /* tries that failed after the first, up to now */
};

/* Runs `sanlock client renewal`, as above; -ECONNREFUSED also where the lockspace is not joined. */
int sanlock_renewals_read(const char *lockspace, int timeout_ms, struct sanlock_renewals *ret);
/* What the text says, which is cut up by it; never fails. */
void sanlock_renewals_parse(char *bytes, struct sanlock_renewals *ret);

/* The kind of watchdog that is in use, from the kernel's list of devices in `class_dir` (/sys/class/watchdog)
 * and of modules in `modules` (/proc/modules): WATCHDOG_SOFT when the active device (any, where the kernel
 * doesn't say which is active) is softdog, else WATCHDOG_HARD. Only called once sanlock said that it uses
 * one. */
enum watchdog watchdog_kind(const char *class_dir, const char *modules);
