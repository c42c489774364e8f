/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What runs in the threads that may hang in libvirt: the calls of libvirt_port.c's lines, and libvirt's event
 * loop, which writes messages to a pipe and touches nothing else. With libvirt_migrate.c the only file that
 * includes libvirt; its words are translated here. It decides nothing and knows nothing of the loop. */
#include "daemon/libvirt_call.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "daemon/domain_disk.h"
#include "daemon/domain_file.h"
#include "daemon/libvirt_migrate.h"
#include "util/cleanup.h"

/* libvirtd that hangs is noticed after 6 s x 2 to 3, or by the look of a loop when that gets no answer, 10 s
 * each; one that is restarted is back within a second. Each answer wakes libvirt's thread twice, which is
 * most of what an idle agent costs. A call that hangs has its deadline, 20 s and more. */
#define KEEPALIVE_S 6
#define KEEPALIVE_COUNT 2
#define REMOVAL_MS 20	 /* between two tries while a domain of the name is being removed, */
#define REMOVAL_TRIES 50 /* and so many more of them: a second */

CLEANUP_DEFINE(virDomainPtr, virDomainFree)

_Static_assert(sizeof(struct libvirt_message) <= _POSIX_PIPE_BUF, "a message is written in one piece");
_Static_assert(offsetof(struct libvirt_call, job) == 0, "the job is its first member");

/* What libvirt's callbacks are given; it lives for as long as one of them may still be called. */
struct sink {
	atomic_uint references;
	int fd;
	uint32_t connection;
	char uuid[37];
};

static pthread_t events_thread;
static atomic_bool events_stop;

