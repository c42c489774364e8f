/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pokes between this broker and the others: tells them that our block has changed, and has theirs read when
 * they say so. It holds back what would be a flood of ours, and sees by our own pokes, which come back,
 * whether the group works. It touches no state but that: lost or lied to, the whiteboard is read in its
 * rhythm. Used by broker.c. */
#pragma once

#include "broker/poke_port.h"
#include "util/loop.h"

/* A poke of ours that is not back after so long shows a corosync that hangs. While members of the group are
 * lost nothing comes back, for the token's time and the consensus after it: 2.2 s with our sample, some 8 s
 * as clusters of Pacemaker have it. */
#define POKE_BACK_MS 10000
/* Our own, below POKE_BURST of a member, so that those who count them drop none. */
#define POKE_SEND_BURST 8

struct poke_link_calls {
	/* A host's block is worth a read. */
	void (*poked)(void *data, uint16_t host_id);
	/* Whom poke_link_trusts() trusts may have changed. */
	void (*changed)(void *data);
};

/* The first seven set by the caller, the rest zeroed. */
struct poke_link {
	struct clock_port *clock;
	struct poke_port *port; /* NULL: there is none, and every function is fine */
	const struct poke_link_calls *calls;
	void *data;
	uint16_t host_id;
	uint64_t cluster;

	struct poke_intake intake;
	bool joined, in_flight;
	struct poke_member self;
	uint64_t sequence;
	uint32_t wanted; /* what the next poke tells, enum poke_what; 0: none waits */
	mono_t sent_at;
	mono_t lost_at; /* since when we are not in the group, MONO_UNSET: we are, or never were */
	struct poke_bucket bucket;
	struct timer timer;
};

void poke_link_start(struct poke_link *link);
/* Our block says something new, and is on storage. */
void poke_link_tell(struct poke_link *link, uint32_t what);
/* That host tells when its block changes: it need not be looked at so often. */
bool poke_link_trusts(const struct poke_link *link, uint16_t host_id);
void poke_link_done(struct poke_link *link);
