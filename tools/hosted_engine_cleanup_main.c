/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hosted-engine-cleanup: takes a host back to before its deployment, from wherever that was broken off. Asks
 * first, but with -q. The way back is the stages' own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deploy/dialogue.h"
#include "tools/deploy_steps.h"
#include "tools/deploy_terminal.h"

static const char usage[] =
	"Usage: hosted-engine-cleanup [OPTIONS]\n\n"
	"Takes this host back to before hosted-engine --deploy. An engine VM that runs here is "
	"ended. The domain on the\nshared storage stays, unless its deployment did not come "
	"to its end.\n\n"
	"    -q, --quiet  do not ask\n    -h, --help   show this and exit\n";

static int clean(struct deployment *deployment, bool quiet)
{
	const struct dialogue dialogue = {.ask = terminal_ask, .say = terminal_tell};

	if (journal_empty(deployment->journal)) {
		terminal_say("INFO", "Nothing to clean up: no deployment was begun on this host");
		return 0;
	}
	if (!quiet) {
		terminal_tell(NULL,
			      "This will de-configure the host to run hosted-engine --deploy from scratch.\n"
			      "An engine VM that runs here is ended.\n"
			      "Caution, this operation should be used with care.");
		if (dialogue_yes(&dialogue, "Are you sure you want to proceed?", false) < 0) {
			fputs("\nLeft: nothing was changed\n", stderr);
			return 1;
		}
	}
	if (deployment_undo(deployment) < 0) {
		terminal_say("ERROR",
			     "This host is not clean: mend the cause and run hosted-engine-cleanup again");
		return 1;
	}
	terminal_say("INFO", "This host is as before the deployment");
	return 0;
}

int main(int argc, char *argv[])
{
	struct deployment *deployment;
	bool quiet = false;
	int code = 1;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-q") == 0 || strcmp(argv[i], "--quiet") == 0) {
			quiet = true;
		} else if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
			fputs(usage, stdout);
			return 0;
		} else {
			fprintf(stderr, "Invalid option '%s'\n%s", argv[i], usage);
			return 1;
		}
	}
	if (geteuid() != 0) {
		fputs("hosted-engine-cleanup needs root: run it with sudo\n", stderr);
		return 1;
	}
	deployment = calloc(1, sizeof(*deployment));
	if (!deployment)
		return 1;
	if (deployment_open(deployment) == 0)
		code = clean(deployment, quiet);
	deployment_close(deployment);
	free(deployment);
	return code;
}
