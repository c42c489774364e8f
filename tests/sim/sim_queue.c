/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The heap. Each node knows its place in it, so that it can be moved and taken out: an event in `place`, a
 * daemon's timer in `next`, which is the port's own field. Called by sim_clock.c and by everything that
 * waits. */
#include "tests/sim/sim_queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each place has four below it: fewer levels, and a move writes into the node that moves. */
#define BELOW 4

#define SAME_MAX 1000000 /* events at one moment: something spins */

static bool sooner(const struct sim_entry *a, const struct sim_entry *b)
{
	return a->at < b->at || (a->at == b->at && a->sequence < b->sequence);
}

static size_t place_of(const struct sim_entry *entry)
{
	return entry->kind == SIM_TIMER ? (size_t)((struct timer *)entry->node)->next
					: ((struct sim_event *)entry->node)->place;
}

static void put(struct sim *sim, size_t at, const struct sim_entry *entry)
{
	sim->heap[at] = *entry;
	if (entry->kind == SIM_TIMER)
		((struct timer *)entry->node)->next = (struct timer *)at;
	else
		((struct sim_event *)entry->node)->place = at;
}

static size_t above(size_t at)
{
	return (at - 2) / BELOW + 1;
}

static size_t first_below(size_t at)
{
	return BELOW * (at - 1) + 2;
}

static void sift_up(struct sim *sim, size_t at, struct sim_entry entry)
{
	while (at > 1 && sooner(&entry, &sim->heap[above(at)])) {
		put(sim, at, &sim->heap[above(at)]);
		at = above(at);
	}
	put(sim, at, &entry);
}

static void sift_down(struct sim *sim, size_t at, struct sim_entry entry)
{
	for (;;) {
		size_t below = first_below(at), end = below + BELOW, soonest = below;

		if (below > sim->n)
			break;
		if (end > sim->n + 1)
			end = sim->n + 1;
		while (++below < end)
			if (sooner(&sim->heap[below], &sim->heap[soonest]))
				soonest = below;
		if (!sooner(&sim->heap[soonest], &entry))
			break;
		put(sim, at, &sim->heap[soonest]);
		at = soonest;
	}
	put(sim, at, &entry);
}

static void place_entry(struct sim *sim, size_t at, const struct sim_entry *entry)
{
	if (at > 1 && sooner(entry, &sim->heap[above(at)]))
		sift_up(sim, at, *entry);
	else
		sift_down(sim, at, *entry);
}

static void add(struct sim *sim, const struct sim_entry *entry)
{
	if (sim->n + 2 > sim->size) {
		sim->size = sim->size ? 2 * sim->size : 1024;
		sim->heap = reallocarray(sim->heap, sim->size, sizeof(*sim->heap));
		if (!sim->heap)
			abort();
	}
	sift_up(sim, ++sim->n, *entry);
}

static void forget_place(const struct sim_entry *entry)
{
	if (entry->kind == SIM_TIMER) {
		((struct timer *)entry->node)->next = NULL;
		((struct timer *)entry->node)->set = false;
	} else {
		((struct sim_event *)entry->node)->place = 0;
	}
}

static void take_out(struct sim *sim, size_t at)
{
	struct sim_entry last = sim->heap[sim->n];

	forget_place(&sim->heap[at]);
	sim->n--;
	if (at <= sim->n)
		place_entry(sim, at, &last);
}

static void set_node(struct sim *sim, void *node, size_t place, enum sim_kind kind, uint16_t host,
		     enum sim_daemon daemon, int64_t at)
{
	struct sim_entry entry = {.at = at > sim->now ? at : sim->now,
				  .sequence = ++sim->sequence,
				  .node = node,
				  .host = host,
				  .kind = (uint8_t)kind,
				  .daemon = (uint8_t)daemon};

	if (place != 0)
		place_entry(sim, place, &entry);
	else
		add(sim, &entry);
}

void sim_set(struct sim *sim, struct sim_event *event, uint16_t host, int64_t at)
{
	assert(event->fire && event->kind != SIM_TIMER && event->kind < SIM_KIND_COUNT);
	set_node(sim, event, event->place, event->kind, host, event->daemon, at);
}

void sim_cancel(struct sim *sim, struct sim_event *event)
{
	if (event->place != 0)
		take_out(sim, event->place);
}

void sim_set_timer(struct sim *sim, struct timer *timer, uint16_t host, enum sim_daemon daemon, int64_t at)
{
	assert(timer->fire);
	set_node(sim, timer, timer->set ? (size_t)timer->next : 0, SIM_TIMER, host, daemon, at);
	timer->set = true;
}

void sim_cancel_timer(struct sim *sim, struct timer *timer)
{
	if (timer->set)
		take_out(sim, (size_t)timer->next);
}

void sim_move_timers(struct sim *sim, uint16_t host, int64_t (*due)(void *data, const struct timer *timer),
		     void *data)
{
	for (size_t i = 1; i <= sim->n; i++)
		if (sim->heap[i].kind == SIM_TIMER && sim->heap[i].host == host) {
			int64_t at = due(data, sim->heap[i].node);

			sim->heap[i].at = at > sim->now ? at : sim->now;
		}
	for (size_t i = sim->n > 1 ? above(sim->n) : 0; i >= 1; i--)
		sift_down(sim, i, sim->heap[i]);
}

/* True when it was its turn; a host or daemon that stands still gets it later, in the same order. */
static bool take_first(struct sim *sim, struct sim_entry *ret)
{
	struct sim_entry first = sim->heap[1];
	int64_t held = sim->held_until[first.host], stopped = sim->stopped_until[first.host][first.daemon];

	held = stopped > held ? stopped : held;
	if (held > first.at) {
		first.at = held;
		sift_down(sim, 1, first);
		return false;
	}
	assert(place_of(&first) == 1);
	*ret = first;
	take_out(sim, 1);
	return true;
}

void sim_run(struct sim *sim, int64_t end)
{
	struct sim_entry entry;

	while (!sim->stop && sim->n > 0 && sim->heap[1].at <= end) {
		if (!take_first(sim, &entry))
			continue;
		sim->same = entry.at > sim->now ? 0 : sim->same + 1;
		if (sim->same > SAME_MAX) {
			fprintf(stderr, "time stands still at %lld ms, host %u, kind %u\n",
				(long long)sim->now, entry.host, entry.kind);
			abort();
		}
		sim->now = entry.at;
		sim->host = entry.host;
		sim->reaches = false;
		sim->events++;
		sim_note(sim, (uint64_t)entry.at << 16 ^ (uint64_t)entry.host << 4 ^ entry.kind);
		if (entry.kind == SIM_TIMER)
			((struct timer *)entry.node)->fire(entry.node);
		else
			((struct sim_event *)entry.node)->fire(entry.node);
		if (sim->after)
			sim->after(sim->data);
	}
	if (!sim->stop && end > sim->now)
		sim->now = end;
}

void sim_init(struct sim *sim, uint64_t seed)
{
	memset(sim, 0, sizeof(*sim));
	sim->random = sim_random_make(seed, 0);
	sim->hash = 0xcbf29ce484222325ULL;
}

void sim_done(struct sim *sim)
{
	free(sim->heap);
	sim->heap = NULL;
	sim->n = sim->size = 0;
}
