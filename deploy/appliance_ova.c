/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads an OVA, a tar, plain or gzipped. No name in it becomes a path: the OVF is read into memory, the disk
 * goes to a descriptor. It refuses a tar whose names another program might take for paths outside. Called by
 * appliance.c; the only one here that includes libarchive. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "deploy/appliance_digest.h"
#include "deploy/appliance_parts.h"
#include "util/cleanup.h"

#define PIECE 131072
#define MEMBERS_MAX 256

CLEANUP_DEFINE(struct digest *, digest_free)

struct member {
	char name[256];
	uint64_t size;
	bool plain; /* a file with bytes of its own */
};

struct tar {
	struct archive *archive;
	size_t n;
	struct member members[MEMBERS_MAX];
	char *ovf, *manifest;
	size_t ovf_size;
	char ovf_name[256];
};

static void tar_done(struct tar *tar)
{
	if (tar->archive)
		archive_read_free(tar->archive);
	free(tar->ovf);
	free(tar->manifest);
}
#define _cleanup_tar_ _cleanup_(tar_done)

static int broken(struct archive *archive, char ret_why[APPLIANCE_WHY_SIZE])
{
	const char *words = archive_error_string(archive);

	return appliance_why(ret_why, -EBADMSG, "the OVA is broken: %.200s", words ? words : "it ends early");
}

/* -ENOMSG: not a tar. */
static int open_tar(const char *path, struct archive **ret, char ret_why[APPLIANCE_WHY_SIZE])
{
	struct archive *archive = archive_read_new();

	if (!archive || archive_read_support_filter_gzip(archive) != ARCHIVE_OK ||
	    archive_read_support_format_tar(archive) != ARCHIVE_OK) {
		if (archive)
			archive_read_free(archive);
		return appliance_why(ret_why, -ENOMEM, "%s", strerror(ENOMEM));
	}
	if (archive_read_open_filename(archive, path, PIECE) != ARCHIVE_OK) {
		archive_read_free(archive);
		return -ENOMSG;
	}
	*ret = archive;
	return 0;
}

