/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program of the system's run for deployment: bounded, cancellable, and ended with its caller, since one
 * that went on to write a disk alone would write below whoever comes next. Used by the files of deploy/. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct tool_run {
	const char *const *args; /* NULL at the end; the first is looked up in PATH */
	int64_t quiet_ms;	 /* longest time without output */
	int keep_fd;		 /* inherited under its number; 0: none */
	/* Called with each piece of stdout, and with none at least twice a second. Not 0 ends the program.
	 * May be NULL. */
	int (*heard)(const char *text, size_t size, void *data);
	void *data;
};

/* Waits for its end. 0: it ended with status 0. -errno, with a line for people in `ret_why`: -ENOSYS no such
 * program; -EIO it failed, its last words on stderr; -ETIMEDOUT; -ECANCELED. What hangs in the kernel after
 * SIGKILL is left behind after 5 s. */
int tool_run(const struct tool_run *run, char *ret_why, size_t why_size);

/* The same for what says little: its stdout, 1 MiB at most (-EFBIG), NUL terminated, for free(). */
int tool_ask(const char *const *args, int64_t quiet_ms, int keep_fd, char **ret, char *ret_why,
	     size_t why_size);
