/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opens both ends of a local socket. It decides who is let in, nothing of what is said. Called by the main
 * functions of the root services, and by their clients. */
#include "util/seqpacket.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "util/cleanup.h"

static int address_of(const char *path, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	strcpy(ret->sun_path, path);
	return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int seqpacket_listen(const char *path)
{
	struct sockaddr_un address;
	_cleanup_close_ int fd = -1;
	mode_t before;
	int r;

	fd = address_of(path, &address);
	if (fd < 0)
		return fd == -ENAMETOOLONG ? fd : -errno;
	/* One that is started beside another, by hand, must not take its clients away; what a dead one
	 * left answers nobody. */
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN)
		return -EADDRINUSE;
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	before = umask(0117);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(before);
	if (r < 0)
		return r;
	if (listen(fd, 16) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int seqpacket_connect(const char *path)
{
	struct sockaddr_un address;
	_cleanup_close_ int fd = address_of(path, &address);

	if (fd < 0)
		return fd == -ENAMETOOLONG ? fd : -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

bool seqpacket_allowed(int fd, uid_t service_uid, struct ucred *ret_peer)
{
	socklen_t size = sizeof(*ret_peer);

	memset(ret_peer, 0, sizeof(*ret_peer));
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret_peer, &size) == 0 &&
	       (ret_peer->uid == 0 || ret_peer->uid == service_uid);
}
