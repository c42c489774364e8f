/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What each state does with a step, as STATES.md has it. Called by core/machine.c after its checks; it may
 * assume that neither stop, global maintenance, an unknown VM nor the state's own timeout applies. */
#include "core/rows.h"

#include <assert.h>

#define OWNER_LOOPS 2 /* a live owner's record must say down for more than so many loops before we try */
#define LEASE_REFUSALS                                                                                       \
	3 /* refusals in a row without an owner are a failed try: a wrong lease name gives them too */

void row_wake(struct view *view, mono_t at)
{
	/* A moment in the past was acted on already, or must wait for an event: it would only spin. */
	if (at > view->now && at < view->step->wake)
		view->step->wake = at;
}

void row_stay(struct view *view, enum reason reason)
{
	view->step->reason = reason;
}

void row_act(struct view *view, enum action action)
{
	struct step *step = view->step;

	assert(step->n_actions < ACTIONS_MAX);
	step->actions[step->n_actions++] = action;
	if (action == ACTION_KILL || action == ACTION_RESET_HOST || action == ACTION_CANCEL)
		return;
	assert(step->next.in_flight == ACTION_NONE || action == ACTION_DESTROY);
	step->next.in_flight = action;
	step->next.in_flight_since = view->now;
	if (action == ACTION_START || action == ACTION_START_PAUSED)
		step->next.kill_since = MONO_UNSET; /* what was killed before is not what lives from now on */
}

void row_failed_try(struct view *view)
{
	struct machine *m = &view->step->next;

	if (m->failed_tries < UINT32_MAX)
		m->failed_tries++;
	m->last_failed = view->now;
	m->lease_refusals = 0;
}

static int64_t state_timeout(const struct view *view, enum state state)
{
	const struct policy *policy = view->policy;

	switch (state) {
	case STATE_ENGINE_START:
		return lease_start_ms(&view->known->cluster.lease);
	case STATE_ENGINE_STARTING:
		return policy->starting;
	case STATE_ENGINE_UP_BAD_HEALTH:
		return policy->bad_health;
	case STATE_ENGINE_STOP:
		return policy->shutdown;
	case STATE_ENGINE_MAYBE_AWAY:
		return policy->away;
	case STATE_ENGINE_UNEXPECTEDLY_DOWN:
		return policy->unexpected;
	default:
		return -1;
	}
}

void row_enter(struct view *view, enum state to, enum reason reason)
{
	struct machine *m = &view->step->next;
	int64_t timeout = state_timeout(view, to);

	assert(machine_allowed(m->state, to));
	m->state = to;
	m->reason = reason;
	m->entered = view->now;
	m->deadline = timeout < 0 ? MONO_NEVER : mono_add(view->now, timeout);
	m->start_due_since = MONO_UNSET;
	m->shutdown_refused = false;
	if (to != STATE_ENGINE_UP && to != STATE_ENGINE_UP_BAD_HEALTH)
		m->better_since = MONO_UNSET; /* nobody looks at it elsewhere */
	view->step->reason = reason;
	view->step->wake = view->now; /* the new state's row runs at once */

	switch (to) {
	case STATE_ENGINE_START:
		/* The pre-checks are advisory; the lease itself is taken by the resume inside this action
		 * (safety rule 2). */
		row_act(view, ACTION_START);
		break;
	case STATE_ENGINE_STOP:
		if (m->in_flight == ACTION_NONE)
			row_act(view, ACTION_SHUTDOWN);
		break;
	case STATE_ENGINE_FORCE_STOP:
		/* Whatever is in flight: a destroy has its own connection and ends it. */
		row_act(view, ACTION_DESTROY);
		if (m->kill_since == MONO_UNSET)
			m->kill_since = MONO_NEVER;
		break;
	case STATE_ENGINE_MIGRATING_AWAY:
		m->cancel_at = MONO_UNSET; /* it begins once the record names its target */
		break;
	case STATE_ENGINE_UNEXPECTEDLY_DOWN:
		m->unexpected_until = mono_add(view->now, view->policy->unexpected);
		m->last_crash = view->now;
		if (m->crashes < UINT32_MAX)
			m->crashes++;
		break;
	default:
		break;
	}
}

enum health row_health(const struct view *view)
{
	const struct sample *sample = &view->known->cluster.monitors[MONITOR_ENGINE_HEALTH];

