/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keeps the facts about the lockspace, its hosts, the owner of the engine's lease and the QEMU here, and says
 * to membership_gate.c when this host is not in it. It asks, and neither joins, leaves nor kills. Called by
 * broker.c. */
#include "broker/membership_parts.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "util/log.h"

#define CLOSE_LOOK_MS 1000
#define ANSWER_MS 5000 /* sanlock's memory answers in ms; 5 s is a daemon in trouble */
#define DISK_MS 20000  /* it reads the lease on disk */

mono_t member_now(struct member *member)
{
	return member->clock->now(member->clock);
}

void member_set_timer(struct member *member, struct timer *timer, int64_t ms)
{
	member->clock->set(member->clock, timer, mono_add(member_now(member), ms));
}

struct member *member_from_timer(struct timer *timer, size_t offset)
{
	return (struct member *)((char *)timer - offset);
}

void member_set_trouble(struct member *member, const char *text)
{
	if (member->trouble_since == MONO_UNSET)
		member->trouble_since = member_now(member);
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

/* What sanlock said of the one before is nothing of this one, nor of none: `held` is unknown until it was
 * asked again, which may take long. So the moment of both is that of this reading, and of no younger one. */
void member_take_qemu(struct member *member, int error, int32_t pid, mono_t begun)
{
	int32_t before = member->qemu_pid;

	member->qemu_pid = error < 0 ? -1 : pid;
	member->find_begun = begun;
	if (member->qemu_pid == before)
		return;
	member->held = HELD_UNKNOWN;
	member->held_begun = begun;
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
	if (member->lease->watchdog(member->lease, mono_add(member_now(member), ANSWER_MS), watchdog_answered,
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
	if (member->lease->read_owner(member->lease, mono_add(member_now(member), DISK_MS), owner_read,
				      member) < 0)
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
			member_gate_later(member, 0);
		break;
	case MEMBERSHIP_UNKNOWN:
		member->hosts_known = false;
		/* The next daemon may have been started with or without one. */
		member->watchdog = WATCHDOG_UNKNOWN;
		if (member->gate != GATE_KILL)
			member->gate = GATE_CLOSED;
		member_set_trouble(
			member,
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

/* A look under way may have found QEMU alive: its end is news, and is not left to the next one in the rhythm.
 */
static void look_again(struct member *member)
{
	if (!member->look_again || member->looking)
		return;
	member->look_again = false;
	membership_look(member);
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
		member_set_timer(member, &member->look_timer, CLOSE_LOOK_MS);
	member->calls->observed(member->data);
	look_again(member);
}

/* sanlock is asked about the QEMU that lives now, or about none when that is not known. Nor about one that
 * may be taking its lease: the question would make that fail (lockspace/sanlock_port.c). Nothing is lost by
 * it: rule 3 judges what is held of a VM that runs alone, by a question younger than its run, and rule 11
 * goes by the owner on disk; unknown kills nobody. */
static void found(void *data, int error, int32_t pid, mono_t begun)
{
	struct member *member = data;
	bool lived = member->qemu_pid > 0;
	pid_t asked;

	member_take_qemu(member, error, pid, begun);
	asked = member->qemu_pid > 0 && !member->spare_qemu ? member->qemu_pid : 0;
	if (member->stopping) {
		member->looking = false;
	} else if (member->lease->look(member->lease, asked, mono_add(member_now(member), ANSWER_MS), looked,
				       member) < 0) {
		/* sanlock hangs in too many questions. What /proc shows is known all the same: who waits for
		 * QEMU's end sees it. */
		member->looking = false;
		member->held = HELD_UNKNOWN;
		member->held_begun = begun;
		member->calls->observed(member->data);
		look_again(member);
	} else if (lived && member->qemu_pid == 0) {
		/* Who waits for it does not wait for a sanlock that is slow. */
		member->calls->observed(member->data);
	}
}

void membership_look(struct member *member)
{
	bool often = member->closely || !member->settled;
	mono_t now = member_now(member);
	int r;

	if (member->stopping)
		return;
	member_set_timer(member, &member->look_timer,
			 often && CLOSE_LOOK_MS < member->loop_ms ? CLOSE_LOOK_MS : member->loop_ms);
	if (member->looking)
		return;
	member->looking = true;
	r = member->qemu->find(member->qemu, mono_add(now, MEMBER_FIND_MS), found, member);
	if (r < 0)
		found(member, r, 0, now);
}

/* The agent hears of it some 200 ms before libvirt's event: libvirtd asks a QEMU that has closed its monitor
 * to end, and then sleeps for so long when it is not reaped yet. What it means is the
 * agent's to judge, and who may start is the lease's. */
static void qemu_ended(void *data)
{
	struct member *member = data;

	member->look_again = true;
	look_again(member);
}

static void look_fired(struct timer *timer)
{
	membership_look(member_from_timer(timer, offsetof(struct member, look_timer)));
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

void membership_start(struct member *member)
{
	assert(member->clock && member->lease && member->fence && member->qemu && member->calls);
	assert(member->parts);
	assert(member->host_id >= 1 && member->host_id <= HOST_ID_MAX && member->loop_ms > 0);
	member->look_timer.fire = look_fired;
	member->membership = MEMBERSHIP_UNKNOWN;
	member->owner.kind = OWNER_UNREAD;
	member->owner.begun = member->held_begun = member->find_begun = MONO_UNSET;
	member->qemu_pid = -1;
	member->trouble_since = member->board_since = member->join_begun = MONO_UNSET;
	member->qemu->data = member;
	member->qemu->ended = qemu_ended;
	membership_look(member);
}

void membership_done(struct member *member)
{
	if (member->qemu)
		member->qemu->ended = NULL;
	member->clock->cancel(member->clock, &member->look_timer);
	member->clock->cancel(member->clock, &member->gate_timer);
	member->clock->cancel(member->clock, &member->stop_timer);
	member->clock->cancel(member->clock, &member->leave_timer);
}
