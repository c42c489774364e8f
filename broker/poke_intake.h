/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is in the corosync group, what they sent last, and how many reads they may cost. Decides whether a poke
 * is worth a read; it does none. A member is a broker's process; that one runs, or does not, says nothing
 * about its host's lease, which is sanlock's matter alone (lockspace/lease_port.h). Pure: no I/O, no clock.
 * Used by poke_link.c.
 *
 * How many reads, at most, in any t seconds: POKE_BURST + POKE_PER_SECOND * t of what one member asks for,
 * and POKE_BURST_ALL + POKE_PER_SECOND_ALL * t of what all do. One host's own pokes keep below that of a
 * member (poke_link.c), so that what is dropped is a flood, and a broker that has seen one trusts pokes no
 * more for POKE_DISTRUST_MS. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/mono.h"

#define POKE_MEMBERS_MAX 128 /* CPG has no larger groups */
#define POKE_BURST 16
#define POKE_PER_SECOND 2
#define POKE_BURST_ALL 128
#define POKE_PER_SECOND_ALL 10
#define POKE_DISTRUST_MS 60000
#define POKE_GONE_MAX 16 /* of those that left last */

/* Tokens in ms: each second fills `per_second` of them, `burst` at most. Zeroed it is full. */
struct poke_bucket {
	mono_t empty_at; /* the moment it would have been empty if it had no bottom; 0: long ago */
};

/* Takes one; false: there is none. */
bool poke_bucket_take(struct poke_bucket *bucket, unsigned burst, unsigned per_second, mono_t now);
/* When there is one, `now` at the earliest. */
mono_t poke_bucket_ready(const struct poke_bucket *bucket, unsigned burst, unsigned per_second, mono_t now);

/* A process in the group, as corosync names it; no sender can choose it. */
struct poke_member {
	uint32_t node, pid;
};

struct poke_sender {
	struct poke_member member;
	uint16_t host_id;  /* that it speaks for, by its first poke, 0: not known */
	uint64_t sequence; /* of the last one, 0: none */
	struct poke_bucket bucket;
};

struct poke_gone {
	uint16_t host_id; /* 0: none */
	mono_t at;
};

/* Zeroed, but for `own_id` and `cluster`. */
struct poke_intake {
	uint16_t own_id;
	uint64_t cluster;
	struct poke_sender senders[POKE_MEMBERS_MAX];
	size_t n_senders;
	struct poke_gone gone[POKE_GONE_MAX]; /* hosts whose member left, and that have none since */
	size_t gone_next;
	struct poke_bucket all;
	mono_t flooded_at; /* the last poke that was dropped for its number, 0: none was */
	uint64_t taken, repeated, foreign, malformed, dropped;
};

/* A member came or is there; false when it is known, or one too many. */
bool poke_intake_came(struct poke_intake *intake, struct poke_member member);
/* A member went. Its host id, for a read of what its block says now; 0: none, or no token left. */
uint16_t poke_intake_left(struct poke_intake *intake, struct poke_member member, mono_t now);
/* What it sent. The host id whose block is worth a read now, 0: none. */
uint16_t poke_intake_take(struct poke_intake *intake, struct poke_member member, const void *bytes,
			  size_t size, mono_t now);
/* Nobody is in the group any more that we know of. */
void poke_intake_clear(struct poke_intake *intake);
/* A member speaks for that host, and no flood may have drowned it. */
bool poke_intake_trusts(const struct poke_intake *intake, uint16_t host_id, mono_t now);
