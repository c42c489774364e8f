/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --connect-storage and --disconnect-storage: ask ovirt-ha-storage, which knows what to connect, and tell
 * what became of it. */
#include <errno.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/storage_ask.h"
#include "tools/terminal_text.h"

int command_run_connect_storage(const struct invocation *call)
{
	bool connect = strcmp(call->command->name, "connect-storage") == 0;
	struct storage_reply reply;
	int r = storage_ask(connect ? STORAGE_CONNECT : STORAGE_DISCONNECT, &reply);

	if (r < 0) {
		fprintf(stderr,
			"ovirt-ha-storage does not answer: %s; see systemctl status ovirt-ha-storage\n",
			strerror(-r));
		return 1;
	}
	if (reply.error == 0)
		return 0;
	reply.text[sizeof(reply.text) - 1] = '\0';
	fputs(connect ? "The storage is not connected: " : "The storage stays connected: ", stderr);
	if (!reply.text[0])
		snprintf(reply.text, sizeof(reply.text), "%s", strerror(-reply.error));
	terminal_put(stderr, reply.text, strlen(reply.text));
	fputc('\n', stderr);
	return 1;
}
