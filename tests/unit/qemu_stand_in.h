/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Processes that look like QEMU in /proc and do nothing: the test program started again under another command
 * line. A test's main() calls stand_in_main() first. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Does not return in a stand-in. */
void stand_in_main(void);
/* Starts one with this command line, killed when the test dies; returns once it runs. leaderless: its first
 * thread has ended and another lives on. */
pid_t stand_in_start(const char *const argv[], bool leaderless);
/* True when it has ended; `data` is its pid_t. */
bool stand_in_gone(void *data);
/* SIGKILL and wait. */
void stand_in_kill(pid_t pid);
/* A uuid that no other test uses. */
void stand_in_uuid(char uuid[37]);
/* Hides /proc from this process and its children to come, as a unit's sandbox would. Needs root; for a child
 * that ends soon. */
void stand_in_hide_proc(void);
