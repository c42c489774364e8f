/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The backing port: what the configured places live on. The real one asks the kernel in a thread of its own
 * (backing_worker.c). */
#pragma once

#include "metadata/backing.h"
#include "util/mono.h"

/* The places of hosted-engine.conf that are one storage domain (safety rule 8). */
enum part { PART_WHITEBOARD, PART_LOCKSPACE, PART_LEASE, PART_DISK, PART_COUNT };

struct backing_port {
	/* `backings` has PART_COUNT of them, valid during the call; those without a path are unknown. NULL:
	 * the deadline came first, a storage hangs. 0, or -EBUSY: one is under way, or too many threads hang.
	 */
	int (*find)(struct backing_port *port, mono_t deadline,
		    void (*done)(void *data, const struct backing *backings), void *data);
	void (*close)(struct backing_port *port);
};

struct loop;

/* `paths` must stay, "": not configured. 0 or -errno. */
int backing_worker_new(const char *const paths[PART_COUNT], struct loop *loop, struct backing_port **ret);
