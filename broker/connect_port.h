/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The connect port: has this host's storage connected, which the broker itself may not. The real one asks
 * ovirt-ha-storage (connect_socket.c). */
#pragma once

#include "util/mono.h"

struct connect_port {
	/* Connects what is missing, nothing where all is there. One may be under way (-EBUSY). done: 0, or
	 * -errno and in `why` what is wrong (valid during the call), -ETIMEDOUT at the deadline. 0, or
	 * -errno: nobody can be asked, and done() is not called. */
	int (*connect)(struct connect_port *port, mono_t deadline,
		       void (*done)(void *data, int error, const char *why), void *data);
	void (*close)(struct connect_port *port);
};

struct loop;

int connect_socket_new(struct loop *loop, struct connect_port **ret); /* 0 or -ENOMEM */
