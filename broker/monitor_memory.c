/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Samples the memory that is available on this host, in MiB. Judges nothing: how much is too little is the
 * core's. Called by its timer. */
#include "broker/monitor.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

struct monitor_memory {
	struct timer timer; /* first */
	struct clock_port *clock;
	char *meminfo;
	int64_t period_ms;
	struct sink sink;
};

/* -1: the file does not say. */
static int32_t available_mib(const char *path)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	char line[128];
	unsigned long long kib;

	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			return kib / 1024 > INT32_MAX ? INT32_MAX : (int32_t)(kib / 1024);
	return -1;
}

static void fire(struct timer *timer)
{
	struct monitor_memory *monitor = (struct monitor_memory *)timer;
	int32_t mib = available_mib(monitor->meminfo);

	monitor->clock->set(monitor->clock, timer,
			    mono_add(monitor->clock->now(monitor->clock), monitor->period_ms));
	monitor->sink.sample(monitor->sink.data, MONITOR_MEM_FREE, mib >= 0, mib);
}

int monitor_memory_new(struct clock_port *clock, const char *meminfo, int64_t period_ms, struct sink sink,
		       struct monitor_memory **ret)
{
	_cleanup_free_ struct monitor_memory *monitor = calloc(1, sizeof(*monitor));

	if (!monitor)
		return -ENOMEM;
	monitor->meminfo = strdup(meminfo);
	if (!monitor->meminfo)
		return -ENOMEM;
	monitor->clock = clock;
	monitor->period_ms = period_ms;
	monitor->sink = sink;
	monitor->timer.fire = fire;
	monitor->timer.slack_ms = MONITOR_SLACK(period_ms);
	clock->set(clock, &monitor->timer, clock->now(clock));
	*ret = TAKE_PTR(monitor);
	return 0;
}

void monitor_memory_free(struct monitor_memory *monitor)
{
	if (!monitor)
		return;
	monitor->clock->cancel(monitor->clock, &monitor->timer);
	free(monitor->meminfo);
	free(monitor);
}
