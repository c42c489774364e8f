/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads `sanlock client status -D`, lines of key=value below lines that name the daemon (`daemon HOST`) and
 * each lockspace (`s NAME:ID:PATH:OFFSET`, and `REM` while it is left), and `sanlock client renewal`, a line
 * of them for each renewal, the oldest first. It decides nothing but what the words say; a word that is
 * missing is unknown. Called by the lease port's and the guard's worker threads, and by hosted-engine. */
#include "lockspace/sanlock_status.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "util/cleanup.h"
#include "util/clock.h"

#define ANSWER_MAX (256 * 1024) /* bytes; some 400 for each client and lockspace of the daemon */

extern char **environ;

/* `ret_pipe` is the command's stdout. */
static int command_start(const char *const argv[], pid_t *ret_pid, int *ret_pipe)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, usual;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	ours = fds[0];
	theirs = fds[1];
	/* Worker threads block all signals; the command must not inherit that. */
	sigemptyset(&none);
	sigfillset(&usual);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &usual);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, theirs, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	r = posix_spawn(ret_pid, SANLOCK_PROGRAM, &actions, &attr, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	if (r != 0)
		return -r;
	*ret_pipe = TAKE_FD(ours);
	return 0;
}

/* Reads until the end, the deadline or the limit. */
static int answer_read(int fd, mono_t deadline, char *bytes, size_t size)
{
	size_t length = 0;

	for (;;) {
		struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
		mono_t now = clock_mono();
		ssize_t n;

		if (now >= deadline)
			return -ETIMEDOUT;
		n = poll(&poll_fd, 1, (int)(deadline - now));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n <= 0)
			continue;
		if (length == size - 1)
			return -EFBIG;
		n = read(fd, bytes + length, size - 1 - length);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	bytes[length] = '\0';
	return 0;
}

/* The number after `key=` at the start of the line, or -1. */
static int64_t value_of(const char *line, const char *key)
{
	size_t length = strlen(key);
	char *end;
	long long value;

	if (strncmp(line, key, length) != 0 || line[length] != '=')
		return -1;
	errno = 0;
	value = strtoll(line + length + 1, &end, 10);
	return errno || end == line + length + 1 || *end || value < 0 ? -1 : value;
}

static bool ends_with(const char *line, const char *end)
{
	size_t length = strlen(line), end_length = strlen(end);

	return length >= end_length && strcmp(line + length - end_length, end) == 0;
}