	if (!view->known->broker_answers || sample->number == 0 || !sample->known)
		return HEALTH_UNKNOWN;
	return sample->value == HEALTH_GOOD ? HEALTH_GOOD : HEALTH_BAD;
}

enum reason row_start_ended(struct view *view, enum outcome outcome)
{
	struct machine *m = &view->step->next;

	switch (outcome) {
	case OUTCOME_OK:
		m->lease_refusals = 0;
		return REASON_START_OK;
	case OUTCOME_LEASE_HELD:
		m->refused_at = view->now;
		if (view->outlook.ownership == OWNERSHIP_ALIVE) {
			m->lease_refusals = 0;
			m->next_owner_try = mono_add(view->now, view->policy->owner_retry);
			return REASON_LEASE_REFUSED;
		}
		if (!outlook_lease_free(&view->outlook) || ++m->lease_refusals < LEASE_REFUSALS)
			return REASON_LEASE_REFUSED;
		row_failed_try(view);
		return REASON_LEASE_NOT_TO_BE_HAD;
	default:
		row_failed_try(view);
		return REASON_START_FAILED;
	}
}

/* Its source owns the lease until the hand-over, which takes as long as a start at most: with nobody alive
 * that has it for so long it comes from nowhere, and would keep the VM off here for ever. So long since it
 * came, too: what was read of the owner before may be older than its source's start. */
bool row_arrives(const struct view *view)
{
	const struct machine *m = &view->step->next;
	const int64_t limit = lease_start_ms(&view->known->cluster.lease);
	const bool waits =
		view->known->vm.pause != PAUSE_NONE && !mono_passed(m->paused_since, limit, view->now);

	return view->known->vm.vm == VM_UP && view->known->vm.detail == DETAIL_MIGRATION_DESTINATION &&
	       (waits || !mono_passed(m->lease_free_since, limit, view->now));
}

static void row_reinitialize(struct view *view)
{
	if (view->known->vm.vm == VM_UP && !row_arrives(view))
		row_enter(view, STATE_ENGINE_STARTING, REASON_VM_UP_HERE);
	else
		row_enter(view, STATE_ENGINE_DOWN, REASON_INITIALIZED);
}

static mono_t later(mono_t a, mono_t b)
{
	return a > b ? a : b;
}

/* May we ask sanlock for the lease now, as far as its owner goes? Else *ret_hold says what holds us. */
static bool owner_lets_us(struct view *view, enum reason *ret_hold)
{
	const struct outlook *outlook = &view->outlook;
	const struct machine *m = &view->step->next;
	const struct peer *owner = outlook->owner;

	/* A refusal is newer than what was read before it, and somebody may be taking the lease just now. */
	if (m->refused_at != MONO_UNSET && (!mono_passed(m->refused_at, MONO_SECOND, view->now) ||
					    view->known->cluster.owner_begun <= m->refused_at)) {
		*ret_hold = REASON_LEASE_REFUSED;
		row_wake(view, mono_add(m->refused_at, MONO_SECOND));
		return false;
	}
	if (view->now < m->next_owner_try && !outlook_lease_free(outlook)) {
		*ret_hold = REASON_LEASE_OWNED;
		row_wake(view, m->next_owner_try);
		return false;
	}
	if (outlook_lease_free(outlook))
		return true;
	if (outlook->ownership == OWNERSHIP_OVERDUE) {
		*ret_hold = REASON_OWNER_OVERDUE;
		return true;
	}
	/* Who does not know the owner has no score that lets it start. */
	assert(outlook->ownership == OWNERSHIP_ALIVE);
	if (!peer_fresh(owner, view->policy, view->now)) {
		*ret_hold = REASON_OWNER_SILENT;
		return true;
	}
	/* What it said before it took the lease, as the target of a migration does, says nothing of it. */
	if (owner->claim.vm != VM_UP && owner->claim.vm != VM_UNKNOWN &&
	    mono_passed(later(owner->vm_since, m->version_since), OWNER_LOOPS * view->policy->loop,
			view->now)) {
		*ret_hold = REASON_OWNER_SAYS_DOWN;
		return true;
	}
	*ret_hold = owner->claim.vm == VM_UP ? REASON_VM_UP_ELSEWHERE : REASON_LEASE_OWNED;
	return false;
}

/* After failed tries the next one waits, and after crashes of a VM that was healthy for a moment each time:
 * else it would be started as fast as it dies, by each host in turn where there are several. Those that have
 * seen it crash often wait for as long after the lease was given up by the last one. */
