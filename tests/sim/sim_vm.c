/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* QEMU and libvirtd. Decides what becomes of the VM when somebody acts on it or something breaks; what the
 * agent hears of it is in sim_libvirt.c. */
#include "tests/sim/sim_vm.h"

#include <errno.h>
#include <string.h>

#include "tests/sim/sim_domain.h"
#include "tests/sim/sim_libvirt.h"

#define EARLY_DEATH_MS 2000
#define OF(pointer, member) ((struct sim_vm *)((char *)(pointer)-offsetof(struct sim_vm, member)))

static mono_t now_of(const struct sim_vm *vm)
{
	return sim_clock_mono(vm->clock);
}

static void set_event(struct sim_vm *vm, struct sim_event *event, int64_t ms)
{
	sim_set(vm->sim, event, vm->clock->host, sim_clock_due(vm->clock, mono_add(now_of(vm), ms)));
}

static void guest_to(struct sim_vm *vm, enum sim_guest guest)
{
	bool ran = sim_vm_runs(vm);

	vm->guest = guest;
	if (ran == sim_vm_runs(vm))
		return;
	vm->running_since = ran ? MONO_UNSET : now_of(vm);
	vm->calls->runs(vm->calls_data, !ran);
}

void sim_vm_hand(struct sim_vm *vm, bool handed)
{
	if (vm->handed != handed)
		vm->disk->storage->handed += handed ? 1 : -1u;
	vm->handed = handed;
}

static void qemu_gone(struct sim_vm *vm)
{
	if (vm->pid == 0)
		return;
	sim_vm_hand(vm, false);
	sim_cancel(vm->sim, &vm->dies);
	sim_cancel(vm->sim, &vm->guest_off);
	vm->listed = vm->guest;
	guest_to(vm, SIM_GUEST_NONE);
	vm->pid = 0;
	vm->killed = false;
	vm->ends++;
	sim_domain_gone(vm);
	sim_sanlock_exited(vm->sanlock, SIM_LEASE_ENGINE);
	sim_libvirt_stopped(vm, vm->ending);
	vm->calls->ended(vm->calls_data);
}

static void dies_fired(struct sim_event *event)
{
	qemu_gone(OF(event, dies));
}

/* In state D it does not even die. */
static bool in_state_d(const struct sim_vm *vm)
{
	return vm->unkillable || (sim_disk_hangs(vm->disk) && vm->guest != SIM_GUEST_PAUSED);
}

void sim_vm_kill(struct sim_vm *vm, enum domain_end end)
{
	if (vm->pid == 0)
		return;
	vm->ending = end;
	vm->killed = vm->sim->changes = true;
	/* It writes no more of its own will; what its kernel has begun may land. */
	if (!in_state_d(vm))
		set_event(vm, &vm->dies, 5);
}

void sim_vm_storage(struct sim_vm *vm, bool error)
{
	if (vm->pid == 0)
		return;
	if (vm->killed && !in_state_d(vm)) {
		set_event(vm, &vm->dies, 5);
		return;
	}
	if (error && vm->guest == SIM_GUEST_RUNNING)
		sim_vm_suspend(vm, PAUSE_IO_ERROR);
}

static void guest_off_fired(struct sim_event *event)
{
	struct sim_vm *vm = OF(event, guest_off);

	if (vm->pid == 0)
		return;
	if (in_state_d(vm))
		set_event(vm, event, MONO_SECOND);
	else
		qemu_gone(vm);
}

void sim_vm_off_inside(struct sim_vm *vm)
{
	if (!sim_vm_runs(vm))
		return;
	vm->ending = END_INSIDE;
	set_event(vm, &vm->guest_off, 0);
}

void sim_vm_suspend(struct sim_vm *vm, enum pause pause)
{
	if (!sim_vm_runs(vm))
		return;
	guest_to(vm, SIM_GUEST_PAUSED);
	vm->pause = pause;
	/* libvirt lets the lease go; without it nobody does. */
	if (vm->libvirt_up)
		sim_sanlock_release(vm->sanlock, SIM_LEASE_ENGINE);
	sim_libvirt_told(vm);
}

int32_t sim_vm_create(struct sim_vm *vm, const struct sim_vm *from)
{
	assert(vm->pid == 0);
	vm->last_pid += 1;
	vm->pid = 1000 + vm->last_pid;
	vm->number++;
	vm->killed = vm->unkillable = vm->lost = vm->ran = vm->past = vm->leaving = false;
	vm->ending = END_CRASHED;
	vm->pause = from ? PAUSE_MIGRATION : PAUSE_STARTING;
	guest_to(vm, SIM_GUEST_PAUSED);
	sim_domain_create(vm, from);
	sim_sanlock_register(vm->sanlock, vm->pid);
	return vm->pid;
}

void sim_vm_run(struct sim_vm *vm)
{
	vm->pause = PAUSE_NONE;
	vm->ran = true;
	sim_vm_hand(vm, false);
	guest_to(vm, SIM_GUEST_RUNNING);
	vm->starts++;
	if (vm->ways.dies_early)
		set_event(vm, &vm->dies, EARLY_DEATH_MS);
	sim_libvirt_told(vm);
}

void sim_vm_go_on(struct sim_vm *vm)
{
	vm->pause = PAUSE_NONE;
	guest_to(vm, SIM_GUEST_RUNNING);
	sim_libvirt_told(vm);
}

void sim_vm_press_button(struct sim_vm *vm)
{
	/* A guest that ignores it runs on, and nobody sees that it was asked. */
	if (vm->guest != SIM_GUEST_RUNNING || vm->ways.shutdown_ms == MONO_NEVER || vm->ways.hangs)
		return;
	guest_to(vm, SIM_GUEST_SHUTTING_DOWN);
	vm->ending = END_INSIDE;
	set_event(vm, &vm->guest_off, vm->ways.shutdown_ms);
	sim_libvirt_told(vm);
}

enum health sim_vm_health(const struct sim_vm *vm)
{
	if (!sim_vm_runs(vm) || vm->ways.hangs ||
	    !mono_passed(vm->running_since, vm->ways.boot_ms, now_of(vm)))
		return HEALTH_BAD;
	return HEALTH_GOOD;
}

void sim_vm_power_off(struct sim_vm *vm)
{
	sim_cancel(vm->sim, &vm->dies);
	sim_cancel(vm->sim, &vm->guest_off);
	sim_vm_hand(vm, false);
	guest_to(vm, SIM_GUEST_NONE);
	vm->pid = 0;
	vm->killed = vm->unkillable = false;
	sim_domain_gone(vm);
	sim_libvirt_power_off(vm);
}

void sim_vm_init(struct sim_vm *vm, struct sim_clock *clock, struct sim_disk *disk,
		 struct sim_sanlock *sanlock)
{
	memset(vm, 0, sizeof(*vm));
	vm->sim = disk->sim;
	vm->clock = clock;
	vm->disk = disk;
	vm->sanlock = sanlock;
	vm->running_since = vm->listed_until = MONO_UNSET;
	vm->ways = (struct sim_vm_ways){.create_ms = 400,
					.copy_ms = SIM_COPY_MS,
					.boot_ms = 40 * MONO_SECOND,
					.shutdown_ms = 8 * MONO_SECOND};
	vm->dies.fire = dies_fired;
	vm->guest_off.fire = guest_off_fired;
	vm->dies.kind = vm->guest_off.kind = SIM_VM;
	sim_libvirt_init(vm);
}
