/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every constant that a decision uses: one table of defaults (policy_default), settable in agent.conf, and
 * the arithmetic that follows from sanlock's timeouts. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "util/mono.h"

#define FAILED_TRIES_MAX 3 /* more than so many failed starts: score 0 until the window ends */

/* What sanlock was started with. Both stand in every record (safety rule 10). */
struct lease_timing {
	uint32_t io_timeout_s;	  /* 1..60; sanlock's default is 10 */
	uint32_t watchdog_fire_s; /* sanlock 3.8.5: fixed 60 */
};

/* The functions of it, in ms. A holder that can't renew, at io_timeout 10 and watchdog 60:
 *
 *     0 s  last successful renewal (sanlock renews every 2 x io_timeout = 20 s)
 *    20 s  the next renewal begins and fails; it is tried again
 *    60 s  6 x io_timeout: without a watchdog the guard kills QEMU here (safety rule 6)
 *    80 s  8 x io_timeout: sanlock kills QEMU; if it can't, it stops to pet the watchdog
 *   140 s  8 x io_timeout + watchdog: the host is reset at the latest, others call it DEAD and may take the
 * lease
 */
int64_t lease_renew_ms(const struct lease_timing *t);	   /* 2 x io_timeout: a renewal is due */
int64_t lease_guard_kill_ms(const struct lease_timing *t); /* 6 x io_timeout: kill when no watchdog would */
int64_t lease_fail_ms(const struct lease_timing *t);	   /* 8 x io_timeout: sanlock kills the holder */
int64_t lease_dead_ms(const struct lease_timing *t);	   /* fail + watchdog: others may take the lease */
int64_t lease_alien_ms(const struct lease_timing *t);	   /* 4 x io_timeout: safety rule 9 */
int64_t
lease_start_ms(const struct lease_timing *t); /* dead + 60 s: a start that waits for the lease ends by then */

struct score_weights {	     /* points, 0..10000 */
	int32_t base;	     /* 3400 */
	int32_t network;     /* 1600 x share of failed probes */
	int32_t mgmt_bridge; /* 600 */
	int32_t cpu_load;    /* up to 1000, rising linearly between cpu_load_from and cpu_load_to */
	int32_t memory;	     /* 400 */
	int32_t config;	     /* 1000 */
	int32_t retry;	     /* 50 per failed start */
};

/* A condition is late enough when it held for so many samples and for so long. */
struct patience {
	uint32_t samples; /* 1..1000 */
	int64_t ms;	  /* 0..1 h */
};

struct policy {
	/* ms */
	int64_t loop;	    /* 10 s; 1..60 s */
	int64_t stale;	    /* 60 s: a record that did not change is not fresh */
	int64_t bad_health; /* 300 s of bad health, then stop and start anew */
	int64_t shutdown;   /* 300 s from shutdown to force */
	int64_t starting;   /* 600 s from start to healthy */
	int64_t away; /* 40 s to find out where a VM went; also how long a record holds back against a free
			 lease */
	int64_t unexpected;	  /* 560 s of score 0 after an unexpected shutdown */
	int64_t retry_window;	  /* 600 s after the last failed start the count clears */
	int64_t healthy_clears;	  /* 300 s in EngineUp clear the count too */
	int64_t untaken;	  /* 60 s: a free lease nobody took may be taken by who would else wait */
	int64_t paused;		  /* 30 s a VM may stay paused */
	int64_t kill_limit;	  /* 60 s QEMU may survive SIGKILL, then the host is reset (safety rule 12) */
	int64_t owner_retry;	  /* 60 s between tries against a live owner without a readable record */
	int64_t migration;	  /* 5 min a live migration may take, then it is cancelled */
	int64_t rank_delay;	  /* 500 ms x rank by host id between equal scores */
	int64_t better_held;	  /* 5 min the better host must be better */
	int64_t move_interval;	  /* 30 min between two moves for score */
	int32_t better_threshold; /* 800 points */
	uint32_t cpu_load_from;	  /* 400 per mille: below no penalty */
	uint32_t cpu_load_to;	  /* 900 per mille: from here the full penalty */
	struct patience network;  /* 3 samples, 30 s */
	struct patience cpu;	  /* 3 samples, 5 min */
	struct patience other;	  /* 3 samples, 0 s: bridge, memory, configuration */
	bool require_watchdog;	  /* yes (safety rule 6) */
	bool live_migration;	  /* yes; no: a move is shutdown and start */
	struct score_weights weights;
	struct lease_timing lease; /* as configured; decisions go by struct cluster's */
};

extern const struct policy policy_default;

/* Back-off before try number `failed` + 1, ms: 0, 1 s, 5 s, 15 s, then 60 s. */
int64_t policy_try_gap(uint32_t failed);
/* The same in EngineUnexpectedlyDown: 0, 5 s, 15 s, then 60 s; `failed` counts failed tries, or the crashes
 * before the last one. */
int64_t policy_unexpected_gap(uint32_t failed);
