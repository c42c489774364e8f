/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Samples whether the management bridge is up and has a carrier, by its files in sysfs: rtnetlink waits for
 * the lock of all network settings, which the kernel holds for as long as a driver resets its card or a
 * namespace goes away. Judges nothing else. Called by its timer. */
#include "broker/monitor.h"

#include <errno.h>
#include <linux/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

struct monitor_bridge {
	struct timer timer; /* first */
	struct clock_port *clock;
	char name[IFNAMSIZ];
	int64_t period_ms;
	struct sink sink;
};

/* 1 up, 0 down; -errno: -ENOENT: there is none of the name. */
static int ask(const char *name)
{
	char path[sizeof("/sys/class/net//operstate") + IFNAMSIZ], state[32];
	_cleanup_fclose_ FILE *file = NULL;

	snprintf(path, sizeof(path), "/sys/class/net/%s/operstate", name);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	if (!fgets(state, sizeof(state), file))
		return -EIO;
	/* "up" has a carrier, what was set down is "down". Drivers without link detection say "unknown" for
	 * ever. */
	return strcmp(state, "up\n") == 0 || strcmp(state, "unknown\n") == 0;
}

static void fire(struct timer *timer)
{
	struct monitor_bridge *monitor = (struct monitor_bridge *)timer;
	int up = ask(monitor->name);

	monitor->clock->set(monitor->clock, timer,
			    mono_add(monitor->clock->now(monitor->clock), monitor->period_ms));
	/* An interface that does not exist is down, one that can't be asked for is not known. */
	if (up == -ENOENT)
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
	monitor->timer.slack_ms = MONITOR_SLACK(period_ms);
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
