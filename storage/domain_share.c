/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A domain in a folder that a server exports, without a mount: the same five files as in a folder that is
 * mounted, made one by one by NFS. Decides the order of writes as domain_files.c does: the whiteboard gets
 * its name last. sanlock's library writes to files of this host alone, so the areas are made in one, and
 * copied. Called by domain.c. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/domain_parts.h"
#include "storage/nfs_share.h"
#include "util/cleanup.h"

#define UNNAMED "metadata.new"
#define SECTOR_SIZE 512 /* a server takes any bytes */
#define DRAFT "/var/tmp/ovirt-ha-domain-XXXXXX"

_Static_assert(DOMAIN_WHY_SIZE >= NFS_SHARE_WHY_SIZE, "one reason goes into the other");

CLEANUP_DEFINE(struct nfs_share *, nfs_share_close)

/* The name while it is written. */
static const char *name_of(enum domain_area area)
{
	return area == AREA_METADATA ? UNNAMED : domain_area_names[area];
}

/* Nobody has answered, or the connection broke, of which the library says so. */
static bool unheard(int error)
{
	return error == -ETIMEDOUT || error == -ECONNRESET || error == -EFAULT;
}

static int say(const char *path, int error, const char *what, char ret_why[DOMAIN_WHY_SIZE])
{
	return domain_why(ret_why, error, "%.200s%s: %s", path, what,
			  unheard(error) ? "the server does not answer" : strerror(-error));
}

static int refuse_content(struct nfs_share *share, const char *path, char ret_why[DOMAIN_WHY_SIZE])
{
	char text[CONTENT_TEXT_SIZE];
	int r = nfs_share_content(share, text);

	if (r < 0)
		return say(path, r, "", ret_why);
	return r > 0 ? domain_why(ret_why, -EEXIST, "%.200s holds %s", path, text) : 0;
}

static int check_room(struct nfs_share *share, const struct domain_request *request,
		      const struct domain_layout *layout, char ret_why[DOMAIN_WHY_SIZE])
{
	uint64_t needed = 0, there;
	struct nfs_entry old;
	int r = nfs_share_room(share, &there);

	if (r < 0)
		return say(request->path, r, "", ret_why);
	for (int i = 0; i < AREA_COUNT; i++) {
		needed += layout->areas[i].size;
		if (request->force && nfs_share_look(share, domain_area_names[i], &old) == 0)
			there += old.used; /* goes first */
	}
	return needed <= there ? 0
			       : domain_why(ret_why, -ENOSPC,
					    "%.200s has %" PRIu64 " bytes left, the domain takes %" PRIu64,
					    request->path, there, needed);
}

/* The old domain ends here, before anything of it is replaced: a server answers when it is on storage. What
 * is not of a domain's kind is seen before: a folder of one of the names would stop it in the middle. */
static int remove_old(struct nfs_share *share)
{
	struct nfs_entry old;
	int r = 0;

	for (int i = 0; r == 0 && i < AREA_COUNT; i++)
		if (nfs_share_look(share, domain_area_names[i], &old) == 0 && S_ISDIR(old.mode))
			r = -EISDIR;
	if (r == 0)
		r = nfs_share_remove(share, domain_area_names[AREA_METADATA]);
	for (int i = 0; r == 0 && i < AREA_COUNT; i++)
		r = nfs_share_remove(share, name_of(i));
	return r;
}

/* All areas but the disk, one after the other: *layout has where. Holes are zeros. */
static int draft(const struct domain_request *request, struct domain_layout *layout, int *ret_fd)
{
	char name[] = DRAFT;
	_cleanup_close_ int fd = mkostemp(name, O_CLOEXEC);
	uint64_t end = 0;
	int r;

	if (fd < 0)
		return -errno;
	unlink(name);
	for (int i = 0; i < AREA_DISK; i++) {
		layout->areas[i].offset = end;
		end += layout->areas[i].size;
	}
	_Static_assert(AREA_DISK == AREA_COUNT - 1, "the disk is the last one");
	if (ftruncate(fd, (off_t)end) < 0)
		return -errno;
	r = area_put_leases(fd, fd, layout, request);
	if (r == 0)
		r = area_put_identity(fd, layout->areas[AREA_METADATA].offset, &request->identity);
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}

static int put_all(struct nfs_share *share, const struct domain_request *request,
		   const struct domain_layout *layout, int fd, bool made[AREA_COUNT])
{
	int r = request->force ? remove_old(share) : 0;

	for (int i = 0; r == 0 && i < AREA_COUNT; i++) {
		const struct nfs_entry file = {.mode = DOMAIN_FILE_MODE, .size = layout->areas[i].size};

		r = nfs_share_put(share, name_of(i), &file, request->uid, request->gid,
				  i == AREA_DISK ? -1 : fd, layout->areas[i].offset);
		made[i] = r != -EEXIST; /* one that was there is somebody else's */
	}
	/* From here on it is a domain. */
	return r == 0 ? nfs_share_rename(share, UNNAMED, domain_area_names[AREA_METADATA]) : r;
}

