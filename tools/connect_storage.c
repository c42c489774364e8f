/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --connect-storage and --disconnect-storage: ask ovirt-ha-storage, which knows what to connect, and tell
 * what became of it. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "storage/storage_protocol.h"
#include "tools/commands.h"
#include "tools/terminal_text.h"
#include "util/cleanup.h"
#include "util/seqpacket.h"

/* 0: answered, or -errno. */
static int ask(enum storage_request_kind kind, struct storage_reply *ret)
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

int command_run_connect_storage(const struct invocation *call)
{
	bool connect = strcmp(call->command->name, "connect-storage") == 0;
	struct storage_reply reply;
	int r = ask(connect ? STORAGE_CONNECT : STORAGE_DISCONNECT, &reply);

	if (r < 0) {
		fprintf(stderr,
			"ovirt-ha-storage does not answer: %s; see systemctl status ovirt-ha-storage\n",
			strerror(-r));
		return 1;
	}
	if (reply.error == 0)
		return 0;
	reply.text[sizeof(reply.text) - 1] = '\0';
	fputs(connect ? "The storage is not connected: " : "The storage stays connected: ", stderr);
	if (!reply.text[0])
		snprintf(reply.text, sizeof(reply.text), "%s", strerror(-reply.error));
	terminal_put(stderr, reply.text, strlen(reply.text));
	fputc('\n', stderr);
	return 1;
}
