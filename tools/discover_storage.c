/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --discover-storage: what storage this host can reach, as one line of JSON. Needs neither configuration nor
 * daemons. The looking is done by a child process, so that a resolver, a server or a disk that hangs keeps
 * nobody for longer than the time that was given. A password comes from a file or the environment: a command
 * line can be read by everybody. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "metadata/initiator.h"
#include "storage/disk_discovery.h"
#include "storage/server_discovery.h"
#include "tools/commands.h"
#include "tools/discovery_json.h"
#include "tools/json_text.h"
#include "tools/terminal_text.h"
#include "util/clock.h"

#define SECONDS_DEFAULT 20
#define SECONDS_MAX 600
#define GRACE_MS 1000 /* for the child to say itself what was late */
#define SECRET_VARIABLE "OVIRT_HOSTED_ENGINE_ISCSI_PASSWORD"
#define INITIATOR_FILE "/etc/iscsi/initiatorname.iscsi"
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

/* HOST, HOST:PORT, [ADDRESS]:PORT. False: the port is none. */
static bool split_server(const char *server, char ret_host[256], uint16_t *ret_port)
{
	const char *colon = strrchr(server, ':'), *bracket = strchr(server, ']');
	bool port = colon && colon > bracket && (bracket || strchr(server, ':') == colon);
	size_t length = port ? (size_t)(colon - server) : strlen(server);
	char *end = NULL;
	unsigned long number = port ? strtoul(colon + 1, &end, 10) : 0;

	if (length == 0 || length > 255 ||
	    (port && (colon[1] < '0' || colon[1] > '9' || *end || number == 0 || number > UINT16_MAX)))
		return false;
	memcpy(ret_host, server, length);
	ret_host[length] = '\0';
	*ret_port = (uint16_t)number;
	return true;
}

static int find_disks(bool fc_only, mono_t deadline, json_t **ret, char why[DISCOVERY_WHY_SIZE])
{
	_cleanup_free_ struct lun *luns = NULL;
	size_t n = 0;
	int r = disks_find(&disk_machine, fc_only, deadline, &luns, &n, why);

	if (r == 0)
		*ret = discovered_luns(luns, n);
	return r;
}

