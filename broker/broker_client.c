/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The only client-side file that includes libqb's IPC. It moves messages, checks their lengths and decides
 * nothing. Connecting uses libqb's asynchronous way, because its simple one waits without limit for a broker
 * that is stopped; the agent's side uses events alone, because a libqb response wakes no descriptor. Used by
 * hosted-engine and the agent. */
#include "broker/broker_client.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <qb/qbipcc.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/loop.h"
#include "util/service_account.h"

#define CONNECT_MS 2000
/* libqb makes three rings of it, all of them dirty memory: enough for the facts of some 300 hosts. A larger
 * cluster makes the agent connect again with PROTOCOL_MESSAGE_MAX. */
#define AGENT_RING (64 * 1024)
#define RETRY_FIRST_MS 100
#define RETRY_MAX_MS 2000
/* Unanswered publishes; more are merged. A broker that is stopped must never find its ring full: libqb would
 * spin. */
#define PUBLISH_WINDOW 8
#define MESSAGES_PER_WAKE 16

static const char *socket_name(void)
{
	const char *name = getenv("OVIRT_HA_BROKER_SOCKET");

	return name && *name ? name : BROKER_SOCKET;
}

/* libqb's words for a broker that is not there, and ours. */
static int client_error(ssize_t error)
{
	switch (-error) {
	case ECONNREFUSED:
	case ENOENT:
	case ENOTCONN:
	case EPIPE:
	case ECONNRESET:
	case ESHUTDOWN:
	case EBADF:
		return -ENOTCONN;
	case EACCES:
	case EPERM:
		return -EACCES;
	case EAGAIN:
	case ETIMEDOUT:
		return -ETIMEDOUT;
	default:
		return (int)error;
	}
}

/* The socket's name is abstract: anyone could have taken it before the broker. */
static int check_server(qb_ipcc_connection_t *connection, const struct service_account *account)
{
	pid_t pid;
	uid_t uid;
	gid_t gid;

	if (qb_ipcc_auth_get(connection, &pid, &uid, &gid) < 0)
		return -EPROTO;
	return uid == 0 || uid == geteuid() || (account->has_user && uid == account->uid) ? 0 : -EPROTO;
}

static void request_init(struct request *request, enum request_kind kind, size_t size)
{
	request->header.id = (int32_t)kind;
	request->header.size = (int32_t)size;
	request->version = PROTOCOL_VERSION;
}

/* A connection that was begun and never continued: libqb frees it but leaves its descriptor open. */
static void abandon(qb_ipcc_connection_t *connection, int fd)
{
	qb_ipcc_disconnect(connection);
	close(fd);
}

struct broker_client {
	qb_ipcc_connection_t *connection;
	bool broken;
	union {
		struct qb_ipc_response_header header;
		struct reply reply;
		struct status_reply status;
		uint8_t bytes[PROTOCOL_READER_MAX];
	} answer;
};

_Static_assert(sizeof(struct blocks_reply) + BLOCKS_PER_REPLY * sizeof(struct slot_block) <
		       PROTOCOL_READER_MAX,
	       "a full answer must fit the reader's ring");

int broker_client_open(int timeout_ms, struct broker_client **ret)
{
	_cleanup_free_ struct broker_client *client = NULL;
	struct pollfd ready = {.events = POLLIN};
	struct service_account account;
	qb_ipcc_connection_t *connection;
	int r;

	client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	connection = qb_ipcc_connect_async(socket_name(), PROTOCOL_READER_MAX, &ready.fd);
	if (!connection)
		return client_error(-errno);
	do
		r = poll(&ready, 1, timeout_ms);
	while (r < 0 && errno == EINTR);
	if (r <= 0) {
		abandon(connection, ready.fd);
		return -ETIMEDOUT;
	}
	r = qb_ipcc_connect_continue(connection);
	if (r < 0)
		return client_error(r);
	client->connection = connection;
	service_account_find(&account);
	r = check_server(connection, &account);
	if (r < 0) {
		broker_client_close(TAKE_PTR(client));
		return r;
	}
	*ret = TAKE_PTR(client);
	return 0;
}

void broker_client_close(struct broker_client *client)
{
	if (!client)
		return;
	qb_ipcc_disconnect(client->connection);
	free(client);
}

