/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The QEMU port: which processes with the engine's uuid live on this host. The real one reads /proc
 * (lockspace/qemu_pid.h). */
#pragma once

#include <stdint.h>

struct qemu_port {
	/* 0 and the pid (0: proven that none lives; the lowest of several), or -errno: not known, which
	 * proves nothing. */
	int (*find)(struct qemu_port *port, int32_t *ret_pid);
};
