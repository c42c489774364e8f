/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Strict KEY=VALUE files, with or without [sections], that keep every line for rewriting. Lines whose first
 * character is `#` or `;` are comments; inside a value both are ordinary. Blanks around key and value don't
 * count. A NUL, a control character but for tabs, a line without `=`, a section's name that is empty or
 * begins or ends with a blank, a key twice in a section, a line over 1 MiB: each is a problem with its line.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "util/cleanup.h"
#include "util/problems.h"

#define KEYFILE_LINE_MAX (1024 * 1024)
#define KEYFILE_SIZE_MAX (4 * 1024 * 1024)
#define KEYFILE_KEYS_MAX 4096
#define KEYFILE_PROBLEMS_MAX 20 /* said per file: more of them is noise */

struct keyfile;

/* `name` is what problems call the file (copied). 0; -EINVAL with the problems said; -ENOMEM. Does not block.
 */
int keyfile_parse(const char *name, const char *text, size_t size, bool sections, struct keyfile **ret,
		  struct problems *problems);
/* Reads a file, which blocks. -ENOENT is left to the caller to say; all else is said: cannot be read, not a
 * regular file, too large, and what keyfile_parse() finds. */
int keyfile_load(const char *path, bool sections, struct keyfile **ret, struct problems *problems);
int keyfile_new(const char *name, bool sections, struct keyfile **ret); /* empty; 0 or -ENOMEM */
void keyfile_free(struct keyfile *file);
CLEANUP_DEFINE(struct keyfile *, keyfile_free)
#define _cleanup_keyfile_ _cleanup_(keyfile_free_p)

const char *keyfile_name(const struct keyfile *file);
/* The value, or NULL. `section` is "" outside of sections. */
const char *keyfile_get(const struct keyfile *file, const char *section, const char *key);
/* Entries in the order of the file, i from 0. False: there is none. Each ret may be NULL. */
bool keyfile_entry(const struct keyfile *file, size_t i, const char **ret_section, const char **ret_key,
		   const char **ret_value, unsigned *ret_line);

/* Changes the value where it stands, else adds a line at the end of its section (which is made at the end of
 * the file); NULL takes the line out. -EINVAL: a key or value that could not be read back. */
int keyfile_set(struct keyfile *file, const char *section, const char *key, const char *value);
/* All lines as text with a NUL behind it, for free(). 0 or -ENOMEM. */
int keyfile_format(const struct keyfile *file, char **ret, size_t *ret_size);
/* file_replace() with all lines. */
int keyfile_save(const struct keyfile *file, const char *path, mode_t mode);
