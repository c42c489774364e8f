/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes the three leases and the lockspace anew. Decides the order: the lockspace comes last, so that nobody
 * joins the new one while an old owner stands in a lease, whose generation there would lock everybody out for
 * ever. It may not write without the proof of lockspace_watch.c. Called by hosted-engine. */
#include "storage/lockspace_reset.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lockspace/block0_port.h"
#include "lockspace/lease_write.h"
#include "lockspace/qemu_pid.h"

static int no_qemu_here(const char *vmid, char why[WATCH_WHY_SIZE])
{
	struct qemu_pids pids;
	int r = qemu_find(vmid, &pids);

	if (r < 0)
		snprintf(why, WATCH_WHY_SIZE, "whether the engine VM runs here can't be told: /proc: %s",
			 strerror(-r));
	else if (pids.n > 0 || pids.unread > 0)
		snprintf(why, WATCH_WHY_SIZE,
			 "the engine VM's QEMU is on this host: hosted-engine --vm-poweroff "
			 "ends it");
	return r < 0 ? r : pids.n > 0 || pids.unread > 0 ? -EBUSY : 0;
}

static int write_all(const struct reset_request *request, unsigned sector, char why[WATCH_WHY_SIZE])
{
	const char *const names[] = {[0] = request->engine_lease,
				     [BLOCK0_LEASE_BEHIND] = BLOCK0_LEASE_NAME,
				     [CONF_LEASE_BEHIND] = CONF_LEASE_NAME};
	const struct watch_request *at = &request->watch;
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(names) / sizeof(names[0]); i++)
		r = lease_write_resource(at->lease_path, at->lease_offset + i * lease_alignment(sector),
					 request->lockspace, names[i], sector);
	if (r == 0)
		r = lease_write_lockspace(at->lockspace_path, at->lockspace_offset, request->lockspace,
					  sector, at->timing.io_timeout_s);
	if (r < 0)
		snprintf(why, WATCH_WHY_SIZE,
			 "sanlock cannot write: %s; nobody can join until this is done again", strerror(-r));
	return r;
}

int lockspace_reset(const struct reset_request *request, struct lockspace_watch *watch, mono_t now,
		    char why[WATCH_WHY_SIZE])
{
	int r = lockspace_watch_look(watch, now, why);

	if (r <= 0) {
		if (r == 0)
			snprintf(why, WATCH_WHY_SIZE, "the host ids were not watched for long enough");
		return r == 0 ? -EAGAIN : r;
	}
	if (!lockspace_watch_lease_sound(watch) && !request->damaged_lease) {
		snprintf(why, WATCH_WHY_SIZE,
			 "the engine's lease can't be understood, so its owner is not known: when the engine "
			 "VM "
			 "certainly runs nowhere, --force takes it for free");
		return -EBADMSG;
	}
	r = no_qemu_here(request->vmid, why);
	return r < 0 ? r : write_all(request, lockspace_watch_sector(watch), why);
}