/* Sends and waits; the answer's bytes are in client->answer, its length is the result. */
static ssize_t call(struct broker_client *client, const void *request, size_t size, size_t least,
		    int timeout_ms)
{
	struct iovec iov = {.iov_base = (void *)request, .iov_len = size};
	const struct request *head = request;
	ssize_t n;

	if (client->broken)
		return -ENOTCONN;
	n = qb_ipcc_sendv_recv(client->connection, &iov, 1, &client->answer, sizeof(client->answer),
			       timeout_ms);
	if (n < 0) {
		/* A late answer would be taken for the next one's. */
		client->broken = true;
		return client_error(n);
	}
	if ((size_t)n < sizeof(client->answer.header) || client->answer.header.id != head->header.id ||
	    client->answer.header.size != n) {
		client->broken = true;
		return -EPROTO;
	}
	/* A refusal of whatever request is a struct reply. */
	if (client->answer.header.error < 0)
		return client->answer.header.error;
	if ((size_t)n < least) {
		client->broken = true;
		return -EPROTO;
	}
	return n;
}

int broker_client_status(struct broker_client *client, int timeout_ms, struct status_reply *ret)
{
	struct request request = {};
	ssize_t n;

	request_init(&request, REQUEST_STATUS, sizeof(request));
	n = call(client, &request, sizeof(request), sizeof(*ret), timeout_ms);
	if (n < 0)
		return (int)n;
	*ret = client->answer.status;
	ret->hostname[sizeof(ret->hostname) - 1] = '\0';
	ret->trouble[sizeof(ret->trouble) - 1] = '\0';
	return 0;
}

int broker_client_blocks(struct broker_client *client, uint32_t first, int timeout_ms, struct slot_block *ret,
			 uint32_t *ret_n, uint32_t *ret_next)
{
	struct blocks_request request = {.first_id = first};
	struct blocks_reply reply;
	ssize_t n;

	request_init(&request.request, REQUEST_BLOCKS, sizeof(request));
	n = call(client, &request, sizeof(request), sizeof(reply), timeout_ms);
	if (n < 0)
		return (int)n;
	memcpy(&reply, &client->answer, sizeof(reply));
	if (reply.n_blocks > BLOCKS_PER_REPLY ||
	    (size_t)n != sizeof(reply) + reply.n_blocks * sizeof(struct slot_block) ||
	    (reply.next_id != 0 && reply.next_id <= first)) {
		client->broken = true;
		return -EPROTO;
	}
	memcpy(ret, client->answer.bytes + offsetof(struct blocks_reply, blocks),
	       reply.n_blocks * sizeof(struct slot_block));
	*ret_n = reply.n_blocks;
	*ret_next = reply.next_id;
	return 0;
}

int broker_client_all_blocks(struct broker_client *client, int timeout_ms, struct slot_block **ret,
			     size_t *ret_n)
{
	_cleanup_free_ struct slot_block *blocks = NULL;
	uint32_t next = 0, n;
	size_t count = 0;
	int r;

	do {
		struct slot_block *more =
			reallocarray(blocks, count + BLOCKS_PER_REPLY, sizeof(struct slot_block));

		if (!more)
			return -ENOMEM;
		blocks = more;
		r = broker_client_blocks(client, next, timeout_ms, blocks + count, &n, &next);
		if (r < 0)
			return r;
		count += n;
		if (count > BLOCKS_MAX)
			return -EPROTO;
	} while (next != 0);
	*ret = TAKE_PTR(blocks);
	*ret_n = count;
	return 0;
}

static int call_with_text(struct broker_client *client, const void *request, size_t size, int timeout_ms,
			  char text[TEXT_MAX])
{
	ssize_t n;

	text[0] = '\0';
	client->answer.header = (struct qb_ipc_response_header){};
	n = call(client, request, size, sizeof(struct reply), timeout_ms);
	if (!client->broken && client->answer.header.size == (int32_t)sizeof(struct reply)) {
		memcpy(text, client->answer.reply.text, TEXT_MAX);
		text[TEXT_MAX - 1] = '\0';
	}
	return n < 0 ? (int)n : 0;
}

int broker_client_global(struct broker_client *client, bool maintenance, int timeout_ms, char text[TEXT_MAX])
{
	struct global_request request;

	memset(&request, 0, sizeof(request));
	request.maintenance = maintenance;
	request_init(&request.request, REQUEST_GLOBAL, sizeof(request));
	return call_with_text(client, &request, sizeof(request), timeout_ms, text);
}

