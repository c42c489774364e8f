/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Packs and unpacks the shared configuration. The only file that includes libarchive. Decides which archives
 * are taken: any that has the five texts as plain files, from whichever tar it came. It may not touch a file,
 * nor take a name for a path. Called by conf_layout.c, conf_transfer.c and who saves or restores one. */
#include "metadata/conf_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/cleanup.h"

#define MODE 0600 /* the texts have passwords of the storage and the mail server */
#define ENTRIES_MAX 64

STRTAB_DEFINE(conf_entry, enum conf_entry, CONF_ENTRY_COUNT, "version", "hosted-engine.conf", "broker.conf",
	      "vm.conf", "fhanswers.conf")

CLEANUP_DEFINE(struct archive *, archive_read_free)
CLEANUP_DEFINE(struct archive *, archive_write_free)
CLEANUP_DEFINE(struct archive_entry *, archive_entry_free)

static int translate(struct archive *a)
{
	int error = archive_errno(a);

	return error == ENOMEM ? -ENOMEM : -EBADMSG;
}

static int say(char cause[CONF_CAUSE_SIZE], const char *name, const char *what)
{
	snprintf(cause, CONF_CAUSE_SIZE, "%.*s%s%s", CONF_CAUSE_SIZE / 2, name, name[0] ? ": " : "", what);
	/* Names come from a disk or a stranger's file and go to a terminal. */
	for (char *c = cause; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return -EBADMSG;
}

static int say_error(char cause[CONF_CAUSE_SIZE], const char *name, struct archive *a)
{
	const char *text = archive_error_string(a);

	say(cause, name, text ? text : "no sound tar");
	return translate(a);
}

int conf_archive_set(struct conf_archive *archive, enum conf_entry entry, const char *text, size_t length)
{
	char *copy;

	assert(entry < CONF_ENTRY_COUNT);
	if (length > CONF_TEXT_MAX)
		return -EFBIG;
	if (memchr(text, '\0', length))
		return -EINVAL;
	copy = strndup(text, length);
	if (!copy)
		return -ENOMEM;
	free(archive->texts[entry].text);
	archive->texts[entry] = (struct conf_text){copy, length};
	return 0;
}

void conf_archive_done(struct conf_archive *archive)
{
	for (size_t i = 0; i < CONF_ENTRY_COUNT; i++)
		free(archive->texts[i].text);
	*archive = (struct conf_archive){0};
}

static int write_header(struct archive *a, const char *name, size_t size)
{
	_cleanup_(archive_entry_free_p) struct archive_entry *entry = archive_entry_new();

	if (!entry)
		return -ENOMEM;
	/* Without times and owners: the same texts are the same bytes. */
	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, MODE);
	archive_entry_set_mtime(entry, 0, 0);
	archive_entry_set_size(entry, (la_int64_t)size);
	return archive_write_header(a, entry) == ARCHIVE_OK ? 0 : translate(a);
}

static int write_open(uint8_t *buffer, size_t size, size_t *used, struct archive **ret)
{
	_cleanup_(archive_write_free_p) struct archive *a = archive_write_new();

	if (!a)
		return -ENOMEM;
	/* ustar: what every tar reads, and our names and sizes need no more. */
	if (archive_write_set_format_ustar(a) != ARCHIVE_OK ||
	    archive_write_set_bytes_per_block(a, 0) != ARCHIVE_OK ||
	    archive_write_open_memory(a, buffer, size, used) != ARCHIVE_OK)
		return translate(a);
	*ret = TAKE_PTR(a);
	return 0;
}

int conf_archive_pack(const struct conf_archive *archive, uint8_t **ret, size_t *ret_size)
{
	_cleanup_(archive_write_free_p) struct archive *a = NULL;
	_cleanup_free_ uint8_t *buffer = NULL;
	size_t used = 0;
	int r;

	if (archive->others > 0)
		return -ENOTSUP;
	buffer = malloc(CONF_ARCHIVE_MAX);
	if (!buffer)
		return -ENOMEM;
	r = write_open(buffer, CONF_ARCHIVE_MAX, &used, &a);
	for (size_t i = 0; r == 0 && i < CONF_ENTRY_COUNT; i++) {
		const struct conf_text *text = &archive->texts[i];

		assert(text->length <= CONF_TEXT_MAX);
		r = write_header(a, conf_entry_str((enum conf_entry)i), text->length);
		if (r == 0 && text->length > 0 &&
		    archive_write_data(a, text->text, text->length) != (la_ssize_t)text->length)
			r = translate(a);
	}
	if (r == 0 && archive_write_close(a) != ARCHIVE_OK)
		r = translate(a);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(buffer);
	*ret_size = used;
	return 0;
}

