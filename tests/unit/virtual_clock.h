/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A clock port that goes where the test says, firing one timer at a time in the order of their moments. For
 * tests that run a daemon's parts without waiting. */
#pragma once

#include <assert.h>
#include <stddef.h>

#include "util/loop.h"

#define VIRTUAL_TIMERS_MAX 64

struct virtual_clock {
	struct clock_port port; /* first */
	mono_t now;
	int64_t wall; /* seconds at now == 0 */
	struct {
		struct timer *timer;
		mono_t at;
	} timers[VIRTUAL_TIMERS_MAX];
	size_t n_timers;
};

static mono_t virtual_now(struct clock_port *port)
{
	return ((struct virtual_clock *)port)->now;
}

static int64_t virtual_wall(struct clock_port *port)
{
	const struct virtual_clock *clock = (struct virtual_clock *)port;

	return clock->wall + clock->now / MONO_SECOND;
}

static void virtual_cancel(struct clock_port *port, struct timer *timer)
{
	struct virtual_clock *clock = (struct virtual_clock *)port;

	for (size_t i = 0; i < clock->n_timers; i++)
		if (clock->timers[i].timer == timer)
			clock->timers[i] = clock->timers[--clock->n_timers];
	timer->set = false;
}

static void virtual_set(struct clock_port *port, struct timer *timer, mono_t at)
{
	struct virtual_clock *clock = (struct virtual_clock *)port;

	virtual_cancel(port, timer);
	if (at == MONO_NEVER)
		return;
	assert(timer->fire && clock->n_timers < VIRTUAL_TIMERS_MAX);
	clock->timers[clock->n_timers].timer = timer;
	clock->timers[clock->n_timers++].at = at;
	timer->set = true;
}

static inline void virtual_clock_init(struct virtual_clock *clock, mono_t now, int64_t wall)
{
	*clock = (struct virtual_clock){.port = {.now = virtual_now,
						 .wall = virtual_wall,
						 .set = virtual_set,
						 .cancel = virtual_cancel},
					.now = now,
					.wall = wall};
}

/* Fires what is due until `end`, then it is `end`. More than `limit` timers at one moment is a loop that
 * spins: asserted. */
static inline void virtual_clock_run(struct virtual_clock *clock, mono_t end, unsigned limit)
{
	unsigned same = 0;

	for (;;) {
		size_t first = 0;
		struct timer *timer;
		mono_t at;

		for (size_t i = 1; i < clock->n_timers; i++)
			if (clock->timers[i].at < clock->timers[first].at)
				first = i;
		if (clock->n_timers == 0 || clock->timers[first].at > end)
			break;
		timer = clock->timers[first].timer;
		at = clock->timers[first].at;
		virtual_cancel(&clock->port, timer);
		same = at > clock->now ? 0 : same + 1;
		assert(same < limit);
		if (at > clock->now)
			clock->now = at;
		timer->fire(timer);
	}
	clock->now = end;
}
