/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers as scripted, decides nothing. What it was asked stands in memory shared with the test. */
#include "tests/unit/broker_stand_in.h"

#include <qb/qbipcs.h>
#include <qb/qbloop.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASKED_MAX 512

static char *asked; /* shared with the process of the stand-in */
static const struct script *script;
static qb_loop_t *loop;
static unsigned statuses;

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
	size_t len = strlen(asked);
	va_list ap;

	va_start(ap, format);
	vsnprintf(asked + len, ASKED_MAX - len, format, ap);
	va_end(ap);
}

static void answer(qb_ipcs_connection_t *c, struct qb_ipc_response_header *header, int id, size_t size,
		   int error)
{
	header->id = id;
	header->size = (int32_t)size;
	header->error = error;
	qb_ipcs_response_send(c, header, size);
}

static void answer_text(qb_ipcs_connection_t *c, int id, int error, const char *text)
{
	struct reply reply = {0};

	snprintf(reply.text, sizeof(reply.text), "%s", text ? text : "");
	answer(c, &reply.header, id, sizeof(reply), error);
}

static void answer_status(qb_ipcs_connection_t *c)
{
	static struct status_reply reply;

	memset(&reply, 0, sizeof(reply));
	if (script->status_error) {
		answer_text(c, REQUEST_STATUS, script->status_error, "");
		return;
	}
	reply.cluster.host_id = 1;
	reply.cluster.maintenance = script->maintenance;
	reply.cluster.owner = OWNER_HOST;
	reply.cluster.owner_id = 1;
	reply.cluster.qemu_pid = 77;
	statuses++;
	if (statuses > script->here_for)
		reply.cluster.qemu_pid = 0;
	if (statuses > script->here_for + script->free_for)
		reply.cluster.owner_id = 2;
	reply.now = 10000;
	reply.store = (struct store_health){.last_read = 7000,
					    .last_write = 8000,
					    .read_ms = 3,
					    .write_ms = 4,
					    .stuck_since = MONO_UNSET};
	reply.agent_connected = !script->no_agent;
	snprintf(reply.trouble, sizeof(reply.trouble), "%s", script->trouble ? script->trouble : "");
	answer(c, &reply.header, REQUEST_STATUS, sizeof(reply), 0);
}

static void answer_blocks(qb_ipcs_connection_t *c, uint32_t first)
{
	static union {
		struct blocks_reply reply;
		uint8_t bytes[sizeof(struct blocks_reply) + BLOCKS_PER_REPLY * sizeof(struct slot_block)];
	} u;
	uint32_t last = script->n_hosts ? script->n_hosts : 1, id = first ? first : 1, n = 0;

	memset(&u.reply, 0, sizeof(u.reply));
	for (; id <= last && n < BLOCKS_PER_REPLY; id++, n++) {
		struct slot_block *slot = &u.reply.blocks[n];

		/* Only the first has the block's host id; the others are unreadable, which is as long an
		 * answer. */
		slot->id = id;
		slot->fresh = true;
		slot->read_at = slot->changed_at = 8000;
		memcpy(slot->block, script->block, BLOCK_SIZE);
	}
	u.reply.n_blocks = n;
	u.reply.next_id = id <= last ? id : 0;
	answer(c, &u.reply.header, REQUEST_BLOCKS, sizeof(u.reply) + n * sizeof(struct slot_block), 0);
}

static int32_t on_message(qb_ipcs_connection_t *c, void *data, size_t size)
{
	const struct request *request = data;

	switch (request->header.id) {
	case REQUEST_STATUS:
		note("status ");
		answer_status(c);
		break;
	case REQUEST_BLOCKS:
		note("blocks ");
		answer_blocks(c, ((const struct blocks_request *)data)->first_id);
		break;
	case REQUEST_GLOBAL:
		note("global=%d ", ((const struct global_request *)data)->maintenance);
		answer_text(c, REQUEST_GLOBAL, script->global_error, script->global_text);
		break;
	case REQUEST_COMMAND:
		note("command=%d%s ", (int)((const struct command_request *)data)->command,
		     ((const struct command_request *)data)->argument);
		answer_text(c, REQUEST_COMMAND, script->command_error, script->command_text);
		break;
	default:
		note("unknown ");
	}
	return 0;
}

static int32_t on_accept(qb_ipcs_connection_t *c, uid_t uid, gid_t gid)
{
	return 0;
}

static void on_created(qb_ipcs_connection_t *c)
{
}

static int32_t on_closed(qb_ipcs_connection_t *c)
{
	return 0;
}

static int32_t job_add(enum qb_loop_priority p, void *data, qb_loop_job_dispatch_fn fn)
{
	return qb_loop_job_add(loop, p, data, fn);
}

static int32_t poll_add(enum qb_loop_priority p, int32_t fd, int32_t events, void *data,
			qb_ipcs_dispatch_fn_t fn)
{
	return qb_loop_poll_add(loop, p, fd, events, data, fn);
}

static int32_t poll_mod(enum qb_loop_priority p, int32_t fd, int32_t events, void *data,
			qb_ipcs_dispatch_fn_t fn)
{
	return qb_loop_poll_mod(loop, p, fd, events, data, fn);
}

static int32_t poll_del(int32_t fd)
{
	return qb_loop_poll_del(loop, fd);
}

static int32_t on_stop(int32_t signal, void *data)
{
	qb_loop_stop(loop);
	return 0;
}

/* In the child. Writes a byte to `ready` once clients are served. */
static void serve(int ready)
{
	struct qb_ipcs_service_handlers handlers = {.connection_accept = on_accept,
						    .connection_created = on_created,
						    .msg_process = on_message,
						    .connection_closed = on_closed};
	struct qb_ipcs_poll_handlers polls = {.job_add = job_add,
					      .dispatch_add = poll_add,
					      .dispatch_mod = poll_mod,
					      .dispatch_del = poll_del};
	qb_ipcs_service_t *service;

	alarm(60);
	loop = qb_loop_create();
	service = qb_ipcs_create(getenv("OVIRT_HA_BROKER_SOCKET"), 0, QB_IPC_SHM, &handlers);
	qb_ipcs_poll_handlers_set(service, &polls);
	qb_loop_signal_add(loop, QB_LOOP_HIGH, SIGTERM, NULL, on_stop, NULL);
	if (qb_ipcs_run(service) < 0 || write(ready, "", 1) != 1)
		_exit(1);
	close(ready);
	qb_loop_run(loop);
	qb_ipcs_destroy(service);
	_exit(0);
}

pid_t broker_stand_in_start(const struct script *with)
{
	int ready[2];
	char byte;
	pid_t pid;

	if (!asked)
		asked = mmap(NULL, ASKED_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (asked == MAP_FAILED || pipe(ready) < 0)
		return -1;
	memset(asked, 0, ASKED_MAX);
	pid = fork();
	if (pid == 0) {
		script = with;
		close(ready[0]);
		serve(ready[1]);
	}
	close(ready[1]);
	if (pid > 0 && read(ready[0], &byte, 1) != 1)
		pid = -1;
	close(ready[0]);
	return pid;
}

int broker_stand_in_stop(pid_t pid)
{
	int status;

	if (kill(pid, SIGTERM) < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

const char *broker_stand_in_asked(void)
{
	return asked;
}
