/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The monitors: each probes one thing in its own rhythm and gives samples to a sink. None blocks; a probe
 * that can't tell gives known false, and one that stops giving samples is taken for unknown by broker.c. Made
 * by broker_main.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/snapshot.h"
#include "util/engine_conf.h"
#include "util/loop.h"

/* known false with value -1: the last known value stays; with another one: it is replaced. */
typedef void (*sample_fn)(void *data, enum monitor monitor, bool known, int32_t value);

struct sink {
	sample_fn sample;
	void *data;
};

#define NETWORK_SPACING_MS 200 /* between two probes of a round, at least */
/* A look may wait so much longer for another timer of the loop, as a share of its period: what it finds
 * counts when three have found it. */
#define MONITOR_SLACK(period_ms) ((period_ms) / 10)

/* Whom the probes go to. Strings are the caller's and outlive the monitor. */
struct network_target {
	enum network_test test; /* none: no probe, always 0 */
	const char *address;	/* ping: a numeric one; tcp: any name; else NULL */
	uint16_t port;		/* of tcp */
	const char *servers;	/* as resolver_new() has it: NULL but in tests */
};

/* Failed probes, per mille of `probes` (1..20) sent NETWORK_SPACING_MS apart, or, after the first round, up
 * to 1 s more where the period has room; an answer later than `timeout_ms` (100..60000) counts as failed. 0
 * or -errno. */
struct monitor_network;
int monitor_network_new(struct loop *loop, const struct network_target *target, unsigned probes,
			int64_t timeout_ms, int64_t period_ms, struct sink sink,
			struct monitor_network **ret);
void monitor_network_free(struct monitor_network *monitor);

/* 1 when the management bridge `name` is up and has a carrier. */
struct monitor_bridge;
int monitor_bridge_new(struct clock_port *clock, const char *name, int64_t period_ms, struct sink sink,
		       struct monitor_bridge **ret);
void monitor_bridge_free(struct monitor_bridge *monitor);

/* MiB available, from `meminfo` (/proc/meminfo but in tests). */
struct monitor_memory;
int monitor_memory_new(struct clock_port *clock, const char *meminfo, int64_t period_ms, struct sink sink,
		       struct monitor_memory **ret);
void monitor_memory_free(struct monitor_memory *monitor);

/* CPU load per mille without the engine's QEMU, averaged over `window_ms` (period .. 1 h). `proc` is /proc
 * but in tests; `qemu_pid` gives the pid, 0 none, -1 unknown. */
struct monitor_cpu;
int monitor_cpu_new(struct clock_port *clock, const char *proc, int64_t window_ms, int64_t period_ms,
		    int32_t (*qemu_pid)(void *data), struct sink sink, struct monitor_cpu **ret);
void monitor_cpu_free(struct monitor_cpu *monitor);

/* enum health of the engine: GET of `url` within `timeout_ms`, good when it answers 200 with `DB Up` in its
 * body. Asks only while `here` says that the VM runs on this host. `ca_file` NULL: the system's. */
struct monitor_engine;
int monitor_engine_new(struct loop *loop, const char *url, const char *ca_file, int64_t timeout_ms,
		       int64_t period_ms, bool (*here)(void *data), struct sink sink,
		       struct monitor_engine **ret);
void monitor_engine_free(struct monitor_engine *monitor);
