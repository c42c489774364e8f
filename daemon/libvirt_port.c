/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt as the agent's VM port: three lines, each a connection and the thread that may hang in it: one
 * looks and hears events, one creates, resumes, migrates and shuts down, one destroys and cancels (a create
 * that waits for its lease blocks for 70 s and must not keep a destroy waiting). A call that is late is given
 * up with its connection. It decides nothing: it asks, acts, and connects again; what the threads do stands
 * in libvirt_call.c. */
#include "daemon/libvirt_port.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/libvirt_call.h"
#include "util/log.h"
#include "util/loop.h"
#include "util/worker.h"

#define RETRY_MS 1000
#define LOOK_MS 5000 /* a look that an event asked for */

enum line_kind { LINE_LOOK, LINE_ACT, LINE_DESTROY, LINE_COUNT };

struct line {
	struct libvirt_port *port;
	struct worker *worker;
	struct timer deadline;
	struct _virConnect *connection;	    /* while no call has it */
	struct libvirt_callbacks callbacks; /* LINE_LOOK: of `connection` */
	struct libvirt_call *call;	    /* under way */
	mono_t begun;
};

struct libvirt_port {
	struct vm_port port; /* first: the port's `this` */
	struct libvirt_config config;
	struct loop *loop;
	struct clock_port *clock;
	struct line lines[LINE_COUNT];
	struct domain_view view;
	uint32_t number;   /* of the look connection, 0: none was made yet */
	uint32_t closed;   /* the last one whose close callback was called, 0: none; it may be an older one */
	uint32_t attempts; /* to make one: the last number given out */
	bool look_again;   /* an event came during a look: its answer may be from before */
	bool silent_told;  /* the log knows that libvirt does not answer */
	/* When a migration may have begun, or gone on after the end of its call; MONO_UNSET: none is under
	 * way. */
	mono_t unsure_at;
	struct timer retry;
	int events[2]; /* pipe */
	bool events_started;
};

_Static_assert(offsetof(struct libvirt_port, port) == 0, "the port is its first member");

static void look_start(struct libvirt_port *p, mono_t deadline);

static bool look_dead(const struct libvirt_port *p)
{
	return p->closed != 0 && p->closed == p->number;
}

/* Somebody else's that was begun while nobody listened gave no event: each new connection asks. */
static bool migrates(const struct libvirt_port *p)
{
	return p->unsure_at != MONO_UNSET || !p->lines[LINE_LOOK].connection || look_dead(p) ||
	       (p->lines[LINE_ACT].call && p->lines[LINE_ACT].call->action == ACTION_MIGRATE);
}

/* libvirt goes on without the connection that asked for it, or with somebody else's, for which ours was
 * refused: only a look that began later tells that there is none. */
static void act_ended(struct libvirt_port *p, enum action action, enum outcome outcome, const char *why)
{
	if (action == ACTION_MIGRATE && outcome != OUTCOME_OK)
		p->unsure_at = p->clock->now(p->clock);
	p->port.ended(p->port.data, action, outcome, why);
}

/* libvirt's words are kept to one line. */
static void one_line(char *text)
{
	for (; *text; text++)
		if (*text == '\n')
			*text = ' ';
}

static void view_unknown(struct libvirt_port *p, const char *why)
{
	if (!p->silent_told)
		log_warning("libvirt does not answer: %s; the VM's state is unknown until it does", why);
	p->silent_told = true;
	p->view.state = DOMAIN_UNKNOWN;
	p->view.begun = p->clock->now(p->clock);
	p->clock->set(p->clock, &p->retry, mono_add(p->view.begun, RETRY_MS));
	p->port.changed(p->port.data, &p->view);
}

static void look_ended(struct libvirt_port *p, struct line *line, const struct libvirt_call *call)
{
	if (call->connected) {
		p->number = call->number;
		p->unsure_at = line->begun;
		if (p->silent_told)
			log_info("libvirt answers again");
		p->silent_told = false;
	}
	if (call->outcome != OUTCOME_OK || look_dead(p)) {
		view_unknown(p, call->outcome != OUTCOME_OK ? call->why : "the connection was closed");
		return;
	}
	if (p->look_again) {
		look_start(p, mono_add(p->clock->now(p->clock), LOOK_MS));
		return;
	}
	p->silent_told = false;
	p->view.state = call->view.state;
	p->view.pause = call->view.pause;
	p->view.leaving = call->view.leaving;
	p->view.copied = call->view.copied;
	if (call->migrates && !call->view.leaving && line->begun >= p->unsure_at)
		p->unsure_at = MONO_UNSET;
	p->view.begun = line->begun;
	p->port.changed(p->port.data, &p->view);
}

