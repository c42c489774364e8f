/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One question at a time to an NFS server by libnfs, each waited for with a deadline. A context that was late
 * is not asked again: libnfs would mix its answers up. It decides nothing about what is in the folder. Called
 * by domain_share.c. */
#include "storage/nfs_share.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nfsc/libnfs.h>

#include "metadata/nfs_write.h"
#include "storage/storage_export.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define TICK_MS 200
#define PIECE 65536
#define PATH_SIZE 264
#define NOT_MOUNTED " can't be mounted by NFS version 3 (for another load the kernel's client: modprobe nfs)"

struct nfs_share {
	struct nfs_context *context;
	bool lost;  /* an answer did not come */
	bool ended; /* of the question that is asked */
	int status;
	void *handle; /* the answer: a file or a folder */
	void *to;     /* where the answer goes, of at most `size` bytes */
	size_t size;
};

CLEANUP_DEFINE(struct nfs_share *, nfs_share_close)

static void answered(int status, struct nfs_context *context, void *data, void *private)
{
	struct nfs_share *share = private;

	share->ended = true;
	share->status = status;
	share->handle = status >= 0 ? data : NULL;
}

/* The data is the library's until this returns. */
static void told(int status, struct nfs_context *context, void *data, void *private)
{
	struct nfs_share *share = private;

	answered(status, context, data, private);
	if (status >= 0)
		memcpy(share->to, data, share->size);
}

static void brought(int status, struct nfs_context *context, void *data, void *private)
{
	struct nfs_share *share = private;

	answered(status, context, data, private);
	if (status > 0)
		memcpy(share->to, data, (size_t)status < share->size ? (size_t)status : share->size);
}

/* The answer to what was begun: at least 0, or -errno. */
static int wait_for(struct nfs_share *share, int begun)
{
	mono_t deadline = mono_add(clock_mono(), NFS_SHARE_ANSWER_MS);

	while (!share->lost && begun >= 0 && !share->ended) {
		mono_t left = deadline - clock_mono();
		struct pollfd fd = {.fd = nfs_get_fd(share->context),
				    .events = (short)nfs_which_events(share->context)};

		share->lost = left <= 0 ||
			      (poll(&fd, 1, left < TICK_MS ? (int)left : TICK_MS) < 0 && errno != EINTR);
		if (!share->lost && nfs_service(share->context, fd.revents) < 0)
			begun = -1;
	}
	if (!share->lost && share->ended) {
		share->ended = false;
		return share->status;
	}
	if (!share->lost) {
		share->lost = true;
		return -ECONNRESET;
	}
	return -ETIMEDOUT;
}

/* Nothing is sent to one that was lost. */
#define ASK(share, call, ...)                                                                                \
	((share)->lost ? -ETIMEDOUT : wait_for(share, call((share)->context, __VA_ARGS__)))

static void path_of(const char *name, char ret[PATH_SIZE])
{
	snprintf(ret, PATH_SIZE, "/%.255s", name);
}

static int look(struct nfs_share *share, const char *path, struct nfs_stat_64 *ret)
{
	share->to = ret;
	share->size = sizeof(*ret);
	return ASK(share, nfs_lstat64_async, path, told, share);
}

int nfs_share_open(const char *source, uid_t uid, gid_t gid, struct nfs_share **ret,
		   char ret_why[NFS_SHARE_WHY_SIZE])
{
	_cleanup_(nfs_share_close_p) struct nfs_share *share = calloc(1, sizeof(*share));
	struct nfs_stat_64 folder;
	const char *path = "", *text;
	bool mounted = false;
	char server[256];
	int r;

	if (share)
		share->context = nfs_init_context();
	r = !share || !share->context ? -ENOMEM : storage_server(source, server, &path);
	if (r == 0) {
		nfs_set_autoreconnect(share->context, 0);
		nfs_set_timeout(share->context, -1); /* the deadline here is the only one */
		nfs_set_dircache(share->context, 0);
		r = ASK(share, nfs_mount_async, server, path, answered, share);
		mounted = r >= 0;
	}
	if (r >= 0)
		r = look(share, "/", &folder);
	if (r < 0) {
		/* Of a connection that fails libnfs knows more than the number that it gives. */
		text = share && share->context && (r == -EFAULT || r == -EIO || r == -ECONNRESET)
			       ? nfs_get_error(share->context)
			       : NULL;
		snprintf(ret_why, NFS_SHARE_WHY_SIZE, "%.100s%s: %.60s", source,
			 text && text[0] && !mounted ? NOT_MOUNTED : "",
			 r == -ETIMEDOUT   ? "the server does not answer"
			 : text && text[0] ? text
					   : strerror(-r));
		return r;
	}
	if (folder.nfs_uid == uid && uid != 0) {
		nfs_set_uid(share->context, (int)uid);
		nfs_set_gid(share->context, (int)gid);
	}
	*ret = TAKE_PTR(share);
	return 0;
}

void nfs_share_close(struct nfs_share *share)
{
	if (!share)
		return;
	/* What is under way is cancelled here, into `share`. */
	if (share->context)
		nfs_destroy_context(share->context);
	free(share);
}

