/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The only file of hosted-engine that includes libvirt and libxml2. Moves bytes between the terminal and the
 * guest's console, and changes the password of a display; starts, stops and moves no VM. */
#include "tools/engine_libvirt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <libxml/parser.h>
#include <libxml/tree.h>

#include "util/cleanup.h"
#include "util/clock.h"

#define LEAVE 0x1d /* ^] */
#define PIECE 1024

CLEANUP_DEFINE(virConnectPtr, virConnectClose)
CLEANUP_DEFINE(virDomainPtr, virDomainFree)
CLEANUP_DEFINE(xmlDoc *, xmlFreeDoc)

static void no_words(void *data, virErrorPtr error)
{
}

static int failed(int error, char why[ENGINE_LIBVIRT_WHY_MAX])
{
	snprintf(why, ENGINE_LIBVIRT_WHY_MAX, "%s", virGetLastErrorMessage());
	return error;
}

/* The VM while it has a QEMU here. */
static int find(const char *uri, const char *vmid, virConnectPtr *ret_connection, virDomainPtr *ret,
		char why[ENGINE_LIBVIRT_WHY_MAX])
{
	virDomainPtr domain;
	int active;

	virSetErrorFunc(NULL, no_words);
	*ret_connection = virConnectOpen(uri);
	if (!*ret_connection)
		return failed(-ENOTCONN, why);
	domain = virDomainLookupByUUIDString(*ret_connection, vmid);
	if (!domain)
		return failed(virGetLastErrorCode() == VIR_ERR_NO_DOMAIN ? -ENOENT : -EIO, why);
	active = virDomainIsActive(domain);
	if (active != 1) {
		/* A libvirtd that ends meanwhile does not say that the VM is elsewhere. */
		int r = active < 0 ? failed(-EIO, why) : -ENOENT;

		virDomainFree(domain);
		return r;
	}
	*ret = domain;
	return 0;
}

struct console {
	virStreamPtr stream;
	bool ended;
	int error;
	char typed[PIECE];
	size_t n_typed;
};

/* A handler may not do more; volatile, and one at a time: the terminal is one. */
static volatile sig_atomic_t signal_seen;
static int signal_pipe[2] = {-1, -1};

static void signalled(int number)
{
	int error = errno;

	signal_seen = number;
	(void)!write(signal_pipe[1], "", 1);
	errno = error;
}

static void end(struct console *console, int error)
{
	console->ended = true;
	if (error < 0)
		console->error = error;
}

static void want(struct console *console)
{
	virStreamEventUpdateCallback(console->stream,
				     VIR_STREAM_EVENT_READABLE | VIR_STREAM_EVENT_ERROR |
					     VIR_STREAM_EVENT_HANGUP |
					     (console->n_typed > 0 ? VIR_STREAM_EVENT_WRITABLE : 0));
}

static void show(struct console *console)
{
	char bytes[PIECE];
	int n = virStreamRecv(console->stream, bytes, sizeof(bytes));

	if (n == 0 || n == -1)
		end(console, n == 0 ? 0 : -EIO);
	for (int at = 0; at < n;) {
		ssize_t written = write(STDOUT_FILENO, bytes + at, (size_t)(n - at));

		if (written < 0 && errno != EINTR && errno != EAGAIN) {
			end(console, -errno);
			return;
		}
		at += written > 0 ? (int)written : 0;
	}
}

static void stream_ready(virStreamPtr stream, int events, void *data)
{
	struct console *console = data;

	if (events & VIR_STREAM_EVENT_READABLE)
		show(console);
	if ((events & VIR_STREAM_EVENT_WRITABLE) && console->n_typed > 0) {
		int n = virStreamSend(stream, console->typed, console->n_typed);

		if (n == -1)
			end(console, -EIO);
		if (n > 0) {
			console->n_typed -= (size_t)n;
			memmove(console->typed, console->typed + n, console->n_typed);
		}
		want(console);
	}
	if (events & (VIR_STREAM_EVENT_ERROR | VIR_STREAM_EVENT_HANGUP))
		end(console, 0);
}

