/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Wires a host's parts, starts and ends them. It decides when a service runs, nothing of what it does. Called
 * by sim_cluster.c and sim_fault.c. */
#include "tests/sim/sim_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim_cluster.h"
#include "tests/sim/sim_files.h"
#include "tests/sim/sim_libvirt.h"
#include "tests/sim/sim_log.h"

#define MONITOR_MS 10000
#define HEALTH_EAGER_MS 1000
#define REBOOT_MS 120000
#define PROVE_MS 1000

#define OF(pointer, member) ((struct sim_host *)((char *)(pointer)-offsetof(struct sim_host, member)))

static const char *const service_names[SIM_SERVICE_COUNT] = {"guard", "sanlock", "libvirtd", "broker",
							     "agent"};
/* After the boot; broker and agent connect whenever the others are there. */
static const int64_t service_starts_ms[SIM_SERVICE_COUNT] = {300, 500, 700, 1000, 1200};

static void set_event(struct sim_host *host, struct sim_event *event, int64_t ms)
{
	sim_set(host->sim, event, host->id, host->sim->now + ms);
}

static void on_stepped(void *data, const struct step *step)
{
	struct sim_host *host = data;

	host->sim->changes |= !host->stepped || host->step.score.value != step->score.value ||
			      host->step.next.state != step->next.state;
	host->step = *step;
	host->stepped = true;
	host->steps++;
	sim_note(host->sim, (uint64_t)step->next.state << 48 ^ (uint64_t)step->reason << 32 ^
				    (uint64_t)(uint32_t)step->score.value << 8 ^
				    (step->n_actions > 0 ? (uint64_t)step->actions[0] : 0));
	if (host->cluster->stepped)
		host->cluster->stepped(host->cluster->data, host, step);
}

static void agent_begin(struct sim_host *host)
{
	struct agent_ports ports = {.clock = &host->clock.daemons[SIM_DAEMON_AGENT].port,
				    .broker = &host->link.port,
				    .vm = &host->vm.port,
				    .fence = &host->guard.agent_fence.port,
				    .local = &host->files.port,
				    .stepped = on_stepped,
				    .data = host};

	if (agent_new(&host->agent_config, &host->agent) < 0)
		abort();
	host->agent_stopping = host->stepped = false;
	sim_link_agent(&host->link, &agent_broker_calls, host->agent);
	agent_start(host->agent, &ports, host->files.saved.failed_tries > 0 ? &host->files.saved : NULL);
}

static void agent_end(struct sim_host *host)
{
	sim_link_agent(&host->link, NULL, NULL);
	sim_vm_close(&host->vm);
	sim_fence_close(&host->guard.agent_fence);
	sim_files_close(&host->files);
	agent_free(host->agent);
	host->agent = NULL;
	host->stepped = false;
}

static void broker_begin(struct sim_host *host)
{
	struct broker_ports ports = {.clock = &host->clock.daemons[SIM_DAEMON_BROKER].port,
				     .store = &host->store.port,
				     .lease = &host->lease.port,
				     .fence = &host->guard.broker_fence.port,
				     .qemu = &host->proc.qemu,
				     .block0 = &host->block0.port,
				     .kept = &host->files.kept,
				     .backing = &host->proc.backing,
				     .poke = host->cluster->config.corosync ? &host->poke.port : NULL};

	host->broker_stopping = false;
	if (broker_new(&host->broker_config, &ports, &host->broker) < 0)
		abort();
	sim_link_broker(&host->link, host->broker);
	set_event(host, &host->monitors, 10);
	set_event(host, &host->health, HEALTH_EAGER_MS);
}

static void broker_end(struct sim_host *host)
{
	struct broker *broker = host->broker;

	sim_cancel(host->sim, &host->monitors);
	sim_cancel(host->sim, &host->health);
	sim_link_broker(&host->link, NULL);
	host->broker = NULL;
	broker_free(broker);
	sim_poke_close(&host->poke);
	sim_block0_close(&host->block0);
	sim_lease_close(&host->lease);
	sim_store_close(&host->store);
	sim_proc_close(&host->proc);
	sim_fence_close(&host->guard.broker_fence);
}

static void monitors_fired(struct sim_event *event)
{
	struct sim_host *host = OF(event, monitors);

	set_event(host, event, MONITOR_MS);
	for (int i = 0; i < MONITOR_COUNT; i++)
		if (i != MONITOR_ENGINE_HEALTH && i != MONITOR_STORAGE_DOMAIN)
			broker_sample(host->broker, (enum monitor)i, host->monitored[i].known,
				      host->monitored[i].known ? host->monitored[i].value : -1);
}

/* As broker/monitor_engine.c asks: each second until it is good, then in its rhythm. Of no QEMU there is
 * nothing to learn: on_runs() goes on in the same rhythm. */
