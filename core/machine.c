/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One step: takes in what happened, keeps the memory, makes the checks that come before every row in their
 * order (STATES.md "Checked first"), runs the state's row, gives the score. The rows stand in core/rows.c,
 * the cluster's meaning in core/outlook.c. */
#include "core/machine.h"

#include <assert.h>

#include "core/rows.h"

STRTAB_DEFINE(membership, enum membership, MEMBERSHIP_COUNT, "unknown", "none", "joining", "joined")
STRTAB_DEFINE(flag, enum flag, FLAG_COUNT, "unknown", "no", "yes")
STRTAB_DEFINE(watchdog, enum watchdog, WATCHDOG_COUNT, "unknown", "none", "soft", "hard")
STRTAB_DEFINE(block_reason, enum block_reason, BLOCK_REASON_COUNT, "none", "id-taken", "domain")
STRTAB_DEFINE(owner_kind, enum owner_kind, OWNER_KIND_COUNT, "unread", "nobody", "host")
STRTAB_DEFINE(held, enum held, HELD_COUNT, "unknown", "no", "yes")
STRTAB_DEFINE(monitor, enum monitor, MONITOR_COUNT, "network", "mgmt-bridge", "mem-free", "cpu-load",
	      "engine-health", "storage-domain")
STRTAB_DEFINE(pause, enum pause, PAUSE_COUNT, "none", "starting", "io-error", "migration", "other")
STRTAB_DEFINE(outcome, enum outcome, OUTCOME_COUNT, "none", "ok", "failed", "lease-held", "survived",
	      "under-way")
STRTAB_DEFINE(action, enum action, ACTION_COUNT, "none", "start", "start-paused", "resume", "shutdown",
	      "destroy", "kill", "reset-host", "migrate", "cancel")

STRTAB_DEFINE(state, enum state, STATE_COUNT, "StartState", "ReinitializeFSM", "GlobalMaintenance",
	      "LocalMaintenance", "UnknownLocalVmState", "EngineDown", "EngineStart", "EngineStarting",
	      "EngineUp", "EngineUpBadHealth", "EngineStop", "EngineForceStop", "EngineMaybeAway",
	      "EngineUnexpectedlyDown", "EngineMigratingAway", "AgentStopped")

STRTAB_DEFINE(reason, enum reason, REASON_COUNT, "started", "initialized", "stay", "stop-wanted",
	      "global-maintenance", "maintenance-cleared", "broker-away", "maintenance-unknown",
	      "local-maintenance", "no-host-to-move-to", "vm-unknown", "vm-known", "vm-up-here", "vm-gone",
	      "vm-unexpectedly-down", "vm-missing", "vm-paused", "vm-healthy", "vm-up-elsewhere",
	      "bad-health", "lease-owned", "owner-says-down", "owner-silent", "owner-overdue",
	      "migration-under-way", "claimed-up", "not-ready", "score-zero", "better-host", "best-score",
	      "lease-untaken", "rank-wait", "try-gap", "operator", "in-flight", "start-ok", "start-failed",
	      "start-timeout", "lease-refused", "lease-not-to-be-had", "starting-timeout",
	      "bad-health-timeout", "shutdown-timeout", "shutdown-refused", "destroyed", "away-timeout",
	      "unexpected-timeout", "alone", "moved", "move-failed", "lease-lost", "lease-moved",
	      "kill-failed", "storage-back", "qemu-lives", "alien-peer", "look-old")

#define MOVED_MS (2 * MONO_SECOND)
#define HEALTH_LOOPS 3 /* the first answers of a broker that is back come within so many loops */

#define TO(state) (1u << STATE_##state)
/* Every state may be left for these: the checks before the rows go there. */
#define ALWAYS (TO(AGENT_STOPPED) | TO(GLOBAL_MAINTENANCE) | TO(UNKNOWN_LOCAL_VM))
#define RUNS_HERE                                                                                            \
	(ALWAYS | TO(LOCAL_MAINTENANCE) | TO(ENGINE_STOP) | TO(ENGINE_FORCE_STOP) | TO(ENGINE_MIGRATING_AWAY))