static bool try_gap_over(struct view *view)
{
	const struct machine *m = &view->step->next;
	bool crashed = m->state == STATE_ENGINE_UNEXPECTEDLY_DOWN;
	int64_t gap = crashed ? policy_unexpected_gap(m->failed_tries) : policy_try_gap(m->failed_tries);
	mono_t at = m->failed_tries == 0 ? MONO_UNSET : mono_add(m->last_failed, gap);

	if (crashed && m->crashes > 1)
		at = later(at, mono_add(later(m->last_crash, m->lease_free_since),
					policy_unexpected_gap(m->crashes - 1)));
	if (view->now >= at)
		return true;
	row_wake(view, at);
	return false;
}

/* Everything but the score that a start here needs. True: go on; else the step says what holds it. */
static bool start_possible(struct view *view, enum reason *ret_why)
{
	const struct machine *m = &view->step->next;
	enum reason hold = REASON_STAY;

	/* A start that waits for its lease goes on in libvirt after the operator's power-off: a second one
	 * would be refused there, and count as a failed try. */
	if (m->in_flight != ACTION_NONE || view->known->vm.detail == DETAIL_WAIT_FOR_LAUNCH) {
		row_stay(view, REASON_IN_FLIGHT);
		return false;
	}
	if (!score_allows_start(&view->step->score)) {
		row_stay(view, REASON_NOT_READY);
		return false;
	}
	/* The agent stood still: what it was told before says nothing of now, and the answer is under way. */
	if (view->known->vm.look_old) {
		row_stay(view, REASON_LOOK_OLD);
		return false;
	}
	/* libvirt says down, /proc not: a QEMU that dies slowly, or one that libvirt has lost and that may
	 * run without its lease. A second one beside it is what rule 3 is there against. */
	if (view->known->cluster.qemu_pid != 0) {
		row_stay(view, REASON_QEMU_LIVES);
		return false;
	}
	if (!owner_lets_us(view, &hold)) {
		row_stay(view, hold);
		return false;
	}
	/* Safety rule 14: between the source's release and the target's acquire the lease looks free. To the
	 * source itself it looks ours until it was read after the VM had left. */
	if (view->outlook.migration ||
	    (m->reason == REASON_MOVED && view->known->cluster.owner_begun <= m->entered)) {
		row_stay(view, REASON_MIGRATION_UNDER_WAY);
		return false;
	}
	if (view->outlook.claimed_up && outlook_lease_free(&view->outlook) &&
	    !mono_passed(m->lease_free_since, view->policy->away, view->now)) {
		row_stay(view, REASON_CLAIMED_UP);
		row_wake(view, mono_add(m->lease_free_since, view->policy->away));
		return false;
	}
	if (!try_gap_over(view)) {
		row_stay(view, REASON_TRY_GAP);
		return false;
	}
	*ret_why = hold;
	return true;
}

/* `why`: what start_possible() found about the owner, else `reason` stands. A try against an owner that may
 * live is not repeated at once. */
static void begin_start(struct view *view, enum reason why, enum reason reason)
{
	struct machine *m = &view->step->next;

	if (why == REASON_OWNER_OVERDUE)
		m->next_owner_try = mono_add(view->now, MONO_SECOND);
	else if (why != REASON_STAY)
		m->next_owner_try = mono_add(view->now, view->policy->owner_retry);
	row_enter(view, STATE_ENGINE_START, why == REASON_STAY ? reason : why);
}

static void take_rivals(const struct view *view, struct rivals *ret)
{
	outlook_rivals(view->known, view->policy, view->step->next.lease_free_since, view->step->score.value,
		       view->now, ret);
}

