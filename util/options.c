/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses a daemon's command line and prints its help, both from the same list. Called by the daemons' main().
 */
#include "util/options.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define EXTRAS_MAX 8
#define EXTRA_FIRST 256 /* beyond every letter */

static int usage(FILE *out, int status, const char *name, const char *about,
		 const struct options_extra *extras, size_t n_extras)
{
	fprintf(out,
		"Usage: %s [OPTION]\n%s\n"
		"  -n            check the configuration and exit: 0 it is good, 2 it is not\n"
		"  -f            foreground: log to stderr\n"
		"  -d            log every cycle\n"
		"  -h, --help    show this and exit\n",
		name, about);
	for (size_t i = 0; i < n_extras; i++)
		fprintf(out, "  --%-11s %s\n", extras[i].name, extras[i].help);
	return status;
}

int options_parse(int argc, char *argv[], const char *name, const char *about,
		  const struct options_extra *extras, size_t n_extras, struct options *ret)
{
	struct option table[EXTRAS_MAX + 2] = {{"help", no_argument, NULL, 'h'}};

	assert(n_extras <= EXTRAS_MAX);
	*ret = (struct options){0};
	for (size_t i = 0; i < n_extras; i++)
		table[i + 1] = (struct option){extras[i].name, no_argument, NULL, EXTRA_FIRST + (int)i};
	for (int option; (option = getopt_long(argc, argv, "nfdh", table, NULL)) >= 0;)
		switch (option) {
		case 'n':
			ret->check = true;
			break;
		case 'f':
			unsetenv("JOURNAL_STREAM"); /* what tells the log that stderr is the journal's */
			break;
		case 'd':
			ret->debug = true;
			break;
		case 'h':
			return usage(stdout, EXIT_SUCCESS, name, about, extras, n_extras);
		default:
			if (option < EXTRA_FIRST)
				return usage(stderr, EXIT_FAILURE, name, about, extras, n_extras);
			*extras[option - EXTRA_FIRST].set = true;
			break;
		}
	if (optind < argc) {
		fprintf(stderr, "%s: '%s' is no option\n", name, argv[optind]);
		return usage(stderr, EXIT_FAILURE, name, about, extras, n_extras);
	}
	return -1;
}