static void health_fired(struct sim_event *event)
{
	struct sim_host *host = OF(event, health);
	bool here = broker_vm_runs(host->broker);
	struct sim_sample *was = &host->monitored[MONITOR_ENGINE_HEALTH];
	enum health health = sim_vm_health(&host->vm);

	host->health_at = host->sim->now;
	if (here || host->vm.pid != 0)
		set_event(host, event, here && health == HEALTH_GOOD ? MONITOR_MS : HEALTH_EAGER_MS);
	if (here)
		broker_sample(host->broker, MONITOR_ENGINE_HEALTH, true, (int32_t)health);
	else if (was->known)
		broker_sample(host->broker, MONITOR_ENGINE_HEALTH, false, HEALTH_UNKNOWN);
	was->known = here;
}

/* The drop-in of sanlock's unit (safety rule 4): no QEMU may live when it starts. */
static bool sanlock_may_start(struct sim_host *host)
{
	if (host->no_proof || host->vm.pid == 0)
		return true;
	sim_vm_kill(&host->vm, END_CRASHED);
	set_event(host, &host->units[SIM_SANLOCK_SERVICE].starts, PROVE_MS);
	return false;
}

void sim_host_start(struct sim_host *host, enum sim_service service)
{
	struct sim_unit *unit = &host->units[service];

	sim_cancel(host->sim, &unit->starts);
	if (unit->running || !host->powered)
		return;
	if (service == SIM_SANLOCK_SERVICE && !sanlock_may_start(host))
		return;
	unit->running = true;
	sim_log_line(host->id, "service %s started", service_names[service]);
	switch (service) {
	case SIM_GUARD_SERVICE:
		sim_guard_start(&host->guard);
		break;
	case SIM_SANLOCK_SERVICE:
		sim_sanlock_start(&host->sanlock);
		break;
	case SIM_LIBVIRT_SERVICE:
		sim_vm_libvirt_start(&host->vm);
		break;
	case SIM_BROKER_SERVICE:
		broker_begin(host);
		break;
	case SIM_AGENT_SERVICE:
		agent_begin(host);
		break;
	case SIM_SERVICE_COUNT:
		assert(false);
	}
}

enum sim_daemon sim_host_daemon(enum sim_service service)
{
	return service == SIM_AGENT_SERVICE    ? SIM_DAEMON_AGENT
	       : service == SIM_BROKER_SERVICE ? SIM_DAEMON_BROKER
	       : service == SIM_GUARD_SERVICE  ? SIM_DAEMON_GUARD
					       : SIM_DAEMON_NONE;
}

static void service_end(struct sim_host *host, enum sim_service service)
{
	host->units[service].running = false;
	host->sim->stopped_until[host->id][sim_host_daemon(service)] = 0;
	switch (service) {
	case SIM_GUARD_SERVICE:
		sim_guard_crash(&host->guard);
		break;
	case SIM_SANLOCK_SERVICE:
		sim_sanlock_crash(&host->sanlock);
		sim_block0_killed(&host->block0); /* its holder hears the end of the connection */
		sim_guard_sanlock_ended(&host->guard);
		break;
	case SIM_LIBVIRT_SERVICE:
		sim_vm_libvirt_crash(&host->vm);
		break;
	case SIM_BROKER_SERVICE:
		broker_end(host);
		break;
	case SIM_AGENT_SERVICE:
		agent_end(host);
		break;
	case SIM_SERVICE_COUNT:
		assert(false);
	}
}

void sim_host_crash(struct sim_host *host, enum sim_service service, int64_t back_ms)
{
	if (!host->powered || !host->units[service].running)
		return;
	sim_log_line(host->id, "service %s died", service_names[service]);
	service_end(host, service);
	if (back_ms != MONO_NEVER)
		set_event(host, &host->units[service].starts, back_ms);
}

/* A service that ended by itself is taken away in an event of its own, not under its feet. */
static void unit_fired(struct sim_event *event)
{
	struct sim_unit *unit = (struct sim_unit *)event;
	struct sim_host *host = unit->host;
	bool ended = unit->service == SIM_AGENT_SERVICE	   ? host->agent_stopping
		     : unit->service == SIM_BROKER_SERVICE ? host->broker_stopping
							   : false;

	if (unit->running && ended) {
		sim_log_line(host->id, "service %s stopped", service_names[unit->service]);
		service_end(host, unit->service);
		if (unit->back_ms != MONO_NEVER)
			set_event(host, event, unit->back_ms);
		return;
	}
	sim_host_start(host, unit->service);
}

static void agent_stopped(void *data)
{
	struct sim_host *host = data;

	set_event(host, &host->units[SIM_AGENT_SERVICE].starts, 1);
}

