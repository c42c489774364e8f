/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets a simulated cluster up as a scenario has it, calls its faults when they are due, and looks for changes
 * after its events. */
#include "tools/simulator/simulation.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "tests/sim/sim_fault.h"
#include "tests/sim/sim_log.h"
#include "util/log.h"

#define BOOT_SPREAD_MS 3000
#define SLOW_MS 1000

/* A fault's begin or end. */
struct due {
	struct sim_event event; /* first */
	struct simulation *simulation;
	const struct scenario_event *fault;
	bool over;
	uint16_t host;		 /* that it hit */
	const struct due *began; /* of an end */
};

/* What was told of a host. */
struct told {
	bool any, on;
	struct step step;
	int guest;
};

/* What the operator asked for. */
struct asked {
	const struct sim_request *request;
	bool told; /* of its end */
};

struct simulation {
	const struct scenario *scenario;
	struct sim_cluster *cluster;
	struct sim_log log;
	FILE *log_to;
	void (*changed)(void *data, const struct change *change);
	void *data;
	struct due *dues;
	size_t n_dues;
	struct told *told; /* [1..n_hosts] */
	struct asked *asked;
	size_t n_asked, asked_size, n_asked_told;
	uint16_t lease_owner;
	int running;
	unsigned resets;
	bool look_at_all, two_ran;
};

static void tell(struct simulation *s, struct change change)
{
	change.at = s->cluster->sim.now;
	s->changed(s->data, &change);
}

static void look_at_host(struct simulation *s, uint16_t id)
{
	const struct sim_host *host = sim_cluster_host(s->cluster, id);
	struct told *told = &s->told[id];
	bool on = host->powered && host->agent;
	int guest = host->vm.pid == 0 ? 0 : sim_vm_runs(&host->vm) ? 2 : 1;

	if (on != told->on) {
		told->on = on;
		told->any = false;
		tell(s, (struct change){.kind = CHANGE_HOST, .host = id, .value = on});
	}
	if (guest != told->guest) {
		told->guest = guest;
		tell(s, (struct change){.kind = CHANGE_GUEST, .host = id, .value = guest});
	}
}

static void look_at_requests(struct simulation *s)
{
	for (size_t i = 0; s->n_asked_told < s->n_asked && i < s->n_asked; i++) {
		const struct sim_request *request = s->asked[i].request;

		if (s->asked[i].told || !request->ended)
			continue;
		s->asked[i].told = true;
		s->n_asked_told++;
		if (request->error < 0)
			tell(s, (struct change){.kind = CHANGE_REFUSED,
						.host = request->asked_of->id,
						.value = request->error,
						.text = request->text});
	}
}

/* Looks at all hosts when something has happened that is not one host's step. */
static void on_event(void *data, struct sim_cluster *cluster)
{
	struct simulation *s = data;
	uint16_t owner = cluster->storage.leases[SIM_LEASE_ENGINE].owner;

	if (owner != s->lease_owner) {
		s->lease_owner = owner;
		tell(s, (struct change){.kind = CHANGE_LEASE, .host = owner});
	}
	if (s->look_at_all || cluster->running != s->running || cluster->watchdog_resets != s->resets) {
		s->look_at_all = false;
		s->running = cluster->running;
		s->resets = cluster->watchdog_resets;
		s->two_ran |= s->running > 1;
		for (uint16_t id = 1; id <= cluster->n_hosts; id++)
			look_at_host(s, id);
	}
	look_at_requests(s);
}

/* The reason alone is no news while nothing follows from it. */
static bool news(const struct told *told, const struct step *step)
{
	const struct step *last = &told->step;

	return !told->any || step->next.state != last->next.state || step->score.value != last->score.value ||
	       step->alarm != last->alarm || step->wanted_refused ||
	       (step->n_actions > 0 && (step->n_actions != last->n_actions ||
					memcmp(step->actions, last->actions, sizeof(step->actions)) != 0));
}

static void on_step(void *data, struct sim_host *host, const struct step *step)
{
	struct simulation *s = data;
	struct told *told = &s->told[host->id];
	enum state before = told->any ? told->step.next.state : STATE_START;
	bool is_news;

	look_at_host(s, host->id);
	is_news = news(told, step);
	told->step = *step;
	told->any = true;
	if (is_news)
		tell(s,
		     (struct change){.kind = CHANGE_STEP, .host = host->id, .step = step, .before = before});
}