static void answer_parse(char *bytes, const char *lockspace, struct sanlock_status *status)
{
	bool daemon = false, ours = false;
	size_t length = strlen(lockspace);
	char *save = NULL;

	for (char *line = strtok_r(bytes, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		int64_t value;

		if (line[0] != ' ') {
			daemon = strncmp(line, "daemon ", 7) == 0;
			ours = strncmp(line, "s ", 2) == 0 && strncmp(line + 2, lockspace, length) == 0 &&
			       line[2 + length] == ':';
			status->leaving |= ours && ends_with(line, " REM");
			continue;
		}
		line += strspn(line, " ");
		if (daemon && (value = value_of(line, "use_watchdog")) >= 0)
			status->use_watchdog = value != 0;
		/* The acquiring write of the host id counts until the first renewal has come. */
		if (ours &&
		    ((value = value_of(line, "acquire_last_success")) >= 0 ||
		     (value = value_of(line, "renewal_last_success")) >= 0) &&
		    value > status->last_renewal_s)
			status->last_renewal_s = value;
	}
}

/* The command's answer in `bytes`, ANSWER_MAX long. */
static int command_run(const char *const argv[], int timeout_ms, char *bytes)
{
	_cleanup_close_ int fd = -1;
	int r, end;
	pid_t pid;

	r = command_start(argv, &pid, &fd);
	if (r < 0)
		return r;
	r = answer_read(fd, mono_add(clock_mono(), timeout_ms), bytes, ANSWER_MAX);
	if (r < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &end, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (r < 0)
		return r;
	/* Killed, or not even loaded (127): that says nothing of the daemon. */
	if (!WIFEXITED(end) || WEXITSTATUS(end) == 127)
		return -EIO;
	return WEXITSTATUS(end) == 0 ? 0 : -ECONNREFUSED;
}

int sanlock_status_read(const char *lockspace, int timeout_ms, struct sanlock_status *ret)
{
	const char *const argv[] = {"sanlock", "client", "status", "-D", NULL};
	struct sanlock_status status = {.use_watchdog = -1, .last_renewal_s = -1};
	_cleanup_free_ char *bytes = malloc(ANSWER_MAX);
	int r;

	assert(lockspace && ret);
	if (!bytes)
		return -ENOMEM;
	r = command_run(argv, timeout_ms, bytes);
	if (r < 0)
		return r;
	answer_parse(bytes, lockspace, &status);
	*ret = status;
	return 0;
}

void sanlock_renewals_parse(char *bytes, struct sanlock_renewals *ret)
{
	struct sanlock_renewals renewals = {0};
	char *save = NULL;

	for (char *line = strtok_r(bytes, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned read_ms, write_ms, timeouts, errors;
		unsigned long long timestamp;

		/* The failures are those after this renewal and before the next. */
		if (sscanf(line, "timestamp=%llu read_ms=%u write_ms=%u next_timeouts=%u next_errors=%u",
			   &timestamp, &read_ms, &write_ms, &timeouts, &errors) != 5 ||
		    timestamp > INT64_MAX / MONO_SECOND)
			continue;
		renewals.last = (mono_t)timestamp * MONO_SECOND;
		if (renewals.count++ == 0)
			renewals.first = renewals.last;
		renewals.read_ms = read_ms;
		renewals.write_ms = write_ms;
		if (renewals.slowest_read_ms < read_ms)
			renewals.slowest_read_ms = read_ms;
		if (renewals.slowest_write_ms < write_ms)
			renewals.slowest_write_ms = write_ms;
		renewals.timeouts += timeouts;
		renewals.errors += errors;
	}
	*ret = renewals;
}

int sanlock_renewals_read(const char *lockspace, int timeout_ms, struct sanlock_renewals *ret)
{
	const char *const argv[] = {"sanlock", "client", "renewal", "-s", lockspace, NULL};
	_cleanup_free_ char *bytes = malloc(ANSWER_MAX);
	int r;

	assert(lockspace && ret);
	if (!bytes)
		return -ENOMEM;
	r = command_run(argv, timeout_ms, bytes);
	if (r < 0)
		return r;
	sanlock_renewals_parse(bytes, ret);
	return 0;
}

/* The first line of a small file, "" when it can't be read. */
static void line_read(int dir, const char *path, char *line, size_t size)
{
	_cleanup_close_ int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, line, size - 1);

	line[n > 0 ? n : 0] = '\0';
	line[strcspn(line, "\n")] = '\0';
}

static bool module_loaded(const char *modules, const char *name)
{
	_cleanup_fclose_ FILE *file = fopen(modules, "re");
	char line[512], word[64];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%63s", word) == 1 && strcmp(word, name) == 0)
			return true;
	return false;
}

enum watchdog watchdog_kind(const char *class_dir, const char *modules)
{
	bool soft = false, seen = false;
	DIR *dir = opendir(class_dir);

	for (const struct dirent *entry; dir && (entry = readdir(dir));) {
		char path[sizeof(entry->d_name) + 16], identity[128], state[32];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/identity", entry->d_name);
		line_read(dirfd(dir), path, identity, sizeof(identity));
		snprintf(path, sizeof(path), "%s/state", entry->d_name);
		line_read(dirfd(dir), path, state, sizeof(state));
		if (!identity[0] || strcmp(state, "inactive") == 0)
			continue;
		seen = true;
		soft |= strcmp(identity, "Software Watchdog") == 0;
	}
	if (dir)
		closedir(dir);
	/* A kernel without watchdog sysfs: a loaded softdog may be the one in use, and weak is the safe word.
	 */
	if (!seen)
		soft = module_loaded(modules, "softdog");
	return soft ? WATCHDOG_SOFT : WATCHDOG_HARD;
}
