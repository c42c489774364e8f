/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The only server-side file that includes libqb's IPC. Decides who may ask what; whether a message is
 * well-formed is request_check.c's, what is asked is done by broker.c. May not wait for a client. Called by
 * broker_main.c and by libqb from the loop. */
#include "broker/ipc_server.h"

#include <assert.h>
#include <errno.h>
#include <qb/qbipcs.h>
#include <qb/qbloop.h>
#include <stdlib.h>
#include <string.h>

#include "broker/request_check.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/loop.h"

struct ipc_client {
	struct ipc_server *server;
	qb_ipcs_connection_t *connection;
	enum client_right right;
	bool agent;
	uid_t uid;
	pid_t pid;
	bool refused; /* a change, and it was logged */
	bool dropping, closed;
	enum request_kind deferred; /* what it waits for, 0: nothing */
	struct ipc_client *next;
};

struct ipc_server {
	struct broker *broker;
	struct loop *loop;
	struct service_account account;
	qb_ipcs_service_t *service;
	struct ipc_client *clients;
	unsigned readers, changers;
	/* One for all: answers are made and sent in one go. */
	uint8_t answer[PROTOCOL_MESSAGE_MAX];
};

/* libqb gives its poll callbacks no data, and a process has one server; set while it lives. */
static struct ipc_server *the_server;

static int32_t poll_add(enum qb_loop_priority priority, int32_t fd, int32_t events, void *data,
			qb_ipcs_dispatch_fn_t dispatch)
{
	return qb_loop_poll_add(loop_qb(the_server->loop), priority, fd, events, data, dispatch);
}

static int32_t poll_mod(enum qb_loop_priority priority, int32_t fd, int32_t events, void *data,
			qb_ipcs_dispatch_fn_t dispatch)
{
	return qb_loop_poll_mod(loop_qb(the_server->loop), priority, fd, events, data, dispatch);
}

static int32_t poll_del(int32_t fd)
{
	return qb_loop_poll_del(loop_qb(the_server->loop), fd);
}

static int32_t job_add(enum qb_loop_priority priority, void *data, qb_loop_job_dispatch_fn dispatch)
{
	return qb_loop_job_add(loop_qb(the_server->loop), priority, data, dispatch);
}

static int32_t client_accept(qb_ipcs_connection_t *connection, uid_t uid, gid_t gid)
{
	struct ipc_server *server = qb_ipcs_connection_service_context_get(connection);
	struct qb_ipcs_connection_stats stats = {};
	enum client_right right;
	struct ipc_client *client;
	unsigned *count;

	/* Here for the pid, which libqb has from the kernel like uid and gid. */
	if (qb_ipcs_connection_stats_get(connection, &stats, 0) < 0)
		stats.client_pid = 0;
	right = client_right(&server->account, uid, gid, stats.client_pid);
	count = right == RIGHT_CHANGE ? &server->changers : &server->readers;

	if (right == RIGHT_NONE) {
		log_info("client refused uid=%u gid=%u: reading needs group %s", uid, gid, SERVICE_ACCOUNT);
		return -EACCES;
	}
	/* Readers can't use up the places of those who change. */
	if (*count >= (right == RIGHT_CHANGE ? CHANGERS_MAX : READERS_MAX)) {
		log_warning("client refused, too many are connected uid=%u", uid);
		return -EAGAIN;
	}
	client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	/* The rings of who may change are closed to the group, else a reader could write into them. */
	if (right == RIGHT_CHANGE)
		qb_ipcs_connection_auth_set(connection, geteuid() == 0 ? uid : geteuid(), getegid(), 0600);
	else
		qb_ipcs_connection_auth_set(connection, geteuid() == 0 ? uid : geteuid(), getegid(), 0660);
	client->server = server;
	client->connection = connection;
	client->right = right;
	client->uid = uid;
	client->pid = stats.client_pid;
	client->next = server->clients;
	server->clients = client;
	(*count)++;
	qb_ipcs_context_set(connection, client);
	return 0;
}

static void client_created(qb_ipcs_connection_t *connection)
{
}

static void client_forget(struct ipc_client *client)
{
	struct ipc_server *server = client->server;

	if (client->agent) {
		client->agent = false;
		broker_agent_detach(server->broker, client);
	}
	client->deferred = 0;
	broker_forget(server->broker, client);
}

static int32_t client_closed(qb_ipcs_connection_t *connection)
{
	struct ipc_client *client = qb_ipcs_context_get(connection);

	if (client) {
		client->closed = true;
		client_forget(client);
	}
	return 0;
}

static void client_destroyed(qb_ipcs_connection_t *connection)
{
	struct ipc_client *client = qb_ipcs_context_get(connection);
	struct ipc_client **at;

	if (!client)
		return;
	client_forget(client);
	for (at = &client->server->clients; *at; at = &(*at)->next) {
		if (*at == client) {
			*at = client->next;
			break;
		}
	}
	if (client->right == RIGHT_CHANGE)
		client->server->changers--;
	else
		client->server->readers--;
	qb_ipcs_context_set(connection, NULL);
	free(client);
}