static const uint32_t allowed[STATE_COUNT] = {
	[STATE_START] = ALWAYS | TO(REINITIALIZE) | TO(LOCAL_MAINTENANCE),
	[STATE_REINITIALIZE] = ALWAYS | TO(ENGINE_STARTING) | TO(ENGINE_DOWN) | TO(LOCAL_MAINTENANCE),
	[STATE_GLOBAL_MAINTENANCE] = TO(AGENT_STOPPED) | TO(UNKNOWN_LOCAL_VM) | TO(REINITIALIZE),
	[STATE_LOCAL_MAINTENANCE] = ALWAYS | TO(REINITIALIZE) | TO(ENGINE_STOP) | TO(ENGINE_FORCE_STOP) |
				    TO(ENGINE_MIGRATING_AWAY),
	[STATE_UNKNOWN_LOCAL_VM] = TO(AGENT_STOPPED) | TO(GLOBAL_MAINTENANCE) | TO(REINITIALIZE),
	[STATE_ENGINE_DOWN] = ALWAYS | TO(LOCAL_MAINTENANCE) | TO(ENGINE_STARTING) | TO(ENGINE_START),
	[STATE_ENGINE_START] = ALWAYS | TO(ENGINE_STARTING) | TO(ENGINE_DOWN) | TO(ENGINE_FORCE_STOP),
	[STATE_ENGINE_STARTING] =
		RUNS_HERE | TO(ENGINE_UP) | TO(ENGINE_UNEXPECTEDLY_DOWN) | TO(ENGINE_MAYBE_AWAY),
	[STATE_ENGINE_UP] =
		RUNS_HERE | TO(ENGINE_UP_BAD_HEALTH) | TO(ENGINE_MAYBE_AWAY) | TO(ENGINE_UNEXPECTEDLY_DOWN),
	[STATE_ENGINE_UP_BAD_HEALTH] =
		RUNS_HERE | TO(ENGINE_UP) | TO(ENGINE_MAYBE_AWAY) | TO(ENGINE_UNEXPECTEDLY_DOWN),
	[STATE_ENGINE_STOP] = ALWAYS | TO(ENGINE_DOWN) | TO(ENGINE_FORCE_STOP) | TO(REINITIALIZE),
	[STATE_ENGINE_FORCE_STOP] = ALWAYS | TO(ENGINE_DOWN),
	[STATE_ENGINE_MAYBE_AWAY] = ALWAYS | TO(LOCAL_MAINTENANCE) | TO(ENGINE_STOP) | TO(ENGINE_FORCE_STOP) |
				    TO(ENGINE_MIGRATING_AWAY) | TO(ENGINE_UP) | TO(ENGINE_DOWN) |
				    TO(ENGINE_UNEXPECTEDLY_DOWN),
	[STATE_ENGINE_UNEXPECTEDLY_DOWN] = ALWAYS | TO(LOCAL_MAINTENANCE) | TO(ENGINE_STOP) |
					   TO(ENGINE_FORCE_STOP) | TO(ENGINE_MIGRATING_AWAY) | TO(ENGINE_UP) |
					   TO(ENGINE_DOWN) | TO(ENGINE_START),
	[STATE_ENGINE_MIGRATING_AWAY] =
		ALWAYS | TO(ENGINE_DOWN) | TO(ENGINE_UP) | TO(ENGINE_STOP) | TO(ENGINE_MIGRATING_AWAY),
	[STATE_AGENT_STOPPED] = 0,
};

bool machine_allowed(enum state from, enum state to)
{
	assert(from < STATE_COUNT && to < STATE_COUNT);
	return allowed[from] & (1u << to);
}

void machine_init(struct machine *machine, mono_t now)
{
	*machine = (struct machine){
		.state = STATE_START,
		.entered = now,
		.deadline = MONO_NEVER,
		.reason = REASON_STARTED,
		.in_flight_since = MONO_UNSET,
		.last_failed = MONO_UNSET,
		.last_crash = MONO_UNSET,
		.refused_at = MONO_UNSET,
		.next_owner_try = MONO_UNSET,
		.unexpected_until = MONO_UNSET,
		.healthy_since = MONO_UNSET,
		.lease_free_since = MONO_UNSET,
		.version_since = MONO_UNSET,
		.start_due_since = MONO_UNSET,
		.better_since = MONO_UNSET,
		.last_move = MONO_UNSET,
		.unknown_since = MONO_UNSET,
		.paused_since = MONO_UNSET,
		.config_since = MONO_UNSET,
		.held_at = MONO_UNSET,
		.gave_lease = MONO_UNSET,
		.cancel_at = MONO_UNSET,
		.kill_since = MONO_UNSET,
		.next_kill = MONO_UNSET,
	};
}

