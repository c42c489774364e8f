/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The codec of block 0, the cluster's: global maintenance, and lines of others that are kept. Pure; bytes are
 * untrusted. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/snapshot.h"
#include "metadata/store.h"

#define GLOBAL_CAUSE_SIZE 64

/* FLAG_YES or FLAG_NO; FLAG_UNKNOWN: unreadable, and `cause` says why in plain ASCII. A block that is absent,
 * or a text without the key, is no maintenance. */
enum flag global_decode(const uint8_t block[BLOCK_SIZE], char cause[GLOBAL_CAUSE_SIZE]);

/* The block that follows `old` (all NUL: none) when maintenance is set to `maintenance`. Lines of keys that
 * we don't know are kept as far as there is room and as they are plain ASCII. `ret` may be `old`. */
void global_encode(const uint8_t old[BLOCK_SIZE], bool maintenance, uint8_t ret[BLOCK_SIZE]);
