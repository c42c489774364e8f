/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A trial in a process of its own: what a daemon's assertion, or a loop without end, does to it is its
 * result. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/sim_trial.h"

static void child(const struct schedule *schedule, unsigned limit_s, enum trial_log log, bool whole, int out)
{
	const struct itimerval limit = {.it_value.tv_sec = limit_s};
	struct rlimit none = {0, 0};
	struct trial trial = {0};

	setrlimit(RLIMIT_CORE, &none);
	setitimer(ITIMER_PROF, &limit, NULL);
	if (log != TRIAL_LOUD && !freopen("/dev/null", "we", stderr))
		_exit(3);
	trial_run(schedule, log, whole, &trial);
	if (write(out, &trial, sizeof(trial)) != (ssize_t)sizeof(trial))
		_exit(3);
	fflush(stdout);
	fflush(stderr);
	_exit(0);
}

static bool read_all(int in, void *into, size_t size)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = read(in, (char *)into + have, size - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		have += (size_t)n;
	}
	return true;
}

void trial_run_apart(const struct schedule *schedule, unsigned limit_s, enum trial_log log, bool whole,
		     struct trial *ret)
{
	int ends[2], status = 0;
	bool ended;
	pid_t pid;

	memset(ret, 0, sizeof(*ret));
	fflush(stdout);
	if (pipe(ends) < 0 || (pid = fork()) < 0) {
		perror("fork");
		exit(3);
	}
	if (pid == 0) {
		close(ends[0]);
		child(schedule, limit_s, log, whole, ends[1]);
	}
	close(ends[1]);
	ended = read_all(ends[0], ret, sizeof(*ret));
	close(ends[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (ended)
		return;
	memset(ret, 0, sizeof(*ret));
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF) {
		strcpy(ret->failed, "endless");
		snprintf(ret->text, sizeof(ret->text), "not done in %u s of the processor", limit_s);
	} else {
		strcpy(ret->failed, "assertion");
		snprintf(ret->text, sizeof(ret->text), "ended by signal %d, status %d; --loud tells more",
			 WIFSIGNALED(status) ? WTERMSIG(status) : 0,
			 WIFEXITED(status) ? WEXITSTATUS(status) : 0);
	}
}
