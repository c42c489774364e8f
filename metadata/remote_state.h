/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a store that reaches a server knows of each of its queues, and what its two files need of each other:
 * store_remote.c decides what becomes of an operation, remote_link.c which connection carries it. For these
 * alone. */
#pragma once

#include <sys/types.h>

#include "metadata/remote_names.h"
#include "metadata/store_remote.h"
#include "util/loop.h"
#include "util/worker.h"

enum link_state {
	LINK_NONE,
	LINK_RESOLVING,
	LINK_CONNECTING,
	LINK_IDLE,
	LINK_CONFIRMING, /* reads the identity block, before the first write */
	LINK_BUSY,
};

struct remote_queue {
	struct op_queue ops;
	struct store_remote *store;
	struct worker *resolver; /* NULL: all places are addresses */
	struct remote_addresses addresses;
	size_t address; /* the one in use, or tried first */
	size_t tried;	/* by this operation */
	enum link_state state;
	void *link;
	int epoll;	/* of the link's descriptor, which libraries change under us */
	int watched_fd; /* in it, -1 none */
	int watched_events;
	bool proven;	/* the link has ended an operation well */
	bool confirmed; /* it leads to the storage that the identity was read from */
	mono_t attempt_until;

	bool ended; /* said by the library, to be looked at when it has returned */
	int error;
	bool finished; /* the operation: done() is to be called */
	int result;

	uint64_t at;
	size_t size;
	uint8_t *bytes;	  /* where the library reads: the caller's blocks, or ours */
	uint8_t *scanned; /* ours, of a scan */
	uint8_t data[BLOCK_SIZE];
	uint8_t identity[BLOCK_SIZE]; /* that this link gave */
};

struct store_remote {
	struct store store; /* first */
	const struct remote_library *library;
	void *config;
	uint64_t offset;
	struct store_place places[STORE_PLACES_MAX];
	size_t n_places;
	struct loop *loop;
	struct clock_port *clock;
	struct store_health health;
	bool identified;	      /* the identity was read once */
	uint8_t identity[BLOCK_SIZE]; /* as our user read it last, or as the first link gave it */
	struct remote_queue queues[STORE_QUEUE_COUNT];
};

static inline mono_t remote_now(const struct remote_queue *queue)
{
	return queue->store->clock->now(queue->store->clock);
}

/* store_remote.c */

/* The operation has ended; remote_settle() says so to who asked. A negative `error` costs the link. */
void remote_finish(struct remote_queue *queue, int error);
/* The last thing that any way in does: done() may begin the next operation or close the store. */
void remote_settle(struct remote_queue *queue);

/* remote_link.c */

/* Connects for the operation under way, from the address that worked last; names are resolved before. The
 * library says the end (remote_ended()), or the operation is finished. */
void remote_link_start(struct remote_queue *queue);
/* The address in use failed: tries the next one, or finishes the operation with `error`. */
void remote_link_next(struct remote_queue *queue, int error);
/* Names are resolved, or are not: `error` is the operation's where no address is known. */
void remote_link_resolved(struct remote_queue *queue, int error);
/* Throws the connection away, and what it has not sent. */
void remote_link_drop(struct remote_queue *queue);
/* The loop hears of what the library waits for now. */
void remote_link_watch(struct remote_queue *queue);
