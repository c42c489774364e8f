/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints what people read of the tables of settings: the commented file that a package installs (`write_conf
 * agent`), or a manual page from its template with the line @OPTIONS@ replaced (`write_conf agent TEMPLATE`).
 * Runs in the build only. */
#include <errno.h>
#include <string.h>

#include "broker/broker_conf.h"
#include "daemon/agent_conf.h"
#include "util/ha_conf.h"

static const struct {
	const char *name;
	const struct settings *table;
} tables[] = {
	{"engine", &engine_settings},
	{"agent", &agent_settings},
	{"broker", &broker_settings},
	{"ha", &ha_settings},
};

/* scdoc's own characters. */
static void put_escaped(const char *text, FILE *out)
{
	for (; *text; text++) {
		if (strchr("_*\\<>[]#~", *text))
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void put_options(const struct settings *table, FILE *out)
{
	const char *section = "", *separator = "";
	char range[160];
	bool any = false;

	for (size_t i = 0; i < table->n_rows; i++) {
		const struct setting *row = &table->rows[i];

		if (row->type == SETTING_KEPT)
			continue;
		if (strcmp(section, row->section) != 0)
			fprintf(out, "%s## [%s]\n\n", i ? "\n" : "", row->section);
		section = row->section;
		setting_range(row, range, sizeof(range));
		fprintf(out, "*%s*\n\t", row->key);
		put_escaped(row->help, out);
		fputs(".++\n", out);
		put_escaped(range, out);
		fputs("; default ", out);
		put_escaped(row->fallback[0] ? row->fallback : "empty", out);
		fputs(".\n\n", out);
	}
	for (size_t i = 0; i < table->n_rows; i++) {
		if (table->rows[i].type != SETTING_KEPT)
			continue;
		fputs(any ? separator : "Known and kept when the file is rewritten, but not used here: ",
		      out);
		put_escaped(table->rows[i].key, out);
		separator = ", ";
		any = true;
	}
	if (any)
		fputs(".\n", out);
}

static int put_page(const struct settings *table, const char *template, FILE *out)
{
	_cleanup_fclose_ FILE *in = fopen(template, "r");
	_cleanup_free_ char *line = NULL;
	size_t room = 0;
	bool found = false;

	if (!in)
		return -errno;
	while (getline(&line, &room, in) > 0) {
		if (strcmp(line, "@OPTIONS@\n") == 0) {
			put_options(table, out);
			found = true;
		} else {
			fputs(line, out);
		}
	}
	return found ? 0 : -ENOENT;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]) && argc > 1; i++) {
		if (strcmp(argv[1], tables[i].name) != 0)
			continue;
		if (argc > 2)
			return put_page(tables[i].table, argv[2], stdout) < 0;
		settings_write(tables[i].table, stdout);
		return 0;
	}
	fprintf(stderr, "usage: write_conf engine|agent|broker|ha [TEMPLATE]\n");
	return 1;
}
