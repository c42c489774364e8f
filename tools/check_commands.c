/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --check-deployed and --check-liveliness: one question each, answered by a line and the exit code. Neither
 * needs a daemon. */
#include <errno.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/deployment.h"
#include "tools/liveliness.h"

int command_run_check_deployed(const struct invocation *call)
{
	struct engine_conf conf;

	/* What can't be read is not known to be deployed; the reason has been told. */
	if (!deployment_load(stderr, &conf))
		return 1;
	printf("The hosted engine has %sbeen deployed\n", engine_conf_deployed(&conf) ? "" : "not ");
	return !engine_conf_deployed(&conf);
}

int command_run_check_liveliness(const struct invocation *call)
{
	struct engine_conf conf;
	char why[LIVELINESS_WHY_SIZE];
	int r;

	if (!deployment_load(stderr, &conf))
		return 2;
	if (!conf.health_url[0]) {
		fputs("hosted-engine.conf does not name the engine: set fqdn to its host name\n", stderr);
		return 2;
	}
	r = liveliness_ask(conf.health_url, conf.health_ca, why);
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", conf.health_url, why);
		return 2;
	}
	printf("Hosted Engine is %sup!\n", r > 0 ? "" : "not ");
	if (r == 0)
		fprintf(stderr, "%s: %s\n", conf.health_url, why);
	return r == 0;
}
