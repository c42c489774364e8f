/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A domain on a LUN. Decides the order of writes: signatures of what was there go first, the partition table
 * comes last, and between them everything is flushed, so that whatever ends a format, the LUN is found empty
 * or whole. It may not touch a LUN that is in use here, forced or not. Called by domain.c. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#undef BLOCK_SIZE /* the kernel's, of another meaning */
#include "storage/content_probe.h"
#include "storage/domain_parts.h"
#include "storage/gpt_table.h"
#include "storage/use_probe.h"
#include "util/cleanup.h"

#define PARTITIONS_MAX 128

struct lun {
	int fd;
	bool device;
	unsigned sector_size;
	uint64_t size;
};

/* What libfdisk and libblkid are told: a device knows its sectors itself. */
static unsigned told_sectors(const struct lun *lun)
{
	return lun->device ? 0 : lun->sector_size;
}

static int ask_device(int fd, struct lun *ret)
{
	int sector;

	/* Another host may have written since this one read: its cache of the device is worth nothing. */
	if (ioctl(fd, BLKGETSIZE64, &ret->size) < 0 || ioctl(fd, BLKSSZGET, &sector) < 0 ||
	    (ioctl(fd, BLKFLSBUF, 0) < 0 && errno != EACCES))
		return -errno;
	ret->sector_size = (unsigned)sector;
	return 0;
}

/* A device that is read-only is found so before it is opened for writing, which fails without that reason. */
static int check_writable(const char *path, char ret_why[DOMAIN_WHY_SIZE])
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	int read_only = 0;

	if (fd < 0)
		return domain_why(ret_why, -errno, "%.200s: %s", path, strerror(errno));
	if (ioctl(fd, BLKROGET, &read_only) == 0 && read_only)
		return domain_why(ret_why, -EROFS, "%.200s is read-only", path);
	return 0;
}

/* A storage daemon tells the sectors of what it shows as the size of a block; of another file that is its
 * filesystem's, and says nothing. */
static unsigned image_sectors(int fd, const struct stat *st)
{
	struct statfs fs;

	return st->st_blksize == 4096 && fstatfs(fd, &fs) == 0 && fs.f_type == FUSE_SUPER_MAGIC ? 4096 : 512;
}

/* Exclusive where it is written: mounted, part of a volume group or of a multipath map is EBUSY. */
static int open_lun(const char *path, unsigned sector_size, bool writing, struct lun *ret,
		    char ret_why[DOMAIN_WHY_SIZE])
{
	_cleanup_close_ int fd = -1;
	struct lun lun = {.sector_size = sector_size};
	struct stat st;
	int r = 0;

	if (stat(path, &st) < 0)
		return domain_why(ret_why, -errno, "%.200s: %s", path, strerror(errno));
	lun.device = S_ISBLK(st.st_mode);
	if (writing && lun.device)
		r = check_writable(path, ret_why);
	if (r < 0)
		return r;
	fd = open(path, (writing ? O_RDWR : O_RDONLY) | (writing && lun.device ? O_EXCL : 0) | O_CLOEXEC);
	if (fd < 0 && errno == EBUSY)
		return domain_why(ret_why, -EBUSY, "%.200s is in use on this host", path);
	if (fd < 0)
		return domain_why(ret_why, -errno, "%.200s: %s", path, strerror(errno));
	if (lun.device)
		r = ask_device(fd, &lun);
	else
		lun.size = (uint64_t)st.st_size;
	if (r < 0)
		return domain_why(ret_why, r, "%.200s: %s", path, strerror(-r));
	if (lun.sector_size == 0)
		lun.sector_size = image_sectors(fd, &st);
	lun.fd = TAKE_FD(fd);
	*ret = lun;
	return 0;
}

/* Forced or not: who writes there would write into the new domain. */
static int refuse_use(const struct domain_request *request, int fd, char ret_why[DOMAIN_WHY_SIZE])
{
	char user[CONTENT_TEXT_SIZE];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return domain_why(ret_why, -errno, "%.200s: %s", request->path, strerror(errno));
	return use_find(&st, user) == 0 ? 0
					: domain_why(ret_why, -EBUSY, "%.200s is in use on this host by %s",
						     request->path, user);
}

