/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides how a problem with a configuration file reads. It may not judge the problem. Called by
 * util/keyfile.c, util/settings.c and the readers above them. */
#include "util/problems.h"

#include <stdarg.h>
#include <stdio.h>

#include "util/log.h"

#define SHOWN_MAX 60 /* bytes of a value that help to find it */
#define WHAT_MAX 400

void problems_print(void *data, const char *line)
{
	fprintf(data, "%s\n", line);
}

void problems_log(void *data, const char *line)
{
	log_error("%s", line);
}

/* Section names and values may come from anywhere: no byte of them reaches a terminal as it is. */
static void show(char *ret, size_t size, const char *text, size_t max)
{
	size_t n = 0, i;

	for (i = 0; text[i] && i < max && n + 5 < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= 0x20 && c < 0x7f)
			ret[n++] = (char)c;
		else
			n += (size_t)snprintf(ret + n, size - n, "\\x%02x", c);
	}
	snprintf(ret + n, size - n, "%s", text[i] ? "..." : "");
}

static void __attribute__((format(printf, 6, 0)))
put(struct problems *problems, const char *file, unsigned line, const char *key, const char *value,
    const char *format, va_list args)
{
	char text[1024], shown_key[4 * SHOWN_MAX + 8], shown_value[4 * SHOWN_MAX + 8], number[16] = "";
	char what[WHAT_MAX], shown_what[WHAT_MAX];

	if (!problems->say)
		return;
	vsnprintf(what, sizeof(what), format, args);
	if (line)
		snprintf(number, sizeof(number), "%u:", line);
	show(shown_what, sizeof(shown_what), what, sizeof(what));
	show(shown_key, sizeof(shown_key), key ? key : "", SHOWN_MAX);
	show(shown_value, sizeof(shown_value), value ? value : "", SHOWN_MAX);
	snprintf(text, sizeof(text), "%s:%s %s%s%s%s%s", file, number, shown_key, value ? "=" : "",
		 shown_value, key ? ": " : "", shown_what);
	problems->say(problems->data, text);
}

void problems_add(struct problems *problems, const char *file, unsigned line, const char *key,
		  const char *value, const char *format, ...)
{
	va_list args;

	if (!problems)
		return;
	problems->count++;
	va_start(args, format);
	put(problems, file, line, key, value, format, args);
	va_end(args);
}

void problems_warn(struct problems *problems, const char *file, unsigned line, const char *key,
		   const char *value, const char *format, ...)
{
	va_list args;

	if (!problems)
		return;
	va_start(args, format);
	put(problems, file, line, key, value, format, args);
	va_end(args);
}
