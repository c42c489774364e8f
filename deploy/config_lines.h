/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files of KEY = VALUE lines that belong to others (libvirt's, those of /etc/default), changed by the line:
 * all the rest stays to the letter. Pure. Used by host_setup.c. */
#pragma once

#include <stddef.h>

/* The one line that sets `key`. 1 and where it is, without its newline; 0: none, comments aside; -EINVAL:
 * several, or one that goes on in the next. */
int config_line_find(const char *text, const char *key, size_t *ret_at, size_t *ret_length);

/* What a line sets, without quotes and without a comment behind; for free(). NULL: no memory. */
char *config_line_value(const char *line, size_t length);

/* The text with `line` in the place of the key's, or at its end; NULL: without it. For free(); NULL: no
 * memory. config_line_find() must not fail on it. */
char *config_line_replace(const char *text, const char *key, const char *line);
