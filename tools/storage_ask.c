/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One request and its answer over the socket of ovirt-ha-storage. Decides nothing. */
#include "tools/storage_ask.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "util/cleanup.h"
#include "util/seqpacket.h"

int storage_ask(enum storage_request_kind kind, struct storage_reply *ret)
{
	struct storage_request request = {.version = STORAGE_VERSION, .kind = kind};
	const char *path = getenv("OVIRT_HA_STORAGE_SOCKET");
	_cleanup_close_ int fd = seqpacket_connect(path && path[0] ? path : STORAGE_SOCKET);
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	ssize_t n;

	if (fd < 0)
		return fd;
	if (send(fd, &request, sizeof(request), MSG_NOSIGNAL) < 0)
		return -errno;
	if (poll(&poll_fd, 1, STORAGE_CONNECT_MS) <= 0)
		return -ETIMEDOUT;
	n = recv(fd, ret, sizeof(*ret), MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ECONNRESET;
	return n == sizeof(*ret) && ret->version == STORAGE_VERSION ? 0 : -EPROTO;
}
