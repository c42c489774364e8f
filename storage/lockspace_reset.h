/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Safety rule 15: the lockspace made anew together with its leases. */
#pragma once

#include "storage/lockspace_watch.h"

struct reset_request {
	struct watch_request watch;	      /* of all ids */
	const char *lockspace, *engine_lease; /* sanlock's names */
	const char *vmid;
	bool damaged_lease; /* an engine lease that can't be understood counts as one without an owner */
};

/* Once lockspace_watch_look() has said 1, at once: looks a last time, at QEMU of this host too, then writes.
 * 0, or -errno with a line for people in `why`: nothing was written, but for -EIO and what the storage says,
 * after which it is to be done again. Blocks. */
int lockspace_reset(const struct reset_request *request, struct lockspace_watch *watch, mono_t now,
		    char why[WATCH_WHY_SIZE]);
