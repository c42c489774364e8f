/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ends the TCP connections of a control group, with what is not sent yet. Blocks for milliseconds, in the
 * kernel alone. Needs CAP_NET_ADMIN, control groups of version 2 and CONFIG_INET_DIAG_DESTROY. */
#pragma once

#include <stddef.h>

/* Of all processes that were in the group, also of those that are dead by now: their connections go on for
 * minutes else. `folder`: of the group, below the mount of cgroup2. 0, then none is left and ret_n says how
 * many were ended; -EOPNOTSUPP: this kernel can't; -EPERM; -errno. */
int connections_end(const char *folder, size_t *ret_n);

/* The folder of the group that the calling process is in, when it is of a unit whose name begins so: 0,
 * -ENOENT: it is of another one, or there are no groups of version 2; -errno. */
int connections_group(const char *unit, char ret[4096]);
