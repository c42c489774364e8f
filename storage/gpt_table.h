/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The partition table of a LUN: named partitions at given places. Offsets and sizes are bytes and multiples
 * of the sectors. All calls block for as long as the storage does. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define GPT_NAME_SIZE 40
#define GPT_UUID_SIZE 37

struct gpt_partition {
	char name[GPT_NAME_SIZE];
	uint64_t offset, size;
	char uuid[GPT_UUID_SIZE]; /* when read; lower case */
};

/* Writes a table with these partitions, numbered from 1; durable on return. `sector_size`: of an image, 0
 * for a block device. The kernel is asked to look at a block device's table; it may not care. `uuid`: the
 * table's. 0 or -errno; after a failure there may be any part of a table. */
int gpt_write(int fd, const char *path, unsigned sector_size, const char *uuid,
	      const struct gpt_partition *partitions, size_t n);
/* The partitions of the table there, by number, `max` at most. Their number; -ENODATA: no such table. */
int gpt_read(int fd, const char *path, unsigned sector_size, struct gpt_partition *ret, size_t max);
