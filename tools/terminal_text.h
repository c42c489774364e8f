/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text of unknown origin on its way to a terminal: whatever could move the cursor, change colours, reorder
 * letters or end a line is shown as `?`. Records are written by any host, so nothing of them reaches a
 * terminal without this. Pure but for the stream. The printers of tools/ call it. */
#pragma once

#include <stddef.h>
#include <stdio.h>

/* Writes `len` bytes of `text` to `out`: printable ASCII and well-formed UTF-8 of printable characters as
 * they are, every other byte (control characters, C1, direction marks, line separators, broken UTF-8) as one
 * `?`. */
void terminal_put(FILE *out, const char *text, size_t len);
/* A word that is said to be wrong, likewise; of a long one its first 200 bytes, less what they cut of a
 * character, and `...`. */
void terminal_put_word(FILE *out, const char *word, size_t len);
