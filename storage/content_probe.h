/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a disk, an image or a folder holds already, in words for people, so that nobody's data is written
 * over. All calls block for as long as the storage does. */
#pragma once

#include <stdint.h>

#define CONTENT_TEXT_SIZE 256 /* printable ASCII, cut where it is longer */

/* A block device or image of `size` bytes, open for reading. 0: nothing was found, `ret` is empty; 1: there
 * is something, `ret` names it: signatures that libblkid knows, sanlock's, or that the first or last MiB is
 * not zero. sector_size: of an image, 0 for a block device. -errno: not known. */
int content_of_disk(int fd, uint64_t size, unsigned sector_size, char ret[CONTENT_TEXT_SIZE]);
/* A folder. What a filesystem or a server puts there by itself (lost+found, .snapshot) is nothing. */
int content_of_folder(int fd, char ret[CONTENT_TEXT_SIZE]);

/* The same of a folder that is listed otherwise: name by name, then the answer. */
struct content_names {
	char text[CONTENT_TEXT_SIZE]; /* "" at first */
	unsigned n;
};
void content_take_name(struct content_names *names, const char *name);
int content_tell_names(struct content_names *names, char ret[CONTENT_TEXT_SIZE]);

/* Erases all that content_of_disk() looks for, durably. 0 or -errno; -EBUSY: a signature is still there. */
int content_erase(int fd, uint64_t size, unsigned sector_size);