static int share_format(const struct domain_request *request, char ret_why[DOMAIN_WHY_SIZE])
{
	_cleanup_(nfs_share_close_p) struct nfs_share *share = NULL;
	_cleanup_close_ int fd = -1;
	bool made[AREA_COUNT] = {false};
	struct domain_layout layout;
	int r;

	if (domain_layout_files(SECTOR_SIZE, request->disk_size, &layout) < 0)
		return domain_why(ret_why, -EINVAL, "the size of the VM's disk is missing or too large");
	r = nfs_share_open(request->path, request->uid, request->gid, &share, ret_why);
	if (r == 0 && !request->force)
		r = refuse_content(share, request->path, ret_why);
	if (r == 0)
		r = check_room(share, request, &layout, ret_why);
	if (r < 0)
		return r;
	r = draft(request, &layout, &fd);
	if (r < 0)
		return say(DRAFT, r, "", ret_why);
	r = put_all(share, request, &layout, fd, made);
	if (r < 0) {
		int gone = 0;

		if (made[AREA_DISK]) /* else it never got its name */
			gone = nfs_share_remove(share, domain_area_names[AREA_METADATA]);
		for (int i = 0; i < AREA_COUNT; i++)
			if (made[i] && !unheard(gone))
				gone = nfs_share_remove(share, name_of(i));
		if (unheard(gone))
			return domain_why(ret_why, -EUCLEAN,
					  "%.200s: the server does not answer; what was begun there is "
					  "there still",
					  request->path);
		return say(request->path, r, " could not be written", ret_why);
	}
	return 0;
}

static int read_areas(struct nfs_share *share, const char *path, struct domain *domain,
		      char ret_why[DOMAIN_WHY_SIZE])
{
	uint8_t block[BLOCK_SIZE];
	struct nfs_entry entry;
	int r = nfs_share_get(share, domain_area_names[AREA_METADATA], (uint64_t)IDENTITY_BLOCK * BLOCK_SIZE,
			      block, sizeof(block));

	if (r == -ENOENT)
		return domain_why(ret_why, -ENODATA, "%.200s holds no domain", path);
	if (r == 0)
		r = identity_decode(block, &domain->identity);
	if (r == -ENODATA || r == -EBADMSG)
		return domain_why(ret_why, -EBADMSG, "%.200s: the whiteboard does not say whose it is", path);
	for (int i = 0; r == 0 && i < AREA_COUNT; i++) {
		r = nfs_share_look(share, domain_area_names[i], &entry);
		if (r == -ENOENT)
			return domain_why(ret_why, -EBADMSG, "%.200s has no %s", path, domain_area_names[i]);
		if (r == 0)
			domain->areas[i].size = S_ISREG(entry.mode) ? entry.size : 0;
		snprintf(domain->areas[i].path, sizeof(domain->areas[i].path), "%.2000s/%s", path,
			 domain_area_names[i]);
	}
	return r < 0 ? say(path, r, "", ret_why) : domain_files_judge(path, domain, ret_why);
}

static int share_read(const char *path, unsigned sector_size, struct domain *ret,
		      char ret_why[DOMAIN_WHY_SIZE])
{
	_cleanup_(nfs_share_close_p) struct nfs_share *share = NULL;
	_cleanup_free_ struct domain *domain = calloc(1, sizeof(*domain));
	int r;

	if (!domain)
		return domain_why(ret_why, -ENOMEM, "%s", strerror(ENOMEM));
	r = nfs_share_open(path, DOMAIN_OWNER_ID, DOMAIN_OWNER_ID, &share, ret_why);
	if (r == 0)
		r = read_areas(share, path, domain, ret_why);
	if (r == 0)
		*ret = *domain;
	return r;
}

static int share_vacant(const char *path, unsigned sector_size, char ret_why[DOMAIN_WHY_SIZE])
{
	_cleanup_(nfs_share_close_p) struct nfs_share *share = NULL;
	int r = nfs_share_open(path, DOMAIN_OWNER_ID, DOMAIN_OWNER_ID, &share, ret_why);

	return r < 0 ? r : refuse_content(share, path, ret_why);
}

static int share_erase(const char *path, unsigned sector_size, char ret_why[DOMAIN_WHY_SIZE])
{
	_cleanup_(nfs_share_close_p) struct nfs_share *share = NULL;
	int r = nfs_share_open(path, DOMAIN_OWNER_ID, DOMAIN_OWNER_ID, &share, ret_why);

	if (r < 0)
		return r;
	r = remove_old(share);
	return r < 0 ? say(path, r, " could not be erased", ret_why) : 0;
}

const struct domain_kind domain_share = {
	.format = share_format,
	.read = share_read,
	.vacant = share_vacant,
	.erase = share_erase,
};
