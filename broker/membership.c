/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides when this host joins, joins again and leaves the lockspace. It may not join while a QEMU with the
 * engine's uuid may live here (safety rule 4), while a storage daemon may hold writes of before (rule 13) or
 * while the whiteboard speaks against it (rule 8), and may not leave while one lives (rule 7). It kills
 * through the guard only, never itself. Called by broker.c. */
#include "broker/membership.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "util/log.h"

#define CLOSE_LOOK_MS 1000
#define ANSWER_MS 5000 /* sanlock's memory answers in ms; 5 s is a daemon in trouble */
#define DISK_MS 20000  /* calls that read the lease on disk */
#define GATE_RETRY_MS 1000
#define JOIN_RETRY_MS 5000
#define BOARD_POLL_MS 50
#define BOARD_PATIENCE_MS 3000
#define KILL_MS 5000
#define STOP_MS 1500
/* /proc is read in ms; longer is a process in state D that keeps its reader waiting. */
#define FIND_MS 1000
#define STOP_PROVE_MS 500
#define LEAVE_RETRY_MS 100

const char other_domain_text[] = "the whiteboard belongs to another domain: check metadata_path, sdUUID and "
				 "lockspace_name in hosted-engine.conf";
const char nameless_domain_text[] = "the whiteboard no longer says whose it is: it was cut short, emptied or "
				    "exchanged; bring it back as it was, or write its name anew";

static mono_t now_of(struct member *member)
{
	return member->clock->now(member->clock);
}

static void set_timer(struct member *member, struct timer *timer, int64_t ms)
{
	member->clock->set(member->clock, timer, mono_add(now_of(member), ms));
}

static struct member *from_timer(struct timer *timer, size_t offset)
{
	return (struct member *)((char *)timer - offset);
}

/* Says once per change what stands in the way. */
static void set_trouble(struct member *member, const char *text)
{
	if (member->trouble_since == MONO_UNSET)
		member->trouble_since = now_of(member);
	if (strcmp(member->trouble, text) == 0)
		return;
	snprintf(member->trouble, sizeof(member->trouble), "%s", text);
	log_warning("lockspace not joined, tried again: %s", text);
}

static void clear_trouble(struct member *member)
{
	member->trouble[0] = '\0';
	member->trouble_since = MONO_UNSET;
}

static void take_qemu(struct member *member, int error, int32_t pid, mono_t begun)
{
	member->qemu_pid = error < 0 ? -1 : pid;
	member->find_begun = begun;
}

static void gate_step(struct member *member);

static void gate_later(struct member *member, int64_t ms)
{
	set_timer(member, &member->gate_timer, ms);
}

static void gate_fired(struct timer *timer)
{
	gate_step(from_timer(timer, offsetof(struct member, gate_timer)));
}

static void killed(void *data, int error, int alive)
{
	struct member *member = data;

	member->killing = false;
	if (error < 0) {
		char text[128];

		snprintf(text, sizeof(text),
			 "QEMU of the engine lives here without its lease and the guard can't kill it: %s",
			 strerror(-error));
		set_trouble(member, text);
	} else if (alive > 0) {
		set_trouble(member, "QEMU of the engine was killed and is not gone yet");
	}
	/* Whatever the guard says, the proof is made anew. */
	if (member->gate == GATE_KILL) {
		member->gate = GATE_PROVE;
		gate_later(member, error == 0 && alive == 0 ? 0 : GATE_RETRY_MS);
	}
}

/* Safety rule 13: a storage daemon of this host that lived when the lease was lost may hold writes of that
 * time, the VM's too, and would land them when its server answers again: in the midst of what another VM
 * writes, or over this host's next life in the lockspace. So it is ended each time the gate opens: after
 * every loss, after every join that came to nothing, and when a broker that knows nothing of what was before
 * finds the lockspace not joined. Nothing in use is hurt by it: without the lockspace there is no lease here.
 * It is the first step, since a QEMU in state D that waits for the daemon can die only after it. */
