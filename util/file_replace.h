/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file's whole content changed in one step. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Puts `size` bytes in the place of the file at `path`, durably: temporary file beside it, fsync, rename,
 * fsync of the directory. Owner and mode of an existing file stay, as far as we may; a new one gets `mode`. A
 * symbolic link is followed. Blocks. 0 or -errno, -EINVAL for a device, a pipe or a socket; after a failure
 * before the rename the old file is whole. */
int file_replace(const char *path, const void *data, size_t size, mode_t mode);
/* The same for what nobody but the writer may read, whatever was there: mode 0600, and a symbolic link, which
 * another may have put there, is -EINVAL too. */
int file_replace_private(const char *path, const void *data, size_t size);
