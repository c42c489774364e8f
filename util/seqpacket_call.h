/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One request to a service of util/seqpacket.h and its answer, in the loop: a connection of its own for each.
 * Used by who asks ovirt-ha-guard and ovirt-ha-storage. Nothing blocks. */
#pragma once

#include <stddef.h>

#include "util/loop.h"

#define SEQPACKET_REPLY_MAX 1024

/* Owned by the caller; must not move while it is under way. */
struct seqpacket_call {
	struct timer timer; /* first */
	struct loop *loop;
	int fd; /* -1: none under way */
	size_t reply_size;
	void (*done)(struct seqpacket_call *call, int error, const void *reply);
};

/* Before its first use. `reply_size` up to SEQPACKET_REPLY_MAX. done() comes once for each start: 0 and a
 * reply of exactly this size, valid during the call; or -ETIMEDOUT at the deadline, -ECONNRESET, -EPROTO for
 * one of another size, -errno. */
void seqpacket_call_init(struct seqpacket_call *call, struct loop *loop, size_t reply_size,
			 void (*done)(struct seqpacket_call *call, int error, const void *reply));
/* Sends the message. 0; -EBUSY one is under way; -errno: nobody listens; then done() is not called. */
int seqpacket_call_start(struct seqpacket_call *call, const char *path, const void *message, size_t size,
			 mono_t deadline);
/* Ends what is under way, without done(). */
void seqpacket_call_end(struct seqpacket_call *call);
