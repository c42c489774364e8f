/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Samples the share of failed probes: pings of the gateway, over an ICMP datagram socket (no privilege needed
 * within ping_group_range), or those of network_probes.c. What can't be reached is a failed probe; a socket
 * that can't be had is unknown. Called by its timers. */
#include "broker/network_probes.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "util/cleanup.h"
#include "util/log.h"

#define SLACK_MAX_MS 1000

struct monitor_network {
	struct timer timer; /* first: the next probe, the end of the round, or the next round */
	struct loop *loop;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} gateway;
	socklen_t gateway_size;
	struct network_target target;
	struct network_probes *by_others; /* of this round, where it is no ping */
	unsigned probes;
	int64_t timeout_ms, period_ms;
	int64_t slack_ms; /* of each probe, once a round has told something */
	struct sink sink;
	int fd;
	bool broken;   /* said that no socket is to be had */
	uint16_t base; /* sequence number of the round's first probe */
	unsigned sent, failed_at_once;
	bool answered[NETWORK_PROBES_MAX];
	mono_t begun, sent_at[NETWORK_PROBES_MAX];
};

static void begin_round(struct monitor_network *monitor);

static mono_t now_of(struct monitor_network *monitor)
{
	return loop_clock(monitor->loop)->now(loop_clock(monitor->loop));
}

static void set_timer(struct monitor_network *monitor, mono_t at, void (*fire)(struct timer *timer),
		      int64_t slack_ms)
{
	monitor->timer.fire = fire;
	monitor->timer.slack_ms = slack_ms;
	loop_clock(monitor->loop)->set(loop_clock(monitor->loop), &monitor->timer, at);
}

static void close_socket(struct monitor_network *monitor)
{
	if (monitor->fd < 0)
		return;
	loop_del_fd(monitor->loop, monitor->fd);
	close(TAKE_FD(monitor->fd));
}

static void next_round(struct timer *timer)
{
	begin_round((struct monitor_network *)timer);
}

/* A probe that goes with another timer of the loop costs half. So few of them come that the last one's answer
 * is still in time for the next round. */
static int64_t probe_slack(const struct monitor_network *monitor)
{
	int64_t room = (monitor->period_ms - monitor->timeout_ms) / monitor->probes - NETWORK_SPACING_MS;

	return room < 0 ? 0 : room > SLACK_MAX_MS ? SLACK_MAX_MS : room;
}

static void end_round(struct timer *timer)
{
	struct monitor_network *monitor = (struct monitor_network *)timer;
	unsigned failed = 0;

	for (unsigned i = 0; i < monitor->probes; i++)
		failed += !monitor->answered[i];
	/* A fresh socket each round: an interface that went away leaves no trace in it. */
	close_socket(monitor);
	network_probes_free(TAKE_PTR(monitor->by_others));
	monitor->base = (uint16_t)(monitor->base + monitor->probes);
	monitor->slack_ms = probe_slack(monitor);
	set_timer(monitor, mono_add(monitor->begun, monitor->period_ms), next_round, monitor->slack_ms);
	monitor->sink.sample(monitor->sink.data, MONITOR_NETWORK, true,
			     (int32_t)(failed * 1000 / monitor->probes));
}

static bool all_answered(const struct monitor_network *monitor)
{
	for (unsigned i = 0; i < monitor->probes; i++)
		if (!monitor->answered[i])
			return false;
	return true;
}

static void answer_came(void *data, unsigned which)
{
	struct monitor_network *monitor = data;

	if (mono_passed(monitor->sent_at[which], monitor->timeout_ms, now_of(monitor)))
		return;
	monitor->answered[which] = true;
	/* The round need not wait; what it has open may be what calls here. */
	if (monitor->by_others && all_answered(monitor))
		set_timer(monitor, now_of(monitor), end_round, 0);
}

static void readable(int fd, short revents, void *data)
{
	struct monitor_network *monitor = data;
	uint8_t packet[256];
	uint16_t sequence;
	unsigned at;
	ssize_t n;

	for (unsigned i = 0; i < NETWORK_PROBES_MAX; i++) {
		n = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
		if (n < 0)
			return; /* nothing more, or an error that a probe brought: it stays unanswered */
		/* Type, code, checksum, id, sequence: the same places in both families. The kernel gives us
		 * our own replies alone. */
		if (n < 8 || packet[0] != (monitor->gateway.any.sa_family == AF_INET ? ICMP_ECHOREPLY
										     : ICMP6_ECHO_REPLY))
			continue;
		sequence = (uint16_t)(packet[6] << 8 | packet[7]);
		at = (uint16_t)(sequence - monitor->base);
		if (at < monitor->sent)
			answer_came(monitor, at);
		if (all_answered(monitor)) {
			end_round(&monitor->timer);
			return;
		}
	}
}