static void storage_ended(void *data, int error, int alive)
{
	struct member *member = data;
	char text[160];

	member->ending = false;
	if (member->gate != GATE_STORAGE || member->stopping)
		return;
	if (member->end_void) {
		gate_later(member, 0);
		return;
	}
	if (error == 0 && alive == 0) {
		member->gate = GATE_PROVE;
		gate_later(member, 0);
		return;
	}
	if (error < 0)
		snprintf(text, sizeof(text),
			 "the guard can't prove that no storage daemon holds late writes: %s; check "
			 "ovirt-ha-guard.service",
			 strerror(-error));
	else
		snprintf(text, sizeof(text), "the storage daemon was killed and is not gone yet");
	set_trouble(member, text);
	gate_later(member, GATE_RETRY_MS);
}

static void end_storage(struct member *member)
{
	int r;

	member->ending = true;
	member->end_void = false;
	r = member->fence->end_storage(member->fence, mono_add(now_of(member), KILL_MS), storage_ended,
				       member);
	if (r < 0)
		storage_ended(member, r, -1);
}

static void joined(void *data, int error)
{
	struct member *member = data;

	member->joining = false;
	if (member->gate != GATE_JOIN)
		return;
	if (error == 0 || error == -EEXIST) {
		/* Begun; the looks tell how it went. */
		member->gate = GATE_CLOSED;
		member->join_begun = now_of(member);
		membership_look(member);
		return;
	}
	if (error == -EXDEV) {
		/* Rule 8: the names on disk are another domain's. */
		member->block = BLOCK_DOMAIN;
		set_trouble(
			member,
			"lockspace or engine lease on disk belong to another domain: check lockspace_path, "
			"lease_path and lockspace_name in hosted-engine.conf");
	} else {
		char text[sizeof(member->trouble)];

		/* EAGAIN: it still leaves the lockspace that the forerunner was in. */
		snprintf(text, sizeof(text), "sanlock refused the join: %s %s%s", strerror(-error),
			 member->places->lockspace,
			 error == -EAGAIN ? ""
					  : "; check that it is a lockspace and that sanlock may write it");
		set_trouble(member, text);
	}
	member->gate = GATE_PROVE;
	gate_later(member, JOIN_RETRY_MS);
	member->calls->observed(member->data);
}

/* Rule 8: lockspace, leases, whiteboard and disk are of one domain, or at least not known to be of two. */
static bool pass_parts(struct member *member)
{
	enum block_reason was = member->block;

	if (!member->parts->asked) {
		gate_later(member, BOARD_POLL_MS);
		return false;
	}
	if (member->parts->match != BACKING_OTHER)
		return true;
	member->block = BLOCK_DOMAIN;
	set_trouble(member, member->parts->text);
	gate_later(member, GATE_RETRY_MS);
	if (was != member->block)
		member->calls->observed(member->data);
	return false;
}

/* True when the whiteboard lets us in. */
static bool pass_board(struct member *member)
{
	enum block_reason was = member->block;
	enum board_verdict verdict = member->calls->verdict(member->data);

	if (verdict != BOARD_UNREAD)
		member->board_since = MONO_UNSET;
	switch (verdict) {
	case BOARD_CLEAR:
		/* The engine lease must be of our domain too; it has not been asked for before the first
		 * look. */
		if (member->owner.begun == MONO_UNSET) {
			gate_later(member, BOARD_POLL_MS);
			return false;
		}
		if (member->owner.error == -EXDEV) {
			member->block = BLOCK_DOMAIN;
			set_trouble(member, "the engine lease belongs to another domain: check lease_path, "
					    "lockspace_name and engine_lease_name in hosted-engine.conf");
			break;
		}
		member->block = BLOCK_NONE;
		return true;
	case BOARD_UNREAD:
		if (member->board_since == MONO_UNSET)
			member->board_since = now_of(member);
		if (mono_passed(member->board_since, BOARD_PATIENCE_MS, now_of(member)))
			set_trouble(member, "the whiteboard can't be read");
		gate_later(member, BOARD_POLL_MS);
		return false;
	case BOARD_WATCHED:
		set_trouble(member,
			    "our block holds a record of another host name: watched whether that host lives");
		break;
	case BOARD_HALF:
		set_trouble(member,
			    "our block holds half a record of this host: written over once it has stood "
			    "still for as long as makes a record stale");
		break;
	case BOARD_TAKEN:
		member->block = BLOCK_ID_TAKEN;
		set_trouble(member, "our host_id is used by another host: its record lives; check host_id in "
				    "hosted-engine.conf");
		break;
	case BOARD_NOT_OURS:
		member->block = BLOCK_ID_TAKEN;
		set_trouble(
			member,
			"our block holds something that is no record we know and is not overwritten: check "
			"metadata_path and host_id in hosted-engine.conf");
		break;
	case BOARD_OTHER_DOMAIN:
		member->block = BLOCK_DOMAIN;
		set_trouble(member, other_domain_text);
		break;
	case BOARD_NAMELESS:
		member->block = BLOCK_DOMAIN;
		set_trouble(member, nameless_domain_text);
		break;
	case BOARD_VERDICT_COUNT:
		assert(false);
	}
	gate_later(member, GATE_RETRY_MS);
	if (was != member->block)
		member->calls->observed(member->data);
	return false;
}

