/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Formats a line only when somebody reads it. Called by the daemons through util/log.h, and by sim_fault.c.
 */
#include "tests/sim/sim_log.h"

#include <stdarg.h>
#include <stdio.h>

#include "util/log.h"

#define LINE_MAX_BYTES (128 * 1024)

/* util/log.h has no room for a context, and a simulation is the only one of its process. */
static const struct sim_log *target;
static const struct sim_ear *listener;

void sim_log_heard_by(const struct sim_ear *ear)
{
	listener = ear;
}

void sim_log_to(const struct sim_log *log)
{
	target = log;
}

static void __attribute__((format(printf, 2, 0))) put(uint16_t host, const char *format, va_list arguments)
{
	static char line[LINE_MAX_BYTES];
	int64_t now = target->sim->now;
	int n = snprintf(line, sizeof(line), "%06lld.%03d h%u ", (long long)(now / 1000), (int)(now % 1000),
			 host);

	vsnprintf(line + n, sizeof(line) - (size_t)n, format, arguments);
	target->line(target->data, line);
}

void log_open(const char *name, bool verbose)
{
}

bool log_wants(int priority)
{
	return target && priority <= target->most;
}

void log_line(int priority, const char *format, ...)
{
	va_list arguments;

	if (listener && priority <= LOG_WARNING)
		listener->heard(listener->data, listener->sim->host, format);
	if (!log_wants(priority))
		return;
	va_start(arguments, format);
	put(target->sim->host, format, arguments);
	va_end(arguments);
}

void sim_log_line(uint16_t host, const char *format, ...)
{
	va_list arguments;

	if (!target)
		return;
	va_start(arguments, format);
	put(host, format, arguments);
	va_end(arguments);
}
