/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Enums and their words: one table per enum, its length checked at compile time. */
#pragma once

#include <string.h>

/* Defines `const char *NAME_str(enum)` and `int NAME_parse(const char *)` (the value, or -1) from a table
 * with exactly COUNT words. An index out of range is our own mistake and gives "?". */
#define STRTAB_DEFINE(name, type, count, ...)                                                                \
	static const char *const name##_words[] = {__VA_ARGS__};                                             \
	_Static_assert(sizeof(name##_words) / sizeof(name##_words[0]) == (count),                            \
		       #name ": a word is missing");                                                         \
	const char *name##_str(type value)                                                                   \
	{                                                                                                    \
		return (unsigned)value < (count) ? name##_words[value] : "?";                                \
	}                                                                                                    \
	int name##_parse(const char *word)                                                                   \
	{                                                                                                    \
		for (unsigned i = 0; i < (count); i++)                                                       \
			if (strcmp(name##_words[i], word) == 0)                                              \
				return (int)i;                                                               \
		return -1;                                                                                   \
	}

#define STRTAB_DECLARE(name, type)                                                                           \
	const char *name##_str(type value);                                                                  \
	int name##_parse(const char *word)
