/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Probes that are connections, or questions to a name server. Decides what an answer is: a connection that is
 * made, any word of a name server. Called by monitor_network.c. */
#include "broker/network_probes.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/resolver.h"
#include "util/cleanup.h"

struct probe {
	struct network_probes *owner;
	int fd; /* of a connection that is being made, -1 */
};

struct network_probes {
	struct loop *loop;
	struct network_target target;
	struct resolver *resolver;
	void (*answered)(void *data, unsigned which);
	void *data;
	struct probe probes[NETWORK_PROBES_MAX];
};

static void tell(struct probe *probe)
{
	struct network_probes *probes = probe->owner;

	probes->answered(probes->data, (unsigned)(probe - probes->probes));
}

static void close_probe(struct probe *probe)
{
	if (probe->fd < 0)
		return;
	loop_del_fd(probe->owner->loop, probe->fd);
	close(TAKE_FD(probe->fd));
}

static void connected(int fd, short revents, void *data)
{
	struct probe *probe = data;
	socklen_t size = sizeof(int);
	int error = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	close_probe(probe);
	if (error == 0)
		tell(probe);
}

static void resolved(void *data, const struct sockaddr *found, socklen_t size)
{
	struct probe *probe = data;
	struct network_probes *probes = probe->owner;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address;

	if (!found || size > sizeof(address))
		return;
	memcpy(&address, found, size);
	if (address.any.sa_family == AF_INET)
		address.v4.sin_port = htons(probes->target.port);
	else
		address.v6.sin6_port = htons(probes->target.port);
	probe->fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (probe->fd < 0)
		return;
	if (connect(probe->fd, &address.any, size) < 0 && errno != EINPROGRESS) {
		close(TAKE_FD(probe->fd));
		return;
	}
	if (loop_add_fd(probes->loop, probe->fd, POLLOUT, connected, probe) < 0)
		close(TAKE_FD(probe->fd));
}

static void probed(void *data, bool answered)
{
	if (answered)
		tell(data);
}

void network_probes_send(struct network_probes *probes, unsigned which)
{
	assert(which < NETWORK_PROBES_MAX);
	if (probes->target.test == NETWORK_TEST_DNS)
		resolver_probe(probes->resolver, probed, &probes->probes[which]);
	else
		resolver_address(probes->resolver, probes->target.address, resolved, &probes->probes[which]);
}

int network_probes_new(struct loop *loop, const struct network_target *target, int64_t timeout_ms,
		       void (*answered)(void *data, unsigned which), void *data, struct network_probes **ret)
{
	_cleanup_free_ struct network_probes *probes = calloc(1, sizeof(*probes));
	int r;

	if (!probes)
		return -ENOMEM;
	probes->loop = loop;
	probes->target = *target;
	probes->answered = answered;
	probes->data = data;
	for (size_t i = 0; i < NETWORK_PROBES_MAX; i++)
		probes->probes[i] = (struct probe){probes, -1};
	/* New for each round: name servers may have changed, and an interface that went away leaves no trace.
	 */
	r = resolver_new(loop, target->servers, timeout_ms, &probes->resolver);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(probes);
	return 0;
}

void network_probes_free(struct network_probes *probes)
{
	if (!probes)
		return;
	resolver_free(probes->resolver);
	for (size_t i = 0; i < NETWORK_PROBES_MAX; i++)
		close_probe(&probes->probes[i]);
	free(probes);
}