static int refuse_content(const struct domain_request *request, const struct lun *lun,
			  char ret_why[DOMAIN_WHY_SIZE])
{
	char text[CONTENT_TEXT_SIZE];
	int r;

	if (request->force)
		return 0;
	r = content_of_disk(lun->fd, lun->size, told_sectors(lun), text);
	if (r < 0)
		return domain_why(ret_why, r, "%.200s can't be looked at: %s", request->path, strerror(-r));
	return r == 0 ? 0 : domain_why(ret_why, -EEXIST, "%.200s holds %s", request->path, text);
}

static int put_table(const struct domain_request *request, const struct lun *lun,
		     const struct domain_layout *layout)
{
	struct gpt_partition partitions[AREA_COUNT];

	for (size_t i = 0; i < AREA_COUNT; i++) {
		partitions[i] = (struct gpt_partition){.offset = layout->areas[i].offset,
						       .size = layout->areas[i].size};
		snprintf(partitions[i].name, sizeof(partitions[i].name), DOMAIN_PARTITION_PREFIX "%s",
			 domain_area_names[i]);
	}
	return gpt_write(lun->fd, request->path, told_sectors(lun), request->identity.domain, partitions,
			 AREA_COUNT);
}

/* The order is what a power cut leaves behind: nothing found, or all of it. */
static int put_all(const struct domain_request *request, const struct lun *lun,
		   const struct domain_layout *layout)
{
	uint64_t metadata = layout->areas[AREA_METADATA].offset;
	int r;

	r = content_erase(lun->fd, lun->size, told_sectors(lun));
	if (r == 0)
		r = area_clear(lun->fd, metadata, layout->areas[AREA_METADATA].size);
	if (r == 0)
		r = area_clear(lun->fd, layout->areas[AREA_CONF].offset, layout->areas[AREA_CONF].size);
	/* The VM's firmware would boot what an older use of the LUN left there. */
	if (r == 0)
		r = area_clear(lun->fd, layout->areas[AREA_DISK].offset, DOMAIN_MIB);
	if (r == 0)
		r = area_put_leases(lun->fd, lun->fd, layout, request);
	if (r == 0)
		r = area_put_identity(lun->fd, metadata, &request->identity);
	if (r == 0 && fsync(lun->fd) < 0)
		r = -errno;
	return r < 0 ? r : put_table(request, lun, layout);
}

static int lun_format(const struct domain_request *request, char ret_why[DOMAIN_WHY_SIZE])
{
	_cleanup_close_ int fd = -1;
	struct domain_layout layout;
	uint64_t needed;
	struct lun lun;
	int r;

	r = open_lun(request->path, request->sector_size, true, &lun, ret_why);
	if (r < 0)
		return r;
	fd = lun.fd;
	r = domain_layout_lun(lun.sector_size, lun.size, request->disk_size, &layout, &needed);
	if (r == -ENOSPC)
		return domain_why(ret_why, r,
				  "%.200s is too small: it has %" PRIu64 " bytes, the domain takes %" PRIu64,
				  request->path, lun.size, needed);
	if (r < 0)
		return domain_why(ret_why, r, "%.200s has sectors of %u bytes, not 512 or 4096",
				  request->path, lun.sector_size);
	r = refuse_use(request, fd, ret_why);
	if (r == 0)
		r = refuse_content(request, &lun, ret_why);
	if (r < 0)
		return r;
	r = put_all(request, &lun, &layout);
	if (r < 0) {
		(void)content_erase(lun.fd, lun.size, told_sectors(&lun)); /* half a table may be there */
		return domain_why(ret_why, r, "%.200s could not be written: %s", request->path, strerror(-r));
	}
	return 0;
}

static int lun_vacant(const char *path, unsigned sector_size, char ret_why[DOMAIN_WHY_SIZE])
{
	const struct domain_request request = {.path = path};
	_cleanup_close_ int fd = -1;
	struct lun lun;
	int r = open_lun(path, sector_size, false, &lun, ret_why);

	if (r < 0)
		return r;
	fd = lun.fd;
	return refuse_content(&request, &lun, ret_why);
}

