/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asks a server's mount service for its exports. It mounts nothing. Every wait ends at the caller's deadline;
 * a context that was late is thrown away, since libnfs can't use it any more. Called by hosted-engine, for
 * deployment. */
#include "storage/server_discovery.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <nfsc/libnfs.h> /* before the others, which take from it */

#include <nfsc/libnfs-raw-mount.h>
#include <nfsc/libnfs-raw.h>

#include "util/clock.h"

#define TICK_MS 200
#define EXPORTS_MAX 1000

struct question {
	struct rpc_context *context;
	mono_t deadline;
	bool ended;
	int error;	  /* 0 or -errno; -EIO: why says it */
	int socket_error; /* of the connection, which libnfs does not tell */
	char why[256];
	struct nfs_export *exports;
	size_t n;
};

static void end(struct question *question, int status, const void *data)
{
	question->ended = true;
	if (status == RPC_STATUS_SUCCESS)
		return;
	question->error = status < 0 ? status : status == RPC_STATUS_TIMEOUT ? -ETIMEDOUT : -EIO;
	if (status != RPC_STATUS_CANCEL && data)
		snprintf(question->why, sizeof(question->why), "%.200s", (const char *)data);
}

static void connected(struct rpc_context *context, int status, void *data, void *private_data)
{
	end(private_data, status, data);
}

/* libnfs packs what it decodes: its nodes lie at any address. */
static struct exportnode export_at(const void *at)
{
	struct exportnode node;

	memcpy(&node, at, sizeof(node));
	return node;
}

static char *clients_of(const void *groups)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	struct groupnode group;

	if (!to)
		return NULL;
	for (const void *at = groups; at; at = group.gr_next) {
		memcpy(&group, at, sizeof(group));
		fprintf(to, "%s%s", at == groups ? "" : " ", group.gr_name);
	}
	return fclose(to) == 0 ? text : NULL;
}

/* The list is libnfs' until this returns. */
static void listed(struct rpc_context *context, int status, void *data, void *private_data)
{
	struct question *question = private_data;
	const void *list = NULL;
	size_t n = 0;

	end(question, status, data);
	if (question->error < 0 || !data)
		return;
	memcpy(&list, data, sizeof(list));
	for (const void *at = list; at && n < EXPORTS_MAX; at = export_at(at).ex_next)
		n++;
	question->exports = calloc(n + 1, sizeof(*question->exports));
	if (!question->exports) {
		question->error = -ENOMEM;
		return;
	}
	for (const void *at = list; question->n < n; at = export_at(at).ex_next) {
		struct nfs_export *to = &question->exports[question->n++];

		to->path = strdup(export_at(at).ex_dir);
		to->clients = clients_of(export_at(at).ex_groups);
		if (!to->path || !to->clients)
			question->error = -ENOMEM;
	}
}

static void take_socket_error(struct question *question)
{
	socklen_t size = sizeof(question->socket_error);

	if (question->socket_error == 0 && getsockopt(rpc_get_fd(question->context), SOL_SOCKET, SO_ERROR,
						      &question->socket_error, &size) < 0)
		question->socket_error = 0;
}

static int wait_for(struct question *question, int begun)
{
	const char *text;

	while (begun == 0 && !question->ended) {
		mono_t left = question->deadline - clock_mono();
		struct pollfd fd = {.fd = rpc_get_fd(question->context),
				    .events = (short)rpc_which_events(question->context)};

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&fd, 1, left < TICK_MS ? (int)left : TICK_MS) < 0 && errno != EINTR)
			return -errno;
		if (fd.revents & (POLLERR | POLLHUP))
			take_socket_error(question);
		if (rpc_service(question->context, fd.revents) < 0)
			begun = -1;
	}
	if (question->socket_error > 0 && !(question->ended && question->error == 0))
		return -question->socket_error;
	if (question->ended) {
		question->ended = false;
		return question->error;
	}
	text = rpc_get_error(question->context);
	if (!question->why[0] && text)
		snprintf(question->why, sizeof(question->why), "%.200s", text);
	return -EIO;
}

static int ask(struct question *question, const char *server, uint16_t port)
{
	int r;

	if (port == 0)
		return wait_for(question,
				mount_getexports_async(question->context, server, listed, question));
	r = wait_for(question, rpc_connect_port_async(question->context, server, port, MOUNT_PROGRAM,
						      MOUNT_V3, connected, question));
	return r < 0 ? r : wait_for(question, rpc_mount3_export_async(question->context, listed, question));
}

int nfs_exports_find(const char *server, uint16_t port, mono_t deadline, struct nfs_export **ret,
		     size_t *ret_n, char ret_why[DISCOVERY_WHY_SIZE])
{
	struct question question = {.context = rpc_init_context(), .deadline = deadline};
	int r = question.context ? ask(&question, server, port) : -ENOMEM;

	/* What is under way is cancelled here, into `question`. */
	if (question.context)
		rpc_destroy_context(question.context);
	if (r < 0) {
		nfs_exports_free(question.exports, question.n);
		snprintf(ret_why, DISCOVERY_WHY_SIZE, "%.200s: %s", server,
			 r == -ETIMEDOUT		? "no answer"
			 : r == -EIO && question.why[0] ? question.why
							: strerror(-r));
		return r;
	}
	*ret = question.exports;
	*ret_n = question.n;
	return 0;
}

void nfs_exports_free(struct nfs_export *list, size_t n)
{
	for (size_t i = 0; list && i < n; i++) {
		free(list[i].path);
		free(list[i].clients);
	}
	free(list);
}
