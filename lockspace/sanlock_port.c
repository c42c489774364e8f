/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lease port over libsanlock, whose calls block without limit: each kind of call has a worker of its own,
 * so that a read that hangs on storage never holds back a look at the daemon's memory, and a deadline that
 * the loop owns. It decides what sanlock's codes mean, here and nowhere else, and not what follows from them.
 * Called by the broker.
 *
 * What sanlock 3.8.5 answers, measured:
 *
 * - inquire: pid not registered -ESRCH; registered, whatever it holds: 0 and its list; in the middle of a
 *   command -EBUSY. It is itself a command of that pid, and one has one at a time: an acquire or release that
 *   libvirt makes for the same QEMU meanwhile fails with -EBUSY, and so do the start and the resume that it
 *   is part of (1 of 20 resumes beside an endless row of inquires). So who is about to take its lease is not
 *   asked about.
 * - get_hosts: no such lockspace, or being added -ENOENT; joined and no renewal seen yet -EAGAIN (2-3 x
 *   io_timeout long).
 * - get_lockspaces: being added SANLK_LSF_ADD, joined no flag, being removed SANLK_LSF_REM.
 * - add: -EEXIST joined, -EINPROGRESS being added, -EINVAL joined under another host id.
 * - read_resource_owners: free: no owner; other lockspace's name -226, other resource's -227, no lease there
 *   -223.
 * - Any call that reads or writes the storage: -ENOENT also when so much of what its thread asked of it
 * before is still under way that it can ask no more (storage that has hung for 30 s), which says nothing of
 * the path.
 * - The daemon killed during a call -ECONNRESET or -1, after it -ECONNREFUSED, never started -ENOENT (of its
 *   socket). Stopped: no call ever returns; storage hung: only those that read or write it don't. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sanlock.h>
#include <sanlock_admin.h>
#include <sanlock_resource.h>
#include <sanlock_rv.h>

#include "lockspace/lease_port.h"
#include "lockspace/lease_release.h"
#include "lockspace/sanlock_status.h"
#include "util/cleanup.h"
#include "util/loop.h"
#include "util/worker.h"

_Static_assert(LEASE_NAME_MAX == SANLK_NAME_LEN && LEASE_PATH_MAX == SANLK_PATH_LEN,
	       "the port's limits are sanlock's");

enum kind { KIND_LOOK, KIND_OWNER, KIND_JOIN, KIND_LEAVE, KIND_CREATE, KIND_WATCHDOG, KIND_COUNT };

struct sanlock_port;

/* One question. The thread owns it while it runs, so it carries all that it needs. */
struct question {
	struct job job;
	enum kind kind;
	struct call *call; /* the loop's, may be gone: not for the thread */
	struct lease_config config;
	int timeout_ms;
	int error;
	struct lease_look look;
	struct lease_owner owner;
	enum watchdog watchdog;
	char name[LEASE_NAME_MAX]; /* KIND_CREATE */
	struct lease_place place;
};

/* One kind of call: at most one question under way. */
struct call {
	struct timer timer; /* first: timer_fired() casts */
	struct sanlock_port *port;
	enum kind kind;
	struct worker *worker;
	bool asked;
	pid_t pid;		   /* of KIND_LOOK */
	char name[LEASE_NAME_MAX]; /* of KIND_CREATE */
	struct lease_place place;
	mono_t begun;
	union {
		void (*look)(void *data, const struct lease_look *look);
		void (*owner)(void *data, const struct lease_owner *owner);
		void (*error)(void *data, int error);
		void (*watchdog)(void *data, enum watchdog watchdog);
	} done;
	void *data;
};

struct sanlock_port {
	struct lease_port port; /* first */
	struct lease_config config;
	struct loop *loop;
	struct call calls[KIND_COUNT];
};

/* sanlock's code to -errno. Its own codes lie below -200, the system's above; a connection that broke gives
 * -1. */
static int code(int rv)
{
	if (rv >= 0)
		return 0;
	switch (rv) {
	case -1:
		return -ECONNRESET;
	case SANLK_LEADER_MAGIC:
	case SANLK_LEADER_VERSION:
	case SANLK_LEADER_CHECKSUM:
		return -EBADMSG; /* no lease there, or a broken one */
	case SANLK_LEADER_LOCKSPACE:
	case SANLK_LEADER_RESOURCE:
		return -EXDEV; /* another domain's (safety rule 8) */
	case SANLK_AIO_TIMEOUT:
		return -ETIMEDOUT;
	case SANLK_HOSTID_BUSY:
	case SANLK_ACQUIRE_IDLIVE:
		return -EBUSY;
	default:
		return rv > -200 ? rv : -EIO;
	}
}

