/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of what is due in each of the next spans of time, and a heap of what is due later. Each node knows
 * its entry, so that it can be moved and taken out: an event in `place`, a daemon's timer in `next`, which is
 * the port's own field. Called by sim_clock.c and by everything that waits. */
#include "tests/sim/sim_queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAME_MAX 1000000 /* events at one moment: something spins */
#define WORD_BITS 64
/* Kinds of events that change nothing of a host unless they say so. */
#define QUIET_KINDS (1U << SIM_TIMER | 1U << SIM_IO | 1U << SIM_LINK | 1U << SIM_LOCAL | 1U << SIM_MONITOR)

static bool sooner(const struct sim_entry *a, const struct sim_entry *b)
{
	return a->at < b->at || (a->at == b->at && a->sequence < b->sequence);
}

static uint32_t near_place(int64_t at)
{
	return (uint32_t)(at / SIM_SPAN_MS) % SIM_NEAR;
}

/* Behind those that are due before it, or were set before it for its moment. */
static void near_put(struct sim *sim, uint32_t which)
{
	struct sim_entry *entry = &sim->entries[which];
	uint32_t place = near_place(entry->at), before = sim->near[place].last;

	while (before != 0 && sooner(entry, &sim->entries[before]))
		before = sim->entries[before].before;
	entry->far_place = 0;
	entry->before = before;
	entry->after = before != 0 ? sim->entries[before].after : sim->near[place].first;
	if (before != 0)
		sim->entries[before].after = which;
	else
		sim->near[place].first = which;
	if (entry->after != 0)
		sim->entries[entry->after].before = which;
	else
		sim->near[place].last = which;
	sim->near_used[place / WORD_BITS] |= 1ULL << place % WORD_BITS;
}

static void near_take(struct sim *sim, const struct sim_entry *entry)
{
	uint32_t place = near_place(entry->at);

	if (entry->before != 0)
		sim->entries[entry->before].after = entry->after;
	else
		sim->near[place].first = entry->after;
	if (entry->after != 0)
		sim->entries[entry->after].before = entry->before;
	else
		sim->near[place].last = entry->before;
	if (sim->near[place].first == 0)
		sim->near_used[place / WORD_BITS] &= ~(1ULL << place % WORD_BITS);
}

/* The first of those that are near, 0: none is. */
static uint32_t near_first(const struct sim *sim)
{
	const uint32_t words = SIM_NEAR / WORD_BITS;
	uint32_t place = near_place(sim->now), word = place / WORD_BITS;
	uint64_t used = sim->near_used[word] & UINT64_MAX << place % WORD_BITS;

	/* Around, and back to what comes before this span in its word: it is the latest. */
	for (uint32_t i = 0; used == 0 && i < words; i++) {
		word = (word + 1) % words;
		used = sim->near_used[word];
	}
	return used == 0 ? 0 : sim->near[word * WORD_BITS + (uint32_t)__builtin_ctzll(used)].first;
}

static void far_set(struct sim *sim, uint32_t place, uint32_t which)
{
	sim->far[place] = which;
	sim->entries[which].far_place = place;
}

static void far_place(struct sim *sim, uint32_t place, uint32_t which)
{
	const struct sim_entry *entry = &sim->entries[which];

	for (; place > 1 && sooner(entry, &sim->entries[sim->far[place / 2]]); place /= 2)
		far_set(sim, place, sim->far[place / 2]);
	for (;;) {
		uint32_t below = 2 * place;

		if (below < sim->n_far &&
		    sooner(&sim->entries[sim->far[below + 1]], &sim->entries[sim->far[below]]))
			below++;
		if (below > sim->n_far || !sooner(&sim->entries[sim->far[below]], entry))
			break;
		far_set(sim, place, sim->far[below]);
		place = below;
	}
	far_set(sim, place, which);
}

static void far_take(struct sim *sim, uint32_t place)
{
	uint32_t last = sim->far[sim->n_far--];

	if (place <= sim->n_far)
		far_place(sim, place, last);
}

static void queue(struct sim *sim, uint32_t which)
{
	if (sim->entries[which].at / SIM_SPAN_MS < sim->now / SIM_SPAN_MS + SIM_NEAR)
		near_put(sim, which);
	else
		far_place(sim, ++sim->n_far, which);
}

static void unqueue(struct sim *sim, uint32_t which)
{
	const struct sim_entry *entry = &sim->entries[which];

	if (entry->far_place != 0)
		far_take(sim, entry->far_place);
	else
		near_take(sim, entry);
}

static void *resized(void *memory, size_t n, size_t size)
{
	memory = reallocarray(memory, n, size);
	if (!memory)
		abort();
	return memory;
}

