/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fence port: what only ovirt-ha-guard may do. The real one (lockspace/fence_guard.c) asks it over its
 * socket; agent and broker use it. Nothing blocks. */
#pragma once

#include "util/mono.h"

#define GUARD_SOCKET "/run/ovirt-ha-guard/guard" /* SOCK_SEQPACKET; root and user ovirt-ha */

struct fence_port {
	/* SIGKILL to every QEMU with the engine's uuid on this host. done: error 0 and how many still live
	 * (0: proven gone), or -errno: no guard, not allowed, late. */
	int (*kill)(struct fence_port *port, mono_t deadline, void (*done)(void *data, int error, int alive),
		    void *data);
	/* The same to the storage daemon of this host, of which there may be none: alive 0 says that none of
	 * those that lived at the question does (safety rule 13). systemd starts another. */
	int (*end_storage)(struct fence_port *port, mono_t deadline,
			   void (*done)(void *data, int error, int alive), void *data);
	/* Resets the host at once (safety rule 12). `why` is logged by the guard first. done is called only
	 * on failure. */
	int (*reset)(struct fence_port *port, const char *why, void (*done)(void *data, int error),
		     void *data);
	/* 0: a guard listens, or -errno: none does, or one that has stopped to take requests. Asks the kernel
	 * alone, and does not wait. */
	int (*listens)(struct fence_port *port);
	void (*close)(struct fence_port *port);
};

struct loop;
int fence_guard_new(struct loop *loop, struct fence_port **ret);
