/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A domain in a folder: five files. Decides the order of writes: the whiteboard gets its name last, when all
 * is on storage, so a folder without it is no domain. It removes nothing but files of the domain's own names.
 * Called by domain.c. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "storage/content_probe.h"
#include "storage/domain_parts.h"
#include "storage/use_probe.h"
#include "util/cleanup.h"

#define UNNAMED "metadata.new"

struct folder {
	const struct domain_request *request;
	int fd;
	bool made[AREA_COUNT]; /* files that a failure removes again */
	struct domain_layout layout;
};

/* The name while it is written. */
static const char *name_of(enum domain_area area)
{
	return area == AREA_METADATA ? UNNAMED : domain_area_names[area];
}

/* This thread's uid and gid towards filesystems. */
static void act_as(uid_t uid, gid_t gid)
{
	setfsgid(gid);
	setfsuid(uid);
}

/* 1: a direct write of `size` bytes works; 0: the sectors are larger. */
static int try_sector(int fd, size_t size)
{
	_cleanup_free_ void *zeros = aligned_alloc(4096, 4096);
	ssize_t n;

	if (!zeros)
		return -ENOMEM;
	memset(zeros, 0, 4096);
	n = pwrite(fd, zeros, size, 0);
	if (n < 0)
		return errno == EINVAL ? 0 : -errno;
	return n == (ssize_t)size ? 1 : -ENOSPC;
}

/* sanlock writes past the page cache, with sectors as small as the storage takes. Asked on a file of its own.
 */
