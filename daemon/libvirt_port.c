/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt as the agent's VM port; the only file that includes the library. It decides nothing: it asks, acts,
 * translates the answers, and connects again. Three lines, each a connection and the thread that may hang in
 * it: one looks and hears events, one creates, resumes and shuts down, one destroys (a create that waits for
 * its lease blocks for 70 s and must not keep a destroy waiting). A call that is late is given up with its
 * connection. libvirt's event loop has a thread of its own, which writes messages to a pipe and touches
 * nothing else. */
#include "daemon/libvirt_port.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "daemon/domain_file.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/loop.h"
#include "util/worker.h"

/* libvirtd that hangs is noticed after 1 s x 3; one that is restarted is back within a second. */
#define KEEPALIVE_S 1
#define KEEPALIVE_COUNT 3
#define RETRY_MS 1000
#define LOOK_MS 5000 /* a look that an event asked for */
#define WHY_MAX 512

CLEANUP_DEFINE(virDomainPtr, virDomainFree)

enum line_kind { LINE_LOOK, LINE_ACT, LINE_DESTROY, LINE_COUNT };

/* From libvirt's event thread. Small enough to be written to a pipe in one piece. */
struct message {
	uint32_t connection; /* which one; those of older ones are ignored */
	bool closed;
	int event, detail; /* lifecycle */
};
_Static_assert(sizeof(struct message) <= _POSIX_PIPE_BUF, "a message is written in one piece");

/* What libvirt's callbacks are given; it lives for as long as one of them may still be called. */
struct sink {
	atomic_uint references;
	int fd;
	uint32_t connection;
	char uuid[37];
};

/* One job of a line. The thread owns it while it runs, but for `abandoned`. */
struct call {
	struct job job;
	atomic_bool
		abandoned;  /* set by the loop when it gives up: the thread ends what it began and closes */
	struct line *line;  /* for the loop */
	enum action action; /* ACTION_NONE: a look */
	struct libvirt_config config;
	char xml[PATH_MAX];
	virConnectPtr connection; /* in and out */
	bool close_first;	  /* it is known to be dead */
	int event_fd;		  /* a look that connects: for its events, else -1 */
	uint32_t number;	  /* a look: of the connection that it makes */
	bool connected;		  /* it did */
	int callback;		  /* lifecycle's, -1 none */
	struct domain_view view;
	enum outcome outcome;
	char why[WHY_MAX];
};

struct line {
	struct libvirt_port *port;
	struct worker *worker;
	struct timer deadline;
	virConnectPtr connection; /* while no call has it */
	int callback;		  /* LINE_LOOK: of `connection` */
	bool dead;		  /* the close callback was called */
	struct call *call;	  /* under way */
	mono_t begun;
};

struct libvirt_port {
	struct vm_port port; /* first: the port's `this` */
	struct libvirt_config config;
	struct loop *loop;
	struct clock_port *clock;
	struct line lines[LINE_COUNT];
	struct domain_view view;
	uint32_t number;   /* of the look connection */
	uint32_t attempts; /* to make one: the last number given out */
	bool look_again;   /* an event came during a look: its answer may be from before */
	bool silent_told;  /* the log knows that libvirt does not answer */
	struct timer retry;
	int events[2]; /* pipe */
	pthread_t events_thread;
	atomic_bool events_stop;
};

_Static_assert(offsetof(struct libvirt_port, port) == 0, "the port is its first member");
_Static_assert(offsetof(struct call, job) == 0, "the job is its first member");

static void look_start(struct libvirt_port *p, mono_t deadline);

__attribute__((format(printf, 3, 4))) static void fail(struct call *call, enum outcome outcome,
						       const char *format, ...)
{
	va_list args;

	call->outcome = outcome;
	va_start(args, format);
	vsnprintf(call->why, sizeof(call->why), format, args);
	va_end(args);
}

/* libvirt's last error of this thread becomes an outcome, here and nowhere else. Its sanlock driver says
 * RESOURCE_BUSY of domain LOCKING when the lease is another host's, and also for a wrong lease name: the core
 * counts those. */
