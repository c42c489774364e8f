/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The checkers of what agents decide: each step against what is true, and against what the agent could know.
 */
#include "daemon/agent_state.h"
#include "tests/sim/sim_finding.h"

/* The broker's word to the agent: CHANGED_GAP_MS, and its answer within BROKER_ANSWER_MS or it is unknown. */
#define FLAG_LAG (50 + BROKER_ANSWER_MS)
/* Every block is read within 125 minutes, used or not; one clock may run 0.1 % slower. */
#define UNLISTED_LAG (126 * MINUTE)
/* What rule 3 finds within its loop. */
#define LEASE_LAG (27 * SECOND)
/* Starts per host and hour: one a minute against a silent owner or an untaken lease, and the first quick
 * ones. */
#define STARTS_PER_HOUR 75

void check_agent_began(struct check *check, unsigned host)
{
	check->memory[host].stepped = false;
	check->memory[host].moved_at = -1;
	check->memory[host].agent_began = check_now(check);
	check->memory[host].futile_at[0] = check->memory[host].futile_at[1] = -MINUTE;
}

/* Does a living host other than `host` run the VM with its lease, without a break for long enough that all
 * could know? */
static bool owner_runs(const struct check *check, unsigned host, int64_t now)
{
	for (unsigned i = 0; i < check->n_hosts; i++)
		for (unsigned q = 0; i != host && check->hosts[i].id && q < CHECK_QEMUS_MAX; q++)
			if (check->hosts[i].qemus[q].life && check->hosts[i].qemus[q].runs &&
			    check->hosts[i].qemus[q].leased && check->hosts[i].sanlock &&
			    now > later_of(check->memory[i].life_since[q], check->memory[i].stood_at[q]) +
					    MINUTE)
				return true;
	return false;
}

/* The host of this id, by index; -1: none that is looked at. */
static int index_of(const struct check *check, uint16_t id)
{
	unsigned last = check->n_hosts - 1; /* of other versions, as it comes */

	if (id >= 1 && id <= last)
		return check->hosts[id - 1].id == id ? id - 1 : -1;
	return check->hosts[last].id == id ? (int)last : -1;
}

/* Is an alien's block among those that are read each loop, and was for long enough? One that was empty, or
 * read as such once, is found by and by. */
static bool knows_alien(const struct check *check, const struct agent *agent, int64_t lag)
{
	for (size_t p = 0; p < agent->n_peers; p++) {
		const struct peer *peer = &agent->peers[p];

		if (index_of(check, peer->id) < 0 && mono_passed(peer->first_seen, lag, agent_now(agent)) &&
		    peer->fault == RECORD_OK && !peer->claim.stopped && peer->claim.generation != 0)
			return true;
	}
	return false;
}

static void check_start(struct check *check, unsigned host, const struct agent *agent,
			const struct step *step, int64_t now)
{
	struct check_memory *m = &check->memory[host];
	const struct cluster *known = &agent->cluster;
	bool asked = step->reason == REASON_OPERATOR;
	unsigned last_hour = 0;
	int64_t lag;

	check->starts++;
	if (!asked) {
		if (known->maintenance == FLAG_YES)
			check_fail(check, "start-in-maintenance",
				   "host %u begins a start in global maintenance", check->hosts[host].id);
		/* Whatever it believes: it has read it. */
		if (m->flag == FLAG_YES && now > m->flag_at + FLAG_LAG)
			check_fail(check, "flag-forgotten",
				   "host %u begins a start %lld ms after it read the global flag",
				   check->hosts[host].id, (long long)(now - m->flag_at));
		if (agent->local.maintenance_management || agent->local.maintenance_operator)
			check_fail(check, "start-in-maintenance",
				   "host %u begins a start in local maintenance", check->hosts[host].id);
	}
	/* Rules 6, 8 and 10. */
	if (check->require_watchdog && known->watchdog != WATCHDOG_HARD && known->watchdog != WATCHDOG_SOFT)
		check_fail(check, "start-unfit", "host %u begins a start without a watchdog",
			   check->hosts[host].id);
	if (known->block != BLOCK_NONE)
		check_fail(check, "start-unfit", "host %u begins a start though it is blocked: %s",
			   check->hosts[host].id, block_reason_str(known->block));
	if (known->membership != MEMBERSHIP_JOINED)
		check_fail(check, "start-unfit", "host %u begins a start without its host id",
			   check->hosts[host].id);
	/* Rule 9: two advances, read within a loop each, after get_hosts has shown it absent for 4 x
	 * io_timeout. */
	lag = lease_renew_ms(&check->timing) + lease_alien_ms(&check->timing) + 45 * SECOND;
	if (check->aliens > 0 && now > later_of(later_of(check->alien_since, m->calm_since),
						later_of(m->agent_since, m->joined_since)) +
						 lag + (knows_alien(check, agent, lag) ? 0 : UNLISTED_LAG))
		check_fail(check, "start-beside-alien",
			   "host %u begins a start though a host is on other storage", check->hosts[host].id);
	for (size_t i = 0; i < agent->n_peers; i++) {
		const struct peer *peer = &agent->peers[i];

		if (peer->id > known->host_id || peer->claim.io_timeout_s == 0 ||
		    !peer_eligible(peer, &agent->config.policy, agent_now(agent)))
			continue;
		if (peer->claim.io_timeout_s != known->lease.io_timeout_s)
			check_fail(check, "start-unfit",
				   "host %u begins a start with another io_timeout than host %u",
				   check->hosts[host].id, peer->id);
		break;
	}
	/* libvirt's answer is 12 s old at most, whoever stood still meanwhile; clocks drift. */
	for (unsigned q = 0; q < CHECK_QEMUS_MAX; q++)
		if (check->hosts[host].qemus[q].life && now > m->life_since[q] + 12 * SECOND + 50)
			check_fail(check, "second-qemu",
				   "host %u begins a start beside the QEMU that lives here",
				   check->hosts[host].id);
	if (!asked && owner_runs(check, host, now)) {
		if (now < m->futile_at[0] + 110 * SECOND)
			check_fail(check, "futile-start",
				   "host %u: a third try within 110 s to start what a living host runs",
				   check->hosts[host].id);
		m->futile_at[0] = m->futile_at[1];
		m->futile_at[1] = now;
	}
	m->starts[m->n_starts++ % 128] = now;
	for (unsigned i = 0; i < 128 && i < m->n_starts; i++)
		last_hour += m->starts[i] > now - 60 * MINUTE;
	if (last_hour > STARTS_PER_HOUR)
		check_fail(check, "ping-pong", "host %u: %u starts within an hour", check->hosts[host].id,
			   last_hour);
}

