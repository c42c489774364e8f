/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides what of a child's answer counts: all of it or none. */
#include "tools/storage_look.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "metadata/initiator.h"
#include "storage/disk_discovery.h"
#include "storage/server_discovery.h"
#include "tools/discovery_json.h"
#include "tools/json_text.h"
#include "util/clock.h"

#define GRACE_MS 1000 /* for the child to say itself what was late */

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

/* What the host calls itself where it has an initiator of the kernel's, else a name of its host name. */
static void own_name(char ret[INITIATOR_NAME_SIZE])
{
	_cleanup_fclose_ FILE *file = fopen("/etc/iscsi/initiatorname.iscsi", "re");
	char line[14 + INITIATOR_NAME_SIZE], host[65] = "host";

	if (file && fgets(line, sizeof(line), file) && strncmp(line, "InitiatorName=", 14) == 0 &&
	    line[strcspn(line, "\r\n")]) {
		line[strcspn(line, "\r\n")] = '\0';
		snprintf(ret, INITIATOR_NAME_SIZE, "%s", line + 14);
		return;
	}
	gethostname(host, sizeof(host) - 1);
	initiator_name(host, ret);
}

static int find_targets(const struct storage_look *look, mono_t deadline, json_t **ret,
			char why[DISCOVERY_WHY_SIZE])
{
	char own[INITIATOR_NAME_SIZE];
	const struct iscsi_query query = {.portal = look->server,
					  .initiator = look->initiator ? look->initiator : own,
					  .user = look->user,
					  .secret = look->secret};
	struct iscsi_target *targets = NULL;
	size_t n = 0;
	int r;

	own_name(own);
	r = iscsi_targets_find(&query, deadline, &targets, &n, why);
	if (r < 0)
		return r;
	*ret = discovered_targets(targets, n);
	iscsi_targets_free(targets, n);
	return 0;
}

/* The child process: what it found, or {"error": why}, goes to `to`. */
static void __attribute__((noreturn)) be_child(const struct storage_look *look, mono_t deadline, int to)
{
	char why[DISCOVERY_WHY_SIZE] = "";
	FILE *out = fdopen(to, "w");
	json_t *answer = NULL;
	int r;

	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	if (strcmp(look->type, "nfs") == 0)
		r = find_exports(look->server, deadline, &answer, why);
	else if (strcmp(look->type, "iscsi") == 0)
		r = find_targets(look, deadline, &answer, why);
	else
		r = find_disks(strcmp(look->type, "fc") == 0, deadline, &answer, why);
	if (r < 0)
		answer = json_pack("{s:o}", "error", json_text(why, strlen(why)));
	_exit(!out || json_line(answer, out) || fclose(out) != 0);
}

/* Half a line of JSON is worth nothing. */
static int read_answer(int from, mono_t deadline, json_t **ret)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	char part[4096];
	int r = to ? 1 : -ENOMEM;

	while (r > 0) {
		struct pollfd fd = {.fd = from, .events = POLLIN};
		mono_t left = deadline - clock_mono();

		r = left > 0 ? poll(&fd, 1, (int)left) : 0;
		if (r < 0)
			r = -errno;
		else if (r == 0)
			r = -ETIMEDOUT;
		else if ((r = (int)read(from, part, sizeof(part))) < 0)
			r = -errno;
		else
			fwrite(part, 1, (size_t)r, to);
	}
	if (to && fclose(to) != 0 && r == 0)
		r = -ENOMEM;
	if (r == 0 && !(*ret = json_loadb(text, size, 0, NULL)))
		r = -EPROTO;
	return r;
}

int storage_look(const struct storage_look *look, unsigned seconds, json_t **ret,
		 char ret_why[DISCOVERY_WHY_SIZE])
{
	mono_t deadline = mono_add(clock_mono(), (int64_t)seconds * 1000);
	_cleanup_(json_decref_p) json_t *answer = NULL;
	const char *error;
	int ends[2], r;
	pid_t child = -1;

	if (pipe2(ends, O_CLOEXEC) == 0 && (child = fork()) == 0)
		be_child(look, deadline, ends[1]);
	if (child < 0) {
		r = -errno;
		snprintf(ret_why, DISCOVERY_WHY_SIZE, "%s", strerror(-r));
		return r;
	}
	close(ends[1]);
	r = read_answer(ends[0], mono_add(deadline, GRACE_MS), &answer);
	close(ends[0]);
	if (r == -ETIMEDOUT)
		snprintf(ret_why, DISCOVERY_WHY_SIZE, "No answer within %u seconds", seconds);
	else if (r == -EPROTO)
		snprintf(ret_why, DISCOVERY_WHY_SIZE, "The look at the storage ended before its answer");
	else if (r < 0)
		snprintf(ret_why, DISCOVERY_WHY_SIZE, "%s", strerror(-r));
	if (r == -ETIMEDOUT || r == -EINTR)
		kill(child, SIGKILL); /* not waited for: it may hang in the kernel */
	else
		waitpid(child, NULL, 0);
	if (r < 0)
		return r;
	error = json_string_value(json_object_get(answer, "error"));
	if (error) {
		snprintf(ret_why, DISCOVERY_WHY_SIZE, "%s", error);
		return -EIO;
	}
	*ret = TAKE_PTR(answer);
	return 0;
}