static void drop(void *data)
{
	qb_ipcs_connection_t *connection = data;
	struct ipc_client *client = qb_ipcs_context_get(connection);

	/* A client that went by itself meanwhile was disconnected by libqb, which gives its own reference
	 * back each time: a second time would be ours. */
	if (!client->closed)
		qb_ipcs_disconnect(connection);
	qb_ipcs_connection_unref(connection);
}

/* An answer that does not fit means that the client does not read: it is dropped, nobody waits for it. */
static void client_send(struct ipc_client *client, void *message, size_t size)
{
	ssize_t n;

	if (client->dropping || client->closed)
		return;
	((struct qb_ipc_response_header *)message)->size = (int32_t)size;
	n = client->agent ? qb_ipcs_event_send(client->connection, message, size)
			  : qb_ipcs_response_send(client->connection, message, size);
	if (n == (ssize_t)size)
		return;
	log_debug("client dropped, it does not take its answers: %s", strerror((int)-n));
	/* Not here: libqb may be in the middle of this client's request. */
	client->dropping = true;
	qb_ipcs_connection_ref(client->connection);
	if (job_add(QB_LOOP_LOW, client->connection, drop) < 0)
		qb_ipcs_connection_unref(client->connection);
}

static void reply(struct ipc_client *client, enum request_kind kind, int error, const char *text)
{
	struct reply message;

	memset(&message, 0, sizeof(message));
	message.header.id = (int32_t)kind;
	message.header.error = error;
	strncpy(message.text, text, TEXT_MAX - 1);
	client_send(client, &message, sizeof(message));
}

/* Who asks to be the agent listens to events alone, though it does not become it. */
static void refuse(struct ipc_client *client, enum request_kind kind, int error, const char *why)
{
	bool agent = client->agent;

	client->agent = agent || kind == REQUEST_AGENT;
	reply(client, kind, error, why);
	client->agent = agent;
}

static void deferred_answer(void *data, int error, const char *text)
{
	struct ipc_client *client = data;
	enum request_kind kind = client->deferred;

	client->deferred = 0;
	if (kind != 0)
		reply(client, kind, error, text);
}

static void agent_changed(void *data)
{
	struct qb_ipc_response_header event = {.id = EVENT_CHANGED};

	client_send(data, &event, sizeof(event));
}

static void agent_published(void *data, uint64_t serial, int error, const char *target)
{
	struct publish_reply message;

	memset(&message, 0, sizeof(message));
	message.header.id = REQUEST_PUBLISH;
	message.header.error = error;
	message.serial = serial;
	strncpy(message.target, target, sizeof(message.target) - 1);
	client_send(data, &message, sizeof(message));
}

static void agent_command(void *data, uint64_t ticket, enum command command, const char *argument)
{
	struct command_event event;

	memset(&event, 0, sizeof(event));
	event.header.id = EVENT_COMMAND;
	event.ticket = ticket;
	event.command = command;
	strncpy(event.argument, argument, TEXT_MAX - 1);
	client_send(data, &event, sizeof(event));
}

static const struct agent_calls agent_calls = {
	.changed = agent_changed,
	.published = agent_published,
	.command = agent_command,
};

_Static_assert(sizeof(struct facts_reply) + HOST_ID_MAX * sizeof(struct peer) <= PROTOCOL_MESSAGE_MAX,
	       "the facts of all hosts fit one message");

static void answer_facts(struct ipc_client *client)
{
	struct facts_reply *facts = (void *)client->server->answer;
	size_t size;

	memset(facts, 0, sizeof(*facts));
	facts->header.id = REQUEST_FACTS;
	facts->n_peers = (uint32_t)broker_facts(client->server->broker, &facts->cluster, facts->peers);
	size = sizeof(*facts) + facts->n_peers * sizeof(struct peer);
	/* A cluster that has outgrown the rings that the agent asked for: it connects again with larger ones.
	 */
	if (size > (size_t)qb_ipcs_connection_get_buffer_size(client->connection))
		reply(client, REQUEST_FACTS, -EMSGSIZE, "");
	else
		client_send(client, facts, size);
}

static void answer_status(struct ipc_client *client)
{
	struct status_reply *status = (void *)client->server->answer;

	memset(status, 0, sizeof(*status));
	broker_status(client->server->broker, status);
	status->header.id = REQUEST_STATUS;
	client_send(client, status, sizeof(*status));
}

static void answer_blocks(struct ipc_client *client, uint32_t first)
{
	struct blocks_reply *blocks = (void *)client->server->answer;

	memset(blocks, 0, sizeof(*blocks));
	blocks->header.id = REQUEST_BLOCKS;
	blocks->n_blocks = (uint32_t)broker_blocks(client->server->broker, first, blocks->blocks,
						   BLOCKS_PER_REPLY, &blocks->next_id);
	client_send(client, blocks, sizeof(*blocks) + blocks->n_blocks * sizeof(struct slot_block));
}