/* Rule 14: only what its record on storage has named is migrated, and only with its lease. */
static void check_migration(struct check *check, unsigned host, const struct step *step, int64_t now)
{
	const struct check_memory *m = &check->memory[host];

	if (m->migrating_to != step->next.migrate_to)
		check_fail(check, "migration-unannounced",
			   "host %u begins a migration to host %u, its record says %u", check->hosts[host].id,
			   step->next.migrate_to, m->migrating_to);
	for (unsigned q = 0; q < CHECK_QEMUS_MAX; q++)
		if (check->hosts[host].qemus[q].life && m->unleased_since[q] >= 0 &&
		    now > m->unleased_since[q] + LEASE_LAG)
			check_fail(check, "migration-unleased", "host %u migrates a VM without its lease",
				   check->hosts[host].id);
}

static void check_kill(struct check *check, unsigned host)
{
	for (unsigned q = 0; q < CHECK_QEMUS_MAX; q++) {
		const struct check_qemu *qemu = &check->hosts[host].qemus[q];

		if (qemu->life && qemu->runs && qemu->leased && !check->memory[host].tainted[q] &&
		    check->rewritten_at < check->memory[host].life_since[q])
			check_fail(check, "wrongful-kill", "host %u kills a VM that has its lease",
				   check->hosts[host].id);
	}
}

/* Rule 14: what is brought here while it runs elsewhere, with its lease, is nobody's to end or to judge.
 * Whose libvirt is silent can't tell that it is: then rule 3 goes first. */
static void check_arrival(struct check *check, unsigned host, const struct step *step, int64_t now)
{
	bool ends = false;

	if (step->reason == REASON_OPERATOR || step->next.reason == REASON_OPERATOR ||
	    !check->hosts[host].calm || now < check->memory[host].calm_since + MINUTE)
		return;
	for (size_t i = 0; i < step->n_actions; i++)
		ends |= step->actions[i] == ACTION_KILL || step->actions[i] == ACTION_DESTROY;
	for (unsigned q = 0; ends && q < CHECK_QEMUS_MAX; q++)
		if (check->hosts[host].qemus[q].life && check->hosts[host].qemus[q].arrives &&
		    !check->memory[host].ran[q] && !check->hosts[host].qemus[q].registered &&
		    owner_runs(check, host, now))
			check_fail(check, "arrival-ended",
				   "host %u ends the VM that is migrated to it, reason %s",
				   check->hosts[host].id, reason_str(step->reason));
}

/* A host whose record can't be read, or is of a newer version, has not died by that: as long as it renews its
 * host id where `host` can read it, nobody may count on its death. */
static void check_deaths(struct check *check, unsigned host, const struct agent *agent, int64_t now)
{
	int64_t seen = 2 * lease_renew_ms(&check->timing) + 2 * MINUTE;

	if (!check->hosts[host].calm || !check->hosts[host].joined ||
	    now < later_of(check->memory[host].calm_since,
			   later_of(check->memory[host].joined_since, check->memory[host].agent_since)) +
			    seen)
		return;
	for (size_t p = 0; p < agent->n_peers; p++) {
		const struct peer *peer = &agent->peers[p];
		int i = peer->fault == RECORD_BAD || peer->fault == RECORD_TOO_NEW ? index_of(check, peer->id)
										   : -1;

		if (i < 0 || i == (int)host || !check->hosts[i].joined || !check->hosts[i].calm ||
		    now < later_of(check->memory[i].joined_since, check->memory[i].calm_since) + seen)
			continue;
		if (peer_dead(peer, peer->host_generation))
			check_fail(check, "counted-dead",
				   "host %u counts host %u as dead, whose record is %s and which lives",
				   check->hosts[host].id, peer->id, record_fault_str(peer->fault));
	}
}