int broker_client_command(struct broker_client *client, enum command command, const char *argument,
			  int timeout_ms, char text[TEXT_MAX])
{
	struct command_request request;

	memset(&request, 0, sizeof(request));
	request.command = command;
	if (argument) {
		if (strlen(argument) >= sizeof(request.argument))
			return -ENAMETOOLONG;
		strcpy(request.argument, argument);
	}
	request_init(&request.request, REQUEST_COMMAND, sizeof(request));
	return call_with_text(client, &request, sizeof(request), timeout_ms, text);
}

/* The agent's side: connect (descriptor readable) -> continue -> REQUEST_AGENT -> its answer -> up. */
enum link_state {
	LINK_IDLE,    /* waits for the retry timer */
	LINK_CONNECT, /* waits for the broker's greeting */
	LINK_REGISTER,
	LINK_UP
};

struct link {
	struct broker_port port; /* first */
	struct loop *loop;
	struct service_account account;
	const struct broker_calls *calls;
	void *data;
	qb_ipcc_connection_t *connection;
	int fd;
	enum link_state state;
	struct timer timer; /* retry, and the deadline of connecting and registering */
	struct timer ask_timer;
	int64_t retry_ms;
	size_t ring;
	int told_lost; /* the error that the owner knows of, 0: none */
	bool asked, late;
	uint64_t serial; /* of the last publish() */
	uint64_t sent;	 /* last sent */
	uint64_t unanswered[PUBLISH_WINDOW];
	unsigned window;		/* how many of them */
	struct publish_request pending; /* its serial is above `sent`: to be sent */
	uint8_t *buffer;
	bool dispatching, closed;
};

static void link_connect(struct link *link);
static void link_ready(int fd, short revents, void *data);

static mono_t link_now(struct link *link)
{
	struct clock_port *clock = loop_clock(link->loop);

	return clock->now(clock);
}

static void link_set_timer(struct link *link, struct timer *timer, int64_t ms)
{
	struct clock_port *clock = loop_clock(link->loop);

	clock->set(clock, timer, mono_add(link_now(link), ms));
}

static void link_cancel(struct link *link, struct timer *timer)
{
	struct clock_port *clock = loop_clock(link->loop);

	clock->cancel(clock, timer);
}

static void link_drop(struct link *link)
{
	if (link->connection) {
		loop_del_fd(link->loop, link->fd);
		if (link->state == LINK_CONNECT)
			abandon(link->connection, link->fd);
		else
			qb_ipcc_disconnect(link->connection);
		link->connection = NULL;
		link->fd = -1;
	}
	link_cancel(link, &link->ask_timer);
	link->state = LINK_IDLE;
	link->asked = link->late = false;
	link->window = 0;
	link->sent = link->serial;
}

static void link_lost(struct link *link, int error)
{
	link_drop(link);
	link_set_timer(link, &link->timer, link->retry_ms);
	link->retry_ms = link->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : link->retry_ms * 2;
	/* The broker may come back and refuse: that is for the operator, a broker that is away is not. */
	if (link->told_lost != error) {
		link->told_lost = error;
		link->calls->lost(link->data, error);
	}
}

/* 0 or -errno; never waits: the few messages that may be under way always fit the ring. */
static int link_send(struct link *link, const void *message, size_t size)
{
	ssize_t n = qb_ipcc_send(link->connection, message, size);

	if (n < 0)
		return client_error(n);
	return (size_t)n == size ? 0 : -EPROTO;
}

static void link_timer_fired(struct timer *timer)
{
	struct link *link = (struct link *)((char *)timer - offsetof(struct link, timer));

	if (link->state == LINK_IDLE)
		link_connect(link);
	else if (link->state != LINK_UP)
		link_lost(link, -ENOTCONN);
}

static void link_ask_late(struct timer *timer)
{
	struct link *link = (struct link *)((char *)timer - offsetof(struct link, ask_timer));

	link->late = true;
	link->calls->facts(link->data, -ETIMEDOUT, NULL, NULL, 0);
}

