/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Carries the faults out, and says each in the log. It decides nothing. */
#include "tests/sim/sim_fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/sim_log.h"

static const char *const fault_names[SIM_DISK_FAULT_COUNT] = {"eio",   "hang", "lost", "torn",
							      "stale", "slow", "cut",  "held"};

void sim_power_cut(struct sim_host *host, int64_t back_ms)
{
	if (!host->powered)
		return;
	sim_log_line(host->id, "fault power-cut");
	sim_host_power_off(host, back_ms);
}

void sim_power_on(struct sim_host *host)
{
	sim_host_boot(host);
}

static void hold(struct sim_host *host, int64_t ms)
{
	sim_hold(host->sim, host->id, SIM_DAEMON_NONE, host->sim->now + ms);
}

void sim_stall(struct sim_host *host, int64_t ms)
{
	if (!host->powered)
		return;
	sim_log_line(host->id, "fault stall ms=%lld", (long long)ms);
	hold(host, ms);
}

void sim_suspend(struct sim_host *host, int64_t ms)
{
	if (!host->powered)
		return;
	sim_log_line(host->id, "fault suspend ms=%lld", (long long)ms);
	sim_clock_suspend(&host->clock, ms);
	hold(host, ms);
	sim_guard_resumed(&host->guard, ms);
}

void sim_drift(struct sim_host *host, int32_t ppm)
{
	sim_log_line(host->id, "fault drift ppm=%d", ppm);
	sim_clock_drift(&host->clock, ppm);
}

void sim_wall_jump(struct sim_host *host, int64_t ms)
{
	sim_log_line(host->id, "fault wall-jump ms=%lld", (long long)ms);
	host->clock.wall_ahead_ms += ms;
}

void sim_crash(struct sim_host *host, enum sim_service service, int64_t back_ms)
{
	sim_host_crash(host, service, back_ms);
}

void sim_stop(struct sim_host *host, enum sim_service service, int64_t back_ms)
{
	assert(service == SIM_AGENT_SERVICE || service == SIM_BROKER_SERVICE);
	sim_host_stop(host, service, back_ms);
}

void sim_hang(struct sim_host *host, enum sim_service service, int64_t ms)
{
	enum sim_daemon daemon = sim_host_daemon(service);

	assert(daemon != SIM_DAEMON_NONE);
	if (!host->powered || !host->units[service].running)
		return;
	sim_log_line(host->id, "fault hang service=%d ms=%lld", service, (long long)ms);
	sim_hold(host->sim, host->id, daemon, host->sim->now + ms);
}

void sim_freeze(struct sim_host *host, enum sim_service service, bool frozen)
{
	if (!host->powered || !host->units[service].running)
		return;
	sim_log_line(host->id, "fault %s service=%d", frozen ? "freeze" : "thaw", service);
	if (service == SIM_SANLOCK_SERVICE)
		sim_sanlock_stop(&host->sanlock, frozen);
	else if (service == SIM_LIBVIRT_SERVICE)
		sim_vm_libvirt_hang(&host->vm, frozen);
	else
		assert(false);
}

void sim_proc_fails(struct sim_host *host, bool fails)
{
	sim_log_line(host->id, "fault proc %s", fails ? "unreadable" : "readable");
	host->guard.proc_fails = host->proc.fails = fails;
}

void sim_storage_fault(struct sim_host *host, enum sim_disk_fault fault, uint32_t per_mille)
{
	sim_log_line(host->id, "fault storage %s per_mille=%u", fault_names[fault], per_mille);
	sim_disk_fault(&host->disk, fault, per_mille);
	sim_vm_storage(&host->vm, host->disk.per_mille[SIM_DISK_EIO] == 1000);
}

void sim_storage_slow(struct sim_host *host, int64_t ms)
{
	host->disk.slow_ms = ms;
	sim_storage_fault(host, SIM_DISK_SLOW, ms > 0 ? 1000 : 0);
}

void sim_storage_heal(struct sim_host *host)
{
	sim_log_line(host->id, "fault storage healed");
	sim_disk_heal(&host->disk);
	sim_vm_storage(&host->vm, false);
}

void sim_storage_other(struct sim_host *host, bool other)
{
	sim_log_line(host->id, "fault storage %s", other ? "another" : "its own again");
	sim_disk_attach(&host->disk, other ? &host->cluster->other_storage : &host->cluster->storage);
}

void sim_block_write(struct sim_cluster *cluster, uint32_t block, const uint8_t bytes[BLOCK_SIZE])
{
	sim_log_line(0, "fault block=%u written by somebody", block);
	sim_storage_write(&cluster->storage, 0, block, bytes, 0xff);
}

void sim_qemu_crash(struct sim_host *host)
{
	if (host->vm.pid == 0)
		return;
	sim_log_line(host->id, "fault qemu crash");
	sim_vm_kill(&host->vm, END_CRASHED);
}