static void join(struct member *member)
{
	int r;

	member->gate = GATE_JOIN;
	member->joining = true;
	if (!member->trouble[0])
		log_info("lockspace join host_id=%u", member->host_id);
	r = member->lease->join(member->lease, mono_add(now_of(member), DISK_MS), joined, member);
	if (r < 0)
		joined(member, r);
}

static void kill_qemu(struct member *member)
{
	int r;

	log_warning("QEMU of the engine lives while the host id is not joined, killed before the join pid=%d",
		    member->qemu_pid);
	member->gate = GATE_KILL;
	member->killing = true;
	r = member->fence->kill(member->fence, mono_add(now_of(member), KILL_MS), killed, member);
	if (r < 0)
		killed(member, r, -1);
}

/* Safety rule 4: joining under the same name frees the old lease at once, so a QEMU that still runs would be
 * one of two. Only a whole reading of /proc that was begun after the question, in this membership, and ended
 * in time proves that none lives: proofs fail closed. */
static void proven(void *data, int error, int32_t pid, mono_t begun)
{
	struct member *member = data;

	member->proving = false;
	if (member->stopping)
		return;
	take_qemu(member, error, pid, begun);
	if (member->membership != MEMBERSHIP_NONE)
		return;
	if (member->gate == GATE_STORAGE)
		gate_later(member, 0); /* opened anew meanwhile: it proves nothing in this membership */
	if (member->gate != GATE_PROVE && member->gate != GATE_BOARD)
		return;
	if (error < 0) {
		member->gate = GATE_PROVE;
		set_trouble(
			member,
			error == -ETIMEDOUT || error == -EBUSY
				? "can't prove that no QEMU of the engine lives here: reading /proc hangs "
				  "at a process in state D"
				: "can't prove that no QEMU of the engine lives here: /proc is not "
				  "readable");
		gate_later(member, GATE_RETRY_MS);
	} else if (pid > 0) {
		kill_qemu(member);
	} else {
		member->gate = GATE_BOARD;
		/* It is of this moment, so with a board that is clear now the way is free. */
		if (pass_parts(member) && pass_board(member))
			join(member);
	}
}

static void prove_no_qemu(struct member *member)
{
	mono_t now = now_of(member);
	int r;

	member->proving = true;
	r = member->qemu->prove(member->qemu, mono_add(now, FIND_MS), proven, member);
	if (r < 0)
		proven(member, r, 0, now);
}

static void gate_step(struct member *member)
{
	if (member->stopping || member->membership != MEMBERSHIP_NONE || member->joining || member->killing ||
	    member->ending || member->proving)
		return;
	switch (member->gate) {
	case GATE_STORAGE:
		end_storage(member);
		return;
	case GATE_PROVE:
		prove_no_qemu(member);
		return;
	case GATE_BOARD:
		/* The watch of the board may take a minute: rule 4 is proven at the moment of the join. */
		if (pass_parts(member) && pass_board(member))
			prove_no_qemu(member);
		return;
	case GATE_CLOSED:
	case GATE_KILL:
	case GATE_JOIN:
	case GATE_COUNT:
		return;
	}
}

