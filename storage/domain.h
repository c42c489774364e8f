/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A storage domain on storage that this host sees: laid out anew, or found. Files in a folder (a mounted
 * share), areas of a LUN, any block device or an image of one, or files in a folder that a server exports by
 * NFS version 3 and that nobody has mounted (SERVER:/PATH). Called by deployment; all calls block for as long
 * as the storage does and belong in a process or thread that may be left behind. Nothing is logged. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "metadata/identity.h"
#include "storage/domain_layout.h"

#define DOMAIN_WHY_SIZE 512
/* Owner and group of files on storage that older clusters share: fixed, since names' numbers differ between
 * hosts. */
#define DOMAIN_OWNER_ID 36
#define DOMAIN_FILE_MODE 0660

struct domain_request {
	const char *path;	  /* folder, block device or image, absolute; or SERVER:/PATH */
	struct identity identity; /* domain: a uuid; lockspace: sanlock's name of it, 1..47 characters */
	uint64_t disk_size;	  /* bytes of the VM's disk; on a LUN 0 is all that is left */
	uint32_t io_timeout_s;	  /* 1..60, sanlock's */
	uid_t uid;		  /* of the files */
	gid_t gid;
	/* Of an image: 512 or 4096; 0: as a storage daemon says of its file, 512 of another. Other storage is
	 * asked. */
	unsigned sector_size;
	/* What is there may be lost. In a folder only files of the domain's names are replaced. It does not
	 * look whether other hosts use what is there: safety rule 15 is the caller's. */
	bool force;
};

struct domain {
	struct identity identity;
	bool files;
	bool image; /* a LUN that is a file, as a storage daemon shows it: no partition has a device */
	unsigned sector_size;
	uint64_t alignment;
	struct {
		char path[PATH_MAX]; /* the file, or the LUN */
		uint64_t offset, size;
		char partition_uuid[37]; /* on a LUN, lower case */
	} areas[AREA_COUNT];
};

/* Lays a domain out and reads it back: `ret` is what domain_read() then says. 0, or -errno with one line for
 * people in `ret_why`: -EEXIST it holds something, named; -EBUSY in use on this host, by whom, forced or not
 * (of SERVER:/PATH that is the caller's to know); -ENOSPC too small or full; -EROFS; -EINVAL the request;
 * -EUCLEAN it failed, and what it made is there still: domain_erase() takes it away; others as the storage
 * gave them. After a failure at any point, a power cut too, there is no domain: what domain_read() goes by is
 * written last, and an old domain's is erased first. New files are removed again when a format fails but for
 * -EUCLEAN; after a power cut they stay, and are named by the next one. */
int domain_format(const struct domain_request *request, struct domain *ret, char ret_why[DOMAIN_WHY_SIZE]);

/* Finds the whole domain at a path as above; of SERVER:/PATH its areas' paths are for people. 0, or -errno
 * with a line in `ret_why`: -ENODATA there is none; -EBADMSG some of it is. sector_size: of an image, as
 * above. */
int domain_read(const char *path, unsigned sector_size, struct domain *ret, char ret_why[DOMAIN_WHY_SIZE]);

/* Nothing is there that domain_format() would refuse without `force`. 0; -EEXIST something is, named; or
 * -errno as the storage gave it. */
int domain_vacant(const char *path, unsigned sector_size, char ret_why[DOMAIN_WHY_SIZE]);

/* Takes the domain of this uuid away, or what a format that was broken off left where nothing was before: it
 * is the caller's to know that. 0, also where nothing is; -EXDEV what is there is another one's or can't be
 * shown to be this one's, and stays; -EBUSY in use on this host; it does not look whether other hosts use it:
 * safety rule 15 is the caller's. */
int domain_erase(const char *path, const char *uuid, unsigned sector_size, char ret_why[DOMAIN_WHY_SIZE]);
