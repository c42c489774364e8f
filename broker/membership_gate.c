/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides when this host joins the lockspace. It may not join while a storage daemon may hold writes of
 * before (safety rule 13), while a QEMU with the engine's uuid may live here (rule 4), or while the
 * whiteboard or the storage's parts speak against it (rule 8). It kills through the guard only, never itself.
 * Opened by membership.c. */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "broker/membership_parts.h"
#include "util/log.h"

#define DISK_MS 20000 /* sanlock reads the lockspace on disk */
#define GATE_RETRY_MS 1000
#define JOIN_RETRY_MS 5000
#define BOARD_POLL_MS 50
#define BOARD_PATIENCE_MS 3000
#define KILL_MS 5000

const char other_domain_text[] = "the whiteboard belongs to another domain: check metadata_path, sdUUID and "
				 "lockspace_name in hosted-engine.conf";
const char nameless_domain_text[] = "the whiteboard no longer says whose it is: it was cut short, emptied or "
				    "exchanged; bring it back as it was, or write its name anew";

static void gate_step(struct member *member);

static void gate_fired(struct timer *timer)
{
	gate_step(member_from_timer(timer, offsetof(struct member, gate_timer)));
}

void member_gate_later(struct member *member, int64_t ms)
{
	member->gate_timer.fire = gate_fired;
	member_set_timer(member, &member->gate_timer, ms);
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
		member_set_trouble(member, text);
	} else if (alive > 0) {
		member_set_trouble(member, "QEMU of the engine was killed and is not gone yet");
	}
	/* Whatever the guard says, the proof is made anew. */
	if (member->gate == GATE_KILL) {
		member->gate = GATE_PROVE;
		member_gate_later(member, error == 0 && alive == 0 ? 0 : GATE_RETRY_MS);
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
		member_gate_later(member, 0);
		return;
	}
	if (error == 0 && alive == 0) {
		member->gate = GATE_PROVE;
		member_gate_later(member, 0);
		return;
	}
	if (error < 0)
		snprintf(text, sizeof(text),
			 "the guard can't prove that no storage daemon holds late writes: %s; check "
			 "ovirt-ha-guard.service",
			 strerror(-error));
	else
		snprintf(text, sizeof(text), "the storage daemon was killed and is not gone yet");
	member_set_trouble(member, text);
	member_gate_later(member, GATE_RETRY_MS);
}

static void end_storage(struct member *member)
{
	int r;

	member->ending = true;
	member->end_void = false;
	r = member->fence->end_storage(member->fence, mono_add(member_now(member), KILL_MS), storage_ended,
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
		member->join_begun = member_now(member);
		membership_look(member);
		return;
	}
	if (error == -EXDEV) {
		/* Rule 8: the names on disk are another domain's. */
		member->block = BLOCK_DOMAIN;
		member_set_trouble(
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
		member_set_trouble(member, text);
	}
	member->gate = GATE_PROVE;
	member_gate_later(member, JOIN_RETRY_MS);
	member->calls->observed(member->data);
}

/* Rule 8: lockspace, leases, whiteboard and disk are of one domain, or at least not known to be of two. */
static bool pass_parts(struct member *member)
{
	enum block_reason was = member->block;

	if (!member->parts->asked) {
		member_gate_later(member, BOARD_POLL_MS);
		return false;
	}
	if (member->parts->match != BACKING_OTHER)
		return true;
	member->block = BLOCK_DOMAIN;
	member_set_trouble(member, member->parts->text);
	member_gate_later(member, GATE_RETRY_MS);
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
			member_gate_later(member, BOARD_POLL_MS);
			return false;
		}
		if (member->owner.error == -EXDEV) {
			member->block = BLOCK_DOMAIN;
			member_set_trouble(member,
					   "the engine lease belongs to another domain: check lease_path, "
					   "lockspace_name and engine_lease_name in hosted-engine.conf");
			break;
		}
		member->block = BLOCK_NONE;
		return true;
	case BOARD_UNREAD:
		if (member->board_since == MONO_UNSET)
			member->board_since = member_now(member);
		if (mono_passed(member->board_since, BOARD_PATIENCE_MS, member_now(member)))
			member_set_trouble(member, "the whiteboard can't be read");
		member_gate_later(member, BOARD_POLL_MS);
		return false;
	case BOARD_WATCHED:
		member_set_trouble(
			member,
			"our block holds a record of another host name: watched whether that host lives");
		break;
	case BOARD_HALF:
		member_set_trouble(
			member, "our block holds half a record of this host: written over once it has stood "
				"still for as long as makes a record stale");
		break;
	case BOARD_TAKEN:
		member->block = BLOCK_ID_TAKEN;
		member_set_trouble(member,
				   "our host_id is used by another host: its record lives; check host_id in "
				   "hosted-engine.conf");
		break;
	case BOARD_NOT_OURS:
		member->block = BLOCK_ID_TAKEN;
		member_set_trouble(
			member,
			"our block holds something that is no record we know and is not overwritten: check "
			"metadata_path and host_id in hosted-engine.conf");
		break;
	case BOARD_OTHER_DOMAIN:
		member->block = BLOCK_DOMAIN;
		member_set_trouble(member, other_domain_text);
		break;
	case BOARD_NAMELESS:
		member->block = BLOCK_DOMAIN;
		member_set_trouble(member, nameless_domain_text);
		break;
	case BOARD_VERDICT_COUNT:
		assert(false);
	}
	member_gate_later(member, GATE_RETRY_MS);
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
	r = member->lease->join(member->lease, mono_add(member_now(member), DISK_MS), joined, member);
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
	r = member->fence->kill(member->fence, mono_add(member_now(member), KILL_MS), killed, member);
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
	member_take_qemu(member, error, pid, begun);
	if (member->membership != MEMBERSHIP_NONE)
		return;
	if (member->gate == GATE_STORAGE)
		member_gate_later(member,
				  0); /* opened anew meanwhile: it proves nothing in this membership */
	if (member->gate != GATE_PROVE && member->gate != GATE_BOARD)
		return;
	if (error < 0) {
		member->gate = GATE_PROVE;
		member_set_trouble(
			member,
			error == -ETIMEDOUT || error == -EBUSY
				? "can't prove that no QEMU of the engine lives here: reading /proc hangs "
				  "at a process in state D"
				: "can't prove that no QEMU of the engine lives here: /proc is not "
				  "readable");
		member_gate_later(member, GATE_RETRY_MS);
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
	mono_t now = member_now(member);
	int r;

	member->proving = true;
	r = member->qemu->prove(member->qemu, mono_add(now, MEMBER_FIND_MS), proven, member);
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