static void watchdog_answered(void *data, enum watchdog watchdog)
{
	struct member *member = data;

	member->asking_watchdog = false;
	if (member->watchdog != watchdog)
		log_info("sanlock watchdog %s", watchdog == WATCHDOG_HARD   ? "hardware"
						: watchdog == WATCHDOG_SOFT ? "softdog, weak"
						: watchdog == WATCHDOG_NONE ? "none"
									    : "unknown");
	member->watchdog = watchdog;
	member->calls->observed(member->data);
}

static void ask_watchdog(struct member *member)
{
	if (member->asking_watchdog || member->watchdog != WATCHDOG_UNKNOWN)
		return;
	member->asking_watchdog = true;
	if (member->lease->watchdog(member->lease, mono_add(now_of(member), ANSWER_MS), watchdog_answered,
				    member) < 0)
		member->asking_watchdog = false;
}

static void owner_read(void *data, const struct lease_owner *owner)
{
	struct member *member = data;

	member->reading = false;
	if (owner->error == -EXDEV && member->membership != MEMBERSHIP_JOINED)
		member->block = BLOCK_DOMAIN;
	if (owner->error < 0 && owner->error != member->owner.error)
		log_warning("engine lease can't be read, its owner is unknown and no VM is started: %s %s",
			    strerror(-owner->error), member->places->lease);
	else if (owner->error == 0 && member->owner.error < 0)
		log_info("engine lease is read again");
	if (owner->error < 0) {
		/* Unknown, never nobody; the ids of the last good read stay for people. */
		member->owner.kind = OWNER_UNREAD;
		member->owner.error = owner->error;
		member->owner.begun = owner->begun;
	} else {
		member->owner = *owner;
	}
	member->calls->observed(member->data);
}

static void read_owner(struct member *member)
{
	if (member->reading || member->lease_error < 0)
		return;
	member->reading = true;
	if (member->lease->read_owner(member->lease, mono_add(now_of(member), DISK_MS), owner_read, member) <
	    0)
		member->reading = false;
}

static void membership_change(struct member *member, enum membership membership)
{
	enum membership was = member->membership;

	member->membership = membership;
	if (membership != MEMBERSHIP_NONE)
		member->end_void = true;
	if (was != membership)
		log_info("lockspace %s -> %s host_id=%u generation=%llu", membership_str(was),
			 membership_str(membership), member->host_id, (unsigned long long)member->generation);
	switch (membership) {
	case MEMBERSHIP_JOINED:
		member->gate = GATE_CLOSED;
		clear_trouble(member);
		if (was != MEMBERSHIP_JOINED && member->block == BLOCK_DOMAIN)
			member->block = BLOCK_NONE;
		ask_watchdog(member);
		break;
	case MEMBERSHIP_JOINING:
		/* Known again only after it answered in this membership. */
		member->hosts_known = false;
		break;
	case MEMBERSHIP_NONE:
		member->hosts_known = false;
		/* The daemon may be another one than before. */
		member->watchdog = WATCHDOG_UNKNOWN;
		/* A lost lockspace is gone from the daemon and must be added again, through the whole gate.
		 */
		if (member->stopping)
			break;
		if (was != MEMBERSHIP_NONE || member->gate == GATE_CLOSED)
			member->gate = GATE_STORAGE;
		/* An end of a join or a kill that was begun in an earlier membership sets no timer. */
		if (!member->joining && !member->killing && !member->ending && !member->proving &&
		    !member->gate_timer.set)
			gate_later(member, 0);
		break;
	case MEMBERSHIP_UNKNOWN:
		member->hosts_known = false;
		/* The next daemon may have been started with or without one. */
		member->watchdog = WATCHDOG_UNKNOWN;
		if (member->gate != GATE_KILL)
			member->gate = GATE_CLOSED;
		set_trouble(member,
			    member->lease_error == -EXDEV
				    ? "the lockspace is joined here under another host id, or from another "
				      "path than configured: check host_id and lockspace_path in "
				      "hosted-engine.conf; if they are right, reboot this host"
				    : "sanlock does not answer; check sanlock.service");
		break;
	case MEMBERSHIP_COUNT:
		assert(false);
	}
}