static int64_t back_ms(const struct scenario_event *fault)
{
	return fault->for_ms ? fault->for_ms : MONO_NEVER;
}

static enum sim_service service_of(enum scenario_how how)
{
	static const enum sim_service services[HOW_COUNT] = {
		[HOW_GUARD] = SIM_GUARD_SERVICE,      [HOW_SANLOCK] = SIM_SANLOCK_SERVICE,
		[HOW_LIBVIRTD] = SIM_LIBVIRT_SERVICE, [HOW_BROKER] = SIM_BROKER_SERVICE,
		[HOW_AGENT] = SIM_AGENT_SERVICE,
	};

	return services[how];
}

static void storage(struct sim_host *host, const struct scenario_event *fault, bool over)
{
	static const enum sim_disk_fault faults[HOW_COUNT] = {
		[HOW_EIO] = SIM_DISK_EIO,   [HOW_HANG] = SIM_DISK_HANG,	  [HOW_LOST] = SIM_DISK_LOST,
		[HOW_TORN] = SIM_DISK_TORN, [HOW_STALE] = SIM_DISK_STALE,
	};

	if (fault->how == HOW_OTHER)
		sim_storage_other(host, !over);
	else if (over || fault->how == HOW_HEAL)
		sim_storage_heal(host);
	else if (fault->how == HOW_SLOW)
		sim_storage_slow(host, SLOW_MS);
	else
		sim_storage_fault(host, faults[fault->how], (uint32_t)fault->value);
	if (over && fault->how == HOW_SLOW)
		sim_storage_slow(host, 0);
}

/* NULL: there was no broker to ask. */
static void asked(struct simulation *s, const struct sim_request *request)
{
	if (!request) {
		tell(s, (struct change){
				.kind = CHANGE_REFUSED, .value = -ENOTCONN, .text = "no broker runs there"});
		return;
	}
	if (s->n_asked == s->asked_size) {
		s->asked_size = s->asked_size ? 2 * s->asked_size : 16;
		s->asked = reallocarray(s->asked, s->asked_size, sizeof(*s->asked));
		if (!s->asked)
			abort();
	}
	s->asked[s->n_asked++] = (struct asked){.request = request};
}

/* `on` as the fault says it, the contrary when it is over. */
static bool on_of(const struct scenario_event *fault, bool over)
{
	return (fault->how == HOW_ON || fault->how == HOW_UP) != over;
}

static void act(struct simulation *s, struct sim_host *host, const struct scenario_event *fault, bool over)
{
	const struct scenario_host *as = &s->scenario->hosts[host->id];

	switch (fault->fault) {
	case FAULT_POWER_CUT:
		if (!over) /* it comes back by itself */
			sim_power_cut(host, back_ms(fault));
		break;
	case FAULT_POWER_ON:
		sim_power_on(host);
		break;
	case FAULT_STALL:
		if (!over)
			sim_stall(host, fault->for_ms);
		break;
	case FAULT_SUSPEND:
		if (!over)
			sim_suspend(host, fault->for_ms);
		break;
	case FAULT_DRIFT:
		sim_drift(host, over ? as->drift_ppm : fault->value);
		break;
	case FAULT_WALL_JUMP:
		sim_wall_jump(host, fault->value * MONO_SECOND);
		break;
	case FAULT_CRASH:
		if (!over)
			sim_crash(host, service_of(fault->how), back_ms(fault));
		break;
	case FAULT_STOP:
		if (!over)
			sim_stop(host, service_of(fault->how), back_ms(fault));
		break;
	case FAULT_START:
		sim_host_start(host, service_of(fault->how));
		break;
	case FAULT_FREEZE:
	case FAULT_THAW:
		sim_freeze(host, service_of(fault->how), (fault->fault == FAULT_FREEZE) != over);
		break;
	case FAULT_PROC_FAILS:
		sim_proc_fails(host, !over);
		break;
	case FAULT_STORAGE:
		storage(host, fault, over);
		break;
	case FAULT_QEMU_CRASH:
		sim_qemu_crash(host);
		break;
	case FAULT_QEMU_UNKILLABLE:
		sim_qemu_unkillable(host, !over);
		break;
	case FAULT_GUEST_OFF:
		sim_guest_off(host);
		break;
	case FAULT_GUEST_HANG:
		sim_guest_hang(host, !over);
		break;
	case FAULT_GUEST_SUSPEND:
	case FAULT_GUEST_RESUME:
		if ((fault->fault == FAULT_GUEST_SUSPEND) != over)
			sim_guest_suspend(host);
		else
			sim_guest_resume(host);
		break;
	case FAULT_NETWORK:
		sim_monitor(host, MONITOR_NETWORK, true, over ? as->network : fault->value);
		break;
	case FAULT_BRIDGE:
		sim_monitor(host, MONITOR_MGMT_BRIDGE, true, on_of(fault, over));
		break;
	case FAULT_MEMORY:
		sim_monitor(host, MONITOR_MEM_FREE, true, over ? as->memory_mib : fault->value);
		break;
	case FAULT_CPU:
		sim_monitor(host, MONITOR_CPU_LOAD, true, over ? as->cpu : fault->value);
		break;
	case FAULT_LOCAL_MAINTENANCE:
		asked(s, sim_ask(host, on_of(fault, over) ? COMMAND_LOCAL_MAINTENANCE_ON
							  : COMMAND_LOCAL_MAINTENANCE_OFF));
		break;
	case FAULT_MANAGEMENT_MAINTENANCE:
		sim_management_maintenance(host, on_of(fault, over));
		break;
	case FAULT_GLOBAL_MAINTENANCE:
		asked(s, sim_ask_global(host, on_of(fault, over)));
		break;
	case FAULT_VM_START:
		asked(s, sim_ask(host, COMMAND_VM_START));
		break;
	case FAULT_VM_SHUTDOWN:
		asked(s, sim_ask(host, COMMAND_VM_SHUTDOWN));
		break;
	case FAULT_VM_POWEROFF:
		asked(s, sim_ask(host, COMMAND_VM_POWEROFF));
		break;
	case FAULT_VM_MIGRATE:
		asked(s, sim_ask(host, COMMAND_VM_MIGRATE));
		break;
	case FAULT_VM_MIGRATE_CANCEL:
		asked(s, sim_ask(host, COMMAND_VM_MIGRATE_CANCEL));
		break;
	case FAULT_COUNT:
	default:
		assert(!"no such fault");
	}
}

