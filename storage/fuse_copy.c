/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stands before libfuse in qemu-storage-daemon, which ovirt-ha-storage-daemon starts with it preloaded: each
 * request is worked on in memory of its own.
 *
 * QEMU reads a file's requests into one buffer. While it waits for the storage in the middle of a write it
 * takes the next request into the same buffer, and sends its bytes in the place of what it has not sent yet:
 * a direct write of more than 1 MiB reaches the daemon as several requests at once, and ended mixed up on
 * storage with QEMU 7.2, without an error. A QEMU that does not call this reads its requests another way. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUSE_USE_VERSION 31
#include <fuse3/fuse_lowlevel.h>

#include "util/cleanup.h"

void fuse_session_process_buf(struct fuse_session *session, const struct fuse_buf *request)
{
	typedef void (*process)(struct fuse_session * session, const struct fuse_buf *request);
	struct fuse_buf own = *request;
	_cleanup_free_ void *copy = NULL;
	process next;

	*(void **)&next = dlsym(RTLD_NEXT, "fuse_session_process_buf");
	if (!(request->flags & FUSE_BUF_IS_FD))
		own.mem = copy = malloc(request->size);
	/* Without memory the request can't be answered: its end ends the daemon, and it is started anew. */
	if (!next || (!(request->flags & FUSE_BUF_IS_FD) && !copy)) {
		fprintf(stderr, "a request of FUSE can't be worked on: %s\n",
			next ? strerror(ENOMEM) : dlerror());
		abort();
	}
	if (copy)
		memcpy(copy, request->mem, request->size);
	next(session, &own);
}
