/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Samples this host's CPU load without the engine VM's share, averaged over a window. Judges nothing. Called
 * by its timer. */
#include "broker/monitor.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

#define PIECES_MAX 7201 /* an hour of half seconds: the longest window of the shortest periods */

struct piece { /* one period, in clock ticks of all CPUs */
	mono_t ended;
	uint64_t total, busy; /* busy is without QEMU */
};

struct monitor_cpu {
	struct timer timer; /* first */
	struct clock_port *clock;
	char *proc;
	int64_t window_ms, period_ms;
	int32_t (*qemu_pid)(void *data);
	struct sink sink;
	bool begun;
	uint64_t total, idle, qemu; /* at the last reading */
	int32_t pid;
	struct piece *pieces; /* a ring */
	size_t size, first, count;
};

static int read_cpu(const char *proc, uint64_t *ret_total, uint64_t *ret_idle)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *file = NULL;
	unsigned long long user, nice, system, idle, wait, irq, soft, steal;

	if (asprintf(&path, "%s/stat", proc) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	file = fopen(path, "re");
	if (!file)
		return -errno;
	/* Guest time is in user and nice already. */
	if (fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &wait,
		   &irq, &soft, &steal) != 8)
		return -EBADMSG;
	*ret_total = user + nice + system + idle + wait + irq + soft + steal;
	*ret_idle = idle + wait;
	return 0;
}

static int read_process(const char *proc, int32_t pid, uint64_t *ret)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *file = NULL;
	char line[1024], *after;
	unsigned long long user, system;

	if (asprintf(&path, "%s/%d/stat", proc, pid) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	file = fopen(path, "re");
	if (!file)
		return -errno;
	if (!fgets(line, sizeof(line), file))
		return -EBADMSG;
	/* The name may hold blanks and brackets. */
	after = strrchr(line, ')');
	if (!after ||
	    sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
		return -EBADMSG;
	*ret = user + system;
	return 0;
}

static void add_piece(struct monitor_cpu *monitor, const struct piece *piece)
{
	if (monitor->count == monitor->size) {
		monitor->first = (monitor->first + 1) % monitor->size;
		monitor->count--;
	}
	monitor->pieces[(monitor->first + monitor->count++) % monitor->size] = *piece;
	/* What ended before the window began is over. */
	while (monitor->count > 1 &&
	       mono_passed(monitor->pieces[monitor->first].ended, monitor->window_ms, piece->ended)) {
		monitor->first = (monitor->first + 1) % monitor->size;
		monitor->count--;
	}
}

static int32_t average(const struct monitor_cpu *monitor)
{
	uint64_t total = 0, busy = 0;

	for (size_t i = 0; i < monitor->count; i++) {
		const struct piece *piece = &monitor->pieces[(monitor->first + i) % monitor->size];

		total += piece->total;
		busy += piece->busy;
	}
	return total == 0 ? -1 : (int32_t)(busy * 1000 / total);
}

static void fire(struct timer *timer)
{
	struct monitor_cpu *monitor = (struct monitor_cpu *)timer;
	mono_t now = monitor->clock->now(monitor->clock);
	struct piece piece = {.ended = now};
	uint64_t total = 0, idle = 0, qemu = 0;
	int32_t pid, value;

	monitor->clock->set(monitor->clock, timer, mono_add(now, monitor->period_ms));
	if (read_cpu(monitor->proc, &total, &idle) < 0) {
		monitor->sink.sample(monitor->sink.data, MONITOR_CPU_LOAD, false, -1);
		return;
	}
	pid = monitor->qemu_pid(monitor->sink.data);
	if (pid > 0 && read_process(monitor->proc, pid, &qemu) < 0)
		pid = -1;
	if (monitor->begun && total > monitor->total && idle >= monitor->idle) {
		piece.total = total - monitor->total;
		piece.busy = idle - monitor->idle < piece.total ? piece.total - (idle - monitor->idle) : 0;
		/* The share of a QEMU that began or ended in between is not known and small. */
		if (pid > 0 && pid == monitor->pid && qemu >= monitor->qemu)
			piece.busy -= qemu - monitor->qemu < piece.busy ? qemu - monitor->qemu : piece.busy;
		add_piece(monitor, &piece);
	}
	monitor->begun = true;
	monitor->total = total;
	monitor->idle = idle;
	monitor->qemu = qemu;
	monitor->pid = pid;
	value = average(monitor);
	monitor->sink.sample(monitor->sink.data, MONITOR_CPU_LOAD, value >= 0, value);
}

int monitor_cpu_new(struct clock_port *clock, const char *proc, int64_t window_ms, int64_t period_ms,
		    int32_t (*qemu_pid)(void *data), struct sink sink, struct monitor_cpu **ret)
{
	_cleanup_free_ struct monitor_cpu *monitor = calloc(1, sizeof(*monitor));
	int64_t size = window_ms / period_ms + 1;

	assert(period_ms > 0);
	if (!monitor)
		return -ENOMEM;
	monitor->size = size > PIECES_MAX ? PIECES_MAX : (size_t)size;
	monitor->pieces = calloc(monitor->size, sizeof(monitor->pieces[0]));
	monitor->proc = strdup(proc);
	if (!monitor->pieces || !monitor->proc) {
		free(monitor->pieces);
		free(monitor->proc);
		return -ENOMEM;
	}
	monitor->clock = clock;
	monitor->window_ms = window_ms;
	monitor->period_ms = period_ms;
	monitor->qemu_pid = qemu_pid;
	monitor->sink = sink;
	monitor->timer.fire = fire;
	monitor->timer.slack_ms = MONITOR_SLACK(period_ms);
	clock->set(clock, &monitor->timer, clock->now(clock));
	*ret = TAKE_PTR(monitor);
	return 0;
}

void monitor_cpu_free(struct monitor_cpu *monitor)
{
	if (!monitor)
		return;
	monitor->clock->cancel(monitor->clock, &monitor->timer);
	free(monitor->pieces);
	free(monitor->proc);
	free(monitor);
}