static int find_exports(const char *server, mono_t deadline, json_t **ret, char why[DISCOVERY_WHY_SIZE])
{
	struct nfs_export *exports = NULL;
	char host[256];
	uint16_t port = 0;
	size_t n = 0;
	int r;

	if (!split_server(server, host, &port)) {
		snprintf(why, DISCOVERY_WHY_SIZE, "'%.200s' is no server", server);
		return -EINVAL;
	}
	r = nfs_exports_find(host, port, deadline, &exports, &n, why);
	if (r < 0)
		return r;
	*ret = discovered_exports(exports, n);
	nfs_exports_free(exports, n);
	return 0;
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

/* What the host calls itself where it has an initiator of the kernel's, else a name of its host name. */
static void own_name(char ret[INITIATOR_NAME_SIZE])
{
	char line[14 + INITIATOR_NAME_SIZE], host[65] = "host";

	if (read_line_of(INITIATOR_FILE, line, sizeof(line)) == 0 &&
	    strncmp(line, "InitiatorName=", 14) == 0) {
		snprintf(ret, INITIATOR_NAME_SIZE, "%s", line + 14);
		return;
	}
	gethostname(host, sizeof(host) - 1);
	initiator_name(host, ret);
}

static int find_secret(const struct invocation *call, char ret[SECRET_SIZE], char why[DISCOVERY_WHY_SIZE])
{
	const char *file = invocation_value(call, "password-file"), *variable = getenv(SECRET_VARIABLE);
	int r;

	if (file) {
		r = read_line_of(file, ret, SECRET_SIZE);
		if (r < 0)
			snprintf(why, DISCOVERY_WHY_SIZE, "No password in %.200s: %s", file, strerror(-r));
		return r;
	}
	if (!variable || !variable[0] || strlen(variable) >= SECRET_SIZE) {
		snprintf(why, DISCOVERY_WHY_SIZE,
			 "No password of the user: neither --password-file nor " SECRET_VARIABLE);
		return -ENODATA;
	}
	strcpy(ret, variable);
	return 0;
}

static int find_targets(const struct invocation *call, mono_t deadline, json_t **ret,
			char why[DISCOVERY_WHY_SIZE])
{
	const char *name = invocation_value(call, "initiator");
	struct iscsi_query query = {.portal = invocation_value(call, "server"),
				    .user = invocation_value(call, "user")};
	struct iscsi_target *targets = NULL;
	char own[INITIATOR_NAME_SIZE], secret[SECRET_SIZE] = "";
	size_t n = 0;
	int r = 0;

	own_name(own);
	query.initiator = name ? name : own;
	query.secret = secret;
	if (query.user)
		r = find_secret(call, secret, why);
	if (r == 0)
		r = iscsi_targets_find(&query, deadline, &targets, &n, why);
	explicit_bzero(secret, sizeof(secret));
	if (r < 0)
		return r;
	*ret = discovered_targets(targets, n);
	iscsi_targets_free(targets, n);
	return 0;
}

/* Ends the child process: what it found, or why it could not, is on stdout then. */
static int look(const struct invocation *call, mono_t deadline)
{
	_cleanup_(json_decref_p) json_t *answer = NULL;
	char why[DISCOVERY_WHY_SIZE] = "";
	int r;

	if (strcmp(call->operand, "nfs") == 0)
		r = find_exports(invocation_value(call, "server"), deadline, &answer, why);
	else if (strcmp(call->operand, "iscsi") == 0)
		r = find_targets(call, deadline, &answer, why);
	else
		r = find_disks(strcmp(call->operand, "fc") == 0, deadline, &answer, why);
	if (r < 0)
		return say_trouble(why);
	return json_line(answer, stdout) || fflush(stdout) != 0;
}

/* The child's answer, all of it or none: half a line of JSON is worth nothing. */
static int pass_on(int from, mono_t deadline)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	ssize_t n = -1;
	char part[4096];

	if (!to)
		return -ENOMEM;
	for (;;) {
		struct pollfd fd = {.fd = from, .events = POLLIN};
		mono_t left = deadline - clock_mono();

		if (left <= 0 || poll(&fd, 1, (int)left) == 0) {
			fclose(to);
			return -ETIMEDOUT;
		}
		n = read(from, part, sizeof(part));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		fwrite(part, 1, (size_t)n, to);
	}
	if (fclose(to) != 0 || n < 0)
		return -EIO;
	fwrite(text, 1, size, stdout);
	return 0;
}

static int look_in_child(const struct invocation *call, unsigned seconds)
{
	mono_t deadline = mono_add(clock_mono(), (int64_t)seconds * 1000);
	int ends[2], status = 0, r;
	pid_t child;

	if (pipe(ends) < 0 || (child = fork()) < 0)
		return say_trouble(strerror(errno));
	if (child == 0) {
		close(ends[0]);
		dup2(ends[1], STDOUT_FILENO);
		close(ends[1]);
		r = look(call, deadline);
		fflush(stdout);
		_exit(r);
	}
	close(ends[1]);
	r = pass_on(ends[0], mono_add(deadline, GRACE_MS));
	close(ends[0]);
	if (r < 0) {
		char why[64];

		kill(child, SIGKILL); /* not waited for: it may hang in the kernel */
		snprintf(why, sizeof(why), "No answer within %u seconds", seconds);
		return say_trouble(r == -ETIMEDOUT ? why : strerror(-r));
	}
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return say_trouble("The look at the storage ended before its answer");
	return WEXITSTATUS(status);
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
	return look_in_child(call, (unsigned)number);
}
