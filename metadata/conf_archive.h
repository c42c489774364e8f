/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The archive of the shared configuration: a tar of five texts, as existing clusters have it on their conf
 * volume. Works on buffers, nothing is ever unpacked into a folder. Pure but for the heap; bytes are
 * untrusted. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/strtab.h"

#define CONF_TEXT_MAX (256 * 1024) /* bytes of one text; vm.conf holds the domain's XML */
#define CONF_TAR_BLOCK 512	   /* of which every tar is a multiple */
#define CONF_CAUSE_SIZE 192

enum conf_entry {
	CONF_ENTRY_VERSION,
	CONF_ENTRY_HOSTED_ENGINE,
	CONF_ENTRY_BROKER,
	CONF_ENTRY_VM,
	CONF_ENTRY_ANSWERS,
	CONF_ENTRY_COUNT
};
STRTAB_DECLARE(conf_entry, enum conf_entry); /* the entry's name in the archive: `vm.conf` */

/* What a tar of all five takes at most. */
#define CONF_ARCHIVE_MAX (CONF_ENTRY_COUNT * (CONF_TAR_BLOCK + CONF_TEXT_MAX) + 2 * CONF_TAR_BLOCK)

struct conf_text {
	char *text; /* without NUL but for the one behind it; may be empty, never NULL in a whole archive */
	size_t length;
};

struct conf_archive {
	struct conf_text texts[CONF_ENTRY_COUNT];
	unsigned others; /* entries of other names, which were passed over */
};

/* A copy of `length` bytes. 0, or -errno with the old text kept: -EFBIG over CONF_TEXT_MAX, -EINVAL when it
 * has a NUL. */
int conf_archive_set(struct conf_archive *archive, enum conf_entry entry, const char *text, size_t length);
/* Frees the texts and makes it empty. */
void conf_archive_done(struct conf_archive *archive);

/* The five in a ustar that depends on nothing but them; a text that was not set is empty. *ret is to be
 * freed. 0 or -errno; -ENOTSUP: it was unpacked from one with other entries, which would be lost. */
int conf_archive_pack(const struct conf_archive *archive, uint8_t **ret, size_t *ret_size);

/* All five have to be there, once each, as regular files within their bounds; bytes behind the archive's end
 * are not looked at. 0, -ENOMEM or -EBADMSG; `cause` then names the entry in plain ASCII, and *ret, which is
 * empty before, is untouched. */
int conf_archive_unpack(const uint8_t *data, size_t size, struct conf_archive *ret,
			char cause[CONF_CAUSE_SIZE]);

/* Whether the data begins with a sound header of an entry that is not called `jump`, which nobody but us
 * writes. `size` of at least a CONF_TAR_BLOCK is enough. */
bool conf_archive_begins(const uint8_t *data, size_t size, const char *jump);
/* The header of a regular entry called `jump` of `size` bytes: who reads a tar from there finds its next
 * entry behind them. 0 or -errno. */
int conf_archive_jump(const char *jump, size_t size, uint8_t ret[CONF_TAR_BLOCK]);