static void fail_libvirt(struct call *call, const char *what)
{
	const virError *error = virGetLastError();
	bool held = error && error->code == VIR_ERR_RESOURCE_BUSY && error->domain == VIR_FROM_LOCKING;

	fail(call, held ? OUTCOME_LEASE_HELD : OUTCOME_FAILED, "%s: %s (libvirt %d/%d)", what,
	     error && error->message ? error->message : "unknown error", error ? error->code : 0,
	     error ? error->domain : 0);
}

static bool last_error_is(int code)
{
	const virError *error = virGetLastError();

	return error && error->code == code;
}

static void sink_unref(void *data)
{
	struct sink *sink = data;

	if (atomic_fetch_sub(&sink->references, 1) != 1)
		return;
	close(sink->fd);
	free(sink);
}

static void sink_send(const struct sink *sink, const struct message *message)
{
	/* A full pipe has messages enough to make the loop look. */
	ssize_t n = write(sink->fd, message, sizeof(*message));

	(void)n;
}

static int on_lifecycle(virConnectPtr connection, virDomainPtr domain, int event, int detail, void *data)
{
	const struct sink *sink = data;
	char uuid[VIR_UUID_STRING_BUFLEN];

	if (virDomainGetUUIDString(domain, uuid) < 0 || strcmp(uuid, sink->uuid) != 0)
		return 0;
	sink_send(sink, &(struct message){.connection = sink->connection, .event = event, .detail = detail});
	return 0;
}

static void on_close(virConnectPtr connection, int reason, void *data)
{
	const struct sink *sink = data;

	sink_send(sink, &(struct message){.connection = sink->connection, .closed = true});
}

/* The callbacks hold references of the connection: they go first. */
static void connection_close(virConnectPtr connection, int callback)
{
	if (callback >= 0) {
		virConnectDomainEventDeregisterAny(connection, callback);
		virConnectUnregisterCloseCallback(connection, on_close);
	}
	virConnectClose(connection);
}

static int listen_to_events(struct call *call)
{
	struct sink *sink = calloc(1, sizeof(*sink));

	if (!sink)
		return -ENOMEM;
	sink->fd = fcntl(call->event_fd, F_DUPFD_CLOEXEC, 3);
	if (sink->fd < 0) {
		free(sink);
		return -errno;
	}
	sink->connection = call->number;
	memcpy(sink->uuid, call->config.uuid, sizeof(sink->uuid));
	atomic_store(&sink->references, 2); /* one for each callback */
	call->callback =
		virConnectDomainEventRegisterAny(call->connection, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
						 VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), sink, sink_unref);
	if (call->callback < 0) {
		sink_unref(sink);
		sink_unref(sink);
		return -EIO;
	}
	if (virConnectRegisterCloseCallback(call->connection, on_close, sink, sink_unref) < 0) {
		sink_unref(sink);
		virConnectDomainEventDeregisterAny(call->connection, call->callback);
		call->callback = -1;
		return -EIO;
	}
	return 0;
}

static void drop_connection(struct call *call)
{
	if (call->connection)
		connection_close(call->connection, call->callback);
	call->connection = NULL;
	call->callback = -1;
}

/* virConnectOpen has no limit of its own: a libvirtd that is stopped keeps it for ever, hence the line's
 * deadline. */
static int need_connection(struct call *call)
{
	if (call->connection && (call->close_first || virConnectIsAlive(call->connection) != 1))
		drop_connection(call);
	if (call->connection)
		return 0;
	call->connection = virConnectOpen(call->config.uri);
	if (!call->connection) {
		fail_libvirt(call, "connect to libvirt");
		return -ENOTCONN;
	}
	if (virConnectSetKeepAlive(call->connection, KEEPALIVE_S, KEEPALIVE_COUNT) < 0 ||
	    (call->event_fd >= 0 && listen_to_events(call) < 0)) {
		fail_libvirt(call, "register with libvirt");
		drop_connection(call);
		return -ENOTCONN;
	}
	call->connected = true;
	return 0;
}