/* Global maintenance is the cluster's: the first host that has a broker is asked. */
static bool is_global(const struct scenario_event *fault)
{
	return fault->fault == FAULT_GLOBAL_MAINTENANCE;
}

/* The host that a fault hits, 0: all. Where nobody runs the VM it hits the first that lives: no fault may go
 * by unseen. */
static uint16_t hit_by(const struct due *due)
{
	const struct sim_cluster *cluster = due->simulation->cluster;

	if (due->began)
		return due->began->host;
	if (due->fault->host != SCENARIO_VM_HOST)
		return due->fault->host;
	for (uint16_t i = 0; i < cluster->n_hosts; i++)
		if (sim_vm_runs(&cluster->hosts[i].vm))
			return cluster->hosts[i].id;
	for (uint16_t i = 0; i < cluster->n_hosts; i++)
		if (cluster->hosts[i].powered)
			return cluster->hosts[i].id;
	return 1;
}

static void due_fired(struct sim_event *event)
{
	struct due *due = (struct due *)event;
	struct simulation *s = due->simulation;
	const struct scenario_event *fault = due->fault;

	due->host = hit_by(due);
	tell(s, (struct change){.kind = CHANGE_FAULT, .host = due->host, .event = fault, .over = due->over});
	for (uint16_t id = due->host ? due->host : 1; id <= (due->host ? due->host : s->cluster->n_hosts);
	     id++) {
		struct sim_host *host = sim_cluster_host(s->cluster, id);

		if (is_global(fault) && !due->host && !host->broker)
			continue;
		act(s, host, fault, due->over);
		if (is_global(fault))
			break;
	}
	s->look_at_all = true;
}

static void set_up_host(struct sim_host *host, const struct scenario_host *as)
{
	host->agent_config.policy = host->broker_config.policy = as->policy;
	host->sanlock.timing = as->policy.lease;
	host->sanlock.has_watchdog = as->watchdog != WATCHDOG_NONE;
	host->lease.watchdog = as->watchdog;
	host->guard.require_watchdog = as->policy.require_watchdog;
	host->clock.ppm = as->drift_ppm;
	host->monitored[MONITOR_NETWORK].value = as->network;
	host->monitored[MONITOR_MGMT_BRIDGE].value = as->bridge;
	host->monitored[MONITOR_MEM_FREE].value = as->memory_mib;
	host->monitored[MONITOR_CPU_LOAD].value = as->cpu;
	host->vm.ways.boot_ms = as->boot_s * MONO_SECOND;
	host->files.view.maintenance_operator = as->local_maintenance;
	host->files.view.vm_config_good = !as->config_outdated;
	if (as->failed_tries)
		host->files.saved = (struct saved){.failed_tries = (uint32_t)as->failed_tries,
						   .last_failed_wall = SIM_WALL};
}

