/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides what an appliance is, and has its disk copied. The bytes of disks pass through qemu-img, in a
 * process of its own; only an OVA's are unpacked here before. Called by deployment. */
#include "deploy/appliance.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "deploy/appliance_parts.h"
#include "deploy/tool_run.h"
#include "util/cleanup.h"

#define COPY_QUIET_MS 600000
#define UNPACKED_PERCENT 40 /* of an OVA's whole way */
#define TARGET_SIZE 8192

int appliance_why(char ret_why[APPLIANCE_WHY_SIZE], int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(ret_why, APPLIANCE_WHY_SIZE, format, args);
	va_end(args);
	/* It may quote what others wrote, and ends on a terminal. */
	for (unsigned char *c = (unsigned char *)ret_why; *c; c++)
		if (*c < ' ' || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0))
			*c = '?';
	return error;
}

/* Read-only and without waiting for whoever is at the other end of a FIFO. */
static int look_at_file(const char *path, struct stat *ret, char ret_why[APPLIANCE_WHY_SIZE])
{
	_cleanup_close_ int fd = -1;

	if (path[0] != '/')
		return appliance_why(ret_why, -EINVAL, "its path must be absolute");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, ret) < 0)
		return appliance_why(ret_why, -errno, "%.300s: %s", path, strerror(errno));
	if (!S_ISREG(ret->st_mode) && !S_ISBLK(ret->st_mode))
		return appliance_why(ret_why, -EINVAL, "%.300s is neither a file nor a block device", path);
	if (S_ISBLK(ret->st_mode))
		ret->st_size = lseek(fd, 0, SEEK_END);
	return 0;
}

/* `ret_image` is that of a disk or an image, and untouched with an OVA. */
static int look(const char *path, struct appliance *ret, struct image *ret_image,
		char ret_why[APPLIANCE_WHY_SIZE])
{
	struct image image;
	struct stat st;
	int r;

	r = look_at_file(path, &st, ret_why);
	if (r < 0)
		return r;
	if (S_ISBLK(st.st_mode)) {
		/* Never probed: whoever wrote to the disk could have made it look like anything. */
		image = (struct image){.format = APPLIANCE_RAW, .size = (uint64_t)st.st_size};
		r = image_check_raw(path, ret_why);
	} else {
		r = ova_look(path, ret, ret_why);
		if (r != -ENOMSG)
			return r;
		r = image_look(path, 0, false, &image, ret_why);
	}
	if (r < 0)
		return r;
	*ret = (struct appliance){.kind = S_ISBLK(st.st_mode) ? APPLIANCE_DISK : APPLIANCE_IMAGE,
				  .disk_size = image.size};
	*ret_image = image;
	return 0;
}

int appliance_look(const char *path, struct appliance *ret, char ret_why[APPLIANCE_WHY_SIZE])
{
	struct image image;

	assert(path && ret && ret_why);
	return look(path, ret, &image, ret_why);
}

struct copy {
	const struct appliance_import *request;
	unsigned from, said; /* percent */
	char number[16];     /* of "(12.34/100%)" */
	size_t n_number;
};

static int say(struct copy *copy, unsigned percent)
{
	if (percent > copy->said && percent <= 100)
		copy->said = percent;
	return copy->request->progress ? copy->request->progress(copy->said, copy->request->data) : 0;
}

static int unpacked(unsigned percent, void *data)
{
	return say(data, percent * UNPACKED_PERCENT / 100);
}

/* Pieces of "    (12.34/100%)\r" come in any size. */
static int heard(const char *text, size_t size, void *data)
{
	struct copy *copy = data;

	for (size_t i = 0; i < size; i++) {
		if (text[i] == '/' && copy->n_number > 1 && copy->number[0] == '(') {
			double percent;

			copy->number[copy->n_number] = '\0';
			percent = strtod(copy->number + 1, NULL);
			copy->n_number = 0;
			if (percent >= 0 && percent <= 100 &&
			    say(copy, copy->from + (unsigned)(percent * (100 - copy->from) / 100)) != 0)
				return -ECANCELED;
		}
		if (text[i] == '(')
			copy->n_number = 0;
		if (copy->n_number < sizeof(copy->number) - 1)
			copy->number[copy->n_number++] = text[i];
	}
	return say(copy, copy->said);
}

/* A file without a name, open for reading and writing. -errno. */
static int nameless_file(const char *folder)
{
	char name[PATH_MAX];
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd < 0 ? -errno : fd;
	snprintf(name, sizeof(name), "%.4000s/appliance.XXXXXX", folder);
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(name);
	return fd;
}

/* 0 and the disk's file, which is *ret_fd. */
static int unpack(struct copy *copy, const struct appliance *appliance, int *ret_fd,
		  char ret_why[APPLIANCE_WHY_SIZE])
{
	const char *folder = copy->request->folder ? copy->request->folder : "/var/tmp";
	_cleanup_close_ int fd = nameless_file(folder);
	struct statvfs space;
	uint64_t there;
	int r;

	if (fd < 0 || fstatvfs(fd, &space) < 0)
		return appliance_why(ret_why, fd < 0 ? fd : -errno, "%.300s: %s", folder,
				     strerror(fd < 0 ? -fd : errno));
	there = (uint64_t)space.f_bavail * space.f_frsize;
	if (there < appliance->unpacked)
		return appliance_why(ret_why, -ENOSPC,
				     "%.300s has %" PRIu64 " bytes left, the OVA's disk takes %" PRIu64,
				     folder, there, appliance->unpacked);
	r = ova_unpack(copy->request->path, appliance, fd, unpacked, copy, ret_why);
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}

