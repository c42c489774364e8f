/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fence port: asks ovirt-ha-guard over its socket, one connection for each request. It decides nothing;
 * an answer that does not come by the deadline, or is not of our version, is an error, never "none alive".
 * Called by the agent and the broker. */
#include "lockspace/fence_port.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lockspace/guard_protocol.h"
#include "util/cleanup.h"
#include "util/loop.h"
#include "util/seqpacket.h"
#include "util/seqpacket_call.h"

#define RESET_MS 5000 /* an answer to a reset is its failure; none by then is one too */

struct request {
	struct seqpacket_call call; /* first: answered() casts */
	enum guard_request_kind kind;
	void (*killed)(void *data, int error, int alive);
	void (*failed)(void *data, int error);
	void *data;
};

struct fence_guard {
	struct fence_port port; /* first */
	struct loop *loop;
	struct request kill, end_storage, reset;
};

static const char *socket_path(void)
{
	const char *path = getenv("OVIRT_HA_GUARD_SOCKET");

	return path && path[0] ? path : GUARD_SOCKET;
}

static void answered(struct seqpacket_call *call, int error, const void *data)
{
	struct request *request = (struct request *)call;
	const struct guard_reply *reply = data;
	int alive = 0;

	if (error == 0 && (reply->version != GUARD_VERSION || reply->error > 0 || reply->alive < 0)) {
		error = -EPROTO;
	} else if (error == 0) {
		error = reply->error;
		alive = reply->alive;
	}
	if (request->kind == GUARD_RESET)
		request->failed(request->data, error);
	else
		request->killed(request->data, error, alive);
}

static int request_send(struct request *request, const char *why, mono_t deadline)
{
	struct guard_request message = {.version = GUARD_VERSION, .kind = request->kind};

	memccpy(message.why, why, '\0', sizeof(message.why) - 1);
	return seqpacket_call_start(&request->call, socket_path(), &message, sizeof(message), deadline);
}

static int port_listens(struct fence_port *port)
{
	_cleanup_close_ int fd = seqpacket_connect(socket_path());

	(void)port;
	return fd < 0 ? fd : 0;
}

static int kill_send(struct request *request, const char *why, mono_t deadline,
		     void (*done)(void *data, int error, int alive), void *data)
{
	int r = request_send(request, why, deadline);

	if (r == 0) {
		request->killed = done;
		request->data = data;
	}
	return r;
}

static int port_kill(struct fence_port *port, mono_t deadline, void (*done)(void *data, int error, int alive),
		     void *data)
{
	return kill_send(&((struct fence_guard *)port)->kill, "lease", deadline, done, data);
}

static int port_end_storage(struct fence_port *port, mono_t deadline,
			    void (*done)(void *data, int error, int alive), void *data)
{
	return kill_send(&((struct fence_guard *)port)->end_storage, "join", deadline, done, data);
}

static int port_reset(struct fence_port *port, const char *why, void (*done)(void *data, int error),
		      void *data)
{
	struct fence_guard *guard = (struct fence_guard *)port;
	struct clock_port *clock = loop_clock(guard->loop);
	int r = request_send(&guard->reset, why, mono_add(clock->now(clock), RESET_MS));

	if (r == 0) {
		guard->reset.failed = done;
		guard->reset.data = data;
	}
	return r;
}

static void port_close(struct fence_port *port)
{
	struct fence_guard *guard = (struct fence_guard *)port;

	seqpacket_call_end(&guard->kill.call);
	seqpacket_call_end(&guard->end_storage.call);
	seqpacket_call_end(&guard->reset.call);
	free(guard);
}

int fence_guard_new(struct loop *loop, struct fence_port **ret)
{
	struct fence_guard *guard;

	assert(loop && ret);
	guard = calloc(1, sizeof(*guard));
	if (!guard)
		return -ENOMEM;
	guard->port = (struct fence_port){.kill = port_kill,
					  .end_storage = port_end_storage,
					  .reset = port_reset,
					  .listens = port_listens,
					  .close = port_close};
	guard->loop = loop;
	guard->kill.kind = GUARD_KILL;
	guard->end_storage.kind = GUARD_END_STORAGE;
	guard->reset.kind = GUARD_RESET;
	seqpacket_call_init(&guard->kill.call, loop, sizeof(struct guard_reply), answered);
	seqpacket_call_init(&guard->end_storage.call, loop, sizeof(struct guard_reply), answered);
	seqpacket_call_init(&guard->reset.call, loop, sizeof(struct guard_reply), answered);
	*ret = &guard->port;
	return 0;
}
