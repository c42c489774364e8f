/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names and name servers without waiting, for the network monitor. Nothing blocks; every question is answered
 * once, in the loop, but for those that resolver_free() forgets. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct loop;
struct resolver;

/* The system's name servers as they stand now, or `servers` ("127.0.0.1:5353"; NULL but in tests). A question
 * takes `timeout_ms` at most: a third of it for each of up to three servers, however many there are. 0 or
 * -errno. */
int resolver_new(struct loop *loop, const char *servers, int64_t timeout_ms, struct resolver **ret);
/* Not from inside an answer. NULL is fine. */
void resolver_free(struct resolver *resolver);
/* Whether a name server answers at all: asked for the root's, refusals are answers too. */
void resolver_probe(struct resolver *resolver, void (*done)(void *data, bool answered), void *data);
/* The first address of `name`, a numeric one at once; NULL: none is to be had. Not from the caches of the
 * system, but from /etc/hosts. */
void resolver_address(struct resolver *resolver, const char *name,
		      void (*done)(void *data, const struct sockaddr *address, socklen_t size), void *data);