/* What of the target may be written: *ret bytes from the offset. */
static int target_room(const struct appliance_import *request, uint64_t *ret,
		       char ret_why[APPLIANCE_WHY_SIZE])
{
	uint64_t room;
	struct stat st;
	int r;

	r = look_at_file(request->target, &st, ret_why);
	if (r < 0)
		return r;
	room = st.st_size < 0 || (uint64_t)st.st_size < request->offset
		       ? 0
		       : (uint64_t)st.st_size - request->offset;
	if (request->size > room)
		return appliance_why(ret_why, -ENOSPC, "%.300s ends %" PRIu64 " bytes before the disk would",
				     request->target, request->size - room);
	*ret = request->size > 0 ? request->size : room;
	return 0;
}

/* Past the page cache where the target can: a host's memory full of a disk's writes delays sanlock's. */
static const char *cache_of(const char *target)
{
	_cleanup_close_ int fd = open(target, O_WRONLY | O_DIRECT | O_CLOEXEC);

	return fd < 0 ? "writeback" : "none";
}

/* qemu-img's option lists end a value at a comma, and take two for one. */
static void target_options(const struct appliance_import *request, uint64_t room, char ret[TARGET_SIZE])
{
	struct stat st;
	bool block = stat(request->target, &st) == 0 && S_ISBLK(st.st_mode);
	size_t at = (size_t)snprintf(ret, TARGET_SIZE,
				     "driver=raw,offset=%" PRIu64 ",size=%" PRIu64
				     ",file.driver=%s,file.filename=",
				     request->offset, room, block ? "host_device" : "file");

	for (const char *c = request->target; *c && at < TARGET_SIZE - 2; c++) {
		ret[at++] = *c;
		if (*c == ',')
			ret[at++] = *c;
	}
	ret[at] = '\0';
}

static int settle(const char *target, char ret_why[APPLIANCE_WHY_SIZE])
{
	_cleanup_close_ int fd = open(target, O_WRONLY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? appliance_why(ret_why, -errno, "%.300s: %s", target, strerror(errno))
				       : 0;
}

static int check_room(uint64_t size, uint64_t room, char ret_why[APPLIANCE_WHY_SIZE])
{
	return size <= room ? 0
			    : appliance_why(ret_why, -ENOSPC,
					    "the appliance's disk has %" PRIu64
					    " bytes, and the VM's only %" PRIu64,
					    size, room);
}

static int copy_image(struct copy *copy, const char *source, int keep_fd, const struct image *image,
		      uint64_t room, char ret_why[APPLIANCE_WHY_SIZE])
{
	const struct appliance_import *request = copy->request;
	char options[TARGET_SIZE], words[APPLIANCE_WHY_SIZE];
	const char *const args[] = {"qemu-img",
				    "convert",
				    "-p",
				    "-n",
				    "-f",
				    image_format_names[image->format],
				    "-t",
				    cache_of(request->target),
				    "--target-image-opts",
				    source,
				    options,
				    NULL};
	struct tool_run run = {args, COPY_QUIET_MS, keep_fd, heard, copy};
	int r;

	r = check_room(image->size, room, ret_why);
	if (r < 0)
		return r;
	target_options(request, room, options);
	r = tool_run(&run, words, sizeof(words));
	if (r == -EIO && strstr(words, "another process using")) /* QEMU's words on an image lock */
		r = -EBUSY;
	return r < 0 ? appliance_why(ret_why, r, "%s", words) : settle(request->target, ret_why);
}

static int import_ova(struct copy *copy, const struct appliance *appliance, uint64_t room, struct image *ret,
		      char ret_why[APPLIANCE_WHY_SIZE])
{
	_cleanup_close_ int fd = -1;
	char path[40];
	int r;

	/* Before the long way, though the OVF only promises. */
	r = check_room(appliance->disk_size, room, ret_why);
	if (r == 0)
		r = unpack(copy, appliance, &fd, ret_why);
	if (r < 0)
		return r;
	copy->from = UNPACKED_PERCENT;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = image_look(path, fd, true, ret, ret_why);
	return r < 0 ? r : copy_image(copy, path, fd, ret, room, ret_why);
}

int appliance_import(const struct appliance_import *request, uint64_t *ret_size,
		     char ret_why[APPLIANCE_WHY_SIZE])
{
	struct copy copy = {.request = request};
	struct appliance appliance;
	struct image image;
	uint64_t room = 0;
	int r;

	assert(request && request->path && request->target && ret_size && ret_why);
	assert(request->offset % 512 == 0);
	r = look(request->path, &appliance, &image, ret_why);
	if (r == 0)
		r = target_room(request, &room, ret_why);
	if (r == 0 && appliance.kind == APPLIANCE_OVA)
		r = import_ova(&copy, &appliance, room, &image, ret_why);
	else if (r == 0)
		r = copy_image(&copy, request->path, 0, &image, room, ret_why);
	if (r == 0)
		*ret_size = image.size;
	return r;
}
