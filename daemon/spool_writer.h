/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Puts the agent's transitions into the spool from a worker, so that no disk is in the agent's way. */
#pragma once

#include "core/machine.h"
#include "notify/spool.h"
#include "util/loop.h"

#define SPOOL_QUEUE_MAX 32 /* transitions that wait for the disk: the oldest goes when one more comes */

struct spool_writer;

/* `folder` is the spool's; `host` the name that transitions carry. 0 or -errno. */
int spool_writer_new(const char *folder, const char *host, struct loop *loop, struct spool_writer **ret);
/* Waits for the disk, 300 ms at most. NULL is fine. */
void spool_writer_free(struct spool_writer *writer);
/* A disk that refuses is asked again every 2 s; said once. */
void spool_writer_put(struct spool_writer *writer, enum state from, enum state to, enum reason reason,
		      int32_t score);
