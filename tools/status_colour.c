/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which lines stand out: whose block it is, maintenance, what takes score off, what is wrong. Changes
 * no word. Called by vm_status.c. */
#include "tools/status_colour.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BOLD "\033[1m"
#define RED "\033[31m"
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define USUAL "\033[0m"

static const struct {
	const char *begin, *has; /* the line's; NULL: whatever */
	const char *colour;
} rules[] = {
	{"--== Host ", NULL, BOLD},
	{"!! Cluster", NULL, YELLOW},
	{"Engine status ", "\"vm\": \"up\", \"health\": \"good\"", GREEN},
	{"Engine status ", "unknown stale-data", RED},
	{"Status up-to-date ", ": False", RED},
	{"Local maintenance ", ": True", YELLOW},
	{"Score penalty ", NULL, YELLOW},
	{"Record unreadable ", NULL, RED},
	{"Global block unreadable ", NULL, RED},
	{"Storage stuck ", NULL, RED},
	{"Trouble of ", NULL, RED},
};

bool status_colour_wanted(FILE *out)
{
	const char *none = getenv("NO_COLOR");

	return isatty(fileno(out)) && !(none && none[0]);
}

static const char *colour_of(const char *line, size_t length)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (strncmp(line, rules[i].begin, strlen(rules[i].begin)) == 0 &&
		    (!rules[i].has || memmem(line, length, rules[i].has, strlen(rules[i].has))))
			return rules[i].colour;
	return NULL;
}

void status_put_coloured(const char *text, FILE *out)
{
	while (*text) {
		size_t length = strcspn(text, "\n");
		const char *colour = colour_of(text, length);

		fprintf(out, "%s%.*s%s", colour ? colour : "", (int)length, text, colour ? USUAL : "");
		text += length;
		if (*text) {
			fputc('\n', out);
			text++;
		}
	}
}