/* Its QEMU has ended, and libvirt, which says how, is still to let go of it: in 200 ms as a rule, and it
 * lists it for 2 s at most or is silent (daemon/vm_watch.h). The record says so at once, and the lease, which
 * sanlock gives up by itself when the process ends, says who may start it. What the end means here (a
 * penalty, a failed try, nothing at all) is not known yet: nothing is begun and no state is left for it. No
 * start either, which libvirt would refuse: so the score is 0, or the others would wait for this host. */
static bool ending(const struct snapshot *known)
{
	return engine_ending(known->vm.vm, known->vm.detail);
}

static void take_score(struct view *view)
{
	const struct snapshot *known = view->known;
	const struct policy *policy = view->policy;
	struct machine *m = &view->step->next;
	const struct outlook *outlook = &view->outlook;
	bool up = known->vm.vm == VM_UP;
	struct score_input input = {
		.judge_memory = !up && m->state != STATE_GLOBAL_MAINTENANCE,
		.failed_tries = m->failed_tries,
		.tries_clear_at = mono_add(m->last_failed, policy->retry_window),
		.unexpected_until = m->unexpected_until,
		.config_since = m->config_since,
	};
	bool joined = known->broker_answers && known->cluster.membership == MEMBERSHIP_JOINED;
	bool ready = m->state != STATE_START && m->state != STATE_REINITIALIZE && !ending(known);

	input.zero[PENALTY_LOCAL_MAINTENANCE] =
		known->local_maintenance || m->state == STATE_LOCAL_MAINTENANCE;
	input.zero[PENALTY_STOPPED] = m->state == STATE_AGENT_STOPPED;
	input.zero[PENALTY_VM_UNKNOWN] = known->vm.vm == VM_UNKNOWN;
	input.zero[PENALTY_NOT_READY] = !ready;
	input.zero[PENALTY_NO_HOST_ID] = !joined;
	/* Block 0 that was read and says nothing is no knowledge either, nor is a /proc that can't be read
	 * where libvirt has no VM: who may not start has no score, or the others would wait for it. */
	input.zero[PENALTY_NO_KNOWLEDGE] =
		known->local_unknown ||
		(joined && (!outlook->knowledge || known->cluster.maintenance == FLAG_UNKNOWN ||
			    (known->cluster.qemu_pid < 0 && !up)));
	/* Rule 6: without a watchdog nothing ends this host when sanlock can't; only a lab may say no. */
	input.zero[PENALTY_NO_WATCHDOG] = policy->require_watchdog &&
					  known->cluster.watchdog != WATCHDOG_SOFT &&
					  known->cluster.watchdog != WATCHDOG_HARD;
	input.zero[PENALTY_BLOCKED] = known->cluster.block != BLOCK_NONE;
	input.zero[PENALTY_ALIEN_PEER] = outlook->alien;
	input.zero[PENALTY_LEASE_TIMING] = outlook->timing_differs;
	score_update(&m->scores, known, policy, &input, view->now, &view->step->score);
}

/* Frees the slot of what has ended. The end of a start is taken in here, whatever state or check rules this
 * step; the state that asked sees it in view->result. */
static void take_results(struct view *view)
{
	struct machine *m = &view->step->next;

	for (size_t i = 0; i < view->known->n_results; i++) {
		const struct result *result = &view->known->results[i];

		if (result->action != m->in_flight)
			continue;
		m->in_flight = ACTION_NONE;
		view->result = *result;
		if (result->action == ACTION_START)
			view->ended = row_start_ended(view, result->outcome);
		/* libvirt asks QEMU to end first and may hang: SIGKILL has been sent when the destroy ends.
		 * Not where it failed: libvirt did not list the VM, say, and there was no guard. */
		if (result->action == ACTION_DESTROY && m->kill_since == MONO_NEVER &&
		    (result->outcome == OUTCOME_OK || result->outcome == OUTCOME_SURVIVED))
			m->kill_since = view->now;
		if (result->action == ACTION_SHUTDOWN)
			m->shutdown_refused = result->outcome != OUTCOME_OK;
		if (result->action == ACTION_RESUME && result->outcome != OUTCOME_OK)
			m->resume_version = 0;
		if (result->action == ACTION_MIGRATE) {
			/* The copy of one that has moved may die for a moment still. */
			m->gave_lease = view->now;
			m->cancel_at = mono_add(view->now, result->outcome == OUTCOME_OK ? MOVED_MS : 0);
			if (result->outcome == OUTCOME_UNDER_WAY)
				m->cancel_at = MONO_UNSET; /* ours was never begun */
		}
	}
}

