/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Virtual time and the one queue of what is to happen: (time, sequence, host, event).
 * Nothing in the simulator runs but from it; what is due at one moment runs in the order in which it was set.
 * O(1) a call for what is due within SIM_NEAR_MS, O(log n) for the rest, no allocation once it has its size.
 * It decides nothing but that order. */
#pragma once

#include <stddef.h>

#include "core/peer.h"
#include "tests/sim/sim_random.h"
#include "util/loop.h"

enum sim_kind {		   /* of an event, for the trace */
		SIM_TIMER, /* of a daemon */
		SIM_IO,
		SIM_SANLOCK,
		SIM_VM,
		SIM_GUARD,
		SIM_LINK, /* between agent and broker */
		SIM_LOCAL,
		SIM_MONITOR,
		SIM_SERVICE,  /* boot, start and end of daemons */
		SIM_SCHEDULE, /* faults and the operator */
		SIM_KIND_COUNT
};

/* Who must run for it to happen. */
enum sim_daemon { SIM_DAEMON_NONE, SIM_DAEMON_AGENT, SIM_DAEMON_BROKER, SIM_DAEMON_GUARD, SIM_DAEMON_COUNT };

/* Something that will happen. Owned by the caller, zeroed before its first use, must not move while it is
 * set. */
struct sim_event {
	void (*fire)(struct sim_event *event); /* once per sim_set(); may set it again */
	enum sim_kind kind;
	enum sim_daemon daemon;
	/* The queue's own. */
	size_t place; /* 0: not set */
};

struct sim_entry {
	int64_t at;
	uint64_t sequence;
	void *node; /* struct sim_event, or struct timer with SIM_TIMER; NULL: the entry is free */
	uint16_t host;
	uint8_t kind, daemon;
	uint32_t before, after; /* of the same span; after: also of those that are free */
	uint32_t far_place;	/* in `far`, 0: it is near */
};

/* Nearly all that is set is due within a loop of the daemons, and most of it is cancelled. */
#define SIM_NEAR_MS 16384
#define SIM_SPAN_MS 4			     /* what is due within it is one list: they fit a near cache */
#define SIM_NEAR (SIM_NEAR_MS / SIM_SPAN_MS) /* a power of two */

/* The root of a simulation. Times are ms since its beginning; hosts have clocks of their own (sim_clock.h).
 */
struct sim {
	int64_t now;
	struct sim_random random;
	uint64_t hash;	 /* over all that happened: the same seed gives the same */
	uint64_t events; /* how many */
	/* Called after every event. */
	void (*after)(void *data);
	void *data;
	bool stop;     /* sim_run() ends after this event */
	uint16_t host; /* whose event it is, 0 the world's */
	bool reaches;  /* this event reaches another host: whoever lets it do so says so here */
	/* It may have changed what is true of the host, which checkers look at. Of daemons' timers, of I/O
	 * and of what is asked and told whoever lets it do so says so here; all other kinds are taken for it.
	 */
	bool changes;

	struct sim_entry *entries; /* from 1 on */
	uint32_t n_entries, size, free;
	/* Those due within SIM_NEAR_MS when they were set, by the span: lists by moment and sequence. */
	struct {
		uint32_t first, last;
	} near[SIM_NEAR];
	uint64_t near_used[SIM_NEAR / 64]; /* a bit per span that has any */
	uint32_t *far;			   /* the others: a heap, from 1 on */
	uint32_t n_far;
	uint64_t sequence;
	unsigned same; /* events at this moment, to find one that spins */
	/* A host that stands still: its events wait until then, in their order. */
	int64_t held_until[HOST_ID_MAX + 1];
	/* And one daemon of a host. */
	int64_t stopped_until[HOST_ID_MAX + 1][SIM_DAEMON_COUNT];
	int64_t stands_until; /* the latest that any of these ever was */
};

void sim_init(struct sim *sim, uint64_t seed);
void sim_done(struct sim *sim);

/* `host` 0: the world's, which nothing holds up. A moment in the past is now. Setting a set one moves it. */
void sim_set(struct sim *sim, struct sim_event *event, uint16_t host, int64_t at);
/* Fine when it is not set. */
void sim_cancel(struct sim *sim, struct sim_event *event);
/* Lets a host, or with `daemon` but SIM_DAEMON_NONE that alone, stand still until then, or longer if it does
 * so already. */
void sim_hold(struct sim *sim, uint16_t host, enum sim_daemon daemon, int64_t until);
static inline bool sim_stands(const struct sim *sim, uint16_t host, enum sim_daemon daemon)
{
	return sim->stopped_until[host][daemon] > sim->now;
}
static inline bool sim_is_set(const struct sim_event *event)
{
	return event->place != 0;
}

/* For sim_clock.c: timers of daemons. `at` is simulated time; timer->at is the host's and untouched. */
void sim_set_timer(struct sim *sim, struct timer *timer, uint16_t host, enum sim_daemon daemon, int64_t at);
void sim_cancel_timer(struct sim *sim, struct timer *timer);
/* The clock of `host` has changed: asks anew when each of its timers is due. */
void sim_move_timers(struct sim *sim, uint16_t host, int64_t (*due)(void *data, const struct timer *timer),
		     void *data);

/* Takes something into the trace's hash. */
static inline void sim_note(struct sim *sim, uint64_t word)
{
	sim->hash = (sim->hash ^ word) * 0x100000001b3ULL;
	sim->hash ^= sim->hash >> 29;
}

/* Lets everything happen until `end`, which is now then, or until `stop`. Aborts when time does not advance.
 */
void sim_run(struct sim *sim, int64_t end);
