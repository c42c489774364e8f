/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a configured path lives on, so that parts of two storage domains are not taken for one (safety rule
 * 8). Only what is certain is another: one storage has many names, and what can't be told is unknown. Looking
 * blocks for as long as the storage hangs: for worker threads only. Called by the broker for the configured
 * places, and by the agent for the disks of the VM. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

enum backing_kind {
	BACKING_UNKNOWN, /* not there, not readable, or of a kind that says nothing of where its bytes are */
	BACKING_FILES,	 /* a file; a loop device is its file */
	BACKING_VOLUME_GROUP, /* a logical volume of LVM */
	BACKING_MULTIPATH,    /* a multipath map, or a partition of one */
	BACKING_DISK,	      /* a disk, or a partition of one */
};

struct backing {
	enum backing_kind kind;
	int error;	/* why nothing can be told of what should be there: -errno of stat; 0 */
	dev_t device;	/* of the file's filesystem or of the device node, 0: nothing is there */
	ino_t inode;	/* of a file, 0: a device node */
	bool certain;	/* another filesystem with `certain` is other storage; another `id` is */
	bool network;	/* a filesystem that no block device of this host carries */
	char disk[33];	/* a disk: the kernel's name of it, a partition's too */
	char id[128];	/* NFS: the export's path; volume group, multipath, disk: the id they carry */
	char what[160]; /* for people: "nfs4 srv:/engine", "volume group x", or why it is unknown */
};

enum backing_match { BACKING_UNSURE, BACKING_SAME, BACKING_OTHER };

/* What the machine says of its storage; tests have their own. */
struct backing_sources {
	const char *sys;       /* "/sys" */
	const char *mountinfo; /* "/proc/self/mountinfo" */
};

extern const struct backing_sources backing_machine;

/* Never fails: what can't be told is BACKING_UNKNOWN. Blocks. */
void backing_find(const struct backing_sources *from, const char *path, struct backing *ret);
/* The two halves of it: of a file's filesystem, and of a block device by its number. */
void backing_of_files(const struct backing_sources *from, dev_t device, ino_t inode, struct backing *ret);
void backing_of_device(const struct backing_sources *from, dev_t device, struct backing *ret);

/* Are two paths on one storage? Pure. */
enum backing_match backing_compare(const struct backing *a, const struct backing *b);
/* Are they one file or device? Pure. */
enum backing_match backing_same(const struct backing *a, const struct backing *b);
