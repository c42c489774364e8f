/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads, and decides nothing. Called wherever bytes count as they lie on storage. */
#include "util/direct_read.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "util/cleanup.h"

int direct_read(const char *path, uint64_t offset, size_t size, uint8_t *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	size_t got = 0;

	if (fd < 0)
		return -errno;
	while (got < size) {
		ssize_t n = pread(fd, ret + got, size - got, (off_t)(offset + got));

		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		got += (size_t)n;
	}
	return 0;
}
