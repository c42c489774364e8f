/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The I/O of a store done bare: the same library, the same calls, one after another and with nothing around
 * them. What a store's time is measured against. All calls block. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "metadata/store.h"

struct bare_io;

/* `spec` as store_open() takes it. `thread`: each call is handed to a thread that has nothing else to do, and
 * waited for by poll(), as by who has to go on when an I/O hangs. 0 or -errno. */
int bare_io_open(const char *spec, const struct store_access *access, bool thread, struct bare_io **ret);
/* Blocks as a store's. 0 or -errno. */
int bare_io_read(struct bare_io *io, uint32_t first, uint32_t count, uint8_t *ret);
int bare_io_write(struct bare_io *io, uint32_t block, const uint8_t *data); /* durable on return */
void bare_io_close(struct bare_io *io);