static void remember_since(mono_t *since, bool holds, mono_t now)
{
	if (!holds)
		*since = MONO_UNSET;
	else if (*since == MONO_UNSET)
		*since = now;
}

/* What must be remembered of the facts, whatever the state. */
static void keep_memory(struct view *view)
{
	const struct snapshot *known = view->known;
	const struct cluster *c = &known->cluster;
	const struct policy *policy = view->policy;
	struct machine *m = &view->step->next;
	mono_t now = view->now;
	bool up = known->vm.vm == VM_UP;
	bool good = up && row_health(view) == HEALTH_GOOD;
	bool taken = view->outlook.ownership == OWNERSHIP_ALIVE;
	bool holds_here = view->outlook.ownership == OWNERSHIP_OURS && (up || c->qemu_pid != 0);

	if (m->failed_tries > 0 && mono_passed(m->last_failed, policy->retry_window, now))
		m->failed_tries = 0;
	if (mono_passed(m->last_crash, policy->retry_window, now))
		m->crashes = 0;
	if (mono_passed(m->unexpected_until, 0, now) || good)
		m->unexpected_until = MONO_UNSET;

	if (good || !up || row_health(view) == HEALTH_BAD)
		remember_since(&m->healthy_since, good, now);
	if (mono_passed(m->healthy_since, policy->healthy_clears, now))
		m->failed_tries = m->crashes = 0;

	/* While the owner can't be read somebody may take the lease and give it up again: its version, which
	 * rises at each acquire, tells afterwards. */
	if (view->outlook.ownership != OWNERSHIP_UNKNOWN) {
		bool free = outlook_lease_free(&view->outlook) && !holds_here;

		if (c->owner_version != m->free_version) {
			m->lease_free_since = MONO_UNSET;
			m->version_since = now;
		}
		m->free_version = c->owner_version;
		remember_since(&m->lease_free_since, free, now);
	}

	remember_since(&m->paused_since, up && known->vm.pause != PAUSE_NONE, now);
	remember_since(&m->config_since, known->config_outdated, now);
	remember_since(&m->unknown_since, known->vm.vm == VM_UNKNOWN, now);

	if (taken)
		m->lease_refusals = 0; /* it was to be had after all: those that refused us had it */
	if (c->qemu_pid == 0 && c->held_begun >= m->kill_since)
		m->kill_since = MONO_UNSET;
	if (!up && known->vm.vm != VM_UNKNOWN)
		m->held_version = m->resume_version = 0;
	row_note_migration(view);
}

/* True when the answer to a question asked at `begun` speaks of the VM as it runs now: asked after it was
 * first seen running, and it was seen running again in a look that began later. */
static bool speaks_of_running(const struct snapshot *known, mono_t begun)
{
	return known->vm.running_since != MONO_UNSET && begun > known->vm.running_since &&
	       begun < known->vm.seen_at;
}

/* Rules 3 and 11: a positive contrary answer about the lease of the VM here, or REASON_STAY. A failed read,
 * EBUSY and an old broker are unknown: sanlock's own expiry is the net under it. */
static enum reason lease_contrary(struct view *view)
{
	const struct snapshot *known = view->known;
	const struct cluster *c = &known->cluster;
	struct machine *m = &view->step->next;
	bool ours =
		c->owner == OWNER_HOST && c->owner_id == c->host_id && c->owner_generation == c->generation;
	bool elsewhere = c->owner == OWNER_HOST && c->owner_id != c->host_id;

	if (!known->broker_answers || c->qemu_pid == 0 || m->in_flight == ACTION_START ||
	    m->in_flight == ACTION_RESUME)
		return REASON_STAY;