/* This path starts the VM. Two hosts may come here at once: the lease lets one through (safety argument). */
static void row_engine_down(struct view *view)
{
	struct machine *m = &view->step->next;
	int32_t score = view->step->score.value;
	struct rivals rivals;
	bool untaken = mono_passed(m->lease_free_since, view->policy->untaken, view->now);
	enum reason why;
	mono_t turn;

	if (row_arrives(view)) {
		row_stay(view, REASON_MIGRATION_UNDER_WAY);
		return;
	}
	if (view->known->vm.vm == VM_UP) {
		row_enter(view, STATE_ENGINE_STARTING, REASON_VM_UP_HERE);
		return;
	}
	if (!start_possible(view, &why)) {
		m->start_due_since = MONO_UNSET;
		return;
	}
	if (score == 0 && !untaken) {
		m->start_due_since = MONO_UNSET;
		row_stay(view, REASON_SCORE_ZERO);
		return;
	}
	take_rivals(view, &rivals);
	if (score > 0 && score < rivals.best) {
		m->start_due_since = MONO_UNSET;
		row_stay(view, REASON_BETTER_HOST);
		return;
	}
	/* Equal scores: by host id, half a second apart, so that the lease is asked for once as a rule. */
	if (m->start_due_since == MONO_UNSET)
		m->start_due_since = view->now;
	turn = mono_add(m->start_due_since, rivals.rank * view->policy->rank_delay);
	if (view->now < turn) {
		row_stay(view, REASON_RANK_WAIT);
		row_wake(view, turn);
		return;
	}
	begin_start(view, why, score == 0 ? REASON_LEASE_UNTAKEN : REASON_BEST_SCORE);
}

static void row_engine_start(struct view *view)
{
	if (view->result.action != ACTION_START) {
		if (view->step->next.in_flight == ACTION_START)
			row_stay(view, REASON_IN_FLIGHT);
		else /* its end came while another state ruled */
			row_enter(view,
				  view->known->vm.vm == VM_UP ? STATE_ENGINE_STARTING : STATE_ENGINE_DOWN,
				  REASON_VM_KNOWN);
		return;
	}
	row_enter(view, view->result.outcome == OUTCOME_OK ? STATE_ENGINE_STARTING : STATE_ENGINE_DOWN,
		  view->ended);
}

/* A paused VM holds no lease. It is resumed only after an I/O error, when storage is good again and the lease
 * is proven to be as we left it (safety rule 11); otherwise it may stay so for a moment and is then stopped.
 * True: the row is done. */
bool row_paused(struct view *view)
{
	struct machine *m = &view->step->next;
	const struct cluster *c = &view->known->cluster;
	const struct sample *storage = &c->monitors[MONITOR_STORAGE_DOMAIN];
	int64_t limit = view->policy->paused;

	if (view->known->vm.pause == PAUSE_NONE || m->in_flight == ACTION_START ||
	    m->in_flight == ACTION_RESUME)
		return false;
	/* A target's QEMU is paused for as long as memory is copied; the source's for the hand-over, which
	 * may wait for the lease as a start may. */
	if (row_arrives(view))
		return false;
	if (view->known->vm.detail == DETAIL_MIGRATION_SOURCE)
		limit = later(limit, lease_start_ms(&c->lease));
	if (mono_passed(m->paused_since, limit, view->now)) {
		row_enter(view, STATE_ENGINE_FORCE_STOP, REASON_VM_PAUSED);
		return true;
	}
	row_wake(view, mono_add(m->paused_since, limit));
	if (view->known->vm.pause == PAUSE_IO_ERROR && storage->known && storage->value == 1 &&
	    m->held_version != 0 && c->owner != OWNER_UNREAD && c->owner_begun > m->paused_since &&
	    c->owner_version == m->held_version && m->in_flight == ACTION_NONE &&
	    view->now >= mono_add(m->in_flight_since, MONO_SECOND)) {
		row_act(view, ACTION_RESUME);
		m->resume_version = m->held_version + 1;
		row_stay(view, REASON_STORAGE_BACK);
		return true;
	}
	row_stay(view, REASON_VM_PAUSED);
	return true;
}

static void row_engine_starting(struct view *view)
{
	/* What libvirt said before the start ended is no news: it must not destroy what was just started. */
	if (view->known->vm.vm != VM_UP && view->known->vm.seen_at < view->step->next.entered) {
		row_stay(view, REASON_IN_FLIGHT);
		return;
	}
	switch (view->known->vm.vm) {
	case VM_UP:
		if (row_paused(view))
			return;
		if (row_health(view) == HEALTH_GOOD)
			row_enter(view, STATE_ENGINE_UP, REASON_VM_HEALTHY);
		else
			row_stay(view, REASON_STAY);
		return;
	case VM_DOWN:
		row_enter(view, STATE_ENGINE_FORCE_STOP, REASON_VM_GONE);
		return;
	case VM_DOWN_UNEXPECTED:
		row_failed_try(view);
		row_enter(view, STATE_ENGINE_UNEXPECTEDLY_DOWN, REASON_VM_UNEXPECTEDLY_DOWN);
		return;
	default:
		row_enter(view, STATE_ENGINE_MAYBE_AWAY, REASON_VM_MISSING);
		return;
	}
}

