/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One table per configuration file: every key with its type, range, unit, default and one line of help. The
 * table fills a struct, judges values, writes the commented file that a package installs, and is what the
 * manual pages are checked against. */
#pragma once

#include <limits.h>
#include <stdint.h>
#include <stdio.h>

#include "util/keyfile.h"

enum setting_type {
	SETTING_KEPT,	  /* known, of no use here: kept when the file is rewritten, never judged */
	SETTING_STRING,	  /* char[] */
	SETTING_INT,	  /* integer of 1, 2, 4 or 8 bytes: the number times `scale` */
	SETTING_BOOL,	  /* bool; yes no true false 1 0, in any case */
	SETTING_DURATION, /* integer of 4 or 8 bytes, in units of `scale` ms; a number of seconds, or with ms
			     s min h behind */
	SETTING_PATH,	  /* char[]: absolute */
	SETTING_PLACE,	  /* struct place: PATH[:OFFSET]; where `url` is set also SCHEME://.., as it stands */
	SETTING_UUID,	  /* char[37]; stored in lower case */
	SETTING_WORD,	  /* unsigned of 4 bytes: index in `words` */
};

/* A place on storage. Empty path: not set. A path with `://` is another kind of address, with offset 0. */
struct place {
	char path[PATH_MAX / 4];
	uint64_t offset; /* bytes, a multiple of 512 */
};

struct setting {
	const char *section; /* "": the file has none */
	const char *key;
	enum setting_type type;
	const char *fallback;	  /* the default as one writes it; "": not set, and an empty value is fine */
	size_t offset, size;	  /* of the field; SETTING_FIELD() */
	int64_t min, max;	  /* SETTING_INT as written; SETTING_DURATION in ms */
	int64_t scale;		  /* 0 means 1 */
	const char *unit;	  /* for people: "points", "%"; NULL none */
	const char *const *words; /* SETTING_WORD: up to a NULL */
	const char *(*check)(
		const char *value); /* more to judge: what is wrong and what to do, or NULL; may be NULL */
	bool secret;		    /* the value is not shown in problems */
	bool url;		    /* SETTING_PLACE: who uses it judges SCHEME://.. */
	const char *help;	    /* one line */
};

#define SETTING_FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)NULL)->member)

struct settings {
	const struct setting *rows;
	size_t n_rows;
	const char *title; /* first comment of the installed file, lines without `# `, may be several */
};

/* Defaults into the struct. They must be right: asserted. */
void settings_defaults(const struct settings *table, void *target);
/* Values of the file over what the struct has. A value that is wrong leaves its field; so does an unknown
 * key. 0, or -EINVAL with every problem said. */
int settings_apply(const struct settings *table, const struct keyfile *file, void *target,
		   struct problems *problems);
/* Judges one value. 0, or -EINVAL and the problem in `what`, at most `size` bytes: "is below 1 s; give 1 s to
 * 60 s". */
int setting_parse(const struct setting *setting, const char *value, void *target, char *what, size_t size);
/* NULL: there is none. */
const struct setting *settings_find(const struct settings *table, const char *section, const char *key);
/* "whole number, 1 to 60", "yes or no": for the file and the manual. */
void setting_range(const struct setting *setting, char *ret, size_t size);
/* The file that a package installs: every key as a comment at its default, with help and range. */
void settings_write(const struct settings *table, FILE *out);
