/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tells filesystems, volume groups and disks apart by what the kernel says of them in sysfs and in the list
 * of mounts. Opens no device and reads nothing of the storage but the inode. Decides nothing: who may join or
 * start is the caller's. */
#include "metadata/backing.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "util/cleanup.h"

#define LVM_PREFIX "LVM-"
#define LVM_ID 32 /* characters of the volume group's id; the volume's own follows */
#define MULTIPATH_PREFIX "mpath-"

const struct backing_sources backing_machine = {.sys = "/sys", .mountinfo = "/proc/self/mountinfo"};

/* The first line of a small file, without its end. */
static bool read_line(const char *path, char *ret, size_t size)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");

	if (!file || !fgets(ret, (int)size, file))
		return false;
	ret[strcspn(ret, "\n")] = '\0';
	return ret[0] != '\0';
}

/* `what` is shown in STATUS= and in logs. */
static void printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

void backing_of_files(const struct backing_sources *from, dev_t device, ino_t inode, struct backing *ret)
{
	_cleanup_fclose_ FILE *mounts = fopen(from->mountinfo, "re");
	char line[4096];

	*ret = (struct backing){.kind = BACKING_FILES, .device = device, .inode = inode};
	snprintf(ret->what, sizeof(ret->what), "a filesystem of device number %u:%u", major(device),
		 minor(device));
	while (mounts && fgets(line, sizeof(line), mounts)) {
		const char *fields = strstr(line, " - "), *path;
		char type[32], source[128];
		unsigned first, second;

		if (!fields || sscanf(line, "%*u %*u %u:%u ", &first, &second) != 2 ||
		    makedev(first, second) != device || sscanf(fields + 3, "%31s %127s", type, source) != 2)
			continue;
		snprintf(ret->what, sizeof(ret->what), "%s %s", type, source);
		/* One number is one filesystem where a device or memory carries it. A userspace storage
		 * daemon mounts each of its exports, all of one storage, and so does a server of
		 * "//server/x"; layers of an overlay and subvolumes have numbers of their own, which are not
		 * listed here. */
		ret->network = strncmp(type, "nfs", 3) == 0;
		ret->certain = strncmp(type, "fuse", 4) != 0 && ((source[0] == '/' && source[1] != '/') ||
								 strcmp(type, "tmpfs") == 0 || ret->network);
		/* One export has another number each time it is mounted with other options, and one server
		 * many names. */
		path = strstr(source, ":/");
		if (ret->network)
			snprintf(ret->id, sizeof(ret->id), "%s", path ? path + 1 : source);
		break;
	}
	printable(ret->what);
}

static void of_mapper(const char *uuid, struct backing *ret)
{
	const char *multipath = strstr(uuid, MULTIPATH_PREFIX);

	if (strncmp(uuid, LVM_PREFIX, strlen(LVM_PREFIX)) == 0 &&
	    strlen(uuid) > strlen(LVM_PREFIX) + LVM_ID) {
		ret->kind = BACKING_VOLUME_GROUP;
		snprintf(ret->id, sizeof(ret->id), "%.*s", LVM_ID, uuid + strlen(LVM_PREFIX));
		snprintf(ret->what, sizeof(ret->what), "the volume group with id %s", ret->id);
	} else if (multipath && (multipath == uuid || strncmp(uuid, "part", 4) == 0)) {
		ret->kind = BACKING_MULTIPATH;
		snprintf(ret->id, sizeof(ret->id), "%s", multipath + strlen(MULTIPATH_PREFIX));
		snprintf(ret->what, sizeof(ret->what), "the multipath disk %.100s", ret->id);
	} else {
		snprintf(ret->what, sizeof(ret->what), "a mapped device %.100s", uuid);
	}
	ret->certain = ret->kind != BACKING_UNKNOWN;
}

