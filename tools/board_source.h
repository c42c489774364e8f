/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the tools get a whiteboard from: the broker of this host, a file, or a server. Each leaves the blocks
 * to its caller, by rising id, for free(). Reads only. */
#pragma once

#include "tools/status_text.h"

/* Of the broker: ret->live. Waits for its answers, seconds at most each. `reply` stays with `ret`, which
 * points into it. 0 or what broker_client.h says. */
int board_from_broker(struct status_reply *reply, struct slot_block **ret_blocks, struct board_status *ret);
/* Of a whiteboard or a copy of one, at most the blocks that there can be, whatever the file is; with `access`
 * of the server that `place` is an address of, as store_check() knows it, in 10 s at most. Needs no
 * configuration and no daemon. 0 or -errno. */
int board_from_place(const char *place, const struct store_access *access, struct slot_block **ret_blocks,
		     struct board_status *ret);
