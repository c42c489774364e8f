/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Replaces a file by renaming a whole new one over it. Decides nothing of its content. Called by whoever
 * keeps files on this host. */
#include "util/file_replace.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"

static int write_all(int fd, const char *data, size_t size)
{
	for (size_t at = 0; at < size;) {
		ssize_t n = write(fd, data + at, size - at);

		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? (size_t)n : 0;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* What is not a file stays: /dev/null, with one in its place, is none any more. */
static int check_kind(const struct stat *st)
{
	return S_ISREG(st->st_mode) ? 0 : S_ISDIR(st->st_mode) ? -EISDIR : -EINVAL;
}

/* `old`: whose owner and mode the new one gets; NULL: the writer's, and `mode`. */
static int replace(const char *target, const struct stat *old, const void *data, size_t size, mode_t mode)
{
	char folder[PATH_MAX], temporary[PATH_MAX + 16];
	_cleanup_close_ int fd = -1, folder_fd = -1;
	size_t length = strlen(target);
	int r;

	if (length >= sizeof(folder))
		return -ENAMETOOLONG;
	memcpy(folder, target, length + 1);
	memcpy(temporary, target, length);
	strcpy(temporary + length, ".XXXXXX");
	folder_fd = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder_fd < 0)
		return -errno;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* The owner may not be ours to give: then the file is the writer's, with the same mode. */
	if (old && fchown(fd, old->st_uid, old->st_gid) < 0 && errno != EPERM)
		r = -errno;
	else
		r = fchmod(fd, old ? old->st_mode & 07777 : mode) < 0 ? -errno : write_all(fd, data, size);
	if (r == 0 && rename(temporary, target) < 0)
		r = -errno;
	if (r < 0) {
		unlink(temporary);
		return r;
	}
	return fsync(folder_fd) < 0 ? -errno : 0;
}

int file_replace(const char *path, const void *data, size_t size, mode_t mode)
{
	char target[PATH_MAX];
	bool exists, followed;
	struct stat st;
	int r;

	followed = realpath(path, target);
	if (!followed && errno != ENOENT)
		return -errno;
	exists = stat(followed ? target : path, &st) == 0;
	r = exists ? check_kind(&st) : 0;
	return r < 0 ? r : replace(followed ? target : path, exists ? &st : NULL, data, size, mode);
}

int file_replace_private(const char *path, const void *data, size_t size)
{
	struct stat st;
	int r = lstat(path, &st) == 0 ? check_kind(&st) : 0;

	return r < 0 ? r : replace(path, NULL, data, size, 0600);
}
