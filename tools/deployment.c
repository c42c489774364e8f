/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides whether this host is deployed. Wrong values elsewhere in the configuration are the daemons' affair:
 * an operator must be able to see the status of a host whose configuration is wrong. */
#include "tools/deployment.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker_client.h"
#include "util/cleanup.h"
#include "util/paths.h"

#define BROKER_MS 2000

CLEANUP_DEFINE(struct broker_client *, broker_client_close)

bool deployment_load(FILE *err, struct engine_conf *ret)
{
	struct problems quiet = {0}, loud = {.say = problems_print, .data = err};
	char path[PATH_MAX];
	int r;

	r = engine_conf_load(file_path(FILE_ENGINE_CONF, path), ret, &quiet);
	if (r >= 0 || r == -ENOENT || (r == -EINVAL && ret->vmid[0]))
		return true;
	r = engine_conf_load(path, ret, &loud);
	return r >= 0;
}

int deployment_check(FILE *out, FILE *err)
{
	struct engine_conf conf;

	if (!deployment_load(err, &conf))
		return 1;
	if (engine_conf_deployed(&conf))
		return 0;
	fputs("You must run deploy first\n", out);
	return 1;
}

int deployment_check_finished(FILE *out)
{
	struct engine_conf conf;

	if (!deployment_load(stderr, &conf))
		return 1;
	if (conf.configured)
		return 0;
	fputs("It seems like a previous attempt to deploy hosted-engine failed or it's still in progress. "
	      "Please clean it up "
	      "before trying again\n",
	      out);
	return 2;
}

bool deployment_agent_runs(void)
{
	_cleanup_(broker_client_close_p) struct broker_client *client = NULL;
	struct status_reply status;

	return broker_client_open(BROKER_MS, &client) >= 0 &&
	       broker_client_status(client, BROKER_MS, &status) >= 0 && status.agent_connected;
}

int deployment_check_vm(FILE *out)
{
	struct engine_conf conf;

	if (!deployment_load(stderr, &conf))
		return 1;
	/* A file with the domain's XML stands in for the configuration on shared storage. */
	if (conf.vm_xml[0] || access(conf.vm_conf, F_OK) == 0)
		return 0;
	fprintf(out,
		"The hosted engine configuration has not been retrieved from shared storage yet,\n%s\n\n",
		deployment_agent_runs() ? "for more details please check sanlock status."
					: "please ensure that ovirt-ha-agent service is running.");
	return 1;
}
