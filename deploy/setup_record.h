/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What was changed on this host, as a file of sections that people can read too, written before each change
 * is made: /etc/ovirt-hosted-engine/setup/changes, and beside it NAME.before, each changed file's old
 * content. Between the files of host_setup.h alone. Blocks on the files. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "deploy/host_setup.h"
#include "util/keyfile.h"

/* Sections. That of a file is its path, and each key in it has the line that was put there. */
#define RECORD_MASKED "masked"	 /* units */
#define RECORD_ENABLED "enabled" /* units */
#define RECORD_RESTART "restart" /* services that run with what their files said before */

struct setup_record {
	const struct host_setup *setup;
	struct keyfile *lines;
	char *text; /* for people, HOST_SETUP_TEXT_SIZE */
};

/* 0, or -errno with a line in `text`. */
int setup_record_open(struct setup_record *record, const struct host_setup *setup, char *text);
void setup_record_close(struct setup_record *record);
#define _cleanup_setup_record_ _cleanup_(setup_record_close)

bool setup_record_has(const struct setup_record *record, const char *section, const char *key);
/* Sets, or with NULL forgets, and is on storage when it returns. 0, or -errno with a line in the text. */
int setup_record_put(struct setup_record *record, const char *section, const char *key, const char *value);

/* Keeps `content` as the file's old one, unless one is kept. 0, or -errno with a line in the text. */
int setup_record_keep(struct setup_record *record, const char *path, const char *content);
/* What was kept, for free(). 0, or -errno: -ENOENT nothing was. */
int setup_record_kept(struct setup_record *record, const char *path, char **ret);
void setup_record_drop(struct setup_record *record, const char *path);

/* Adds a line to the text; what does not fit is cut. */
__attribute__((format(printf, 2, 3))) void setup_say(struct setup_record *record, const char *format, ...);
/* Makes this line the whole text, and gives the error back. */
__attribute__((format(printf, 3, 4))) int setup_fail(struct setup_record *record, int error,
						     const char *format, ...);

/* The path below the root. */
const char *setup_path(const struct setup_record *record, const char *path, char ret[PATH_MAX]);
/* A whole file, NUL terminated, 1 MiB at most and without a NUL in it, for free(). 0 or -errno. */
int setup_read(const struct setup_record *record, const char *path, char **ret);
