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

static bool runs_here(const struct view *view)
{
	const struct vm_facts *vm = &view->known->vm;

	return vm->vm == VM_UP && vm->pause == PAUSE_NONE && vm->detail == DETAIL_UP;
}

void row_move_away(struct view *view, bool must, enum reason reason)
{
	struct machine *m = &view->step->next;
	const struct peer *target = outlook_target(view->known, view->policy, 0, view->now);

	m->must_leave = true;
	/* A wish is for a host that is better by the threshold; the best may be one that can't take it live.
	 */
	if (target && !must && target->claim.score < view->step->score.value + view->policy->better_threshold)
		target = NULL;
	if (!target || !view->policy->live_migration || !runs_here(view)) {
		row_enter(view, STATE_ENGINE_STOP, reason);
		return;
	}
	m->migrate_to = target->id;
	row_enter(view, STATE_ENGINE_MIGRATING_AWAY, reason);
}

/* Rule 3: a VM that runs without our lease is never migrated, one of which that is not known neither. */
static bool lease_is_ours(const struct view *view)
{
	const struct machine *m = &view->step->next;
	const struct cluster *c = &view->known->cluster;

	return view->outlook.ownership == OWNERSHIP_OURS && c->held == HELD_YES && m->held_version != 0 &&
	       c->owner_version == m->held_version;
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
	/* Somebody else's may do as well as ours, and a shutdown in the middle of it would do nobody good. */
	else if (view->result.outcome == OUTCOME_UNDER_WAY)
		give_up(view, REASON_MIGRATION_UNDER_WAY, false);
	else if (vm->seen_at < m->cancel_at)
		row_stay(view, REASON_IN_FLIGHT); /* seen before it ended: it may be gone by now */
	/* A host that has lost its network can't migrate, and nobody reaches the engine on it. */
	else
		give_up(view, REASON_MOVE_FAILED,
			view->known->local_maintenance || row_better_elsewhere(view));
}

void row_cancel_migration(struct view *view)
{
	struct machine *m = &view->step->next;
	mono_t again = mono_add(view->now, MONO_SECOND);

	if (m->in_flight != ACTION_MIGRATE)
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
	m->migrate_to = target->id;
	row_enter(view, STATE_ENGINE_MIGRATING_AWAY, REASON_OPERATOR);
	return true;
}

void row_note_migration(struct view *view)
{
	struct machine *m = &view->step->next;

	/* Somebody else's, too. */
	if (view->known->vm.vm == VM_UP && view->known->vm.detail == DETAIL_MIGRATION_SOURCE &&
	    m->gave_lease != MONO_NEVER)
		m->gave_lease = view->now;
	else if (view->known->vm.vm != VM_UP && view->known->vm.vm != VM_UNKNOWN &&
		 m->in_flight != ACTION_MIGRATE)
		m->gave_lease = MONO_UNSET;
}

bool row_handed_over(const struct view *view)
{
	const struct machine *m = &view->step->next;
	const struct cluster *c = &view->known->cluster;

	return m->in_flight == ACTION_MIGRATE && c->owner == OWNER_HOST && c->owner_id == m->migrate_to;
}
