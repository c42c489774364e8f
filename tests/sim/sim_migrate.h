/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A live migration, the agent's or somebody else's (`virsh migrate --live`): a QEMU on the target, the source
 * stops and lets its lease go, the target takes it and runs, the source's QEMU ends. Between the release and
 * the acquire the lease is free. */
#pragma once

#include "tests/sim/sim_vm.h"

enum sim_migration_stage {
	SIM_MIGRATION_NONE,
	SIM_MIGRATION_COPIES,
	SIM_MIGRATION_HANDS_OVER,
	SIM_MIGRATION_WAITS,   /* for the lease */
	SIM_MIGRATION_UNHEARD, /* the target runs it, the source's libvirtd does not know */
};

/* One a source host. */
struct sim_migration {
	struct sim_event step; /* first */
	struct sim_vm *from, *to;
	enum sim_migration_stage stage;
	uint32_t from_number, to_number; /* of the two QEMUs */
	uint32_t from_starts, to_starts; /* of the two libvirtds: neither goes on with what it began before */
	int64_t copied_at;		 /* in the simulator's time */
	unsigned done, failed;
};

/* Could one begin now, from this host, to that one? */
bool sim_migration_gives(const struct sim_migration *migration);
bool sim_migration_takes(const struct sim_vm *to);
void sim_migration_init(struct sim_migration *migration, struct sim_vm *from);
/* Begins, unless one is under way, no guest runs here, or the target can't take it (which counts as failed).
 */
void sim_migration_begin(struct sim_migration *migration, struct sim_vm *to, int64_t copy_ms);
/* Ends it, unless the guest was handed over. */
void sim_migration_cancel(struct sim_migration *migration);
