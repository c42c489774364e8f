/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --check-deployed and --check-liveliness: one question each, answered by a line and the exit code. Neither
 * needs a daemon. */
#include <stdio.h>

#include "tools/commands.h"
#include "tools/deployment.h"
#include "tools/json_text.h"
#include "tools/liveliness.h"

int command_run_check_deployed(const struct invocation *call)
{
	struct engine_conf conf;
	/* What can't be read is not known to be deployed; the reason has been told. */
	const int deployed = deployment_load(stderr, &conf) ? engine_conf_deployed(&conf) : -1;

	if (invocation_value(call, "json"))
		return json_answer(json_pack("{s:o}", "deployed", json_known(deployed)), deployed != 1);
	if (deployed >= 0)
		printf("The hosted engine has %sbeen deployed\n", deployed ? "" : "not ");
	return deployed != 1;
}

/* 1, 0, or -1 with the reason told. `why` is empty where there is none. */
static int ask_engine(char why[LIVELINESS_WHY_SIZE])
{
	struct engine_conf conf;
	int r;

	why[0] = '\0';
	if (!deployment_load(stderr, &conf))
		return -1;
	if (!conf.health_url[0]) {
		snprintf(why, LIVELINESS_WHY_SIZE,
			 "hosted-engine.conf does not name the engine: set fqdn to its host name");
		fprintf(stderr, "%s\n", why);
		return -1;
	}
	r = liveliness_ask(conf.health_url, conf.health_ca, why);
	if (r <= 0)
		fprintf(stderr, "%s: %s\n", conf.health_url, why);
	return r < 0 ? -1 : r;
}

int command_run_check_liveliness(const struct invocation *call)
{
	char why[LIVELINESS_WHY_SIZE];
	const int up = ask_engine(why), code = up < 0 ? 2 : up == 0;

	if (invocation_value(call, "json"))
		return json_answer(json_pack("{s:o, s:o}", "up", json_known(up), "detail", json_detail(why)),
				   code);
	if (up >= 0)
		printf("Hosted Engine is %sup!\n", up ? "" : "not ");
	return code;
}
