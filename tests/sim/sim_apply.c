/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each fault as calls of sim_fault.h. Several of a kind may overlap on one host: the end of the last one
 * mends it. It decides nothing but when a fault finds its target. */
#include "tests/sim/sim_apply.h"

#include <string.h>

#include "metadata/record.h"
#include "tests/sim/sim_libvirt.h"
#include "tests/sim/sim_log.h"

#define AGAIN_MS 500
#define EXTEND_MS 200

static struct sim *sim_of(const struct one_fault *one)
{
	return &one->faults->cluster->sim;
}

static bool is_migration(enum fault fault)
{
	return fault == FAULT_VM_MIGRATED || fault == FAULT_VM_MIGRATED_SLOWLY;
}

static bool is_vm_fault(enum fault fault)
{
	return fault <= FAULT_VM_SUSPENDED || is_migration(fault) || fault == FAULT_ORDER_MIGRATE ||
	       fault == FAULT_ORDER_MIGRATE_SLOWLY || fault == FAULT_ORDER_MIGRATE_CANCEL ||
	       fault == FAULT_MIGRATION_UNHEARD || fault == FAULT_HAND_OVER_DIES;
}

/* The disk fault that it is, or -1. */
static int disk_fault(enum fault fault)
{
	switch (fault) {
	case FAULT_DISK_EIO:
		return SIM_DISK_EIO;
	case FAULT_DISK_HANG:
		return SIM_DISK_HANG;
	case FAULT_DISK_SLOW:
		return SIM_DISK_SLOW;
	case FAULT_DISK_LOST:
		return SIM_DISK_LOST;
	case FAULT_DISK_TORN:
		return SIM_DISK_TORN;
	case FAULT_DISK_STALE:
		return SIM_DISK_STALE;
	case FAULT_DISK_CUT:
		return SIM_DISK_CUT;
	case FAULT_DISK_HELD:
		return SIM_DISK_HELD;
	default:
		return -1;
	}
}

static int service_of(enum fault fault)
{
	switch (fault) {
	case FAULT_LIBVIRT_HANG:
	case FAULT_LIBVIRT_KILL:
		return SIM_LIBVIRT_SERVICE;
	case FAULT_AGENT_KILL:
	case FAULT_AGENT_HANG:
	case FAULT_DAEMONS_STOP:
	case FAULT_LOCKSPACE_RESET:
		return SIM_AGENT_SERVICE;
	case FAULT_BROKER_KILL:
	case FAULT_BROKER_HANG:
	case FAULT_GLOBAL_ON:
	case FAULT_GLOBAL_OFF:
	case FAULT_LOCAL_ON:
	case FAULT_LOCAL_OFF:
	case FAULT_ORDER_START:
	case FAULT_ORDER_SHUTDOWN:
	case FAULT_ORDER_POWEROFF:
		return SIM_BROKER_SERVICE;
	case FAULT_GUARD_KILL:
	case FAULT_GUARD_HANG:
		return SIM_GUARD_SERVICE;
	case FAULT_SANLOCK_KILL:
	case FAULT_SANLOCK_HANG:
		return SIM_SANLOCK_SERVICE;
	default:
		return -1;
	}
}

bool faults_active(const struct faults *faults, const struct sim_host *host, enum fault kind)
{
	return faults->active[host->id][kind] > 0;
}

const struct one_fault *faults_open(const struct faults *faults, bool vm)
{
	for (size_t i = 0; i < faults->schedule->n_faults; i++)
		if (!faults->all[i].over && (vm || !is_vm_fault(faults->all[i].what->fault)))
			return &faults->all[i];
	return NULL;
}

/* Where the guest of `from` can be migrated to: the first that can take it, from the host of the schedule on.
 */
static struct sim_host *find_migration_target(const struct one_fault *one, const struct sim_host *from)
{
	struct sim_cluster *cluster = one->faults->cluster;

	for (uint16_t i = 0; i < cluster->n_hosts; i++) {
		struct sim_host *to = sim_cluster_host(
			cluster, (uint16_t)((one->what->host + i - 1) % cluster->n_hosts + 1));

		if (to != from && to->powered && sim_migration_takes(&to->vm))
			return to;
	}
	return NULL;
}

/* The lease is another's, and its holder's daemons alone can see that (rule 3). */
static bool is_rewritten(const struct faults *faults)
{
	for (size_t i = 0; i < faults->schedule->n_faults; i++)
		if (faults->all[i].ghost.kind == GHOST_OWNER)
			return true;
	return false;
}

