/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The QEMU port over /proc. A process that waits for I/O with its memory map locked keeps whoever reads its
 * command line waiting too, without limit: so /proc is read by threads, and a reading that is late is given
 * up. It decides only which answer is still good: a QEMU that was found is kept by its pidfd, which the
 * kernel answers from memory, and "none" is always read anew (a process that was no QEMU may have become one
 * by exec). The pidfd tells of its end too, as soon as the kernel knows it. Made by broker_main.c. */
#include "broker/qemu_port.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lockspace/qemu_pid.h"
#include "util/cleanup.h"
#include "util/loop.h"
#include "util/worker.h"

enum kind { KIND_FIND, KIND_PROVE, KIND_COUNT };

struct qemu_proc;

/* One reading. The thread owns it while it runs. */
struct reading {
	struct job job;
	struct call *call; /* the loop's, may be gone: not for the thread */
	char uuid[QEMU_UUID_SIZE];
	int error;
	int32_t pid;
	int pidfd; /* of pid, -1 none */
};

/* One kind of question: at most one under way. */
struct call {
	struct timer timer; /* first: timer_fired() casts */
	struct qemu_proc *proc;
	struct worker *worker;
	qemu_found_fn found; /* NULL: none asked */
	void *data;
	mono_t begun;
	int32_t kept; /* what is kept is the answer, 0: a thread gives it */
};

struct qemu_proc {
	struct qemu_port port; /* first */
	struct loop *loop;
	const char *uuid;
	struct call calls[KIND_COUNT];
	int32_t pid; /* kept */
	int pidfd;
	mono_t scanned; /* when the reading of /proc was begun that found it */
};

_Static_assert(offsetof(struct qemu_proc, port) == 0, "the port is its first member");
_Static_assert(offsetof(struct reading, job) == 0, "the job is its first member");

static mono_t now_of(const struct qemu_proc *proc)
{
	struct clock_port *clock = loop_clock(proc->loop);

	return clock->now(clock);
}

static int lowest(const char *uuid, int32_t *ret)
{
	struct qemu_pids pids;
	int32_t pid = 0;
	int r = qemu_find(uuid, &pids);

	if (r < 0)
		return r;
	for (size_t i = 0; i < pids.n && i < QEMU_PIDS_MAX; i++)
		if (pid == 0 || pids.pids[i] < pid)
			pid = pids.pids[i];
	*ret = pid;
	return 0;
}

static void reading_run(struct job *job)
{
	struct reading *reading = (struct reading *)job;

	reading->error = lowest(reading->uuid, &reading->pid);
	if (reading->error == 0 && reading->pid > 0)
		reading->pidfd = qemu_open(reading->uuid, reading->pid);
}

static void reading_destroy(struct job *job)
{
	struct reading *reading = (struct reading *)job;

	if (reading->pidfd >= 0)
		close(reading->pidfd);
	free(reading);
}

static void drop(struct qemu_proc *proc)
{
	if (proc->pidfd < 0)
		return;
	loop_del_fd(proc->loop, proc->pidfd);
	close(proc->pidfd);
	proc->pidfd = -1;
}

/* It stays readable: once is enough. */
static void pidfd_ready(int fd, short revents, void *data)
{
	struct qemu_proc *proc = data;

	drop(proc);
	if (proc->port.ended)
		proc->port.ended(proc->port.data);
}

/* One that can't be watched is seen to have ended by the next find(). */
static void keep(struct qemu_proc *proc, int32_t pid, int pidfd, mono_t scanned)
{
	drop(proc);
	proc->pid = pid;
	proc->pidfd = pidfd;
	proc->scanned = scanned;
	if (pidfd >= 0)
		loop_add_fd(proc->loop, pidfd, POLLIN, pidfd_ready, proc);
}

static bool kept_lives(const struct qemu_proc *proc)
{
	struct pollfd ended = {.fd = proc->pidfd, .events = POLLIN};

	return proc->pidfd >= 0 && poll(&ended, 1, 0) == 0;
}

static void answer(struct call *call, int error, int32_t pid, mono_t begun)
{
	qemu_found_fn found = call->found;

	call->found = NULL;
	found(call->data, error, pid, begun); /* may ask again, or close the port */
}

