/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the daemons' log lines go in the simulator: to one sink, with simulated time and host in front, or
 * nowhere at no cost. This library's log_line() stands in for util/log.c's. */
#pragma once

#include "tests/sim/sim_queue.h"

struct sim_log {
	struct sim *sim;
	int most; /* syslog priority: lines above it are dropped; LOG_INFO shows what operators see */
	/* One line without its newline: `000123.456 h2 state EngineDown -> EngineStart ...` */
	void (*line)(void *data, const char *text);
	void *data;
};

/* Who looks for lines that have to be there: warnings and errors, by their formats, since nothing is written
 * out for it. */
struct sim_ear {
	const struct sim *sim;
	void (*heard)(void *data, uint16_t host, const char *format);
	void *data;
};

/* From now on; NULL: nobody. One at a time; it stays the caller's. */
void sim_log_heard_by(const struct sim_ear *ear);
/* From now on; NULL: nowhere. One at a time; it stays the caller's. */
void sim_log_to(const struct sim_log *log);
/* A line of the simulator's own. `host` 0: the world's. */
void sim_log_line(uint16_t host, const char *format, ...) __attribute__((format(printf, 2, 3)));