/* Without them for so long is nobody's guarantee while the lease is another's. */
static bool takes_protectors(const struct scheduled *what)
{
	return what->length > 60 * MONO_SECOND &&
	       (what->fault == FAULT_DAEMONS_STOP || what->fault == FAULT_AGENT_KILL ||
		what->fault == FAULT_BROKER_KILL || what->fault == FAULT_LOCKSPACE_RESET);
}

/* Whose record another writer of records writes: one id per fault, beyond the hosts'; a clone its host's. */
static uint16_t ghost_id(const struct one_fault *one)
{
	if (one->what->fault == FAULT_CLONE)
		return one->what->host;
	return (uint16_t)(one->faults->schedule->hosts + 1 + (one - one->faults->all) % FAULTS_GHOST_IDS);
}

static bool has_ghost(const struct faults *faults, uint16_t id)
{
	for (size_t i = 0; i < faults->schedule->n_faults; i++)
		if (faults->all[i].ghost.kind != GHOST_NONE && faults->all[i].ghost.id == id)
			return true;
	return false;
}

/* The host that it can hit now, NULL: none yet. A fault of the VM follows the VM. */
static struct sim_host *find_target(const struct one_fault *one)
{
	struct sim_cluster *cluster = one->faults->cluster;
	struct sim_host *host = sim_cluster_host(cluster, one->what->host);
	int service = service_of(one->what->fault);

	if (takes_protectors(one->what) && is_rewritten(one->faults))
		return NULL;
	switch (one->what->fault) {
	case FAULT_VM_CRASH:
	case FAULT_VM_POWEROFF:
	case FAULT_VM_IO_ERROR:
	case FAULT_VM_UNKILLABLE:
	case FAULT_VM_LOST:
	case FAULT_VM_SUSPENDED:
		return host->powered && sim_vm_runs(&host->vm) ? host : sim_cluster_runner(cluster);
	case FAULT_VM_MIGRATED:
	case FAULT_VM_MIGRATED_SLOWLY:
		host = sim_cluster_runner(cluster);
		return host && sim_migration_gives(&host->migration) && find_migration_target(one, host)
			       ? host
			       : NULL;
	case FAULT_MIGRATION_UNHEARD:
	case FAULT_HAND_OVER_DIES:
		return sim_cluster_runner(cluster);
	case FAULT_ORDER_MIGRATE:
	case FAULT_ORDER_MIGRATE_SLOWLY:
	case FAULT_ORDER_MIGRATE_CANCEL:
		host = sim_cluster_runner(cluster);
		if (host && (!host->broker || sim_stands(&cluster->sim, host->id, SIM_DAEMON_BROKER)))
			return NULL;
		return host;
	case FAULT_VM_UNLEASED:
		for (uint16_t i = 0; i < cluster->n_hosts; i++) {
			host = sim_cluster_host(cluster,
						(uint16_t)((one->what->host + i - 1) % cluster->n_hosts + 1));
			if (host->powered && host->vm.pid == 0 && host->vm.libvirt_up &&
			    !host->vm.acting.under_way)
				return host;
		}
		return NULL;
	case FAULT_LEASE_REWRITTEN: /* one at a time, and somebody is there to see it */
		host = sim_cluster_runner(cluster);
		if (is_rewritten(one->faults) || (host && (!host->agent || !host->broker)))
			return NULL;
		return sim_cluster_host(cluster, one->what->host);
	case FAULT_CLONE:
	case FAULT_ALIEN:
	case FAULT_OTHER_VERSION: /* two of an id would be a fault of another kind */
		return has_ghost(one->faults, ghost_id(one)) ? NULL : host;
	case FAULT_LOCKSPACE_RESET:
	case FAULT_DAEMONS_STOP: /* SIGTERM waits, as clients do */
		if (sim_stands(&cluster->sim, host->id, SIM_DAEMON_AGENT))
			return NULL;
		__attribute__((fallthrough));
	case FAULT_GLOBAL_ON:
	case FAULT_GLOBAL_OFF:
	case FAULT_LOCAL_ON:
	case FAULT_LOCAL_OFF:
	case FAULT_ORDER_START:
	case FAULT_ORDER_SHUTDOWN:
	case FAULT_ORDER_POWEROFF:
		if (sim_stands(&cluster->sim, host->id, SIM_DAEMON_BROKER))
			return NULL;
		break;
	case FAULT_AGENT_HANG:
	case FAULT_BROKER_HANG:
	case FAULT_GUARD_HANG: /* one at a time */
		if (sim_stands(&cluster->sim, host->id, sim_host_daemon((enum sim_service)service)))
			return NULL;
		break;
	case FAULT_HOST_CUT:
	case FAULT_HOST_PAUSE:
		return host->powered ? host : NULL;
	default:
		break;
	}
	if (service >= 0)
		return host->powered && host->units[service].running ? host : NULL;
	if (disk_fault(one->what->fault) >= 0)
		return host->powered ? host : NULL;
	return host;
}

