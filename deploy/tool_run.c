/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starts a program, hears it, and sees to its end. What it is and what its words mean is the caller's. */
#include "deploy/tool_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/clock.h"

#define HEARD_MS 500
#define GONE_MS 5000
#define ANSWER_MAX (1024 * 1024)
#define STATUS_NO_PROGRAM 127

struct child {
	pid_t pid;
	int pidfd, out, words;
};

static void __attribute__((noreturn)) be_program(const struct tool_run *run, pid_t parent, int out, int words)
{
	int null = open("/dev/null", O_RDONLY);
	sigset_t none;

	/* Safety rule 13's reason: no late writes of a program whose caller is gone. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	setpgid(0, 0); /* ^C is its caller's */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(words, STDERR_FILENO);
	if (run->keep_fd > STDERR_FILENO)
		fcntl(run->keep_fd, F_SETFD, 0);
	setenv("LC_ALL", "C", 1);
	execvp(run->args[0], (char **)run->args);
	_exit(errno == ENOENT ? STATUS_NO_PROGRAM : 1);
}

static int start(const struct tool_run *run, struct child *ret)
{
	pid_t parent = getpid();
	int ends[2], error;

	ret->words = memfd_create("words", MFD_CLOEXEC);
	if (ret->words < 0)
		return -errno;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		error = errno;
		close(ret->words);
		return -error;
	}
	ret->pid = fork();
	if (ret->pid == 0)
		be_program(run, parent, ends[1], ret->words);
	if (ret->pid > 0)
		setpgid(ret->pid, ret->pid); /* the child does it too: whoever comes first */
	close(ends[1]);
	ret->out = ends[0];
	ret->pidfd = ret->pid < 0 ? -1 : pidfd_open(ret->pid, 0);
	if (ret->pidfd >= 0)
		return 0;
	error = errno;
	if (ret->pid > 0) {
		kill(ret->pid, SIGKILL);
		(void)waitpid(ret->pid, NULL, 0);
	}
	close(ret->out);
	close(ret->words);
	return -error;
}

static int tell(const struct tool_run *run, const char *text, size_t size)
{
	return run->heard && run->heard(text, size, run->data) != 0 ? -ECANCELED : 0;
}

/* Until it has closed its stdout, which all programs here keep to their end. */
static int hear(const struct tool_run *run, int out)
{
	mono_t until = clock_mono() + run->quiet_ms;

	for (;;) {
		struct pollfd poll_fd = {.fd = out, .events = POLLIN};
		char text[4096];
		ssize_t n;
		int r;

		if (poll(&poll_fd, 1, HEARD_MS) > 0) {
			n = read(out, text, sizeof(text));
			if (n < 0 && errno != EINTR)
				return -errno;
			if (n == 0)
				return 0;
			r = tell(run, text, n > 0 ? (size_t)n : 0);
			until = clock_mono() + run->quiet_ms;
		} else {
			r = tell(run, NULL, 0);
		}
		if (r < 0)
			return r;
		if (clock_mono() >= until)
			return -ETIMEDOUT;
	}
}

static void last_words(int fd, const char *program, int status, char *ret, size_t size)
{
	char text[2048], *line;
	off_t end = lseek(fd, 0, SEEK_END);
	ssize_t n = pread(fd, text, sizeof(text) - 1, end > 2047 ? end - 2047 : 0);

	text[n > 0 ? n : 0] = '\0';
	for (; n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '); n--)
		text[n - 1] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	if (line[0])
		snprintf(ret, size, "%s", line);
	else if (WIFSIGNALED(status))
		snprintf(ret, size, "%s was ended by signal %d", program, WTERMSIG(status));
	else
		snprintf(ret, size, "%s failed, exit status %d", program, WEXITSTATUS(status));
}

/* 0 and *ret_status, or -ETIMEDOUT: it hangs in the kernel. */
static int reap(const struct child *child, int wait_ms, int *ret_status)
{
	struct pollfd poll_fd = {.fd = child->pidfd, .events = POLLIN};
	mono_t until = clock_mono() + wait_ms;

	while (poll(&poll_fd, 1, HEARD_MS) <= 0)
		if (clock_mono() >= until)
			return -ETIMEDOUT;
	return waitpid(child->pid, ret_status, 0) == child->pid ? 0 : -errno;
}

int tool_run(const struct tool_run *run, char *ret_why, size_t why_size)
{
	struct child child;
	int status = 0, r, gone;

	r = start(run, &child);
	if (r < 0) {
		snprintf(ret_why, why_size, "%s can't be started: %s", run->args[0], strerror(-r));
		return r;
	}
	r = hear(run, child.out);
	if (r < 0)
		kill(-child.pid, SIGKILL);
	gone = reap(&child, r < 0 ? GONE_MS : (int)run->quiet_ms, &status);
	if (gone < 0 && r == 0) {
		r = gone;
		kill(-child.pid, SIGKILL);
		(void)reap(&child, GONE_MS, &status);
	}
	if (r == -ETIMEDOUT)
		snprintf(ret_why, why_size, "%s said nothing for %d s and was ended", run->args[0],
			 (int)(run->quiet_ms / 1000));
	else if (r == -ECANCELED)
		snprintf(ret_why, why_size, "%s was ended as asked", run->args[0]);
	else if (r < 0)
		snprintf(ret_why, why_size, "%s: %s", run->args[0], strerror(-r));
	else if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_NO_PROGRAM)
		r = -ENOSYS;
	else if (status != 0)
		r = -EIO;
	if (r == -ENOSYS)
		snprintf(ret_why, why_size, "there is no %s here: install it", run->args[0]);
	if (r == -EIO && status != 0)
		last_words(child.words, run->args[0], status, ret_why, why_size);
	close(child.pidfd);
	close(child.out);
	close(child.words);
	return r;
}

struct answer {
	FILE *to;
	size_t size;
};

static int take(const char *text, size_t size, void *data)
{
	struct answer *answer = data;

	answer->size += size;
	if (answer->size > ANSWER_MAX)
		return -EFBIG;
	if (size > 0)
		fwrite(text, 1, size, answer->to);
	return 0;
}

int tool_ask(const char *const *args, int64_t quiet_ms, int keep_fd, char **ret, char *ret_why,
	     size_t why_size)
{
	_cleanup_free_ char *text = NULL;
	struct answer answer = {0};
	struct tool_run run = {args, quiet_ms, keep_fd, take, &answer};
	size_t size;
	int r;

	answer.to = open_memstream(&text, &size);
	r = answer.to ? tool_run(&run, ret_why, why_size) : -ENOMEM;
	if (answer.to && fclose(answer.to) != 0 && r == 0)
		r = -ENOMEM;
	if (r == -ENOMEM)
		snprintf(ret_why, why_size, "%s: %s", args[0], strerror(ENOMEM));
	if (answer.size > ANSWER_MAX) {
		snprintf(ret_why, why_size, "%s said more than %d bytes", args[0], ANSWER_MAX);
		return -EFBIG;
	}
	if (r == 0)
		*ret = TAKE_PTR(text);
	return r;
}
