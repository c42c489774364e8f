/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lease port: the host id in the lockspace and who owns the engine lease. The real one is sanlock
 * (lockspace/sanlock_port.c). All calls return at once; their ends come as calls of done() in the loop, with
 * -ETIMEDOUT when sanlock does not answer by the deadline. One of each kind may be under way (-EBUSY; so is a
 * kind of which WORKER_STUCK_MAX calls hang). sanlock.h and friends are also included by the guard and by
 * ovirt-ha-whiteboard-lease, which are programs of their own. */
#pragma once

#include <sys/types.h>

#include "core/snapshot.h"
#include "util/mono.h"

#define LEASE_NAME_MAX 48 /* sanlock's, including the NUL */
#define LEASE_PATH_MAX 1024

struct lease_place {
	char path[LEASE_PATH_MAX];
	uint64_t offset;
};

struct lease_config {
	char lockspace[LEASE_NAME_MAX];
	struct lease_place lockspace_place;
	char engine[LEASE_NAME_MAX]; /* the engine lease's name */
	struct lease_place engine_place;
	uint16_t host_id;
	uint32_t io_timeout_s;
};

struct lease_host {
	uint16_t id;
	enum host_state state;
	uint64_t generation;
	uint64_t timestamp;
	uint32_t io_timeout_s;
};

/* What sanlock's memory says: never blocks on storage. */
struct lease_look {
	int error; /* 0, or why nothing below is known (-ECONNREFUSED: no daemon; -EXDEV: joined
		    * under another host id, or at another place, than the configured one) */
	enum membership membership; /* of our host id */
	bool hosts_known;	    /* get_hosts answered */
	struct lease_host *hosts;   /* by rising id, ours included; valid during done() */
	size_t n_hosts;
	uint64_t generation; /* ours */
	enum held held;	     /* of `pid` */
	pid_t pid;	     /* as asked */
	mono_t begun;
};

/* The engine lease on disk. */
struct lease_owner {
	int error; /* 0, or the read failed: unknown; -EXDEV: there is a lease of another name or lockspace
		      (BLOCK_DOMAIN) */
	enum owner_kind kind;
	uint16_t id;
	uint64_t generation;
	uint64_t version;
	mono_t begun;
};

struct lease_port {
	/* pid: QEMU's to ask for, 0 none. */
	int (*look)(struct lease_port *port, pid_t pid, mono_t deadline,
		    void (*done)(void *data, const struct lease_look *look), void *data);
	int (*read_owner)(struct lease_port *port, mono_t deadline,
			  void (*done)(void *data, const struct lease_owner *owner), void *data);
	/* Begins to join (SANLK_ADD_ASYNC); look() tells how it went. done: 0 begun, -EEXIST joined already,
	 * -EXDEV the lockspace on disk has another name (BLOCK_DOMAIN), -errno. */
	int (*join)(struct lease_port *port, mono_t deadline, void (*done)(void *data, int error),
		    void *data);
	/* Leaves with SANLK_REM_UNUSED only (safety rule 7). done: 0, -EBUSY a holder lives, -errno. */
	int (*leave)(struct lease_port *port, mono_t deadline, void (*done)(void *data, int error),
		     void *data);
	/* Does sanlock use a watchdog? Asked once after each start of the daemon. */
	int (*watchdog)(struct lease_port *port, mono_t deadline,
			void (*done)(void *data, enum watchdog watchdog), void *data);
	/* Writes a new lease called `name` (1..47 bytes) at `place`, with the lockspace's alignment and
	 * sector size; both are copied. Never over a lease, whoever owns it: -EEXIST. The lockspace must be
	 * there. done: 0 or -errno. */
	int (*create)(struct lease_port *port, const char *name, const struct lease_place *place,
		      mono_t deadline, void (*done)(void *data, int error), void *data);
	void (*close)(struct lease_port *port);
};

struct loop;
int lease_sanlock_new(const struct lease_config *config, struct loop *loop, struct lease_port **ret);
