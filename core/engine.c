/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words and rank of the engine VM's status. Pure; used by the codec, the decisions and the tools. */
#include "core/engine.h"

STRTAB_DEFINE(vm, enum vm, VM_COUNT, "unknown", "up", "down", "down_unexpected", "down_missing")

STRTAB_DEFINE(health, enum health, HEALTH_COUNT, "unknown", "good", "bad")

STRTAB_DEFINE(detail, enum detail, DETAIL_COUNT, "unknown", "Up", "Paused", "Powering up", "WaitForLaunch",
	      "Powering down", "Down", "Migration Source", "Migration Destination")

STRTAB_DEFINE(engine_reason, enum engine_reason, ENGINE_REASON_COUNT, "", "vm not running on this host",
	      "failed to getVmStats", "bad vm status", "failed liveliness check",
	      "Storage of VM is locked. Is another host already starting the VM?",
	      "VM migrated away successfully")

int engine_rank(enum vm vm, enum health health, enum detail detail)
{
	if (vm != VM_UP)
		return vm == VM_UNKNOWN ? 0 : 1;
	if (detail == DETAIL_PAUSED)
		return 2;
	return health == HEALTH_GOOD ? 4 : 3;
}

bool engine_ending(enum vm vm, enum detail detail)
{
	return vm == VM_DOWN_MISSING && detail == DETAIL_POWERING_DOWN;
}