	/* It runs without a lease that sanlock knows of, or the lease on disk is another's (a holder does not
	 * notice). */
	if (c->held == HELD_NO && c->qemu_pid > 0 && speaks_of_running(known, c->held_begun))
		return REASON_LEASE_LOST;
	if (c->owner != OWNER_UNREAD && c->generation != 0 && speaks_of_running(known, c->owner_begun)) {
		if (!ours)
			return REASON_LEASE_LOST;
		if (m->resume_version != 0 && c->owner_version != m->resume_version)
			return REASON_LEASE_MOVED; /* somebody had it while the VM was paused */
		/* It was resumed without us, or by a resume of ours that ended after it was given up: one
		 * acquire is that resume's. More, and after a time so long that others may have run it,
		 * are somebody's who had it in between. So they are after a migration in vain: its target ran
		 * it, or a third host did, and what came back is of the past (rule 14). */
		if (m->held_version != 0 && c->owner_version > m->held_version + 1 &&
		    (m->gave_lease != MONO_UNSET ||
		     mono_passed(m->held_at, view->policy->away, c->owner_begun)))
			return REASON_LEASE_MOVED;
		if (c->owner_begun > m->gave_lease)
			m->gave_lease = MONO_UNSET;
		m->resume_version = 0;
		m->held_version = c->owner_version;
		m->held_at = c->owner_begun;
	}
	/* Paused, and somebody took the lease meanwhile: what it has in memory is of the past (rule 11). */
	if (known->vm.vm == VM_UP && known->vm.pause != PAUSE_NONE && m->held_version != 0 &&
	    c->owner != OWNER_UNREAD && c->owner_begun > m->paused_since &&
	    c->owner_version != m->held_version) {
		if (m->resume_version == 0 || c->owner_version != m->resume_version)
			return REASON_LEASE_MOVED;
		m->held_version =
			m->resume_version; /* our own resume took it; it paused again before a look */
		m->held_at = c->owner_begun;
		m->resume_version = 0;
	}
	/* libvirt has been silent for long, QEMU is not registered and another host owns the lease: running
	 * or paused, it must not go on. */
	if (known->vm.vm == VM_UNKNOWN && c->held == HELD_NO && elsewhere &&
	    mono_passed(m->unknown_since, view->policy->paused, c->held_begun) &&
	    mono_passed(m->unknown_since, view->policy->paused, c->owner_begun))
		return REASON_LEASE_MOVED;
	return REASON_STAY;
}

/* Check 1. It holds everywhere, in global maintenance too. True: the step is decided. */
static bool check_safety(struct view *view)
{
	struct machine *m = &view->step->next;
	enum reason contrary = lease_contrary(view);

	/* Rule 12: QEMU in state D can't be killed; only the end of this host ends it, before another may
	 * start. It must have been seen alive after the limit: a pid from before a silence of the broker says
	 * nothing. */
	if (view->known->cluster.qemu_pid > 0 &&
	    mono_passed(m->kill_since, view->policy->kill_limit, view->known->cluster.held_begun)) {
		/* A reset that fails is told at once, and brings a step. */
		if (m->next_kill == MONO_UNSET || view->now >= m->next_kill) {
			row_act(view, ACTION_RESET_HOST);
			m->next_kill = mono_add(view->now, MONO_SECOND);
		}
		row_stay(view, REASON_KILL_FAILED);
		view->step->alarm = true;
		row_wake(view, m->next_kill);
		return true;
	}
	if (contrary == REASON_STAY)
		return false;
	if (m->next_kill == MONO_UNSET || view->now >= m->next_kill) {
		row_act(view, ACTION_KILL);
		m->next_kill = mono_add(view->now, MONO_SECOND);
		if (m->kill_since == MONO_UNSET || m->kill_since == MONO_NEVER)
			m->kill_since = view->now;
	}
	row_wake(view, m->next_kill);
	/* The target has it: from then on the copy here is of the past, whatever libvirt is still to do. */
	if (row_handed_over(view)) {
		row_stay(view, REASON_MOVED);
		return true;
	}
	row_stay(view, contrary);
	view->step->alarm = true;
	return true;
}

/* The operator's commands go past the order of the states, never past the lease (safety rule 2 is inside the
 * start). */
