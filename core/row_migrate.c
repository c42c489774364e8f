/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Live migration as the source decides it (safety rule 14). First the record names the target; only when that
 * stands on storage does libvirt begin. The lease is handed over inside: libvirt lets it go when the guest is
 * stopped here, and takes it there before it runs. Between the two it is free, and whoever wins it, the
 * others' copies end: the target's by its libvirt, which gets no lease; ours because its lease is another's,
 * or went through other hands (lease_contrary() in core/machine.c). What can't be done live, and what fails
 * where the VM has to leave, is done the old way: shutdown, start elsewhere. For core/machine.c and
 * core/rows.c. */
#include "core/rows.h"

/* A record that is not on storage by then: storage is in trouble, and so is a migration. */
#define ANNOUNCE_MS (30 * MONO_SECOND)

/* A target that can't take the guest - its processor lacks what the guest uses, its network or certificate is
 * wrong - says so before anything is copied. What fails later may be the guest's, and would be anywhere. */
#define REFUSED_MS (10 * MONO_SECOND)

static bool runs_here(const struct view *view)
{
	const struct vm_facts *vm = &view->known->vm;

	return vm->vm == VM_UP && vm->pause == PAUSE_NONE && vm->detail == DETAIL_UP && !vm->leaving;
}

/* A wish is for a host that is better by the threshold; the best may be one that can't take it live. */
static bool good_enough(const struct view *view, const struct peer *target)
{
	return view->known->local_maintenance || !view->step->next.must_leave ||
	       target->claim.score >= view->step->score.value + view->policy->better_threshold;
}

static void enter(struct view *view, const struct peer *target, enum reason reason)
{
	view->step->next.migrate_to = target->id;
	view->step->next.migrate_score = target->claim.score;
	row_enter(view, STATE_ENGINE_MIGRATING_AWAY, reason);
}

void row_move_away(struct view *view, enum reason reason)
{
	struct machine *m = &view->step->next;
	const struct peer *target = outlook_target(view->known, view->policy, 0, view->now);

	m->must_leave = true;
	if (target && good_enough(view, target) && view->policy->live_migration && runs_here(view))
		enter(view, target, reason);
	else
		row_enter(view, STATE_ENGINE_STOP, reason);
}

/* Rule 3: a VM that runs without our lease is never migrated, one of which that is not known neither: as
 * after a try that failed, until the lease was looked at again. */
static bool lease_is_ours(const struct view *view)
{
	const struct machine *m = &view->step->next;
	const struct cluster *c = &view->known->cluster;

	return m->gave_lease == MONO_UNSET && view->outlook.ownership == OWNERSHIP_OURS &&
	       c->held == HELD_YES && m->held_version != 0 && c->owner_version == m->held_version;
}

/* `old_way`: what was to leave is shut down, and starts elsewhere. An operator's own move stays. */
static void give_up(struct view *view, enum reason reason, bool old_way)
{
	old_way = old_way && view->step->next.must_leave;
	row_enter(view, old_way ? STATE_ENGINE_STOP : STATE_ENGINE_UP, reason);
}

static void begin(struct view *view)
{
	struct machine *m = &view->step->next;

	row_wake(view, mono_add(m->entered, ANNOUNCE_MS));
	/* Somebody else's may do as well as ours, and a shutdown in the middle of it would do nobody good. */
	if (view->known->vm.leaving || view->result.outcome == OUTCOME_UNDER_WAY) {
		give_up(view, REASON_MIGRATION_UNDER_WAY, false);
		return;
	}
	if (!runs_here(view) || mono_passed(m->entered, ANNOUNCE_MS, view->now)) {
		give_up(view, REASON_MOVE_FAILED, view->known->local_maintenance);
		return;
	}
	if (!outlook_target(view->known, view->policy, m->migrate_to, view->now)) {
		give_up(view, REASON_NO_HOST_TO_MOVE_TO, false); /* another one may do */
		return;
	}
	row_stay(view, REASON_IN_FLIGHT);
	/* Rule 14: who reads the record does not start when it finds the lease free. */
	if (m->in_flight != ACTION_NONE || view->known->announced != m->migrate_to || !lease_is_ours(view))
		return;
	row_act(view, ACTION_MIGRATE);
	m->gave_lease = MONO_NEVER;
	m->cancel_at = mono_add(view->now, view->policy->migration);
	row_stay(view, REASON_MIGRATION_UNDER_WAY);
}

/* The one after it may take the VM. */
static bool try_next(struct view *view)
{
	struct machine *m = &view->step->next;
	const struct peer *next =
		outlook_next_target(view->known, view->policy, m->migrate_score, m->migrate_to, view->now);

	if (!next || !good_enough(view, next) || mono_passed(m->in_flight_since, REFUSED_MS, m->cancel_at))
		return false;
	enter(view, next, REASON_MOVE_FAILED);
	return true;
}

