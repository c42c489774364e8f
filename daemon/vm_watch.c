/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides what the VM here is and how it ended. It may not do anything about it: the machine does. Called by
 * the agent on each of libvirt's answers and before each step. */
#include "daemon/vm_watch.h"

#include <assert.h>
#include <string.h>

static bool view_lives(const struct domain_view *view)
{
	return view->state == DOMAIN_RUNNING || view->state == DOMAIN_PAUSED ||
	       view->state == DOMAIN_SHUTTING_DOWN;
}

/* Since when libvirt lists none, however often it is asked. */
static void note_listed(struct vm_watch *watch, mono_t now)
{
	if (view_lives(&watch->view))
		watch->none_since = MONO_UNSET;
	else if (watch->none_since == MONO_UNSET)
		watch->none_since = now;
}

/* Both sides of a migration are paused with the same word: the target's QEMU has not run here. */
static void note_migration(struct vm_watch *watch)
{
	if (!view_lives(&watch->view)) {
		watch->ran = false;
		return;
	}
	if (watch->view.state != DOMAIN_PAUSED)
		watch->ran = true;
	watch->taken_in = !watch->ran && watch->view.pause == PAUSE_MIGRATION;
}

void vm_watch_init(struct vm_watch *watch, int64_t shutdown_ms)
{
	memset(watch, 0, sizeof(*watch));
	watch->shutdown_ms = shutdown_ms;
	watch->asked_at = MONO_UNSET;
	watch->view.begun = MONO_UNSET;
	watch->running_since = MONO_UNSET;
	watch->none_since = watch->unlisted_since = watch->qemu_gone = MONO_UNSET;
	watch->settled_at = watch->silent_since = MONO_UNSET;
}

void vm_watch_view(struct vm_watch *watch, const struct domain_view *view, mono_t now)
{
	bool runs = view->state == DOMAIN_RUNNING || view->state == DOMAIN_SHUTTING_DOWN;

	if (view->state == DOMAIN_UNKNOWN) {
		/* Says nothing: neither that it runs on nor that it ended. */
		if (watch->silent_since == MONO_UNSET)
			watch->silent_since = now;
		return;
	}
	watch->silent_since = MONO_UNSET;
	/* Asked before what we did had ended: it may be of the time before. */
	if (watch->settled_at != MONO_UNSET && view->begun < watch->settled_at) {
		watch->view.end = view->end;
		watch->view.ends = view->ends;
		return;
	}
	watch->view = *view;
	note_listed(watch, now);
	note_migration(watch);
	if (runs && watch->running_since == MONO_UNSET)
		watch->running_since = now;
	if (!runs)
		watch->running_since = MONO_UNSET;
	else
		watch->created = false;
	if (!view_lives(view))
		return;
	/* The guest may ignore a shutdown: its crash an hour later is not what was asked for. */
	if (mono_passed(watch->asked_at, watch->shutdown_ms, now)) {
		watch->asked_at = MONO_UNSET;
		watch->end_wanted = false;
	}
	/* A paused domain of a start in flight has not been up: its end is the start's failure, told as a
	 * result. */
	if (watch->starting != ACTION_NONE && view->state == DOMAIN_PAUSED) {
		watch->created = true;
		return;
	}
	watch->was_up = true;
	watch->left = watch->left && !runs;
	watch->ends_then = view->ends;
}

void vm_watch_began(struct vm_watch *watch, enum action action)
{
	switch (action) {
	case ACTION_START:
	case ACTION_START_PAUSED:
		vm_watch_settle(watch);
		watch->left = false;
		watch->starting = action;
		break;
	case ACTION_SHUTDOWN:
	case ACTION_DESTROY:
	case ACTION_KILL:
		watch->end_wanted = true;
		watch->ending = action;
		watch->asked_at = MONO_UNSET;
		break;
	case ACTION_MIGRATE:
		watch->migrating = true;
		break;
	default:
		break;
	}
}

/* What an action's end proves stands until libvirt is asked after it. */
static void prove(struct vm_watch *watch, enum domain_state state, mono_t now)
{
	if (watch->view.state == DOMAIN_UNKNOWN)
		return;
	watch->view.state = state;
	watch->view.pause = state == DOMAIN_PAUSED ? PAUSE_OTHER : PAUSE_NONE;
	watch->view.leaving = false;
	watch->view.begun = now;
	watch->settled_at = now;
	note_listed(watch, now);
	note_migration(watch);
	if (state != DOMAIN_RUNNING)
		watch->running_since = MONO_UNSET;
	else if (watch->running_since == MONO_UNSET)
		watch->running_since = now;
}