static void link_connect(struct link *link)
{
	int fd, r;

	link->connection = qb_ipcc_connect_async(socket_name(), link->ring, &fd);
	if (!link->connection) {
		link_lost(link, client_error(-errno));
		return;
	}
	link->fd = fd;
	link->state = LINK_CONNECT;
	r = loop_add_fd(link->loop, fd, POLLIN, link_ready, link);
	if (r < 0) {
		abandon(TAKE_PTR(link->connection), fd);
		link_lost(link, r);
		return;
	}
	link_set_timer(link, &link->timer, CONNECT_MS);
}

static void link_greeted(struct link *link)
{
	qb_ipcc_connection_t *connection = TAKE_PTR(link->connection);
	struct request request;
	int fd, r;

	loop_del_fd(link->loop, link->fd);
	r = qb_ipcc_connect_continue(connection); /* frees it when it fails */
	if (r < 0) {
		link_lost(link, client_error(r));
		return;
	}
	link->connection = connection;
	link->state = LINK_REGISTER;
	qb_ipcc_fd_get(connection, &fd);
	link->fd = fd;
	r = loop_add_fd(link->loop, fd, POLLIN, link_ready, link);
	if (r < 0) {
		qb_ipcc_disconnect(TAKE_PTR(link->connection));
		link_lost(link, r);
		return;
	}
	r = check_server(connection, &link->account);
	if (r == 0) {
		memset(&request, 0, sizeof(request));
		request_init(&request, REQUEST_AGENT, sizeof(request));
		r = link_send(link, &request, sizeof(request));
	}
	if (r < 0)
		link_lost(link, r);
}

static void link_flush(struct link *link)
{
	int r;

	if (link->state != LINK_UP || link->sent == link->serial || link->window >= PUBLISH_WINDOW)
		return;
	r = link_send(link, &link->pending, sizeof(link->pending));
	if (r < 0)
		return; /* the descriptor tells of a loss */
	link->sent = link->pending.serial;
	link->unanswered[link->window++] = link->sent;
}

/* One answer is for all that came before it too: the broker writes the last of several. */
static void link_answered(struct link *link, uint64_t serial)
{
	unsigned left = 0;

	for (unsigned i = 0; i < link->window; i++)
		if (link->unanswered[i] > serial)
			link->unanswered[left++] = link->unanswered[i];
	link->window = left;
}

static int link_take(struct link *link, size_t n)
{
	const struct qb_ipc_response_header *header = (const void *)link->buffer;

	if (n < sizeof(*header) || header->size != (int32_t)n)
		return -EPROTO;
	switch (header->id) {
	case REQUEST_AGENT:
		if (link->state != LINK_REGISTER)
			return -EPROTO;
		if (header->error < 0)
			return header->error;
		link->state = LINK_UP;
		link->retry_ms = RETRY_FIRST_MS;
		link->told_lost = 0;
		link_cancel(link, &link->timer);
		link->calls->connected(link->data);
		return 0;
	case REQUEST_FACTS: {
		const struct facts_reply *reply = (const void *)link->buffer;

		if (header->error == -EMSGSIZE) {
			link->ring = PROTOCOL_MESSAGE_MAX;
			return -EMSGSIZE;
		}
		if (n < sizeof(*reply) || reply->n_peers > HOST_ID_MAX ||
		    n != sizeof(*reply) + reply->n_peers * sizeof(struct peer))
			return -EPROTO;
		link_cancel(link, &link->ask_timer);
		link->asked = link->late = false;
		link->calls->facts(link->data, 0, &reply->cluster, reply->peers, reply->n_peers);
		return 0;
	}
	case REQUEST_PUBLISH: {
		const struct publish_reply *reply = (const void *)link->buffer;

		if (n != sizeof(*reply))
			return -EPROTO;
		link_answered(link, reply->serial);
		link_flush(link);
		link->calls->published(link->data, reply->serial, header->error, reply->target);
		return 0;
	}
	case REQUEST_ANSWER:
		return 0;
	case EVENT_CHANGED:
		link->calls->changed(link->data);
		return 0;
	case EVENT_COMMAND: {
		struct command_event *event = (void *)link->buffer;

		if (n != sizeof(*event))
			return -EPROTO;
		event->argument[TEXT_MAX - 1] = '\0';
		link->calls->command(link->data, event->ticket, event->command, event->argument);
		return 0;
	}
	default:
		return -EPROTO;
	}
}

