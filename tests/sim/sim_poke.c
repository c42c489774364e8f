/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The group's members and what is on its way to each. It decides what the faults do to a message. Called by
 * sim_host.c and sim_apply.c, and by the broker through its port. */
#include "tests/sim/sim_poke.h"

#include <errno.h>
#include <string.h>

#include "tests/sim/sim_cluster.h"

#define LATENCY_MS 2
#define AGAIN_MS 1000
#define LATE_MS 5000
#define FORGE_MS 10
#define FORGER_COMES_ANEW 20 /* per mille of what it sends */

#define OF(pointer, member) ((struct sim_poke *)((char *)(pointer)-offsetof(struct sim_poke, member)))

static struct sim_poke *of_host(const struct sim_cluster *cluster, uint16_t i)
{
	return &cluster->hosts[i].poke;
}

static void wake(struct sim_poke *poke)
{
	int64_t first = INT64_MAX;

	for (size_t i = 0; i < poke->n_waiting; i++)
		if (poke->waiting[i].at < first)
			first = poke->waiting[i].at;
	if (first != INT64_MAX)
		sim_set(poke->sim, &poke->arrives, poke->host, first);
}

static void put(struct sim_poke *poke, struct sim_arrival arrival, int64_t ms)
{
	/* Who comes and goes is always told. */
	if (!poke->calls ||
	    poke->n_waiting >=
		    SIM_POKES_WAITING - (arrival.what == SIM_POKE_MESSAGE ? SIM_POKES_WAITING / 2 : 0))
		return;
	arrival.at = poke->sim->now + ms;
	poke->waiting[poke->n_waiting++] = arrival;
	wake(poke);
}

static void give(struct sim_poke *poke, const struct sim_arrival *arrival)
{
	switch (arrival->what) {
	case SIM_POKE_JOINED:
		poke->calls->joined(poke->data, arrival->member);
		break;
	case SIM_POKE_LOST:
		poke->calls->lost(poke->data);
		break;
	case SIM_POKE_CAME:
		poke->calls->came(poke->data, arrival->member);
		break;
	case SIM_POKE_LEFT:
		poke->calls->left(poke->data, arrival->member);
		break;
	case SIM_POKE_MESSAGE:
		poke->calls->message(poke->data, arrival->member, arrival->bytes, arrival->size);
		break;
	}
}

/* What is due, in its order: of one moment the first that was sent. */
static void arrives_fired(struct sim_event *event)
{
	struct sim_poke *poke = OF(event, arrives);

	for (size_t i = 0; i < poke->n_waiting;) {
		struct sim_arrival arrival = poke->waiting[i];

		if (arrival.at > poke->sim->now) {
			i++;
			continue;
		}
		memmove(&poke->waiting[i], &poke->waiting[i + 1],
			(--poke->n_waiting - i) * sizeof(poke->waiting[0]));
		give(poke, &arrival);
	}
	wake(poke);
}

/* To every member: its broker, and the faults on its way. */
static void tell_all(struct sim_poke *from, struct sim_arrival arrival)
{
	for (uint16_t i = 0; i < from->cluster->n_hosts; i++) {
		struct sim_poke *to = of_host(from->cluster, i);
		int64_t late = LATENCY_MS;

		if (!to->member)
			continue;
		if (arrival.what == SIM_POKE_MESSAGE) {
			if (to->lossy && sim_random_chance(&to->sim->random, 500)) {
				to->hit++;
				continue;
			}
			if (to->shuffled) {
				to->hit++;
				put(to, arrival, sim_random_between(&to->sim->random, 1, LATE_MS));
				late = sim_random_between(&to->sim->random, 1, LATE_MS);
			}
		}
		put(to, arrival, late);
	}
}

static void leave(struct sim_poke *poke)
{
	sim_cancel(poke->sim, &poke->connects);
	if (!poke->member)
		return;
	poke->member = false;
	tell_all(poke, (struct sim_arrival){.what = SIM_POKE_LEFT, .member = {poke->host, poke->pid}});
}

static void drop_waiting(struct sim_poke *poke)
{
	poke->n_waiting = 0;
	sim_cancel(poke->sim, &poke->arrives);
}

static void connect_later(struct sim_poke *poke)
{
	sim_set(poke->sim, &poke->connects, poke->host, poke->sim->now + AGAIN_MS);
}

static void connects_fired(struct sim_event *event)
{
	struct sim_poke *poke = OF(event, connects);

	if (poke->down) {
		connect_later(poke);
		return;
	}
	poke->pid++;
	poke->member = true;
	put(poke, (struct sim_arrival){.what = SIM_POKE_JOINED, .member = {poke->host, poke->pid}},
	    LATENCY_MS);
	tell_all(poke, (struct sim_arrival){.what = SIM_POKE_CAME, .member = {poke->host, poke->pid}});
	for (uint16_t i = 0; i < poke->cluster->n_hosts; i++) {
		const struct sim_poke *other = of_host(poke->cluster, i);

		if (other->member && other != poke)
			put(poke,
			    (struct sim_arrival){.what = SIM_POKE_CAME, .member = {other->host, other->pid}},
			    LATENCY_MS);
		if (other->forger != 0)
			put(poke,
			    (struct sim_arrival){.what = SIM_POKE_CAME,
						 .member = {other->host, other->forger}},
			    LATENCY_MS);
	}
}

