/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real poke port: a closed process group of corosync (CPG), named after the cluster. It decides when to
 * connect again, nothing of what is sent. Calls that wait for corosync (connect, join, the end of what was
 * before) run on a worker: one that hangs keeps the worker, not the loop, and nothing else waits for it.
 * Called by poke_link.c. */
#include <corosync/cpg.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/poke_port.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/loop.h"
#include "util/worker.h"

#define AGAIN_MS 1000 /* twice as long each time, */
#define AGAIN_MAX_MS 30000
#define LASTED_MS 10000 /* unless it worked for so long */
/* Messages of one turn of the loop: whoever sends without end must not keep it. */
#define TURN 64

struct poke_cpg {
	struct poke_port port; /* first */
	struct loop *loop;
	struct clock_port *clock;
	const struct poke_calls *calls;
	void *data;
	struct worker *worker;
	struct timer again;
	int64_t again_ms;
	struct cpg_name group;
	cpg_handle_t handle;
	int fd;	     /* of the handle, -1: not connected */
	bool ending; /* the handle is to be ended before the next connection */
	bool joined; /* the group has told us that we are in it */
	mono_t joined_at;
	struct poke_member self;
	cs_error_t said; /* why it is away, as was logged; CS_OK: it is joined; 0: nothing was */
};

struct connect_job {
	struct job job;	      /* first */
	struct poke_cpg *cpg; /* for done(), and the callbacks' context */
	struct cpg_name group;
	cpg_handle_t handle;
	bool ending; /* `handle` is one that was before */
	unsigned node;
	int fd;
	cs_error_t error;
};

static const char *error_text(cs_error_t error)
{
	switch (error) {
	case CS_ERR_ACCESS:
	case CS_ERR_SECURITY:
		return "the service's user may not use it: /etc/corosync/uidgid.d/ovirt-ha is read when "
		       "corosync starts "
		       "or corosync-cfgtool -R is called";
	case CS_ERR_TRY_AGAIN:
		return "it is busy, or does not run";
	case CS_ERR_LIBRARY:
	case CS_ERR_NOT_EXIST:
		return "it does not run";
	default:
		return "see systemctl status corosync";
	}
}

static void deliver(cpg_handle_t handle, const struct cpg_name *group, uint32_t node, uint32_t pid,
		    void *bytes, size_t size)
{
	struct poke_cpg *cpg = NULL;

	if (cpg_context_get(handle, (void **)&cpg) == CS_OK && cpg->joined)
		cpg->calls->message(cpg->data, (struct poke_member){node, pid}, bytes, size);
}

static void say_joined(struct poke_cpg *cpg, size_t members)
{
	cpg->joined = true;
	cpg->joined_at = cpg->clock->now(cpg->clock);
	cpg->said = CS_OK;
	log_info("corosync joined group=%.*s node=%u members=%zu: changes of blocks are told and heard",
		 (int)cpg->group.length, cpg->group.value, cpg->self.node, members);
	cpg->calls->joined(cpg->data, cpg->self);
}

static void changed(cpg_handle_t handle, const struct cpg_name *group, const struct cpg_address *members,
		    size_t n_members, const struct cpg_address *left, size_t n_left,
		    const struct cpg_address *came, size_t n_came)
{
	struct poke_cpg *cpg = NULL;

	if (cpg_context_get(handle, (void **)&cpg) != CS_OK)
		return;
	if (!cpg->joined)
		say_joined(cpg, n_members);
	for (size_t i = 0; i < n_left; i++)
		cpg->calls->left(cpg->data, (struct poke_member){left[i].nodeid, left[i].pid});
	for (size_t i = 0; i < n_members; i++)
		cpg->calls->came(cpg->data, (struct poke_member){members[i].nodeid, members[i].pid});
}

/* In the worker's thread. */
static void connect_run(struct job *job)
{
	struct connect_job *connect = (struct connect_job *)job;
	cpg_model_v1_data_t model = {
		.model = CPG_MODEL_V1, .cpg_deliver_fn = deliver, .cpg_confchg_fn = changed};

	if (connect->ending)
		cpg_finalize(connect->handle);
	connect->ending = false;
	connect->error = cpg_model_initialize(&connect->handle, CPG_MODEL_V1, (cpg_model_data_t *)&model,
					      connect->cpg);
	if (connect->error != CS_OK)
		return;
	connect->ending = true;
	connect->error = cpg_local_get(connect->handle, &connect->node);
	if (connect->error == CS_OK)
		connect->error = cpg_fd_get(connect->handle, &connect->fd);
	if (connect->error == CS_OK)
		connect->error = cpg_join(connect->handle, &connect->group);
	if (connect->error == CS_OK)
		return;
	cpg_finalize(connect->handle);
	connect->ending = false;
}

/* In the thread of a job that nobody waits for any more. */
static void connect_destroy(struct job *job)
{
	struct connect_job *connect = (struct connect_job *)job;

	if (connect->ending)
		cpg_finalize(connect->handle);
	free(connect);
}

static void connect_later(struct poke_cpg *cpg)
{
	cpg->clock->set(cpg->clock, &cpg->again, mono_add(cpg->clock->now(cpg->clock), cpg->again_ms));
	cpg->again_ms = cpg->again_ms * 2 < AGAIN_MAX_MS ? cpg->again_ms * 2 : AGAIN_MAX_MS;
}

