/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One child process a disk, and a pipe for its answer. It reads and never writes. Called by discovery. */
#include "storage/content_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/fs.h>

#include "util/cleanup.h"
#include "util/clock.h"

struct answer {
	int r;
	char text[CONTENT_TEXT_SIZE];
};

static void look(const char *path, struct answer *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t size;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		ret->r = -errno;
		return;
	}
	size = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, &size) < 0) {
		ret->r = -errno;
		return;
	}
	ret->r = content_of_disk(fd, size, S_ISBLK(st.st_mode) ? 0 : 512, ret->text);
}

int content_child_start(const char *path, struct content_child *ret)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		int error = errno;

		close(ends[0]);
		close(ends[1]);
		return -error;
	}
	if (pid == 0) {
		struct answer answer = {0};

		/* It may stay for ever, and who waits for the end of our output shall not. */
		for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
			if (fd != ends[1])
				close(fd);
		look(path, &answer);
		/* Smaller than a pipe's atomic write: whole or not at all. */
		_exit(write(ends[1], &answer, sizeof(answer)) == (ssize_t)sizeof(answer) ? 0 : 1);
	}
	close(ends[1]);
	*ret = (struct content_child){pid, ends[0]};
	return 0;
}

int content_child_end(struct content_child *child, mono_t deadline, char ret[CONTENT_TEXT_SIZE])
{
	_cleanup_close_ int fd = child->fd;
	struct answer answer = {.r = -ETIMEDOUT};
	mono_t left = deadline - clock_mono();
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	/* An interrupted wait counts as over: nothing here is interrupted but by who wants an end. */
	if (poll(&poll_fd, 1, left > 0 ? (int)left : 0) > 0 &&
	    read(fd, &answer, sizeof(answer)) != (ssize_t)sizeof(answer))
		answer.r = -EIO;
	kill(child->pid, SIGKILL);
	/* One that hangs in the kernel is not waited for. */
	(void)waitpid(child->pid, NULL, answer.r == -ETIMEDOUT ? WNOHANG : 0);
	child->pid = 0;
	if (answer.r >= 0)
		memcpy(ret, answer.text, sizeof(answer.text));
	return answer.r;
}
