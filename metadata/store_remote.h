/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A store that reaches a server by a library of its own, without the kernel's client: what every such store
 * shares. A library is a struct of functions that begin something and say its end by remote_ended().
 *
 * Each queue has a connection of its own, since queues do not wait for each other: a scan of 1 MiB under way,
 * or one that is late and costs its connection, is nothing to the own block's write. */
#pragma once

#include <stdbool.h>

#include "metadata/op_queue.h"
#include "metadata/store_url.h"

struct remote_queue;

struct remote_address {
	char text[64]; /* numeric: no library that gets it asks a name server */
	uint16_t port; /* 0: the library's own */
	bool v6;
};

/* One connection of a library is a `link`. All functions required, none blocks. What begins something returns
 * 0 and later calls remote_ended() once, from within service(), or returns -errno. */
struct remote_library {
	/* Connects until blocks can be read and written. `*ret_link` is set on success, and destroyed by
	 * destroy(). */
	int (*connect)(void *config, const struct remote_address *address, struct remote_queue *queue,
		       void **ret_link);
	/* Fills all of `buffer`, what is beyond the end with zeros. */
	int (*read)(void *link, uint64_t at, uint8_t *buffer, size_t size, mono_t now);
	/* Durable at its end. `data` stays until then. */
	int (*write)(void *link, uint64_t at, const uint8_t *data, size_t size, mono_t now);
	int (*fd)(void *link);			 /* -1 none; it may be another one after each call */
	int (*events)(void *link);		 /* of poll(2) */
	int (*service)(void *link, int revents); /* -errno: the connection is gone */
	void (*destroy)(void *link);		 /* calls remote_ended() no more */
	void (*free_config)(void *config);
};

/* Ends what the queue's link was asked for. Negative: the link is never used again. */
void remote_ended(struct remote_queue *queue, int error);

/* 0, or -errno with `config` still the caller's. Connects with the first operation, so it succeeds while no
 * server is there. Places are tried in turn, from the one that worked last. */
int store_remote_new(const struct store_place *places, size_t n_places, uint64_t offset,
		     const struct remote_library *library, void *config, struct loop *loop,
		     struct store **ret);
