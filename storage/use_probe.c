/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looks through the descriptors of all processes and through the loop devices. It opens nothing that may
 * hang: a file is asked about only where its number says that it may be ours. Called by what formats domains.
 */
#include "storage/use_probe.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "util/cleanup.h"

CLEANUP_DEFINE(DIR *, closedir)

static bool put(char ret[CONTENT_TEXT_SIZE], const char *name, const char *number)
{
	snprintf(ret, CONTENT_TEXT_SIZE, "%.60s%s%.20s%s", name, number[0] ? " (process " : "", number,
		 number[0] ? ")" : "");
	for (char *at = ret; *at; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	return true;
}

/* The bytes of a small file, "" when it can't be read. */
static void take_text(int folder, const char *path, char *ret, size_t size)
{
	_cleanup_close_ int fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, ret, size - 1);

	ret[n > 0 ? n : 0] = '\0';
}

/* A partition of the disk, or the disk. */
static bool of_disk(dev_t device, dev_t disk)
{
	char path[80], text[32], wanted[32];

	if (device == disk)
		return true;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition", major(device), minor(device));
	if (access(path, F_OK) < 0)
		return false;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev", major(device), minor(device));
	take_text(AT_FDCWD, path, text, sizeof(text));
	snprintf(wanted, sizeof(wanted), "%u:%u\n", major(disk), minor(disk));
	return strcmp(text, wanted) == 0;
}

/* Whoever only reads is not harmed: services look at disks all the time. */
static bool writes(int process, const char *number, const struct stat *file)
{
	char path[300], info[1024], link[8];
	const char *flags, *inode;
	struct stat st;

	snprintf(path, sizeof(path), "fdinfo/%s", number);
	take_text(process, path, info, sizeof(info));
	flags = strstr(info, "flags:");
	if (!flags || (strtoul(flags + 6, NULL, 8) & O_ACCMODE) == O_RDONLY)
		return false;
	snprintf(path, sizeof(path), "fd/%s", number);
	if (S_ISBLK(file->st_mode)) {
		if (readlinkat(process, path, link, sizeof(link)) < 5 || memcmp(link, "/dev/", 5) != 0)
			return false;
		return fstatat(process, path, &st, 0) == 0 && S_ISBLK(st.st_mode) &&
		       of_disk(st.st_rdev, file->st_rdev);
	}
	inode = strstr(info, "\nino:"); /* older kernels don't say */
	if (inode && strtoull(inode + 5, NULL, 10) != file->st_ino)
		return false;
	return fstatat(process, path, &st, 0) == 0 && st.st_dev == file->st_dev && st.st_ino == file->st_ino;
}

static bool process_writes(int proc, const char *number, const struct stat *file, char ret[CONTENT_TEXT_SIZE])
{
	_cleanup_close_ int process = openat(proc, number, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fds = process < 0 ? -1 : openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedir_p) DIR *list = fds < 0 ? NULL : fdopendir(fds);
	const struct dirent *entry;
	char name[64];

	if (!list && fds >= 0)
		close(fds);
	while (list && (entry = readdir(list))) {
		if (!isdigit((unsigned char)entry->d_name[0]) || !writes(process, entry->d_name, file))
			continue;
		take_text(process, "comm", name, sizeof(name));
		name[strcspn(name, "\n")] = '\0';
		return put(ret, name, number);
	}
	return false;
}

static bool loop_lies_on(const char *name, const struct stat *file, char ret[CONTENT_TEXT_SIZE])
{
	char path[300];
	struct loop_info64 info;
	_cleanup_close_ int fd = -1;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
		return false;
	if (S_ISBLK(file->st_mode) ? !of_disk(info.lo_rdevice, file->st_rdev)
				   : info.lo_device != file->st_dev || info.lo_inode != file->st_ino)
		return false;
	return put(ret, path, "");
}

int use_find(const struct stat *file, char ret[CONTENT_TEXT_SIZE])
{
	_cleanup_(closedir_p) DIR *disks = opendir("/sys/block"), *proc = opendir("/proc");
	const struct dirent *entry;

	while (disks && (entry = readdir(disks)))
		if (strncmp(entry->d_name, "loop", 4) == 0 && loop_lies_on(entry->d_name, file, ret))
			return 1;
	while (proc && (entry = readdir(proc)))
		if (isdigit((unsigned char)entry->d_name[0]) && atoi(entry->d_name) != getpid() &&
		    process_writes(dirfd(proc), entry->d_name, file, ret))
			return 1;
	return 0;
}
