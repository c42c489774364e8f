/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Says whether a whiteboard belongs to the configured domain. Decides nothing else: the broker refuses the
 * join. Called by the broker, and by the deployment that writes the block. */
#include "metadata/identity.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_name(const char *text, size_t length)
{
	if (length == 0 || length >= IDENTITY_TEXT_SIZE)
		return false;
	for (size_t i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return true;
}

/* Takes the line `KEY=name` off *at. */
static bool take_name(const char **at, const char *end, const char *key, char ret[IDENTITY_TEXT_SIZE])
{
	size_t key_length = strlen(key), length;
	const char *newline;

	if ((size_t)(end - *at) < key_length || memcmp(*at, key, key_length) != 0)
		return false;
	*at += key_length;
	newline = memchr(*at, '\n', (size_t)(end - *at));
	length = (size_t)((newline ? newline : end) - *at);
	if (!is_name(*at, length))
		return false;
	memcpy(ret, *at, length);
	ret[length] = '\0';
	*at = newline ? newline + 1 : end;
	return true;
}

int identity_decode(const uint8_t block[BLOCK_SIZE], struct identity *ret)
{
	const char *at = (const char *)block, *end = memchr(block, '\0', BLOCK_SIZE);
	struct identity identity = {0};

	if (!end)
		end = at + BLOCK_SIZE;
	if (at == end)
		return -ENODATA;
	if (!take_name(&at, end, "domain=", identity.domain) ||
	    !take_name(&at, end, "lockspace=", identity.lockspace))
		return -EBADMSG;
	*ret = identity;
	return 0;
}

enum identity_match identity_compare(const uint8_t block[BLOCK_SIZE], const struct identity *wanted)
{
	struct identity found;

	if (identity_decode(block, &found) < 0)
		return IDENTITY_UNKNOWN;
	/* Rule 8: parts of one domain are never joined with those of another. */
	return strcasecmp(found.domain, wanted->domain) == 0 &&
			       strcmp(found.lockspace, wanted->lockspace) == 0
		       ? IDENTITY_SAME
		       : IDENTITY_OTHER;
}

int identity_encode(const struct identity *identity, uint8_t ret[BLOCK_SIZE])
{
	if (!is_name(identity->domain, strnlen(identity->domain, IDENTITY_TEXT_SIZE)) ||
	    !is_name(identity->lockspace, strnlen(identity->lockspace, IDENTITY_TEXT_SIZE)))
		return -EINVAL;
	memset(ret, 0, BLOCK_SIZE);
	snprintf((char *)ret, BLOCK_SIZE, "domain=%s\nlockspace=%s\n", identity->domain, identity->lockspace);
	return 0;
}
