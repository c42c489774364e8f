/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is known of one other host, and the three questions that decisions ask of it: is its record fresh, may
 * it take the VM, is it dead. Only sanlock can make a host dead; a silent record can't (an unreadable or
 * newer one least of all). */
#include "core/peer.h"

#include <assert.h>

STRTAB_DEFINE(host_state, enum host_state, HOST_STATE_COUNT, "unknown", "absent", "free", "live", "fail",
	      "dead")

STRTAB_DEFINE(record_fault, enum record_fault, RECORD_FAULT_COUNT, "ok", "absent", "too-new", "too-old",
	      "bad")

/* Advances that must be seen before a host counts as being on other storage: one can be a write that was
 * under way. */
#define ALIEN_ADVANCES 2

void peer_init(struct peer *peer, uint16_t id)
{
	assert(id >= 1 && id <= HOST_ID_MAX);
	*peer = (struct peer){
		.id = id,
		.fault = RECORD_ABSENT,
		.first_seen = MONO_UNSET,
		.changed_at = MONO_UNSET,
		.able_since = MONO_UNSET,
		.vm_since = MONO_UNSET,
		.renewed_at = MONO_UNSET,
		.moves_at = MONO_UNSET,
		.alien_since = MONO_UNSET,
	};
}

static bool writes_generation(const struct peer *peer)
{
	return peer->claim.generation != 0;
}

/* Rule 9 looks at hosts that claim to be members while sanlock's lockspace here does not have them. A stopped
 * host may have left, a record without a generation can't be compared. */
static bool looks_alien(const struct peer *peer)
{
	if (peer->fault != RECORD_OK || peer->claim.stopped || !writes_generation(peer))
		return false;
	if (peer->host == HOST_UNKNOWN)
		return false;
	return peer->host == HOST_ABSENT || peer->host == HOST_FREE ||
	       peer->host_generation != peer->claim.generation;
}

static void judge_alien(struct peer *peer, mono_t now)
{
	if (!looks_alien(peer)) {
		peer->alien_since = MONO_UNSET;
		peer->alien_advances = 0;
	} else if (peer->alien_since == MONO_UNSET) {
		peer->alien_since = now;
	}
}

/* Generations begin anew with the lockspace (rule 15), and then do not rise over a reboot. But sanlock's time
 * stamps are of the clock that the records are of: a host that lives has renewed within 8N, and at our
 * sanlock's renewal 2N ago at most that was seen, so what is ahead of it by more is of another life. */
static bool kept_of_another_life(const struct peer *peer, const struct claim *claim,
				 const struct lease_timing *t)
{
	uint64_t lag = (uint64_t)(lease_fail_ms(t) + lease_renew_ms(t)) / MONO_SECOND;

	return peer->host == HOST_LIVE && claim->generation == peer->host_generation &&
	       peer->claim.timestamp > peer->host_timestamp + lag;
}

/* It is taken back by who has announced it: in the block may stand a clone's record meanwhile. */
static void note_move(struct peer *peer, bool changed, mono_t now)
{
	if (peer->claim.migrating_to != 0 && changed) {
		peer->moves_at = now;
		peer->moves_generation = peer->claim_generation;
	} else if (peer->claim.migrating_to == 0 && peer->claim_generation == peer->moves_generation) {
		peer->moves_at = MONO_UNSET;
	}
}