void vm_watch_ended(struct vm_watch *watch, enum action action, enum outcome outcome, mono_t now)
{
	switch (action) {
	case ACTION_START:
	case ACTION_START_PAUSED:
		watch->starting = ACTION_NONE;
		watch->created = false;
		if (outcome == OUTCOME_OK) {
			watch->was_up = true;
			watch->ends_then = watch->view.ends;
			watch->created = action == ACTION_START_PAUSED;
			prove(watch, action == ACTION_START ? DOMAIN_RUNNING : DOMAIN_PAUSED, now);
		} else if (watch->view.state == DOMAIN_PAUSED) {
			prove(watch, DOMAIN_NONE, now); /* the port has destroyed it */
		} else if (watch->none_since != MONO_UNSET) {
			watch->none_since = now; /* QEMU may have been seen though libvirt was not asked */
		}
		break;
	case ACTION_SHUTDOWN:
		/* A destroy or kill begun since then goes on. */
		if (watch->ending != ACTION_SHUTDOWN)
			break;
		watch->asked_at = now;
		if (outcome != OUTCOME_OK)
			watch->end_wanted = false;
		break;
	case ACTION_DESTROY:
	case ACTION_KILL:
		watch->asked_at = now;
		if (outcome == OUTCOME_OK && view_lives(&watch->view))
			prove(watch, DOMAIN_NONE, now);
		break;
	case ACTION_MIGRATE:
		/* libvirt says so when the target runs it; what is left of it here ends, or is still seen. */
		watch->migrating = false;
		watch->left = outcome == OUTCOME_OK;
		watch->settled_at = now;
		break;
	default:
		break;
	}
}

static bool has_migrated(const struct vm_watch *watch)
{
	return watch->view.ends != watch->ends_then && watch->view.end == END_MIGRATED;
}

void vm_watch_settle(struct vm_watch *watch)
{
	watch->end_wanted = false;
	if (view_lives(&watch->view))
		return;
	if (watch->was_up && has_migrated(watch))
		watch->left = true;
	watch->was_up = watch->taken_in = false;
	watch->created = false;
	watch->ends_then = watch->view.ends;
}

static void living_facts(const struct vm_watch *watch, struct vm_facts *ret)
{
	ret->vm = VM_UP;
	ret->running_since = watch->running_since;
	ret->leaving = watch->view.leaving;
	switch (watch->view.state) {
	case DOMAIN_PAUSED:
		ret->detail = watch->view.pause != PAUSE_MIGRATION ? DETAIL_PAUSED
			      : watch->taken_in			   ? DETAIL_MIGRATION_DESTINATION
								   : DETAIL_MIGRATION_SOURCE;
		ret->pause = watch->view.pause == PAUSE_OTHER && watch->created ? PAUSE_STARTING
										: watch->view.pause;
		ret->reason = ENGINE_REASON_BAD_VM_STATUS;
		break;
	case DOMAIN_SHUTTING_DOWN:
		ret->detail = DETAIL_POWERING_DOWN;
		break;
	default:
		ret->detail = watch->end_wanted ? DETAIL_POWERING_DOWN : DETAIL_UP;
		break;
	}
}

/* libvirt may need so long to tell how it ended; not longer: asked at `begun`, what it says stands, as if
 * /proc had not been read. */
static bool event_due(const struct vm_watch *watch, mono_t begun)
{
	return watch->qemu_gone != MONO_UNSET && !mono_passed(watch->qemu_gone, VM_WATCH_ENDING_MS, begun);
}

static void ended_facts(const struct vm_watch *watch, mono_t now, struct vm_facts *ret)
{
	bool told = watch->view.ends != watch->ends_then;

	ret->detail = DETAIL_DOWN;
	ret->reason = ENGINE_REASON_NOT_HERE;
	ret->vm = VM_DOWN;
	if (!watch->was_up && !watch->left)
		return;
	/* Gone by migration is never unexpected, whoever migrated it. */
	if (watch->left || has_migrated(watch)) {
		ret->reason = ENGINE_REASON_MIGRATED;
		return;
	}
	/* Nor is the end of one that could not be taken in: the VM runs on where it came from, if it can. */
	if (watch->end_wanted || watch->taken_in)
		return;
	if (!told) {
		ret->vm = VM_DOWN_MISSING;
		/* An answer may overtake the event. */
		if (event_due(watch, now))
			ret->detail = DETAIL_POWERING_DOWN;
	} else if (watch->view.end == END_INSIDE || watch->view.end == END_CRASHED)
		ret->vm = VM_DOWN_UNEXPECTED;
}

