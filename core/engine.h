/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine VM's status in the words of the whiteboard (FORMAT: engine status JSON). Pure types and tables.
 */
#pragma once

#include <stdbool.h>

#include "util/strtab.h"

enum vm {
	VM_UNKNOWN, /* libvirt does not answer */
	VM_UP,	 /* a QEMU of the engine's uuid lives: running, starting, paused, shutting down, migrating */
	VM_DOWN, /* none, or a start of ours that waits for its lease; it left by migration */
	VM_DOWN_UNEXPECTED, /* it ended without us: crash, power-off from inside */
	VM_DOWN_MISSING, /* it was up, is not listed any more or its QEMU has ended, and no event told why */
	VM_COUNT
};
STRTAB_DECLARE(vm, enum vm); /* unknown up down down_unexpected down_missing */

enum health { HEALTH_UNKNOWN, HEALTH_GOOD, HEALTH_BAD, HEALTH_COUNT };
STRTAB_DECLARE(health, enum health); /* unknown good bad */

enum detail {
	DETAIL_UNKNOWN,
	DETAIL_UP,
	DETAIL_PAUSED,
	DETAIL_POWERING_UP,
	DETAIL_WAIT_FOR_LAUNCH,
	DETAIL_POWERING_DOWN,
	DETAIL_DOWN,
	DETAIL_MIGRATION_SOURCE,
	DETAIL_MIGRATION_DESTINATION,
	DETAIL_COUNT
};
STRTAB_DECLARE(detail, enum detail); /* unknown Up Paused "Powering up" WaitForLaunch ... */

/* Why the engine is not good, in words that tools know. */
enum engine_reason {
	ENGINE_REASON_NONE,
	ENGINE_REASON_NOT_HERE,	      /* vm not running on this host */
	ENGINE_REASON_NO_STATS,	      /* failed to getVmStats */
	ENGINE_REASON_BAD_VM_STATUS,  /* bad vm status */
	ENGINE_REASON_LIVELINESS,     /* failed liveliness check */
	ENGINE_REASON_STORAGE_LOCKED, /* Storage of VM is locked. Is another host already starting the VM? */
	ENGINE_REASON_MIGRATED,	      /* VM migrated away successfully */
	ENGINE_REASON_COUNT
};
STRTAB_DECLARE(engine_reason, enum engine_reason);

/* How good an engine is, 0..4, for "best engine": up and good 4, up and bad 3, up and paused 2, down 1,
 * unknown 0. Up with unknown health ranks as bad: nobody has seen it answer. */
int engine_rank(enum vm vm, enum health health, enum detail detail);
/* Its QEMU has ended, and libvirt is still to say so: whoever would start it here waits for that. */
bool engine_ending(enum vm vm, enum detail detail);
