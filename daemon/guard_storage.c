/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ends the storage daemon of this host, and sees that it is gone (safety rule 13). It does not judge whether
 * that has to be: the broker's gate asks for it before each join, guard_hunt.c for a QEMU that does not die.
 * /proc is read in a thread, as for QEMU. The guard does it, and not who started the daemon: it finds the
 * process itself, needs neither storage nor bus for it, and may hang in nothing. Called by guard.c and
 * guard_hunt.c. */
#include <errno.h>
#include <stdlib.h>

#include "daemon/guard_state.h"
#include "lockspace/guard_protocol.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/worker.h"

#define LATE_MS 5000 /* what takes ms, and at most GUARD_KILL_MS, hangs at a process in state D */

struct storage_end {
	struct job job; /* first */
	struct guard *guard;
	struct qemu_walk walk;
	int error;
	size_t killed;
};

static void run(struct job *job)
{
	struct storage_end *end = (struct storage_end *)job;
	int fds[QEMU_PIDS_MAX];

	end->error = qemu_kill_past(STORAGE_DAEMON_PID_FILE, &end->walk, fds, &end->killed);
	/* Whoever was found is waited for, and nobody who comes after: systemd starts the next at once. */
	if (end->error == 0 && guard_wait_gone(fds, end->killed, clock_mono() + GUARD_KILL_MS) > 0)
		end->error = -ETIMEDOUT;
}

static void done(struct job *job)
{
	struct storage_end *end = (struct storage_end *)job;
	struct guard *guard = end->guard;

	guard->storage_end = NULL;
	if (end->error < 0)
		log_warning("the end of the storage daemon is not proven error=%d", end->error);
	else if (end->killed > 0)
		log_warning("storage daemon killed, it may hold late writes count=%zu", end->killed);
	guard_reply_storage(guard, end->error);
	job->destroy(job);
}

static void destroy(struct job *job)
{
	free(job);
}

int storage_end_begin(struct guard *guard, mono_t now)
{
	struct storage_end *end;
	int r;

	if (guard->storage_end && mono_passed(guard->storage_begun, LATE_MS, now)) {
		/* It kills no more when it goes on: the daemon of then may be in use, rightly. */
		guard->storage_end->walk.left = true;
		guard->storage_end = NULL;
		worker_give_up(guard->storage);
	}
	end = calloc(1, sizeof(*end));
	if (!end)
		return -ENOMEM;
	end->job = (struct job){.run = run, .done = done, .destroy = destroy};
	end->guard = guard;
	r = worker_start(guard->storage, &end->job);
	if (r < 0) {
		free(end);
		return r;
	}
	guard->storage_end = end;
	guard->storage_begun = now;
	return 0;
}