/* Joined, and sanlock has seen every host it lists renew: until then each second brings news that a start
 * waits for. */
static bool settled(const struct member *member, const struct lease_look *look)
{
	if (member->membership != MEMBERSHIP_JOINED || !member->hosts_known || member->generation == 0)
		return false;
	for (size_t i = 0; i < look->n_hosts; i++)
		if (look->hosts[i].state == HOST_UNKNOWN)
			return false;
	return true;
}

/* The one the host id was joined with: the file may have been changed since. */
static uint32_t io_timeout_used(const struct member *member, const struct lease_look *look)
{
	if (look->error == 0 && look->membership == MEMBERSHIP_JOINED)
		for (size_t i = 0; i < look->n_hosts; i++)
			if (look->hosts[i].id == member->host_id)
				return look->hosts[i].io_timeout_s;
	return 0;
}

static void looked(void *data, const struct lease_look *look)
{
	struct member *member = data;

	member->looking = false;
	member->lease_error = look->error;
	member->io_timeout_s = io_timeout_used(member, look);
	if (look->error < 0) {
		member->held = HELD_UNKNOWN;
		membership_change(member, MEMBERSHIP_UNKNOWN);
	} else {
		if (look->generation != 0 || look->membership != MEMBERSHIP_JOINED)
			member->generation = look->generation;
		/* Asked before the join and answered after it, it tells of no loss: the gate would open
		 * again, and end the storage daemon below the join. */
		if (look->membership != MEMBERSHIP_NONE || look->begun >= member->join_begun)
			membership_change(member, look->membership);
		member->hosts_known = look->hosts_known && look->membership == MEMBERSHIP_JOINED;
		/* An answer about another pid than the one that lives now says nothing. */
		member->held = look->pid == member->qemu_pid && look->pid > 0 ? look->held : HELD_UNKNOWN;
	}
	/* Of both questions the earlier. */
	member->held_begun = member->find_begun < look->begun ? member->find_begun : look->begun;
	member->calls->looked(member->data, look);
	read_owner(member);
	member->settled = settled(member, look);
	if (!member->settled && !member->stopping)
		set_timer(member, &member->look_timer, CLOSE_LOOK_MS);
	member->calls->observed(member->data);
}

/* sanlock is asked about the QEMU that lives now, or about none when that is not known. Nor about one that
 * may be taking its lease: the question would make that fail (lockspace/sanlock_port.c). Nothing is lost by
 * it: rule 3 judges what is held of a VM that runs alone, by a question younger than its run, and rule 11
 * goes by the owner on disk; unknown kills nobody. */
static void found(void *data, int error, int32_t pid, mono_t begun)
{
	struct member *member = data;
	pid_t asked;

	take_qemu(member, error, pid, begun);
	asked = member->qemu_pid > 0 && !member->spare_qemu ? member->qemu_pid : 0;
	if (member->stopping) {
		member->looking = false;
	} else if (member->lease->look(member->lease, asked, mono_add(now_of(member), ANSWER_MS), looked,
				       member) < 0) {
		/* sanlock hangs in too many questions. What /proc shows is known all the same: who waits for
		 * QEMU's end sees it. */
		member->looking = false;
		member->held = HELD_UNKNOWN;
		member->held_begun = begun;
		member->calls->observed(member->data);
	}
}

void membership_look(struct member *member)
{
	bool often = member->closely || !member->settled;
	mono_t now = now_of(member);
	int r;

	if (member->stopping)
		return;
	set_timer(member, &member->look_timer,
		  often && CLOSE_LOOK_MS < member->loop_ms ? CLOSE_LOOK_MS : member->loop_ms);
	if (member->looking)
		return;
	member->looking = true;
	r = member->qemu->find(member->qemu, mono_add(now, FIND_MS), found, member);
	if (r < 0)
		found(member, r, 0, now);
}

static void look_fired(struct timer *timer)
{
	membership_look(from_timer(timer, offsetof(struct member, look_timer)));
}