/* The name without a leading "./"; NULL: one that could lead out of a folder, or that people can't read. */
static const char *safe_name(const char *name)
{
	if (!name || name[0] == '/')
		return NULL;
	while (strncmp(name, "./", 2) == 0)
		name += 2;
	for (const char *part = name;; part++) {
		size_t length = strcspn(part, "/");

		if (length == 2 && strncmp(part, "..", 2) == 0)
			return NULL;
		part += length;
		if (!*part)
			break;
	}
	for (const char *c = name; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return NULL;
	return name;
}

static bool ends_in(const char *name, const char *end)
{
	size_t length = strlen(name), tail = strlen(end);

	return length >= tail && strcmp(name + length - tail, end) == 0;
}

/* A member's bytes, with a NUL behind them. */
static int read_text(struct tar *tar, const struct member *member, size_t most, char **ret,
		     char ret_why[APPLIANCE_WHY_SIZE])
{
	size_t size = (size_t)member->size;

	if (*ret)
		return appliance_why(ret_why, -EINVAL, "the OVA has two files like %.200s", member->name);
	if (member->size > most)
		return appliance_why(ret_why, -EFBIG, "its %.200s has %" PRIu64 " bytes, more than %zu",
				     member->name, member->size, most);
	*ret = malloc(size + 1);
	if (!*ret)
		return appliance_why(ret_why, -ENOMEM, "%s", strerror(ENOMEM));
	for (size_t at = 0; at < size;) {
		la_ssize_t n = archive_read_data(tar->archive, *ret + at, size - at);

		if (n <= 0)
			return broken(tar->archive, ret_why);
		at += (size_t)n;
	}
	(*ret)[size] = '\0';
	return 0;
}

static int take_member(struct tar *tar, struct archive_entry *entry, char ret_why[APPLIANCE_WHY_SIZE])
{
	const char *given = archive_entry_pathname(entry), *name = safe_name(given);
	struct member *member = &tar->members[tar->n];
	la_int64_t size = archive_entry_size(entry);

	if (!name)
		return appliance_why(ret_why, -EINVAL, "the OVA has a member with an unsafe name");
	if (tar->n == MEMBERS_MAX || strlen(name) >= sizeof(member->name))
		return appliance_why(ret_why, -EINVAL,
				     "the OVA has more than %d members, or a very long name", MEMBERS_MAX);
	*member = (struct member){.size = size > 0 ? (uint64_t)size : 0,
				  .plain = archive_entry_filetype(entry) == AE_IFREG &&
					   !archive_entry_hardlink(entry)};
	strcpy(member->name, name);
	for (size_t i = 0; i < tar->n && member->plain; i++)
		if (strcmp(tar->members[i].name, name) == 0)
			return appliance_why(ret_why, -EINVAL, "the OVA has two members %.200s", name);
	tar->n++;
	if (member->plain && ends_in(name, ".mf"))
		return read_text(tar, member, MANIFEST_MAX, &tar->manifest, ret_why);
	if (!member->plain || !ends_in(name, ".ovf"))
		return 0;
	strcpy(tar->ovf_name, name);
	tar->ovf_size = (size_t)member->size;
	return read_text(tar, member, OVF_MAX, &tar->ovf, ret_why);
}

/* To its end: a name that is unsafe, or there twice, may come last. */
static int read_members(const char *path, struct tar *tar, char ret_why[APPLIANCE_WHY_SIZE])
{
	struct archive_entry *entry;
	bool any = false;
	int r;

	r = open_tar(path, &tar->archive, ret_why);
	while (r == 0) {
		int next = archive_read_next_header(tar->archive, &entry);

		if (next == ARCHIVE_EOF)
			return any ? 0 : -ENOMSG; /* a disk that begins with zeros */
		if (next != ARCHIVE_OK && next != ARCHIVE_WARN)
			return any ? broken(tar->archive, ret_why) : -ENOMSG;
		any = true;
		r = take_member(tar, entry, ret_why);
	}
	return r;
}

/* The OVF's own folder, or one that its writer keeps disks in, may stand before the name. */
static const struct member *find_disk(const struct tar *tar, const char *href)
{
	const struct member *found = NULL;
	char tail[258];

	snprintf(tail, sizeof(tail), "/%s", href);
	for (size_t i = 0; i < tar->n; i++) {
		const struct member *member = &tar->members[i];

		if (strcmp(member->name, href) == 0)
			return member;
		if (ends_in(member->name, tail)) {
			if (found)
				return NULL;
			found = member;
		}
	}
	return found;
}

/* The OVF is checked at once, the disk when it is unpacked. A manifest is there to be believed: one without
 * the disk would look like a check that was made. */
static int check_manifest(const struct tar *tar, const char *href, struct appliance *appliance,
			  char ret_why[APPLIANCE_WHY_SIZE])
{
	_cleanup_(digest_free_p) struct digest *digest = NULL;
	char expected[APPLIANCE_DIGEST_SIZE];
	int r;

	if (!tar->manifest)
		return 0;
	r = manifest_find(tar->manifest, tar->ovf_name, expected, ret_why);
	if (r == 0)
		r = manifest_find(tar->manifest, href, appliance->digest, ret_why);
	if (r == 0 && !appliance->digest[0])
		r = manifest_find(tar->manifest, appliance->member, appliance->digest, ret_why);
	if (r == 0 && !appliance->digest[0])
		return appliance_why(
			ret_why, -EINVAL,
			"the OVA's manifest has no digest of its disk %.200s, so whether that is "
			"whole can't be told: add its line, as sha256sum --tag writes it, or take "
			"the manifest (.mf) out",
			href);
	if (r < 0 || !expected[0])
		return r;
	digest = digest_new(expected);
	if (!digest)
		return appliance_why(ret_why, -ENOMEM, "%s", strerror(ENOMEM));
	digest_add(digest, tar->ovf, tar->ovf_size);
	return digest_end(digest, tar->ovf_name, ret_why);
}

int ova_look(const char *path, struct appliance *ret, char ret_why[APPLIANCE_WHY_SIZE])
{
	_cleanup_tar_ struct tar tar = {0};
	const struct member *disk;
	struct appliance found;
	struct ovf ovf;
	int r;

	r = read_members(path, &tar, ret_why);
	if (r < 0)
		return r;
	if (!tar.ovf)
		return appliance_why(ret_why, -EINVAL, "it is a tar without an OVF");
	r = ovf_parse(tar.ovf, tar.ovf_size, &ovf, ret_why);
	if (r < 0)
		return r;
	disk = find_disk(&tar, ovf.href);
	if (!disk || !disk->plain || disk->size == 0)
		return appliance_why(
			ret_why, -EINVAL,
			"its OVF names the disk %.200s, and the OVA has no such file, or an empty one",
			ovf.href);
	found = (struct appliance){.kind = APPLIANCE_OVA,
				   .disk_size = ovf.capacity,
				   .cpus = ovf.cpus,
				   .memory_mib = ovf.memory_mib,
				   .unpacked = disk->size};
	memcpy(found.member, disk->name, sizeof(found.member));
	r = check_manifest(&tar, ovf.href, &found, ret_why);
	if (r == 0)
		*ret = found;
	return r;
}

static int write_at(int fd, const char *data, size_t size, la_int64_t offset)
{
	while (size > 0) {
		ssize_t n = pwrite(fd, data, size, offset);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			size -= (size_t)n;
			offset += n;
		}
	}
	return 0;
}

