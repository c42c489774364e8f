/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the engine's VM is made of: an OVA (a tar with an OVF and one disk), a disk image, or a disk; looked
 * at, and copied to the storage domain's disk. Files from elsewhere are hostile: what is not understood is
 * refused, and no name in them ever becomes a path that is opened. Called by deployment. All functions block;
 * nothing is logged. They run qemu-img, found in PATH, which ends with its caller. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define APPLIANCE_WHY_SIZE 512
#define APPLIANCE_DIGEST_SIZE 129

enum appliance_kind {
	APPLIANCE_OVA,
	APPLIANCE_IMAGE, /* a file, qcow2 or raw */
	APPLIANCE_DISK,	 /* a block device: its bytes, whatever they look like */
	APPLIANCE_KIND_COUNT
};

enum appliance_format { APPLIANCE_RAW, APPLIANCE_QCOW2, APPLIANCE_VMDK, APPLIANCE_FORMAT_COUNT };

struct appliance {
	enum appliance_kind kind;
	/* Bytes that the guest will see. Of an OVA it is what its OVF promises, and 0 where that says
	 * nothing; appliance_import() knows it. */
	uint64_t disk_size;
	/* Of an OVA alone, else 0: unknown too where its OVF has none. */
	uint32_t cpus;	     /* 1..APPLIANCE_CPUS_MAX */
	uint32_t memory_mib; /* rounded up */
	uint64_t unpacked;   /* bytes of the disk's file, which the import needs in its folder */
	char member[256];    /* the disk's file in the tar */
	/* Of that file, as the OVA's manifest has it: SHA1, SHA256 or SHA512 in lower-case hexadecimal. "":
	 * it has no manifest, or that does not list it. */
	char digest[APPLIANCE_DIGEST_SIZE];
};

#define APPLIANCE_CPUS_MAX 4096

/* Says what the file or block device at `path` (absolute) is. 0, or -errno with one line for people in
 * `ret_why` and `ret` untouched: -ENOENT, -EACCES and others of open(2); -EINVAL neither kind, or one that is
 * refused: an image with another file behind it (backing, data file, extents), encrypted, a VMDK outside of
 * an OVA; a tar with an absolute path or `..`, two of a name, two OVFs or disks, a disk that is no plain
 * file; -EBADMSG a broken tar, OVF or image, or an OVF that is not what
 * the manifest says; -EFBIG an OVF over 1 MiB; -ETIMEDOUT qemu-img took longer than
 * 60 s; -ENOSYS there is no qemu-img. A gzipped OVA is read to its end: seconds per GiB. */
int appliance_look(const char *path, struct appliance *ret, char ret_why[APPLIANCE_WHY_SIZE]);

struct appliance_import {
	const char *path;   /* absolute, as it was looked at */
	const char *target; /* absolute; a file or block device that is there and large enough */
	uint64_t offset;    /* bytes into the target: an area of a LUN; a multiple of 512, else 0 */
	uint64_t size;	    /* bytes of the target from there that may be written; 0: to its end */
	/* With room for `unpacked` bytes, used for an OVA alone; NULL: /var/tmp. What is put there has no
	 * name and goes with the process. */
	const char *folder;
	/* Called at each change and twice a second, percent 0..100, never backwards. Not 0 stops the copy,
	 * which ends with -ECANCELED. May be NULL. */
	int (*progress)(unsigned percent, void *data);
	void *data;
};

/* Copies the disk to the target, all on storage when it returns 0: then *ret_size has the bytes that the
 * guest sees; what the target has beyond them is as it was. -errno with a line in `ret_why`: as
 * appliance_look(), which is done again; -EBADMSG too where the disk is not what the manifest says (nothing
 * was written); -ENOSPC the disk is larger than the target, or the folder has not enough room (nothing was
 * written); -ECANCELED; -ETIMEDOUT no progress for 10 minutes; -EBUSY another program has the target; -EIO
 * qemu-img's last words. After a failure during the copy the target holds part of the disk. */
int appliance_import(const struct appliance_import *request, uint64_t *ret_size,
		     char ret_why[APPLIANCE_WHY_SIZE]);