static void typed(int watch, int fd, int events, void *data)
{
	struct console *console = data;
	char *leave;
	ssize_t n;

	if (console->n_typed == sizeof(console->typed))
		return; /* the guest does not read: what is typed waits in the terminal */
	n = read(fd, console->typed + console->n_typed, sizeof(console->typed) - console->n_typed);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	leave = n > 0 ? memchr(console->typed + console->n_typed, LEAVE, (size_t)n) : NULL;
	if (n <= 0 || leave) {
		end(console, 0);
		return;
	}
	console->n_typed += (size_t)n;
	want(console);
}

static void woken(int watch, int fd, int events, void *data)
{
	end(data, -EINTR);
}

static int pass(struct console *console)
{
	int in = virEventAddHandle(STDIN_FILENO, VIR_EVENT_HANDLE_READABLE, typed, console, NULL);
	int wake = virEventAddHandle(signal_pipe[0], VIR_EVENT_HANDLE_READABLE, woken, console, NULL);
	int r = in < 0 || wake < 0 ? -EIO : 0;

	if (r == 0 && virStreamEventAddCallback(console->stream, VIR_STREAM_EVENT_READABLE, stream_ready,
						console, NULL) < 0)
		r = -EIO;
	want(console);
	while (r == 0 && !console->ended)
		if (virEventRunDefaultImpl() < 0)
			r = -EIO;
	if (in >= 0)
		virEventRemoveHandle(in);
	if (wake >= 0)
		virEventRemoveHandle(wake);
	virStreamEventRemoveCallback(console->stream);
	return r < 0 ? r : console->error;
}

/* Raw from here to there, whatever ends it but SIGKILL. */
static int pass_raw(struct console *console)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
	const struct sigaction action = {.sa_handler = signalled};
	struct sigaction before[sizeof(signals) / sizeof(signals[0])];
	struct termios usual, raw;
	bool terminal = tcgetattr(STDIN_FILENO, &usual) == 0;
	int r;

	if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, &before[i]);
	if (terminal) {
		raw = usual;
		cfmakeraw(&raw);
		tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	}
	r = pass(console);
	if (terminal)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &usual);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &before[i], NULL);
	close(signal_pipe[0]);
	close(signal_pipe[1]);
	/* As if it had not been held up. */
	if (signal_seen)
		raise(signal_seen);
	return r;
}

int engine_console(const char *uri, const char *vmid, void (*begin)(void), char why[ENGINE_LIBVIRT_WHY_MAX])
{
	_cleanup_(virConnectClose_p) virConnectPtr connection = NULL;
	_cleanup_(virDomainFree_p) virDomainPtr domain = NULL;
	struct console console = {0};
	int r;

	why[0] = '\0';
	virEventRegisterDefaultImpl();
	r = find(uri, vmid, &connection, &domain, why);
	if (r < 0)
		return r;
	console.stream = virStreamNew(connection, VIR_STREAM_NONBLOCK);
	if (!console.stream)
		return failed(-ENOMEM, why);
	if (virDomainOpenConsole(domain, NULL, console.stream, VIR_DOMAIN_CONSOLE_SAFE) < 0) {
		r = failed(-EBUSY, why);
	} else {
		begin();
		r = pass_raw(&console);
		if (r < 0 && r != -EINTR)
			failed(r, why);
		virStreamAbort(console.stream);
	}
	virStreamFree(console.stream);
	return r;
}

static xmlNode *child(xmlNode *parent, const char *name)
{
	for (xmlNode *node = parent ? parent->children : NULL; node; node = node->next)
		if (node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0)
			return node;
	return NULL;
}

static void take_property(const xmlNode *node, const char *name, char *ret, size_t size)
{
	xmlChar *value = xmlGetProp(node, (const xmlChar *)name);

	snprintf(ret, size, "%s", value ? (const char *)value : "");
	xmlFree(value);
}

static xmlNode *find_vnc(xmlDoc *doc)
{
	for (xmlNode *node = child(child(xmlDocGetRootElement(doc), "devices"), "graphics"); node;
	     node = node->next) {
		char type[16] = "";

		if (node->type != XML_ELEMENT_NODE || strcmp((const char *)node->name, "graphics") != 0)
			continue;
		take_property(node, "type", type, sizeof(type));
		if (strcmp(type, "vnc") == 0)
			return node;
	}
	return NULL;
}

