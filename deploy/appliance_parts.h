/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between the files of appliance.h alone. */
#pragma once

#include <stddef.h>

#include "deploy/appliance.h"

#define OVF_MAX (1024 * 1024) /* bytes */

/* Puts a line into ret_why and gives `error` back. */
__attribute__((format(printf, 3, 4))) int appliance_why(char ret_why[APPLIANCE_WHY_SIZE], int error,
							const char *format, ...);

/* What an OVF says of its one machine and its one disk. */
struct ovf {
	uint32_t cpus, memory_mib;
	uint64_t capacity; /* bytes; 0: not said */
	char href[256];	   /* the disk's file, as the OVF calls it */
};

/* 0; -EBADMSG not well-formed; -EINVAL not understood. */
int ovf_parse(const char *text, size_t size, struct ovf *ret, char ret_why[APPLIANCE_WHY_SIZE]);

/* What a tar from its beginning is. 0; -ENOMSG: no tar at all, for others to judge; else as
 * appliance_look(). */
int ova_look(const char *path, struct appliance *ret, char ret_why[APPLIANCE_WHY_SIZE]);

/* Unpacks appliance->member into `fd`, an empty file. progress as in appliance_import, of the unpacking
 * alone. */
int ova_unpack(const char *path, const struct appliance *appliance, int fd,
	       int (*progress)(unsigned percent, void *data), void *data, char ret_why[APPLIANCE_WHY_SIZE]);

struct image {
	enum appliance_format format;
	uint64_t size; /* that the guest sees */
};

/* The image at `path`. keep_fd: that the path refers to by /proc/self/fd, else 0. `vmdk`: it may be one. */
int image_look(const char *path, int keep_fd, bool vmdk, struct image *ret, char ret_why[APPLIANCE_WHY_SIZE]);

/* Do raw bytes begin as a disk does? */
int image_check_raw(const char *path, char ret_why[APPLIANCE_WHY_SIZE]);

extern const char *const image_format_names[APPLIANCE_FORMAT_COUNT]; /* qemu-img's */
