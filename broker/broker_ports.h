/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real ports that belong to the broker alone. Made by broker_main.c. */
#pragma once

#include "broker/global_flag.h"
#include "broker/qemu_port.h"

struct loop;

/* QEMU by the engine's uuid in /proc; `uuid` must stay. */
int qemu_proc_new(const char *uuid, struct qemu_port **ret);
void qemu_proc_free(struct qemu_port *port);

/* The last good value of global maintenance in `path`, written durably by a worker; reading blocks, at start.
 */
int kept_file_new(const char *path, struct loop *loop, struct kept_port **ret);
void kept_file_free(struct kept_port *port);