static int read_open(const uint8_t *data, size_t size, struct archive **ret)
{
	_cleanup_(archive_read_free_p) struct archive *a = archive_read_new();

	if (!a)
		return -ENOMEM;
	/* No filters: a few KiB could unpack to anything. */
	if (archive_read_support_format_tar(a) != ARCHIVE_OK ||
	    archive_read_open_memory(a, data, size) != ARCHIVE_OK)
		return translate(a);
	*ret = TAKE_PTR(a);
	return 0;
}

/* Some bytes of a text are never read as another: a link, a hole, a device of the text's name is refused. */
static bool is_plain_file(struct archive_entry *entry)
{
	return archive_entry_filetype(entry) == AE_IFREG && !archive_entry_hardlink(entry) &&
	       archive_entry_sparse_count(entry) == 0 && archive_entry_size_is_set(entry) &&
	       archive_entry_size(entry) >= 0;
}

static int take_text(struct archive *a, const char *name, size_t size, struct conf_text *ret,
		     char cause[CONF_CAUSE_SIZE])
{
	_cleanup_free_ char *text = NULL;
	la_ssize_t n;

	if (ret->text)
		return say(cause, name, "there twice");
	if (size > CONF_TEXT_MAX)
		return say(cause, name, "too long");
	text = malloc(size + 1);
	if (!text) {
		say(cause, name, "out of memory");
		return -ENOMEM;
	}
	n = archive_read_data(a, text, size);
	if (n < 0)
		return say_error(cause, name, a);
	if ((size_t)n != size)
		return say(cause, name, "cut off");
	if (memchr(text, '\0', size))
		return say(cause, name, "no text");
	text[size] = '\0';
	*ret = (struct conf_text){TAKE_PTR(text), size};
	return 0;
}

static int take_entry(struct archive *a, struct archive_entry *entry, struct conf_archive *found,
		      char cause[CONF_CAUSE_SIZE])
{
	const char *name = archive_entry_pathname(entry);
	int known;

	if (!name || !name[0] || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return say(cause, name ? name : "", "not the name of an entry");
	if (!is_plain_file(entry))
		return say(cause, name, "not a regular file");
	known = conf_entry_parse(name);
	if (known < 0) {
		/* A later version may have more to share. What it is for is not ours to know, nor to lose. */
		found->others++;
		return 0;
	}
	return take_text(a, name, (size_t)archive_entry_size(entry), &found->texts[known], cause);
}

static int take_all(const uint8_t *data, size_t size, struct conf_archive *found, char cause[CONF_CAUSE_SIZE])
{
	_cleanup_(archive_read_free_p) struct archive *a = NULL;
	struct archive_entry *entry;
	char number[24];
	unsigned count = 0;
	int r = read_open(data, size, &a), status;

	if (r < 0)
		return r == -ENOMEM ? r : say(cause, "", "no sound tar");
	while ((status = archive_read_next_header(a, &entry)) == ARCHIVE_OK) {
		if (count++ == ENTRIES_MAX)
			return say(cause, "", "too many entries");
		r = take_entry(a, entry, found, cause);
		if (r < 0)
			return r;
	}
	snprintf(number, sizeof(number), "entry %u", count + 1);
	return status == ARCHIVE_EOF ? 0 : say_error(cause, number, a);
}

int conf_archive_unpack(const uint8_t *data, size_t size, struct conf_archive *ret,
			char cause[CONF_CAUSE_SIZE])
{
	struct conf_archive found = {0};
	int r;

	cause[0] = '\0';
	r = take_all(data, size, &found, cause);
	for (size_t i = 0; r == 0 && i < CONF_ENTRY_COUNT; i++)
		if (!found.texts[i].text)
			r = say(cause, conf_entry_str((enum conf_entry)i), "missing");
	if (r < 0) {
		conf_archive_done(&found);
		return r;
	}
	*ret = found;
	return 0;
}

bool conf_archive_begins(const uint8_t *data, size_t size, const char *jump)
{
	_cleanup_(archive_read_free_p) struct archive *a = NULL;
	struct archive_entry *entry;
	const char *name;

	if (read_open(data, size, &a) < 0 || archive_read_next_header(a, &entry) != ARCHIVE_OK)
		return false;
	name = archive_entry_pathname(entry);
	return name && strcmp(name, jump) != 0;
}

int conf_archive_jump(const char *jump, size_t size, uint8_t ret[CONF_TAR_BLOCK])
{
	_cleanup_(archive_write_free_p) struct archive *a = NULL;
	uint8_t header[CONF_TAR_BLOCK];
	size_t used = 0;
	int r = write_open(header, sizeof(header), &used, &a);

	if (r == 0)
		r = write_header(a, jump, size);
	if (r < 0)
		return r;
	/* Its content is written by others. The zeros that closing would write for it end at the full buffer.
	 */
	assert(used == sizeof(header));
	memcpy(ret, header, sizeof(header));
	return 0;
}