static uint32_t entry_new(struct sim *sim)
{
	uint32_t which = sim->free;

	if (which != 0) {
		sim->free = sim->entries[which].after;
		return which;
	}
	if (sim->n_entries + 1 >= sim->size) {
		sim->size = sim->size ? 2 * sim->size : 1024;
		sim->entries = resized(sim->entries, sim->size, sizeof(*sim->entries));
		sim->far = resized(sim->far, sim->size, sizeof(*sim->far));
	}
	return ++sim->n_entries;
}

static void set_place(const struct sim_entry *entry, size_t place)
{
	if (entry->kind == SIM_TIMER) {
		((struct timer *)entry->node)->next = (struct timer *)place;
		((struct timer *)entry->node)->set = place != 0;
	} else {
		((struct sim_event *)entry->node)->place = place;
	}
}

static void take_out(struct sim *sim, size_t place)
{
	struct sim_entry *entry = &sim->entries[place];

	unqueue(sim, (uint32_t)place);
	set_place(entry, 0);
	entry->node = NULL;
	entry->after = sim->free;
	sim->free = (uint32_t)place;
}

static void set_node(struct sim *sim, void *node, size_t place, enum sim_kind kind, uint16_t host,
		     enum sim_daemon daemon, int64_t at)
{
	uint32_t which = (uint32_t)place;
	struct sim_entry *entry;

	if (which != 0)
		unqueue(sim, which);
	else
		which = entry_new(sim);
	entry = &sim->entries[which];
	entry->at = at > sim->now ? at : sim->now;
	entry->sequence = ++sim->sequence;
	entry->node = node;
	entry->host = host;
	entry->kind = (uint8_t)kind;
	entry->daemon = (uint8_t)daemon;
	set_place(entry, which);
	queue(sim, which);
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

void sim_hold(struct sim *sim, uint16_t host, enum sim_daemon daemon, int64_t until)
{
	int64_t *held =
		daemon == SIM_DAEMON_NONE ? &sim->held_until[host] : &sim->stopped_until[host][daemon];

	if (*held < until)
		*held = until;
	if (sim->stands_until < until)
		sim->stands_until = until;
}

void sim_set_timer(struct sim *sim, struct timer *timer, uint16_t host, enum sim_daemon daemon, int64_t at)
{
	assert(timer->fire);
	set_node(sim, timer, timer->set ? (size_t)timer->next : 0, SIM_TIMER, host, daemon, at);
}

void sim_cancel_timer(struct sim *sim, struct timer *timer)
{
	if (timer->set)
		take_out(sim, (size_t)timer->next);
}

void sim_move_timers(struct sim *sim, uint16_t host, int64_t (*due)(void *data, const struct timer *timer),
		     void *data)
{
	for (uint32_t i = 1; i <= sim->n_entries; i++) {
		struct sim_entry *entry = &sim->entries[i];
		int64_t at;

		if (!entry->node || entry->kind != SIM_TIMER || entry->host != host)
			continue;
		at = due(data, entry->node);
		unqueue(sim, i);
		entry->at = at > sim->now ? at : sim->now;
		queue(sim, i);
	}
}

/* What is due first, 0: nothing is. */
static uint32_t first_due(const struct sim *sim)
{
	uint32_t near = near_first(sim), far = sim->n_far > 0 ? sim->far[1] : 0;

	if (near == 0 || far == 0)
		return near != 0 ? near : far;
	return sooner(&sim->entries[near], &sim->entries[far]) ? near : far;
}

/* True when it is its turn; a host or daemon that stands still gets it later, in the same order. */
static bool may_fire(struct sim *sim, uint32_t which)
{
	struct sim_entry *entry = &sim->entries[which];
	int64_t held, stopped;

	if (sim->stands_until <= entry->at)
		return true;
	held = sim->held_until[entry->host];
	stopped = sim->stopped_until[entry->host][entry->daemon];
	held = stopped > held ? stopped : held;
	if (held <= entry->at)
		return true;
	unqueue(sim, which);
	entry->at = held;
	queue(sim, which);
	return false;
}

void sim_run(struct sim *sim, int64_t end)
{
	uint32_t which;

	while (!sim->stop && (which = first_due(sim)) != 0 && sim->entries[which].at <= end) {
		struct sim_entry entry = sim->entries[which];

		if (!may_fire(sim, which))
			continue;
		take_out(sim, which);
		sim->same = entry.at > sim->now ? 0 : sim->same + 1;
		if (sim->same > SAME_MAX) {
			fprintf(stderr, "time stands still at %lld ms, host %u, kind %u\n",
				(long long)sim->now, entry.host, entry.kind);
			abort();
		}
		sim->now = entry.at;
		sim->host = entry.host;
		sim->reaches = false;
		sim->changes = !(QUIET_KINDS >> entry.kind & 1);
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
	free(sim->entries);
	free(sim->far);
	sim->entries = NULL;
	sim->far = NULL;
	sim->n_entries = sim->size = sim->free = sim->n_far = 0;
}
