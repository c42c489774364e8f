/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides when a poke is sent and whether one that came is worth a read. Called by broker.c, and by its port.
 */
#include "broker/poke_link.h"

#include <assert.h>
#include <errno.h>

#include "broker/poke.h"
#include "util/log.h"

static mono_t now_of(const struct poke_link *link)
{
	return link->clock->now(link->clock);
}

static void set_timer(struct poke_link *link, mono_t at)
{
	link->clock->set(link->clock, &link->timer, at);
}

static void forget(struct poke_link *link)
{
	link->joined = link->in_flight = false;
	link->wanted = 0;
	poke_intake_clear(&link->intake);
	link->clock->cancel(link->clock, &link->timer);
	link->lost_at = now_of(link);
	link->calls->changed(link->data);
}

/* One at a time: the next says all that came meanwhile. So nothing is queued up behind a corosync that hangs.
 */
static void send_wanted(struct poke_link *link)
{
	struct poke poke = {.cluster = link->cluster, .host_id = link->host_id, .what = link->wanted};
	uint8_t bytes[POKE_SIZE];
	mono_t now = now_of(link), ready;

	if (!link->joined || link->in_flight || link->wanted == 0)
		return;
	ready = poke_bucket_ready(&link->bucket, POKE_SEND_BURST, POKE_PER_SECOND, now);
	if (ready > now) {
		set_timer(link, ready);
		return;
	}
	poke.sequence = link->sequence + 1;
	poke_encode(&poke, bytes);
	poke_bucket_take(&link->bucket, POKE_SEND_BURST, POKE_PER_SECOND, now);
	/* While the group forms anew nothing can be sent. */
	if (link->port->send(link->port, bytes, sizeof(bytes)) < 0) {
		set_timer(link, mono_add(now, MONO_SECOND));
		return;
	}
	link->sequence++;
	link->wanted = 0;
	link->in_flight = true;
	link->sent_at = now;
	set_timer(link, mono_add(now, POKE_BACK_MS));
}

static void timer_fired(struct timer *timer)
{
	struct poke_link *link = (struct poke_link *)((char *)timer - offsetof(struct poke_link, timer));

	if (!link->in_flight) {
		send_wanted(link);
		return;
	}
	log_warning("corosync does not send what it took %d ms ago, connected anew: blocks are read in their "
		    "rhythm",
		    POKE_BACK_MS);
	forget(link);
	link->port->restart(link->port);
}

static void on_joined(void *data, struct poke_member self)
{
	struct poke_link *link = data;

	link->joined = true;
	link->self = self;
	link->lost_at = MONO_UNSET;
	poke_link_tell(link, POKE_HELLO);
}

static void on_lost(void *data)
{
	forget(data);
}

static bool is_self(const struct poke_link *link, struct poke_member member)
{
	return member.node == link->self.node && member.pid == link->self.pid;
}

/* Who comes knows nobody. */
static void on_came(void *data, struct poke_member member)
{
	struct poke_link *link = data;

	if (!is_self(link, member) && poke_intake_came(&link->intake, member))
		poke_link_tell(link, POKE_HELLO);
}

/* That its broker is gone says that its block may not be renewed, and maybe why: its last words are read at
 * once. Whether the host lives is for sanlock to say. */
static void on_left(void *data, struct poke_member member)
{
	struct poke_link *link = data;
	uint16_t host_id = poke_intake_left(&link->intake, member, now_of(link));

	link->calls->changed(link->data);
	if (host_id != 0)
		link->calls->poked(link->data, host_id);
}

static void on_message(void *data, struct poke_member from, const void *bytes, size_t size)
{
	struct poke_link *link = data;
	mono_t flooded = link->intake.flooded_at, now = now_of(link);
	uint16_t host_id;

	if (is_self(link, from)) {
		struct poke poke;

		if (link->in_flight && poke_decode(bytes, size, &poke) == 0 &&
		    poke.sequence == link->sequence) {
			link->in_flight = false;
			link->clock->cancel(link->clock, &link->timer);
			send_wanted(link);
		}
		return;
	}
	host_id = poke_intake_take(&link->intake, from, bytes, size, now);
	if (link->intake.flooded_at != flooded &&
	    (flooded == 0 || mono_passed(flooded, POKE_DISTRUST_MS, now)))
		log_warning("too many pokes over corosync, which are not heeded, node=%u pid=%u: see who "
			    "joins its "
			    "process groups there",
			    from.node, from.pid);
	if (link->intake.flooded_at != flooded)
		link->calls->changed(link->data);
	if (host_id != 0)
		link->calls->poked(link->data, host_id);
}

static const struct poke_calls port_calls = {on_joined, on_lost, on_came, on_left, on_message};

void poke_link_tell(struct poke_link *link, uint32_t what)
{
	assert(what != 0);
	if (!link->joined)
		return;
	link->wanted |= what;
	send_wanted(link);
}

bool poke_link_trusts(const struct poke_link *link, uint16_t host_id)
{
	return link->joined && poke_intake_trusts(&link->intake, host_id, now_of(link));
}

void poke_link_start(struct poke_link *link)
{
	link->lost_at = MONO_UNSET;
	link->timer.fire = timer_fired;
	link->intake.own_id = link->host_id;
	link->intake.cluster = link->cluster;
	if (link->port)
		link->port->start(link->port, &port_calls, link);
}

void poke_link_done(struct poke_link *link)
{
	link->joined = false;
	link->clock->cancel(link->clock, &link->timer);
}
