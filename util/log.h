/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One line to the journal (with PRIORITY and HA_NAME=value fields of its words) when stderr is the journal's,
 * else to stderr. An error: the operator must act. A warning: tolerated, and the line says so. Info:
 * transitions and lifecycle. Debug: every cycle. Lines are key=value after the first words; bytes that are
 * not printable ASCII are escaped. Never blocks on the journal. */
#pragma once

#include <stdbool.h>
#include <syslog.h>

/* `name` is the program's, kept by reference. `verbose` lets debug lines through. */
void log_open(const char *name, bool verbose);

/* Whether a line of it goes anywhere: for those that take long to make. */
bool log_wants(int priority);
void log_line(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
