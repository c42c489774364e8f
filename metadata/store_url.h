/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SCHEME://HOST[:PORT][,HOST[:PORT]..]/PATH[?NAME=VALUE[&NAME=VALUE..]]: the specs of stores that are reached
 * over a network. An IPv6 address stands in brackets. There are no escapes: what a spec can't say is said by
 * no parameter either. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define STORE_PLACES_MAX 8
#define STORE_PARAMETERS_MAX 8

struct store_place {
	char host[256]; /* name or address, without brackets */
	uint16_t port;	/* 0: none given */
};

struct store_parameter {
	const char *name, *value;
};

struct store_url {
	char *text; /* holds what the pointers show */
	struct store_place places[STORE_PLACES_MAX];
	size_t n_places;
	const char *path; /* from its first / on */
	struct store_parameter parameters[STORE_PARAMETERS_MAX];
	size_t n_parameters;
};

/* 0; -ENOMEM; -EINVAL and what is wrong, with what to do, in `what`. On failure `ret` holds nothing. */
int store_url_parse(const char *spec, struct store_url *ret, char *what, size_t size);
void store_url_done(struct store_url *url);

/* The number of a parameter from `min` to `max`; `value` stays what it was where it is not given. 0 or
 * -EINVAL. */
int store_url_number(const struct store_url *url, const char *name, uint64_t min, uint64_t max,
		     uint64_t *value, char *what, size_t size);
/* NULL: not given. */
const char *store_url_text(const struct store_url *url, const char *name);
/* Every parameter is one of `names`, up to a NULL, and none stands twice. 0 or -EINVAL. */
int store_url_known(const struct store_url *url, const char *const *names, char *what, size_t size);
/* What `offset` says: where the whiteboard begins, a multiple of 512, 0 by default. 0 or -EINVAL. */
int store_url_offset(const struct store_url *url, uint64_t *ret, char *what, size_t size);