static void link_free(struct link *link)
{
	link_cancel(link, &link->timer);
	free(link->buffer);
	free(link);
}

static void link_ready(int fd, short revents, void *data)
{
	struct link *link = data;
	int r = 0;

	if (link->state == LINK_CONNECT) {
		link_greeted(link);
		return;
	}
	link->dispatching = true;
	for (unsigned i = 0; i < MESSAGES_PER_WAKE && r == 0 && link->connection && !link->closed; i++) {
		ssize_t n = qb_ipcc_event_recv(link->connection, link->buffer, PROTOCOL_MESSAGE_MAX, 0);

		if (n == -EAGAIN || n == -ETIMEDOUT || n == -EINTR)
			break;
		r = n < 0 ? client_error(n) : link_take(link, (size_t)n);
	}
	if (r == 0 && (revents & (POLLHUP | POLLERR | POLLNVAL)))
		r = -ENOTCONN;
	if (r < 0 && link->connection && !link->closed)
		link_lost(link, r);
	link->dispatching = false;
	if (link->closed)
		link_free(link);
}

static int link_ask(struct broker_port *port)
{
	struct link *link = (struct link *)port;
	struct request request;
	int r;

	if (link->state != LINK_UP)
		return -ENOTCONN;
	if (link->asked) {
		if (link->late) { /* still the same question; the patience begins anew */
			link->late = false;
			link_set_timer(link, &link->ask_timer, BROKER_ANSWER_MS);
		}
		return 0;
	}
	memset(&request, 0, sizeof(request));
	request_init(&request, REQUEST_FACTS, sizeof(request));
	r = link_send(link, &request, sizeof(request));
	if (r < 0)
		return -ENOTCONN;
	link->asked = true;
	link->late = false;
	link_set_timer(link, &link->ask_timer, BROKER_ANSWER_MS);
	return 0;
}

static int link_publish(struct broker_port *port, const struct publish_request *request, uint64_t *ret_serial)
{
	struct link *link = (struct link *)port;

	if (link->state != LINK_UP)
		return -ENOTCONN;
	link->pending = *request;
	request_init(&link->pending.request, REQUEST_PUBLISH, sizeof(link->pending));
	link->pending.serial = ++link->serial;
	link_flush(link);
	*ret_serial = link->serial;
	return 0;
}

static int link_answer(struct broker_port *port, uint64_t ticket, int error, const char *text)
{
	struct link *link = (struct link *)port;
	struct answer_request request;

	if (link->state != LINK_UP)
		return -ENOTCONN;
	memset(&request, 0, sizeof(request));
	request_init(&request.request, REQUEST_ANSWER, sizeof(request));
	request.ticket = ticket;
	request.error = error;
	strncpy(request.text, text ? text : "", TEXT_MAX - 1);
	return link_send(link, &request, sizeof(request)) < 0 ? -ENOTCONN : 0;
}

static bool link_connected(struct broker_port *port)
{
	return ((struct link *)port)->state == LINK_UP;
}

static void link_close(struct broker_port *port)
{
	struct link *link = (struct link *)port;

	link_drop(link);
	link_cancel(link, &link->timer);
	if (link->dispatching)
		link->closed = true; /* freed when the call that we are in has ended */
	else
		link_free(link);
}

static const struct broker_port link_port = {
	.ask = link_ask,
	.publish = link_publish,
	.answer = link_answer,
	.connected = link_connected,
	.close = link_close,
};

int broker_client_port_new(struct loop *loop, const struct broker_calls *calls, void *data,
			   struct broker_port **ret)
{
	_cleanup_free_ struct link *link = NULL;

	assert(loop && calls);
	link = calloc(1, sizeof(*link));
	if (!link)
		return -ENOMEM;
	link->buffer = malloc(PROTOCOL_MESSAGE_MAX);
	if (!link->buffer)
		return -ENOMEM;
	service_account_find(&link->account);
	link->port = link_port;
	link->loop = loop;
	link->calls = calls;
	link->data = data;
	link->fd = -1;
	link->retry_ms = RETRY_FIRST_MS;
	link->ring = AGENT_RING;
	link->timer.fire = link_timer_fired;
	link->ask_timer.fire = link_ask_late;
	link_set_timer(link, &link->timer, 0);
	*ret = &TAKE_PTR(link)->port;
	return 0;
}
