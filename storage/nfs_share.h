/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A folder that a server exports by NFS version 3, reached without the kernel's client, for who lays a domain
 * out there. Names are those of entries of the folder itself. All calls block, each up to
 * NFS_SHARE_ANSWER_MS for an answer; after one that did not come none is sent any more, since it may still
 * take effect later, and all fail with -ETIMEDOUT. Others fail with -errno as the server gave it. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "storage/content_probe.h"

#define NFS_SHARE_ANSWER_MS 20000
#define NFS_SHARE_WHY_SIZE 256

struct nfs_share;

struct nfs_entry {
	mode_t mode;
	uint64_t size, used; /* bytes */
};

/* `source` is SERVER:/PATH. Where the folder is `uid`'s, and that is not root, it is used as `uid` and `gid`,
 * else as the caller. 0, or -errno with a line in `ret_why`. */
int nfs_share_open(const char *source, uid_t uid, gid_t gid, struct nfs_share **ret,
		   char ret_why[NFS_SHARE_WHY_SIZE]);
void nfs_share_close(struct nfs_share *share);

/* As content_of_folder(). */
int nfs_share_content(struct nfs_share *share, char ret[CONTENT_TEXT_SIZE]);
/* Bytes left for others than root. */
int nfs_share_room(struct nfs_share *share, uint64_t *ret);
int nfs_share_look(struct nfs_share *share, const char *name, struct nfs_entry *ret);
/* All of `size` bytes; -ENODATA where the file ends before. */
int nfs_share_get(struct nfs_share *share, const char *name, uint64_t at, void *to, size_t size);
/* A new file, of this owner and mode, with `size` bytes from `offset` of `fd` on, or a hole where that is -1;
 * durable. -EEXIST: it is there. After another failure it may be there. */
int nfs_share_put(struct nfs_share *share, const char *name, const struct nfs_entry *file, uid_t uid,
		  gid_t gid, int fd, uint64_t offset);
/* Over what has the new name. */
int nfs_share_rename(struct nfs_share *share, const char *from, const char *to);
/* 0 also where it is not. */
int nfs_share_remove(struct nfs_share *share, const char *name);
