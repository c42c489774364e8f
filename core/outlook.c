/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Derives the cluster's meaning from the facts. Records decide eligibility only; who owns the VM is the
 * lease's word, and who is dead is sanlock's (DESIGN "Ownership"). Everything here is advisory before a
 * start: sanlock refuses safely. */
#include "core/outlook.h"

#define SPEAKING_LOOPS 3 /* each host writes its record once a loop, and we read it as often */

STRTAB_DEFINE(ownership, enum ownership, OWNERSHIP_COUNT, "unknown", "free", "dead", "overdue", "ours",
	      "alive")

static const struct peer *find_peer(const struct snapshot *known, uint16_t id)
{
	size_t low = 0, high = known->n_peers;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (known->peers[middle].id == id)
			return &known->peers[middle];
		if (known->peers[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static enum ownership own_lease(const struct cluster *c)
{
	if (c->generation == 0 || c->owner_generation > c->generation)
		return OWNERSHIP_UNKNOWN;
	return c->owner_generation == c->generation ? OWNERSHIP_OURS : OWNERSHIP_DEAD;
}

static enum ownership peer_lease(const struct cluster *c, const struct peer *owner, mono_t now)
{
	if (!owner)
		return OWNERSHIP_DEAD; /* get_hosts answered and does not list it */
	if (owner->host == HOST_UNKNOWN)
		return OWNERSHIP_UNKNOWN;
	if (peer_dead(owner, c->owner_generation))
		return OWNERSHIP_DEAD;
	if (owner->host_generation < c->owner_generation)
		return OWNERSHIP_UNKNOWN; /* get_hosts lags behind the owner's join */
	if (mono_passed(owner->renewed_at, lease_dead_ms(&c->lease), now))
		return OWNERSHIP_OVERDUE;
	return OWNERSHIP_ALIVE;
}

static enum ownership take_ownership(const struct snapshot *known, mono_t now, const struct peer **ret_owner)
{
	const struct cluster *c = &known->cluster;

	if (!known->broker_answers || c->membership != MEMBERSHIP_JOINED || !c->hosts_known)
		return OWNERSHIP_UNKNOWN;
	if (c->owner == OWNER_UNREAD)
		return OWNERSHIP_UNKNOWN;
	if (c->owner == OWNER_NOBODY)
		return OWNERSHIP_FREE;
	if (c->owner_id == c->host_id)
		return own_lease(c);
	*ret_owner = find_peer(known, c->owner_id);
	return peer_lease(c, *ret_owner, now);
}

/* One that could have taken a free lease for a minute and has not is passed over, or a host that claims a
 * fine score and can't start would keep the VM down for ever. */
static bool passed_over(const struct peer *peer, const struct policy *policy, mono_t lease_free_since,
			mono_t now)
{
	return mono_passed(lease_free_since, policy->untaken, now) &&
	       mono_passed(peer->able_since, policy->untaken, now);
}

static void take_peer(const struct peer *peer, const struct policy *policy, mono_t now, struct outlook *ret)
{
	if (peer_alien(peer, policy, now))
		ret->alien = true;
	ret->migration |= peer_migrates(peer, policy, now);
	if (peer->fault != RECORD_OK)
		return;
	if (peer->claim.vm == VM_UP && peer->host == HOST_UNKNOWN)
		ret->knowledge = false;
	if (peer_dead(peer, peer->claim.generation) || !peer_fresh(peer, policy, now))
		return;
	ret->claimed_up |= peer->claim.vm == VM_UP;
	ret->can_move = ret->can_move || peer_eligible(peer, policy, now);
}

/* Rule 10: right is what the eligible host with the lowest id has. We count as eligible here, or two hosts
 * that differ would both be wrong. */
static bool timing_differs(const struct snapshot *known, const struct policy *policy, mono_t now)
{
	const struct lease_timing *ours = &known->cluster.lease;

	for (size_t i = 0; i < known->n_peers && known->peers[i].id < known->cluster.host_id; i++) {
		const struct peer *peer = &known->peers[i];

		if (peer->claim.io_timeout_s == 0 || !peer_eligible(peer, policy, now))
			continue;
		return peer->claim.io_timeout_s != ours->io_timeout_s ||
		       peer->claim.watchdog_fire_s != ours->watchdog_fire_s;
	}
	return false;
}

void outlook_take(const struct snapshot *known, const struct policy *policy, mono_t now, struct outlook *ret)
{
	const struct cluster *c = &known->cluster;

	*ret = (struct outlook){0};
	ret->ownership = take_ownership(known, now, &ret->owner);
	/* Who owns the lease is known to who has joined, hears of the hosts and could read it. */
	ret->knowledge = ret->ownership != OWNERSHIP_UNKNOWN && c->whiteboard_read && c->maintenance_read;
	for (size_t i = 0; i < known->n_peers; i++)
		take_peer(&known->peers[i], policy, now, ret);
	ret->timing_differs = timing_differs(known, policy, now);
}

void outlook_rivals(const struct snapshot *known, const struct policy *policy, mono_t lease_free_since,
		    int32_t score, mono_t now, struct rivals *ret)
{
	*ret = (struct rivals){0};
	for (size_t i = 0; i < known->n_peers; i++) {
		const struct peer *peer = &known->peers[i];

		if (!peer_eligible(peer, policy, now) || passed_over(peer, policy, lease_free_since, now))
			continue;
		if (peer->claim.score > ret->best)
			ret->best = peer->claim.score;
		ret->rank += peer->claim.score == score && peer->id < known->cluster.host_id;
	}
}

bool outlook_in_turn(const struct snapshot *known, const struct policy *policy, int32_t score, mono_t now)
{
	int64_t wait = 0;

	for (size_t i = 0; i < known->n_peers && wait < policy->loop; i++) {
		const struct peer *peer = &known->peers[i];

		if ((peer->claim.score > score ||
		     (peer->claim.score == score && peer->id < known->cluster.host_id)) &&
		    peer_eligible(peer, policy, now))
			wait += policy->rank_delay;
	}
	return wait < policy->loop;
}

/* A host without power is fresh and eligible for a minute still; libvirt would look for it for as long. */
static bool speaks(const struct peer *peer, const struct policy *policy, mono_t now)
{
	return peer->changed_at != MONO_UNSET &&
	       !mono_passed(peer->changed_at, SPEAKING_LOOPS * policy->loop, now);
}

/* Too little memory, a failed storage or network have lowered its score: a fitter one goes first, and where
 * there is none the VM has to go there all the same. Whether its CPU can go on with what the guest uses, its
 * libvirt says before anything is copied: then the next one is asked. */
static bool can_take(const struct peer *peer, const struct policy *policy, mono_t now)
{
	return peer->claim.generation != 0 && peer_eligible(peer, policy, now) && speaks(peer, policy, now);
}

const struct peer *outlook_target(const struct snapshot *known, const struct policy *policy, uint16_t id,
				  mono_t now)
{
	const struct peer *best = NULL;

	for (size_t i = 0; i < known->n_peers; i++) {
		const struct peer *peer = &known->peers[i];

		if ((id == 0 || peer->id == id) && can_take(peer, policy, now) &&
		    (!best || peer->claim.score > best->claim.score))
			best = peer;
	}
	return best;
}

const struct peer *outlook_next_target(const struct snapshot *known, const struct policy *policy,
				       int32_t score, uint16_t id, mono_t now)
{
	const struct peer *best = NULL;

	for (size_t i = 0; i < known->n_peers; i++) {
		const struct peer *peer = &known->peers[i];
		bool after = peer->claim.score < score || (peer->claim.score == score && peer->id > id);

		if (after && can_take(peer, policy, now) && (!best || peer->claim.score > best->claim.score))
			best = peer;
	}
	return best;
}

bool outlook_lease_free(const struct outlook *outlook)
{
	return outlook->ownership == OWNERSHIP_FREE || outlook->ownership == OWNERSHIP_DEAD ||
	       outlook->ownership == OWNERSHIP_OURS;
}
