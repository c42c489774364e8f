/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --discover-storage: what storage this host can reach, as one line of JSON. Needs neither configuration nor
 * daemons. A password comes from a file or the environment: a command line can be read by everybody. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/json_text.h"
#include "tools/storage_look.h"
#include "tools/terminal_text.h"

#define SECONDS_DEFAULT 20
#define SECONDS_MAX 600
#define SECRET_VARIABLE "OVIRT_HOSTED_ENGINE_ISCSI_PASSWORD"
#define SECRET_SIZE 512

static int refuse(const char *text)
{
	fprintf(stderr, "%s\n", text);
	return 1;
}

static int say_trouble(const char *why)
{
	_cleanup_(json_decref_p) json_t *answer = json_pack("{s:o}", "error", json_text(why, strlen(why)));

	terminal_put(stderr, why, strlen(why));
	fputc('\n', stderr);
	json_line(answer, stdout);
	return 1;
}

/* The first line; -EMSGSIZE: it does not fit. */
static int read_line_of(const char *path, char *ret, size_t size)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");

	if (!file)
		return -errno;
	if (!fgets(ret, (int)size, file))
		return ferror(file) ? -EIO : -ENODATA;
	if (strlen(ret) + 1 == size)
		return -EMSGSIZE;
	ret[strcspn(ret, "\r\n")] = '\0';
	return ret[0] ? 0 : -ENODATA;
}

static int find_secret(const struct invocation *call, char ret[SECRET_SIZE], char why[DISCOVERY_WHY_SIZE])
{
	const char *file = invocation_value(call, "password-file"), *variable = getenv(SECRET_VARIABLE);
	int r;

	if (file) {
		r = read_line_of(file, ret, SECRET_SIZE);
		if (r < 0)
			snprintf(why, DISCOVERY_WHY_SIZE,
				 "No password in %.200s: %s; its first line has to have it", file,
				 strerror(-r));
		return r;
	}
	if (!variable || !variable[0] || strlen(variable) >= SECRET_SIZE) {
		snprintf(why, DISCOVERY_WHY_SIZE,
			 "No password of the user: give --password-file, or " SECRET_VARIABLE
			 " in the environment");
		return -ENODATA;
	}
	strcpy(ret, variable);
	return 0;
}

static int look(const struct invocation *call, unsigned seconds)
{
	char secret[SECRET_SIZE] = "", why[DISCOVERY_WHY_SIZE];
	const struct storage_look request = {.type = call->operand,
					     .server = invocation_value(call, "server"),
					     .initiator = invocation_value(call, "initiator"),
					     .user = invocation_value(call, "user"),
					     .secret = secret};
	_cleanup_(json_decref_p) json_t *answer = NULL;
	int r = request.user ? find_secret(call, secret, why) : 0;

	if (r == 0)
		r = storage_look(&request, seconds, &answer, why);
	explicit_bzero(secret, sizeof(secret));
	return r < 0 ? say_trouble(why) : json_line(answer, stdout);
}

int command_run_discover_storage(const struct invocation *call)
{
	static const char *const types[] = {"nfs", "iscsi", "fc", "block"};
	const char *seconds = invocation_value(call, "timeout");
	bool server = strcmp(call->operand, "nfs") == 0 || strcmp(call->operand, "iscsi") == 0;
	unsigned long number = SECONDS_DEFAULT;
	size_t i = 0;
	char *end;

	while (i < sizeof(types) / sizeof(types[0]) && strcmp(types[i], call->operand) != 0)
		i++;
	if (i == sizeof(types) / sizeof(types[0]))
		return refuse("The type of storage is one of nfs, iscsi, fc and block");
	if (server && !invocation_value(call, "server"))
		return refuse("You must specify the storage's server with --server");
	if (!server && invocation_value(call, "server"))
		return refuse("Disks of this host have no --server");
	if (seconds) {
		number = strtoul(seconds, &end, 10);
		if (seconds[0] < '0' || seconds[0] > '9' || *end || number < 1 || number > SECONDS_MAX)
			return refuse("--timeout is 1 to 600 seconds");
	}
	return look(call, (unsigned)number);
}
