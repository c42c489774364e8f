/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Samples whether the management bridge is up and has a carrier: asked of the kernel over rtnetlink, which
 * answers within the question. Judges nothing else. Called by its timer. */
#include "broker/monitor.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "util/cleanup.h"

#define ANSWER_MAX (32 * 1024) /* what the kernel tells of a link, with its statistics */

struct monitor_bridge {
	struct timer timer; /* first */
	struct clock_port *clock;
	char name[IFNAMSIZ];
	int64_t period_ms;
	struct sink sink;
};

struct question {
	struct nlmsghdr header;
	struct ifinfomsg link;
	struct rtattr attribute;
	char name[IFNAMSIZ];
};

/* Drivers without link detection say "unknown" for ever. */
static bool link_up(const struct nlmsghdr *answer)
{
	const struct ifinfomsg *link = NLMSG_DATA(answer);
	const struct rtattr *at = IFLA_RTA(link);
	int left = (int)IFLA_PAYLOAD(answer);
	bool state = false, carrier = false;

	for (; RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		uint8_t value = RTA_PAYLOAD(at) >= 1 ? *(const uint8_t *)RTA_DATA(at) : 0;

		if (at->rta_type == IFLA_OPERSTATE)
			state = value == IF_OPER_UP || value == IF_OPER_UNKNOWN;
		else if (at->rta_type == IFLA_CARRIER)
			carrier = value == 1;
	}
	return (link->ifi_flags & IFF_UP) && state && carrier;
}

/* 1 up, 0 down; -errno: -ENODEV: there is none of the name. */
static int ask(const char *name)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct question question = {.header = {.nlmsg_len = sizeof(question),
					       .nlmsg_type = RTM_GETLINK,
					       .nlmsg_flags = NLM_F_REQUEST},
				    .link = {.ifi_family = AF_UNSPEC},
				    .attribute = {.rta_len = RTA_LENGTH(IFNAMSIZ), .rta_type = IFLA_IFNAME}};
	union {
		struct nlmsghdr header;
		char bytes[ANSWER_MAX];
	} answer;
	const struct nlmsgerr *error;
	ssize_t n;

	if (fd < 0)
		return -errno;
	memcpy(question.name, name, IFNAMSIZ);
	if (send(fd, &question, sizeof(question), 0) < 0)
		return -errno;
	n = recv(fd, &answer, sizeof(answer), 0);
	if (n < 0)
		return -errno;
	if (!NLMSG_OK(&answer.header, (size_t)n))
		return -EBADMSG;
	if (answer.header.nlmsg_type == RTM_NEWLINK &&
	    answer.header.nlmsg_len >= NLMSG_LENGTH(sizeof(struct ifinfomsg)))
		return link_up(&answer.header);
	error = NLMSG_DATA(&answer.header);
	if (answer.header.nlmsg_type != NLMSG_ERROR ||
	    answer.header.nlmsg_len < NLMSG_LENGTH(sizeof(*error)) || error->error >= 0)
		return -EBADMSG;
	return error->error;
}

static void fire(struct timer *timer)
{
	struct monitor_bridge *monitor = (struct monitor_bridge *)timer;
	int up = ask(monitor->name);

	monitor->clock->set(monitor->clock, timer,
			    mono_add(monitor->clock->now(monitor->clock), monitor->period_ms));
	/* An interface that does not exist is down, one that can't be asked for is not known. */
	if (up == -ENODEV)
		up = 0;
	monitor->sink.sample(monitor->sink.data, MONITOR_MGMT_BRIDGE, up >= 0, up >= 0 ? up : -1);
}

int monitor_bridge_new(struct clock_port *clock, const char *name, int64_t period_ms, struct sink sink,
		       struct monitor_bridge **ret)
{
	struct monitor_bridge *monitor;

	if (!*name || strlen(name) >= IFNAMSIZ)
		return -EINVAL;
	monitor = calloc(1, sizeof(*monitor));
	if (!monitor)
		return -ENOMEM;
	strcpy(monitor->name, name);
	monitor->clock = clock;
	monitor->period_ms = period_ms;
	monitor->sink = sink;
	monitor->timer.fire = fire;
	clock->set(clock, &monitor->timer, clock->now(clock));
	*ret = monitor;
	return 0;
}

void monitor_bridge_free(struct monitor_bridge *monitor)
{
	if (!monitor)
		return;
	monitor->clock->cancel(monitor->clock, &monitor->timer);
	free(monitor);
}
