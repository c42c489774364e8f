/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Samples whether the management bridge is up, from sysfs. Judges nothing else. Called by its timer. */
#include "broker/monitor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

struct monitor_bridge {
	struct timer timer; /* first */
	struct clock_port *clock;
	char *directory; /* of the interface */
	int64_t period_ms;
	struct sink sink;
};

/* The first word of a file of the interface; -errno. */
static int read_word(const char *directory, const char *name, char ret[32])
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *file = NULL;

	if (asprintf(&path, "%s/%s", directory, name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	file = fopen(path, "re");
	if (!file)
		return -errno;
	/* An interface that is set down has no carrier to read: EINVAL. */
	return fscanf(file, "%31s", ret) == 1 ? 0 : -EINVAL;
}

static void fire(struct timer *timer)
{
	struct monitor_bridge *monitor = (struct monitor_bridge *)timer;
	char state[32], carrier[32];
	bool known = true, up = false;
	int r;

	monitor->clock->set(monitor->clock, timer,
			    mono_add(monitor->clock->now(monitor->clock), monitor->period_ms));
	r = read_word(monitor->directory, "operstate", state);
	if (r == 0) {
		/* Drivers without link detection say "unknown" for ever. */
		up = (strcmp(state, "up") == 0 || strcmp(state, "unknown") == 0) &&
		     read_word(monitor->directory, "carrier", carrier) == 0 && strcmp(carrier, "1") == 0;
	} else if (r != -ENOENT && r != -ENOTDIR && r != -ENODEV) {
		known = false; /* an interface that does not exist is down, one that can't be read is not
				  known */
	}
	monitor->sink.sample(monitor->sink.data, MONITOR_MGMT_BRIDGE, known, known ? up : -1);
}

int monitor_bridge_new(struct clock_port *clock, const char *sys_net, const char *name, int64_t period_ms,
		       struct sink sink, struct monitor_bridge **ret)
{
	_cleanup_free_ struct monitor_bridge *monitor = NULL;

	if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	monitor = calloc(1, sizeof(*monitor));
	if (!monitor)
		return -ENOMEM;
	if (asprintf(&monitor->directory, "%s/%s", sys_net, name) < 0)
		return -ENOMEM;
	monitor->clock = clock;
	monitor->period_ms = period_ms;
	monitor->sink = sink;
	monitor->timer.fire = fire;
	clock->set(clock, &monitor->timer, clock->now(clock));
	*ret = TAKE_PTR(monitor);
	return 0;
}

void monitor_bridge_free(struct monitor_bridge *monitor)
{
	if (!monitor)
		return;
	monitor->clock->cancel(monitor->clock, &monitor->timer);
	free(monitor->directory);
	free(monitor);
}