static bool take_command(struct view *view)
{
	struct machine *m = &view->step->next;
	const struct snapshot *known = view->known;
	enum action wanted = known->wanted;
	bool start = wanted == ACTION_START || wanted == ACTION_START_PAUSED;
	/* WaitForLaunch: a start that was ended by a power-off has not ended in libvirt. */
	bool not_down = known->vm.vm == VM_UP || known->vm.vm == VM_UNKNOWN || ending(known) ||
			known->vm.detail == DETAIL_WAIT_FOR_LAUNCH;
	bool maintenance = known->cluster.maintenance == FLAG_YES;
	/* As for our own starts: no second QEMU beside one that libvirt has lost, or that dies slowly. */
	bool fit = known->broker_answers && known->cluster.qemu_pid == 0 &&
		   known->cluster.membership == MEMBERSHIP_JOINED &&
		   view->step->score.entries[PENALTY_NO_WATCHDOG].points == 0 &&
		   view->step->score.entries[PENALTY_BLOCKED].points == 0 &&
		   view->step->score.entries[PENALTY_ALIEN_PEER].points == 0 &&
		   view->step->score.entries[PENALTY_LEASE_TIMING].points == 0;

	if (wanted == ACTION_NONE)
		return false;
	if (wanted == ACTION_MIGRATE || wanted == ACTION_CANCEL)
		return row_command_migration(view);
	/* What is being ended ends first; its row would end the new one too. */
	if (start && m->state == STATE_ENGINE_FORCE_STOP)
		return false;
	/* Safety rule 14: the lease is free in the hand-over, and the source's QEMU may still go on. */
	if (start && view->outlook.migration) {
		row_stay(view, REASON_MIGRATION_UNDER_WAY);
		view->step->wanted_refused = true;
		return true;
	}
	/* A resume goes by the lease's version alone (rule 11), the kills by rules 3 and 12. */
	if ((!start && wanted != ACTION_SHUTDOWN && wanted != ACTION_DESTROY) ||
	    (m->in_flight != ACTION_NONE && wanted != ACTION_DESTROY) || (start && (!fit || not_down)) ||
	    (wanted == ACTION_START_PAUSED && !maintenance)) {
		view->step->wanted_refused = true;
		return false;
	}
	if (wanted == ACTION_START && m->state == STATE_ENGINE_DOWN && !maintenance) {
		row_enter(view, STATE_ENGINE_START, REASON_OPERATOR);
		return true;
	}
	row_act(view, wanted);
	row_stay(view, REASON_OPERATOR);
	return true;
}

/* While nobody can tell whether the engine is healthy, its time to become so does not run out: a broker that
 * is back has no health to tell for a moment. */
static void defer_health_deadline(struct view *view)
{
	struct machine *m = &view->step->next;
	mono_t soonest = mono_add(view->now, HEALTH_LOOPS * view->policy->loop);

	if ((m->state == STATE_ENGINE_STARTING || m->state == STATE_ENGINE_UP_BAD_HEALTH) &&
	    m->deadline < soonest)
		m->deadline = soonest;
}

static bool check_global_maintenance(struct view *view)
{
	struct machine *m = &view->step->next;

	if (!view->known->broker_answers) {
		/* Its flag may have been set meanwhile, its health is of the past; the VM goes on as it is.
		 */
		defer_health_deadline(view);
		row_stay(view, REASON_BROKER_AWAY);
		view->step->alarm = true;
		return true;
	}
	switch (view->known->cluster.maintenance) {
	case FLAG_YES:
		if (m->state != STATE_GLOBAL_MAINTENANCE)
			row_enter(view, STATE_GLOBAL_MAINTENANCE, REASON_GLOBAL_MAINTENANCE);
		else
			row_stay(view, REASON_GLOBAL_MAINTENANCE);
		return true;
	case FLAG_NO:
		return false;
	default:
		/* Nobody knows what the operator wants: begin nothing. */
		row_stay(view, REASON_MAINTENANCE_UNKNOWN);
		view->step->alarm = view->known->cluster.membership == MEMBERSHIP_JOINED;
		return true;
	}
}

