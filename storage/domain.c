/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks what is asked for and hands it to the code for files or for LUNs; writes what both have in common.
 * Decides nothing about places: domain_layout.c does. */
#include "storage/domain.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lockspace/lease_write.h"
#include "storage/domain_parts.h"
#include "storage/storage_export.h"
#include "util/cleanup.h"

#define LOCK_NAME_MAX 47 /* sanlock's names have 48 bytes */
#define CLEAR_STEP UINT64_C(1048576)

int domain_why(char ret_why[DOMAIN_WHY_SIZE], int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(ret_why, DOMAIN_WHY_SIZE, format, arguments);
	va_end(arguments);
	return error;
}

static bool is_uuid(const char *text)
{
	size_t length = strlen(text);

	for (size_t i = 0; i < length; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' : !strchr("0123456789abcdefABCDEF", text[i]))
			return false;
	}
	return length == 36;
}

static int check_request(const struct domain_request *request, char ret_why[DOMAIN_WHY_SIZE])
{
	uint8_t block[BLOCK_SIZE];

	if (!is_uuid(request->identity.domain))
		return domain_why(ret_why, -EINVAL, "the domain's uuid is none");
	if (identity_encode(&request->identity, block) < 0 ||
	    strlen(request->identity.lockspace) > LOCK_NAME_MAX || strchr(request->identity.lockspace, ':'))
		return domain_why(ret_why, -EINVAL,
				  "the lockspace's name is not 1 to %d printable characters without ':'",
				  LOCK_NAME_MAX);
	if (request->io_timeout_s < 1 || request->io_timeout_s > 60)
		return domain_why(ret_why, -EINVAL, "io_timeout is not 1 to 60 seconds");
	return 0;
}

/* Stays as it is given: stable names of disks are links. */
static int find_kind(const char *path, const struct domain_kind **ret, char ret_why[DOMAIN_WHY_SIZE])
{
	const char *folder = "";
	char server[256];
	struct stat st;

	if (strlen(path) < PATH_MAX / 2 && path[0] != '/' && storage_server(path, server, &folder) == 0 &&
	    folder[0]) {
		*ret = &domain_share;
		return 0;
	}
	if (path[0] != '/' || strlen(path) >= PATH_MAX / 2)
		return domain_why(ret_why, -EINVAL, "'%.200s' is neither an absolute path nor SERVER:/PATH",
				  path);
	if (stat(path, &st) < 0)
		return domain_why(ret_why, -errno, "%.200s: %s", path, strerror(errno));
	if (!S_ISDIR(st.st_mode) && !S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode))
		return domain_why(ret_why, -EINVAL, "%.200s is neither a folder nor a block device", path);
	*ret = S_ISDIR(st.st_mode) ? &domain_files : &domain_lun;
	return 0;
}

int domain_format(const struct domain_request *request, struct domain *ret, char ret_why[DOMAIN_WHY_SIZE])
{
	const struct domain_kind *kind;
	int r;

	r = check_request(request, ret_why);
	if (r == 0)
		r = find_kind(request->path, &kind, ret_why);
	if (r == 0)
		r = kind->format(request, ret_why);
	return r < 0 ? r : domain_read(request->path, request->sector_size, ret, ret_why);
}

int domain_read(const char *path, unsigned sector_size, struct domain *ret, char ret_why[DOMAIN_WHY_SIZE])
{
	const struct domain_kind *kind;
	int r = find_kind(path, &kind, ret_why);

	return r < 0 ? r : kind->read(path, sector_size, ret, ret_why);
}

static int write_at(int fd, const void *from, size_t size, uint64_t at)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = pwrite(fd, (const char *)from + done, size - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

int area_clear(int fd, uint64_t at, uint64_t size)
{
	_cleanup_free_ void *zeros = calloc(1, CLEAR_STEP);
	int r = zeros ? 0 : -ENOMEM;

	for (uint64_t done = 0; r == 0 && done < size; done += CLEAR_STEP)
		r = write_at(fd, zeros, size - done < CLEAR_STEP ? (size_t)(size - done) : CLEAR_STEP,
			     at + done);
	return r;
}

int area_put_identity(int fd, uint64_t metadata, const struct identity *identity)
{
	uint8_t block[BLOCK_SIZE];
	int r = identity_encode(identity, block);

	assert(r == 0); /* by check_request() */
	return write_at(fd, block, sizeof(block), metadata + (uint64_t)IDENTITY_BLOCK * BLOCK_SIZE);
}

int area_get_identity(int fd, uint64_t metadata, struct identity *ret)
{
	uint8_t block[BLOCK_SIZE];
	ssize_t n =
		pread(fd, block, sizeof(block), (off_t)(metadata + (uint64_t)IDENTITY_BLOCK * BLOCK_SIZE));

	if (n < 0)
		return -errno;
	return n < (ssize_t)sizeof(block) ? -ENODATA : identity_decode(block, ret);
}

int area_put_leases(int lockspace, int leases, const struct domain_layout *layout,
		    const struct domain_request *request)
{
	char path[64];
	static const char *const names[] = {"engine", "whiteboard", "conf"};
	int r = 0;

	/* sanlock's library opens paths: what it gets leads to the file that is open, whatever has its name
	 * by now. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", leases);
	_Static_assert(sizeof(names) / sizeof(names[0]) == DOMAIN_LEASES, "a name for each");
	for (size_t i = 0; r == 0 && i < DOMAIN_LEASES; i++)
		r = lease_write_resource(path, layout->areas[AREA_LEASES].offset + i * layout->alignment,
					 request->identity.lockspace, names[i], layout->sector_size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", lockspace);
	return r < 0 ? r
		     : lease_write_lockspace(path, layout->areas[AREA_LOCKSPACE].offset,
					     request->identity.lockspace, layout->sector_size,
					     request->io_timeout_s);
}

int domain_vacant(const char *path, unsigned sector_size, char ret_why[DOMAIN_WHY_SIZE])
{
	const struct domain_kind *kind;
	int r = find_kind(path, &kind, ret_why);

	return r < 0 ? r : kind->vacant(path, sector_size, ret_why);
}

int domain_erase(const char *path, const char *uuid, unsigned sector_size, char ret_why[DOMAIN_WHY_SIZE])
{
	_cleanup_free_ struct domain *domain = calloc(1, sizeof(*domain));
	const struct domain_kind *kind;
	int r = find_kind(path, &kind, ret_why);

	if (r < 0)
		return r;
	if (!domain)
		return domain_why(ret_why, -ENOMEM, "%s", strerror(ENOMEM));
	r = domain_read(path, sector_size, domain, ret_why);
	if (r == 0 && strcasecmp(domain->identity.domain, uuid) != 0)
		return domain_why(ret_why, -EXDEV, "%.200s holds another domain, %.40s", path,
				  domain->identity.domain);
	/* A format makes a domain whole at once, and an erasure ends it so: one that is damaged is nobody's
	 * to erase unasked. */
	if (r == -EBADMSG)
		return -EXDEV;
	if (r < 0 && r != -ENODATA)
		return r;
	/* A LUN without a table has nothing more of a format. What is found is somebody else's: since then
	 * the LUN may have been used for something, or its path may lead to another disk. */
	if (r == -ENODATA && kind == &domain_lun) {
		r = kind->vacant(path, sector_size, ret_why);
		return r == -EEXIST ? -EXDEV : r;
	}
	return kind->erase(path, sector_size, ret_why);
}