static void ping(struct monitor_network *monitor, unsigned which)
{
	uint16_t sequence = (uint16_t)(monitor->base + which);
	uint8_t packet[16] = {monitor->gateway.any.sa_family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST};

	packet[6] = (uint8_t)(sequence >> 8);
	packet[7] = (uint8_t)sequence;
	/* No route and no interface are what this monitor is for: the probe failed. */
	(void)!sendto(monitor->fd, packet, sizeof(packet), MSG_DONTWAIT | MSG_NOSIGNAL, &monitor->gateway.any,
		      monitor->gateway_size);
}

static void send_probe(struct timer *timer)
{
	struct monitor_network *monitor = (struct monitor_network *)timer;
	unsigned which = monitor->sent++;
	mono_t now = now_of(monitor);

	monitor->sent_at[which] = now;
	/* Before it is sent: the answer may come at once and end the round. */
	if (monitor->sent < monitor->probes)
		set_timer(monitor, mono_add(now, NETWORK_SPACING_MS), send_probe, monitor->slack_ms);
	else
		set_timer(monitor, mono_add(now, monitor->timeout_ms), end_round, 0);
	if (monitor->by_others)
		network_probes_send(monitor->by_others, which);
	else
		ping(monitor, which);
}

/* What this round's probes go by. 0 or -errno. */
static int open_round(struct monitor_network *monitor)
{
	int family = monitor->gateway.any.sa_family, r;

	if (monitor->target.test != NETWORK_TEST_PING)
		return network_probes_new(monitor->loop, &monitor->target, monitor->timeout_ms, answer_came,
					  monitor, &monitor->by_others);
	monitor->fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			     family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	if (monitor->fd < 0)
		return -errno;
	r = loop_add_fd(monitor->loop, monitor->fd, POLLIN, readable, monitor);
	if (r < 0)
		close(TAKE_FD(monitor->fd));
	return r;
}

static void begin_round(struct monitor_network *monitor)
{
	int r;

	monitor->begun = now_of(monitor);
	if (monitor->target.test == NETWORK_TEST_NONE) {
		set_timer(monitor, mono_add(monitor->begun, monitor->period_ms), next_round,
			  MONITOR_SLACK(monitor->period_ms));
		monitor->sink.sample(monitor->sink.data, MONITOR_NETWORK, true, 0);
		return;
	}
	r = open_round(monitor);
	if (r < 0) {
		if (!monitor->broken)
			log_error("network monitor: no probe can be sent: %s%s", strerror(-r),
				  monitor->target.test == NETWORK_TEST_PING
					  ? "; does net.ipv4.ping_group_range include group ovirt-ha?"
					  : "");
		monitor->broken = true;
		set_timer(monitor, mono_add(monitor->begun, monitor->period_ms), next_round, 0);
		monitor->sink.sample(monitor->sink.data, MONITOR_NETWORK, false, -1);
		return;
	}
	monitor->broken = false;
	monitor->sent = 0;
	memset(monitor->answered, 0, sizeof(monitor->answered));
	send_probe(&monitor->timer);
}

/* False: the gateway is no numeric address. */
static bool set_gateway(struct monitor_network *monitor, const char *gateway)
{
	if (inet_pton(AF_INET, gateway, &monitor->gateway.v4.sin_addr) == 1) {
		monitor->gateway.v4.sin_family = AF_INET;
		monitor->gateway_size = sizeof(monitor->gateway.v4);
	} else if (inet_pton(AF_INET6, gateway, &monitor->gateway.v6.sin6_addr) == 1) {
		monitor->gateway.v6.sin6_family = AF_INET6;
		monitor->gateway_size = sizeof(monitor->gateway.v6);
	} else {
		return false;
	}
	return true;
}

int monitor_network_new(struct loop *loop, const struct network_target *target, unsigned probes,
			int64_t timeout_ms, int64_t period_ms, struct sink sink, struct monitor_network **ret)
{
	_cleanup_free_ struct monitor_network *monitor = NULL;

	assert(probes >= 1 && probes <= NETWORK_PROBES_MAX && timeout_ms > 0 && period_ms > 0);
	monitor = calloc(1, sizeof(*monitor));
	if (!monitor)
		return -ENOMEM;
	monitor->fd = -1;
	monitor->target = *target;
	if (target->test == NETWORK_TEST_PING && !set_gateway(monitor, target->address))
		return -EINVAL;
	monitor->loop = loop;
	monitor->probes = probes;
	monitor->timeout_ms = timeout_ms;
	monitor->period_ms = period_ms;
	monitor->sink = sink;
	set_timer(monitor, now_of(monitor), next_round, 0);
	*ret = TAKE_PTR(monitor);
	return 0;
}

void monitor_network_free(struct monitor_network *monitor)
{
	if (!monitor)
		return;
	loop_clock(monitor->loop)->cancel(loop_clock(monitor->loop), &monitor->timer);
	close_socket(monitor);
	network_probes_free(monitor->by_others);
	free(monitor);
}
