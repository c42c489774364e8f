/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The checkers of what is true at each moment: which VMs run, with what, for how long, and whether all comes
 * back. The bounds and how they come about stand in sim_check.h.
 *
 * An event touches one host, or none, or is the world's, or says that it reaches further, and then all are
 * looked at.
 * For the others nothing is true that was not true before, but that time has passed, and a judgement of an
 * unchanged truth is the same whether it is made at each of some events or at the last of them alone: what is
 * remembered is either a moment of the past or "now, as long as it is so", and each bound, once passed, stays
 * passed. So the host that is touched is looked at, and judged when its truth has changed: first for the
 * event before by what was true until then. All are judged each 5 s and at the end, that a bound which no
 * change comes after is found too, and whoever needs what is remembered of a host catches up with it. `whole`
 * looks at all after every event and judges them, must find the same, and finds events that reach further
 * than they say.
 */
#include <assert.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim_finding.h"

#define BOUND_GUARD (8 * SECOND)
#define BOUND_AGENT (27 * SECOND)
#define BOUND_PAUSED (24 * SECOND)
#define BOUND_TIME (3 * SECOND)
#define BOUND_SURVIVOR (65 * SECOND)
#define JUDGE_MS (5 * SECOND)
#define DRIFT 5 /* ms: more is another renewal */

void check_fail(struct check *check, const char *name, const char *format, ...)
{
	va_list args;

	if (check->failed)
		return;
	check->failed = name;
	va_start(args, format);
	vsnprintf(check->text, sizeof(check->text), format, args);
	va_end(args);
}

