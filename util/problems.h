/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a configuration reader tells what is wrong: one line per problem, `file:line: key=value: problem; what
 * to do`, to whoever listens. It decides the form of the line and nothing else. Values are escaped and cut;
 * those of secrets are not shown. */
#pragma once

struct problems {
	void (*say)(void *data, const char *line); /* without a newline at the end; NULL: count only */
	void *data;
	unsigned count;
};

/* For `say`: to the FILE that `data` is; to the log as errors. */
void problems_print(void *data, const char *line);
void problems_log(void *data, const char *line);

/* line 0: none; key NULL: none; value NULL: not shown. `problems` may be NULL. */
void problems_add(struct problems *problems, const char *file, unsigned line, const char *key,
		  const char *value, const char *format, ...) __attribute__((format(printf, 6, 7)));
/* The same, not counted: what is accepted, though people should change it. */
void problems_warn(struct problems *problems, const char *file, unsigned line, const char *key,
		   const char *value, const char *format, ...) __attribute__((format(printf, 6, 7)));
