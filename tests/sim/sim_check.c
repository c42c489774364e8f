/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The checkers. Each says its name and what it saw; the first one that speaks is kept. The bounds and how
 * they come about stand in sim_check.h. */
#include "tests/sim/sim_check.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/agent_state.h"
#include "metadata/global.h"
#include "metadata/record.h"

#define SECOND 1000LL
#define MINUTE (60 * SECOND)

#define BOUND_GUARD (8 * SECOND)
#define BOUND_AGENT (27 * SECOND)
#define BOUND_PAUSED (24 * SECOND)
#define BOUND_TIME (3 * SECOND)
#define BOUND_SURVIVOR (65 * SECOND)
/* A look may be from before what it did not see: the loop, sanlock's answer and the write under way. */
#define JOINED_LAG (16 * SECOND)
/* The broker's word to the agent: CHANGED_GAP_MS, and its answer within BROKER_ANSWER_MS or it is unknown. */
#define FLAG_LAG (50 + BROKER_ANSWER_MS)
/* Every block is read within 33 minutes, used or not; one clock may run 0.1 % slower. */
#define UNLISTED_LAG (34 * MINUTE)
#define SILENT_LAG (20 * SECOND + 11 * SECOND)
/* Starts per host and hour: one a minute against a silent owner or an untaken lease, and the first quick
 * ones. */
#define STARTS_PER_HOUR 75

__attribute__((format(printf, 3, 4))) static void fail(struct check *check, const char *name,
						       const char *format, ...)
{
	va_list args;

	if (check->failed)
		return;
	check->failed = name;
	va_start(args, format);
	vsnprintf(check->text, sizeof(check->text), format, args);
	va_end(args);
}

static int64_t now_of(const struct check *check)
{
	return check->now(check->data);
}

void check_init(struct check *check)
{
	check->rewritten_at = check->healed_at = check->up_since = check->up_first = check->good_since = -1;
	check->block0 = false;
	check->block0_known = true; /* all NUL */
	for (unsigned i = 0; i < CHECK_HOSTS_MAX; i++) {
		struct check_memory *m = &check->memory[i];

		m->foreign_at = m->clone_at = -10 * MINUTE;
		m->asked0 = m->refused0 = m->moved_at = -1;
		m->agent_until = m->joined_until = -MINUTE;
		m->futile_at[0] = m->futile_at[1] = -MINUTE;
		m->flag = FLAG_UNKNOWN;
	}
}

int64_t check_up_ms(const struct lease_timing *timing)
{
	return 380 * SECOND + lease_dead_ms(timing) + 60 * SECOND + 120 * SECOND + lease_start_ms(timing) +
	       30 * SECOND;
}

int64_t check_whole_ms(const struct lease_timing *timing)
{
	return check_up_ms(timing) + 600 * SECOND + 60 * SECOND;
}

/* Safety, seen from outside. */

