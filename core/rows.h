/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rows of the state table (STATES.md), one function per state, for core/machine.c alone. A row looks at
 * the view and either stays or moves; entering a state sets its deadline and begins its action. Pure. */
#pragma once

#include "core/outlook.h"

/* One step in the making. */
struct view {
	const struct snapshot *known;
	const struct policy *policy;
	mono_t now;
	struct outlook outlook;
	struct step *step;    /* step->next is the machine to change */
	struct result result; /* of the action that was in flight, ACTION_NONE: none ended */
	enum reason ended;    /* of a start: what its end means */
};

void row_step(struct view *view);

/* Leaves the state for `to`: deadline, memory and action of the new state are set here and nowhere else. */
void row_enter(struct view *view, enum state to, enum reason reason);
void row_stay(struct view *view, enum reason reason);
/* Begins an action. At most one is in flight, kills aside. */
void row_act(struct view *view, enum action action);
/* The VM is being taken in by migration: it runs elsewhere, and is nobody's to end or to judge here yet. Not
 * when nobody has owned the lease for long: then the rule of a paused VM holds. */
bool row_arrives(const struct view *view);
/* The rule of a paused VM that is here; true: it decided the step. */
bool row_paused(struct view *view);
/* The step must come again by then. */
void row_wake(struct view *view, mono_t at);
/* Another host is better by the threshold. */
bool row_better_elsewhere(struct view *view);
/* Live migration, core/row_migrate.c. Moves the VM away: live where that is possible, else EngineStop. In
 * local maintenance to any host that can take it, else only to a better one. */
void row_move_away(struct view *view, enum reason reason);
void row_migrating_away(struct view *view);
/* Cancels a migration of ours that takes too long, that global maintenance ends, or whose call was lost while
 * libvirt goes on with it: each second, until it has ended. */
void row_cancel_migration(struct view *view);
/* The operator's ACTION_MIGRATE or ACTION_CANCEL; true: it decided the step. */
bool row_command_migration(struct view *view);
/* Remembers that the lease may be given up by a migration, and has somebody else's announced. */
void row_note_migration(struct view *view);
/* A migration is under way that is not ours, or one has failed and the QEMU here may go on without the lease
 * that it gave up: it is not known yet that it has taken it again, or is gone. */
bool row_unsettled(const struct view *view);
/* The target of our migration owns the lease by now. */
bool row_handed_over(const struct view *view);
/* Counts a failed try to bring the VM up here. */
void row_failed_try(struct view *view);
/* Takes in the end of a start, whatever the state: counts failed tries and refusals. Returns the reason. */
enum reason row_start_ended(struct view *view, enum outcome outcome);
/* What the health monitor says of the VM that is up here, HEALTH_UNKNOWN: nothing yet or it could not tell.
 */
enum health row_health(const struct view *view);