/* Check 5. The states that end by their own rows are left alone. */
static bool check_local_maintenance(struct view *view)
{
	struct machine *m = &view->step->next;

	if (!view->known->local_maintenance)
		return false;
	switch (m->state) {
	case STATE_ENGINE_START:
	case STATE_ENGINE_STOP:
	case STATE_ENGINE_FORCE_STOP:
	case STATE_ENGINE_MIGRATING_AWAY:
	case STATE_GLOBAL_MAINTENANCE:
	case STATE_UNKNOWN_LOCAL_VM:
		return false;
	default:
		break;
	}
	if (view->known->vm.vm != VM_UP) {
		if (m->state != STATE_LOCAL_MAINTENANCE)
			row_enter(view, STATE_LOCAL_MAINTENANCE, REASON_LOCAL_MAINTENANCE);
		else
			row_stay(view, REASON_LOCAL_MAINTENANCE);
		return true;
	}
	if (m->state == STATE_START || m->state == STATE_REINITIALIZE || m->state == STATE_ENGINE_DOWN)
		return false; /* its row finds the VM first */
	if (row_arrives(view)) {
		row_stay(view, REASON_MIGRATION_UNDER_WAY); /* it is moved on when it runs here */
		return true;
	}
	/* Somebody else's does as well as ours: ours would be refused beside it, again and again. */
	if (view->known->vm.leaving) {
		if (!row_paused(view))
			row_stay(view, REASON_MIGRATION_UNDER_WAY);
		return true;
	}
	if (!view->outlook.can_move) {
		/* It stays as it is, but for a paused one, which serves nobody: its rule holds in every
		 * state. */
		if (!row_paused(view))
			row_stay(view, REASON_NO_HOST_TO_MOVE_TO);
		view->step->alarm = true;
		return true;
	}
	if (m->in_flight != ACTION_NONE) {
		row_stay(view, REASON_IN_FLIGHT);
		return true;
	}
	/* libvirt may refuse at once: without a loop in between, shutdowns and transitions would flood it and
	 * the mail. */
	if (view->now < mono_add(m->in_flight_since, view->policy->loop)) {
		row_stay(view, REASON_TRY_GAP);
		row_wake(view, mono_add(m->in_flight_since, view->policy->loop));
		return true;
	}
	row_move_away(view, REASON_LOCAL_MAINTENANCE);
	return true;
}

/* Has come what the state waits for? Something else may have held its row past the deadline: then the row
 * tells what it means. */
static bool awaited_came(const struct view *view)
{
	const struct machine *m = &view->step->next;

	switch (m->state) {
	case STATE_ENGINE_START:
		return m->in_flight != ACTION_START;
	case STATE_ENGINE_STARTING:
	case STATE_ENGINE_UP_BAD_HEALTH:
		return row_health(view) == HEALTH_GOOD;
	case STATE_ENGINE_STOP:
		return view->known->vm.vm != VM_UP;
	case STATE_ENGINE_MAYBE_AWAY:
		return view->known->vm.vm == VM_UP;
	default:
		return false;
	}
}

/* Where the time of a state leads; the others have none. */
static const struct {
	enum state to;
	enum reason reason;
	bool failed_try;
} ends[STATE_COUNT] = {
	[STATE_ENGINE_START] = {STATE_ENGINE_FORCE_STOP, REASON_START_TIMEOUT, true},
	[STATE_ENGINE_STARTING] = {STATE_ENGINE_STOP, REASON_STARTING_TIMEOUT, true},
	[STATE_ENGINE_UP_BAD_HEALTH] = {STATE_ENGINE_STOP, REASON_BAD_HEALTH_TIMEOUT, true},
	[STATE_ENGINE_STOP] = {STATE_ENGINE_FORCE_STOP, REASON_SHUTDOWN_TIMEOUT, false},
	[STATE_ENGINE_MAYBE_AWAY] = {STATE_ENGINE_UNEXPECTEDLY_DOWN, REASON_AWAY_TIMEOUT, false},
	[STATE_ENGINE_UNEXPECTEDLY_DOWN] = {STATE_ENGINE_DOWN, REASON_UNEXPECTED_TIMEOUT, false},
};

bool machine_sound(const struct machine *machine)
{
	return machine->deadline == MONO_NEVER || ends[machine->state].to != STATE_START;
}

/* Check 6. */
static bool check_timeout(struct view *view)
{
	struct machine *m = &view->step->next;
	enum state from = m->state;

	if (view->now < m->deadline)
		return false;
	if (awaited_came(view))
		return false;
	if (ends[from].failed_try)
		row_failed_try(view);
	row_enter(view, ends[from].to, ends[from].reason);
	return true;
}