/* `host` has looked for long enough that what it knows is what could be read. */
static bool has_looked(const struct check *check, unsigned host, int64_t now)
{
	const struct check_memory *m = &check->memory[host];

	return check->hosts[host].calm && now > m->calm_since + 3 * MINUTE &&
	       now > m->agent_since + 3 * MINUTE;
}

/* A record that moves at least each 20 s is fresh to whoever reads it, one that has stood still for long is
 * not. Returns whether there is one that can't be read. */
static bool check_freshness(struct check *check, unsigned host, const struct agent *agent, int64_t now)
{
	int64_t stale = agent->config.policy.stale;
	mono_t agent_at = agent_now(agent);
	bool looked = has_looked(check, host, now), unreadable = false;

	for (size_t p = 0; p < agent->n_peers; p++) {
		const struct peer *peer = &agent->peers[p];
		int i = index_of(check, peer->id);
		const struct check_memory *m = i < 0 ? NULL : &check->memory[i];
		bool fresh;

		unreadable |= peer->fault == RECORD_BAD || peer->fault == RECORD_TOO_NEW;
		/* What others write there moves, or hides it, too. */
		if (!m || i == (int)host || m->stamped_at == 0 || now < m->foreign_at + 3 * MINUTE)
			continue;
		if (peer->changed_at != MONO_UNSET && peer->changed_at > agent_at)
			check_fail(check, "freshness", "host %u: the record of host %u changed in the future",
				   check->hosts[host].id, peer->id);
		if (!looked)
			continue;
		fresh = peer_fresh(peer, &agent->config.policy, agent_at);
		/* 5 s for clocks that drift and for reads and steps under way. */
		if (fresh && peer->changed_at != MONO_UNSET && now > m->stamped_at + stale + 30 * SECOND)
			check_fail(check, "freshness",
				   "host %u takes the record of host %u for fresh, %lld s old",
				   check->hosts[host].id, peer->id,
				   (long long)((now - m->stamped_at) / SECOND));
		/* A writer of the past hour that this host could read all the time. */
		if (!fresh && peer->fault == RECORD_OK && has_looked(check, (unsigned)i, now) &&
		    now < m->stamped_at + 25 * SECOND && now > m->regular_since + MINUTE &&
		    now > check->memory[host].joined_since + 3 * MINUTE && check->hosts[i].joined)
			check_fail(check, "freshness",
				   "host %u does not take the record of host %u for fresh, %lld s "
				   "old: it "
				   "kept timestamp %llu generation %llu, sanlock says %s generation "
				   "%llu",
				   check->hosts[host].id, peer->id,
				   (long long)((now - m->stamped_at) / SECOND),
				   (unsigned long long)peer->claim.timestamp,
				   (unsigned long long)peer->claim_generation, host_state_str(peer->host),
				   (unsigned long long)peer->host_generation);
	}
	return unreadable;
}

void check_stepped(struct check *check, unsigned host, const struct agent *agent, const struct step *step)
{
	struct check_memory *m = &check->memory[host];
	int64_t now = check_now(check);
	enum state to = step->next.state;

	check_catch_up(check, host);
	if (m->stepped && to != m->state && !machine_allowed(m->state, to))
		check_fail(check, "transition", "host %u: %s -> %s is not in the table",
			   check->hosts[host].id, state_str(m->state), state_str(to));
	if (step->reason >= REASON_COUNT || step->next.reason >= REASON_COUNT)
		check_fail(check, "transition", "host %u: a step without a reason", check->hosts[host].id);
	if (m->stepped && to != m->state && (to == STATE_ENGINE_STOP || to == STATE_ENGINE_MIGRATING_AWAY) &&
	    step->reason == REASON_BETTER_HOST) {
		/* One clock may run 0.1 % faster. */
		if (m->moved_at >= 0 && now < m->moved_at + 29 * MINUTE)
			check_fail(check, "ping-pong", "host %u: two moves for score within %lld s",
				   check->hosts[host].id, (long long)((now - m->moved_at) / SECOND));
		m->moved_at = now;
	}
	m->state = to;
	m->stepped = true;
	for (size_t i = 0; i < step->n_actions; i++) {
		if (step->actions[i] == ACTION_START || step->actions[i] == ACTION_START_PAUSED)
			check_start(check, host, agent, step, now);
		if (step->actions[i] == ACTION_KILL)
			check_kill(check, host);
		if (step->actions[i] == ACTION_MIGRATE)
			check_migration(check, host, step, now);
	}
	check_arrival(check, host, step, now);
	if (check_freshness(check, host, agent, now))
		check_deaths(check, host, agent, now);
}