static void begin_ghost(struct one_fault *one, enum ghost_kind kind, uint16_t id)
{
	const struct faults *faults = one->faults;

	ghost_begin(&one->ghost, sim_of(one), &faults->cluster->storage, kind, id,
		    sim_of(one)->now + one->what->length, faults->schedule->io_timeout_s);
}

/* An operator's mistake, or a storage that went back in time: the lease is a living host's that does not run
 * the VM.
 */
static void rewrite_lease(struct one_fault *one)
{
	const struct faults *faults = one->faults;

	if (one->ghost.kind != GHOST_NONE)
		return;
	sim_log_line(0, "fault lease rewritten");
	ghost_begin(&one->ghost, sim_of(one), &faults->cluster->storage, GHOST_OWNER,
		    (uint16_t)(faults->schedule->hosts + 3), sim_of(one)->now + one->what->length,
		    faults->schedule->io_timeout_s);
	check_rewritten(faults->check);
}

/* Safety rule 1: libvirt's hook refuses the engine's uuid without its lease. */
static void start_unleased(struct one_fault *one)
{
	sim_log_line(one->host->id, "fault virsh start without a lease is refused");
}

static void write_flag_noise(struct one_fault *one)
{
	uint8_t block[BLOCK_SIZE] = "maintenance=perhaps";

	sim_block_write(one->faults->cluster, 0, block);
}

static void crash_services(struct one_fault *one)
{
	sim_crash(one->host, (enum sim_service)service_of(one->what->fault), one->what->length);
}

static void fault_disk(struct one_fault *one)
{
	struct sim_disk *disk = &one->host->disk;
	int fault = disk_fault(one->what->fault);

	one->disk_before = disk->fired[fault];
	if (fault == SIM_DISK_SLOW)
		sim_storage_slow(one->host, one->what->value);
	else
		sim_storage_fault(one->host, (enum sim_disk_fault)fault, 1000);
}

static void mend_disk(struct one_fault *one)
{
	/* What hangs goes on only when all is healed; the others' faults come back at once. */
	sim_storage_heal(one->host);
	for (enum fault fault = 0; fault < FAULT_COUNT; fault++)
		if (disk_fault(fault) >= 0 && faults_active(one->faults, one->host, fault))
			sim_storage_fault(one->host, (enum sim_disk_fault)disk_fault(fault), 1000);
}

/* What stands for longer is killed by systemd: WatchdogSec= and TimeoutStopSec= of the units. */
static int64_t watchdog_ms(enum fault fault)
{
	return fault == FAULT_GUARD_HANG				 ? 11 * MONO_SECOND
	       : fault == FAULT_AGENT_HANG || fault == FAULT_BROKER_HANG ? 22 * MONO_SECOND
									 : MONO_NEVER;
}

static int64_t length_of(const struct scheduled *what)
{
	int64_t most = watchdog_ms(what->fault);

	return what->length < most ? what->length : most;
}

static void ask(struct one_fault *one, enum command command)
{
	sim_ask(one->host, command);
}

static void made_anew(void *data, struct sim_host *host)
{
	const struct one_fault *one = data;

	const struct sim_lease *leases = one->faults->cluster->storage.leases;

	check_made_anew(one->faults->check, (unsigned)(host - one->faults->cluster->hosts),
			leases[SIM_LEASE_ENGINE].owner != 0 || leases[SIM_LEASE_BLOCK0].owner != 0);
}

