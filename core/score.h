/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The score of this host and why it is what it is. A penalty from a monitor counts only when its cause lasted
 * as long as the policy's patience says; the memory for that is part of the machine. Pure. */
#pragma once

#include "core/snapshot.h"

enum penalty {
	/* points off */
	PENALTY_NETWORK,
	PENALTY_MGMT_BRIDGE,
	PENALTY_CPU_LOAD,
	PENALTY_MEMORY,
	PENALTY_CONFIG,
	PENALTY_RETRIES,
	/* score 0, but a lease free for 60 s may still be taken */
	PENALTY_TRIES_SPENT,
	PENALTY_UNEXPECTED_SHUTDOWN,
	/* score 0 and no start whatever happens */
	PENALTY_LOCAL_MAINTENANCE,
	PENALTY_STOPPED,
	PENALTY_VM_UNKNOWN,
	PENALTY_NOT_READY,    /* StartState, ReinitializeFSM, or libvirt is to say how the VM ended */
	PENALTY_NO_HOST_ID,   /* not joined, or sanlock does not answer */
	PENALTY_NO_KNOWLEDGE, /* whiteboard, block 0, the hosts' states, the lease's owner, local
				 maintenance, or whether QEMU lives here */
	PENALTY_NO_WATCHDOG,  /* safety rule 6 */
	PENALTY_BLOCKED,      /* safety rule 8 */
	PENALTY_ALIEN_PEER,   /* safety rule 9 */
	PENALTY_LEASE_TIMING, /* safety rule 10 */
	PENALTY_COUNT
};
STRTAB_DECLARE(penalty, enum penalty);

#define PENALTY_FIRST_ZERO PENALTY_TRIES_SPENT
#define PENALTY_FIRST_NEVER PENALTY_LOCAL_MAINTENANCE

struct penalty_entry {
	int32_t points; /* off the base, 0: does not apply */
	mono_t since;	/* when it began to count */
	mono_t until;	/* when it ends by itself, MONO_NEVER: not by time */
};

struct score {
	int32_t value; /* 0..base */
	struct penalty_entry entries[PENALTY_COUNT];
};

/* How long each cause has lasted. Zeroed at start. */
struct cause {
	uint32_t number;  /* of the last sample taken in */
	uint32_t samples; /* in a row with the cause present */
	mono_t since;	  /* first of them */
	int32_t value;	  /* of the last sample that was known */
};

struct score_memory {
	struct cause causes[MONITOR_COUNT];
	mono_t since[PENALTY_COUNT]; /* when each entry began to count; valid while it applies */
	bool applied[PENALTY_COUNT];
};

/* What of the machine the score depends on. */
struct score_input {
	bool judge_memory; /* not while the VM runs here, nor in global maintenance */
	uint32_t failed_tries;
	mono_t tries_clear_at;	 /* when they clear by time */
	mono_t unexpected_until; /* MONO_UNSET: no unexpected shutdown */
	mono_t config_since;	 /* since when the VM's configuration is out of date, MONO_UNSET: it is not */
	bool zero[PENALTY_COUNT]; /* the causes from PENALTY_FIRST_NEVER on that apply */
};

/* Takes the snapshot's new samples in and gives the score of now. */
void score_update(struct score_memory *memory, const struct snapshot *known, const struct policy *policy,
		  const struct score_input *input, mono_t now, struct score *ret);
/* True when nothing but points, spent tries or an unexpected shutdown stands against a start. */
bool score_allows_start(const struct score *score);
