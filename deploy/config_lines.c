/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds and replaces single lines. Understands no more of a file than where a key is set, and refuses what it
 * could understand wrongly. Called by host_setup.c. */
#include "deploy/config_lines.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t"

static bool sets(const char *line, const char *key)
{
	size_t length = strlen(key);

	line += strspn(line, BLANKS);
	if (strncmp(line, key, length) != 0)
		return false;
	line += length;
	return line[strspn(line, BLANKS)] == '=';
}

int config_line_find(const char *text, const char *key, size_t *ret_at, size_t *ret_length)
{
	unsigned found = 0;

	for (const char *line = text; *line;) {
		size_t length = strcspn(line, "\n");

		if (sets(line, key)) {
			if (found++ > 0 || line[length - 1] == '\\')
				return -EINVAL;
			*ret_at = (size_t)(line - text);
			*ret_length = length;
		}
		line += length + (line[length] == '\n');
	}
	return found > 0;
}

char *config_line_value(const char *line, size_t length)
{
	const char *value = memchr(line, '=', length), *limit = line + length;
	size_t n;

	assert(value);
	value++;
	while (value < limit && strchr(BLANKS, *value))
		value++;
	if (value < limit && (*value == '"' || *value == '\'')) {
		const char *quote = memchr(value + 1, *value, (size_t)(limit - value - 1));

		if (quote)
			return strndup(value + 1, (size_t)(quote - value - 1));
	}
	for (n = 0; value + n < limit && value[n] != '#'; n++)
		;
	while (n > 0 && strchr(BLANKS "\r", value[n - 1]))
		n--;
	return strndup(value, n);
}

char *config_line_replace(const char *text, const char *key, const char *line)
{
	size_t at = strlen(text), length = 0, rest;
	const char *before = "";
	char *result = NULL;
	int r = config_line_find(text, key, &at, &length);

	assert(r >= 0);
	rest = at + length;
	if (!line)
		rest += text[rest] == '\n';
	else if (r == 0 && at > 0 && text[at - 1] != '\n')
		before = "\n";
	/* A line that is added ends as all do; one that is replaced keeps the end that it had. */
	if (asprintf(&result, "%.*s%s%s%s%s", (int)at, text, before, line ? line : "",
		     line && r == 0 ? "\n" : "", text + rest) < 0)
		return NULL;
	return result;
}