static void broker_stopped(void *data)
{
	struct sim_host *host = data;

	set_event(host, &host->units[SIM_BROKER_SERVICE].starts, 1);
}

void sim_host_stop(struct sim_host *host, enum sim_service service, int64_t back_ms)
{
	struct sim_unit *unit = &host->units[service];

	if (!host->powered || !unit->running)
		return;
	sim_log_line(host->id, "service %s is being stopped", service_names[service]);
	unit->back_ms = back_ms;
	if (service == SIM_AGENT_SERVICE && !host->agent_stopping) {
		host->agent_stopping = true;
		agent_stop(host->agent, agent_stopped, host);
	} else if (service == SIM_BROKER_SERVICE && !host->broker_stopping) {
		host->broker_stopping = true;
		broker_stop(host->broker, broker_stopped, host);
	}
}

void sim_host_power_off(struct sim_host *host, int64_t back_ms)
{
	if (!host->powered)
		return;
	sim_log_line(host->id, "host is off");
	sim_sanlock_power_off(&host->sanlock);
	sim_vm_power_off(&host->vm);
	for (int i = SIM_SERVICE_COUNT - 1; i >= 0; i--) {
		sim_cancel(host->sim, &host->units[i].starts);
		if (host->units[i].running)
			service_end(host, (enum sim_service)i);
	}
	sim_disk_power_off(&host->disk);
	host->powered = false;
	host->sim->held_until[host->id] = 0;
	if (back_ms != MONO_NEVER)
		set_event(host, &host->boots_again, back_ms);
}

void sim_host_boot(struct sim_host *host)
{
	struct sim_random *random = &host->sim->random;

	sim_cancel(host->sim, &host->boots_again);
	if (host->powered)
		return;
	host->powered = true;
	host->boots++;
	sim_clock_boot(&host->clock, host->sim, host->id, sim_random_between(random, 2000, 30000),
		       host->clock.ppm);
	sim_log_line(host->id, "host boots");
	for (int i = 0; i < SIM_SERVICE_COUNT; i++)
		set_event(host, &host->units[i].starts,
			  service_starts_ms[i] + sim_random_between(random, 0, 100));
}

static void boots_again_fired(struct sim_event *event)
{
	sim_host_boot(OF(event, boots_again));
}

static void on_sanlock_kill(void *data, enum sim_lease_id which)
{
	struct sim_host *host = data;

	if (which == SIM_LEASE_ENGINE)
		sim_vm_kill(&host->vm, END_CRASHED);
	else
		sim_block0_killed(&host->block0);
}

static void on_watchdog(void *data)
{
	struct sim_host *host = data;

	sim_log_line(host->id, "watchdog fires");
	host->cluster->watchdog_resets++;
	sim_host_power_off(host, REBOOT_MS);
}

static void on_guard_reset(void *data, const char *why)
{
	struct sim_host *host = data;

	sim_log_line(host->id, "host resets itself: %s", why);
	sim_host_power_off(host, REBOOT_MS);
}

static const struct sim_sanlock_calls sanlock_calls = {on_sanlock_kill, on_watchdog};

/* What stands still elsewhere for a migration has memory of the past from now on. */
static void note_past(const struct sim_host *host)
{
	for (uint16_t id = 1; id <= host->cluster->n_hosts; id++) {
		struct sim_vm *vm = &sim_cluster_host(host->cluster, id)->vm;

		if (id != host->id && vm->pid != 0 && vm->ran && vm->guest == SIM_GUEST_PAUSED &&
		    vm->pause == PAUSE_MIGRATION && !vm->past)
			vm->past = host->sim->reaches = true;
	}
}

static bool on_migrates(void *data, const char *target)
{
	struct sim_host *host = data;

	if (host->migration.stage != SIM_MIGRATION_NONE)
		return false;
	for (uint16_t id = 1; id <= host->cluster->n_hosts; id++) {
		struct sim_host *to = sim_cluster_host(host->cluster, id);

		if (to == host || strcmp(to->name, target) != 0)
			continue;
		sim_log_line(host->id, "guest is migrated to=h%u", id);
		if (to->powered)
			sim_migration_begin(&host->migration, &to->vm, host->vm.ways.copy_ms);
		host->vm.ways.copy_ms = SIM_COPY_MS;
		break;
	}
	if (host->migration.stage == SIM_MIGRATION_NONE)
		sim_libvirt_migrated(&host->vm, false, true); /* it could not even begin */
	return true;
}

static void on_cancels(void *data)
{
	sim_migration_cancel(&((struct sim_host *)data)->migration);
}

static void on_libvirt_dies(void *data, int64_t back_ms)
{
	sim_host_crash(data, SIM_LIBVIRT_SERVICE, back_ms);
}