/* "None" counts only after "one": a /proc that shows none of a VM that runs is no news of its end. */
static void note_qemu(struct vm_watch *watch, int32_t pid, mono_t begun)
{
	if (pid > 0) {
		watch->qemu_seen = true;
		watch->qemu_gone = MONO_UNSET;
	} else if (pid == 0 && watch->qemu_seen) {
		watch->qemu_seen = false;
		watch->qemu_gone = begun;
	}
}

/* Its QEMU has ended, and libvirt is still to say so. Only of one that ran before and is not begun, ended or
 * migrated: there libvirt's word, or the action's end, tells what it was, and nobody waits for it.
 *
 * Not by the time of now: a libvirtd that hangs as QEMU ends has said that it runs before that, and would
 * bring an "up" back of which nothing is known, until it counts as silent. That silence is the end of it, or
 * a look that was begun late enough. However long it is, it begins nothing: the VM counts as neither up nor
 * down, this host starts none (core/machine.c), and the others go by the lease, which sanlock gives up when
 * the process ends, and not by our word. */
static bool ending(const struct vm_watch *watch)
{
	return watch->starting == ACTION_NONE && !watch->end_wanted && !watch->migrating &&
	       !watch->view.leaving && !watch->left && watch->running_since != MONO_UNSET &&
	       watch->qemu_gone > watch->running_since && event_due(watch, watch->view.begun);
}

void vm_watch_facts(struct vm_watch *watch, int32_t qemu_pid, mono_t pid_begun, mono_t now,
		    struct vm_facts *ret)
{
	bool listed = view_lives(&watch->view);

	memset(ret, 0, sizeof(*ret));
	ret->running_since = MONO_UNSET;
	ret->seen_at = watch->view.begun;
	note_qemu(watch, qemu_pid, pid_begun);
	/* Our start in flight is `down` until its guest runs: it may wait for the lease for as long as a dead
	 * owner's dead time, and other hosts must not take it for the engine. libvirt may be silent
	 * meanwhile: it waits with it. */
	if (watch->starting != ACTION_NONE && watch->view.state != DOMAIN_RUNNING) {
		ret->vm = VM_DOWN;
		ret->detail = DETAIL_WAIT_FOR_LAUNCH;
		ret->reason = listed ? ENGINE_REASON_STORAGE_LOCKED : ENGINE_REASON_NOT_HERE;
		watch->unlisted_since = MONO_UNSET;
		return;
	}
	if (watch->view.state == DOMAIN_UNKNOWN ||
	    mono_passed(watch->silent_since, VM_WATCH_SILENCE_MS, now)) {
		ret->vm = VM_UNKNOWN;
		ret->detail = DETAIL_UNKNOWN;
		ret->reason = ENGINE_REASON_NO_STATS;
		return;
	}
	if (ending(watch)) {
		/* Not `down`: a start here waits until libvirt has let go of it. */
		ret->vm = VM_DOWN_MISSING;
		ret->detail = DETAIL_POWERING_DOWN;
		ret->reason = ENGINE_REASON_NOT_HERE;
		watch->unlisted_since = MONO_UNSET;
		return;
	}
	if (listed) {
		living_facts(watch, ret);
		watch->unlisted_since = MONO_UNSET;
		return;
	}
	/* libvirt lost it (a restart that could not adopt it): it runs all the same, and writes. Counted from
	 * when libvirt ceased to list it, not from its last answer: it is asked each second, so that one is
	 * always younger, and QEMU would count as `down` and a second one be started (safety rule 3). */
	if (qemu_pid > 0 && mono_passed(watch->none_since, VM_WATCH_LINGER_MS, pid_begun)) {
		if (watch->unlisted_since == MONO_UNSET)
			watch->unlisted_since = now;
		ret->vm = VM_UP;
		ret->detail = DETAIL_UNKNOWN;
		ret->reason = ENGINE_REASON_NO_STATS;
		ret->running_since = watch->unlisted_since;
		return;
	}
	watch->unlisted_since = MONO_UNSET;
	ended_facts(watch, now, ret);
}
