/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirtd between QEMU and the agent, for sim_vm.c alone: jobs, events, looks. */
#pragma once

#include "tests/sim/sim_vm.h"

void sim_libvirt_init(struct sim_vm *vm);
void sim_libvirt_power_off(struct sim_vm *vm);
/* QEMU has ended, which libvirt tells as `end`. */
void sim_libvirt_stopped(struct sim_vm *vm, enum domain_end end);
/* A migration away from here has ended; `lives`: QEMU and libvirtd are here still. One that has failed goes
 * on here when it gets its lease again. */
void sim_libvirt_migrated(struct sim_vm *vm, bool done, bool lives);
/* Its state has changed. */
void sim_libvirt_told(struct sim_vm *vm);

/* sim_vm.c */
/* QEMU, paused, without a lease, of the domain that was prepared or of the one that `from` runs (NULL: none).
 * Returns its pid. */
int32_t sim_vm_create(struct sim_vm *vm, const struct sim_vm *from);
/* Its CPUs run: the lease was taken, or libvirt believes so. */
void sim_vm_run(struct sim_vm *vm);
/* It is being handed over, until it runs with its lease again, or is gone. */
void sim_vm_hand(struct sim_vm *vm, bool handed);
/* They do so without it: QEMU has lost the target that it handed the guest over to, and asks nobody. */
void sim_vm_go_on(struct sim_vm *vm);
/* ACPI. */
void sim_vm_press_button(struct sim_vm *vm);
