/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The QEMU port: which processes with the engine's uuid live on this host. The real one (broker/qemu_proc.c)
 * reads /proc in threads, since a process in state D can keep its reader waiting. Nothing blocks. */
#pragma once

#include <stdint.h>

#include "util/mono.h"

/* error 0: the pid (0: none lives; the lowest of several). -errno: not known, which proves nothing:
 * -ETIMEDOUT at the deadline, -EPERM and others: /proc can't be read. Nothing is said of what happened after
 * `begun`, the moment before /proc was read. Comes once, in the loop, never from inside find() or prove(). */
typedef void (*qemu_found_fn)(void *data, int error, int32_t pid, mono_t begun);

struct qemu_port {
	/* For what is shown and asked for. One that was found before and lives still is the answer for up to
	 * QEMU_RESCAN_MS without another look for more of them, and for as long as readings hang. */
	int (*find)(struct qemu_port *port, mono_t deadline, qemu_found_fn found, void *data);
	/* For safety rules 4 and 7: all of /proc, read after this call. */
	int (*prove)(struct qemu_port *port, mono_t deadline, qemu_found_fn found, void *data);
	/* Both: 0, or -EBUSY: one of this kind is under way, or WORKER_STUCK_MAX threads of it hang (and none
	 * that was found lives). */
	void (*close)(struct qemu_port *port);

	/* Set by the owner, NULL: it does not want to know. The QEMU that was found last has ended, told at
	 * once; whether another lives is for find() to say. May come late or never (it was not asked for
	 * yet). */
	void (*ended)(void *data);
	void *data;
};

#define QEMU_RESCAN_MS 10000

struct loop;
/* `uuid` must stay. 0 or -errno. */
int qemu_proc_new(const char *uuid, struct loop *loop, struct qemu_port **ret);