/* A score of 0 because this host knows too little, or because its parts differ, begins nothing, and makes no
 * other host better: a VM that runs and holds its lease is not shut down for it. */
bool row_better_elsewhere(struct view *view)
{
	const struct score *score = &view->step->score;
	struct rivals rivals;

	take_rivals(view, &rivals);
	return view->outlook.can_move && score->entries[PENALTY_NO_KNOWLEDGE].points == 0 &&
	       score->entries[PENALTY_BLOCKED].points == 0 &&
	       rivals.best >= score->value + view->policy->better_threshold;
}

/* A better host must have been better for long, and the VM moves at most once in a while: no ping-pong. */
static bool should_move(struct view *view)
{
	struct machine *m = &view->step->next;

	if (!row_better_elsewhere(view)) {
		m->better_since = MONO_UNSET;
		return false;
	}
	if (m->better_since == MONO_UNSET)
		m->better_since = view->now;
	row_wake(view, mono_add(m->better_since, view->policy->better_held));
	return mono_passed(m->better_since, view->policy->better_held, view->now) &&
	       (m->last_move == MONO_UNSET ||
		mono_passed(m->last_move, view->policy->move_interval, view->now));
}

/* EngineUp and EngineUpBadHealth. No other host's claim moves us: the lease is ours (safety rule 3 was
 * checked before). */
static void row_engine_up(struct view *view)
{
	struct machine *m = &view->step->next;

	switch (view->known->vm.vm) {
	case VM_UP:
		break;
	case VM_DOWN_UNEXPECTED:
		row_enter(view, STATE_ENGINE_UNEXPECTEDLY_DOWN, REASON_VM_UNEXPECTEDLY_DOWN);
		return;
	case VM_DOWN_MISSING:
		row_enter(view, STATE_ENGINE_MAYBE_AWAY, REASON_VM_MISSING);
		return;
	default:
		row_enter(view, STATE_ENGINE_MAYBE_AWAY, REASON_VM_GONE);
		return;
	}
	if (row_paused(view))
		return;
	if (m->in_flight == ACTION_NONE && !view->known->vm.leaving && should_move(view)) {
		m->last_move = view->now;
		row_move_away(view, REASON_BETTER_HOST);
		return;
	}
	if (m->state == STATE_ENGINE_UP && row_health(view) == HEALTH_BAD)
		row_enter(view, STATE_ENGINE_UP_BAD_HEALTH, REASON_BAD_HEALTH);
	else if (m->state == STATE_ENGINE_UP_BAD_HEALTH && row_health(view) == HEALTH_GOOD)
		row_enter(view, STATE_ENGINE_UP, REASON_VM_HEALTHY);
	else
		row_stay(view, REASON_STAY);
}

static void row_engine_stop(struct view *view)
{
	struct machine *m = &view->step->next;

	if (view->known->vm.vm != VM_UP)
		row_enter(view, STATE_ENGINE_DOWN, REASON_VM_GONE);
	else if (row_arrives(view))
		/* Known only now: it is its source's, and nothing here is to be stopped. */
		row_enter(view, STATE_ENGINE_DOWN, REASON_MIGRATION_UNDER_WAY);
	else if (view->known->vm.pause != PAUSE_NONE && view->known->vm.detail == DETAIL_PAUSED)
		row_enter(view, STATE_ENGINE_FORCE_STOP, REASON_VM_PAUSED);
	else if (m->shutdown_refused && view->known->vm.detail == DETAIL_UNKNOWN &&
		 m->reason != REASON_BETTER_HOST)
		/* libvirt does not list it, so it can only be killed; a wish is no reason to. */
		row_enter(view, STATE_ENGINE_FORCE_STOP, REASON_SHUTDOWN_REFUSED);
	else if (m->shutdown_refused)
		row_enter(view, STATE_REINITIALIZE, REASON_SHUTDOWN_REFUSED);
	else if (m->in_flight == ACTION_NONE && m->in_flight_since < m->entered) {
		row_act(view, ACTION_SHUTDOWN); /* another action was in the way at entry */
		row_stay(view, REASON_IN_FLIGHT);
	} else
		row_stay(view, REASON_STAY);
}

