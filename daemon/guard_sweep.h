/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One reading of /proc for the engine's QEMU, in a worker thread since a process in state D may hold it. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "lockspace/qemu_pid.h"
#include "util/worker.h"

struct guard_sweep {
	struct job job; /* first; done is the asker's */
	void *asker;
	atomic_uint owners;
	pid_t late_at; /* the asker's: the process that held it when it was given up */
	/* asked */
	char uuid[QEMU_UUID_SIZE];
	bool kill;
	struct qemu_walk walk; /* `reading` may be read by the asker while it runs */
	/* answered */
	int error;
	struct qemu_pids pids;	/* unless `kill` */
	int fds[QEMU_PIDS_MAX]; /* of the killed; -1: taken */
	size_t n_fds;
};

/* NULL: no memory. Freed by the last owner's job.destroy, which closes what is left of `fds`. */
struct guard_sweep *guard_sweep_new(const char *uuid, bool kill);
/* The asker owns it too from now on: before it gives it up. */
void guard_sweep_keep(struct guard_sweep *sweep);
/* Of one that was kept and given up: its thread has come back, and the asker is its only owner. */
bool guard_sweep_back(const struct guard_sweep *sweep);
/* How many QEMU live, 0: proven none; -errno, -ETIMEDOUT: none among those that could be read. */
int guard_sweep_count(const struct guard_sweep *sweep);