static void begin(struct one_fault *one)
{
	struct sim_host *host = one->host;
	struct sim_vm_ways *ways = &host->vm.ways;
	const struct scheduled *what = one->what;

	switch (what->fault) {
	case FAULT_VM_CRASH:
		sim_qemu_crash(host);
		break;
	case FAULT_VM_POWEROFF:
		sim_guest_off(host);
		break;
	case FAULT_VM_SICK:
		sim_guest_hang(host, true);
		break;
	case FAULT_VM_DEAF:
		ways->shutdown_ms = MONO_NEVER;
		break;
	case FAULT_VM_IO_ERROR:
		sim_log_line(host->id, "fault QEMU has an I/O error");
		sim_vm_storage(&host->vm, true);
		break;
	case FAULT_VM_UNKILLABLE:
		sim_qemu_unkillable(host, true);
		break;
	case FAULT_VM_LOST:
		sim_libvirt_loses(host);
		break;
	case FAULT_VM_SUSPENDED:
		sim_guest_suspend(host);
		break;
	case FAULT_VM_UNLEASED:
		start_unleased(one);
		break;
	case FAULT_VM_START_FAILS:
		ways->create_fails = true;
		break;
	case FAULT_VM_STRIPPED:
		ways->strips_lease = true;
		break;
	case FAULT_MIGRATION_UNHEARD:
		ways->unheard = true;
		break;
	case FAULT_HAND_OVER_DIES:
		ways->hand_over_ms = what->value;
		break;
	case FAULT_VM_START_SLOW:
		ways->create_ms = what->value;
		break;
	case FAULT_LIBVIRT_HANG:
	case FAULT_SANLOCK_HANG:
		sim_freeze(host, (enum sim_service)service_of(what->fault), true);
		break;
	case FAULT_LIBVIRT_KILL:
	case FAULT_AGENT_KILL:
	case FAULT_BROKER_KILL:
	case FAULT_GUARD_KILL:
	case FAULT_SANLOCK_KILL:
		crash_services(one);
		break;
	case FAULT_AGENT_HANG:
	case FAULT_BROKER_HANG:
	case FAULT_GUARD_HANG:
		sim_hang(host, (enum sim_service)service_of(what->fault), what->length);
		break;
	case FAULT_DAEMONS_STOP:
		sim_stop(host, SIM_AGENT_SERVICE, what->length);
		sim_stop(host, SIM_BROKER_SERVICE, what->length);
		break;
	case FAULT_HOST_CUT:
		sim_power_cut(host, what->length);
		break;
	case FAULT_HOST_PAUSE:
		sim_stall(host, what->length);
		break;
	case FAULT_WALL_JUMP:
		sim_wall_jump(host, what->value * MONO_SECOND);
		break;
	case FAULT_NETWORK_LOST:
		sim_monitor(host, MONITOR_NETWORK, true, (int32_t)what->value);
		break;
	case FAULT_CPU_LOAD:
		sim_monitor(host, MONITOR_CPU_LOAD, true, (int32_t)what->value);
		break;
	case FAULT_MEMORY_LOW:
		sim_monitor(host, MONITOR_MEM_FREE, true, 100);
		break;
	case FAULT_BRIDGE_DOWN:
		sim_monitor(host, MONITOR_MGMT_BRIDGE, true, 0);
		break;
	case FAULT_DISK_EIO:
	case FAULT_DISK_HANG:
	case FAULT_DISK_SLOW:
	case FAULT_DISK_LOST:
	case FAULT_DISK_TORN:
	case FAULT_DISK_STALE:
	case FAULT_DISK_CUT:
	case FAULT_DISK_HELD:
		fault_disk(one);
		break;
	case FAULT_LEASE_REWRITTEN:
		rewrite_lease(one);
		break;
	case FAULT_CLONE:
		begin_ghost(one, GHOST_CLONE, ghost_id(one));
		break;
	case FAULT_ALIEN:
		begin_ghost(one, GHOST_ALIEN, ghost_id(one));
		check_alien(one->faults->check, true);
		break;
	case FAULT_RECORD_NOISE:
		begin_ghost(one, GHOST_NOISE, what->host);
		break;
	case FAULT_OTHER_VERSION:
		begin_ghost(one,
			    what->value == 0   ? GHOST_OLDER
			    : what->value == 1 ? GHOST_PYTHON
					       : GHOST_NEWER,
			    ghost_id(one));
		break;
	case FAULT_FLAG_NOISE:
		write_flag_noise(one);
		break;
	case FAULT_FLAG_UNDONE:
		begin_ghost(one, GHOST_FLAG, 0);
		break;
	case FAULT_GLOBAL_ON:
		sim_ask_global(host, true);
		break;
	case FAULT_GLOBAL_OFF:
		sim_ask_global(host, false);
		break;
	case FAULT_LOCAL_ON:
		ask(one, COMMAND_LOCAL_MAINTENANCE_ON);
		break;
	case FAULT_LOCAL_OFF:
		ask(one, COMMAND_LOCAL_MAINTENANCE_OFF);
		break;
	case FAULT_MANAGEMENT_MAINTENANCE:
		sim_management_maintenance(host, true);
		break;
	case FAULT_ORDER_START:
		ask(one, COMMAND_VM_START);
		break;
	case FAULT_ORDER_SHUTDOWN:
		ask(one, COMMAND_VM_SHUTDOWN);
		break;
	case FAULT_ORDER_POWEROFF:
		ask(one, COMMAND_VM_POWEROFF);
		break;
	case FAULT_ORDER_MIGRATE:
	case FAULT_ORDER_MIGRATE_SLOWLY:
		host->vm.ways.copy_ms = what->value ? what->value : SIM_COPY_MS;
		ask(one, COMMAND_VM_MIGRATE);
		break;
	case FAULT_ORDER_MIGRATE_CANCEL:
		ask(one, COMMAND_VM_MIGRATE_CANCEL);
		break;
	case FAULT_VM_MIGRATED:
	case FAULT_VM_MIGRATED_SLOWLY:
		one->moves_before = host->migration.done + host->migration.failed;
		sim_guest_migrate(host, find_migration_target(one, host),
				  what->value ? what->value : SIM_COPY_MS);
		break;
	case FAULT_CLOCK_DRIFT:
		sim_drift(host, (int32_t)what->value);
		break;
	case FAULT_COROSYNC_KILL:
		sim_corosync(host, false);
		break;
	case FAULT_POKES_LOST:
		sim_pokes_lost(host, true);
		break;
	case FAULT_POKES_SHUFFLED:
		sim_pokes_shuffled(host, true);
		break;
	case FAULT_POKES_FORGED:
		sim_pokes_forged(host, true);
		break;
	case FAULT_LOCKSPACE_RESET:
		sim_stop(host, SIM_AGENT_SERVICE, what->length);
		sim_stop(host, SIM_BROKER_SERVICE, what->length);
		one->repair.writes = made_anew;
		one->repair.data = one;
		sim_repair_begin(&one->repair, host);
		break;
	case FAULT_COUNT:
		assert(false);
	}
}

