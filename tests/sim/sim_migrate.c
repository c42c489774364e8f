/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Moves a guest as libvirt does. What breaks in between leaves the guest on the source if it still can be,
 * and kills the target's QEMU; the source's goes on by itself then, which takes no libvirtd, and no lease.
 * Called by sim_fault.c and sim_host.c. */
#include "tests/sim/sim_migrate.h"

#include <errno.h>
#include <string.h>

#include "tests/sim/sim_libvirt.h"

#define HAND_OVER_MS 30
#define UNHEARD_MS 5000 /* until libvirt takes the other end for lost */
#define LOOK_MS 1000	/* so often it is seen whether both sides are there still */

static bool source_lives(const struct sim_migration *migration)
{
	const struct sim_vm *from = migration->from;

	return from->pid != 0 && from->number == migration->from_number && !from->killed && !from->lost &&
	       from->libvirt_up && from->libvirt_starts == migration->from_starts;
}

static bool target_lives(const struct sim_migration *migration)
{
	const struct sim_vm *to = migration->to;

	return to->pid != 0 && to->number == migration->to_number && !to->killed && to->libvirt_up &&
	       to->libvirt_starts == migration->to_starts;
}

static void fails(struct sim_migration *migration)
{
	struct sim_vm *from = migration->from, *to = migration->to;
	bool stands = from->handed && from->number == migration->from_number && !from->killed &&
		      from->guest == SIM_GUEST_PAUSED;

	migration->stage = SIM_MIGRATION_NONE;
	from->leaving = false;
	from->sim->reaches = true;
	sim_cancel(from->sim, &migration->step);
	migration->failed++;
	if (to->pid != 0 && to->number == migration->to_number)
		sim_vm_kill(to, END_CRASHED);
	if (stands)
		sim_vm_go_on(from);
	sim_libvirt_migrated(from, false, source_lives(migration));
}

static void taken(void *data, int error)
{
	struct sim_migration *migration = data;

	if (migration->stage != SIM_MIGRATION_WAITS)
		return;
	sim_cancel(migration->from->sim, &migration->step);
	if (error < 0 || !target_lives(migration)) {
		fails(migration);
		return;
	}
	migration->stage = SIM_MIGRATION_NONE;
	migration->from->leaving = false;
	migration->from->sim->reaches = true;
	migration->done++;
	sim_vm_run(migration->to);
	if (migration->from->ways.unheard) {
		migration->stage = SIM_MIGRATION_UNHEARD;
		sim_set(migration->from->sim, &migration->step, migration->from->clock->host,
			migration->from->sim->now + UNHEARD_MS);
		return;
	}
	if (source_lives(migration))
		sim_vm_kill(migration->from, END_MIGRATED);
	sim_libvirt_migrated(migration->from, true, source_lives(migration));
}

static void look_again(struct sim_migration *migration)
{
	struct sim *sim = migration->from->sim;
	int64_t left = migration->copied_at - sim->now;

	sim_set(sim, &migration->step, migration->from->clock->host,
		sim->now + (left > LOOK_MS ? LOOK_MS : left));
}

static void step_fired(struct sim_event *event)
{
	struct sim_migration *migration = (struct sim_migration *)event;
	struct sim_vm *from = migration->from, *to = migration->to;
	int r;

	/* It takes the guest for its own again, if it gets the lease. */
	if (migration->stage == SIM_MIGRATION_UNHEARD) {
		migration->stage = SIM_MIGRATION_NONE;
		from->sim->reaches = true;
		sim_libvirt_migrated(from, false, source_lives(migration));
		return;
	}
	if (migration->stage == SIM_MIGRATION_HANDS_OVER && from->ways.hand_over_ms > 0 && from->handed)
		from->calls->libvirt_dies(from->calls_data, from->ways.hand_over_ms);
	if (!source_lives(migration) || !target_lives(migration) ||
	    (migration->stage == SIM_MIGRATION_COPIES && from->guest != SIM_GUEST_RUNNING)) {
		fails(migration);
		return;
	}
	/* One whose target died, or which was forgotten, never ends by itself. */
	if (migration->stage == SIM_MIGRATION_WAITS) {
		if (to->sanlock->acquires[SIM_LEASE_ENGINE].active)
			sim_set(from->sim, event, from->clock->host, from->sim->now + LOOK_MS);
		else
			fails(migration);
		return;
	}
	if (migration->stage == SIM_MIGRATION_COPIES && from->sim->now < migration->copied_at) {
		look_again(migration);
		return;
	}
	if (migration->stage == SIM_MIGRATION_COPIES) {
		migration->stage = SIM_MIGRATION_HANDS_OVER;
		sim_vm_hand(from, true);
		sim_vm_suspend(from, PAUSE_MIGRATION);
		sim_set(from->sim, event, from->clock->host, from->sim->now + HAND_OVER_MS);
		return;
	}
	migration->stage = SIM_MIGRATION_WAITS;
	from->sim->reaches = true;
	sim_set(from->sim, event, from->clock->host, from->sim->now + LOOK_MS);
	r = to->sanlock->running && !to->sanlock->stopped
		    ? sim_sanlock_acquire(to->sanlock, SIM_LEASE_ENGINE, to->pid, taken, migration)
		    : -ECONNREFUSED;
	if (r < 0)
		fails(migration);
}

bool sim_migration_gives(const struct sim_migration *migration)
{
	const struct sim_vm *from = migration->from;

	return migration->stage == SIM_MIGRATION_NONE && from->guest == SIM_GUEST_RUNNING &&
	       from->libvirt_up && !from->libvirt_hangs;
}

bool sim_migration_takes(const struct sim_vm *to)
{
	/* To prepare it takes longer than to hear of the end of the one before. */
	return to->libvirt_up && !to->libvirt_hangs && to->pid == 0 && !to->acting.under_way &&
	       !sim_is_set(&to->told);
}

void sim_migration_begin(struct sim_migration *migration, struct sim_vm *to, int64_t copy_ms)
{
	struct sim_vm *from = migration->from;

	if (migration->stage != SIM_MIGRATION_NONE || from->guest != SIM_GUEST_RUNNING || from == to)
		return;
	if (!sim_migration_gives(migration) || from->lost || !sim_migration_takes(to)) {
		migration->failed++;
		return;
	}
	migration->to = to;
	migration->stage = SIM_MIGRATION_COPIES;
	from->sim->reaches = true;
	migration->from_number = from->number;
	migration->from_starts = from->libvirt_starts;
	migration->to_starts = to->libvirt_starts;
	from->leaving = from->unsure = true;
	sim_libvirt_told(from); /* that a pass has begun */
	sim_vm_create(to, from);
	migration->to_number = to->number;
	sim_libvirt_told(to);
	migration->copied_at = from->sim->now + copy_ms;
	look_again(migration);
}

void sim_migration_cancel(struct sim_migration *migration)
{
	if (migration->stage == SIM_MIGRATION_COPIES || migration->stage == SIM_MIGRATION_HANDS_OVER)
		fails(migration);
}

void sim_migration_init(struct sim_migration *migration, struct sim_vm *from)
{
	memset(migration, 0, sizeof(*migration));
	migration->from = from;
	migration->step.fire = step_fired;
	migration->step.kind = SIM_VM;
}