void libvirt_refuse(struct libvirt_call *call, enum outcome outcome, const char *format, ...)
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
void libvirt_fail(struct libvirt_call *call, const char *what)
{
	const virError *error = virGetLastError();
	bool held = error && error->code == VIR_ERR_RESOURCE_BUSY && error->domain == VIR_FROM_LOCKING;

	libvirt_refuse(call, held ? OUTCOME_LEASE_HELD : OUTCOME_FAILED, "%s: %s (libvirt %d/%d)", what,
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

static void sink_send(const struct sink *sink, const struct libvirt_message *message)
{
	/* A full pipe has messages enough to make the loop look. */
	ssize_t n = write(sink->fd, message, sizeof(*message));

	(void)n;
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

static bool is_engine(const struct sink *sink, virDomainPtr domain)
{
	char uuid[VIR_UUID_STRING_BUFLEN];

	return virDomainGetUUIDString(domain, uuid) == 0 && strcmp(uuid, sink->uuid) == 0;
}

/* Only what changes the VM's state is told as such; anything else is worth a look. */
static int on_lifecycle(virConnectPtr connection, virDomainPtr domain, int event, int detail, void *data)
{
	const struct sink *sink = data;
	struct libvirt_message message = {.connection = sink->connection, .kind = LIBVIRT_OTHER};

	if (!is_engine(sink, domain))
		return 0;
	switch (event) {
	case VIR_DOMAIN_EVENT_STOPPED:
		message.kind = LIBVIRT_STOPPED;
		message.end = translate_end(detail);
		break;
	case VIR_DOMAIN_EVENT_RESUMED:
		message.kind = LIBVIRT_RESUMED;
		break;
	case VIR_DOMAIN_EVENT_SUSPENDED:
		message.kind = LIBVIRT_SUSPENDED;
		message.pause = detail == VIR_DOMAIN_EVENT_SUSPENDED_IOERROR	? PAUSE_IO_ERROR
				: detail == VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED ? PAUSE_MIGRATION
										: PAUSE_OTHER;
		break;
	default:
		break;
	}
	sink_send(sink, &message);
	return 0;
}

static void on_close(virConnectPtr connection, int reason, void *data)
{
	const struct sink *sink = data;

	sink_send(sink, &(struct libvirt_message){.connection = sink->connection, .kind = LIBVIRT_CLOSED});
}

/* Whoever asked for it: libvirt has no other event of a migration's begin. */
static void on_pass(virConnectPtr connection, virDomainPtr domain, int pass, void *data)
{
	const struct sink *sink = data;

	if (is_engine(sink, domain))
		sink_send(sink, &(struct libvirt_message){.connection = sink->connection,
							  .kind = LIBVIRT_MIGRATES});
}

static void deregister(virConnectPtr connection, const struct libvirt_callbacks *callbacks)
{
	if (callbacks->lifecycle >= 0)
		virConnectDomainEventDeregisterAny(connection, callbacks->lifecycle);
	if (callbacks->passes >= 0)
		virConnectDomainEventDeregisterAny(connection, callbacks->passes);
}

/* The callbacks hold references of the connection: they go first. */
static void connection_close(virConnectPtr connection, const struct libvirt_callbacks *callbacks)
{
	deregister(connection, callbacks);
	if (callbacks->lifecycle >= 0)
		virConnectUnregisterCloseCallback(connection, on_close);
	virConnectClose(connection);
}

static int listen_to(struct libvirt_call *call, int event, virConnectDomainEventGenericCallback callback,
		     struct sink *sink)
{
	int r;

	atomic_fetch_add(&sink->references, 1);
	r = virConnectDomainEventRegisterAny(call->connection, NULL, event, callback, sink, sink_unref);
	if (r < 0)
		sink_unref(sink);
	return r;
}

static int listen_to_events(struct libvirt_call *call)
{
	struct libvirt_callbacks *callbacks = &call->callbacks;
	struct sink *sink = calloc(1, sizeof(*sink));
	int r = 0;

	if (!sink)
		return -ENOMEM;
	sink->fd = fcntl(call->event_fd, F_DUPFD_CLOEXEC, 3);
	if (sink->fd < 0) {
		free(sink);
		return -errno;
	}
	sink->connection = call->number;
	memcpy(sink->uuid, call->config.uuid, sizeof(sink->uuid));
	atomic_store(&sink->references, 1); /* ours, and one for each callback */
	callbacks->lifecycle =
		listen_to(call, VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), sink);
	callbacks->passes = listen_to(call, VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION,
				      VIR_DOMAIN_EVENT_CALLBACK(on_pass), sink);
	atomic_fetch_add(&sink->references, 1);
	if (callbacks->lifecycle < 0 || callbacks->passes < 0 ||
	    virConnectRegisterCloseCallback(call->connection, on_close, sink, sink_unref) < 0) {
		sink_unref(sink);
		deregister(call->connection, callbacks);
		*callbacks = LIBVIRT_NO_CALLBACKS;
		r = -EIO;
	}
	sink_unref(sink);
	return r;
}

static void drop_connection(struct libvirt_call *call)
{
	if (call->connection)
		connection_close(call->connection, &call->callbacks);
	call->connection = NULL;
	call->callbacks = LIBVIRT_NO_CALLBACKS;
}

/* virConnectOpen has no limit of its own: a libvirtd that is stopped keeps it for ever, hence the line's
 * deadline. */
static int need_connection(struct libvirt_call *call)
{
	bool looks = call->event_fd >= 0;

	if (call->connection && (call->close_first || virConnectIsAlive(call->connection) != 1))
		drop_connection(call);
	if (call->connection)
		return 0;
	call->connection = virConnectOpen(call->config.uri);
	if (!call->connection) {
		libvirt_fail(call, "connect to libvirt");
		return -ENOTCONN;
	}
	if (virConnectSetKeepAlive(call->connection, KEEPALIVE_S, KEEPALIVE_COUNT) < 0 ||
	    (looks && listen_to_events(call) < 0)) {
		libvirt_fail(call, "register with libvirt");
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
			     : reason == VIR_DOMAIN_PAUSED_MIGRATION   ? PAUSE_MIGRATION
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
static int find_domain(struct libvirt_call *call, virDomainPtr *ret)
{
	*ret = virDomainLookupByUUIDString(call->connection, call->config.uuid);
	if (*ret || last_error_is(VIR_ERR_NO_DOMAIN))
		return 0;
	libvirt_fail(call, "look the domain up");
	return -EIO;
}

static void run_look(struct libvirt_call *call)
{
	_cleanup_(virDomainFree_p) virDomainPtr domain = NULL;
	int state, reason;

	call->view.state = DOMAIN_UNKNOWN;
	call->view.copied = -1;
	if (find_domain(call, &domain) < 0)
		return;
	if (!domain) {
		call->view.state = DOMAIN_NONE;
		call->view.leaving = false;
	} else if (virDomainGetState(domain, &state, &reason, 0) == 0) {
		translate_state(state, reason, &call->view);
		if (call->view.state == DOMAIN_SHUT_OFF) /* it has no jobs to be asked for */
			call->view.leaving = false;
		else if (call->migrates)
			libvirt_migrate_look(domain, &call->view);
	} else if (last_error_is(VIR_ERR_NO_DOMAIN)) {
		call->view.state = DOMAIN_NONE;
		call->view.leaving = false;
	} else {
		libvirt_fail(call, "ask for the domain's state");
		return;
	}
	call->outcome = OUTCOME_OK;
}

/* The XML that is to be started, or the reason why not. */
static int prepare_xml(struct libvirt_call *call, const struct domain_lease *lease, char **ret)
{
	char why[DOMAIN_WHY_MAX] = "";
	int32_t memory_mib;
	int r;

	r = domain_file_prepare(call->argument, call->config.uuid, lease, ret, &memory_mib, why);
	/* Rule 8, before anything is created. */
	if (r == 0)
		r = domain_disk_check(&backing_machine, *ret, strlen(*ret), call->config.disk, why);
	if (r < 0)
		libvirt_refuse(call, OUTCOME_FAILED, "%.200s: %s", call->argument, why);
	return r;
}

/* Safety rules 1 and 8 on what libvirt has: its defaults, hooks or an operator may have changed what we gave,
 * and what is resumed may be another's start. */
static int check_live_xml(struct libvirt_call *call, virDomainPtr domain, const struct domain_lease *lease)
{
	_cleanup_free_ char *live = virDomainGetXMLDesc(domain, 0);
	char why[DOMAIN_WHY_MAX] = "";
	int r;

	if (!live) {
		libvirt_fail(call, "read the domain's XML back");
		return -EIO;
	}
	r = domain_xml_check(live, strlen(live), call->config.uuid, lease, why);
	if (r == 0)
		r = domain_disk_check(&backing_machine, live, strlen(live), call->config.disk, why);
	if (r < 0)
		libvirt_refuse(call, OUTCOME_FAILED, "the domain's live XML: %s", *why ? why : strerror(-r));
	return r;
}

static int clean_up_old(struct libvirt_call *call)
{
	_cleanup_(virDomainFree_p) virDomainPtr domain = NULL;
	int r;

	r = find_domain(call, &domain);
	if (r < 0 || !domain)
		return r;
	if (virDomainIsActive(domain) != 0) {
		libvirt_refuse(call, OUTCOME_FAILED, "the domain exists and is not shut off");
		return -EEXIST;
	}
	/* A definition left by another tool: what runs must be ours, and transient, so that nothing starts it
	 * again. */
	if (virDomainUndefineFlags(domain, VIR_DOMAIN_UNDEFINE_MANAGED_SAVE |
						   VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
						   VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA |
						   VIR_DOMAIN_UNDEFINE_KEEP_NVRAM) < 0) {
		libvirt_fail(call, "clean up the domain that is shut off");
		return -EIO;
	}
	return 0;
}

/* Only what this call has created, told by its id: a call that was given up may end when another has begun,
 * and a destroy goes by the uuid, which is the new VM's too. */
static void destroy_created(struct libvirt_call *call, virDomainPtr created)
{
	_cleanup_(virDomainFree_p) virDomainPtr domain =
		virDomainLookupByID(call->connection, (int)virDomainGetID(created));

	if (domain)
		virDomainDestroy(domain);
}

static struct domain_lease lease_of(const struct libvirt_call *call)
{
	return (struct domain_lease){.lockspace = call->config.lockspace,
				     .key = call->config.lease_name,
				     .path = call->config.lease_path,
				     .offset = call->config.lease_offset};
}

/* libvirt tells of an end before it has let go of the domain, and creates none of its name until then: for
 * some ms. Whoever starts it again at once, as the last host does, would have failed. What is refused so has
 * created nothing. */
static virDomainPtr create_paused(struct libvirt_call *call, const char *xml)
{
	for (int tries = 0;; tries++) {
		virDomainPtr domain = virDomainCreateXML(call->connection, xml, VIR_DOMAIN_START_PAUSED);
		const virError *error = domain ? NULL : virGetLastError();

		if (!error || error->code != VIR_ERR_OPERATION_FAILED || error->domain != VIR_FROM_DOMAIN ||
		    tries == REMOVAL_TRIES || atomic_load(&call->abandoned))
			return domain;
		usleep(REMOVAL_MS * 1000);
	}
}

/* Safety rule 2: created paused it holds no lease and runs nothing; its XML is checked; the resume takes the
 * lease, or fails. What was created and does not run is destroyed, so that nobody resumes it later. */
static void run_start(struct libvirt_call *call)
{
	const struct domain_lease lease = lease_of(call);
	_cleanup_(virDomainFree_p) virDomainPtr domain = NULL;
	_cleanup_free_ char *xml = NULL;

	if (prepare_xml(call, &lease, &xml) < 0 || clean_up_old(call) < 0)
		return;
	domain = create_paused(call, xml);
	if (!domain) {
		libvirt_fail(call, "create the domain");
		return;
	}
	if (check_live_xml(call, domain, &lease) == 0) {
		/* Given up by the loop meanwhile: it has told the machine that the start failed. */
		if (atomic_load(&call->abandoned))
			libvirt_refuse(call, OUTCOME_FAILED, "given up");
		else if (call->action == ACTION_START_PAUSED || virDomainResume(domain) == 0)
			call->outcome = OUTCOME_OK;
		else
			libvirt_fail(call, "take the lease and run");
	}
	/* Its lease came after the loop had given up: the machine counts it as failed and may have moved on.
	 */
	if (call->outcome == OUTCOME_OK && atomic_load(&call->abandoned))
		call->outcome = OUTCOME_FAILED;
	if (call->outcome != OUTCOME_OK)
		destroy_created(call, domain);
}

/* Safety rule 11: the resume takes the lease again, and libvirt does not look who had it in between. The core
 * asks for a resume only while the lease's version has not moved, and checks it again afterwards. */
static void run_resume(struct libvirt_call *call)
{
	const struct domain_lease lease = lease_of(call);
	_cleanup_(virDomainFree_p) virDomainPtr domain = NULL;

	if (find_domain(call, &domain) < 0)
		return;
	if (!domain)
		libvirt_refuse(call, OUTCOME_FAILED, "the domain is not here");
	else if (check_live_xml(call, domain, &lease) == 0 && !atomic_load(&call->abandoned)) {
		if (virDomainResume(domain) == 0)
			call->outcome = OUTCOME_OK;
		else
			libvirt_fail(call, "resume");
	}
}

/* Safety rules 1 and 8 hold for what is to run there, too. */
static void run_migrate(struct libvirt_call *call)
{
	const struct domain_lease lease = lease_of(call);
	_cleanup_(virDomainFree_p) virDomainPtr domain = NULL;

	if (find_domain(call, &domain) < 0)
		return;
	if (!domain)
		libvirt_refuse(call, OUTCOME_FAILED, "the domain is not here");
	else if (call->action == ACTION_CANCEL)
		libvirt_migrate_cancel(call, domain);
	else if (check_live_xml(call, domain, &lease) == 0)
		libvirt_migrate(call, domain);
}

static void run_shutdown(struct libvirt_call *call)
{
	_cleanup_(virDomainFree_p) virDomainPtr domain = NULL;

	if (find_domain(call, &domain) < 0)
		return;
	if (!domain)
		libvirt_refuse(call, OUTCOME_FAILED, "the domain is not here");
	else if (virDomainShutdownFlags(domain, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN) < 0)
		libvirt_fail(call, "shut the domain down");
	else
		call->outcome = OUTCOME_OK;
}

static void run_destroy(struct libvirt_call *call)
{
	_cleanup_(virDomainFree_p) virDomainPtr domain = NULL;

	if (find_domain(call, &domain) < 0)
		return;
	/* A VM that libvirt does not list, or holds for ended, may live on: a restarted libvirtd can lose its
	 * QEMU. The guard, which looks in /proc, has the word then. */
	if (!domain)
		libvirt_refuse(call, OUTCOME_FAILED, "the domain is not here");
	else if (virDomainDestroyFlags(domain, 0) == 0)
		call->outcome = OUTCOME_OK;
	else
		libvirt_fail(call, "destroy the domain");
}

void libvirt_call_run(struct job *job)
{
	struct libvirt_call *call = (struct libvirt_call *)job;

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
		case ACTION_MIGRATE:
		case ACTION_CANCEL:
			run_migrate(call);
			break;
		default:
			libvirt_refuse(call, OUTCOME_FAILED, "not an action of libvirt's");
			break;
		}
	}
	if (atomic_load(&call->abandoned) || (call->connection && virConnectIsAlive(call->connection) != 1))
		drop_connection(call);
}

/* Called in a thread that was given up, or in the loop between two instants: it does not close the
 * connection, which may block; libvirt_call_run() has done so. */
void libvirt_call_destroy(struct job *job)
{
	struct libvirt_call *call = (struct libvirt_call *)job;

	if (call->event_fd >= 0)
		close(call->event_fd);
	free(call);
}

static void *events_run(void *data)
{
	while (!atomic_load(&events_stop))
		if (virEventRunDefaultImpl() < 0)
			break;
	return NULL;
}

static void ignore_error(void *data, virErrorPtr error)
{
}

/* Signals belong to the loop's thread. */
int libvirt_events_start(void)
{
	sigset_t all, before;
	int r;

	virSetErrorFunc(NULL, ignore_error); /* else libvirt writes to stderr itself */
	if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0)
		return -EIO;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&events_thread, NULL, events_run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		pthread_setname_np(events_thread, "libvirt-events");
	return -r;
}

static void wake_events(int timer, void *data)
{
	virEventRemoveTimeout(timer);
}

void libvirt_events_stop(void)
{
	atomic_store(&events_stop, true);
	virEventAddTimeout(0, wake_events, NULL, NULL);
	pthread_join(events_thread, NULL);
}
