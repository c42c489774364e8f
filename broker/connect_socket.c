/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real connect port: asks ovirt-ha-storage over its socket. It decides nothing. Called by storage_link.c
 * through its port. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/connect_port.h"
#include "storage/storage_protocol.h"
#include "util/seqpacket_call.h"

struct connect_socket {
	struct connect_port port; /* first */
	struct seqpacket_call call;
	void (*done)(void *data, int error, const char *why);
	void *data;
};

_Static_assert(sizeof(struct storage_reply) <= SEQPACKET_REPLY_MAX, "a reply is one message");

static void answered(struct seqpacket_call *call, int error, const void *data)
{
	struct connect_socket *socket =
		(struct connect_socket *)((char *)call - offsetof(struct connect_socket, call));
	const struct storage_reply *reply = data;

	if (error == 0 && (reply->version != STORAGE_VERSION || reply->error > 0 ||
			   !memchr(reply->text, '\0', sizeof(reply->text))))
		error = -EPROTO;
	if (error < 0)
		socket->done(socket->data, error, strerror(-error));
	else
		socket->done(socket->data, reply->error, reply->text);
}

static int port_connect(struct connect_port *port, mono_t deadline,
			void (*done)(void *data, int error, const char *why), void *data)
{
	struct connect_socket *socket = (struct connect_socket *)port;
	struct storage_request request = {.version = STORAGE_VERSION, .kind = STORAGE_CONNECT};
	const char *path = getenv("OVIRT_HA_STORAGE_SOCKET");
	int r = seqpacket_call_start(&socket->call, path && path[0] ? path : STORAGE_SOCKET, &request,
				     sizeof(request), deadline);

	if (r == 0) {
		socket->done = done;
		socket->data = data;
	}
	return r;
}

static void port_close(struct connect_port *port)
{
	struct connect_socket *socket = (struct connect_socket *)port;

	seqpacket_call_end(&socket->call);
	free(socket);
}

int connect_socket_new(struct loop *loop, struct connect_port **ret)
{
	struct connect_socket *socket = calloc(1, sizeof(*socket));

	assert(loop && ret);
	if (!socket)
		return -ENOMEM;
	socket->port = (struct connect_port){.connect = port_connect, .close = port_close};
	seqpacket_call_init(&socket->call, loop, sizeof(struct storage_reply), answered);
	*ret = &socket->port;
	return 0;
}
