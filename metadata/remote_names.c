/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which addresses a store's servers have. It knows no connection. Called by metadata/store_remote.c,
 * in the loop for what are addresses already and by a worker for names. */
#include "metadata/remote_names.h"

#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>

static int add_address(struct remote_addresses *list, const struct sockaddr *address, socklen_t length,
		       uint16_t port)
{
	struct remote_address *ret = &list->list[list->n];

	if (list->n == REMOTE_ADDRESSES_MAX)
		return -ENOSPC;
	if (getnameinfo(address, length, ret->text, sizeof(ret->text), NULL, 0, NI_NUMERICHOST) != 0)
		return -EINVAL;
	ret->port = port;
	ret->v6 = address->sa_family == AF_INET6;
	list->n++;
	return 0;
}

static int lookup_error(int error)
{
	switch (error) {
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return errno ? -errno : -EIO;
	default:
		return -EHOSTUNREACH;
	}
}

/* Blocks on name servers unless `flags` has AI_NUMERICHOST. */
static int resolve(const struct store_place *place, int flags, struct remote_addresses *list)
{
	struct addrinfo hints = {.ai_flags = flags, .ai_socktype = SOCK_STREAM}, *found = NULL;
	int r = getaddrinfo(place->host, NULL, &hints, &found);

	if (r != 0)
		return lookup_error(r);
	for (const struct addrinfo *a = found; a && r == 0; a = a->ai_next)
		r = add_address(list, a->ai_addr, a->ai_addrlen, place->port);
	freeaddrinfo(found);
	return r == -ENOSPC ? 0 : r;
}

int remote_names_known(const struct store_place *places, size_t n_places, struct remote_addresses *ret)
{
	struct remote_addresses found = {.n = 0};
	int r = 0;

	for (size_t i = 0; i < n_places && r == 0; i++)
		r = resolve(&places[i], AI_NUMERICHOST, &found);
	if (r == 0)
		*ret = found;
	return r;
}

int remote_names_resolve(const struct store_place *places, size_t n_places, struct remote_addresses *ret)
{
	struct remote_addresses found = {.n = 0};
	int error = -EHOSTUNREACH;

	/* One name that is not known hides no other. */
	for (size_t i = 0; i < n_places; i++) {
		int r = resolve(&places[i], 0, &found);

		if (r < 0)
			error = r;
	}
	if (found.n == 0)
		return error;
	*ret = found;
	return 0;
}