static void translate_state(int state, int reason, struct domain_view *ret)
{
	ret->pause = PAUSE_NONE;
	switch (state) {
	case VIR_DOMAIN_RUNNING:
	case VIR_DOMAIN_BLOCKED:
		ret->state = DOMAIN_RUNNING;
		break;
	case VIR_DOMAIN_PAUSED:
		ret->state = DOMAIN_PAUSED;
		ret->pause = reason == VIR_DOMAIN_PAUSED_IOERROR       ? PAUSE_IO_ERROR
			     : reason == VIR_DOMAIN_PAUSED_STARTING_UP ? PAUSE_STARTING
								       : PAUSE_OTHER;
		break;
	case VIR_DOMAIN_CRASHED: /* preserved: its QEMU lives and does not run */
	case VIR_DOMAIN_PMSUSPENDED:
		ret->state = DOMAIN_PAUSED;
		ret->pause = PAUSE_OTHER;
		break;
	case VIR_DOMAIN_SHUTDOWN:
		ret->state = DOMAIN_SHUTTING_DOWN;
		break;
	case VIR_DOMAIN_SHUTOFF:
		ret->state = DOMAIN_SHUT_OFF;
		break;
	default:
		ret->state = DOMAIN_UNKNOWN;
		break;
	}
}

/* *ret NULL: there is none. */
static int find_domain(struct call *call, virDomainPtr *ret)
{
	*ret = virDomainLookupByUUIDString(call->connection, call->config.uuid);
	if (*ret || last_error_is(VIR_ERR_NO_DOMAIN))
		return 0;
	fail_libvirt(call, "look the domain up");
	return -EIO;
}

static void run_look(struct call *call)
{
	_cleanup_(virDomainFree_p) virDomainPtr domain = NULL;
	int state, reason;

	call->view.state = DOMAIN_UNKNOWN;
	if (find_domain(call, &domain) < 0)
		return;
	if (!domain) {
		call->view.state = DOMAIN_NONE;
	} else if (virDomainGetState(domain, &state, &reason, 0) == 0) {
		translate_state(state, reason, &call->view);
	} else if (last_error_is(VIR_ERR_NO_DOMAIN)) {
		call->view.state = DOMAIN_NONE;
	} else {
		fail_libvirt(call, "ask for the domain's state");
		return;
	}
	call->outcome = OUTCOME_OK;
}

/* The XML that is to be started, or the reason why not. */
static int prepare_xml(struct call *call, const struct domain_lease *lease, char **ret)
{
	char why[DOMAIN_WHY_MAX] = "";
	int32_t memory_mib;
	int r;

	r = domain_file_prepare(call->xml, call->config.uuid, lease, ret, &memory_mib, why);
	if (r < 0)
		fail(call, OUTCOME_FAILED, "%.200s: %s", call->xml, why);
	return r;
}

/* Safety rule 1 on what libvirt has: its defaults, hooks or an operator may have changed what we gave. */
static int check_live_xml(struct call *call, virDomainPtr domain, const struct domain_lease *lease)
{
	_cleanup_free_ char *live = virDomainGetXMLDesc(domain, 0);
	char why[DOMAIN_WHY_MAX] = "";
	int r;

	if (!live) {
		fail_libvirt(call, "read the domain's XML back");
		return -EIO;
	}
	r = domain_xml_check(live, strlen(live), call->config.uuid, lease, why);
	if (r < 0)
		fail(call, OUTCOME_FAILED, "the domain's live XML: %s", *why ? why : strerror(-r));
	return r;
}

static int clean_up_old(struct call *call)
{
	_cleanup_(virDomainFree_p) virDomainPtr domain = NULL;
	int r;

	r = find_domain(call, &domain);
	if (r < 0 || !domain)
		return r;
	if (virDomainIsActive(domain) != 0) {
		fail(call, OUTCOME_FAILED, "the domain exists and is not shut off");
		return -EEXIST;
	}
	/* A definition left by another tool: what runs must be ours, and transient, so that nothing starts it
	 * again. */
	if (virDomainUndefineFlags(domain, VIR_DOMAIN_UNDEFINE_MANAGED_SAVE |
						   VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
						   VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA |
						   VIR_DOMAIN_UNDEFINE_KEEP_NVRAM) < 0) {
		fail_libvirt(call, "clean up the domain that is shut off");
		return -EIO;
	}
	return 0;
}

