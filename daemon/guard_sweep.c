/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looks for QEMU or kills it, once. It decides nothing; what follows is guard_hunt.c's. Called in the guard's
 * worker thread. */
#include "daemon/guard_sweep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void run(struct job *job)
{
	struct guard_sweep *sweep = (struct guard_sweep *)job;

	if (sweep->kill)
		sweep->error = qemu_kill_past(sweep->uuid, &sweep->walk, sweep->fds, &sweep->n_fds);
	else
		sweep->error = qemu_find_past(sweep->uuid, &sweep->walk, &sweep->pids);
}

static void destroy(struct job *job)
{
	struct guard_sweep *sweep = (struct guard_sweep *)job;

	if (atomic_fetch_sub(&sweep->owners, 1) > 1)
		return;
	for (size_t i = 0; i < sweep->n_fds; i++)
		if (sweep->fds[i] >= 0)
			close(sweep->fds[i]);
	free(sweep);
}

struct guard_sweep *guard_sweep_new(const char *uuid, bool kill)
{
	struct guard_sweep *sweep = calloc(1, sizeof(*sweep));

	if (!sweep)
		return NULL;
	sweep->job.run = run;
	sweep->job.destroy = destroy;
	sweep->owners = 1;
	sweep->kill = kill;
	strncpy(sweep->uuid, uuid, sizeof(sweep->uuid) - 1);
	return sweep;
}

void guard_sweep_keep(struct guard_sweep *sweep)
{
	atomic_fetch_add(&sweep->owners, 1);
}

bool guard_sweep_back(const struct guard_sweep *sweep)
{
	return atomic_load(&sweep->owners) == 1;
}

int guard_sweep_count(const struct guard_sweep *sweep)
{
	if (sweep->error < 0)
		return sweep->error;
	if (sweep->pids.n > 0)
		return (int)sweep->pids.n;
	return sweep->pids.unread > 0 ? -ETIMEDOUT : 0;
}
