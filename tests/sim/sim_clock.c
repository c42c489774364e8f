/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Translates between simulated time and a host's. It decides nothing; the queue does the waiting. */
#include "tests/sim/sim_clock.h"

#include <stddef.h>
#include <string.h>

_Static_assert(offsetof(struct sim_clock, port) == 0, "the port is the clock");

static mono_t mono_at(const struct sim_clock *clock, int64_t at)
{
	int64_t since = at - clock->at;

	return clock->mono + since + since * clock->ppm / 1000000;
}

mono_t sim_clock_ask(struct sim_clock *clock)
{
	clock->known_at = clock->sim->now;
	/* While it is suspended it stands still. */
	clock->known = clock->sim->now < clock->at ? clock->mono : mono_at(clock, clock->sim->now);
	return clock->known;
}

int64_t sim_clock_due(const struct sim_clock *clock, mono_t at)
{
	int64_t since, rate = 1000000 + clock->ppm;

	if (at <= clock->mono)
		return clock->at;
	since = at - clock->mono;
	if (clock->ppm == 0)
		return clock->at + since;
	/* mono_at() rounds towards zero what the clock is ahead or behind. */
	return clock->at +
	       (clock->ppm > 0 ? (since * 1000000 + rate - 1) / rate : (since - 1) * 1000000 / rate + 1);
}

static mono_t port_now(struct clock_port *port)
{
	return sim_clock_mono((struct sim_clock *)port);
}

static int64_t port_wall(struct clock_port *port)
{
	const struct sim_clock *clock = (const struct sim_clock *)port;

	return SIM_WALL + (clock->sim->now + clock->wall_ahead_ms) / MONO_SECOND;
}

static void set_timer(struct sim_clock *clock, struct timer *timer, enum sim_daemon daemon, mono_t at)
{
	if (at == MONO_NEVER) {
		sim_cancel_timer(clock->sim, timer);
		return;
	}
	timer->at = at;
	sim_set_timer(clock->sim, timer, clock->host, daemon, sim_clock_due(clock, at));
}

static void port_set(struct clock_port *port, struct timer *timer, mono_t at)
{
	set_timer((struct sim_clock *)port, timer, SIM_DAEMON_NONE, at);
}

static void port_cancel(struct clock_port *port, struct timer *timer)
{
	sim_cancel_timer(((struct sim_clock *)port)->sim, timer);
}

static mono_t daemon_now(struct clock_port *port)
{
	return sim_clock_mono(((struct sim_daemon_clock *)port)->clock);
}

static int64_t daemon_wall(struct clock_port *port)
{
	return port_wall(&((struct sim_daemon_clock *)port)->clock->port);
}

static void daemon_set(struct clock_port *port, struct timer *timer, mono_t at)
{
	struct sim_daemon_clock *own = (struct sim_daemon_clock *)port;

	set_timer(own->clock, timer, own->daemon, at);
}

static void daemon_cancel(struct clock_port *port, struct timer *timer)
{
	sim_cancel_timer(((struct sim_daemon_clock *)port)->clock->sim, timer);
}

static int64_t timer_due(void *data, const struct timer *timer)
{
	return sim_clock_due(data, timer->at);
}

/* From now on another rate, or another moment. */
static void clock_turn(struct sim_clock *clock, int64_t at, mono_t mono, int32_t ppm)
{
	clock->at = at;
	clock->mono = mono;
	clock->ppm = ppm;
	clock->known_at = -1;
	sim_move_timers(clock->sim, clock->host, timer_due, clock);
}

void sim_clock_boot(struct sim_clock *clock, struct sim *sim, uint16_t host, int64_t uptime_ms, int32_t ppm)
{
	clock->port = (struct clock_port){port_now, port_wall, port_set, port_cancel};
	for (int i = 0; i < SIM_DAEMON_COUNT; i++)
		clock->daemons[i] = (struct sim_daemon_clock){
			.port = {daemon_now, daemon_wall, daemon_set, daemon_cancel},
			.clock = clock,
			.daemon = (enum sim_daemon)i};
	clock->sim = sim;
	clock->host = host;
	clock->boot_ahead_ms = 0;
	clock_turn(clock, sim->now, uptime_ms, ppm);
}

void sim_clock_suspend(struct sim_clock *clock, int64_t ms)
{
	clock_turn(clock, clock->sim->now + ms, sim_clock_mono(clock), clock->ppm);
	clock->boot_ahead_ms += ms;
}

void sim_clock_drift(struct sim_clock *clock, int32_t ppm)
{
	clock_turn(clock, clock->sim->now, sim_clock_mono(clock), ppm);
}
