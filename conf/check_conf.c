/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks the configuration as every daemon does: all three files, so that a host learns of all problems at
 * once. It acts on none. A host that is not deployed is nothing wrong. Called by the main functions of the
 * root services. */
#include "conf/check_conf.h"

#include <stdio.h>

#include "broker/broker_conf.h"
#include "daemon/agent_conf.h"
#include "util/engine_conf.h"
#include "util/options.h"
#include "util/paths.h"

int check_conf(void)
{
	struct problems problems = {.say = problems_print, .data = stderr};
	struct engine_conf engine;
	struct agent_conf agent;
	struct broker_conf broker;
	char path[PATH_MAX];

	engine_conf_load(file_path(FILE_ENGINE_CONF, path), &engine, &problems);
	agent_conf_load(file_path(FILE_AGENT_CONF, path), &engine, &agent, &problems);
	broker_conf_load(file_path(FILE_BROKER_CONF, path), &broker, &problems);
	return problems.count ? EXIT_CONFIG : 0;
}