static void decide(struct view *view)
{
	struct machine *m = &view->step->next;

	if (check_safety(view))
		return;
	if (m->state == STATE_AGENT_STOPPED) {
		row_stay(view, REASON_STOP_WANTED);
		return;
	}
	if (view->known->stop_wanted) {
		row_enter(view, STATE_AGENT_STOPPED, REASON_STOP_WANTED);
		return;
	}
	if (take_command(view))
		return;
	row_cancel_migration(view);
	if (check_global_maintenance(view))
		return;
	if (view->known->vm.vm == VM_UNKNOWN) {
		if (m->state != STATE_UNKNOWN_LOCAL_VM)
			row_enter(view, STATE_UNKNOWN_LOCAL_VM, REASON_VM_UNKNOWN);
		else
			row_stay(view, REASON_VM_UNKNOWN);
		return;
	}
	/* EngineStart has its result to take in. */
	if (ending(view->known) && m->state != STATE_ENGINE_START) {
		row_stay(view, REASON_VM_MISSING);
		row_wake(view, mono_add(view->now, MONO_SECOND));
		return;
	}
	if (check_local_maintenance(view) || check_timeout(view))
		return;
	row_step(view);
}

/* Nothing runs as far as is known, or something is about to change: the facts are wanted every second. So
 * they are where libvirt has no VM and /proc had a QEMU: it ends, or is lost, and an operator's start waits
 * for it. */
static bool watch_closely(const struct view *view)
{
	if (view->known->vm.vm != VM_UP && view->known->cluster.qemu_pid != 0)
		return true;
	if (row_unsettled(view))
		return true;
	switch (view->step->next.state) {
	case STATE_ENGINE_UP:
	case STATE_GLOBAL_MAINTENANCE:
	case STATE_AGENT_STOPPED:
		return false;
	case STATE_ENGINE_DOWN:
	case STATE_LOCAL_MAINTENANCE:
		/* Of many hosts only those that may be next, or all of them load the storage at once. */
		return view->step->in_turn &&
		       (view->outlook.ownership != OWNERSHIP_ALIVE || view->outlook.owner->host != HOST_LIVE);
	default:
		return true;
	}
}

/* Unknown health is not published: the last known one of the VM as it runs now is, bad before the first
 * (older readers end on a record that says up without good or bad). */
static enum health publish_health(const struct snapshot *known, const struct machine *machine)
{
	if (known->vm.vm == VM_UNKNOWN)
		return HEALTH_UNKNOWN;
	return machine->healthy_since != MONO_UNSET ? HEALTH_GOOD : HEALTH_BAD;
}

void machine_step(const struct machine *cur, const struct snapshot *known, const struct policy *policy,
		  mono_t now, struct step *ret)
{
	struct view view = {.known = known, .policy = policy, .now = now, .step = ret};

	assert(known->n_peers <= HOST_ID_MAX && known->n_results <= RESULTS_MAX);
	assert(cur->state < STATE_COUNT && known->wanted < ACTION_COUNT);
	*ret = (struct step){.next = *cur, .reason = REASON_STAY, .wake = mono_add(now, policy->loop)};

	outlook_take(known, policy, now, &view.outlook);
	take_results(&view);
	keep_memory(&view);
	take_score(&view);
	decide(&view);
	take_score(&view); /* again: the new state has its say */
	/* The record names the target for as long as libvirt may be at it, in whatever state. */
	if (ret->next.state != STATE_ENGINE_MIGRATING_AWAY && ret->next.in_flight != ACTION_MIGRATE &&
	    !row_unsettled(&view))
		ret->next.migrate_to = 0;

	row_wake(&view, ret->next.deadline);
	ret->health = publish_health(known, &ret->next);
	ret->can_move = view.outlook.can_move;
	ret->may_start = score_allows_start(&ret->score) && known->cluster.maintenance == FLAG_NO;
	ret->in_turn = outlook_in_turn(known, policy, ret->score.value, now);
	ret->watch_closely = watch_closely(&view);
	if (ret->watch_closely)
		row_wake(&view, mono_add(now, MONO_SECOND));
	/* What the step says itself is about the VM here, and graver. */
	ret->why = ret->alarm ? ret->reason : REASON_ALIEN_PEER;
	if (view.outlook.alien)
		ret->alarm = true;
}