static int update(virDomainPtr domain, xmlDoc *doc, xmlNode *vnc, const char *password, int valid_s,
		  char why[ENGINE_LIBVIRT_WHY_MAX])
{
	time_t until = (time_t)(clock_wall() + valid_s);
	xmlBuffer *text = xmlBufferCreate();
	char moment[32];
	struct tm tm;
	int r = -ENOMEM;

	strftime(moment, sizeof(moment), "%Y-%m-%dT%H:%M:%S", gmtime_r(&until, &tm));
	if (text && xmlSetProp(vnc, (const xmlChar *)"passwd", (const xmlChar *)password) &&
	    xmlSetProp(vnc, (const xmlChar *)"passwdValidTo", (const xmlChar *)moment) &&
	    xmlNodeDump(text, doc, vnc, 0, 0) >= 0)
		r = virDomainUpdateDeviceFlags(domain, (const char *)xmlBufferContent(text),
					       VIR_DOMAIN_AFFECT_LIVE) < 0
			    ? failed(-EREMOTEIO, why)
			    : 0;
	xmlBufferFree(text);
	return r;
}

int engine_vnc_password(const char *uri, const char *vmid, const char *password, int valid_s,
			char *ret_address, size_t size, char why[ENGINE_LIBVIRT_WHY_MAX])
{
	_cleanup_(virConnectClose_p) virConnectPtr connection = NULL;
	_cleanup_(virDomainFree_p) virDomainPtr domain = NULL;
	_cleanup_(xmlFreeDoc_p) xmlDoc *doc = NULL;
	_cleanup_free_ char *xml = NULL;
	char listen[256], port[16];
	xmlNode *vnc;
	int r;

	why[0] = '\0';
	r = find(uri, vmid, &connection, &domain, why);
	if (r < 0)
		return r;
	/* Whole: an update with less than is there would change the rest. */
	xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_SECURE);
	if (!xml)
		return failed(-EIO, why);
	doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR);
	vnc = doc ? find_vnc(doc) : NULL;
	if (!vnc)
		return -ENODEV;
	take_property(vnc, "listen", listen, sizeof(listen));
	take_property(vnc, "port", port, sizeof(port));
	/* One that listens everywhere is reached by this host's name. */
	if ((!listen[0] || strcmp(listen, "0.0.0.0") == 0 || strcmp(listen, "::") == 0) &&
	    gethostname(listen, sizeof(listen)) < 0)
		strcpy(listen, "localhost");
	listen[sizeof(listen) - 1] = '\0';
	snprintf(ret_address, size, strchr(listen, ':') ? "[%s]:%s" : "%s:%s", listen, port);
	return update(domain, doc, vnc, password, valid_s, why);
}

int engine_host_uuid(const char *uri, char ret[37], char why[ENGINE_LIBVIRT_WHY_MAX])
{
	_cleanup_(virConnectClose_p) virConnectPtr connection = NULL;
	_cleanup_(xmlFreeDoc_p) xmlDoc *doc = NULL;
	_cleanup_free_ char *xml = NULL;
	xmlNode *node;
	xmlChar *uuid;

	why[0] = '\0';
	virSetErrorFunc(NULL, no_words);
	connection = virConnectOpen(uri);
	xml = connection ? virConnectGetCapabilities(connection) : NULL;
	if (!xml)
		return failed(connection ? -EIO : -ENOTCONN, why);
	doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR);
	node = doc ? child(child(xmlDocGetRootElement(doc), "host"), "uuid") : NULL;
	uuid = node ? xmlNodeGetContent(node) : NULL;
	if (!uuid || strlen((const char *)uuid) != 36) {
		xmlFree(uuid);
		snprintf(why, ENGINE_LIBVIRT_WHY_MAX, "libvirt does not tell this host's uuid");
		return -EBADMSG;
	}
	memcpy(ret, uuid, 37);
	xmlFree(uuid);
	return 0;
}
