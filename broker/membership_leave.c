/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides whether this host leaves the lockspace when its broker stops: not while a QEMU of the engine may
 * live here (safety rule 7), and within its time in any case. Called by broker.c. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "broker/membership_parts.h"
#include "util/log.h"

#define STOP_MS 1500
#define STOP_PROVE_MS 500
#define LEAVE_RETRY_MS 100

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
	struct member *member = member_from_timer(timer, offsetof(struct member, stop_timer));

	if (member->leave_held)
		log_info("lockspace kept: a lease in it is held");
	stop_ended(member);
}

static void prove_and_leave(struct member *member);

static void leave_fired(struct timer *timer)
{
	prove_and_leave(member_from_timer(timer, offsetof(struct member, leave_timer)));
}

static void leave_ended(void *data, int error)
{
	struct member *member = data;

	/* sanlock takes a lease back some time after its holder's end: a write on the storage. */
	member->leave_held = error == -EBUSY;
	if (member->leave_held && !member->left) {
		member->leave_timer.fire = leave_fired;
		member_set_timer(member, &member->leave_timer, LEAVE_RETRY_MS);
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
	member_take_qemu(member, error, pid, begun);
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
	mono_t now = member_now(member);
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
	member->stop_by = mono_add(member_now(member), STOP_MS);
	member->clock->cancel(member->clock, &member->look_timer);
	member->clock->cancel(member->clock, &member->gate_timer);
	member->clock->set(member->clock, &member->stop_timer, member->stop_by);
	if (member->membership != MEMBERSHIP_JOINED && member->membership != MEMBERSHIP_JOINING) {
		stop_ended(member);
		return;
	}
	prove_and_leave(member);
}