static void reading_done(struct job *job)
{
	struct reading *reading = (struct reading *)job;
	struct call *call = reading->call;
	struct clock_port *clock = loop_clock(call->proc->loop);
	int error = reading->error;
	int32_t pid = reading->pid;

	clock->cancel(clock, &call->timer);
	if (error == 0)
		keep(call->proc, pid, TAKE_FD(reading->pidfd), call->begun);
	reading_destroy(job);
	answer(call, error, pid, call->begun);
}

static void timer_fired(struct timer *timer)
{
	struct call *call = (struct call *)timer;
	struct qemu_proc *proc = call->proc;
	bool find = call == &proc->calls[KIND_FIND];

	if (call->kept != 0) {
		answer(call, 0, call->kept, call->begun);
		return;
	}
	/* It may have ended this instant, and the next one have begun: that one is not late. */
	worker_dispatch(call->worker);
	if (!call->found || timer->set)
		return;
	worker_give_up(call->worker);
	/* That the one known lives needs no /proc. A proof does. */
	if (find && kept_lives(proc))
		answer(call, 0, proc->pid, now_of(proc));
	else
		answer(call, -ETIMEDOUT, 0, call->begun);
}

static int ask(struct qemu_proc *proc, enum kind kind, mono_t deadline, qemu_found_fn found, void *data)
{
	struct clock_port *clock = loop_clock(proc->loop);
	struct call *call = &proc->calls[kind];
	mono_t now = now_of(proc);
	struct reading *reading;
	int r;

	assert(found);
	if (call->found)
		return -EBUSY;
	call->kept = 0;
	if (kind == KIND_FIND && !mono_passed(proc->scanned, QEMU_RESCAN_MS, now) && kept_lives(proc))
		call->kept = proc->pid;
	if (call->kept == 0) {
		reading = calloc(1, sizeof(*reading));
		if (!reading)
			return -ENOMEM;
		reading->job =
			(struct job){.run = reading_run, .done = reading_done, .destroy = reading_destroy};
		reading->call = call;
		reading->pidfd = -1;
		strncpy(reading->uuid, proc->uuid, sizeof(reading->uuid) - 1);
		r = worker_start(call->worker, &reading->job);
		if (r < 0) {
			free(reading);
			/* As when a reading is late: that the one known lives needs no thread. */
			if (kind != KIND_FIND || !kept_lives(proc))
				return r;
			call->kept = proc->pid;
		}
	}
	call->found = found;
	call->data = data;
	call->begun = now;
	clock->set(clock, &call->timer, call->kept != 0 ? now : deadline);
	return 0;
}

static int port_find(struct qemu_port *port, mono_t deadline, qemu_found_fn found, void *data)
{
	return ask((struct qemu_proc *)port, KIND_FIND, deadline, found, data);
}

static int port_prove(struct qemu_port *port, mono_t deadline, qemu_found_fn found, void *data)
{
	return ask((struct qemu_proc *)port, KIND_PROVE, deadline, found, data);
}

static void port_close(struct qemu_port *port)
{
	struct qemu_proc *proc = (struct qemu_proc *)port;
	struct clock_port *clock = loop_clock(proc->loop);

	for (int i = 0; i < KIND_COUNT; i++) {
		struct call *call = &proc->calls[i];

		clock->cancel(clock, &call->timer);
		if (!call->worker)
			continue;
		loop_del_fd(proc->loop, worker_fd(call->worker));
		worker_free(call->worker);
	}
	drop(proc);
	free(proc);
}

int qemu_proc_new(const char *uuid, struct loop *loop, struct qemu_port **ret)
{
	static const char *const names[KIND_COUNT] = {"qemu-find", "qemu-prove"};
	struct qemu_proc *proc = calloc(1, sizeof(*proc));

	assert(uuid && strlen(uuid) < QEMU_UUID_SIZE && loop && ret);
	if (!proc)
		return -ENOMEM;
	proc->port = (struct qemu_port){.find = port_find, .prove = port_prove, .close = port_close};
	proc->loop = loop;
	proc->uuid = uuid;
	proc->pidfd = -1;
	proc->scanned = MONO_UNSET;
	for (int i = 0; i < KIND_COUNT; i++) {
		struct call *call = &proc->calls[i];
		int r;

		call->timer.fire = timer_fired;
		call->proc = proc;
		r = worker_new(names[i], &call->worker);
		if (r == 0)
			r = loop_add_worker(loop, call->worker);
		if (r < 0) {
			port_close(&proc->port);
			return r;
		}
	}
	*ret = &proc->port;
	return 0;
}