void check_init(struct check *check)
{
	check->rewritten_at = check->healed_at = check->up_since = check->up_first = check->good_since = -1;
	check->whole_at = -JUDGE_MS;
	check->block0 = false;
	check->block0_known = true; /* all NUL */
	for (unsigned i = 0; i < check->n_hosts; i++) {
		struct check_memory *m = &check->memory[i];

		m->foreign_at = m->clone_at = -10 * MINUTE;
		m->asked0 = m->missed0 = m->leased0_at = m->moved_at = -1;
		m->spoke_at = m->joined_until = -MINUTE;
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

/* Until when rule 3 has ended a QEMU without its lease, once agent and broker can act. */
static int64_t unleased_until(const struct check_memory *m, unsigned q)
{
	return later_of(m->unleased_since[q], later_of(m->calm_since, m->agent_since)) + BOUND_AGENT;
}

/* The one exemption, by name: on a host without watchdog, guard, agent and sanlock were all dead together. A
 * QEMU in state D outlives them by rule 12's minute, which begins with the guard that is back first, and goes
 * on in those after it. */
static bool nothing_left(const struct check_host *host)
{
	return !host->watchdog && !host->guard && !host->agent && !host->sanlock;
}

static bool exempt_nothing_left(const struct check *check, unsigned i, int64_t now)
{
	const struct check_memory *m = &check->memory[i];
	bool survives = false;

	for (unsigned q = 0; q < CHECK_QEMUS_MAX; q++)
		survives |= check->hosts[i].qemus[q].life && check->hosts[i].qemus[q].unkillable &&
			    m->life_since[q] <= m->nothing_left_at;
	return nothing_left(&check->hosts[i]) ||
	       (survives && m->nothing_left_at > 0 &&
		now <= later_of(m->guard_back_at + BOUND_GUARD + BOUND_SURVIVOR,
				m->guard_since + BOUND_GUARD));
}

/* Rule 15. Of a host that is silent for its dead time nothing can live but what is exempt; on its own host
 * the command itself has seen that none does. */
void check_made_anew(struct check *check, unsigned host, bool owned)
{
	int64_t now = check_now(check);

	if (owned)
		check_fail(check, "reset-half",
			   "host %u makes the lockspace anew and leaves an owner in a lease",
			   check->hosts[host].id);

	for (unsigned i = 0; i < check->n_hosts; i++) {
		const struct check_host *other = &check->hosts[i];
		struct lease_timing timing = check->timing;

		if (!other->id)
			continue;
		check_catch_up(check, i);
		timing.io_timeout_s = other->io_timeout_s;
		if (i != host && other->joined && now + SECOND < other->renewed_at + lease_dead_ms(&timing))
			check_fail(check, "reset-in-use",
				   "host %u makes the lockspace anew while host %u lives in it",
				   check->hosts[host].id, other->id);
		for (unsigned q = 0; q < CHECK_QEMUS_MAX; q++)
			if (other->qemus[q].life &&
			    (i == host || (other->qemus[q].runs && !exempt_nothing_left(check, i, now))))
				check_fail(check, "reset-in-use",
					   "host %u makes the lockspace anew while QEMU lives on host %u",
					   check->hosts[host].id, other->id);
	}
}

static void check_two_running(struct check *check, int64_t now)
{
	unsigned running = 0, first = 0, second = 0;

	if (check->running < 2)
		return;
	for (unsigned i = 0; i < check->n_hosts; i++)
		for (unsigned q = 0; check->hosts[i].id && q < CHECK_QEMUS_MAX; q++)
			if (check->hosts[i].qemus[q].life && check->hosts[i].qemus[q].runs) {
				/* Two on one host are two as well. */
				if (running++ == 0)
					first = i;
				else
					second = i;
			}
	check_catch_up(check, first);
	check_catch_up(check, second);
	if (exempt_nothing_left(check, first, now) || exempt_nothing_left(check, second, now))
		return;
	check_fail(check, "two-running", "%u VMs run, on host %u and host %u", running,
		   check->hosts[first].id, check->hosts[second].id);
}

/* One QEMU of one host: how long has it run without what lets it run? */
static void check_life(struct check *check, unsigned i, unsigned q, int64_t now)
{
	const struct check_host *host = &check->hosts[i];
	const struct check_qemu *qemu = &host->qemus[q];
	struct check_memory *m = &check->memory[i];
	int64_t more = qemu->unkillable ? BOUND_SURVIVOR : 0, since;
	struct lease_timing timing = check->timing;

	if (qemu->life == 0 && m->life[q] == 0)
		return;
	if (qemu->life != m->life[q]) {
		m->life[q] = qemu->life;
		m->life_since[q] = now;
		m->unleased_since[q] = m->paused_since[q] = -1;
		m->tainted[q] = m->ran[q] = m->stands[q] = false;
		m->held_version[q] = 0;
		m->lost_since[q] = now;
	}
	if (!qemu->life)
		return;
	if (!qemu->runs)
		m->stood_at[q] = now;
	if (!qemu->runs && !m->stands[q])
		m->stood_since[q] = now;
	m->stands[q] = !qemu->runs;
	if (qemu->runs && qemu->bare)
		check_fail(check, "start-without-lease", "host %u runs a domain that has no lease", host->id);
	/* Two loops of running, and the agent has seen which version of the lease it holds. */
	if (qemu->runs)
		m->held_version[q] =
			qemu->leased && now > later_of(m->life_since[q], m->stood_at[q]) + BOUND_AGENT &&
					now > m->agent_since + BOUND_AGENT
				? check->version
				: 0;
	m->ran[q] |= qemu->runs;
	if (!qemu->runs && (m->ran[q] || now > m->life_since[q] + SECOND))
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
			check_fail(check, "unleased-vm",
				   "host %u: no sanlock or lockspace, its QEMU ran on for %lld ms", host->id,
				   (long long)(now - since));
		if (host->agent && host->broker && host->sanlock && host->joined &&
		    now > unleased_until(m, q) + more)
			check_fail(check, "unleased-vm", "host %u: QEMU ran on without the lease for %lld ms",
				   host->id, (long long)(now - since));
	}
	/* Rule 11: the lease moved while it was paused. */
	if (m->paused_since[q] < 0 || check->version == m->held_version[q] ||
	    m->agent_since >= m->paused_since[q])
		m->lost_since[q] = now;
	if (host->calm && host->agent && host->broker && host->joined &&
	    now > later_of(m->lost_since[q], later_of(m->calm_since, m->agent_since)) + BOUND_PAUSED + more)
		check_fail(check, "paused-moved",
			   "host %u: QEMU is paused, its lease moved %lld ms ago, and it was not ended",
			   host->id, (long long)(now - m->lost_since[q]));
	/* Rule 14: one that came back from a migration in vain, after another had run. */
	if (qemu->runs && qemu->past && host->calm && host->agent && host->broker && host->sanlock &&
	    host->joined && m->stood_since[q] > later_of(m->agent_began, m->life_since[q]) + BOUND_AGENT &&
	    now > later_of(m->stood_at[q], later_of(m->calm_since, m->agent_since)) + BOUND_AGENT + more)
		check_fail(check, "past-runs", "host %u: QEMU runs with memory of before another ran",
			   host->id);
	if (!qemu->runs)
		return;
	timing.io_timeout_s = host->io_timeout_s;
	/* Rule 6 and sanlock's own time. */
	if (m->life_since[q] <= host->renewed_at || qemu->registered) {
		int64_t silent = now - host->renewed_at;

		/* A lease may be got late in the time that is left, and the guard judges what runs. */
		if (!host->watchdog && host->guard &&
		    now > later_of(m->life_since[q], m->stood_at[q]) + BOUND_TIME &&
		    now > later_of(host->renewed_at, m->guard_since) + lease_guard_kill_ms(&timing) +
				    BOUND_TIME + more)
			check_fail(check, "unleased-vm", "host %u: QEMU runs %lld ms after the last renewal",
				   host->id, (long long)silent);
		if (host->watchdog && silent > lease_dead_ms(&timing) + BOUND_TIME)
			check_fail(check, "unleased-vm",
				   "host %u: QEMU runs %lld ms after the last renewal, with a watchdog",
				   host->id, (long long)silent);
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
	if (host->on && host->agent)
		m->spoke_at = now;
	if (!host->on)
		m->nothing_left_at = 0;
	else if (nothing_left(host))
		m->nothing_left_at = now;
	m->guard_back |= host->guard;
	if (nothing_left(host) || !m->guard_back) {
		m->guard_back = false;
		m->guard_back_at = now;
	}
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
		m->flag = FLAG_UNKNOWN;
		m->timestamp = 0; /* its next life may begin with the same */
	}
	for (unsigned q = 0; q < CHECK_QEMUS_MAX; q++)
		check_life(check, i, q, now);
}

/* Progress. */

/* What is true of all hosts together. */
static void sum_up(struct check *check)
{
	check->running = 0;
	check->up = false;
	check->fit = true;
	for (unsigned i = 0; i < check->n_hosts; i++) {
		const struct check_host *host = &check->hosts[i];

		if (!host->id)
			continue;
		for (unsigned q = 0; q < CHECK_QEMUS_MAX; q++) {
			bool runs = host->qemus[q].life && host->qemus[q].runs;

			check->running += runs;
			check->up |= runs && host->qemus[q].leased && host->state == STATE_ENGINE_UP;
		}
		check->fit &= host->unfit || host->score == policy_default.weights.base;
	}
}

static void check_progress(struct check *check, int64_t now)
{
	bool up = check->up, whole = check->fit;

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
		check_fail(check, "progress", "no host has the VM up %lld s after the last fault",
			   (long long)((now - check->healed_at) / SECOND));
	/* Once up it stays where it is: nothing is wrong any more. One move to a better host is none too
	 * many. */
	if (!up && check->up_first >= 0 &&
	    now > check->healed_at + check_whole_ms(&check->timing) + 10 * MINUTE)
		check_fail(check, "progress", "the VM went down again though nothing is wrong");
}

void check_end(struct check *check)
{
	for (unsigned i = 0; i < check->n_hosts; i++)
		check_catch_up(check, i);
	if (check->up_since < 0)
		check_fail(check, "progress", "the VM is not up at the end");
	if (check->good_since < 0 ||
	    check->good_since > check->healed_at + check_whole_ms(&check->timing) + 30 * MINUTE) {
		for (unsigned i = 0; i < check->n_hosts; i++)
			if (check->hosts[i].id && !check->hosts[i].unfit &&
			    check->hosts[i].score != policy_default.weights.base)
				check_fail(check, "recovery", "host %u has score %d in %s at the end",
					   check->hosts[i].id, check->hosts[i].score,
					   state_str(check->hosts[i].state));
	}
}

void check_healed(struct check *check)
{
	check->healed_at = check_now(check);
	check->up_first = -1;
}

static bool same_truth(const struct check_host *a, const struct check_host *b)
{
	return memcmp(a, b, offsetof(struct check_host, renewed_at)) == 0;
}

void check_catch_up(struct check *check, unsigned host)
{
	struct check_memory *m = &check->memory[host];

	if (!check->hosts[host].id || m->judged_at >= check->event_at)
		return;
	m->judged_at = check->event_at;
	check_host_now(check, host, check->event_at);
}

/* Returns whether something is true of it now that was not. */
static bool look_at(struct check *check, unsigned host)
{
	struct check_host truth, *known = &check->hosts[host];

	memset(&truth, 0, sizeof(truth));
	check->look(check->data, host, &truth);
	if (same_truth(known, &truth)) {
		if (truth.renewed_at > known->renewed_at + DRIFT)
			check_catch_up(check, host);
		known->renewed_at = truth.renewed_at;
		return false;
	}
	check_catch_up(check, host);
	if (truth.id != known->id) /* of other versions, another one */
		check->memory[host].was_acting = check->memory[host].was_guarded = false;
	*known = truth;
	return true;
}

static void judge(struct check *check, unsigned host, int64_t now)
{
	if (!check->hosts[host].id)
		return;
	check->memory[host].judged_at = now;
	check_host_now(check, host, now);
}

/* True when something is true now that was not. */
static bool judge_all(struct check *check, unsigned touched, uint64_t version, int64_t now)
{
	bool changed = false;

	/* By the version until now. */
	for (unsigned i = 0; i < check->n_hosts; i++)
		check_catch_up(check, i);
	check->version = version;
	for (unsigned i = 0; i < check->n_hosts; i++) {
		struct check_host was = check->hosts[i];
		bool stood;

		if (!look_at(check, i))
			continue;
		changed = true;
		/* A host that stood still goes on by itself. */
		stood = was.calm != check->hosts[i].calm || was.guard != check->hosts[i].guard;
		if (was.id && touched != CHECK_HOSTS_MAX && i != touched && !stood)
			check_unseen(check, i);
	}
	for (unsigned i = 0; i < check->n_hosts; i++)
		judge(check, i, now);
	check->whole_at = now;
	return changed;
}

void check_event(struct check *check, unsigned host, uint64_t version)
{
	int64_t now = check_now(check);
	bool changed;

	if (host == CHECK_HOSTS_MAX || check->whole || now >= check->whole_at + JUDGE_MS) {
		changed = judge_all(check, host, version, now);
	} else {
		assert(version == check->version);
		changed = host != CHECK_HOSTS_NONE && look_at(check, host);
		if (changed)
			judge(check, host, now);
	}
	check->event_at = now;
	if (changed)
		sum_up(check);
	check_two_running(check, now);
	check_progress(check, now);
}

void check_unseen(struct check *check, unsigned host)
{
	check_fail(check, "unseen-change", "host %u changed in an event that said it does not",
		   check->hosts[host].id);
}

void check_rewritten(struct check *check)
{
	check->rewritten_at = check_now(check);
}

void check_alien(struct check *check, bool on)
{
	check->aliens += on ? 1 : -1u;
	if (on && check->aliens == 1)
		check->alien_since = check_now(check);
}

void check_fail_progress(struct check *check)
{
	check_fail(check, "progress", "no VM has come up for as long as a fault of the VM waited for one");
}