static int64_t later_of(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Until when rule 3 has ended a QEMU without its lease, once agent and broker can act. */
static int64_t unleased_until(const struct check_memory *m, unsigned q)
{
	return later_of(m->unleased_since[q], later_of(m->calm_since, m->agent_since)) + BOUND_AGENT;
}

/* The one exemption, by name: on a host without watchdog, guard, agent and sanlock were all dead together. */
static bool exempt_nothing_left(const struct check_host *host)
{
	return !host->watchdog && !host->guard && !host->agent && !host->sanlock;
}

/* libvirt resumes without its lease what sanlock has forgotten; rule 3 ends it, as it does all that runs so.
 */
static bool resumed_a_moment_ago(const struct check *check, unsigned i, int64_t now)
{
	const struct check_memory *m = &check->memory[i];

	for (unsigned q = 0; q < CHECK_QEMUS_MAX; q++)
		if (check->hosts[i].qemus[q].resumed && now <= unleased_until(m, q))
			return true;
	return false;
}

static void check_two_running(struct check *check, int64_t now)
{
	unsigned running = 0, first = 0, second = 0;

	for (unsigned i = 0; i < CHECK_HOSTS_MAX; i++)
		for (unsigned q = 0; check->hosts[i].id && q < CHECK_QEMUS_MAX; q++)
			if (check->hosts[i].qemus[q].life && check->hosts[i].qemus[q].runs) {
				/* Two on one host are two as well. */
				if (running++ == 0)
					first = i;
				else
					second = i;
			}
	if (running < 2 || exempt_nothing_left(&check->hosts[first]) ||
	    exempt_nothing_left(&check->hosts[second]) || resumed_a_moment_ago(check, first, now) ||
	    resumed_a_moment_ago(check, second, now))
		return;
	fail(check, "two-running", "%u VMs run, on host %u and host %u", running, check->hosts[first].id,
	     check->hosts[second].id);
}

/* One QEMU of one host: how long has it run without what lets it run? */
static void check_life(struct check *check, unsigned i, unsigned q, int64_t now)
{
	const struct check_host *host = &check->hosts[i];
	const struct check_qemu *qemu = &host->qemus[q];
	struct check_memory *m = &check->memory[i];
	int64_t more = qemu->unkillable ? BOUND_SURVIVOR : 0, since;
	struct lease_timing timing = check->timing;

	if (qemu->life != m->life[q]) {
		m->life[q] = qemu->life;
		m->life_since[q] = now;
		m->unleased_since[q] = m->paused_since[q] = -1;
		m->tainted[q] = false;
		m->held_version[q] = 0;
		m->lost_since[q] = now;
	}
	if (!qemu->life)
		return;
	if (!qemu->runs)
		m->stood_at[q] = now;
	/* Two loops of running, and the agent has seen which version of the lease it holds. */
	if (qemu->runs)
		m->held_version[q] =
			qemu->leased && now > later_of(m->life_since[q], m->stood_at[q]) + BOUND_AGENT &&
					now > m->agent_since + BOUND_AGENT
				? check->version
				: 0;
	if (!qemu->runs && now > m->life_since[q] + SECOND)
		m->tainted[q] = true;
	if (!qemu->runs && m->held_version[q]) {
		if (m->paused_since[q] < 0)
			m->paused_since[q] = now;
	} else {
		m->paused_since[q] = -1;
	}
	if (qemu->runs && !qemu->leased) {
		if (m->unleased_since[q] < 0)
			m->unleased_since[q] = now;
	} else {
		m->unleased_since[q] = -1;
	}

	since = later_of(m->unleased_since[q], m->calm_since);
	if (m->unleased_since[q] >= 0 && host->calm) {
		if (host->guard && (!host->sanlock || !host->joined) &&
		    now > later_of(since, m->out_since) + BOUND_GUARD + more)
			fail(check, "unleased-vm",
			     "host %u: no sanlock or lockspace, its QEMU ran on for %lld ms", host->id,
			     (long long)(now - since));
		if (host->agent && host->broker && host->sanlock && host->joined &&
		    now > unleased_until(m, q) + more)
			fail(check, "unleased-vm", "host %u: QEMU ran on without the lease for %lld ms",
			     host->id, (long long)(now - since));
	}
	/* Rule 11: the lease moved while it was paused. */
	if (m->paused_since[q] < 0 || check->version == m->held_version[q] ||
	    m->agent_since >= m->paused_since[q])
		m->lost_since[q] = now;
	if (host->calm && host->agent && host->broker && host->joined &&
	    now > later_of(m->lost_since[q], later_of(m->calm_since, m->agent_since)) + BOUND_PAUSED + more)
		fail(check, "paused-moved",
		     "host %u: QEMU is paused, its lease moved %lld ms ago, and it was not ended", host->id,
		     (long long)(now - m->lost_since[q]));
	if (!qemu->runs)
		return;
	timing.io_timeout_s = host->io_timeout_s;
	/* Rule 6 and sanlock's own time. */
	if (m->life_since[q] <= host->renewed_at || qemu->registered) {
		int64_t silent = now - host->renewed_at;

		if (!host->watchdog && host->guard && now > m->life_since[q] + BOUND_TIME &&
		    now > later_of(host->renewed_at, m->guard_since) + lease_guard_kill_ms(&timing) +
				    BOUND_TIME + more)
			fail(check, "unleased-vm", "host %u: QEMU runs %lld ms after the last renewal",
			     host->id, (long long)silent);
		if (host->watchdog && silent > lease_dead_ms(&timing) + BOUND_TIME)
			fail(check, "unleased-vm",
			     "host %u: QEMU runs %lld ms after the last renewal, with a watchdog", host->id,
			     (long long)silent);
	}
}

static void check_host_now(struct check *check, unsigned i, int64_t now)
{
	const struct check_host *host = &check->hosts[i];
	struct check_memory *m = &check->memory[i];
	bool acting = host->on && host->calm && host->guard;
	bool served = host->on && host->agent && host->broker;

	/* The first event of a host that stood still comes when it does no more: it begins there. */
	if (!acting || !m->was_acting)
		m->calm_since = now;
	if (!host->guard || !m->was_guarded)
		m->guard_since = now;
	if (!served || !m->was_served)
		m->agent_since = now;
	if (served)
		m->agent_until = now;
	m->was_acting = acting;
	m->was_guarded = host->guard;
	m->was_served = served;
	if (host->sanlock && host->joined)
		m->out_since = now;
	if (host->joined)
		m->joined_until = now;
	else
		m->joined_since = now;
	if (!host->on) {
		m->asked0 = m->refused0 = -1;
		m->holds0 = false;
		m->flag = FLAG_UNKNOWN;
	}
	for (unsigned q = 0; q < CHECK_QEMUS_MAX; q++)
		check_life(check, i, q, now);
}

/* Progress. */

static void check_progress(struct check *check, int64_t now)
{
	bool up = false, whole = true;

	for (unsigned i = 0; i < CHECK_HOSTS_MAX; i++) {
		const struct check_host *host = &check->hosts[i];

		if (!host->id)
			continue;
		for (unsigned q = 0; q < CHECK_QEMUS_MAX; q++)
			up |= host->qemus[q].life && host->qemus[q].leased && host->qemus[q].runs &&
			      host->state == STATE_ENGINE_UP;
		whole &= host->unfit || host->score == policy_default.weights.base;
	}
	if (!up)
		check->up_since = -1;
	else if (check->up_since < 0)
		check->up_since = now;
	if (!whole)
		check->good_since = -1;
	else if (check->good_since < 0)
		check->good_since = now;
	if (check->healed_at < 0)
		return;
	if (up && check->up_first < 0)
		check->up_first = now;
	if (check->up_first < 0 && now > check->healed_at + check_up_ms(&check->timing))
		fail(check, "progress", "no host has the VM up %lld s after the last fault",
		     (long long)((now - check->healed_at) / SECOND));
	/* Once up it stays where it is: nothing is wrong any more. One move to a better host is none too
	 * many. */
	if (!up && check->up_first >= 0 &&
	    now > check->healed_at + check_whole_ms(&check->timing) + 10 * MINUTE)
		fail(check, "progress", "the VM went down again though nothing is wrong");
}

void check_end(struct check *check)
{
	if (check->up_since < 0)
		fail(check, "progress", "the VM is not up at the end");
	if (check->good_since < 0 ||
	    check->good_since > check->healed_at + check_whole_ms(&check->timing) + 30 * MINUTE) {
		for (unsigned i = 0; i < CHECK_HOSTS_MAX; i++)
			if (check->hosts[i].id && !check->hosts[i].unfit &&
			    check->hosts[i].score != policy_default.weights.base)
				fail(check, "recovery", "host %u has score %d in %s at the end",
				     check->hosts[i].id, check->hosts[i].score,
				     state_str(check->hosts[i].state));
	}
}

void check_healed(struct check *check)
{
	check->healed_at = now_of(check);
	check->up_first = -1;
}

void check_event(struct check *check)
{
	int64_t now = now_of(check);
	uint64_t version = check->version;

	check->look(check->data, check->hosts, &version);
	check->version = version;
	for (unsigned i = 0; i < CHECK_HOSTS_MAX; i++)
		if (check->hosts[i].id)
			check_host_now(check, i, now);
	check_two_running(check, now);
	check_progress(check, now);
}

/* Decisions. */

void check_agent_began(struct check *check, unsigned host)
{
	check->memory[host].stepped = false;
	check->memory[host].moved_at = -1;
	check->memory[host].futile_at[0] = check->memory[host].futile_at[1] = -MINUTE;
}

/* Does a living host other than `host` run the VM with its lease, for long enough that all could know? */
static bool owner_runs(const struct check *check, unsigned host, int64_t now)
{
	for (unsigned i = 0; i < CHECK_HOSTS_MAX; i++)
		for (unsigned q = 0; i != host && check->hosts[i].id && q < CHECK_QEMUS_MAX; q++)
			if (check->hosts[i].qemus[q].life && check->hosts[i].qemus[q].runs &&
			    check->hosts[i].qemus[q].leased && check->hosts[i].sanlock &&
			    now > check->memory[i].life_since[q] + MINUTE)
				return true;
	return false;
}

/* Is an alien's block among those that are read each loop? One that was empty is found by and by. */
static bool knows_alien(const struct check *check, const struct agent *agent)
{
	for (size_t p = 0; p < agent->n_peers; p++) {
		const struct peer *peer = &agent->peers[p];
		bool ours = false;

		for (unsigned i = 0; i < CHECK_HOSTS_MAX; i++)
			ours |= check->hosts[i].id == peer->id;
		if (!ours && peer->fault == RECORD_OK && !peer->claim.stopped && peer->claim.generation != 0)
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

	check->starts++;
	if (!asked) {
		if (known->maintenance == FLAG_YES)
			fail(check, "start-in-maintenance", "host %u begins a start in global maintenance",
			     check->hosts[host].id);
		/* Whatever it believes: it has read it. */
		if (m->flag == FLAG_YES && now > m->flag_at + FLAG_LAG)
			fail(check, "flag-forgotten",
			     "host %u begins a start %lld ms after it read the global flag",
			     check->hosts[host].id, (long long)(now - m->flag_at));
		if (agent->local.maintenance_management || agent->local.maintenance_operator)
			fail(check, "start-in-maintenance", "host %u begins a start in local maintenance",
			     check->hosts[host].id);
	}
	/* Rules 6, 8 and 10. */
	if (check->require_watchdog && known->watchdog != WATCHDOG_HARD && known->watchdog != WATCHDOG_SOFT)
		fail(check, "start-unfit", "host %u begins a start without a watchdog",
		     check->hosts[host].id);
	if (known->block != BLOCK_NONE)
		fail(check, "start-unfit", "host %u begins a start though it is blocked: %s",
		     check->hosts[host].id, block_reason_str(known->block));
	if (known->membership != MEMBERSHIP_JOINED)
		fail(check, "start-unfit", "host %u begins a start without its host id",
		     check->hosts[host].id);
	/* Rule 9: two advances, read within a loop each, after get_hosts has shown it absent for 4 x
	 * io_timeout. */
	if (check->aliens > 0 && now > later_of(later_of(check->alien_since, m->calm_since),
						later_of(m->agent_since, m->joined_since)) +
						 lease_renew_ms(&check->timing) +
						 lease_alien_ms(&check->timing) + 45 * SECOND +
						 (knows_alien(check, agent) ? 0 : UNLISTED_LAG))
		fail(check, "start-beside-alien", "host %u begins a start though a host is on other storage",
		     check->hosts[host].id);
	for (size_t i = 0; i < agent->n_peers; i++) {
		const struct peer *peer = &agent->peers[i];

		if (peer->id > known->host_id || peer->claim.io_timeout_s == 0 ||
		    !peer_eligible(peer, &agent->config.policy, agent_now(agent)))
			continue;
		if (peer->claim.io_timeout_s != known->lease.io_timeout_s)
			fail(check, "start-unfit",
			     "host %u begins a start with another io_timeout than host %u",
			     check->hosts[host].id, peer->id);
		break;
	}
	for (unsigned q = 0; q < CHECK_QEMUS_MAX; q++)
		if (check->hosts[host].qemus[q].life && now > m->life_since[q] + 12 * SECOND)
			fail(check, "second-qemu", "host %u begins a start beside the QEMU that lives here",
			     check->hosts[host].id);
	if (!asked && owner_runs(check, host, now)) {
		if (now < m->futile_at[0] + 110 * SECOND)
			fail(check, "futile-start",
			     "host %u: a third try within 110 s to start what a living host runs",
			     check->hosts[host].id);
		m->futile_at[0] = m->futile_at[1];
		m->futile_at[1] = now;
	}
	m->starts[m->n_starts++ % 128] = now;
	for (unsigned i = 0; i < 128 && i < m->n_starts; i++)
		last_hour += m->starts[i] > now - 60 * MINUTE;
	if (last_hour > STARTS_PER_HOUR)
		fail(check, "ping-pong", "host %u: %u starts within an hour", check->hosts[host].id,
		     last_hour);
}

static void check_kill(struct check *check, unsigned host)
{
	for (unsigned q = 0; q < CHECK_QEMUS_MAX; q++) {
		const struct check_qemu *qemu = &check->hosts[host].qemus[q];

		if (qemu->life && qemu->runs && qemu->leased && !check->memory[host].tainted[q] &&
		    check->rewritten_at < check->memory[host].life_since[q])
			fail(check, "wrongful-kill", "host %u kills a VM that has its lease",
			     check->hosts[host].id);
	}
}

/* A record that moves at least each 20 s is fresh to whoever reads it, one that has stood still for long is
 * not. */
static void check_freshness(struct check *check, unsigned host, const struct agent *agent, int64_t now)
{
	int64_t stale = agent->config.policy.stale;

	for (size_t p = 0; p < agent->n_peers; p++)
		for (unsigned i = 0; i < CHECK_HOSTS_MAX; i++) {
			const struct peer *peer = &agent->peers[p];
			const struct check_memory *m = &check->memory[i];
			bool fresh;

			/* What others write there moves, or hides it, too. */
			if (i == host || check->hosts[i].id != peer->id || m->stamped_at == 0 ||
			    now < m->foreign_at + 3 * MINUTE)
				continue;
			fresh = peer_fresh(peer, &agent->config.policy, agent_now(agent));
			/* 5 s for clocks that drift and for reads and steps under way. */
			if (fresh && peer->changed_at != MONO_UNSET && check->hosts[host].calm &&
			    now > check->memory[host].calm_since + 3 * MINUTE &&
			    now > check->memory[host].agent_since + 3 * MINUTE &&
			    now > m->stamped_at + stale + 30 * SECOND)
				fail(check, "freshness",
				     "host %u takes the record of host %u for fresh, %lld s old",
				     check->hosts[host].id, peer->id,
				     (long long)((now - m->stamped_at) / SECOND));
			if (peer->changed_at != MONO_UNSET && peer->changed_at > agent_now(agent))
				fail(check, "freshness",
				     "host %u: the record of host %u changed in the future",
				     check->hosts[host].id, peer->id);
			/* A writer of the past hour that this host could read all the time. */
			if (!fresh && peer->fault == RECORD_OK && check->hosts[i].calm &&
			    check->hosts[host].calm && now > check->memory[host].calm_since + 3 * MINUTE &&
			    now > check->memory[host].agent_since + 3 * MINUTE &&
			    now > m->calm_since + 3 * MINUTE && now > m->agent_since + 3 * MINUTE &&
			    now < m->stamped_at + 25 * SECOND && now > m->regular_since + MINUTE &&
			    now > check->memory[host].joined_since + 3 * MINUTE && check->hosts[i].joined)
				fail(check, "freshness",
				     "host %u does not take the record of host %u for fresh, %lld s old: it "
				     "kept timestamp %llu generation %llu, sanlock says %s generation %llu",
				     check->hosts[host].id, peer->id,
				     (long long)((now - m->stamped_at) / SECOND),
				     (unsigned long long)peer->claim.timestamp,
				     (unsigned long long)peer->claim_generation, host_state_str(peer->host),
				     (unsigned long long)peer->host_generation);
		}
}

void check_stepped(struct check *check, unsigned host, const struct agent *agent, const struct step *step)
{
	struct check_memory *m = &check->memory[host];
	int64_t now = now_of(check);
	enum state to = step->next.state;

	if (m->stepped && to != m->state && !machine_allowed(m->state, to))
		fail(check, "transition", "host %u: %s -> %s is not in the table", check->hosts[host].id,
		     state_str(m->state), state_str(to));
	if (step->reason >= REASON_COUNT || step->next.reason >= REASON_COUNT)
		fail(check, "transition", "host %u: a step without a reason", check->hosts[host].id);
	if (m->stepped && to != m->state && to == STATE_ENGINE_STOP && step->reason == REASON_BETTER_HOST) {
		/* One clock may run 0.1 % faster. */
		if (m->moved_at >= 0 && now < m->moved_at + 29 * MINUTE)
			fail(check, "ping-pong", "host %u: two moves for score within %lld s",
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
	}
	check_freshness(check, host, agent, now);
}

/* Writes. */

static void check_flag_written(struct check *check, unsigned host, const uint8_t *bytes, int64_t now)
{
	char cause[GLOBAL_CAUSE_SIZE];
	enum flag flag = global_decode(bytes, cause);
	bool known = flag != FLAG_UNKNOWN, value = flag == FLAG_YES;

	if (host < CHECK_HOSTS_MAX) {
		struct check_memory *m = &check->memory[host];

		/* Rule 16: under its lease, or when that was asked for and not to be had. */
		if (!m->holds0 && m->refused0 < 0)
			fail(check, "block0-unleased",
			     "host %u writes block 0 and has not asked for its lease", check->hosts[host].id);
		m->wrote0_at = now;
	}
	if (known != check->block0_known || value != check->block0)
		check->block0_since = now;
	check->block0_known = known;
	check->block0 = value;
	check->block0_writer = host;
}

static bool lives(const struct check *check, unsigned host, int64_t now, int64_t for_ms)
{
	for (unsigned q = 0; q < CHECK_QEMUS_MAX; q++)
		if (check->hosts[host].qemus[q].life && now > check->memory[host].life_since[q] + for_ms)
			return true;
	return false;
}

static void note_foreign(struct check_memory *m, uint32_t block, const uint8_t *bytes, int64_t now)
{
	char cause[RECORD_CAUSE_SIZE];
	struct record record;

	m->foreign_at = now;
	/* What is unreadable hides the clone: that host is not seen any more. */
	if (record_decode(bytes, (uint16_t)block, &record, cause) != RECORD_OK) {
		m->clone_at = -10 * MINUTE;
		return;
	}
	if (now > m->clone_at + MINUTE)
		m->clone_since = now;
	m->clone_at = now;
}

void check_landed(struct check *check, unsigned host, uint32_t block, const uint8_t *bytes)
{
	int64_t now = now_of(check);
	char cause[RECORD_CAUSE_SIZE];
	struct record record;
	struct check_memory *m;

	if (block == 0) {
		check_flag_written(check, host, bytes, now);
		return;
	}
	if (host >= CHECK_HOSTS_MAX) {
		for (unsigned i = 0; i < CHECK_HOSTS_MAX; i++)
			if (check->hosts[i].id == block)
				note_foreign(&check->memory[i], block, bytes, now);
		return;
	}
	m = &check->memory[host];
	if (block != check->hosts[host].id) {
		fail(check, "foreign-block", "host %u writes block %u", check->hosts[host].id, block);
		return;
	}
	/* Rule 8: another host lives in our block, and our broker reads it before each write. */
	if (now < m->clone_at + 20 * SECOND && now > m->clone_since + 45 * SECOND &&
	    now > later_of(m->calm_since, m->agent_since) + MINUTE)
		fail(check, "foreign-block", "host %u writes over the record of another host that lives",
		     check->hosts[host].id);
	/* Rules 8 and 9: a host without its host id writes nothing. */
	if (!check->hosts[host].joined && check->hosts[host].calm && now > m->joined_until + JOINED_LAG &&
	    now > m->calm_since + JOINED_LAG)
		fail(check, "block-unjoined", "host %u writes its block %lld s after it lost its host id",
		     check->hosts[host].id, (long long)((now - m->joined_until) / SECOND));
	if (record_decode(bytes, (uint16_t)block, &record, cause) != RECORD_OK)
		return; /* torn */
	if (record.claim.stopped && check->hosts[host].calm && lives(check, host, now, 4 * SECOND))
		fail(check, "stopped-with-qemu", "host %u says stopped while its QEMU lives",
		     check->hosts[host].id);
	if (record.claim.timestamp != m->timestamp) {
		if (!check->hosts[host].agent && check->hosts[host].calm &&
		    now > m->agent_until + SILENT_LAG && now > m->calm_since + SILENT_LAG)
			fail(check, "silent-agent",
			     "host %u: the timestamp advances %lld s after the agent ended",
			     check->hosts[host].id, (long long)((now - m->agent_until) / SECOND));
		if (now > m->stamped_at + 25 * SECOND)
			m->regular_since = now;
		m->timestamp = record.claim.timestamp;
		m->stamped_at = now;
	}
}

void check_read_flag(struct check *check, unsigned host, const uint8_t *bytes)
{
	char cause[GLOBAL_CAUSE_SIZE];
	enum flag flag = global_decode(bytes, cause);
	struct check_memory *m = &check->memory[host];

	if (flag == FLAG_UNKNOWN)
		return;
	if (m->flag != flag)
		m->flag_at = now_of(check);
	m->flag = flag;
}

void check_block0_asked(struct check *check, unsigned host)
{
	check->memory[host].asked0 = now_of(check);
	check->memory[host].refused0 = -1;
}

void check_block0_taken(struct check *check, unsigned host, int error)
{
	struct check_memory *m = &check->memory[host];

	m->holds0 = error == 0;
	m->refused0 = error < 0 && m->asked0 >= 0 ? now_of(check) : -1;
}

void check_block0_released(struct check *check, unsigned host)
{
	check->memory[host].holds0 = false;
}

/* Membership. */

void check_join(struct check *check, unsigned host)
{
	/* Rule 4. One that the operator started by hand a moment ago could not be seen. */
	if (lives(check, host, now_of(check), 2 * SECOND))
		fail(check, "join-with-qemu", "host %u joins while a QEMU of the engine lives here",
		     check->hosts[host].id);
}

void check_left(struct check *check, unsigned host)
{
	if (lives(check, host, now_of(check), 4 * SECOND))
		fail(check, "leave-with-qemu", "host %u leaves while a QEMU of the engine lives here",
		     check->hosts[host].id);
}

/* Commands. */

void check_global_answered(struct check *check, unsigned host, bool maintenance, int error)
{
	int64_t now = now_of(check);

	/* What a path that lies shows is all that a host can know. */
	if (error < 0 || !check->hosts[host].calm || now < check->memory[host].calm_since + SECOND)
		return;
	/* Still there two loops later, or it is no acknowledgement; one clock may run 0.1 % slower. */
	if (!check->block0_known || check->block0 != maintenance)
		fail(check, "command-lost",
		     "host %u acknowledged global maintenance %s, block 0 says otherwise",
		     check->hosts[host].id, maintenance ? "on" : "off");
	else if (now < check->memory[host].wrote0_at + 2 * policy_default.loop - 50)
		fail(check, "command-lost",
		     "host %u acknowledged global maintenance %s %lld ms after it was written",
		     check->hosts[host].id, maintenance ? "on" : "off",
		     (long long)(now - check->memory[host].wrote0_at));
}

void check_local_answered(struct check *check, unsigned host, bool maintenance, int error,
			  const uint8_t *own_block)
{
	char cause[RECORD_CAUSE_SIZE];
	struct record record;

	if (error < 0 || record_decode(own_block, check->hosts[host].id, &record, cause) != RECORD_OK)
		return;
	/* It stood there: a clone that has begun to write over it is found at the next write. */
	if (now_of(check) < check->memory[host].clone_since + 12 * SECOND)
		return;
	if (maintenance && !record.claim.maintenance)
		fail(check, "command-lost", "host %u acknowledged local maintenance, its record says none",
		     check->hosts[host].id);
}

void check_rewritten(struct check *check)
{
	check->rewritten_at = now_of(check);
}

void check_alien(struct check *check, bool on)
{
	check->aliens += on ? 1 : -1u;
	if (on && check->aliens == 1)
		check->alien_since = now_of(check);
}

void check_fail_progress(struct check *check)
{
	fail(check, "progress", "no VM has come up for as long as a fault of the VM waited for one");
}
