/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The broker as the agent sees it: a port, so that the agent runs unchanged against the real broker
 * (broker/broker_client.c), a broker in the same process, or a faulty one. All functions return at once; what
 * comes back comes as a call in the loop, never from inside the function that asked. The port connects again
 * by itself; nothing is kept over a lost connection. */
#pragma once

#include "broker/protocol.h"

/* What the agent hears. All required. */
struct broker_calls {
	/* Registered as this host's agent: publish and ask. Comes again after each loss. */
	void (*connected)(void *data);
	/* What was asked and not answered is lost. -ENOTCONN: no broker; -EACCES: not allowed; -EPROTO: not
	 * of our build; -EEXIST: another agent is registered; -EMSGSIZE: the
	 * cluster has grown, larger rings are asked for. It is tried again; called once per loss, and
	 * once at start if it can't connect; again when the error has become another. */
	void (*lost)(void *data, int error);
	/* Something that matters changed: ask. */
	void (*changed)(void *data);
	/* The answer to ask(). error: 0, or -ETIMEDOUT after BROKER_ANSWER_MS (then the rest is empty; a late
	 * answer still comes as one more call). The pointers are valid during the call. */
	void (*facts)(void *data, int error, const struct cluster *cluster, const struct peer *peers,
		      size_t n_peers);
	/* What publish() said under `serial`, or something newer, is on storage (0) or is not (-errno).
	 * `target`: as in struct publish_reply, valid during the call. */
	void (*published)(void *data, uint64_t serial, int error, const char *target);
	/* Do it, then answer(). `argument` is valid during the call. */
	void (*command)(void *data, uint64_t ticket, enum command command, const char *argument);
};

#define BROKER_ANSWER_MS 3000

struct broker_port {
	/* 0, or -ENOTCONN. An ask while one is under way is answered with it. */
	int (*ask)(struct broker_port *port);
	/* Header and serial are filled in. Publishes that come faster than the broker takes them are merged,
	 * the last wins. 0 or -ENOTCONN. */
	int (*publish)(struct broker_port *port, const struct publish_request *request, uint64_t *ret_serial);
	/* `text` is for the operator, cut to TEXT_MAX. 0 or -ENOTCONN (the client has been told then). */
	int (*answer)(struct broker_port *port, uint64_t ticket, int error, const char *text);
	bool (*connected)(struct broker_port *port);
	void (*close)(struct broker_port *port);
};
