/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --set-maintenance. Decides which flags a mode means; the broker changes block 0 and the agent this host's
 * own, and both answer only when the change is safe. Silent when all went well; what the broker or the agent
 * has to say beside that goes to stderr. */
#include <string.h>
#include <unistd.h>

#include "broker/broker_client.h"
#include "tools/broker_trouble.h"
#include "tools/commands.h"
#include "util/cleanup.h"

#define OPEN_MS 5000
/* Lease of block 0 (10 s), write, read back, two loops of up to 60 s later; a write that has to be done again
 * as much once more. */
#define GLOBAL_MS (300 * 1000)
#define LOCAL_MS (120 * 1000)

CLEANUP_DEFINE(struct broker_client *, broker_client_close)

static int finish(int error, const char *text)
{
	if (error < 0)
		return broker_trouble_say(error, text);
	broker_text_put(stderr, text);
	return 0;
}

int command_run_set_maintenance(const struct invocation *call)
{
	_cleanup_(broker_client_close_p) struct broker_client *client = NULL;
	const char *mode = invocation_value(call, "mode");
	bool global = strcmp(mode, "local") != 0, local = strcmp(mode, "global") != 0;
	bool on = strcmp(mode, "none") != 0;
	char text[TEXT_MAX] = "";
	int r, code = 0;

	r = broker_client_open(OPEN_MS, &client);
	if (r < 0)
		return broker_trouble_say(r, "");

	if (isatty(STDERR_FILENO))
		fputs(global ? "Waiting until the change has stayed on the shared storage for two loops ...\n"
			     : "Waiting until the agent has done it ...\n",
		      stderr);
	/* `none` ends both kinds: where one fails the other is ended all the same, and the exit code tells.
	 */
	if (global) {
		r = broker_client_global(client, on, GLOBAL_MS, text);
		code = finish(r, text);
	}
	if (local) {
		text[0] = '\0';
		r = broker_client_command(client,
					  on ? COMMAND_LOCAL_MAINTENANCE_ON : COMMAND_LOCAL_MAINTENANCE_OFF,
					  NULL, LOCAL_MS, text);
		code = finish(r, text) || code;
	}
	return code;
}
