/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starts and ends the tests' own sanlock daemon. It may touch nothing outside its temporary directory, and
 * signals no process that it did not start. Called by the unit tests of lockspace/ and of the guard. */
#include "tests/unit/sanlock_domain.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/clock.h"

bool domain_wait(bool (*check)(void *data), void *data, int ms)
{
	mono_t deadline = clock_mono() + ms;

	while (!check(data)) {
		if (clock_mono() >= deadline)
			return false;
		poll(NULL, 0, 10);
	}
	return true;
}

pid_t domain_spawn(struct sanlock_domain *domain, const char *const argv[])
{
	pid_t parent = getpid(), pid = fork();

	assert(pid >= 0);
	if (pid > 0)
		return pid;
	char log[128];
	int fd, null = open("/dev/null", O_RDONLY);

	snprintf(log, sizeof(log), "%s/log", domain->dir);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || fd < 0 || null < 0)
		_exit(126);
	dup2(null, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	execvp(argv[0], (char *const *)argv);
	_exit(127);
}

int domain_run(struct sanlock_domain *domain, const char *const argv[])
{
	pid_t pid = domain_spawn(domain, argv);
	int status;

	while (waitpid(pid, &status, 0) < 0)
		assert(errno == EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void init(struct sanlock_domain *domain, const char *option, const char *name, size_t offset)
{
	char place[256];
	const char *argv[] = {"sanlock", "direct", "init", option, place, "-o", "1", NULL};

	snprintf(place, sizeof(place), "%s:%s:%zu", name, domain->disk, offset);
	int r = domain_run(domain, argv);
	assert(r == 0);
}

void domain_open(struct sanlock_domain *domain)
{
	static char dir[sizeof(domain->dir)];
	int fd, r;

	/* libsanlock reads SANLOCK_RUN_DIR once in a process's life: each test gets the same directory, made
	 * anew. */
	if (dir[0]) {
		r = mkdir(dir, 0700);
		assert(r == 0);
	} else {
		strcpy(dir, "/tmp/ovirt-ha-test-XXXXXX");
		char *made = mkdtemp(dir);
		assert(made);
	}
	*domain = (struct sanlock_domain){0};
	strcpy(domain->dir, dir);
	snprintf(domain->disk, sizeof(domain->disk), "%s/disk", domain->dir);
	fd = open(domain->disk, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert(fd >= 0);
	r = ftruncate(fd, 8 * DOMAIN_MIB);
	assert(r == 0);
	close(fd);
	setenv("SANLOCK_PRIVILEGED", "0", 1);
	setenv("SANLOCK_RUN_DIR", domain->dir, 1);
	init(domain, "-s", "LS:0", 0);
	init(domain, "-r", "LS:engine", DOMAIN_ENGINE_OFFSET);
	init(domain, "-r", "LS:whiteboard", DOMAIN_WHITEBOARD_OFFSET);
	init(domain, "-r", "LS:conf", 3 * DOMAIN_MIB);
}

static bool answers(void *data)
{
	struct sanlock_domain *domain = data;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/sanlock.sock", domain->dir);
	r = connect(fd, (struct sockaddr *)&address, sizeof(address));
	close(fd);
	return r == 0;
}

void domain_start(struct sanlock_domain *domain)
{
	const char *argv[] = {"sanlock", "daemon", "-D",   "-w", "0",	 "-h", "0",	   "-l",
			      "0",	 "-U",	   "root", "-G", "root", "-e", "testhost", NULL};

	domain->daemon = domain_spawn(domain, argv);
	bool up = domain_wait(answers, domain, 10000);
	assert(up);
}

void domain_signal(struct sanlock_domain *domain, int number)
{
	assert(domain->daemon > 0);
	kill(domain->daemon, number);
}

void domain_kill(struct sanlock_domain *domain)
{
	domain_signal(domain, SIGKILL);
	while (waitpid(domain->daemon, NULL, 0) < 0)
		assert(errno == EINTR);
	domain->daemon = 0;
}

void domain_join(struct sanlock_domain *domain)
{
	char place[256];
	const char *argv[] = {"sanlock", "client", "add_lockspace", "-s", place, "-o", "1", NULL};

	snprintf(place, sizeof(place), "LS:1:%s:0", domain->disk);
	int r = domain_run(domain, argv);
	assert(r == 0);
}

void domain_close(struct sanlock_domain *domain)
{
	const char *argv[] = {"rm", "-rf", domain->dir, NULL};

	if (domain->daemon)
		domain_kill(domain);
	domain_run(domain, argv);
}