static int lun_erase(const char *path, unsigned sector_size, char ret_why[DOMAIN_WHY_SIZE])
{
	const struct domain_request request = {.path = path};
	_cleanup_close_ int fd = -1;
	struct lun lun;
	int r = open_lun(path, sector_size, true, &lun, ret_why);

	if (r < 0)
		return r;
	fd = lun.fd;
	r = refuse_use(&request, fd, ret_why);
	if (r < 0)
		return r;
	r = content_erase(fd, lun.size, told_sectors(&lun));
	return r < 0 ? domain_why(ret_why, r, "%.200s could not be erased: %s", path, strerror(-r)) : 0;
}

static int find_area(const char *name)
{
	size_t prefix = strlen(DOMAIN_PARTITION_PREFIX);

	if (strncmp(name, DOMAIN_PARTITION_PREFIX, prefix) != 0)
		return -1;
	for (int i = 0; i < AREA_COUNT; i++)
		if (strcmp(name + prefix, domain_area_names[i]) == 0)
			return i;
	return -1;
}

/* The number of the domain's partitions there. */
static int take_areas(const struct gpt_partition *partitions, int n, const char *path, struct domain *ret)
{
	int found = 0;

	for (int i = 0; i < n; i++) {
		int area = find_area(partitions[i].name);

		if (area < 0 || ret->areas[area].size != 0)
			continue;
		found++;
		snprintf(ret->areas[area].path, sizeof(ret->areas[area].path), "%s", path);
		ret->areas[area].offset = partitions[i].offset;
		ret->areas[area].size = partitions[i].size;
		memcpy(ret->areas[area].partition_uuid, partitions[i].uuid,
		       sizeof(ret->areas[area].partition_uuid));
	}
	return found;
}

static int lun_read(const char *path, unsigned sector_size, struct domain *ret, char ret_why[DOMAIN_WHY_SIZE])
{
	_cleanup_free_ struct gpt_partition *partitions = calloc(PARTITIONS_MAX, sizeof(*partitions));
	_cleanup_free_ struct domain *domain = calloc(1, sizeof(*domain));
	_cleanup_close_ int fd = -1;
	struct domain_layout least;
	struct lun lun;
	int n, r;

	if (!partitions || !domain)
		return domain_why(ret_why, -ENOMEM, "%s", strerror(ENOMEM));
	r = open_lun(path, sector_size, false, &lun, ret_why);
	if (r < 0)
		return r;
	fd = lun.fd;
	n = gpt_read(fd, path, told_sectors(&lun), partitions, PARTITIONS_MAX);
	if (n < 0 && n != -ENODATA)
		return domain_why(ret_why, n, "%.200s: %s", path, strerror(-n));
	r = n < 0 ? 0 : take_areas(partitions, n, path, domain);
	if (r == 0)
		return domain_why(ret_why, -ENODATA, "%.200s holds no domain", path);
	if (r < AREA_COUNT || domain_layout_files(lun.sector_size, 1, &least) < 0)
		return domain_why(ret_why, -EBADMSG, "%.200s holds %d of a domain's %d partitions", path, r,
				  AREA_COUNT);
	for (int i = 0; i < AREA_COUNT; i++)
		if (domain->areas[i].size < least.areas[i].size)
			return domain_why(ret_why, -EBADMSG, "%.200s: the area %s is too small", path,
					  domain_area_names[i]);
	r = area_get_identity(fd, domain->areas[AREA_METADATA].offset, &domain->identity);
	if (r < 0)
		return domain_why(ret_why, r == -ENODATA ? -EBADMSG : r,
				  "%.200s: the whiteboard does not say whose it is", path);
	domain->image = !lun.device;
	domain->sector_size = lun.sector_size;
	domain->alignment = least.alignment;
	*ret = *domain;
	return 0;
}

const struct domain_kind domain_lun = {
	.format = lun_format,
	.read = lun_read,
	.vacant = lun_vacant,
	.erase = lun_erase,
};
