/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --set-maintenance. Decides which flags a mode means; the broker changes block 0 and the agent this host's
 * own, and both answer only when the change is safe. Silent when all went well; what the broker or the agent
 * has to say beside that goes to stderr. */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker_client.h"
#include "tools/broker_trouble.h"
#include "tools/commands.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define OPEN_MS 5000
/* Lease of block 0 (10 s), write, read back, two loops of up to 15 s later; a write that has to be done again
 * as much once more. */
#define GLOBAL_MS (120 * 1000)
#define LOCAL_MS (120 * 1000)
/* A move is a shutdown (300 s, then force, 60 s), a start elsewhere and sanlock's dead time at the worst. */
#define MOVE_MS (900 * 1000)
#define ASK_MS 1000

CLEANUP_DEFINE(struct broker_client *, broker_client_close)

static int finish(int error, const char *text)
{
	if (error < 0)
		return broker_trouble_say(error, text);
	broker_text_put(stderr, text);
	return 0;
}

/* No QEMU of the VM is left here, and another host owns its lease. */
static bool has_moved(const struct status_reply *status)
{
	const struct cluster *c = &status->cluster;

	return c->qemu_pid == 0 && c->owner == OWNER_HOST && c->owner_id != c->host_id;
}

/* Waits until the VM that was here runs elsewhere. The broker tells readers nothing by itself: it is asked
 * once a second. */
static int wait_for_move(struct broker_client *client)
{
	mono_t deadline = mono_add(clock_mono(), MOVE_MS);
	struct status_reply status;
	int r;

	for (;;) {
		r = broker_client_status(client, OPEN_MS, &status);
		if (r < 0)
			return broker_trouble_say(r, "");
		if (has_moved(&status))
			return 0;
		if (status.cluster.maintenance == FLAG_YES) {
			fputs("This host is in maintenance, but the VM stays where it is: the cluster is in "
			      "global "
			      "maintenance.\n",
			      stderr);
			return 1;
		}
		if (clock_mono() >= deadline) {
			fputs("This host is in maintenance, but the VM does not run on another host yet: see "
			      "--vm-status.\n",
			      stderr);
			return 1;
		}
		poll(NULL, 0, ASK_MS);
	}
}

static int set_local(struct broker_client *client, bool on, bool wait)
{
	struct status_reply before;
	char text[TEXT_MAX] = "";
	int r, code;

	/* A VM that is not here has no way to go. */
	if (wait) {
		r = broker_client_status(client, OPEN_MS, &before);
		if (r < 0)
			return broker_trouble_say(r, "");
	}
	r = broker_client_command(client, on ? COMMAND_LOCAL_MAINTENANCE_ON : COMMAND_LOCAL_MAINTENANCE_OFF,
				  NULL, LOCAL_MS, text);
	code = finish(r, text);
	if (code == 0 && wait && before.cluster.qemu_pid != 0)
		code = wait_for_move(client);
	return code;
}

int command_run_set_maintenance(const struct invocation *call)
{
	_cleanup_(broker_client_close_p) struct broker_client *client = NULL;
	const char *mode = invocation_value(call, "mode");
	bool global = strcmp(mode, "local") != 0, local = strcmp(mode, "global") != 0;
	bool on = strcmp(mode, "none") != 0, wait = invocation_value(call, "wait");
	char text[TEXT_MAX] = "";
	int r, code = 0;

	if (wait && (global || !on)) {
		fputs("--wait goes with --mode=local\n", stderr);
		return 1;
	}
	r = broker_client_open(OPEN_MS, &client);
	if (r < 0)
		return broker_trouble_say(r, "");

	if (isatty(STDERR_FILENO))
		fputs(global ? "Waiting until the change has stayed on the shared storage for two loops ...\n"
		      : wait ? "Waiting until the agent has done it and the VM runs elsewhere ...\n"
			     : "Waiting until the agent has done it ...\n",
		      stderr);
	/* `none` ends both kinds: where one fails the other is ended all the same, and the exit code tells.
	 */
	if (global) {
		r = broker_client_global(client, on, GLOBAL_MS, text);
		code = finish(r, text);
	}
	if (local)
		code = set_local(client, on, wait) || code;
	return code;
}