static void call_done(struct job *job)
{
	struct libvirt_call *call = (struct libvirt_call *)job;
	struct line *line = call->line;
	struct libvirt_port *p = line->port;

	p->clock->cancel(p->clock, &line->deadline);
	line->call = NULL;
	line->connection = call->connection;
	line->callbacks = call->callbacks;
	one_line(call->why);
	if (call->action == ACTION_NONE)
		look_ended(p, line, call);
	else
		act_ended(p, call->action, call->outcome, call->why);
	libvirt_call_destroy(job);
}

static void line_late(struct timer *timer)
{
	struct line *line = (struct line *)((char *)timer - offsetof(struct line, deadline));
	struct libvirt_port *p = line->port;
	const struct libvirt_call *act = p->lines[LINE_ACT].call, *call = line->call;
	enum action action;
	char why[64];

	/* It may have ended this instant, and the next one have begun: that one is not late. */
	worker_dispatch(line->worker);
	if (!line->call || line->call != call)
		return;
	action = line->call->action;
	/* A resume that waits for its lease holds libvirt's lock of the domain: a look has to wait with it,
	 * and is no sign of a libvirtd that hangs. The resume has its own limit. So has a migration, which
	 * takes the lease again when it fails after the guest was stopped. */
	if (action == ACTION_NONE && act &&
	    (act->action == ACTION_START || act->action == ACTION_RESUME ||
	     (act->action == ACTION_MIGRATE && p->view.pause == PAUSE_MIGRATION))) {
		p->clock->set(p->clock, timer, mono_add(p->clock->now(p->clock), RETRY_MS));
		return;
	}
	atomic_store(&line->call->abandoned, true);
	worker_give_up(line->worker);
	line->call = NULL;
	snprintf(why, sizeof(why), "no answer after %lld ms",
		 (long long)(p->clock->now(p->clock) - line->begun));
	if (action == ACTION_NONE)
		view_unknown(p, why);
	else
		act_ended(p, action, OUTCOME_FAILED, why);
}

/* -EBUSY: a call is under way, or too many hang. */
static int line_call(struct line *line, enum action action, const char *argument, mono_t deadline)
{
	struct libvirt_port *p = line->port;
	bool looks = line == &p->lines[LINE_LOOK];
	struct libvirt_call *call;
	int r;

	if (line->call)
		return -EBUSY;
	call = calloc(1, sizeof(*call));
	if (!call)
		return -ENOMEM;
	call->job = (struct job){.run = libvirt_call_run, .done = call_done, .destroy = libvirt_call_destroy};
	call->line = line;
	call->action = action;
	call->config = p->config;
	snprintf(call->argument, sizeof(call->argument), "%s", argument ? argument : p->config.xml);
	call->migrates = looks && migrates(p);
	call->view.leaving = call->migrates; /* until libvirt says that there is none */
	call->connection = line->connection;
	call->callbacks = line->callbacks;
	call->close_first = looks && look_dead(p);
	call->event_fd = looks ? fcntl(p->events[1], F_DUPFD_CLOEXEC, 3) : -1;
	if (looks && call->event_fd < 0) {
		r = -errno;
		free(call);
		return r;
	}
	call->number = looks ? ++p->attempts : 0; /* goes unused when the connection is still good */
	r = worker_start(line->worker, &call->job);
	if (r < 0) {
		libvirt_call_destroy(&call->job);
		return r;
	}
	line->call = call;
	line->connection = NULL;
	line->callbacks = LIBVIRT_NO_CALLBACKS;
	line->begun = p->clock->now(p->clock);
	p->clock->set(p->clock, &line->deadline, deadline);
	return 0;
}

static void look_start(struct libvirt_port *p, mono_t deadline)
{
	int r = line_call(&p->lines[LINE_LOOK], ACTION_NONE, NULL, deadline);

	p->look_again = false;
	if (r < 0)
		view_unknown(p, r == -EBUSY ? "all its threads hang" : strerror(-r));
}

static void look_now(struct libvirt_port *p)
{
	if (p->lines[LINE_LOOK].call)
		p->look_again = true;
	else
		look_start(p, mono_add(p->clock->now(p->clock), LOOK_MS));
}

static void retry_look(struct timer *timer)
{
	struct libvirt_port *p =
		(struct libvirt_port *)((char *)timer - offsetof(struct libvirt_port, retry));

	if (!p->lines[LINE_LOOK].call)
		look_now(p);
}

/* Events that change what the VM is are taken at their word at once, 20 ms after QEMU's death; a look
 * follows. */
