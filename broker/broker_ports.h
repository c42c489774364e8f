/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real port that belongs to the broker alone. Made by broker_main.c. */
#pragma once

#include "broker/global_flag.h"

struct loop;

/* The last good value of global maintenance in `path`, written durably by a worker, again every 2 s until it
 * is there; reading blocks, at start. */
int kept_file_new(const char *path, struct loop *loop, struct kept_port **ret);
void kept_file_free(struct kept_port *port);