void membership_watch_closely(struct member *member, bool closely)
{
	if (member->closely == closely)
		return;
	member->closely = closely;
	if (closely)
		membership_look(member);
}

void membership_spare_qemu(struct member *member, bool spare)
{
	member->spare_qemu = spare;
}

static void stop_ended(struct member *member)
{
	if (member->left)
		return;
	member->left = true;
	member->clock->cancel(member->clock, &member->leave_timer);
	member->clock->cancel(member->clock, &member->stop_timer);
	member->stopped(member->data);
}

static void stop_fired(struct timer *timer)
{
	struct member *member = from_timer(timer, offsetof(struct member, stop_timer));

	if (member->leave_held)
		log_info("lockspace kept: a lease in it is held");
	stop_ended(member);
}

static void prove_and_leave(struct member *member);

static void leave_fired(struct timer *timer)
{
	prove_and_leave(from_timer(timer, offsetof(struct member, leave_timer)));
}

static void leave_ended(void *data, int error)
{
	struct member *member = data;

	/* sanlock takes a lease back some time after its holder's end: a write on the storage. */
	member->leave_held = error == -EBUSY;
	if (member->leave_held && !member->left) {
		member->leave_timer.fire = leave_fired;
		set_timer(member, &member->leave_timer, LEAVE_RETRY_MS);
		return;
	}
	if (error < 0 && error != -ETIMEDOUT)
		log_info("lockspace kept: %s", strerror(-error));
	stop_ended(member);
}

/* Safety rule 7: leaving is for a host without QEMU; what is not proven counts as one. */
static void stop_proven(void *data, int error, int32_t pid, mono_t begun)
{
	struct member *member = data;

	if (member->left)
		return;
	take_qemu(member, error, pid, begun);
	if (member->qemu_pid != 0) {
		log_info("lockspace kept: %s", error < 0 ? "it is not proven that no QEMU of the engine lives"
							 : "QEMU of the engine lives here");
		stop_ended(member);
		return;
	}
	if (member->lease->leave(member->lease, member->stop_by, leave_ended, member) < 0)
		stop_ended(member);
}

/* Before each try: the agent may have begun one since the last. */
static void prove_and_leave(struct member *member)
{
	mono_t now = now_of(member);
	int r = member->qemu->prove(member->qemu, mono_add(now, STOP_PROVE_MS), stop_proven, member);

	if (r < 0)
		stop_proven(member, r, 0, now);
}

void membership_stop(struct member *member, void (*stopped)(void *data))
{
	if (member->stopping)
		return;
	member->stopping = true;
	member->stopped = stopped;
	member->stop_timer.fire = stop_fired;
	member->stop_by = mono_add(now_of(member), STOP_MS);
	member->clock->cancel(member->clock, &member->look_timer);
	member->clock->cancel(member->clock, &member->gate_timer);
	member->clock->set(member->clock, &member->stop_timer, member->stop_by);
	if (member->membership != MEMBERSHIP_JOINED && member->membership != MEMBERSHIP_JOINING) {
		stop_ended(member);
		return;
	}
	prove_and_leave(member);
}

void membership_start(struct member *member)
{
	assert(member->clock && member->lease && member->fence && member->qemu && member->calls);
	assert(member->parts);
	assert(member->host_id >= 1 && member->host_id <= HOST_ID_MAX && member->loop_ms > 0);
	member->look_timer.fire = look_fired;
	member->gate_timer.fire = gate_fired;
	member->membership = MEMBERSHIP_UNKNOWN;
	member->owner.kind = OWNER_UNREAD;
	member->owner.begun = member->held_begun = member->find_begun = MONO_UNSET;
	member->qemu_pid = -1;
	member->trouble_since = member->board_since = member->join_begun = MONO_UNSET;
	membership_look(member);
}

void membership_done(struct member *member)
{
	member->clock->cancel(member->clock, &member->look_timer);
	member->clock->cancel(member->clock, &member->gate_timer);
	member->clock->cancel(member->clock, &member->stop_timer);
	member->clock->cancel(member->clock, &member->leave_timer);
}
