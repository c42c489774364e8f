/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stand-ins for QEMU. They hold nothing and end with the test. Called by the tests of /proc and of the
 * guard. */
#include "tests/unit/qemu_stand_in.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROLE "OVIRT_HA_TEST_STAND_IN"

static void *live(void *data)
{
	for (;;)
		pause();
	return data;
}

void stand_in_main(void)
{
	const char *role = getenv(ROLE);
	pthread_t thread;

	if (!role)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (role[0] == 'l') {
		if (pthread_create(&thread, NULL, live, NULL) == 0)
			pthread_exit(NULL);
		_exit(1);
	}
	live(NULL);
}

pid_t stand_in_start(const char *const argv[], bool leaderless)
{
	int fds[2];
	char byte;
	pid_t pid;

	int r = pipe2(fds, O_CLOEXEC);
	assert(r == 0);
	pid = fork();
	assert(pid >= 0);
	if (pid == 0) {
		setenv(ROLE, leaderless ? "leaderless" : "plain", 1);
		execv("/proc/self/exe", (char *const *)argv);
		_exit(127);
	}
	close(fds[1]);
	/* The pipe closes when exec has happened. */
	while (read(fds[0], &byte, 1) < 0)
		assert(errno == EINTR);
	close(fds[0]);
	return pid;
}

bool stand_in_gone(void *data)
{
	return waitpid(*(pid_t *)data, NULL, WNOHANG) != 0;
}

void stand_in_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

void stand_in_uuid(char uuid[37])
{
	snprintf(uuid, 37, "0fa57e57-0000-4000-8000-%012x", (unsigned)getpid());
}

void stand_in_hide_proc(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/proc", "tmpfs", 0, NULL) < 0)
		_exit(99);
}