/* Once for each reason; that it is not there, where it never was, is no news. */
static void say_away(struct poke_cpg *cpg, cs_error_t error)
{
	if (cpg->said == error)
		return;
	if (cpg->said == CS_OK || error == CS_ERR_ACCESS || error == CS_ERR_SECURITY)
		log_warning("corosync is away, blocks are read in their rhythm, tried again: %s",
			    error_text(error));
	else if (cpg->said == 0)
		log_info("corosync is not used, blocks are read in their rhythm: %s", error_text(error));
	cpg->said = error;
}

static void disconnect(struct poke_cpg *cpg)
{
	loop_del_fd(cpg->loop, cpg->fd);
	cpg->fd = -1;
	cpg->joined = false;
	cpg->ending = true;
	if (mono_passed(cpg->joined_at, LASTED_MS, cpg->clock->now(cpg->clock)))
		cpg->again_ms = AGAIN_MS;
	connect_later(cpg);
}

static void ready(int fd, short revents, void *data)
{
	struct poke_cpg *cpg = data;
	cs_error_t error = CS_OK;
	bool was;

	for (int i = 0; i < TURN && error == CS_OK; i++)
		error = cpg_dispatch(cpg->handle, CS_DISPATCH_ONE_NONBLOCKING);
	if (error == CS_OK || error == CS_ERR_TRY_AGAIN)
		return;
	was = cpg->joined;
	disconnect(cpg);
	say_away(cpg, error);
	if (was)
		cpg->calls->lost(cpg->data);
}

static void connect_done(struct job *job)
{
	struct connect_job *connect = (struct connect_job *)job;
	struct poke_cpg *cpg = connect->cpg;

	cpg->ending = connect->ending;
	cpg->handle = connect->handle;
	if (connect->error == CS_OK && loop_add_fd(cpg->loop, connect->fd, POLLIN, ready, cpg) < 0)
		connect->error = CS_ERR_NO_RESOURCES;
	if (connect->error != CS_OK) {
		say_away(cpg, connect->error);
		connect_later(cpg);
	} else {
		cpg->ending = false;
		cpg->fd = connect->fd;
		cpg->self = (struct poke_member){connect->node, (uint32_t)getpid()};
	}
	free(connect);
}

static void connect_start(struct timer *timer)
{
	struct poke_cpg *cpg = (struct poke_cpg *)((char *)timer - offsetof(struct poke_cpg, again));
	struct connect_job *connect = calloc(1, sizeof(*connect));

	if (connect)
		*connect = (struct connect_job){
			.job = {.run = connect_run, .done = connect_done, .destroy = connect_destroy},
			.cpg = cpg,
			.group = cpg->group,
			.handle = cpg->handle,
			.ending = cpg->ending};
	if (!connect || worker_start(cpg->worker, &connect->job) < 0) {
		free(connect);
		connect_later(cpg);
	}
}

static void port_start(struct poke_port *port, const struct poke_calls *calls, void *data)
{
	struct poke_cpg *cpg = (struct poke_cpg *)port;

	cpg->calls = calls;
	cpg->data = data;
	connect_start(&cpg->again);
}

static int port_send(struct poke_port *port, const void *bytes, size_t size)
{
	struct poke_cpg *cpg = (struct poke_cpg *)port;
	struct iovec all = {.iov_base = (void *)bytes, .iov_len = size};
	cs_error_t error;

	if (cpg->fd < 0)
		return -ENOTCONN;
	/* Into a ring of shared memory: it does not wait. */
	error = cpg_mcast_joined(cpg->handle, CPG_TYPE_AGREED, &all, 1);
	return error == CS_OK						 ? 0
	       : error == CS_ERR_TRY_AGAIN || error == CS_ERR_QUEUE_FULL ? -EAGAIN
									 : -ENOTCONN;
}

static void port_restart(struct poke_port *port)
{
	struct poke_cpg *cpg = (struct poke_cpg *)port;

	if (cpg->fd < 0)
		return;
	disconnect(cpg);
	cpg->said = CS_ERR_TIMEOUT;
}

/* No farewell, which would wait for corosync: it sees the connection's end. */
static void port_close(struct poke_port *port)
{
	struct poke_cpg *cpg = (struct poke_cpg *)port;

	cpg->clock->cancel(cpg->clock, &cpg->again);
	if (cpg->fd >= 0)
		loop_del_fd(cpg->loop, cpg->fd);
	loop_del_fd(cpg->loop, worker_fd(cpg->worker));
	worker_free(cpg->worker);
	free(cpg);
}

int poke_cpg_new(const char *domain, const char *lockspace, struct loop *loop, struct poke_port **ret)
{
	_cleanup_free_ struct poke_cpg *cpg = calloc(1, sizeof(*cpg));
	int r;

	if (!cpg)
		return -ENOMEM;
	r = snprintf(cpg->group.value, sizeof(cpg->group.value), "ovirt-ha/%s/%s", domain, lockspace);
	if (r < 0 || (size_t)r >= sizeof(cpg->group.value))
		return -ENAMETOOLONG;
	cpg->group.length = (uint32_t)r;
	cpg->loop = loop;
	cpg->clock = loop_clock(loop);
	cpg->fd = -1;
	cpg->again_ms = AGAIN_MS;
	cpg->joined_at = MONO_UNSET;
	cpg->again.fire = connect_start;
	cpg->port = (struct poke_port){port_start, port_send, port_restart, port_close};
	r = worker_new("corosync", &cpg->worker);
	if (r < 0)
		return r;
	r = loop_add_worker(loop, cpg->worker);
	if (r < 0) {
		worker_free(cpg->worker);
		return r;
	}
	*ret = &TAKE_PTR(cpg)->port;
	return 0;
}