/* Our call for it has ended, and libvirt goes on all the same: the call was lost to a libvirtd that hung. */
static bool goes_on(const struct view *view)
{
	const struct machine *m = &view->step->next;
	const struct vm_facts *vm = &view->known->vm;

	return m->state == STATE_ENGINE_MIGRATING_AWAY && m->in_flight == ACTION_NONE &&
	       m->cancel_at != MONO_UNSET && vm->vm == VM_UP && vm->leaving && vm->seen_at >= m->cancel_at;
}

void row_migrating_away(struct view *view)
{
	struct machine *m = &view->step->next;
	const struct vm_facts *vm = &view->known->vm;

	if (vm->vm != VM_UP)
		row_enter(view, STATE_ENGINE_DOWN,
			  vm->reason == ENGINE_REASON_MIGRATED ? REASON_MOVED : REASON_VM_GONE);
	else if (m->cancel_at == MONO_UNSET)
		begin(view);
	else if (m->in_flight != ACTION_NONE)
		row_stay(view, REASON_MIGRATION_UNDER_WAY);
	else if (vm->seen_at < m->cancel_at)
		row_stay(view, REASON_IN_FLIGHT); /* seen before it ended: it may be gone by now */
	/* A host that has lost its network can't migrate, and nobody reaches the engine on it. */
	else if (!try_next(view))
		give_up(view, REASON_MOVE_FAILED,
			view->known->local_maintenance || row_better_elsewhere(view));
}

void row_cancel_migration(struct view *view)
{
	struct machine *m = &view->step->next;
	mono_t again = mono_add(view->now, MONO_SECOND);

	if (m->in_flight != ACTION_MIGRATE && !goes_on(view))
		return;
	if (view->known->broker_answers && view->known->cluster.maintenance == FLAG_YES &&
	    m->cancel_at > again)
		m->cancel_at = view->now;
	if (view->now >= m->cancel_at) {
		row_act(view, ACTION_CANCEL);
		m->cancel_at = again;
	}
	row_wake(view, m->cancel_at);
}

bool row_command_migration(struct view *view)
{
	struct machine *m = &view->step->next;
	const struct snapshot *known = view->known;
	const struct peer *target = outlook_target(known, view->policy, known->wanted_host, view->now);

	if (known->wanted == ACTION_CANCEL && m->in_flight == ACTION_MIGRATE) {
		m->cancel_at = view->now;
		m->must_leave = false;
		m->migrate_score = 0;
		return false; /* row_cancel_migration() does it, and the state goes on */
	}
	if (known->wanted == ACTION_CANCEL && m->state == STATE_ENGINE_MIGRATING_AWAY) {
		row_enter(view, STATE_ENGINE_UP, REASON_OPERATOR);
		return true;
	}
	if (known->wanted == ACTION_CANCEL || !known->broker_answers ||
	    known->cluster.maintenance != FLAG_NO || m->in_flight != ACTION_NONE || !runs_here(view) ||
	    !target ||
	    (m->state != STATE_ENGINE_UP && m->state != STATE_ENGINE_UP_BAD_HEALTH &&
	     m->state != STATE_ENGINE_STARTING && m->state != STATE_LOCAL_MAINTENANCE)) {
		view->step->wanted_refused = true;
		return false;
	}
	m->must_leave = false;
	enter(view, target, REASON_OPERATOR);
	if (known->wanted_host != 0)
		m->migrate_score = 0;
	return true;
}

void row_note_migration(struct view *view)
{
	struct machine *m = &view->step->next;

	/* Somebody else's is announced too, as soon as it is known: where it goes nobody says, and who reads
	 * the record needs no more than that it goes, so the id is our own. */
	if (view->known->vm.vm == VM_UP && m->gave_lease != MONO_NEVER &&
	    (view->known->vm.leaving || view->known->vm.detail == DETAIL_MIGRATION_SOURCE)) {
		m->gave_lease = view->now;
		if (m->migrate_to == 0)
			m->migrate_to = view->known->cluster.host_id;
	} else if (view->known->vm.vm != VM_UP && view->known->vm.vm != VM_UNKNOWN &&
		   m->in_flight != ACTION_MIGRATE)
		m->gave_lease = MONO_UNSET;
}

/* QEMU runs on by itself when the connection to its target breaks, without asking libvirt, or for the lease:
 * nobody else may start meanwhile (rule 14). What libvirt does about it takes as long as a start at most;
 * after that the lease rules alone. */
bool row_unsettled(const struct view *view)
{
	const struct machine *m = &view->step->next;
	const struct cluster *c = &view->known->cluster;

	return m->gave_lease != MONO_UNSET && c->qemu_pid != 0 &&
	       !mono_passed(m->gave_lease, lease_start_ms(&c->lease), view->now);
}

bool row_handed_over(const struct view *view)
{
	const struct machine *m = &view->step->next;
	const struct cluster *c = &view->known->cluster;

	return m->in_flight == ACTION_MIGRATE && c->owner == OWNER_HOST && c->owner_id == m->migrate_to;
}
