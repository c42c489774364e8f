/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `hosted-engine --reinitialize-lockspace` by an operator on one host: the real proof and the real order of
 * storage/lockspace_watch.c and lockspace_reset.c (safety rule 15), over the simulated storage, which it
 * renders as sanlock's sectors, and over the model of QEMU. That this host is outside of the lockspace, which
 * the command asks first, is asked of the models. Used by sim_apply.c. */
#pragma once

#include "storage/lockspace_reset.h"
#include "tests/sim/sim_cluster.h"

struct sim_repair {
	struct sim_event step; /* first */
	struct sim_host *host;
	unsigned boots; /* of the host when it began */
	struct reset_request request;
	struct lockspace_watch *watch; /* NULL: not begun, or over */
	/* When the leases are written, and the lockspace about to be. */
	void (*writes)(void *data, struct sim_host *host);
	void *data;
};

/* `repair` zeroed but for the hook. It begins when the host's broker has ended, is refused or done by itself,
 * and ends with the host's power. */
void sim_repair_begin(struct sim_repair *repair, struct sim_host *host);
/* The operator gives it up. Fine when it is over, or never began. */
void sim_repair_end(struct sim_repair *repair);