static void port_start(struct poke_port *port, const struct poke_calls *calls, void *data)
{
	struct sim_poke *poke = (struct sim_poke *)port;

	poke->calls = calls;
	poke->data = data;
	sim_set(poke->sim, &poke->connects, poke->host, poke->sim->now + 1);
}

static int port_send(struct poke_port *port, const void *bytes, size_t size)
{
	struct sim_poke *poke = (struct sim_poke *)port;
	struct sim_arrival arrival = {
		.what = SIM_POKE_MESSAGE, .member = {poke->host, poke->pid}, .size = size};

	if (!poke->member)
		return -ENOTCONN;
	memcpy(arrival.bytes, bytes, size);
	tell_all(poke, arrival);
	return 0;
}

static void port_restart(struct poke_port *port)
{
	struct sim_poke *poke = (struct sim_poke *)port;

	leave(poke);
	drop_waiting(poke);
	connect_later(poke);
}

static void port_close(struct poke_port *port)
{
	sim_poke_close((struct sim_poke *)port);
}

void sim_poke_close(struct sim_poke *poke)
{
	leave(poke);
	drop_waiting(poke);
	poke->calls = NULL;
}

void sim_poke_set_down(struct sim_poke *poke, bool down)
{
	poke->down = down;
	if (!down || !poke->calls || !poke->member)
		return;
	leave(poke);
	drop_waiting(poke);
	put(poke, (struct sim_arrival){.what = SIM_POKE_LOST}, 0);
	connect_later(poke);
}

/* Of any host or of none, with any number, twice, of another cluster, or no poke at all. */
static void forges_fired(struct sim_event *event)
{
	struct sim_poke *poke = OF(event, forges);
	struct sim_random *random = &poke->sim->random;
	struct poke forged = {.cluster = poke_cluster(SIM_DOMAIN, SIM_LOCKSPACE),
			      .sequence = 1 + poke->forged / 2,
			      .what = POKE_VM,
			      .host_id = (uint16_t)(1 + poke->forger % (poke->cluster->n_hosts + 1u))};
	struct sim_arrival arrival = {
		.what = SIM_POKE_MESSAGE, .member = {poke->host, poke->forger}, .size = POKE_SIZE};

	if (sim_random_chance(random, 200))
		forged.host_id = (uint16_t)sim_random_between(random, 1, HOST_ID_MAX);
	forged.cluster += sim_random_chance(random, 100);
	poke_encode(&forged, arrival.bytes);
	if (sim_random_chance(random, 100))
		arrival.bytes[sim_random_between(random, 0, POKE_SIZE - 1)] ^= 0x80;
	arrival.size -= sim_random_chance(random, 100);
	poke->forged++;
	tell_all(poke, arrival);
	sim_set(poke->sim, event, 0, poke->sim->now + FORGE_MS);
	/* Another member has a bound of its own, and may say another host id and count anew. */
	if (sim_random_chance(random, FORGER_COMES_ANEW)) {
		sim_poke_forge(poke, false);
		sim_poke_forge(poke, true);
	}
}

void sim_poke_forge(struct sim_poke *poke, bool on)
{
	struct sim_arrival arrival = {.what = on ? SIM_POKE_CAME : SIM_POKE_LEFT, .member = {poke->host, 0}};

	if (on == (poke->forger != 0))
		return;
	sim_cancel(poke->sim, &poke->forges);
	if (on) {
		poke->forger = 1000000 + (uint32_t)sim_random_between(&poke->sim->random, 0, HOST_ID_MAX);
		sim_set(poke->sim, &poke->forges, 0, poke->sim->now + FORGE_MS);
	}
	arrival.member.pid = poke->forger;
	if (!on)
		poke->forger = 0;
	tell_all(poke, arrival);
}

void sim_poke_init(struct sim_poke *poke, struct sim_cluster *cluster, uint16_t host)
{
	memset(poke, 0, sizeof(*poke));
	poke->port = (struct poke_port){port_start, port_send, port_restart, port_close};
	poke->cluster = cluster;
	poke->sim = &cluster->sim;
	poke->host = host;
	poke->arrives.fire = arrives_fired;
	poke->connects.fire = connects_fired;
	poke->forges.fire = forges_fired;
	poke->arrives.kind = poke->connects.kind = SIM_LINK;
	poke->forges.kind = SIM_SCHEDULE;
	poke->arrives.daemon = SIM_DAEMON_BROKER;
	poke->connects.daemon = SIM_DAEMON_BROKER;
}
