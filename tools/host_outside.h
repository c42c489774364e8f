/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the commands that repair shared storage need: a host without the daemons, and single blocks of the
 * whiteboard. All wait, 10 s at most each. */
#pragma once

#include "metadata/store.h"
#include "storage/lockspace_watch.h"
#include "util/engine_conf.h"

/* Nobody on this host uses the lockspace: the broker does not run, and sanlock has not joined. 0, or -errno
 * after it was said on stderr. */
int host_outside_check(const struct engine_conf *conf);
/* One block of the whiteboard. 0, or -errno after it was said on stderr. */
int whiteboard_read(const struct engine_conf *conf, uint32_t block, uint8_t ret[BLOCK_SIZE]);
/* Durable, and read back. */
int whiteboard_write(const struct engine_conf *conf, uint32_t block, const uint8_t data[BLOCK_SIZE]);

/* Waits until nobody was seen to use the host id `only` (0: any, and the engine's lease); says on a terminal
 * how long that takes. 0, or -errno after it was said on stderr. *ret is for lockspace_watch_free(). */
int host_ids_watch(const struct engine_conf *conf, uint16_t only, struct lockspace_watch **ret);
/* The request that host_ids_watch() makes; it points into the configuration. */
void host_ids_request(const struct engine_conf *conf, uint16_t only, struct watch_request *ret);
