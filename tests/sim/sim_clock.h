/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A host's clocks: the clock port of its daemons, with a boot moment of its own, a rate that drifts, a wall
 * clock that jumps, and CLOCK_BOOTTIME, which goes on while the host is suspended. */
#pragma once

#include "tests/sim/sim_queue.h"

struct sim_clock;

/* One daemon's: its timers wait while it stands still. */
struct sim_daemon_clock {
	struct clock_port port; /* first */
	struct sim_clock *clock;
	enum sim_daemon daemon;
};

struct sim_clock {
	struct clock_port port; /* first */
	struct sim *sim;
	uint16_t host;
	int32_t ppm;	       /* faster (or slower) than simulated time, -1000..1000 */
	int64_t at;	       /* simulated moment of `mono` */
	mono_t mono;	       /* CLOCK_MONOTONIC then */
	int64_t wall_ahead_ms; /* of the wall clock before simulated time, see SIM_WALL */
	int64_t boot_ahead_ms; /* of CLOCK_BOOTTIME before CLOCK_MONOTONIC */
	int64_t known_at;      /* the last answer of sim_clock_mono(), to give it again */
	mono_t known;
	struct sim_daemon_clock daemons[SIM_DAEMON_COUNT];
};

#define SIM_WALL 1767225600 /* the wall clock's seconds when simulated time is 0 */

/* A host boots now: its CLOCK_MONOTONIC is `uptime_ms`. Timers of the boot before must be cancelled. */
void sim_clock_boot(struct sim_clock *clock, struct sim *sim, uint16_t host, int64_t uptime_ms, int32_t ppm);
/* CLOCK_MONOTONIC now, worked out once for each moment. */
mono_t sim_clock_ask(struct sim_clock *clock);
static inline mono_t sim_clock_mono(struct sim_clock *clock)
{
	return clock->known_at == clock->sim->now ? clock->known : sim_clock_ask(clock);
}
/* The first simulated moment at which CLOCK_MONOTONIC is `at` or later. */
int64_t sim_clock_due(const struct sim_clock *clock, mono_t at);
/* The host stood still from now on until `ms` later, and the whole machine knows (suspend): CLOCK_MONOTONIC
 * stands still too, CLOCK_BOOTTIME goes on. */
void sim_clock_suspend(struct sim_clock *clock, int64_t ms);
void sim_clock_drift(struct sim_clock *clock, int32_t ppm);