/* Requests that are answered later: one per client at a time. */
static void defer(struct ipc_client *client, const union request_message *message)
{
	enum request_kind kind = (enum request_kind)message->request.header.id;
	struct broker *broker = client->server->broker;
	int r;

	if (client->deferred != 0) {
		reply(client, kind, -EBUSY, "an earlier request of this client is not answered yet");
		return;
	}
	client->deferred = kind;
	if (kind == REQUEST_GLOBAL)
		r = broker_set_global(broker, message->global.maintenance, deferred_answer, client);
	else
		r = broker_command(broker, message->command.command, message->command.argument,
				   deferred_answer, client);
	if (r == 0)
		return;
	client->deferred = 0;
	reply(client, kind, r,
	      r == -EHOSTDOWN ? "no agent is connected: is ovirt-ha-agent running?"
	      : r == -EBUSY   ? "too many requests wait already"
	      : r == -EXDEV   ? other_domain_text
			      : "");
}

static void serve(struct ipc_client *client, union request_message *message)
{
	struct broker *broker = client->server->broker;
	enum request_kind kind = (enum request_kind)message->request.header.id;
	int r;

	switch (kind) {
	case REQUEST_FACTS:
		answer_facts(client);
		return;
	case REQUEST_PUBLISH:
		broker_publish(broker, &message->publish);
		return;
	case REQUEST_AGENT:
		r = client->agent ? -EALREADY : broker_agent_attach(broker, &agent_calls, client);
		/* Its answers are events from here on, a refusal too: it listens to nothing else. */
		client->agent = true;
		reply(client, kind, r, r == -EEXIST ? "another agent is registered" : "");
		if (r == -EEXIST)
			client->agent = false;
		return;
	case REQUEST_ANSWER:
		r = broker_answer(broker, message->answer.ticket, message->answer.error,
				  message->answer.text);
		reply(client, kind, r, "");
		return;
	case REQUEST_STATUS:
		answer_status(client);
		return;
	case REQUEST_BLOCKS:
		answer_blocks(client, message->blocks.first_id);
		return;
	case REQUEST_GLOBAL:
	case REQUEST_COMMAND:
		defer(client, message);
		return;
	case REQUEST_KIND_END:
		break;
	}
	assert(false);
}

static int32_t client_message(qb_ipcs_connection_t *connection, void *data, size_t size)
{
	struct ipc_client *client = qb_ipcs_context_get(connection);
	union request_message message;
	const char *why = "";
	enum request_kind kind;
	int r = request_check(data, size, &message, &why);

	kind = (enum request_kind)message.request.header.id;
	if (r < 0) {
		refuse(client, kind, r, why);
		return 0;
	}
	if (request_changes(kind) && client->right != RIGHT_CHANGE && !client->refused) {
		/* Once for each connection: a reader must not fill the log. */
		client->refused = true;
		log_warning("change refused uid=%u pid=%d request=%d: it needs root or user %s; nothing was "
			    "changed",
			    client->uid, client->pid, (int)kind, SERVICE_ACCOUNT);
	}
	if ((request_changes(kind) && client->right != RIGHT_CHANGE) ||
	    (request_is_agents(kind) && !client->agent)) {
		refuse(client, kind, -EACCES,
		       request_is_agents(kind) ? "for the registered agent only"
					       : "needs root or user " SERVICE_ACCOUNT);
		return 0;
	}
	serve(client, &message);
	return 0;
}

int ipc_server_new(struct broker *broker, const struct service_account *account, struct loop *loop,
		   struct ipc_server **ret)
{
	_cleanup_free_ struct ipc_server *server = NULL;
	const char *name = getenv("OVIRT_HA_BROKER_SOCKET");
	struct qb_ipcs_service_handlers handlers = {
		.connection_accept = client_accept,
		.connection_created = client_created,
		.msg_process = client_message,
		.connection_closed = client_closed,
		.connection_destroyed = client_destroyed,
	};
	struct qb_ipcs_poll_handlers polls = {
		.job_add = job_add,
		.dispatch_add = poll_add,
		.dispatch_mod = poll_mod,
		.dispatch_del = poll_del,
	};
	int r;

	assert(!the_server);
	server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->broker = broker;
	server->loop = loop;
	server->account = *account;
	server->service = qb_ipcs_create(name && *name ? name : BROKER_SOCKET, 0, QB_IPC_SHM, &handlers);
	if (!server->service)
		return -ENOMEM;
	qb_ipcs_service_context_set(server->service, server);
	qb_ipcs_poll_handlers_set(server->service, &polls);
	the_server = server;
	r = qb_ipcs_run(server->service);
	if (r < 0) {
		the_server = NULL;
		return r;
	}
	*ret = TAKE_PTR(server);
	return 0;
}

void ipc_server_free(struct ipc_server *server)
{
	if (!server)
		return;
	qb_ipcs_destroy(server->service);
	the_server = NULL;
	free(server);
}