/* Done when libvirt has no VM and /proc no QEMU, looked for since; alive for too long is rule 12, checked
 * before the rows. */
static void row_engine_force_stop(struct view *view)
{
	struct machine *m = &view->step->next;
	const struct cluster *c = &view->known->cluster;
	bool gone = c->qemu_pid == 0 && c->held_begun >= m->entered;

	if (m->in_flight == ACTION_NONE && view->known->vm.vm != VM_UP && gone) {
		row_enter(view, STATE_ENGINE_DOWN, REASON_DESTROYED);
		return;
	}
	if (m->in_flight == ACTION_NONE && view->now >= mono_add(m->in_flight_since, MONO_SECOND))
		row_act(view, ACTION_DESTROY);
	row_stay(view, REASON_STAY);
	row_wake(view, mono_add(view->now, MONO_SECOND));
}

static void row_engine_maybe_away(struct view *view)
{
	switch (view->known->vm.vm) {
	case VM_UP:
		row_enter(view, STATE_ENGINE_UP, REASON_VM_UP_HERE);
		return;
	case VM_DOWN:
		row_enter(view, STATE_ENGINE_DOWN, REASON_VM_GONE);
		return;
	case VM_DOWN_UNEXPECTED:
		row_enter(view, STATE_ENGINE_UNEXPECTEDLY_DOWN, REASON_VM_UNEXPECTEDLY_DOWN);
		return;
	default:
		break;
	}
	if (view->outlook.ownership == OWNERSHIP_ALIVE || view->outlook.claimed_up)
		row_enter(view, STATE_ENGINE_DOWN, REASON_VM_UP_ELSEWHERE);
	else
		row_stay(view, REASON_VM_MISSING);
}

/* The others go first, since the VM died here; but nobody stays without an engine because of that. This path
 * starts the VM. */
static void row_unexpectedly_down(struct view *view)
{
	struct machine *m = &view->step->next;
	enum reason why;

	if (row_arrives(view)) {
		row_stay(view, REASON_MIGRATION_UNDER_WAY);
		return;
	}
	if (view->known->vm.vm == VM_UP) {
		row_enter(view, STATE_ENGINE_UP, REASON_VM_UP_HERE);
		return;
	}
	if (view->outlook.can_move && !mono_passed(m->lease_free_since, view->policy->untaken, view->now)) {
		row_stay(view, REASON_BETTER_HOST);
		return;
	}
	if (!start_possible(view, &why))
		return;
	begin_start(view, why, view->outlook.can_move ? REASON_LEASE_UNTAKEN : REASON_ALONE);
}

static void row_start(struct view *view)
{
	row_enter(view, STATE_REINITIALIZE, REASON_STARTED);
}

static void row_maintenance_cleared(struct view *view)
{
	row_enter(view, STATE_REINITIALIZE, REASON_MAINTENANCE_CLEARED);
}

static void row_vm_known(struct view *view)
{
	row_enter(view, STATE_REINITIALIZE, REASON_VM_KNOWN);
}

void row_step(struct view *view)
{
	static void (*const rows[STATE_COUNT])(struct view *) = {
		[STATE_START] = row_start,
		[STATE_REINITIALIZE] = row_reinitialize,
		[STATE_GLOBAL_MAINTENANCE] = row_maintenance_cleared,
		[STATE_LOCAL_MAINTENANCE] = row_maintenance_cleared,
		[STATE_UNKNOWN_LOCAL_VM] = row_vm_known,
		[STATE_ENGINE_DOWN] = row_engine_down,
		[STATE_ENGINE_START] = row_engine_start,
		[STATE_ENGINE_STARTING] = row_engine_starting,
		[STATE_ENGINE_UP] = row_engine_up,
		[STATE_ENGINE_UP_BAD_HEALTH] = row_engine_up,
		[STATE_ENGINE_STOP] = row_engine_stop,
		[STATE_ENGINE_FORCE_STOP] = row_engine_force_stop,
		[STATE_ENGINE_MAYBE_AWAY] = row_engine_maybe_away,
		[STATE_ENGINE_UNEXPECTEDLY_DOWN] = row_unexpectedly_down,
		[STATE_ENGINE_MIGRATING_AWAY] = row_migrating_away,
	};

	assert(rows[view->step->next.state]); /* AgentStopped is the end */
	rows[view->step->next.state](view);
}
