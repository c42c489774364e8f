/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an OVA's manifest says of its files, and whether that is true of their bytes. It guards against what
 * was damaged on its way, not against who wrote both. Pure. Called by appliance_ova.c alone. */
#pragma once

#include <stddef.h>

#include "deploy/appliance.h"

#define MANIFEST_MAX (1024 * 1024) /* bytes */

/* The digest that the manifest has of `name`, in lower-case hexadecimal; "": it does not list it. 0, or
 * -EINVAL: its line is none of SHA1, SHA256 or SHA512. */
int manifest_find(const char *text, const char *name, char ret[APPLIANCE_DIGEST_SIZE],
		  char ret_why[APPLIANCE_WHY_SIZE]);

struct digest; /* of bytes that come one after the other */

/* For a digest as manifest_find() gives it. NULL: out of memory. */
struct digest *digest_new(const char *expected);
void digest_free(struct digest *digest);
/* Does not block. data NULL: as many zeros. */
void digest_add(struct digest *digest, const void *data, size_t size);
/* Once. 0, or -EBADMSG: the bytes are others. */
int digest_end(struct digest *digest, const char *name, char ret_why[APPLIANCE_WHY_SIZE]);