/* Safety rule 2: created paused it holds no lease and runs nothing; its XML is checked; the resume takes the
 * lease, or fails. What was created and does not run is destroyed, so that nobody resumes it later. */
static void run_start(struct call *call)
{
	const struct domain_lease lease = {.lockspace = call->config.lockspace,
					   .key = call->config.lease_name,
					   .path = call->config.lease_path,
					   .offset = call->config.lease_offset};
	_cleanup_(virDomainFree_p) virDomainPtr domain = NULL;
	_cleanup_free_ char *xml = NULL;

	if (prepare_xml(call, &lease, &xml) < 0 || clean_up_old(call) < 0)
		return;
	domain = virDomainCreateXML(call->connection, xml, VIR_DOMAIN_START_PAUSED);
	if (!domain) {
		fail_libvirt(call, "create the domain");
		return;
	}
	if (check_live_xml(call, domain, &lease) == 0) {
		/* Given up by the loop meanwhile: it has told the machine that the start failed. */
		if (atomic_load(&call->abandoned))
			fail(call, OUTCOME_FAILED, "given up");
		else if (call->action == ACTION_START_PAUSED || virDomainResume(domain) == 0)
			call->outcome = OUTCOME_OK;
		else
			fail_libvirt(call, "take the lease and run");
	}
	/* Its lease came after the loop had given up: the machine counts it as failed and may have moved on.
	 */
	if (call->outcome == OUTCOME_OK && atomic_load(&call->abandoned))
		call->outcome = OUTCOME_FAILED;
	if (call->outcome != OUTCOME_OK)
		virDomainDestroy(domain);
}

/* Safety rule 11: the resume takes the lease again, and libvirt does not look who had it in between. The core
 * asks for a resume only while the lease's version has not moved, and checks it again afterwards. */
static void run_resume(struct call *call)
{
	const struct domain_lease lease = {.lockspace = call->config.lockspace,
					   .key = call->config.lease_name,
					   .path = call->config.lease_path,
					   .offset = call->config.lease_offset};
	_cleanup_(virDomainFree_p) virDomainPtr domain = NULL;

	if (find_domain(call, &domain) < 0)
		return;
	if (!domain)
		fail(call, OUTCOME_FAILED, "the domain is not here");
	else if (check_live_xml(call, domain, &lease) == 0 && !atomic_load(&call->abandoned)) {
		if (virDomainResume(domain) == 0)
			call->outcome = OUTCOME_OK;
		else
			fail_libvirt(call, "resume");
	}
}

static void run_shutdown(struct call *call)
{
	_cleanup_(virDomainFree_p) virDomainPtr domain = NULL;

	if (find_domain(call, &domain) < 0)
		return;
	if (!domain)
		fail(call, OUTCOME_FAILED, "the domain is not here");
	else if (virDomainShutdownFlags(domain, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN) < 0)
		fail_libvirt(call, "shut the domain down");
	else
		call->outcome = OUTCOME_OK;
}

static void run_destroy(struct call *call)
{
	_cleanup_(virDomainFree_p) virDomainPtr domain = NULL;

	if (find_domain(call, &domain) < 0)
		return;
	/* OPERATION_INVALID: it is not running. */
	if (!domain || virDomainDestroyFlags(domain, 0) == 0 || last_error_is(VIR_ERR_NO_DOMAIN) ||
	    last_error_is(VIR_ERR_OPERATION_INVALID))
		call->outcome = OUTCOME_OK;
	else
		fail_libvirt(call, "destroy the domain");
}

static void call_run(struct job *job)
{
	struct call *call = (struct call *)job;

	call->outcome = OUTCOME_FAILED;
	virResetLastError();
	if (need_connection(call) == 0) {
		switch (call->action) {
		case ACTION_NONE:
			run_look(call);
			break;
		case ACTION_START:
		case ACTION_START_PAUSED:
			run_start(call);
			break;
		case ACTION_RESUME:
			run_resume(call);
			break;
		case ACTION_SHUTDOWN:
			run_shutdown(call);
			break;
		case ACTION_DESTROY:
			run_destroy(call);
			break;
		default:
			fail(call, OUTCOME_FAILED, "not an action of libvirt's");
			break;
		}
	}
	if (atomic_load(&call->abandoned) || (call->connection && virConnectIsAlive(call->connection) != 1))
		drop_connection(call);
}

