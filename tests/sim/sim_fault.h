/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Everything that can be done to a cluster from outside, as functions: generator, scenario files and tests
 * drive the same ones. Each acts now, may be called between events or from one of the world's, and is fine
 * when there is nothing to act on. `back_ms`: when what was taken away is started again, MONO_NEVER: it is
 * not. */
#pragma once

#include "tests/sim/sim_cluster.h"

/* Hosts. */
void sim_power_cut(struct sim_host *host, int64_t back_ms);
void sim_power_on(struct sim_host *host);
/* The whole host stands still for so long, then everything at once. Its hardware watchdog doesn't. Without
 * one the guarantee bears less than 20 s: the guard kills at 6N = 60 s and resets 60 s later, others start at
 * 140 s. */
void sim_stall(struct sim_host *host, int64_t ms);
/* The same, and CLOCK_MONOTONIC stands still with it. */
void sim_suspend(struct sim_host *host, int64_t ms);
void sim_drift(struct sim_host *host, int32_t ppm); /* -1000..1000 */
void sim_wall_jump(struct sim_host *host, int64_t ms);

/* Services. */
void sim_crash(struct sim_host *host, enum sim_service service, int64_t back_ms);
void sim_stop(struct sim_host *host, enum sim_service service, int64_t back_ms); /* agent or broker */
/* SIGSTOP of agent, broker or guard, and SIGCONT `ms` later; systemd's watchdog is the caller's matter. */
void sim_hang(struct sim_host *host, enum sim_service service, int64_t ms);
/* SIGSTOP and SIGCONT of sanlock or libvirtd. */
void sim_freeze(struct sim_host *host, enum sim_service service, bool frozen);
void sim_proc_fails(struct sim_host *host, bool fails); /* /proc can't be read */

/* Storage. */
void sim_storage_fault(struct sim_host *host, enum sim_disk_fault fault, uint32_t per_mille);
void sim_storage_slow(struct sim_host *host, int64_t ms); /* all of it, 0: as before */
/* No fault any more. What hung goes on and lands late. */
void sim_storage_heal(struct sim_host *host);
/* The host is led to another storage, or back. */
void sim_storage_other(struct sim_host *host, bool other);
/* Block `block` (0..IDENTITY_BLOCK) is overwritten by nobody of ours. */
void sim_block_write(struct sim_cluster *cluster, uint32_t block, const uint8_t bytes[BLOCK_SIZE]);

/* The VM. */
void sim_qemu_crash(struct sim_host *host);
void sim_guest_off(struct sim_host *host); /* powered off from inside */
void sim_guest_hang(struct sim_host *host, bool hangs);
void sim_guest_suspend(struct sim_host *host); /* `virsh suspend` */
void sim_guest_resume(struct sim_host *host);  /* `virsh resume` */
/* Somebody migrates the guest, live; host->migration tells how often that ended well. */
void sim_guest_migrate(struct sim_host *from, struct sim_host *to, int64_t copy_ms);
void sim_qemu_unkillable(struct sim_host *host, bool unkillable); /* state D */
void sim_libvirt_loses(struct sim_host *host); /* libvirt does not list the QEMU that lives any more */
void sim_vm_behaves(struct sim_host *host, const struct sim_vm_ways *ways);

/* corosync. */
void sim_corosync(struct sim_host *host, bool runs);
void sim_pokes_lost(struct sim_host *host, bool lost);	       /* half of those that come here */
void sim_pokes_shuffled(struct sim_host *host, bool shuffled); /* they come here twice, and late */
void sim_pokes_forged(struct sim_host *host, bool forged);     /* by a process on this host, in numbers */

/* Monitors: what they see from now on. */
void sim_monitor(struct sim_host *host, enum monitor monitor, bool known, int32_t value);

/* The operator. The request tells how it ended. NULL: there is no broker to ask. */
struct sim_request *sim_ask_global(struct sim_host *host, bool maintenance);
struct sim_request *sim_ask(struct sim_host *host, enum command command);
/* `local_maintenance` of ha.conf, as the management system sets it. */
void sim_management_maintenance(struct sim_host *host, bool on);