static int unpack(struct archive *archive, const struct appliance *appliance, int fd,
		  int (*progress)(unsigned percent, void *data), void *data, char ret_why[APPLIANCE_WHY_SIZE])
{
	_cleanup_(digest_free_p) struct digest *digest =
		appliance->digest[0] ? digest_new(appliance->digest) : NULL;
	const uint64_t size = appliance->unpacked;
	uint64_t hashed = 0; /* holes of a sparse file are zeros to a digest */
	la_int64_t offset;
	const void *bytes;
	size_t n;
	int next, r;

	if (appliance->digest[0] && !digest)
		return appliance_why(ret_why, -ENOMEM, "%s", strerror(ENOMEM));
	while ((next = archive_read_data_block(archive, &bytes, &n, &offset)) == ARCHIVE_OK) {
		if (offset < 0 || (uint64_t)offset > size || n > size - (uint64_t)offset ||
		    (uint64_t)offset < hashed)
			return appliance_why(ret_why, -EBADMSG,
					     "the OVA is broken: its disk is larger than it says");
		r = write_at(fd, bytes, n, offset);
		if (r < 0)
			return appliance_why(ret_why, r, "the OVA's disk can't be unpacked: %s",
					     strerror(-r));
		if (digest) {
			digest_add(digest, NULL, (size_t)((uint64_t)offset - hashed));
			digest_add(digest, bytes, n);
			hashed = (uint64_t)offset + n;
		}
		if (progress && progress((unsigned)((double)offset / (double)size * 100), data) != 0)
			return appliance_why(ret_why, -ECANCELED, "the copy was ended as asked");
	}
	if (next != ARCHIVE_EOF)
		return broken(archive, ret_why);
	if (ftruncate(fd, (off_t)size) < 0)
		return appliance_why(ret_why, -errno, "%s", strerror(errno));
	if (!digest)
		return 0;
	digest_add(digest, NULL, (size_t)(size - hashed));
	return digest_end(digest, appliance->member, ret_why);
}

int ova_unpack(const char *path, const struct appliance *appliance, int fd,
	       int (*progress)(unsigned percent, void *data), void *data, char ret_why[APPLIANCE_WHY_SIZE])
{
	_cleanup_tar_ struct tar tar = {0};
	struct archive_entry *entry;
	const char *name;
	int r;

	r = open_tar(path, &tar.archive, ret_why);
	if (r < 0)
		return appliance_why(ret_why, r, "%.200s is no OVA any more", path);
	while (archive_read_next_header(tar.archive, &entry) >= ARCHIVE_WARN) {
		name = safe_name(archive_entry_pathname(entry));
		if (name && strcmp(name, appliance->member) == 0)
			return unpack(tar.archive, appliance, fd, progress, data, ret_why);
	}
	return broken(tar.archive, ret_why);
}