static void of_disk(char *folder, struct backing *ret)
{
	char path[PATH_MAX], number[16], *name;

	snprintf(path, sizeof(path), "%.4000s/partition", folder);
	if (read_line(path, number, sizeof(number)))
		*strrchr(folder, '/') = '\0'; /* its disk's */
	name = strrchr(folder, '/') + 1;
	ret->kind = BACKING_DISK;
	snprintf(ret->disk, sizeof(ret->disk), "%.32s", name);
	/* SCSI has it with the device, NVMe beside it. Without one the kernel's name does: two disks may be
	 * two ways to one. */
	snprintf(path, sizeof(path), "%.4000s/device/wwid", folder);
	ret->certain = read_line(path, ret->id, sizeof(ret->id));
	snprintf(path, sizeof(path), "%.4000s/wwid", folder);
	if (!ret->certain)
		ret->certain = read_line(path, ret->id, sizeof(ret->id));
	if (!ret->certain)
		snprintf(ret->id, sizeof(ret->id), "%.32s", name);
	snprintf(ret->what, sizeof(ret->what), "the disk %.32s%s%.100s", name,
		 ret->certain ? " with id " : "", ret->certain ? ret->id : "");
}

void backing_of_device(const struct backing_sources *from, dev_t device, struct backing *ret)
{
	char path[PATH_MAX], folder[PATH_MAX], text[PATH_MAX];
	struct stat st;

	*ret = (struct backing){.device = device};
	snprintf(ret->what, sizeof(ret->what), "a block device %u:%u that is not known", major(device),
		 minor(device));
	snprintf(path, sizeof(path), "%s/dev/block/%u:%u", from->sys, major(device), minor(device));
	if (!realpath(path, folder))
		return;
	snprintf(path, sizeof(path), "%.4000s/dm/uuid", folder);
	if (read_line(path, text, sizeof(text))) {
		of_mapper(text, ret);
		printable(ret->what);
		return;
	}
	snprintf(path, sizeof(path), "%.4000s/loop/backing_file", folder);
	if (read_line(path, text, sizeof(text))) {
		/* The path is as the kernel sees it: in a container it may not lead there. */
		if (stat(text, &st) == 0 && S_ISREG(st.st_mode))
			backing_of_files(from, st.st_dev, st.st_ino, ret);
		else
			snprintf(ret->what, sizeof(ret->what), "a loop device of %.100s", text);
		printable(ret->what);
		return;
	}
	of_disk(folder, ret);
	printable(ret->what);
}

void backing_find(const struct backing_sources *from, const char *path, struct backing *ret)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		*ret = (struct backing){.kind = BACKING_UNKNOWN, .error = -errno};
		snprintf(ret->what, sizeof(ret->what), "unknown: %s", strerror(-ret->error));
	} else if (S_ISREG(st.st_mode)) {
		backing_of_files(from, st.st_dev, st.st_ino, ret);
	} else if (S_ISBLK(st.st_mode)) {
		backing_of_device(from, st.st_rdev, ret);
	} else {
		*ret = (struct backing){.kind = BACKING_UNKNOWN};
		snprintf(ret->what, sizeof(ret->what), "neither a file nor a block device");
	}
}

/* A file of NFS has its bytes on no device of this host, and a volume or a disk with an id on no NFS. */
static bool network_against_device(const struct backing *files, const struct backing *device)
{
	return files->kind == BACKING_FILES && files->network && device->kind != BACKING_FILES &&
	       device->certain;
}

enum backing_match backing_compare(const struct backing *a, const struct backing *b)
{
	if (a->kind == BACKING_UNKNOWN || b->kind == BACKING_UNKNOWN)
		return BACKING_UNSURE;
	if (a->kind != b->kind)
		return network_against_device(a, b) || network_against_device(b, a) ? BACKING_OTHER
										    : BACKING_UNSURE;
	if (a->kind == BACKING_FILES) {
		if (a->device == b->device)
			return BACKING_SAME;
		if (a->network && b->network && strcmp(a->id, b->id) == 0)
			return BACKING_UNSURE;
	} else if (strcmp(a->id, b->id) == 0) {
		return BACKING_SAME;
	}
	return a->certain && b->certain ? BACKING_OTHER : BACKING_UNSURE;
}

enum backing_match backing_same(const struct backing *a, const struct backing *b)
{
	if (a->device == 0 || b->device == 0)
		return BACKING_UNSURE;
	if (a->device == b->device && a->inode == b->inode)
		return BACKING_SAME;
	/* A disk with two ways to it and no multipath has two names, and so has each partition of it. */
	if (a->kind == BACKING_DISK && b->kind == BACKING_DISK && strcmp(a->id, b->id) == 0 &&
	    strcmp(a->disk, b->disk) != 0)
		return BACKING_UNSURE;
	/* Two partitions of one disk are two. */
	return backing_compare(a, b) == BACKING_UNSURE ? BACKING_UNSURE : BACKING_OTHER;
}