int nfs_share_content(struct nfs_share *share, char ret[CONTENT_TEXT_SIZE])
{
	struct content_names names = {.n = 0};
	const struct nfsdirent *entry;
	int r = ASK(share, nfs_opendir_async, "/", answered, share);

	if (r < 0)
		return r;
	while ((entry = nfs_readdir(share->context, share->handle)))
		content_take_name(&names, entry->name);
	nfs_closedir(share->context, share->handle);
	return content_tell_names(&names, ret);
}

int nfs_share_room(struct nfs_share *share, uint64_t *ret)
{
	struct nfs_statvfs_64 st;
	int r;

	share->to = &st;
	share->size = sizeof(st);
	r = ASK(share, nfs_statvfs64_async, "/", told, share);
	if (r >= 0)
		*ret = st.f_bavail * st.f_frsize;
	return r < 0 ? r : 0;
}

int nfs_share_look(struct nfs_share *share, const char *name, struct nfs_entry *ret)
{
	char path[PATH_SIZE];
	struct nfs_stat_64 st;
	int r;

	path_of(name, path);
	r = look(share, path, &st);
	if (r >= 0)
		*ret = (struct nfs_entry){
			.mode = (mode_t)st.nfs_mode, .size = st.nfs_size, .used = st.nfs_used};
	return r < 0 ? r : 0;
}

/* For the library's memory too. The first failure counts. */
static int close_file(struct nfs_share *share, struct nfsfh *file, int error)
{
	int r = ASK(share, nfs_close_async, file, answered, share);

	return error < 0 ? error : r < 0 ? r : 0;
}

int nfs_share_get(struct nfs_share *share, const char *name, uint64_t at, void *to, size_t size)
{
	char path[PATH_SIZE];
	struct nfsfh *file;
	int r;

	path_of(name, path);
	r = ASK(share, nfs_open_async, path, O_RDONLY, answered, share);
	if (r < 0)
		return r;
	file = share->handle;
	for (size_t done = 0; r >= 0 && done < size; done += (size_t)r) {
		share->to = (char *)to + done;
		share->size = size - done;
		r = ASK(share, nfs_pread_async, file, at + done, size - done, brought, share);
		if (r == 0)
			r = -ENODATA;
	}
	return close_file(share, file, r);
}

static int copy(struct nfs_share *share, struct nfsfh *file, int fd, uint64_t offset, uint64_t size)
{
	_cleanup_free_ char *piece = malloc(PIECE);
	ssize_t n;
	int r = piece ? 0 : -ENOMEM;

	for (uint64_t done = 0; r >= 0 && done < size; done += (uint64_t)r) {
		n = pread(fd, piece, size - done < PIECE ? (size_t)(size - done) : PIECE,
			  (off_t)(offset + done));
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		r = ASK(share, nfs_pwrite_async, file, done, (uint64_t)n, piece, answered, share);
		if (r < 0)
			r = nfs_write_error(r, share->context);
		if (r == 0)
			r = -EIO;
	}
	return r < 0 ? r : 0;
}

static int fill(struct nfs_share *share, struct nfsfh *file, const struct nfs_entry *as, uid_t uid, gid_t gid,
		int fd, uint64_t offset)
{
	struct nfs_stat_64 st;
	int r = fd < 0 ? ASK(share, nfs_ftruncate_async, file, as->size, answered, share)
		       : copy(share, file, fd, offset, as->size);

	if (r >= 0)
		r = ASK(share, nfs_fchmod_async, file, (int)as->mode, answered, share);
	share->to = &st;
	share->size = sizeof(st);
	if (r >= 0)
		r = ASK(share, nfs_fstat64_async, file, told, share);
	if (r >= 0 && (st.nfs_uid != uid || st.nfs_gid != gid))
		r = ASK(share, nfs_fchown_async, file, (int)uid, (int)gid, answered, share);
	return r < 0 ? r : ASK(share, nfs_fsync_async, file, answered, share);
}

int nfs_share_put(struct nfs_share *share, const char *name, const struct nfs_entry *file, uid_t uid,
		  gid_t gid, int fd, uint64_t offset)
{
	char path[PATH_SIZE];
	struct nfsfh *handle;
	int r;

	path_of(name, path);
	r = ASK(share, nfs_create_async, path, O_EXCL | O_SYNC | O_RDWR, (int)file->mode, answered, share);
	if (r < 0)
		return r;
	handle = share->handle;
	return close_file(share, handle, fill(share, handle, file, uid, gid, fd, offset));
}

int nfs_share_rename(struct nfs_share *share, const char *from, const char *to)
{
	char old[PATH_SIZE], new[PATH_SIZE];
	int r;

	path_of(from, old);
	path_of(to, new);
	r = ASK(share, nfs_rename_async, old, new, answered, share);
	return r < 0 ? r : 0;
}

int nfs_share_remove(struct nfs_share *share, const char *name)
{
	char path[PATH_SIZE];
	int r;

	path_of(name, path);
	r = ASK(share, nfs_unlink_async, path, answered, share);
	return r < 0 && r != -ENOENT ? r : 0;
}
