/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The addresses of the servers that a networked store names. For metadata/store_remote.c alone. */
#pragma once

#include "metadata/store_remote.h"

#define REMOTE_ADDRESSES_MAX 16 /* more are left out */

struct remote_addresses {
	struct remote_address list[REMOTE_ADDRESSES_MAX];
	size_t n;
};

/* All places are addresses: those, without asking anybody. 0, or -errno when one is a name. */
int remote_names_known(const struct store_place *places, size_t n_places, struct remote_addresses *ret);
/* Asks name servers, and blocks for as long as they do. 0 with one address at least, or -errno. */
int remote_names_resolve(const struct store_place *places, size_t n_places, struct remote_addresses *ret);
