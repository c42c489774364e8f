/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A group of processes, one on each host, that send each other short messages: corosync's (poke_cpg.c), or a
 * simulated one. All functions return at once; what comes, comes as a call in the loop. The port connects by
 * itself whenever its service is there. */
#pragma once

#include "broker/poke_intake.h"

/* All required. */
struct poke_calls {
	/* We are `self` in the group now; who else is in it follows as `came`. */
	void (*joined)(void *data, struct poke_member self);
	/* We are not any more, nobody is: what was sent may be lost. Not called for one's own restart(). */
	void (*lost)(void *data);
	void (*came)(void *data, struct poke_member member);
	void (*left)(void *data, struct poke_member member);
	/* A message of a member, our own too. */
	void (*message)(void *data, struct poke_member from, const void *bytes, size_t size);
};

struct poke_port {
	/* Begins; `calls` and `data` outlive the port's close(). */
	void (*start)(struct poke_port *port, const struct poke_calls *calls, void *data);
	/* To all in the group, ourselves too. 0; -EAGAIN: not now; -ENOTCONN. */
	int (*send)(struct poke_port *port, const void *bytes, size_t size);
	/* It has hung: ends the connection and begins another. */
	void (*restart)(struct poke_port *port);
	void (*close)(struct poke_port *port);
};

struct loop;

/* corosync's closed process group of the cluster. 0 or -errno; -EOPNOTSUPP: built without it. */
int poke_cpg_new(const char *domain, const char *lockspace, struct loop *loop, struct poke_port **ret);