static void on_runs(void *data, bool runs)
{
	struct sim_host *host = data;

	sim_log_line(host->id, "guest %s", runs ? "runs" : "stands");
	host->cluster->running += runs ? 1 : -1;
	sim_note(host->sim, (uint64_t)host->id << 1 | runs);
	if (!runs)
		return;
	note_past(host);
	sim_guard_begun(&host->guard);
	if (host->broker && !sim_is_set(&host->health))
		set_event(host, &host->health,
			  HEALTH_EAGER_MS - (host->sim->now - host->health_at) % HEALTH_EAGER_MS);
}

static void on_ended(void *data)
{
	sim_proc_ended(&((struct sim_host *)data)->proc);
}

static const struct sim_vm_calls vm_calls = {on_runs, on_migrates, on_cancels, on_libvirt_dies, on_ended};

static void fill_configs(struct sim_host *host)
{
	const struct policy *policy = &host->cluster->policy;
	struct broker_config *broker = &host->broker_config;

	broker->host_id = host->id;
	strcpy(broker->hostname, host->name);
	strcpy(broker->domain, SIM_DOMAIN);
	strcpy(broker->lockspace, SIM_LOCKSPACE);
	strcpy(broker->places.whiteboard, "metadata_path=/dev/engine/metadata");
	strcpy(broker->places.lockspace, "lockspace_path=/dev/engine/lockspace");
	strcpy(broker->places.lease, "lease_path=/dev/engine/lease");
	strcpy(broker->places.disk, "disk_path=/dev/engine/disk");
	broker->policy = *policy;
	broker->io_ms = 10 * MONO_SECOND;
	for (int i = 0; i < MONITOR_COUNT; i++) {
		broker->monitor_ms[i] = MONITOR_MS;
		host->monitored[i] = (struct sim_sample){.known = i != MONITOR_ENGINE_HEALTH};
	}
	host->monitored[MONITOR_MGMT_BRIDGE].value = 1;
	host->monitored[MONITOR_MEM_FREE].value = 64000;
	host->monitored[MONITOR_CPU_LOAD].value = 50;
	host->agent_config = (struct agent_config){.policy = *policy, .libvirt_ms = 10 * MONO_SECOND};
}

void sim_host_init(struct sim_host *host, struct sim_cluster *cluster, uint16_t id,
		   struct sim_storage *storage)
{
	memset(host, 0, sizeof(*host));
	host->cluster = cluster;
	host->sim = &cluster->sim;
	host->id = id;
	snprintf(host->name, sizeof(host->name), "host%u.example", id);
	sim_clock_boot(&host->clock, host->sim, id, 0, 0);
	sim_disk_init(&host->disk, host->sim, id, storage);
	sim_store_init(&host->store, &host->clock, &host->disk);
	sim_sanlock_init(&host->sanlock, host->sim, &host->clock, &host->disk);
	host->sanlock.host_id = id;
	host->sanlock.name = id;
	host->sanlock.timing = cluster->policy.lease;
	host->sanlock.has_watchdog = cluster->watchdog;
	host->sanlock.calls = &sanlock_calls;
	host->sanlock.data = host;
	sim_lease_init(&host->lease, &host->sanlock, cluster->scratch_hosts);
	sim_block0_init(&host->block0, &host->sanlock);
	sim_vm_init(&host->vm, &host->clock, &host->disk, &host->sanlock);
	host->vm.calls = &vm_calls;
	host->vm.calls_data = host;
	sim_migration_init(&host->migration, &host->vm);
	sim_guard_init(&host->guard, &host->vm);
	host->guard.reset = on_guard_reset;
	host->guard.data = host;
	host->guard.require_watchdog = cluster->policy.require_watchdog;
	sim_proc_init(&host->proc, &host->vm);
	sim_link_init(&host->link, &host->clock, cluster->scratch_peers);
	sim_poke_init(&host->poke, cluster, id);
	sim_files_init(&host->files, host);
	for (int i = 0; i < SIM_SERVICE_COUNT; i++) {
		host->units[i].host = host;
		host->units[i].service = (enum sim_service)i;
		host->units[i].starts.fire = unit_fired;
		host->units[i].starts.kind = SIM_SERVICE;
	}
	host->boots_again.fire = boots_again_fired;
	host->monitors.fire = monitors_fired;
	host->health.fire = health_fired;
	host->boots_again.kind = SIM_SERVICE;
	host->monitors.daemon = host->health.daemon = SIM_DAEMON_BROKER;
	host->monitors.kind = host->health.kind = SIM_MONITOR;
	fill_configs(host);
}

void sim_host_done(struct sim_host *host)
{
	sim_host_power_off(host, MONO_NEVER);
	sim_cancel(host->sim, &host->boots_again);
	sim_sanlock_done(&host->sanlock);
	sim_disk_done(&host->disk);
}
