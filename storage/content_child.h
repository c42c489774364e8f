/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looks at a disk that may hang: in a child process, which can be left behind in the kernel without holding
 * its parent back. */
#pragma once

#include <sys/types.h>

#include "storage/content_probe.h"
#include "util/mono.h"

struct content_child {
	pid_t pid; /* 0: none */
	int fd;
};

/* Begins to look at the disk or image. 0 or -errno. */
int content_child_start(const char *path, struct content_child *ret);
/* As content_of_disk(), or -ETIMEDOUT at the deadline. Ends the child in every case. Waits until the
 * deadline at most. */
int content_child_end(struct content_child *child, mono_t deadline, char ret[CONTENT_TEXT_SIZE]);