/* For a call that fails with -ENOENT only when the daemon's socket is not there. */
static int code_of_memory(int rv)
{
	int r = code(rv);

	return r == -ENOENT ? -ECONNREFUSED : r;
}

/* For a call that reads or writes the storage at `path`. One that is there is not missing: it hangs. Asked
 * without the file system's own word, since that may hang too. */
static int code_of_storage(int rv, const char *path)
{
	struct statx found;
	int r = code(rv);

	if (r == -ENOENT && statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_TYPE, &found) == 0)
		return -ETIMEDOUT;
	return r;
}

static enum host_state host_state_of(uint32_t flags)
{
	switch (flags & SANLK_HOST_MASK) {
	case SANLK_HOST_FREE:
		return HOST_FREE;
	case SANLK_HOST_LIVE:
		return HOST_LIVE;
	case SANLK_HOST_FAIL:
		return HOST_FAIL;
	case SANLK_HOST_DEAD:
		return HOST_DEAD;
	default:
		return HOST_UNKNOWN;
	}
}

static int by_id(const void *a, const void *b)
{
	const struct lease_host *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static void lockspace_fill(struct sanlk_lockspace *ls, const struct lease_config *config)
{
	memset(ls, 0, sizeof(*ls));
	memcpy(ls->name, config->lockspace, sizeof(ls->name));
	ls->host_id = config->host_id;
	memcpy(ls->host_id_disk.path, config->lockspace_place.path, sizeof(ls->host_id_disk.path));
	ls->host_id_disk.offset = config->lockspace_place.offset;
}

static int look_membership(const struct lease_config *config, struct lease_look *look)
{
	_cleanup_free_ struct sanlk_lockspace *list = NULL;
	int count = 0, r;

	r = sanlock_get_lockspaces(&list, &count, 0);
	if (r < 0)
		return code_of_memory(r);
	look->membership = MEMBERSHIP_NONE;
	for (int i = 0; i < count; i++) {
		if (strncmp(list[i].name, config->lockspace, SANLK_NAME_LEN) != 0)
			continue;
		/* Joined, but not as who we are: the configuration was changed under a running lockspace. All
		 * domains use one name by default, so the path tells them apart: an id that lives in another
		 * lockspace proves nothing in ours (safety rule 8). */
		if (list[i].host_id != config->host_id ||
		    strncmp(list[i].host_id_disk.path, config->lockspace_place.path, SANLK_PATH_LEN) != 0 ||
		    list[i].host_id_disk.offset != config->lockspace_place.offset)
			return -EXDEV;
		/* One that is being removed is as good as gone: it gives no lease any more. */
		if (list[i].flags & SANLK_LSF_ADD)
			look->membership = MEMBERSHIP_JOINING;
		else if (!(list[i].flags & SANLK_LSF_REM))
			look->membership = MEMBERSHIP_JOINED;
	}
	return 0;
}

static int look_hosts(const struct lease_config *config, struct lease_look *look)
{
	_cleanup_free_ struct sanlk_host *list = NULL;
	int count = 0;

	/* Any failure, and -EAGAIN before the first renewal was seen: the hosts are not known. */
	if (sanlock_get_hosts(config->lockspace, 0, &list, &count, 0) < 0)
		return 0;
	look->hosts = calloc((size_t)count + 1, sizeof(*look->hosts));
	if (!look->hosts)
		return -ENOMEM;
	look->hosts_known = true;
	for (int i = 0; i < count; i++) {
		if (list[i].host_id < 1 || list[i].host_id > HOST_ID_MAX)
			continue;
		look->hosts[look->n_hosts++] = (struct lease_host){
			.id = (uint16_t)list[i].host_id,
			.state = host_state_of(list[i].flags),
			.generation = list[i].generation,
			.timestamp = list[i].timestamp,
			.io_timeout_s = list[i].io_timeout,
		};
		if (list[i].host_id == config->host_id)
			look->generation = list[i].generation;
	}
	qsort(look->hosts, look->n_hosts, sizeof(*look->hosts), by_id);
	return 0;
}

/* Is the engine lease in the list? */
static enum held held_in(char *state, const struct lease_config *config)
{
	struct sanlk_resource **list = NULL;
	enum held held = HELD_NO;
	int count = 0;

	if (!state || !state[0])
		return HELD_NO;
	if (sanlock_state_to_args(state, &count, &list) < 0)
		return HELD_UNKNOWN;
	for (int i = 0; i < count; i++) {
		if (strncmp(list[i]->lockspace_name, config->lockspace, SANLK_NAME_LEN) == 0 &&
		    strncmp(list[i]->name, config->engine, SANLK_NAME_LEN) == 0)
			held = HELD_YES;
		free(list[i]);
	}
	free(list);
	return held;
}

static enum held look_held(const struct lease_config *config, pid_t pid)
{
	_cleanup_free_ char *state = NULL;
	int count = 0;
	int r = sanlock_inquire(-1, pid, 0, &count, &state);

	/* Only a positive contrary answer may kill (safety rule 3): not registered. All else is unknown. */
	if (r == -ESRCH)
		return HELD_NO;
	return r < 0 ? HELD_UNKNOWN : held_in(state, config);
}

static void look_run(struct question *q)
{
	q->look.error = look_membership(&q->config, &q->look);
	if (q->look.error == 0 && q->look.membership == MEMBERSHIP_JOINED)
		q->look.error = look_hosts(&q->config, &q->look);
	if (q->look.error == 0 && q->look.pid > 0)
		q->look.held = look_held(&q->config, q->look.pid);
}

/* libsanlock's resource with its one disk, which must follow it in memory. */
struct resource {
	struct sanlk_resource res;
	struct sanlk_disk disk;
};
_Static_assert(offsetof(struct resource, disk) == offsetof(struct sanlk_resource, disks),
	       "the disk follows at once");

static void resource_fill(struct resource *at, const struct lease_config *config,
			  const char name[LEASE_NAME_MAX], const struct lease_place *place)
{
	memset(at, 0, sizeof(*at));
	memcpy(at->res.lockspace_name, config->lockspace, sizeof(at->res.lockspace_name));
	memcpy(at->res.name, name, sizeof(at->res.name));
	at->res.num_disks = 1;
	memcpy(at->disk.path, place->path, sizeof(at->disk.path));
	at->disk.offset = place->offset;
}

static void owner_run(struct question *q)
{
	_cleanup_free_ struct sanlk_host *owners = NULL;
	struct resource at;
	int count = 0, r;

	resource_fill(&at, &q->config, q->config.engine, &q->config.engine_place);
	r = sanlock_read_resource_owners(&at.res, 0, &owners, &count);
	if (r < 0) {
		/* Here -ENOENT is the path's or the socket's: unknown in either case. */
		q->owner.error = code_of_storage(r, q->config.engine_place.path);
		return;
	}
	/* More than one owner is a shared lease: nobody of ours takes one. */
	if (count > 1 || (count == 1 && (owners[0].host_id < 1 || owners[0].host_id > HOST_ID_MAX))) {
		q->owner.error = -EPROTO;
		return;
	}
	q->owner.kind = count == 0 ? OWNER_NOBODY : OWNER_HOST;
	q->owner.version = at.res.lver;
	if (count == 1) {
		q->owner.id = (uint16_t)owners[0].host_id;
		q->owner.generation = owners[0].generation;
		if (lease_released(&q->config.engine_place, &q->owner))
			q->owner = (struct lease_owner){
				.kind = OWNER_NOBODY, .version = q->owner.version, .begun = q->owner.begun};
	}
}

static void join_run(struct question *q)
{
	struct sanlk_lockspace ls, on_disk;
	uint32_t io_timeout;
	int r;

	lockspace_fill(&ls, &q->config);
	/* An asynchronous join that fails later says only that it is not there. The name on disk is asked
	 * first, so that a wrong domain is told from a storage that is away (safety rule 8). */
	on_disk = ls;
	r = sanlock_read_lockspace(&on_disk, 0, &io_timeout);
	if (r < 0) {
		q->error = code_of_storage(r, q->config.lockspace_place.path);
		return;
	}
	r = sanlock_add_lockspace_timeout(&ls, SANLK_ADD_ASYNC, q->config.io_timeout_s);
	q->error = r == -EINPROGRESS ? 0 : code_of_memory(r);
}

static void leave_run(struct question *q)
{
	struct sanlk_lockspace ls;
	int r;

	lockspace_fill(&ls, &q->config);
	/* Safety rule 7: without UNUSED sanlock kills every holder. -ENOENT: not joined, which is what was
	 * asked for (or no daemon, which is the same). */
	r = sanlock_rem_lockspace(&ls, SANLK_REM_UNUSED);
	q->error = r == -ENOENT || r == -EINPROGRESS ? 0 : code(r);
}

static void create_run(struct question *q)
{
	const uint32_t shape = SANLK_LSF_ALIGN1M | SANLK_LSF_ALIGN2M | SANLK_LSF_ALIGN4M | SANLK_LSF_ALIGN8M |
			       SANLK_LSF_SECTOR512 | SANLK_LSF_SECTOR4K;
	struct sanlk_lockspace ls;
	struct resource at;
	uint32_t io_timeout;
	int r;

	lockspace_fill(&ls, &q->config);
	r = sanlock_read_lockspace(&ls, 0, &io_timeout);
	if (r < 0) {
		q->error = code(r);
		return;
	}
	/* Whatever lease is there has perhaps an owner that lives: a holder does not notice that its lease
	 * was written anew (safety rule 3). Without a name any lease is found. */
	resource_fill(&at, &q->config, q->name, &q->place);
	memset(at.res.lockspace_name, 0, sizeof(at.res.lockspace_name));
	memset(at.res.name, 0, sizeof(at.res.name));
	r = sanlock_read_resource(&at.res, 0);
	if (r != SANLK_LEADER_MAGIC) {
		q->error = r < 0 ? code(r) : -EEXIST;
		return;
	}
	resource_fill(&at, &q->config, q->name, &q->place);
	at.res.flags = ls.flags & shape; /* the flags of both are the same bits, by sanlock.h */
	q->error = code(sanlock_write_resource(&at.res, 0, 0, 0));
}

static void watchdog_run(struct question *q)
{
	struct sanlock_status status;

	if (sanlock_status_read(q->config.lockspace, q->timeout_ms, &status) < 0 || status.use_watchdog < 0)
		return;
	q->watchdog =
		status.use_watchdog ? watchdog_kind("/sys/class/watchdog", "/proc/modules") : WATCHDOG_NONE;
}

static void question_run(struct job *job)
{
	struct question *q = (struct question *)job;

	switch (q->kind) {
	case KIND_LOOK:
		look_run(q);
		break;
	case KIND_OWNER:
		owner_run(q);
		break;
	case KIND_JOIN:
		join_run(q);
		break;
	case KIND_LEAVE:
		leave_run(q);
		break;
	case KIND_CREATE:
		create_run(q);
		break;
	case KIND_WATCHDOG:
		watchdog_run(q);
		break;
	case KIND_COUNT:
		break;
	}
}

static void question_free(struct job *job)
{
	struct question *q = (struct question *)job;

	free(q->look.hosts);
	free(q);
}

static void answer(struct call *call, const struct question *q)
{
	void *data = call->data;

	call->asked = false;
	switch (call->kind) {
	case KIND_LOOK:
		call->done.look(data, &q->look);
		break;
	case KIND_OWNER:
		call->done.owner(data, &q->owner);
		break;
	case KIND_JOIN:
	case KIND_LEAVE:
	case KIND_CREATE:
		call->done.error(data, q->error);
		break;
	case KIND_WATCHDOG:
		call->done.watchdog(data, q->watchdog);
		break;
	case KIND_COUNT:
		break;
	}
}

static void question_done(struct job *job)
{
	struct question *q = (struct question *)job;
	struct call *call = q->call;
	struct clock_port *clock = loop_clock(call->port->loop);

	clock->cancel(clock, &call->timer);
	answer(call, q); /* may ask again, or close the port */
	question_free(job);
}

static void timer_fired(struct timer *timer)
{
	struct call *call = (struct call *)timer;
	struct question late = {
		.error = -ETIMEDOUT,
		.look = {.error = -ETIMEDOUT, .pid = call->pid, .begun = call->begun},
		.owner = {.error = -ETIMEDOUT, .begun = call->begun},
	};

	worker_give_up(call->worker);
	answer(call, &late);
}

static int ask(struct sanlock_port *port, enum kind kind, pid_t pid, mono_t deadline)
{
	struct clock_port *clock = loop_clock(port->loop);
	struct call *call = &port->calls[kind];
	struct question *q;
	int r;

	if (call->asked)
		return -EBUSY;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	call->begun = clock->now(clock);
	call->pid = pid;
	*q = (struct question){
		.job = {.run = question_run, .done = question_done, .destroy = question_free},
		.kind = kind,
		.call = call,
		.config = port->config,
		.timeout_ms = deadline - call->begun > 60000 ? 60000 : (int)(deadline - call->begun),
		.look = {.pid = pid, .begun = call->begun},
		.owner = {.begun = call->begun},
		.place = call->place,
	};
	memcpy(q->name, call->name, sizeof(q->name));
	r = worker_start(call->worker, &q->job);
	if (r < 0) {
		free(q);
		return r;
	}
	call->asked = true;
	clock->set(clock, &call->timer, deadline);
	return 0;
}

static int port_look(struct lease_port *lease, pid_t pid, mono_t deadline,
		     void (*done)(void *data, const struct lease_look *look), void *data)
{
	struct sanlock_port *port = (struct sanlock_port *)lease;
	int r = ask(port, KIND_LOOK, pid, deadline);

	if (r == 0) {
		port->calls[KIND_LOOK].done.look = done;
		port->calls[KIND_LOOK].data = data;
	}
	return r;
}

static int port_read_owner(struct lease_port *lease, mono_t deadline,
			   void (*done)(void *data, const struct lease_owner *owner), void *data)
{
	struct sanlock_port *port = (struct sanlock_port *)lease;
	int r = ask(port, KIND_OWNER, 0, deadline);

	if (r == 0) {
		port->calls[KIND_OWNER].done.owner = done;
		port->calls[KIND_OWNER].data = data;
	}
	return r;
}

static int ask_error(struct lease_port *lease, enum kind kind, mono_t deadline,
		     void (*done)(void *data, int error), void *data)
{
	struct sanlock_port *port = (struct sanlock_port *)lease;
	int r = ask(port, kind, 0, deadline);

	if (r == 0) {
		port->calls[kind].done.error = done;
		port->calls[kind].data = data;
	}
	return r;
}

static int port_join(struct lease_port *lease, mono_t deadline, void (*done)(void *data, int error),
		     void *data)
{
	return ask_error(lease, KIND_JOIN, deadline, done, data);
}

static int port_leave(struct lease_port *lease, mono_t deadline, void (*done)(void *data, int error),
		      void *data)
{
	return ask_error(lease, KIND_LEAVE, deadline, done, data);
}

static int port_create(struct lease_port *lease, const char *name, const struct lease_place *place,
		       mono_t deadline, void (*done)(void *data, int error), void *data)
{
	struct call *call = &((struct sanlock_port *)lease)->calls[KIND_CREATE];
	size_t length = strlen(name);

	if (length < 1 || length >= sizeof(call->name))
		return -EINVAL;
	if (call->asked)
		return -EBUSY;
	memcpy(call->name, name, length + 1);
	call->place = *place;
	return ask_error(lease, KIND_CREATE, deadline, done, data);
}

static int port_watchdog(struct lease_port *lease, mono_t deadline,
			 void (*done)(void *data, enum watchdog watchdog), void *data)
{
	struct sanlock_port *port = (struct sanlock_port *)lease;
	int r = ask(port, KIND_WATCHDOG, 0, deadline);

	if (r == 0) {
		port->calls[KIND_WATCHDOG].done.watchdog = done;
		port->calls[KIND_WATCHDOG].data = data;
	}
	return r;
}

static void port_close(struct lease_port *lease)
{
	struct sanlock_port *port = (struct sanlock_port *)lease;
	struct clock_port *clock = loop_clock(port->loop);

	for (int i = 0; i < KIND_COUNT; i++) {
		struct call *call = &port->calls[i];

		if (!call->worker)
			continue;
		clock->cancel(clock, &call->timer);
		loop_del_fd(port->loop, worker_fd(call->worker));
		worker_free(call->worker);
	}
	free(port);
}

int lease_sanlock_new(const struct lease_config *config, struct loop *loop, struct lease_port **ret)
{
	static const char *const names[KIND_COUNT] = {
		[KIND_LOOK] = "sanlock-look",	  [KIND_OWNER] = "sanlock-owner",
		[KIND_JOIN] = "sanlock-join",	  [KIND_LEAVE] = "sanlock-leave",
		[KIND_CREATE] = "sanlock-create", [KIND_WATCHDOG] = "sanlock-wd",
	};
	struct sanlock_port *port;

	assert(config && loop && ret);
	assert(memchr(config->lockspace, '\0', sizeof(config->lockspace)));
	port = calloc(1, sizeof(*port));
	if (!port)
		return -ENOMEM;
	port->port = (struct lease_port){
		.look = port_look,
		.read_owner = port_read_owner,
		.join = port_join,
		.leave = port_leave,
		.create = port_create,
		.watchdog = port_watchdog,
		.close = port_close,
	};
	port->config = *config;
	port->loop = loop;
	for (int i = 0; i < KIND_COUNT; i++) {
		struct call *call = &port->calls[i];
		int r;

		call->timer.fire = timer_fired;
		call->port = port;
		call->kind = (enum kind)i;
		r = worker_new(names[i], &call->worker);
		if (r == 0)
			r = loop_add_worker(loop, call->worker);
		if (r < 0) {
			port_close(&port->port);
			return r;
		}
	}
	*ret = &port->port;
	return 0;
}
