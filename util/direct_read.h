/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes of a file or block device as they lie on storage, past the page cache: other hosts write there.
 * Called by the watch of a lockspace, the reader of leases and deployment; the simulator has its own storage
 * behind it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* `offset`, `size` and `ret` are multiples of the sector size, which is 4096 at most. 0, -EBADMSG: it ends
 * before, or -errno. Blocks for as long as the storage does. */
int direct_read(const char *path, uint64_t offset, size_t size, uint8_t *ret);
