/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The codec of the block that says of which storage domain and lockspace a whiteboard is (safety rule 8). It
 * follows the hosts' blocks, where whiteboards made by versions before us end. Pure; bytes are untrusted. */
#pragma once

#include <stdint.h>

#include "metadata/store.h"

#define IDENTITY_BLOCK BLOCKS_MAX
#define IDENTITY_TEXT_SIZE 256

struct identity {
	char domain[IDENTITY_TEXT_SIZE];    /* sdUUID, compared without regard to case */
	char lockspace[IDENTITY_TEXT_SIZE]; /* name */
};

enum identity_match {
	IDENTITY_UNKNOWN, /* absent or no such text: a whiteboard of an older cluster, accepted */
	IDENTITY_SAME,
	IDENTITY_OTHER, /* names another domain or lockspace: no join */
};

/* 0, -ENODATA when the block is absent, -EBADMSG when it is not such a text; *ret is untouched then. */
int identity_decode(const uint8_t block[BLOCK_SIZE], struct identity *ret);
enum identity_match identity_compare(const uint8_t block[BLOCK_SIZE], const struct identity *wanted);
/* 0, or -EINVAL when a name is empty or has other than printable ASCII. */
int identity_encode(const struct identity *identity, uint8_t ret[BLOCK_SIZE]);
