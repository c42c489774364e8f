/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The port of block 0's lease (safety rule 16), and of the conf volume's, which is held in the same way: the
 * real one (lockspace/block0_lease.c) has a child process hold it. The broker and the commands that write the
 * conf volume use it. Nothing blocks. */
#pragma once

#include "lockspace/lease_port.h"

struct block0_port {
	/* Begins to take it; `taken` comes once, in the loop: 0 held, or -errno within 10 s. -EBUSY: one is
	 * under way, or held. */
	int (*take)(struct block0_port *port, void (*taken)(void *data, int error), void *data);
	/* Whether it is held still: sanlock ends the holders of a lease that is lost. */
	bool (*held)(struct block0_port *port);
	/* Lets it go, or gives up taking it (`taken` is not called then). Fine when nothing is held. */
	void (*release)(struct block0_port *port);
	void (*close)(struct block0_port *port);
};

#define BLOCK0_LEASE_NAME "whiteboard" /* the resource's */
#define BLOCK0_LEASE_BEHIND 1
#define CONF_LEASE_NAME "conf"
#define CONF_LEASE_BEHIND 2
#define BLOCK0_TAKE_MS 10000 /* to get it */
#define BLOCK0_HOLD_S 120    /* the child's life, should the broker forget it */

struct block0_config {
	char lockspace[LEASE_NAME_MAX];
	char name[LEASE_NAME_MAX];	 /* the resource's */
	struct lease_place engine_place; /* the engine's lease */
	unsigned behind;		 /* so many alignments behind it lies this one, 1..9 */
	bool quiet;			 /* what the child says of a refusal is dropped */
	const char *program; /* ovirt-ha-whiteboard-lease elsewhere, for tests; NULL: the installed one */
};

struct loop;
/* A lease that is lost while it is held (sanlock ended, or has lost its storage) is said in the log: whoever
 * writes has to read back anyway. 0 or -ENOMEM. */
int block0_lease_new(const struct block0_config *config, struct loop *loop, struct block0_port **ret);