bool peer_observe_claim(struct peer *peer, const struct claim *claim, const struct lease_timing *t,
			mono_t now)
{
	bool known = peer->fault != RECORD_ABSENT && peer->first_seen != MONO_UNSET;
	bool changed = known && claim->timestamp != peer->claim.timestamp;
	uint64_t generation = claim->generation != 0 ? claim->generation : peer->host_generation;

	/* A clock that went back is another boot if the generation rose: the record's, else the one that
	 * sanlock saw of that id. Where neither is known the writer is believed; and so is one of the very
	 * generation that sanlock sees, over a record of another: a clone's, or what somebody copied there,
	 * must not hide the host for as long as its own clock takes to get there. */
	if (changed && claim->timestamp < peer->claim.timestamp && generation != 0 &&
	    peer->claim_generation != 0 && generation <= peer->claim_generation &&
	    !(claim->generation == peer->host_generation && peer->claim_generation != claim->generation) &&
	    !kept_of_another_life(peer, claim, t))
		return false;

	if (!known) {
		peer->first_seen = now;
		peer->changed_at = MONO_UNSET;
		peer->vm_since = now;
		peer->able_since = MONO_UNSET;
	} else {
		if (changed)
			peer->changed_at = now;
		if (claim->vm != peer->claim.vm)
			peer->vm_since = now;
	}
	peer->fault = RECORD_OK;
	peer->claim = *claim;
	peer->claim_generation = generation;
	note_move(peer, changed, now);
	if (claim->score <= 0)
		peer->able_since = MONO_UNSET;
	else if (peer->able_since == MONO_UNSET)
		peer->able_since = now;

	if (changed && mono_passed(peer->alien_since, lease_alien_ms(t), now) &&
	    peer->alien_advances < ALIEN_ADVANCES)
		peer->alien_advances++;
	judge_alien(peer, now);
	return true;
}

void peer_observe_fault(struct peer *peer, enum record_fault fault, mono_t now)
{
	assert(fault != RECORD_OK && fault < RECORD_FAULT_COUNT);
	peer->fault = fault;
	peer->able_since = MONO_UNSET;
	if (fault == RECORD_ABSENT) {
		peer->claim = (struct claim){0};
		peer->claim_generation = 0;
		peer->first_seen = peer->changed_at = peer->vm_since = MONO_UNSET;
	}
	judge_alien(peer, now);
}

void peer_observe_host(struct peer *peer, enum host_state state, uint64_t generation, uint64_t timestamp,
		       mono_t now)
{
	assert(state < HOST_STATE_COUNT);
	if (state == HOST_UNKNOWN && generation == 0) {
		peer->host = HOST_UNKNOWN;
		return;
	}
	if (generation != peer->host_generation || timestamp != peer->host_timestamp)
		peer->renewed_at = now;
	peer->host = state;
	peer->host_generation = generation;
	peer->host_timestamp = timestamp;
	judge_alien(peer, now);
}

bool peer_fresh(const struct peer *peer, const struct policy *policy, mono_t now)
{
	if (peer->fault != RECORD_OK)
		return false;
	if (peer->changed_at != MONO_UNSET)
		return !mono_passed(peer->changed_at, policy->stale, now);
	/* Not one change seen: after `stale` that is an answer, before it only sanlock can vouch for the
	 * writer. */
	return !mono_passed(peer->first_seen, policy->stale, now) && peer->host == HOST_LIVE &&
	       writes_generation(peer) && peer->claim.generation == peer->host_generation;
}

bool peer_migrates(const struct peer *peer, const struct policy *policy, mono_t now)
{
	if (peer->moves_at != MONO_UNSET && !peer_dead(peer, peer->moves_generation) &&
	    !mono_passed(peer->moves_at, policy->stale, now))
		return true;
	return peer->claim.migrating_to != 0 && !peer_dead(peer, peer->claim.generation) &&
	       peer_fresh(peer, policy, now);
}

bool peer_dead(const struct peer *peer, uint64_t generation)
{
	if (peer->host == HOST_LIVE || peer->host == HOST_FAIL)
		return generation != 0 && peer->host_generation > generation;
	return peer->host == HOST_ABSENT || peer->host == HOST_FREE || peer->host == HOST_DEAD;
}

bool peer_eligible(const struct peer *peer, const struct policy *policy, mono_t now)
{
	return peer_fresh(peer, policy, now) && !peer_dead(peer, peer->claim.generation) &&
	       !peer->claim.stopped && !peer->claim.maintenance && peer->claim.score > 0;
}

bool peer_alien(const struct peer *peer, const struct policy *policy, mono_t now)
{
	return peer->alien_advances >= ALIEN_ADVANCES && !mono_passed(peer->changed_at, policy->stale, now);
}
