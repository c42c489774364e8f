/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --undeploy: a host leaves its cluster. Decides the order: the VM goes first, by local maintenance, and
 * where it can't nothing else is begun. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/deploy_steps.h"
#include "tools/deploy_terminal.h"
#include "tools/deployment.h"

#define LEAVING "leaving" /* in the journal */

/* --set-maintenance --mode=local --wait, which refuses where no other host can take the VM. */
static int move_vm_away(const struct command_set *set)
{
	struct invocation call = {.set = set, .command = command_find(set, "set-maintenance")};

	for (int i = 0; i < COMMAND_OPTIONS_MAX && call.command->options[i].name; i++)
		if (strcmp(call.command->options[i].name, "mode") == 0)
			call.values[i] = "local";
		else if (strcmp(call.command->options[i].name, "wait") == 0)
			call.values[i] = "";
	return call.command->run(&call);
}

/* 0: all but the VM is to go now. Once that was decided there is no way back: another --undeploy ends it.
 * While the agent still runs the VM may have come back meanwhile, and is moved again: what comes next would
 * kill it. */
static int begin(const struct invocation *call, struct deployment *deployment)
{
	const bool leaving = journal_get(deployment->journal, LEAVING);
	int r;

	if (leaving && !deployment_agent_runs())
		return 0;
	if (journal_empty(deployment->journal) && deployment_check(stdout, stderr) != 0)
		return 1;
	if (!deployment_finished(deployment)) {
		fprintf(stderr, "No deployment came to its end on this host%s\n",
			journal_empty(deployment->journal)
				? ": one by hand is taken back by hand, its daemons stopped and "
				  "hosted-engine.conf moved away"
				: ": hosted-engine-cleanup takes back what was begun");
		return 1;
	}
	r = move_vm_away(call->set);
	if (r == 0 && !leaving && (r = journal_set(deployment->journal, LEAVING, "yes")) < 0)
		fprintf(stderr, "The journal of the deployment can't be written: %s\n", strerror(-r));
	if (r != 0)
		fputs("This host stays deployed. In local maintenance, where it may be now, it waits for "
		      "another --undeploy, or for --set-maintenance --mode=none\n",
		      stderr);
	return r < 0 ? 1 : r;
}

static int undeploy(const struct invocation *call, struct deployment *deployment)
{
	int code = begin(call, deployment);

	if (code != 0)
		return code;
	if (deployment_undo(deployment) < 0) {
		terminal_say("ERROR", "This host is not clean: mend the cause and run --undeploy again");
		return 1;
	}
	terminal_say("INFO", "This host has left the hosted engine");
	return 0;
}

int command_run_undeploy(const struct invocation *call)
{
	struct deployment *deployment = calloc(1, sizeof(*deployment));
	int code = 1;

	if (!deployment)
		return 1;
	if (deployment_open(deployment) == 0)
		code = undeploy(call, deployment);
	deployment_close(deployment);
	free(deployment);
	return code;
}
