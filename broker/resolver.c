/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The only file that includes c-ares: its sockets and times on the loop. It decides what counts as an answer
 * of a name server. Called by network_probes.c. */
#include "broker/resolver.h"

#include <ares.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "util/cleanup.h"
#include "util/loop.h"

#define SERVERS_ASKED 3 /* as many as resolv.conf may have */
#define CLASS_IN 1
#define TYPE_NS 2

struct watched {
	int fd;
	struct watched *next;
};

struct resolver {
	struct timer timer; /* first */
	struct loop *loop;
	ares_channel channel;
	struct watched *watched;
	bool closing;
};

struct question {
	struct resolver *resolver;
	void (*probed)(void *data, bool answered);
	void (*resolved)(void *data, const struct sockaddr *address, socklen_t size);
	void *data;
};

static void set_timer(struct resolver *resolver)
{
	struct clock_port *clock = loop_clock(resolver->loop);
	struct timeval room, *wait = ares_timeout(resolver->channel, NULL, &room);

	clock->set(clock, &resolver->timer,
		   wait ? mono_add(clock->now(clock), wait->tv_sec * MONO_SECOND + wait->tv_usec / 1000 + 1)
			: MONO_NEVER);
}

static void timer_fired(struct timer *timer)
{
	struct resolver *resolver = (struct resolver *)timer;

	ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	set_timer(resolver);
}

static void ready(int fd, short revents, void *data)
{
	struct resolver *resolver = data;

	ares_process_fd(resolver->channel, revents & (POLLIN | POLLERR | POLLHUP) ? fd : ARES_SOCKET_BAD,
			revents & POLLOUT ? fd : ARES_SOCKET_BAD);
	set_timer(resolver);
}

static void watch(void *data, ares_socket_t fd, int readable, int writable)
{
	struct resolver *resolver = data;
	struct watched **at = &resolver->watched;

	while (*at && (*at)->fd != fd)
		at = &(*at)->next;
	if (*at) {
		struct watched *gone = *at;

		loop_del_fd(resolver->loop, fd);
		*at = gone->next;
		free(gone);
	}
	if (readable || writable) {
		struct watched *new = calloc(1, sizeof(*new));

		/* Without it the question runs into its time. */
		if (!new || loop_add_fd(resolver->loop, fd,
					(short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0)), ready,
					resolver) < 0) {
			free(new);
			return;
		}
		*new = (struct watched){fd, resolver->watched};
		resolver->watched = new;
	}
}

int resolver_new(struct loop *loop, const char *servers, int64_t timeout_ms, struct resolver **ret)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));
	int given = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
	struct ares_options options = {.flags = ARES_FLAG_NOCHECKRESP,
				       .timeout = (int)(timeout_ms / SERVERS_ASKED),
				       .tries = 1,
				       .sock_state_cb = watch,
				       .sock_state_cb_data = resolver};

	if (!resolver)
		return -ENOMEM;
	resolver->loop = loop;
	resolver->timer.fire = timer_fired;
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
		free(resolver);
		return -ENOMEM;
	}
#ifdef ARES_OPT_QUERY_CACHE
	/* Since 1.31 all but the first probe of a round would be answered from memory, if not for its 0 s. */
	given |= ARES_OPT_QUERY_CACHE;
#endif
	if (ares_init_options(&resolver->channel, &options, given) != ARES_SUCCESS) {
		ares_library_cleanup();
		free(resolver);
		return -ENOMEM;
	}
	if (servers && ares_set_servers_ports_csv(resolver->channel, servers) != ARES_SUCCESS) {
		resolver_free(resolver);
		return -EINVAL;
	}
	*ret = resolver;
	return 0;
}

void resolver_free(struct resolver *resolver)
{
	struct clock_port *clock;

	if (!resolver)
		return;
	clock = loop_clock(resolver->loop);
	resolver->closing = true;
	ares_destroy(resolver->channel); /* tells each question, and watch() of each socket */
	ares_library_cleanup();
	clock->cancel(clock, &resolver->timer);
	free(resolver);
}

static struct question *ask(struct resolver *resolver, void *data)
{
	struct question *question = calloc(1, sizeof(*question));

	if (question)
		*question = (struct question){.resolver = resolver, .data = data};
	return question;
}

static void probed(void *arg, int status, int timeouts, unsigned char *answer, int size)
{
	_cleanup_free_ struct question *question = arg;
	/* Whatever a server says, the way to it works. */
	bool answered = status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_EFORMERR ||
			status == ARES_ESERVFAIL || status == ARES_ENOTFOUND || status == ARES_ENOTIMP ||
			status == ARES_EREFUSED;

	if (!question->resolver->closing)
		question->probed(question->data, answered);
}

void resolver_probe(struct resolver *resolver, void (*done)(void *data, bool answered), void *data)
{
	struct question *question = ask(resolver, data);

	if (!question) {
		done(data, false);
		return;
	}
	question->probed = done;
	ares_query(resolver->channel, ".", CLASS_IN, TYPE_NS, probed, question);
	set_timer(resolver);
}

static void resolved(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
	_cleanup_free_ struct question *question = arg;
	const struct ares_addrinfo_node *node = status == ARES_SUCCESS && result ? result->nodes : NULL;

	if (!question->resolver->closing)
		question->resolved(question->data, node ? node->ai_addr : NULL, node ? node->ai_addrlen : 0);
	ares_freeaddrinfo(result);
}

void resolver_address(struct resolver *resolver, const char *name,
		      void (*done)(void *data, const struct sockaddr *address, socklen_t size), void *data)
{
	static const struct ares_addrinfo_hints hints = {
		.ai_flags = ARES_AI_NOSORT, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct question *question = ask(resolver, data);

	if (!question) {
		done(data, NULL, 0);
		return;
	}
	question->resolved = done;
	ares_getaddrinfo(resolver->channel, name, NULL, &hints, resolved, question);
	set_timer(resolver);
}
