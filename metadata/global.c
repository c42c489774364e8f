/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads and rewrites block 0. Decides when it is unreadable, which is never the same as "no maintenance": a
 * VM would be started under the hands of the operator who forbade it. Called by the broker and the tools. */
#include "metadata/global.h"

#include <stdio.h>
#include <string.h>

#include "metadata/padding.h"

#define KEY "maintenance="
#define KEY_LENGTH (sizeof(KEY) - 1)

/* Takes the next line off the text; false at the end. */
static bool next_line(const uint8_t **at, const uint8_t *end, const uint8_t **ret_line, size_t *ret_length)
{
	const uint8_t *newline;

	if (*at >= end)
		return false;
	newline = memchr(*at, '\n', (size_t)(end - *at));
	*ret_line = *at;
	*ret_length = (size_t)((newline ? newline : end) - *at);
	*at = newline ? newline + 1 : end;
	return true;
}

static const uint8_t *text_end(const uint8_t block[BLOCK_SIZE])
{
	/* As with host blocks, a leading NUL is an absent block. */
	return block[0] == '\0' ? block : block + padding_begin(block, BLOCK_SIZE);
}

static bool is_maintenance(const uint8_t *line, size_t length)
{
	return length >= KEY_LENGTH && memcmp(line, KEY, KEY_LENGTH) == 0;
}

static bool is_ascii(const uint8_t *line, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (line[i] != '\t' && (line[i] < ' ' || line[i] > '~'))
			return false;
	return true;
}

static enum flag parse_value(const uint8_t *value, size_t length)
{
	switch (length > 0 ? value[0] : 0) {
	case 't':
	case 'T':
	case 'y':
	case 'Y':
	case '1':
		return FLAG_YES;
	case 'f':
	case 'F':
	case 'n':
	case 'N':
	case '0':
		return FLAG_NO;
	}
	return FLAG_UNKNOWN;
}

enum flag global_decode(const uint8_t block[BLOCK_SIZE], char cause[GLOBAL_CAUSE_SIZE])
{
	const uint8_t *at = block, *end = text_end(block), *line;
	enum flag flag = FLAG_NO;
	bool found = false, ascii = true;
	size_t length;

	cause[0] = '\0';
	while (next_line(&at, end, &line, &length)) {
		if (!is_maintenance(line, length)) {
			ascii = ascii && is_ascii(line, length);
			continue;
		}
		/* The last line counts, but one that can't be read spoils all: which was meant is not known.
		 */
		flag = parse_value(line + KEY_LENGTH, length - KEY_LENGTH);
		if (flag == FLAG_UNKNOWN) {
			snprintf(cause, GLOBAL_CAUSE_SIZE, "maintenance is neither yes nor no");
			return FLAG_UNKNOWN;
		}
		found = true;
	}
	if (!found && !ascii) {
		snprintf(cause, GLOBAL_CAUSE_SIZE, "not a text");
		return FLAG_UNKNOWN;
	}
	return flag;
}

void global_encode(const uint8_t old[BLOCK_SIZE], bool maintenance, uint8_t ret[BLOCK_SIZE])
{
	const uint8_t *at = old, *end = text_end(old), *line;
	uint8_t block[BLOCK_SIZE] = {0};
	size_t length, used = KEY_LENGTH + 1;

	memcpy(block, KEY, KEY_LENGTH);
	block[KEY_LENGTH] = maintenance ? '1' : '0';
	while (next_line(&at, end, &line, &length)) {
		/* Bytes of other than ASCII would hide the hosts from readers that count characters. */
		if (length == 0 || is_maintenance(line, length) || !is_ascii(line, length) ||
		    used + 1 + length > sizeof(block))
			continue;
		block[used++] = '\n';
		memcpy(block + used, line, length);
		used += length;
	}
	memcpy(ret, block, sizeof(block));
}
