/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looks for anybody's data and erases its signatures. Decides only what counts as something; whether that
 * stops a format is its caller's affair. The only file that includes libblkid. */
#include "storage/content_probe.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <blkid.h>

#include "util/cleanup.h"

#define END_SIZE UINT64_C(1048576)
#define ENTRIES_SHOWN 5
#define SIGNATURES_MAX 64 /* more than any disk has: a probe that finds again what was erased ends */

CLEANUP_DEFINE(blkid_probe, blkid_free_probe)
CLEANUP_DEFINE(DIR *, closedir)

__attribute__((format(printf, 2, 3))) static void add(char text[CONTENT_TEXT_SIZE], const char *format, ...)
{
	size_t used = strlen(text), begin;
	va_list arguments;

	if (used > 0 && used < CONTENT_TEXT_SIZE - 3)
		used += (size_t)sprintf(text + used, ", ");
	begin = used;
	va_start(arguments, format);
	vsnprintf(text + used, CONTENT_TEXT_SIZE - used, format, arguments);
	va_end(arguments);
	/* Labels and names of files are anybody's bytes. */
	for (char *at = text + begin; *at; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
}

static int probe_open(int fd, unsigned sector_size, blkid_probe *ret)
{
	_cleanup_(blkid_free_probe_p) blkid_probe probe = blkid_new_probe();

	if (!probe)
		return -ENOMEM;
	errno = 0;
	if (blkid_probe_set_device(probe, fd, 0, 0) != 0)
		return errno ? -errno : -EIO;
	if (sector_size)
		blkid_probe_set_sectorsize(probe, sector_size);
	blkid_probe_enable_superblocks(probe, 1);
	blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE | BLKID_SUBLKS_LABEL |
							 BLKID_SUBLKS_MAGIC | BLKID_SUBLKS_BADCSUM);
	blkid_probe_enable_partitions(probe, 1);
	blkid_probe_set_partitions_flags(probe, BLKID_PARTS_MAGIC | BLKID_PARTS_FORCE_GPT);
	*ret = TAKE_PTR(probe);
	return 0;
}

static const char *value(blkid_probe probe, const char *name)
{
	const char *text = NULL;

	return blkid_probe_lookup_value(probe, name, &text, NULL) == 0 ? text : NULL;
}

static void add_signature(blkid_probe probe, char text[CONTENT_TEXT_SIZE])
{
	const char *type = value(probe, "TYPE"), *usage = value(probe, "USAGE"),
		   *label = value(probe, "LABEL"), *table = value(probe, "PTTYPE");
	bool filesystem = usage && strcmp(usage, "filesystem") == 0;

	if (!type)
		add(text, "%s partition table", table ? table : "unknown");
	else if (label && label[0])
		add(text, "%s%s \"%s\"", type, filesystem ? " filesystem" : "", label);
	else
		add(text, "%s%s", type, filesystem ? " filesystem" : "");
}

static int read_at(int fd, void *to, size_t size, uint64_t at)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = pread(fd, (char *)to + done, size - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* The MiB at one end: what no library knows is data all the same. */
static int add_end(int fd, uint64_t at, uint64_t size, const char *where, char text[CONTENT_TEXT_SIZE])
{
	static const struct {
		uint8_t magic[4];
		const char *name;
	} sanlock[] = {{{0x10, 0x20, 0x21, 0x12}, "sanlock lockspace"},
		       {{0x10, 0x20, 0x15, 0x06}, "sanlock lease"}};
	_cleanup_free_ uint8_t *bytes = malloc(size + 1);
	int r;

	if (!bytes)
		return -ENOMEM;
	r = read_at(fd, bytes, size, at);
	if (r < 0 || size < sizeof(sanlock[0].magic))
		return r;
	for (size_t i = 0; at == 0 && i < sizeof(sanlock) / sizeof(sanlock[0]); i++)
		if (memcmp(bytes, sanlock[i].magic, sizeof(sanlock[i].magic)) == 0) {
			add(text, "%s", sanlock[i].name);
			return 0;
		}
	if (text[0] == '\0' && (bytes[0] != 0 || memcmp(bytes, bytes + 1, size - 1) != 0))
		add(text, "data of no known kind in the %s MiB", where);
	return 0;
}

int content_of_disk(int fd, uint64_t size, unsigned sector_size, char ret[CONTENT_TEXT_SIZE])
{
	_cleanup_(blkid_free_probe_p) blkid_probe probe = NULL;
	char text[CONTENT_TEXT_SIZE] = "";
	uint64_t end = size < END_SIZE ? size : END_SIZE;
	int found, r;

	r = probe_open(fd, sector_size, &probe);
	if (r < 0)
		return r;
	errno = 0;
	for (int i = 0; (found = blkid_do_probe(probe)) == 0 && i < SIGNATURES_MAX; i++)
		add_signature(probe, text);
	/* Some kinds' readers fail on a disk that is too small for them; what can be read is read below. */
	if (found < 0 && errno == EIO)
		return -EIO;
	r = add_end(fd, 0, end, "first", text);
	if (r == 0 && size > end)
		r = add_end(fd, size - end, end, "last", text);
	if (r < 0)
		return r;
	strcpy(ret, text);
	return text[0] != '\0';
}

static bool nobodys(const char *name)
{
	static const char *const names[] = {".", "..", "lost+found", ".snapshot"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

void content_take_name(struct content_names *names, const char *name)
{
	if (!nobodys(name) && ++names->n <= ENTRIES_SHOWN)
		add(names->text, "%.40s", name);
}

int content_tell_names(struct content_names *names, char ret[CONTENT_TEXT_SIZE])
{
	if (names->n > ENTRIES_SHOWN)
		add(names->text, "%u more", names->n - ENTRIES_SHOWN);
	strcpy(ret, names->text);
	return names->n > 0;
}

int content_of_folder(int fd, char ret[CONTENT_TEXT_SIZE])
{
	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedir_p) DIR *folder = own < 0 ? NULL : fdopendir(own);
	struct content_names names = {.n = 0};

	if (!folder) {
		int error = errno;

		if (own >= 0)
			close(own);
		return -error;
	}
	for (;;) {
		const struct dirent *entry;

		errno = 0;
		entry = readdir(folder);
		if (!entry)
			break;
		content_take_name(&names, entry->d_name);
	}
	return errno != 0 ? -errno : content_tell_names(&names, ret);
}

static int zero_at(int fd, uint64_t at, uint64_t size)
{
	static const uint8_t zeros[65536];

	for (uint64_t done = 0; done < size;) {
		size_t part = size - done < sizeof(zeros) ? (size_t)(size - done) : sizeof(zeros);
		ssize_t n = pwrite(fd, zeros, part, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

int content_erase(int fd, uint64_t size, unsigned sector_size)
{
	_cleanup_(blkid_free_probe_p) blkid_probe probe = NULL;
	uint64_t end = size < END_SIZE ? size : END_SIZE;
	char left[CONTENT_TEXT_SIZE];
	int r;

	r = probe_open(fd, sector_size, &probe);
	if (r < 0)
		return r;
	for (int i = 0; blkid_do_probe(probe) == 0 && i < SIGNATURES_MAX; i++)
		if (blkid_do_wipe(probe, 0) != 0)
			return errno ? -errno : -EIO;
	r = zero_at(fd, 0, end);
	if (r == 0)
		r = zero_at(fd, size - end, end);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r < 0)
		return r;
	r = content_of_disk(fd, size, sector_size, left);
	return r > 0 ? -EBUSY : r;
}
