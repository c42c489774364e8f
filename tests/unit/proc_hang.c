/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Preloaded into a program under test: opening `PID/cmdline` waits for as long as the file that PROC_HANG
 * names holds that PID, as reading it would at a process in state D with its memory map locked. */
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int openat(int dir, const char *path, int flags, ...);
int openat64(int dir, const char *path, int flags, ...);

static bool held(const char *path)
{
	const char *name = getenv("PROC_HANG");
	char text[32] = "", wanted[64];
	int fd = name ? (int)syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	snprintf(wanted, sizeof(wanted), "%s/cmdline", text);
	return strcmp(path, wanted) == 0;
}

int openat64(int dir, const char *path, int flags, ...)
{
	va_list arguments;
	int mode;

	va_start(arguments, flags);
	mode = flags & O_CREAT ? va_arg(arguments, int) : 0;
	va_end(arguments);
	while (held(path))
		poll(NULL, 0, 20);
	return (int)syscall(SYS_openat, dir, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	va_list arguments;
	int mode;

	va_start(arguments, flags);
	mode = flags & O_CREAT ? va_arg(arguments, int) : 0;
	va_end(arguments);
	return openat64(dir, path, flags, mode);
}
