/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line that all daemons share: one parser, one help. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define EXIT_CONFIG 2 /* the configuration is wrong: systemd does not restart the daemon */

struct options {
	bool check; /* -n: check the configuration and exit */
	bool debug; /* -d */
};

/* A long option of one daemon alone. */
struct options_extra {
	const char *name; /* without the dashes */
	const char *help;
	bool *set;
};

/* `name` is the program's, `about` one sentence on it. -f is done here: the log goes to stderr afterwards.
 * Returns -1: go on; else the status to exit with: 0 after --help, 1 after a usage error. */
int options_parse(int argc, char *argv[], const char *name, const char *about,
		  const struct options_extra *extras, size_t n_extras, struct options *ret);
