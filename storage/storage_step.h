/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One step of a plan, run in a child process: a mount, a program or a look at storage may hang in the kernel,
 * and then the child alone does. Used by storage_service.c. */
#pragma once

#include "storage/storage_driver.h"

struct storage_child {
	pid_t pid; /* 0: none; leader of a process group of its own */
	int fd;	   /* readable when the step has ended */
};

/* Begins the step. 0 or -errno. SIGCHLD must be ignored, so that nobody has to wait for a child. */
int storage_step_start(const struct storage_world *world, const struct storage_step *step,
		       struct storage_child *ret);
/* What became of it, once fd is readable: 0, or -errno and the reason in `why`. Does not block. */
int storage_step_end(struct storage_child *child, char why[STORAGE_WHY_SIZE]);
/* Kills it with what it started, and waits for nothing: *ret_group is the process group of them all. */
void storage_step_kill(struct storage_child *child, pid_t *ret_group);
/* Has the last process of the group gone? A helper of mount(8) may hang in the kernel when the child itself
 * has long ended. */
bool storage_step_gone(pid_t group);
/* "mount srv:/engine", for people; without secrets. */
void storage_step_describe(const struct storage_step *step, char *ret, size_t size);