/* Half a record that names its host is written over by it; the rest is cleared by an operator. */
static void clear_half(struct sim_host *host)
{
	static const uint8_t none[BLOCK_SIZE];
	struct sim_storage *storage = &host->cluster->storage;
	uint8_t block[BLOCK_SIZE];
	char cause[RECORD_CAUSE_SIZE];
	struct record record;

	sim_storage_read(storage, host->id, block);
	if (record_decode(block, host->id, &record, cause) != RECORD_OK &&
	    !record_half_written(block, host->id, host->name))
		sim_storage_write(storage, 0, host->id, none, 0xff);
}

/* What sanlock has forgotten libvirt resumes without its lease: sanlock was restarted without its drop-in
 * while the guard was dead. Nothing can refuse that, and rule 3 ends it after a moment, in which nobody else
 * may run: the operator does so on a cluster's only host alone. */
static bool is_alone(const struct faults *faults)
{
	bool alone = faults->schedule->hosts == 1;

	for (size_t i = 0; i < faults->schedule->n_faults; i++)
		alone &= faults->schedule->faults[i].fault != FAULT_OTHER_VERSION;
	return alone;
}

static void mend(struct one_fault *one)
{
	struct sim_host *host = one->host;
	struct sim_vm_ways *ways = &host->vm.ways;

	if (disk_fault(one->what->fault) >= 0) {
		mend_disk(one);
		if (one->what->fault == FAULT_DISK_CUT)
			clear_half(host);
		return;
	}
	if (one->ghost.kind == GHOST_ALIEN)
		check_alien(one->faults->check, false);
	ghost_end(&one->ghost);
	sim_repair_end(&one->repair);
	if (faults_active(one->faults, host, one->what->fault))
		return; /* another of the kind goes on */
	switch (one->what->fault) {
	case FAULT_VM_SICK:
		sim_guest_hang(host, false);
		break;
	case FAULT_VM_DEAF:
		ways->shutdown_ms = 8 * MONO_SECOND;
		break;
	case FAULT_VM_IO_ERROR:
		sim_vm_storage(&host->vm, false);
		break;
	case FAULT_VM_UNKILLABLE:
		sim_qemu_unkillable(host, false);
		break;
	case FAULT_VM_SUSPENDED:
		if (host->sanlock.registered == host->vm.pid || is_alone(one->faults))
			sim_guest_resume(host);
		break;
	case FAULT_VM_START_FAILS:
		ways->create_fails = false;
		break;
	case FAULT_VM_STRIPPED:
		ways->strips_lease = false;
		break;
	case FAULT_MIGRATION_UNHEARD:
		ways->unheard = false;
		break;
	case FAULT_HAND_OVER_DIES:
		ways->hand_over_ms = 0;
		break;
	case FAULT_VM_START_SLOW:
		ways->create_ms = 400;
		break;
	case FAULT_LIBVIRT_HANG:
	case FAULT_SANLOCK_HANG:
		sim_freeze(host, (enum sim_service)service_of(one->what->fault), false);
		break;
	case FAULT_AGENT_HANG:
	case FAULT_BROKER_HANG:
	case FAULT_GUARD_HANG:
		if (sim_stands(host->sim, host->id,
			       sim_host_daemon((enum sim_service)service_of(one->what->fault))))
			sim_crash(host, (enum sim_service)service_of(one->what->fault), MONO_SECOND);
		break;
	case FAULT_NETWORK_LOST:
		sim_monitor(host, MONITOR_NETWORK, true, 0);
		break;
	case FAULT_CPU_LOAD:
		sim_monitor(host, MONITOR_CPU_LOAD, true, 50);
		break;
	case FAULT_MEMORY_LOW:
		sim_monitor(host, MONITOR_MEM_FREE, true, 64000);
		break;
	case FAULT_BRIDGE_DOWN:
		sim_monitor(host, MONITOR_MGMT_BRIDGE, true, 1);
		break;
	case FAULT_MANAGEMENT_MAINTENANCE:
		sim_management_maintenance(host, false);
		break;
	case FAULT_CLOCK_DRIFT:
		sim_drift(host, one->faults->ppm[host->id]);
		break;
	case FAULT_COROSYNC_KILL:
		sim_corosync(host, true);
		break;
	case FAULT_POKES_LOST:
		sim_pokes_lost(host, false);
		break;
	case FAULT_POKES_SHUFFLED:
		sim_pokes_shuffled(host, false);
		break;
	case FAULT_POKES_FORGED:
		sim_pokes_forged(host, false);
		break;
	default:
		break;
	}
}

