/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The proof that host ids of a lockspace are not in use, from the storage alone: whoever has one renews it
 * (safety rule 15). For commands of a host that is not in the lockspace. All calls block for as long as the
 * storage does. */
#pragma once

#include <stddef.h>

#include "core/peer.h"

#define WATCH_WHY_SIZE 256

struct watch_request {
	const char *lockspace_path;
	uint64_t lockspace_offset;
	const char *lease_path; /* the engine's lease */
	uint64_t lease_offset;
	const char *lockspace;	    /* the name that both must have; NULL: not looked at */
	struct lease_timing timing; /* as configured; a host id that names a longer io_timeout counts more */
	uint16_t only;		    /* this id alone; 0: all, and the engine's lease */
};

struct lockspace_watch;

/* Reads what is there, with which all is compared. 0, or -errno with a line for people in `why`: -EBADMSG
 * neither the lockspace nor the engine's lease can be understood, -EXDEV one of them is of another lockspace.
 */
int lockspace_watch_new(const struct watch_request *request, struct lockspace_watch **ret,
			char why[WATCH_WHY_SIZE]);
/* NULL is fine. */
void lockspace_watch_free(struct lockspace_watch *watch);
/* The time, ms, that the proof takes: two renewals where all ids are free and the lease has no owner, else
 * the time after which sanlock gives a dead host's leases away. */
int64_t lockspace_watch_ms(const struct lockspace_watch *watch);
/* Reads again. The time is counted from the first look, `now` being from before it: a first reading that the
 * storage held up has watched nobody. 1: proven; 0: not yet, look again within a second; -errno: -EBUSY and
 * `why` names the id that is renewed, or the lease that changed. Once it failed it fails. */
int lockspace_watch_look(struct lockspace_watch *watch, mono_t now, char why[WATCH_WHY_SIZE]);

/* As it was first read. */
unsigned lockspace_watch_sector(const struct lockspace_watch *watch); /* bytes */
/* The engine's lease is there, whoever owns it. False: what lies there is no lease. */
bool lockspace_watch_lease_sound(const struct lockspace_watch *watch);
