/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One other host, as seen from here: what its record says, what sanlock says of its host id, and since when
 * by our own clock. The broker keeps one per slot and hands them to the agent; freshness, eligibility and
 * death are judged here and nowhere else. Pure. Records are hints: any of them can be late, stale or wrong;
 * sanlock's word about the host id is not. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/engine.h"
#include "core/policy.h"

#define HOST_ID_MAX 2000

/* sanlock's word about a host id. */
enum host_state {
	HOST_UNKNOWN, /* get_hosts has not answered, or says UNKNOWN: not enough history */
	HOST_ABSENT,  /* not listed */
	HOST_FREE,
	HOST_LIVE,
	HOST_FAIL,
	HOST_DEAD,
	HOST_STATE_COUNT
};
STRTAB_DECLARE(host_state, enum host_state);

/* Why a slot has no usable record. */
enum record_fault {
	RECORD_OK,
	RECORD_ABSENT,	/* the block is empty: no such host */
	RECORD_TOO_NEW, /* written by a newer version: never dead, never eligible */
	RECORD_TOO_OLD, /* written by a version before ours: ignored */
	RECORD_BAD,	/* CRC, number, id, encoding: unreadable, the cause is kept beside it */
	RECORD_FAULT_COUNT
};
STRTAB_DECLARE(record_fault, enum record_fault);

/* The part of a record that decisions use. */
struct claim {
	uint64_t timestamp;  /* the writer's clock; only a change means anything */
	uint64_t generation; /* sanlock's of the writer's host id; 0: the record has none (another writer) */
	int32_t score;
	enum vm vm;
	enum health health;
	enum detail detail;
	bool maintenance, stopped;
	uint16_t migrating_to; /* host id, the writer's own: wherever somebody else migrates it to; 0 none */
	uint32_t io_timeout_s; /* 0: the record has none */
	uint32_t watchdog_fire_s; /* meaningful with io_timeout_s */
};

struct peer {
	uint16_t id; /* 1..HOST_ID_MAX */
	enum record_fault fault;
	struct claim claim;	   /* the last readable one; meaningful while fault is RECORD_OK */
	uint64_t claim_generation; /* of the claim: the record's, else sanlock's when it was taken in, 0
				      neither known */
	mono_t first_seen;	   /* when its record was first read, MONO_UNSET never */
	mono_t changed_at; /* when its timestamp was last seen to change, MONO_UNSET never since first_seen */
	mono_t able_since; /* since when its records claim a score above 0 without a break, else MONO_UNSET */
	mono_t vm_since;   /* since when its records claim this `vm` without a break */
	enum host_state host;	  /* sanlock's */
	uint64_t host_generation; /* sanlock's, 0 when absent */
	uint64_t host_timestamp;  /* of its last renewal, its own clock */
	mono_t renewed_at;	  /* when host_timestamp was last seen to change, MONO_UNSET never */
	mono_t moves_at; /* when a record that says migrating_to was last seen to change, MONO_UNSET: it
			    has said since that none is under way */
	uint64_t moves_generation; /* claim_generation of that record */
	mono_t alien_since;	/* since when get_hosts shows this id absent or of another generation than its
				   record's */
	uint8_t alien_advances; /* how often its timestamp advanced after lease_alien_ms of that (safety rule
				   9) */
};

/* An empty slot: no record, nothing heard from sanlock. */
void peer_init(struct peer *peer, uint16_t id);

/* Takes in a readable record. A timestamp that goes backwards is a rebooted host if the generation rose, else
 * a late write of the past, and the newer record is kept (false is returned). */
bool peer_observe_claim(struct peer *peer, const struct claim *claim, const struct lease_timing *t,
			mono_t now);
/* Takes in that the block can't be used; RECORD_ABSENT forgets the host's record at once. */
void peer_observe_fault(struct peer *peer, enum record_fault fault, mono_t now);
/* Takes in sanlock's answer for this id; HOST_ABSENT with generation 0 when it is not listed, HOST_UNKNOWN
 * when get_hosts did not answer (then nothing else is changed). */
void peer_observe_host(struct peer *peer, enum host_state state, uint64_t generation, uint64_t timestamp,
		       mono_t now);

/* Its record's timestamp changed within policy.stale; or we have no such history yet and it is of the
 * generation that sanlock sees renewing. */
bool peer_fresh(const struct peer *peer, const struct policy *policy, mono_t now);
/* Safety rule 14: the VM is being migrated from it, as its record says, or said within policy.stale: one that
 * is torn since, or that another has written over, takes nothing back. Not when it is dead. */
bool peer_migrates(const struct peer *peer, const struct policy *policy, mono_t now);
/* Dead by sanlock: FREE, DEAD or absent, or sanlock sees a higher generation than `generation` (0: any
 * generation is this one). A lower one is unknown, since get_hosts lags. */
bool peer_dead(const struct peer *peer, uint64_t generation);
/* Fresh, readable, not dead by sanlock, not stopped, not in maintenance, score above 0. */
bool peer_eligible(const struct peer *peer, const struct policy *policy, mono_t now);
/* Safety rule 9: its record lives on while sanlock here sees another host or none: it is on different
 * storage. Over once the record has stood still for policy.stale: what a dead host left behind holds nobody
 * up. */
bool peer_alien(const struct peer *peer, const struct policy *policy, mono_t now);
