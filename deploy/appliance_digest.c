/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which lines of a manifest are understood. The only one that includes nettle. */
#include "deploy/appliance_digest.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nettle/nettle-meta.h>
#include <nettle/sha2.h>

#include "deploy/appliance_parts.h"

static const struct nettle_hash *const hashes[] = {&nettle_sha1, &nettle_sha256, &nettle_sha512};

struct digest {
	const struct nettle_hash *hash;
	char expected[APPLIANCE_DIGEST_SIZE];
	_Alignas(max_align_t) char context[];
};

static const struct nettle_hash *hash_of(const char *hex)
{
	for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++)
		if (strlen(hex) == 2 * hashes[i]->digest_size)
			return hashes[i];
	return NULL;
}

/* WORD(NAME)= HEX, as openssl writes it too. False: it is about another file. */
static bool is_about(const char *line, size_t length, const char *name, const char **ret_hex)
{
	const char *open = memchr(line, '(', length), *close = open;
	const size_t size = strlen(name);

	/* The name may have brackets itself. */
	for (const char *at = line; at < line + length; at++)
		close = *at == ')' ? at : close;
	if (!open || close == open || (size_t)(close - open) != size + 1 || memcmp(open + 1, name, size) != 0)
		return false;
	for (close++; close < line + length && (*close == ' ' || *close == '='); close++)
		;
	*ret_hex = close;
	return true;
}

int manifest_find(const char *text, const char *name, char ret[APPLIANCE_DIGEST_SIZE],
		  char ret_why[APPLIANCE_WHY_SIZE])
{
	ret[0] = '\0';
	while (*text) {
		size_t length = strcspn(text, "\r\n"), n = 0;
		const char *hex;

		if (is_about(text, length, name, &hex)) {
			for (; isxdigit((unsigned char)hex[n]) && n + 1 < APPLIANCE_DIGEST_SIZE; n++)
				ret[n] = (char)tolower((unsigned char)hex[n]);
			ret[n] = '\0';
			/* Writers spell it SHA256 or SHA2-256: the length tells. */
			if (strncmp(text, "SHA", 3) == 0 && hash_of(ret))
				return 0;
			ret[0] = '\0';
			return appliance_why(
				ret_why, -EINVAL,
				"the OVA's manifest has a digest of %.200s that is not "
				"understood: take its manifest (.mf) out, or write it with SHA256",
				name);
		}
		text += length + (text[length] != '\0');
	}
	return 0;
}

struct digest *digest_new(const char *expected)
{
	const struct nettle_hash *hash = hash_of(expected);
	struct digest *digest;

	assert(hash);
	digest = calloc(1, sizeof(*digest) + hash->context_size);
	if (!digest)
		return NULL;
	digest->hash = hash;
	strcpy(digest->expected, expected);
	hash->init(digest->context);
	return digest;
}

void digest_free(struct digest *digest)
{
	free(digest);
}

void digest_add(struct digest *digest, const void *data, size_t size)
{
	static const uint8_t zeros[65536];

	while (size > 0) {
		size_t n = data || size < sizeof(zeros) ? size : sizeof(zeros);

		digest->hash->update(digest->context, n, data ? data : zeros);
		size -= n;
	}
}

int digest_end(struct digest *digest, const char *name, char ret_why[APPLIANCE_WHY_SIZE])
{
	uint8_t bytes[SHA512_DIGEST_SIZE];
	char hex[APPLIANCE_DIGEST_SIZE];

	digest->hash->digest(digest->context, digest->hash->digest_size, bytes);
	for (size_t i = 0; i < digest->hash->digest_size; i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	if (strcmp(hex, digest->expected) == 0)
		return 0;
	return appliance_why(
		ret_why, -EBADMSG,
		"the OVA's %.200s is not what its manifest says (%s): it was damaged on its way; "
		"fetch it again",
		name, digest->hash->name);
}
