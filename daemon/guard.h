/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ovirt-ha-guard: main (guard_main.c), loop (guard.c), decision (guard_rule.c), question to sanlock
 * (guard_watch.c), search and kill (guard_hunt.c), one reading of /proc for it (guard_sweep.c), the end of
 * the storage daemon (guard_storage.c). */
#pragma once

#include <stdbool.h>

struct guard;

/* Listens on `listener` (a SOCK_SEQPACKET socket, which the guard then owns). `conf_path`:
 * hosted-engine.conf, read again when it changes; without it, or without a vmid in it, the guard waits. 0,
 * -EINVAL: it is wrong and does not even tell what to watch (said in the log), -errno. */
int guard_new(const char *conf_path, int listener, struct guard **ret);
void guard_free(struct guard *guard);
/* Until SIGTERM or SIGINT (which the caller has blocked). 0 or -errno. */
int guard_run(struct guard *guard);

/* Kills every QEMU of the uuid and returns 0 once /proc proves that none is left; -ETIMEDOUT after
 * timeout_ms, or why nothing can be proven. Blocks. */
int guard_prove_gone(const char *uuid, int timeout_ms);