static int find_sectors(int folder, unsigned *ret)
{
	_cleanup_close_ int fd =
		openat(folder, UNNAMED, O_RDWR | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
	int r;

	if (fd < 0) {
		r = -errno;
		if (r == -EINVAL)
			unlinkat(folder, UNNAMED, 0); /* some filesystems make it first, and then refuse */
		return r == -EINVAL ? -EOPNOTSUPP : r;
	}
	*ret = 512;
	r = try_sector(fd, 512);
	if (r == 0) {
		*ret = 4096;
		r = try_sector(fd, 4096);
	}
	unlinkat(folder, UNNAMED, 0);
	return r == 0 ? -EOPNOTSUPP : r < 0 ? r : 0;
}

static int check_space(const struct folder *folder, char ret_why[DOMAIN_WHY_SIZE])
{
	uint64_t needed = 0, there;
	struct statvfs st;
	struct stat old;

	if (fstatvfs(folder->fd, &st) < 0)
		return domain_why(ret_why, -errno, "%.200s: %s", folder->request->path, strerror(errno));
	there = (uint64_t)st.f_bavail * st.f_frsize;
	for (int i = 0; i < AREA_COUNT; i++) {
		needed += folder->layout.areas[i].size;
		if (folder->request->force &&
		    fstatat(folder->fd, domain_area_names[i], &old, AT_SYMLINK_NOFOLLOW) == 0)
			there += (uint64_t)old.st_blocks * 512; /* goes first */
	}
	if (needed > there)
		return domain_why(ret_why, -ENOSPC,
				  "%.200s has %" PRIu64 " bytes left, the domain takes %" PRIu64,
				  folder->request->path, there, needed);
	return 0;
}

/* Forced or not: who has a file of the old domain goes on writing into what is gone. */
static int refuse_use(const struct folder *folder, char ret_why[DOMAIN_WHY_SIZE])
{
	char user[CONTENT_TEXT_SIZE];
	struct stat st;

	for (int i = 0; i < AREA_COUNT; i++)
		if (fstatat(folder->fd, domain_area_names[i], &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode) && use_find(&st, user) > 0)
			return domain_why(ret_why, -EBUSY, "%.200s/%s is in use on this host by %s",
					  folder->request->path, domain_area_names[i], user);
	return 0;
}

/* The old domain ends here, durably, before anything of it is replaced. What is not of a domain's kind is
 * seen before: a folder of one of the names would stop it in the middle. */
static int remove_old(const struct folder *folder)
{
	static const char *const first[] = {"metadata", UNNAMED};
	struct stat st;

	for (int i = 0; i < AREA_COUNT; i++)
		if (fstatat(folder->fd, domain_area_names[i], &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISDIR(st.st_mode))
			return -EISDIR;
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
		if (unlinkat(folder->fd, first[i], 0) < 0 && errno != ENOENT)
			return -errno;
	if (fsync(folder->fd) < 0)
		return -errno;
	for (int i = 0; i < AREA_COUNT; i++)
		if (unlinkat(folder->fd, name_of(i), 0) < 0 && errno != ENOENT)
			return -errno;
	return 0;
}

/* The VM's disk has holes, as its guest will leave them; all else is written in full, so that a full storage
 * shows now and not when a host id is to be renewed. */
static int make_file(struct folder *folder, enum domain_area area)
{
	_cleanup_close_ int fd =
		openat(folder->fd, name_of(area), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, DOMAIN_FILE_MODE);
	uint64_t size = folder->layout.areas[area].size;
	const struct domain_request *request = folder->request;
	struct stat st;
	int r = 0;

	if (fd < 0)
		return -errno;
	folder->made[area] = true;
	if (area != AREA_DISK)
		r = area_clear(fd, 0, size);
	else if (ftruncate(fd, (off_t)size) < 0)
		r = -errno;
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0 || fchmod(fd, DOMAIN_FILE_MODE) < 0)
		return -errno;
	if ((st.st_uid != request->uid || st.st_gid != request->gid) &&
	    fchown(fd, request->uid, request->gid) < 0)
		return -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

/* One that was just made. */
static int reopen(const struct folder *folder, enum domain_area area)
{
	int fd = openat(folder->fd, name_of(area), O_RDWR | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int put_leases(const struct folder *folder)
{
	_cleanup_close_ int lockspace = reopen(folder, AREA_LOCKSPACE), leases = reopen(folder, AREA_LEASES);

	if (lockspace < 0 || leases < 0)
		return lockspace < 0 ? lockspace : leases;
	return area_put_leases(lockspace, leases, &folder->layout, folder->request);
}

static int put_identity(const struct folder *folder)
{
	_cleanup_close_ int fd = reopen(folder, AREA_METADATA);
	int r;

	if (fd < 0)
		return fd;
	r = area_put_identity(fd, 0, &folder->request->identity);
	return r < 0 ? r : fsync(fd) < 0 ? -errno : 0;
}

static int put_all(struct folder *folder)
{
	int r = folder->request->force ? remove_old(folder) : 0;

	for (int i = 0; r == 0 && i < AREA_COUNT; i++)
		r = make_file(folder, i);
	if (r < 0)
		return r;
	r = put_leases(folder);
	if (r == 0)
		r = put_identity(folder);
	if (r == 0 && fsync(folder->fd) < 0)
		r = -errno;
	/* From here on it is a domain. */
	if (r == 0 && renameat(folder->fd, UNNAMED, folder->fd, domain_area_names[AREA_METADATA]) < 0)
		r = -errno;
	if (r == 0) {
		folder->made[AREA_METADATA] = false;
		if (fsync(folder->fd) < 0)
			r = -errno;
	}
	if (r < 0 && !folder->made[AREA_METADATA])
		unlinkat(folder->fd, domain_area_names[AREA_METADATA], 0);
	return r;
}

static int format_here(const struct domain_request *request, char ret_why[DOMAIN_WHY_SIZE])
{
	_cleanup_close_ int fd = open(request->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct folder at = {.request = request, .fd = fd}, *folder = &at;
	char text[CONTENT_TEXT_SIZE];
	unsigned sector_size = 0;
	int r;

	if (fd < 0)
		return domain_why(ret_why, -errno, "%.200s: %s", request->path, strerror(errno));
	r = content_of_folder(folder->fd, text);
	if (r < 0)
		return domain_why(ret_why, r, "%.200s: %s", request->path, strerror(-r));
	if (r > 0 && !request->force)
		return domain_why(ret_why, -EEXIST, "%.200s holds %s", request->path, text);
	r = refuse_use(folder, ret_why);
	if (r < 0)
		return r;
	if (request->force && unlinkat(folder->fd, UNNAMED, 0) < 0 && errno != ENOENT)
		return domain_why(ret_why, -errno, "%.200s: %s", request->path, strerror(errno));
	r = find_sectors(folder->fd, &sector_size);
	if (r == -EOPNOTSUPP)
		return domain_why(ret_why, r,
				  "%.200s: its filesystem has no direct I/O in sectors of 512 or "
				  "4096 bytes, which sanlock needs",
				  request->path);
	if (r < 0)
		return domain_why(ret_why, r, "%.200s can't be written: %s", request->path, strerror(-r));
	if (domain_layout_files(sector_size, request->disk_size, &folder->layout) < 0)
		return domain_why(ret_why, -EINVAL, "the size of the VM's disk is missing or too large");
	r = check_space(folder, ret_why);
	if (r < 0)
		return r;
	r = put_all(folder);
	if (r < 0) {
		for (int i = 0; i < AREA_COUNT; i++)
			if (folder->made[i])
				unlinkat(folder->fd, name_of(i), 0);
		return domain_why(ret_why, r, "%.200s could not be written: %s", request->path, strerror(-r));
	}
	return 0;
}

/* A share that lets root in as nobody belongs to the files' owner: it is written as that one. */
static int as_owner(const struct domain_request *request,
		    int (*call)(const struct domain_request *request, char ret_why[DOMAIN_WHY_SIZE]),
		    char ret_why[DOMAIN_WHY_SIZE])
{
	struct stat st;
	int r;

	if (stat(request->path, &st) < 0)
		return domain_why(ret_why, -errno, "%.200s: %s", request->path, strerror(errno));
	if (geteuid() != 0 || st.st_uid != request->uid || st.st_uid == 0)
		return call(request, ret_why);
	act_as(request->uid, request->gid);
	r = call(request, ret_why);
	act_as(geteuid(), getegid());
	return r;
}

static int files_format(const struct domain_request *request, char ret_why[DOMAIN_WHY_SIZE])
{
	return as_owner(request, format_here, ret_why);
}

static int vacant_here(const struct domain_request *request, char ret_why[DOMAIN_WHY_SIZE])
{
	_cleanup_close_ int fd = open(request->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char text[CONTENT_TEXT_SIZE];
	int r = fd < 0 ? -errno : content_of_folder(fd, text);

	if (r < 0)
		return domain_why(ret_why, r, "%.200s: %s", request->path, strerror(-r));
	return r > 0 ? domain_why(ret_why, -EEXIST, "%.200s holds %s", request->path, text) : 0;
}

static int erase_here(const struct domain_request *request, char ret_why[DOMAIN_WHY_SIZE])
{
	_cleanup_close_ int fd = open(request->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct folder folder = {.request = request, .fd = fd};
	int r = fd < 0 ? -errno : refuse_use(&folder, ret_why);

	if (r == -EBUSY)
		return r;
	if (r == 0)
		r = remove_old(&folder);
	return r < 0 ? domain_why(ret_why, r, "%.200s: %s", request->path, strerror(-r)) : 0;
}

static int files_vacant(const char *path, unsigned sector_size, char ret_why[DOMAIN_WHY_SIZE])
{
	const struct domain_request request = {.path = path, .uid = DOMAIN_OWNER_ID, .gid = DOMAIN_OWNER_ID};

	return as_owner(&request, vacant_here, ret_why);
}

static int files_erase(const char *path, unsigned sector_size, char ret_why[DOMAIN_WHY_SIZE])
{
	const struct domain_request request = {.path = path, .uid = DOMAIN_OWNER_ID, .gid = DOMAIN_OWNER_ID};

	return as_owner(&request, erase_here, ret_why);
}

static int read_whiteboard(int folder, struct identity *ret)
{
	_cleanup_close_ int fd = openat(folder, domain_area_names[AREA_METADATA], O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : area_get_identity(fd, 0, ret);
}

int domain_files_judge(const char *path, struct domain *domain, char ret_why[DOMAIN_WHY_SIZE])
{
	struct domain_layout least;

	/* The lockspace is one alignment: that is how the sectors' size is kept. */
	if (domain_layout_files(512, 1, &least) < 0 ||
	    (domain->areas[AREA_LOCKSPACE].size != least.alignment &&
	     domain_layout_files(4096, 1, &least) < 0))
		return domain_why(ret_why, -EINVAL, "no layout");
	for (int i = 0; i < AREA_COUNT; i++)
		if (domain->areas[i].size < least.areas[i].size)
			return domain_why(ret_why, -EBADMSG, "%.200s: the file %s is too small", path,
					  domain_area_names[i]);
	domain->files = true;
	domain->sector_size = least.sector_size;
	domain->alignment = least.alignment;
	return 0;
}

static int read_here(const char *path, struct domain *ret, char ret_why[DOMAIN_WHY_SIZE])
{
	_cleanup_free_ struct domain *domain = calloc(1, sizeof(*domain));
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int r;

	if (!domain)
		return domain_why(ret_why, -ENOMEM, "%s", strerror(ENOMEM));
	if (fd < 0)
		return domain_why(ret_why, -errno, "%.200s: %s", path, strerror(errno));
	r = read_whiteboard(fd, &domain->identity);
	if (r == -ENOENT)
		return domain_why(ret_why, -ENODATA, "%.200s holds no domain", path);
	if (r == -ENODATA || r == -EBADMSG)
		return domain_why(ret_why, -EBADMSG, "%.200s: the whiteboard does not say whose it is", path);
	if (r < 0)
		return domain_why(ret_why, r, "%.200s: %s", path, strerror(-r));
	for (int i = 0; i < AREA_COUNT; i++) {
		if (fstatat(fd, domain_area_names[i], &st, 0) < 0)
			return domain_why(ret_why, errno == ENOENT ? -EBADMSG : -errno, "%.200s/%s: %s", path,
					  domain_area_names[i], strerror(errno));
		domain->areas[i].size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
		snprintf(domain->areas[i].path, sizeof(domain->areas[i].path), "%.4000s/%s", path,
			 domain_area_names[i]);
	}
	r = domain_files_judge(path, domain, ret_why);
	if (r == 0)
		*ret = *domain;
	return r;
}

static int files_read(const char *path, unsigned sector_size, struct domain *ret,
		      char ret_why[DOMAIN_WHY_SIZE])
{
	struct stat st;
	int r = read_here(path, ret, ret_why);

	/* Where root is nobody, as above. */
	if (r != -EACCES || geteuid() != 0 || stat(path, &st) < 0 || st.st_uid == 0)
		return r;
	act_as(st.st_uid, st.st_gid);
	r = read_here(path, ret, ret_why);
	act_as(geteuid(), getegid());
	return r;
}

const struct domain_kind domain_files = {
	.format = files_format,
	.read = files_read,
	.vacant = files_vacant,
	.erase = files_erase,
};