/* Called in a thread that was given up, or in the loop between two instants: it does not close the
 * connection, which may block; call_run() has done so. */
static void call_destroy(struct job *job)
{
	struct call *call = (struct call *)job;

	if (call->event_fd >= 0)
		close(call->event_fd);
	free(call);
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

static void look_ended(struct libvirt_port *p, struct line *line, const struct call *call)
{
	if (call->connected) {
		p->number = call->number;
		if (p->silent_told)
			log_info("libvirt answers again");
		p->silent_told = false;
	}
	if (call->outcome != OUTCOME_OK || line->dead) {
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
	p->view.begun = line->begun;
	p->port.changed(p->port.data, &p->view);
}

static void call_done(struct job *job)
{
	struct call *call = (struct call *)job;
	struct line *line = call->line;
	struct libvirt_port *p = line->port;

	p->clock->cancel(p->clock, &line->deadline);
	line->call = NULL;
	line->connection = call->connection;
	line->callback = call->callback;
	one_line(call->why);
	if (call->action == ACTION_NONE)
		look_ended(p, line, call);
	else
		p->port.ended(p->port.data, call->action, call->outcome, call->why);
	call_destroy(job);
}

static void line_late(struct timer *timer)
{
	struct line *line = (struct line *)((char *)timer - offsetof(struct line, deadline));
	struct libvirt_port *p = line->port;
	const struct call *act = p->lines[LINE_ACT].call;
	enum action action;
	char why[64];

	worker_dispatch(line->worker); /* it may have ended this instant */
	if (!line->call)
		return;
	action = line->call->action;
	/* A resume that waits for its lease holds libvirt's lock of the domain: a look has to wait with it,
	 * and is no sign of a libvirtd that hangs. The resume has its own limit. */
	if (action == ACTION_NONE && act && (act->action == ACTION_START || act->action == ACTION_RESUME)) {
		p->clock->set(p->clock, timer, mono_add(p->clock->now(p->clock), RETRY_MS));
		return;
	}
	atomic_store(&line->call->abandoned, true);
	worker_give_up(line->worker);
	line->call = NULL;
	line->dead = false;
	snprintf(why, sizeof(why), "no answer after %lld ms",
		 (long long)(p->clock->now(p->clock) - line->begun));
	if (action == ACTION_NONE)
		view_unknown(p, why);
	else
		p->port.ended(p->port.data, action, OUTCOME_FAILED, why);
}

/* -EBUSY: a call is under way, or too many hang. */
static int line_call(struct line *line, enum action action, const char *xml, mono_t deadline)
{
	struct libvirt_port *p = line->port;
	bool looks = line == &p->lines[LINE_LOOK];
	struct call *call;
	int r;

	if (line->call)
		return -EBUSY;
	call = calloc(1, sizeof(*call));
	if (!call)
		return -ENOMEM;
	call->job = (struct job){.run = call_run, .done = call_done, .destroy = call_destroy};
	call->line = line;
	call->action = action;
	call->config = p->config;
	snprintf(call->xml, sizeof(call->xml), "%s", xml ? xml : p->config.xml);
	call->connection = line->connection;
	call->callback = line->callback;
	call->close_first = line->dead;
	call->event_fd = looks ? fcntl(p->events[1], F_DUPFD_CLOEXEC, 3) : -1;
	if (looks && call->event_fd < 0) {
		r = -errno;
		free(call);
		return r;
	}
	call->number = looks ? ++p->attempts : 0; /* goes unused when the connection is still good */
	r = worker_start(line->worker, &call->job);
	if (r < 0) {
		call_destroy(&call->job);
		return r;
	}
	line->call = call;
	line->connection = NULL;
	line->callback = -1;
	line->dead = false;
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

static enum domain_end translate_end(int detail)
{
	switch (detail) {
	case VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN:
		return END_INSIDE;
	case VIR_DOMAIN_EVENT_STOPPED_CRASHED:
	case VIR_DOMAIN_EVENT_STOPPED_FAILED:
		return END_CRASHED;
	case VIR_DOMAIN_EVENT_STOPPED_MIGRATED:
		return END_MIGRATED;
	default: /* destroyed, saved: somebody asked libvirt for it */
		return END_BY_US;
	}
}

/* Events that change what the VM is are taken at their word at once, 20 ms after QEMU's death; a look
 * follows. */
static void take_event(struct libvirt_port *p, const struct message *message)
{
	p->view.begun = p->clock->now(p->clock);
	switch (message->event) {
	case VIR_DOMAIN_EVENT_STOPPED:
		p->view.state = DOMAIN_NONE;
		p->view.pause = PAUSE_NONE;
		p->view.end = translate_end(message->detail);
		p->view.ends++;
		break;
	case VIR_DOMAIN_EVENT_RESUMED:
		p->view.state = DOMAIN_RUNNING;
		p->view.pause = PAUSE_NONE;
		break;
	case VIR_DOMAIN_EVENT_SUSPENDED:
		p->view.state = DOMAIN_PAUSED;
		p->view.pause =
			message->detail == VIR_DOMAIN_EVENT_SUSPENDED_IOERROR ? PAUSE_IO_ERROR : PAUSE_OTHER;
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
	struct message message;

	while (read(fd, &message, sizeof(message)) == (ssize_t)sizeof(message)) {
		struct line *line = &p->lines[LINE_LOOK];

		log_debug("libvirt connection=%u closed=%d event=%d detail=%d", message.connection,
			  message.closed, message.event, message.detail);
		if (message.connection != p->number &&
		    !(line->call && message.connection == line->call->number))
			continue;
		if (!message.closed) {
			take_event(p, &message);
			continue;
		}
		line->dead = true;
		if (!line->call) {
			view_unknown(p, "the connection was closed");
			look_now(p);
		}
	}
}

static void *events_run(void *data)
{
	struct libvirt_port *p = data;

	while (!atomic_load(&p->events_stop))
		if (virEventRunDefaultImpl() < 0)
			break;
	return NULL;
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

	if (action == ACTION_DESTROY)
		return line_call(&p->lines[LINE_DESTROY], action, NULL, deadline);
	assert(action == ACTION_START || action == ACTION_START_PAUSED || action == ACTION_RESUME ||
	       action == ACTION_SHUTDOWN);
	return line_call(&p->lines[LINE_ACT], action, argument, deadline);
}

static void wake_events(int timer, void *data)
{
	virEventRemoveTimeout(timer);
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
	if (p->events_thread) {
		atomic_store(&p->events_stop, true);
		virEventAddTimeout(0, wake_events, NULL, NULL);
		pthread_join(p->events_thread, NULL);
	}
	free(p);
}

static void ignore_error(void *data, virErrorPtr error)
{
}

/* Signals belong to the loop's thread. */
static int events_start(struct libvirt_port *p)
{
	sigset_t all, before;
	int r;

	virSetErrorFunc(NULL, ignore_error); /* else libvirt writes to stderr itself */
	if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0)
		return -EIO;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&p->events_thread, NULL, events_run, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		pthread_setname_np(p->events_thread, "libvirt-events");
	return -r;
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
	p->view = (struct domain_view){.state = DOMAIN_UNKNOWN, .begun = MONO_UNSET};
	p->retry.fire = retry_look;
	p->events[0] = p->events[1] = -1;
	if (pipe2(p->events, O_CLOEXEC | O_NONBLOCK) < 0) {
		r = -errno;
		goto failed;
	}
	r = loop_add_fd(loop, p->events[0], POLLIN, events_ready, p);
	for (int i = 0; i < LINE_COUNT && r == 0; i++) {
		p->lines[i].port = p;
		p->lines[i].callback = -1;
		p->lines[i].deadline.fire = line_late;
		r = worker_new(names[i], &p->lines[i].worker);
		if (r == 0)
			r = loop_add_worker(loop, p->lines[i].worker);
	}
	if (r == 0)
		r = events_start(p);
	if (r < 0)
		goto failed;
	*ret = &p->port;
	return 0;
failed:
	port_close(&p->port);
	return r;
}