static void set_due(struct simulation *s, const struct scenario_event *fault, bool over)
{
	struct due *due = &s->dues[s->n_dues];

	*due = (struct due){.event = {.fire = due_fired, .kind = SIM_SCHEDULE},
			    .simulation = s,
			    .fault = fault,
			    .over = over,
			    .began = over ? &s->dues[s->n_dues - 1] : NULL};
	s->n_dues++;
	sim_set(&s->cluster->sim, &due->event, 0, fault->at + (over ? fault->for_ms : 0));
}

static void on_log_line(void *data, const char *text)
{
	const struct simulation *s = data;

	fprintf(s->log_to, "%s\n", text);
}

int simulation_new(const struct scenario *scenario, FILE *log,
		   void (*changed)(void *data, const struct change *change), void *data,
		   struct simulation **ret)
{
	struct sim_cluster_config config = {.seed = scenario->seed,
					    .n_hosts = scenario->n_hosts,
					    .policy = policy_default,
					    .watchdog = true};
	struct simulation *s = calloc(1, sizeof(*s));
	struct sim *sim;

	if (s) {
		s->told = calloc((size_t)scenario->n_hosts + 1, sizeof(*s->told));
		s->dues = calloc(2 * scenario->n_events + 1, sizeof(*s->dues));
	}
	if (!s || !s->told || !s->dues) {
		simulation_free(s);
		return -ENOMEM;
	}
	s->scenario = scenario;
	s->changed = changed;
	s->data = data;
	s->log_to = log;
	s->cluster = sim_cluster_new(&config);
	s->cluster->after = on_event;
	s->cluster->stepped = on_step;
	s->cluster->data = s;
	sim = &s->cluster->sim;
	if (log) {
		s->log = (struct sim_log){.sim = sim, .most = LOG_INFO, .line = on_log_line, .data = s};
		sim_log_to(&s->log);
	}
	for (uint16_t id = 1; id <= scenario->n_hosts; id++) {
		struct sim_host *host = sim_cluster_host(s->cluster, id);

		set_up_host(host, &scenario->hosts[id]);
		if (!scenario->hosts[id].off)
			sim_set(sim, &host->boots_again, id,
				sim_random_between(&sim->random, 0, BOOT_SPREAD_MS));
	}
	for (size_t i = 0; i < scenario->n_events; i++) {
		set_due(s, &scenario->events[i], false);
		if (scenario->events[i].for_ms)
			set_due(s, &scenario->events[i], true);
	}
	*ret = s;
	return 0;
}

void simulation_run(struct simulation *simulation, int64_t end)
{
	simulation->cluster->sim.stop = false;
	sim_cluster_run(simulation->cluster, end);
}

void simulation_stop(struct simulation *simulation)
{
	simulation->cluster->sim.stop = true;
}

void simulation_free(struct simulation *simulation)
{
	if (!simulation)
		return;
	sim_log_to(NULL);
	sim_cluster_free(simulation->cluster);
	free(simulation->told);
	free(simulation->dues);
	free(simulation->asked);
	free(simulation);
}

int64_t simulation_now(const struct simulation *simulation)
{
	return simulation->cluster->sim.now;
}

const struct step *simulation_step(const struct simulation *simulation, uint16_t host)
{
	const struct sim_host *of = sim_cluster_host(simulation->cluster, host);

	return of->agent && of->stepped ? &of->step : NULL;
}

int64_t simulation_renewed_ago(const struct simulation *simulation, uint16_t host)
{
	struct sim_host *of = sim_cluster_host(simulation->cluster, host);

	if (!of->powered || of->sanlock.space != SIM_SPACE_JOINED)
		return -1;
	return sim_clock_mono(&of->clock) - of->sanlock.renewed;
}

uint16_t simulation_runner(const struct simulation *simulation)
{
	const struct sim_host *host = sim_cluster_runner(simulation->cluster);

	return host ? host->id : 0;
}

bool simulation_two_ran(const struct simulation *simulation)
{
	return simulation->two_ran;
}
