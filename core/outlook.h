/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a snapshot means: who owns the engine lease, which hosts may take the VM, what stands against a start.
 * Derived anew in every step, remembered nowhere. Pure. */
#pragma once

#include "core/machine.h"

enum ownership {
	OWNERSHIP_UNKNOWN, /* not read, or sanlock can't tell about the owner */
	OWNERSHIP_FREE,	   /* nobody's */
	OWNERSHIP_DEAD,	   /* of a host that sanlock calls dead, or of an earlier life of it or of ours */
	OWNERSHIP_OVERDUE, /* of a host that is dead by our clock while sanlock does not say so yet: a try is
			      harmless */
	OWNERSHIP_OURS,	   /* our host id and generation */
	OWNERSHIP_ALIVE,   /* another host's, and it lives */
	OWNERSHIP_COUNT
};
STRTAB_DECLARE(ownership, enum ownership);

struct outlook {
	enum ownership ownership;
	const struct peer *owner; /* the other host that owns it, NULL: none, or it is not listed */
	bool knowledge;		  /* STATES.md "Knowledge" */
	bool alien;		  /* safety rule 9 */
	bool timing_differs;	  /* safety rule 10 */
	bool can_move;		  /* some eligible host */
	bool claimed_up;	  /* a fresh record of a host that is not dead says up */
	bool migration;		  /* from some host, as peer_migrates() has it */
};

/* The eligible hosts, but for those that could have taken a free lease and have not. */
struct rivals {
	int32_t best;  /* highest score, 0: none */
	unsigned rank; /* how many have our score and a lower id */
};

void outlook_take(const struct snapshot *known, const struct policy *policy, mono_t now, struct outlook *ret);
/* For who asks whose turn it is. `lease_free_since`: the machine's; `score`: ours, for the rank. */
void outlook_rivals(const struct snapshot *known, const struct policy *policy, mono_t lease_free_since,
		    int32_t score, mono_t now, struct rivals *ret);
/* Does this host, with that score, come so early among the eligible ones that its turn to start the VM would
 * come within a loop? Such hosts follow the VM each second; those behind them, of which there are none in a
 * cluster of up to 20 hosts, see each loop what they would have to wait for anyway. */
bool outlook_in_turn(const struct snapshot *known, const struct policy *policy, int32_t score, mono_t now);
/* Whom the VM may be migrated to live: the host with that id, 0: the best of all; NULL: nobody, or not that
 * one. It is eligible, has written its record within the last loops, and is of this implementation: others
 * don't know of rule 14. */
const struct peer *outlook_target(const struct snapshot *known, const struct policy *policy, uint16_t id,
				  mono_t now);
/* The best of those that come after the host `id` of `score` in this order, by score and then by id; NULL:
 * nobody. Who goes from one to the next comes to an end, and asks nobody twice but whose score has fallen
 * meanwhile. */
const struct peer *outlook_next_target(const struct snapshot *known, const struct policy *policy,
				       int32_t score, uint16_t id, mono_t now);
/* The lease is there for who asks sanlock first. */
bool outlook_lease_free(const struct outlook *outlook);
