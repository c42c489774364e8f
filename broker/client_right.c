/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides what a client may do from what the kernel says of its process. It may not ask a name service: a
 * directory server that is away would hold up the broker's loop, and any user could make it ask. Called by
 * ipc_server.c for each new connection. */
#include "broker/client_right.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"

/* The second number of `Uid: real effective saved file-system`. */
static bool effective_uid_is(const char *numbers, uid_t uid)
{
	unsigned real, effective;

	return sscanf(numbers, "%u %u", &real, &effective) == 2 && effective == uid;
}

static bool list_has(const char *numbers, gid_t group)
{
	for (;;) {
		char *end;
		unsigned long number = strtoul(numbers, &end, 10);

		if (end == numbers)
			return false;
		if (number == group)
			return true;
		numbers = end;
	}
}

/* From /proc/PID/status, which the kernel writes without waiting for the process. The pid may be another's by
 * now. That it is a process of the same user is checked; more is not needed, since that user could have
 * connected from that process, and only reading is at stake. */
static bool process_in_group(pid_t pid, uid_t uid, gid_t group)
{
	_cleanup_fclose_ FILE *file = NULL;
	_cleanup_free_ char *line = NULL;
	bool same_user = false, member = false;
	size_t size = 0;
	char path[32];

	if (pid <= 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	while (file && getline(&line, &size, file) > 0) {
		if (strncmp(line, "Uid:", 4) == 0)
			same_user = effective_uid_is(line + 4, uid);
		else if (strncmp(line, "Groups:", 7) == 0)
			member = list_has(line + 7, group);
	}
	return same_user && member;
}

enum client_right client_right(const struct service_account *account, uid_t uid, gid_t gid, pid_t pid)
{
	/* The service itself, under whatever name it runs. */
	if (uid == 0 || uid == geteuid() || (account->has_user && uid == account->uid))
		return RIGHT_CHANGE;
	if (!account->has_group)
		return RIGHT_NONE;
	/* libqb knows the peer's primary group alone. */
	if (gid == account->gid || process_in_group(pid, uid, account->gid))
		return RIGHT_READ;
	return RIGHT_NONE;
}