/* Has it hit what it is for? */
static bool hit(const struct one_fault *one)
{
	const struct sim_migration *migration = &one->host->migration;
	int fault = disk_fault(one->what->fault);

	/* A migration is over when it has ended, well or not. */
	if (is_migration(one->what->fault))
		return migration->done + migration->failed > one->moves_before;
	return fault < 0 || one->host->disk.fired[fault] > one->disk_before;
}

static void fired(struct sim_event *event)
{
	struct one_fault *one = (struct one_fault *)event;
	struct sim *sim = sim_of(one);

	if (!one->begun) {
		one->host = find_target(one);
		if (!one->host) {
			sim_set(sim, event, 0, sim->now + AGAIN_MS);
			return;
		}
		one->begun = true;
		one->faults->active[one->host->id][one->what->fault]++;
		begin(one);
		sim_set(sim, event, 0, sim->now + length_of(one->what));
		return;
	}
	if (!hit(one)) {
		sim_set(sim, event, 0, sim->now + EXTEND_MS);
		return;
	}
	one->over = true;
	one->faults->active[one->host->id][one->what->fault]--;
	mend(one);
}

void faults_begin(struct faults *faults, struct sim_cluster *cluster, struct check *check,
		  const struct schedule *schedule)
{
	faults->cluster = cluster;
	faults->check = check;
	faults->schedule = schedule;
	for (uint16_t id = 1; id <= schedule->hosts; id++)
		faults->ppm[id] = sim_cluster_host(cluster, id)->clock.ppm;
	for (size_t i = 0; i < schedule->n_faults; i++) {
		struct one_fault *one = &faults->all[i];

		one->faults = faults;
		one->what = &schedule->faults[i];
		one->event.fire = fired;
		one->event.kind = SIM_SCHEDULE;
		sim_set(&cluster->sim, &one->event, 0, one->what->at);
	}
}
