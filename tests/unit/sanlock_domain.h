/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A real sanlock daemon of one's own, unprivileged, on a file in a temporary directory: io_timeout 1,
 * lockspace `LS` at offset 0, resources `engine` at 1 MiB, `whiteboard` at 2 MiB and `conf` at 3 MiB. For tests of
 * what talks to sanlock; every failure aborts the test. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define DOMAIN_MIB ((size_t)1024 * 1024)
#define DOMAIN_ENGINE_OFFSET (1 * DOMAIN_MIB)
#define DOMAIN_WHITEBOARD_OFFSET (2 * DOMAIN_MIB)

struct sanlock_domain {
	char dir[64];
	char disk[96];
	pid_t daemon; /* 0: none */
};

/* Formats the file and sets SANLOCK_RUN_DIR; starts no daemon. */
void domain_open(struct sanlock_domain *domain);
/* Kills the daemon if it runs, and removes the directory. */
void domain_close(struct sanlock_domain *domain);
/* Returns once the daemon's socket answers. */
void domain_start(struct sanlock_domain *domain);
void domain_signal(struct sanlock_domain *domain, int number);
/* SIGKILL, and waits for its end. */
void domain_kill(struct sanlock_domain *domain);

/* Runs the program with its output in DIR/log, waits for its end, returns its exit status (-1: a signal). */
int domain_run(struct sanlock_domain *domain, const char *const argv[]);
/* The same without waiting; returns its pid. It is killed when the test dies. */
pid_t domain_spawn(struct sanlock_domain *domain, const char *const argv[]);

/* Joins and leaves as host 1 by sanlock's command, synchronously. */
void domain_join(struct sanlock_domain *domain);

/* Calls check() every 10 ms until it says true; false after `ms`. */
bool domain_wait(bool (*check)(void *data), void *data, int ms);
