/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks for tests: an image in a temporary directory, and the loop device that makes it a disk with sectors
 * of 512 or 4096 bytes. Needs root. Every failure of it aborts the test. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct storage_place {
	char dir[64];	/* for whatever else the test wants there */
	char image[80]; /* the file */
	char disk[80];	/* what is to be used: the loop device, or the image */
};

/* sector_size 0: no loop device. */
void place_open(struct storage_place *place, uint64_t size, unsigned sector_size, bool read_only);
void place_close(struct storage_place *place);

/* Runs a command of the shell with $DISK and $DIR, 20 s at most; true: it ended with 0. The output, for
 * free(), where it is asked for. */
bool place_run(const struct storage_place *place, const char *command, char **ret_output);
/* Writes bytes into the image, or reads all of it, for free(). */
void place_put(const struct storage_place *place, uint64_t at, const void *bytes, size_t size);
uint8_t *place_read(const struct storage_place *place, size_t *ret_size);