void sim_guest_off(struct sim_host *host)
{
	sim_log_line(host->id, "fault guest powers itself off");
	sim_vm_off_inside(&host->vm);
}

void sim_guest_hang(struct sim_host *host, bool hangs)
{
	sim_log_line(host->id, "fault guest %s", hangs ? "hangs" : "goes on");
	host->vm.ways.hangs = hangs;
}

void sim_guest_suspend(struct sim_host *host)
{
	sim_log_line(host->id, "fault guest suspended");
	sim_vm_suspend(&host->vm, PAUSE_OTHER);
}

void sim_guest_resume(struct sim_host *host)
{
	sim_log_line(host->id, "fault guest resumed");
	sim_vm_resume(&host->vm);
}

void sim_guest_migrate(struct sim_host *from, struct sim_host *to, int64_t copy_ms)
{
	sim_log_line(from->id, "fault guest is migrated to=h%u", to->id);
	sim_migration_begin(&from->migration, &to->vm, copy_ms);
}

void sim_qemu_unkillable(struct sim_host *host, bool unkillable)
{
	sim_log_line(host->id, "fault qemu %s", unkillable ? "in state D" : "out of state D");
	host->vm.unkillable = unkillable;
	sim_vm_storage(&host->vm, false);
}

void sim_libvirt_loses(struct sim_host *host)
{
	if (host->vm.pid == 0)
		return;
	sim_log_line(host->id, "fault libvirt loses the domain");
	host->vm.lost = true;
}

void sim_vm_behaves(struct sim_host *host, const struct sim_vm_ways *ways)
{
	host->vm.ways = *ways;
}

void sim_corosync(struct sim_host *host, bool runs)
{
	sim_log_line(host->id, "fault corosync %s", runs ? "comes back" : "dies");
	sim_poke_set_down(&host->poke, !runs);
}

void sim_pokes_lost(struct sim_host *host, bool lost)
{
	sim_log_line(host->id, "fault pokes %s", lost ? "are lost" : "come again");
	host->poke.lossy = lost;
}

void sim_pokes_shuffled(struct sim_host *host, bool shuffled)
{
	sim_log_line(host->id, "fault pokes come %s", shuffled ? "twice and late" : "as they are sent");
	host->poke.shuffled = shuffled;
}

void sim_pokes_forged(struct sim_host *host, bool forged)
{
	sim_log_line(host->id, "fault pokes are %s", forged ? "forged here" : "forged no more");
	sim_poke_forge(&host->poke, forged);
}

void sim_monitor(struct sim_host *host, enum monitor monitor, bool known, int32_t value)
{
	assert(monitor != MONITOR_ENGINE_HEALTH && monitor != MONITOR_STORAGE_DOMAIN);
	sim_log_line(host->id, "fault monitor %s known=%d value=%d", monitor_str(monitor), known, value);
	host->monitored[monitor] = (struct sim_sample){.value = value, .known = known};
}

static struct sim_request *request_new(struct sim_host *host, enum command command, bool on)
{
	struct sim_request *request = calloc(1, sizeof(*request));

	if (!request)
		abort();
	request->asked_of = host;
	request->command = command;
	request->on = on;
	request->asked_at = host->sim->now;
	request->next = host->cluster->requests;
	host->cluster->requests = request;
	return request;
}

static void request_ended(struct sim_request *request, const struct sim_host *host, int error,
			  const char *text)
{
	request->ended = true;
	request->ended_at = host->cluster->answered_at = host->sim->now;
	request->error = error;
	snprintf(request->text, sizeof(request->text), "%s", text);
	sim_log_line(host->id, "answer error=%d: %s", error, text);
}

static void on_answer(void *data, int error, const char *text)
{
	struct sim_request *request = data;

	request_ended(request, request->asked_of, error, text);
}

struct sim_request *sim_ask_global(struct sim_host *host, bool maintenance)
{
	struct sim_request *request;
	int r;

	if (!host->broker || sim_stands(host->sim, host->id, SIM_DAEMON_BROKER))
		return NULL;
	sim_log_line(host->id, "operator global-maintenance %s", maintenance ? "on" : "off");
	request = request_new(host, (enum command)0, maintenance);
	r = broker_set_global(host->broker, maintenance, on_answer, request);
	if (r < 0)
		request_ended(request, host, r, "");
	return request;
}

struct sim_request *sim_ask(struct sim_host *host, enum command command)
{
	struct sim_request *request;
	int r;

	if (!host->broker || sim_stands(host->sim, host->id, SIM_DAEMON_BROKER))
		return NULL;
	sim_log_line(host->id, "operator command=%d", command);
	request = request_new(host, command, false);
	r = broker_command(host->broker, command, "", on_answer, request);
	if (r < 0)
		request_ended(request, host, r, "");
	return request;
}

void sim_management_maintenance(struct sim_host *host, bool on)
{
	sim_log_line(host->id, "management local-maintenance %s", on ? "on" : "off");
	host->files.view.maintenance_management = on;
}
