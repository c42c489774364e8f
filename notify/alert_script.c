/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs the operator's program. Decides how long and how many; what it does is the operator's. Called by
 * alert_sender.c. */
#include "notify/alert_script.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "util/cleanup.h"
#include "util/log.h"

struct script {
	struct timer limit; /* first */
	struct alert_scripts *owner;
	pid_t pid; /* 0: free */
	int pidfd;
	bool killed;
	char detail[ALERT_DETAIL_MAX];
};

struct alert_scripts {
	struct loop *loop;
	void (*ended)(void *data);
	void *data;
	struct script scripts[ALERT_SCRIPTS_MAX];
};

static void forget(struct script *script)
{
	struct clock_port *clock = loop_clock(script->owner->loop);

	clock->cancel(clock, &script->limit);
	loop_del_fd(script->owner->loop, script->pidfd);
	close(TAKE_FD(script->pidfd));
	script->pid = 0;
}

static void ended(int fd, short revents, void *data)
{
	struct script *script = data;
	int status = 0;

	(void)waitpid(script->pid, &status, 0);
	if (script->killed)
		log_error("command for %s took too long and was killed; make it quicker, or raise "
			  "command_timeout",
			  script->detail);
	else if (WIFSIGNALED(status))
		log_error("command for %s was ended by signal %d", script->detail, WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		log_error("command for %s failed, exit status %d; its own words are above", script->detail,
			  WEXITSTATUS(status));
	forget(script);
	script->owner->ended(script->owner->data);
}

static void late(struct timer *timer)
{
	struct script *script = (struct script *)timer;

	script->killed = true;
	kill(-script->pid, SIGKILL);
}

/* A file in memory, so that a program that reads nothing blocks nobody. -errno or the descriptor. */
static int input_of(const struct alert *transition)
{
	_cleanup_close_ int fd = memfd_create("alert", MFD_CLOEXEC);
	char detail[ALERT_DETAIL_MAX];
	_cleanup_free_ char *text = NULL;
	json_t *object;

	if (fd < 0)
		return -errno;
	alert_detail(transition, detail);
	object = json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:i, s:I}", "host", transition->host, "time",
			   (json_int_t)transition->wall, "from", transition->from, "to", transition->to,
			   "detail", detail, "reason", transition->reason, "score", (int)transition->score,
			   "sequence", (json_int_t)transition->sequence);
	text = object ? json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	json_decref(object);
	if (!text)
		return -ENOMEM;
	if (dprintf(fd, "%s\n", text) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int spawn(const char *path, int input, pid_t *ret)
{
	char *const arguments[] = {(char *)path, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, normal;
	int r;

	sigemptyset(&none);
	sigemptyset(&normal);
	sigaddset(&normal, SIGPIPE);
	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&attributes) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return -ENOMEM;
	}
	posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
	posix_spawnattr_setflags(&attributes,
				 POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &normal);
	r = -posix_spawn(ret, path, &actions, &attributes, arguments, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

static int start(struct script *script, const char *path, const struct alert *transition, int64_t limit_ms)
{
	struct clock_port *clock = loop_clock(script->owner->loop);
	_cleanup_close_ int input = input_of(transition);
	pid_t pid;
	int r;

	if (input < 0)
		return input;
	r = spawn(path, input, &pid);
	if (r < 0)
		return r;
	script->pidfd = pidfd_open(pid, 0);
	r = script->pidfd < 0 ? -errno
			      : loop_add_fd(script->owner->loop, script->pidfd, POLLIN, ended, script);
	if (r < 0) {
		if (script->pidfd >= 0)
			close(TAKE_FD(script->pidfd));
		kill(-pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return r;
	}
	script->pid = pid;
	script->killed = false;
	alert_detail(transition, script->detail);
	script->limit.fire = late;
	clock->set(clock, &script->limit, mono_add(clock->now(clock), limit_ms));
	return 0;
}

void alert_scripts_run(struct alert_scripts *scripts, const char *path, const struct alert *transition,
		       int64_t limit_ms)
{
	size_t i = 0;
	int r;

	while (i < ALERT_SCRIPTS_MAX && scripts->scripts[i].pid != 0)
		i++;
	assert(i < ALERT_SCRIPTS_MAX);
	r = start(&scripts->scripts[i], path, transition, limit_ms);
	if (r < 0)
		log_error("command %s can't be run: %s; the user ovirt-ha must be able to", path,
			  strerror(-r));
}

unsigned alert_scripts_running(const struct alert_scripts *scripts)
{
	unsigned n = 0;

	for (size_t i = 0; i < ALERT_SCRIPTS_MAX; i++)
		n += scripts->scripts[i].pid != 0;
	return n;
}

int alert_scripts_new(struct loop *loop, void (*on_ended)(void *data), void *data, struct alert_scripts **ret)
{
	struct alert_scripts *scripts = calloc(1, sizeof(*scripts));

	if (!scripts)
		return -ENOMEM;
	scripts->loop = loop;
	scripts->ended = on_ended;
	scripts->data = data;
	for (size_t i = 0; i < ALERT_SCRIPTS_MAX; i++) {
		scripts->scripts[i].owner = scripts;
		scripts->scripts[i].pidfd = -1;
	}
	*ret = scripts;
	return 0;
}

void alert_scripts_free(struct alert_scripts *scripts)
{
	for (size_t i = 0; scripts && i < ALERT_SCRIPTS_MAX; i++) {
		struct script *script = &scripts->scripts[i];

		if (script->pid == 0)
			continue;
		kill(-script->pid, SIGKILL);
		forget(script);
	}
	free(scripts);
}