static void take_event(struct libvirt_port *p, const struct libvirt_message *message)
{
	p->view.begun = p->clock->now(p->clock);
	switch (message->kind) {
	case LIBVIRT_STOPPED:
		p->view.state = DOMAIN_NONE;
		p->view.pause = PAUSE_NONE;
		p->view.leaving = false;
		p->view.end = message->end;
		p->view.ends++;
		break;
	case LIBVIRT_RESUMED:
		p->view.state = DOMAIN_RUNNING;
		p->view.pause = PAUSE_NONE;
		break;
	case LIBVIRT_SUSPENDED:
		p->view.state = DOMAIN_PAUSED;
		p->view.pause = message->pause;
		break;
	case LIBVIRT_MIGRATES:
		if (p->view.leaving)
			return; /* of its passes the first is news */
		p->view.leaving = true;
		p->unsure_at = p->view.begun;
		break;
	default:
		look_now(p);
		return;
	}
	p->port.changed(p->port.data, &p->view);
	look_now(p);
}

static void events_ready(int fd, short revents, void *data)
{
	struct libvirt_port *p = data;
	struct libvirt_message message;

	while (read(fd, &message, sizeof(message)) == (ssize_t)sizeof(message)) {
		struct line *line = &p->lines[LINE_LOOK];

		log_debug("libvirt connection=%u event=%d", message.connection, message.kind);
		if (message.connection != p->number &&
		    !(line->call && message.connection == line->call->number))
			continue;
		if (message.kind != LIBVIRT_CLOSED) {
			take_event(p, &message);
			continue;
		}
		/* A look under way may be making a new one, which this is not about. */
		p->closed = message.connection;
		if (!line->call) {
			view_unknown(p, "the connection was closed");
			look_now(p);
		}
	}
}

static void port_look(struct vm_port *port, mono_t deadline)
{
	struct libvirt_port *p = (struct libvirt_port *)port;

	if (!p->lines[LINE_LOOK].call)
		look_start(p, deadline);
}

static int port_act(struct vm_port *port, enum action action, const char *argument, mono_t deadline)
{
	struct libvirt_port *p = (struct libvirt_port *)port;

	if (action == ACTION_DESTROY || action == ACTION_CANCEL)
		return line_call(&p->lines[LINE_DESTROY], action, NULL, deadline);
	assert(action == ACTION_START || action == ACTION_START_PAUSED || action == ACTION_RESUME ||
	       action == ACTION_SHUTDOWN || action == ACTION_MIGRATE);
	return line_call(&p->lines[LINE_ACT], action, argument, deadline);
}

/* Connections are left to the end of the process: closing one can block for as long as libvirtd hangs. */
static void port_close(struct vm_port *port)
{
	struct libvirt_port *p = (struct libvirt_port *)port;

	p->clock->cancel(p->clock, &p->retry);
	for (int i = 0; i < LINE_COUNT; i++) {
		struct line *line = &p->lines[i];

		if (!line->worker)
			continue;
		p->clock->cancel(p->clock, &line->deadline);
		if (line->call)
			atomic_store(&line->call->abandoned, true);
		loop_del_fd(p->loop, worker_fd(line->worker));
		worker_free(line->worker);
	}
	if (p->events[0] >= 0) {
		loop_del_fd(p->loop, p->events[0]);
		close(p->events[0]);
		close(p->events[1]);
	}
	if (p->events_started)
		libvirt_events_stop();
	free(p);
}

int vm_libvirt_new(const struct libvirt_config *config, struct loop *loop, struct vm_port **ret)
{
	static const char *const names[LINE_COUNT] = {"libvirt-look", "libvirt-act", "libvirt-destroy"};
	struct libvirt_port *p = calloc(1, sizeof(*p));
	int r;

	assert(config && loop && ret);
	if (!p)
		return -ENOMEM;
	p->port = (struct vm_port){.look = port_look, .act = port_act, .close = port_close};
	p->config = *config;
	p->loop = loop;
	p->clock = loop_clock(loop);
	p->view = (struct domain_view){.state = DOMAIN_UNKNOWN, .begun = MONO_UNSET, .copied = -1};
	p->unsure_at = MONO_UNSET;
	p->retry.fire = retry_look;
	p->events[0] = p->events[1] = -1;
	if (pipe2(p->events, O_CLOEXEC | O_NONBLOCK) < 0) {
		r = -errno;
		goto failed;
	}
	r = loop_add_fd(loop, p->events[0], POLLIN, events_ready, p);
	for (int i = 0; i < LINE_COUNT && r == 0; i++) {
		p->lines[i].port = p;
		p->lines[i].callbacks = LIBVIRT_NO_CALLBACKS;
		p->lines[i].deadline.fire = line_late;
		r = worker_new(names[i], &p->lines[i].worker);
		if (r == 0)
			r = loop_add_worker(loop, p->lines[i].worker);
	}
	if (r == 0) {
		r = libvirt_events_start();
		p->events_started = r == 0;
	}
	if (r < 0)
		goto failed;
	*ret = &p->port;
	return 0;
failed:
	port_close(&p->port);
	return r;
}
