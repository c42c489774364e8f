/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Builds the cluster that a schedule asks for, lets the faults happen, mends everything, and waits for
 * progress. The checkers see the world through look(); what they can't see from there is told to them by the
 * hooks here. */
#include "tests/sim/sim_trial.h"

#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "broker/broker_state.h"
#include "daemon/agent_state.h"
#include "tests/sim/sim_apply.h"
#include "tests/sim/sim_log.h"

#define MINUTE (60 * MONO_SECOND)
#define OPEN_MS (60 * MINUTE) /* faults that still wait for their target must have found it by then */
#define MEND_MS MONO_SECOND
#define UNLISTED_MS (126 * MINUTE) /* broker/board_scan.c: RESCAN_MS for all blocks */

struct world {
	struct sim_cluster *cluster;
	const struct schedule *schedule;
	struct faults faults;
	struct check check;
	struct sim_event heal;
	struct sim_ear ear;
	int64_t end_at, give_up;
	char said[512];				/* the trace's last line, without its time */
	struct sim_lease lease;			/* the engine's, of the last event */
	bool disturbed[SCHEDULE_HOSTS_MAX + 1]; /* by host id: a fault is on its way to storage, libvirt and
						   sanlock */
	/* Of the last event, by host: to see what changed. */
	struct {
		struct agent *agent;
		struct broker *broker;
		enum sim_space space;
		bool block0_taking, block0_held;
		unsigned late_writes;
		int64_t looked_at; /* then it was looked at last */
	} before[SCHEDULE_HOSTS_MAX];
};

/* Faults begin and end in events of the world alone. State D is no disturbance of the protectors: its bound
 * is longer. */
static void see_disturbed(struct world *world)
{
	static const enum fault faults[] = {FAULT_LIBVIRT_HANG, FAULT_LIBVIRT_KILL, FAULT_SANLOCK_HANG,
					    FAULT_HOST_PAUSE,	FAULT_DISK_EIO,	    FAULT_DISK_HANG,
					    FAULT_DISK_SLOW,	FAULT_DISK_LOST,    FAULT_DISK_TORN,
					    FAULT_DISK_STALE,	FAULT_DISK_CUT,	    FAULT_DISK_HELD};

	for (uint16_t h = 0; h < world->cluster->n_hosts; h++) {
		const struct sim_host *host = &world->cluster->hosts[h];

		world->disturbed[host->id] = false;
		for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
			world->disturbed[host->id] |= faults_active(&world->faults, host, faults[i]);
	}
}

static bool is_calm(const struct world *world, const struct sim_host *host)
{
	return !world->disturbed[host->id] && host->powered && host->vm.libvirt_up &&
	       !host->vm.libvirt_hangs && !host->sanlock.stopped &&
	       host->sim->held_until[host->id] <= host->sim->now && !host->disk.hanging && !host->disk.held;
}

static void look_at(const struct world *world, const struct sim_host *host, struct check_host *ret)
{
	const struct sim_vm *vm = &host->vm;
	const struct sim_sanlock *sanlock = &host->sanlock;
	mono_t mono;

	ret->id = host->id;
	ret->on = host->powered;
	ret->agent = host->agent && !sim_stands(host->sim, host->id, SIM_DAEMON_AGENT);
	ret->broker = host->broker && !sim_stands(host->sim, host->id, SIM_DAEMON_BROKER);
	ret->guard = host->guard.running && host->sim->held_until[host->id] <= host->sim->now &&
		     !sim_stands(host->sim, host->id, SIM_DAEMON_GUARD);
	ret->sanlock = sanlock->running;
	ret->watchdog = sanlock->has_watchdog;
	ret->io_timeout_s = sanlock->timing.io_timeout_s;
	ret->calm = is_calm(world, host);
	/* While it is killing the holders the lockspace is still listed. */
	ret->joined = sanlock->space == SIM_SPACE_JOINED || sanlock->space == SIM_SPACE_KILLING;
	/* Its clock as it is, without the model's rounding moving on. */
	mono = sim_clock_mono((struct sim_clock *)(uintptr_t)&host->clock);
	ret->renewed_at =
		sanlock->renewed == MONO_UNSET ? host->sim->now : host->sim->now - (mono - sanlock->renewed);
	ret->unfit = host->id == world->schedule->other_timing || host->id == world->schedule->no_watchdog;
	ret->score = host->stepped ? host->step.score.value : 0;
	ret->state = host->stepped ? host->step.next.state : STATE_START;
	if (vm->pid == 0)
		return;
	ret->qemus[0].life = (uint64_t)host->boots << 32 | vm->number;
	ret->qemus[0].runs = sim_vm_runs(vm);
	ret->qemus[0].registered =
		sanlock->registered == vm->pid && sanlock->holders[SIM_LEASE_ENGINE] == vm->pid;
	ret->qemus[0].leased = ret->qemus[0].registered && sim_sanlock_owns(sanlock, SIM_LEASE_ENGINE);
	/* In state D it dies late, or with its host. */
	ret->qemus[0].unkillable = vm->unkillable || vm->killed || sim_disk_hangs(&host->disk);
	ret->qemus[0].bare = vm->bare;
	ret->qemus[0].arrives =
		vm->guest == SIM_GUEST_PAUSED && vm->pause == PAUSE_MIGRATION && !vm->killed && !vm->lost;
	ret->qemus[0].past = vm->past;
}

/* The ghosts' VMs, one at most: it is the owner. */
static void look_at_ghosts(const struct world *world, struct check_host *ret)
{
	for (size_t i = 0; i < world->schedule->n_faults; i++) {
		const struct ghost *ghost = &world->faults.all[i].ghost;

		if (!ghost->owns)
			continue;
		ret->id = ghost->id;
		ret->on = ret->guard = ret->sanlock = true;
		ret->calm = ret->joined = ret->unfit = true;
		ret->renewed_at = world->cluster->sim.now;
		ret->io_timeout_s = world->schedule->io_timeout_s;
		ret->qemus[0].life = 1 + i;
		ret->qemus[0].runs = true;
		ret->qemus[0].leased = ghost_owns(ghost);
	}
}

static void check_look(void *data, unsigned host, struct check_host *ret)
{
	const struct world *world = data;

	if (host < world->cluster->n_hosts)
		look_at(world, &world->cluster->hosts[host], ret);
	else if (host == world->cluster->n_hosts)
		look_at_ghosts(world, ret);
}

/* What the models don't tell by a call: the change since the event before. True: there is one. */
static bool notice(struct world *world, unsigned i)
{
	struct sim_host *host = &world->cluster->hosts[i];
	typeof(world->before[0]) *before = &world->before[i];
	bool changed = host->agent != before->agent || host->sanlock.space != before->space ||
		       host->disk.late_writes != before->late_writes ||
		       host->block0.taking != before->block0_taking ||
		       host->block0.held != before->block0_held || host->broker != before->broker;

	before->looked_at = host->sim->now;
	if (!changed)
		return false;
	if (host->agent && host->agent != before->agent)
		check_agent_began(&world->check, i);
	before->agent = host->agent;
	before->broker = host->broker;
	if (host->sanlock.space != before->space) {
		if (host->sanlock.space == SIM_SPACE_ADDING)
			check_join(&world->check, i);
		if (host->sanlock.space == SIM_SPACE_LEAVING)
			check_left(&world->check, i);
	}
	before->space = host->sanlock.space;
	if (host->disk.late_writes != before->late_writes)
		check_late_write(&world->check, i);
	before->late_writes = host->disk.late_writes;
	if (host->block0.taking && !before->block0_taking)
		check_block0_asked(&world->check, i);
	before->block0_taking = host->block0.taking;
	/* What it has got it asks for no more: lost again, it counts from the next time. */
	if (host->block0.held && !before->block0_held)
		check_block0_ended(&world->check, i);
	before->block0_held = host->block0.held;
	if (!host->broker)
		check_block0_ended(&world->check, i);
	return true;
}

/* Since it was looked at last, it, or a daemon of it, stands still no more. */
static bool goes_on(const struct world *world, const struct sim *sim)
{
	int64_t latest = sim->held_until[sim->host];

	if (sim->stands_until <= world->before[sim->host - 1].looked_at)
		return false;
	for (int i = 0; i < SIM_DAEMON_COUNT; i++)
		latest =
			sim->stopped_until[sim->host][i] > latest ? sim->stopped_until[sim->host][i] : latest;
	return latest > world->before[sim->host - 1].looked_at;
}

static bool lease_moved(const struct world *world)
{
	const struct sim_lease *lease = &world->cluster->storage.leases[SIM_LEASE_ENGINE];

	return lease->owner != world->lease.owner || lease->generation != world->lease.generation ||
	       lease->version != world->lease.version;
}

/* The host (index) that the event touched, CHECK_HOSTS_MAX: it may have been any, CHECK_HOSTS_NONE: it
 * changed nothing. Who owns the engine lease is part of every host's truth. */
static unsigned touched(struct world *world)
{
	const struct sim *sim = &world->cluster->sim;
	bool ours = sim->host >= 1 && sim->host <= world->cluster->n_hosts;

	if (ours && !sim->changes && !sim->reaches && !goes_on(world, sim))
		return CHECK_HOSTS_NONE;
	if (sim->host == 0)
		see_disturbed(world);
	if (!lease_moved(world))
		return ours && !sim->reaches ? sim->host - 1u : CHECK_HOSTS_MAX;
	world->lease = world->cluster->storage.leases[SIM_LEASE_ENGINE];
	return CHECK_HOSTS_MAX;
}

static void tell_answers(struct world *world)
{
	uint8_t block[BLOCK_SIZE];

	for (struct sim_request *r = world->cluster->requests; r; r = r->next) {
		unsigned i = (unsigned)(r->asked_of - world->cluster->hosts);

		if (!r->ended || r->ended_at != world->cluster->sim.now)
			continue;
		sim_storage_read(&world->cluster->storage, r->asked_of->id, block);
		if (r->command == 0)
			check_global_answered(&world->check, i, r->on, r->error);
		else if (r->command == COMMAND_LOCAL_MAINTENANCE_ON ||
			 r->command == COMMAND_LOCAL_MAINTENANCE_OFF)
			check_local_answered(&world->check, i, r->command == COMMAND_LOCAL_MAINTENANCE_ON,
					     r->error, block);
		r->ended_at--; /* told once */
	}
}

/* The pokes that it has heeded so far. */
static void see_pokes(struct world *world, unsigned i)
{
	struct sim_host *host = &world->cluster->hosts[i];

	if (host->broker)
		check_poked(&world->check, i, host->broker->pokes.intake.taken, sim_clock_mono(&host->clock));
}

static void after(void *data, struct sim_cluster *cluster)
{
	struct world *world = data;

	unsigned host = touched(world);
	bool changed = false;

	check_event(&world->check, host, world->lease.version);
	if (host < cluster->n_hosts && !world->check.whole)
		notice(world, host);
	else if (host == CHECK_HOSTS_MAX || world->check.whole)
		for (unsigned i = 0; i < cluster->n_hosts; i++)
			changed |= notice(world, i);
	if (host == CHECK_HOSTS_NONE && world->check.whole && (changed || lease_moved(world)))
		check_unseen(&world->check, cluster->sim.host - 1u);
	if (cluster->config.corosync && cluster->sim.host >= 1 && cluster->sim.host <= cluster->n_hosts)
		see_pokes(world, cluster->sim.host - 1u);
	if (cluster->answered_at == cluster->sim.now)
		tell_answers(world);
	if (world->check.failed)
		cluster->sim.stop = true;
}

static void stepped(void *data, struct sim_host *host, const struct step *step)
{
	struct world *world = data;

	check_stepped(&world->check, host->id - 1u, host->agent, step);
}

static void landed(void *data, uint16_t host, uint32_t block, struct image *image)
{
	struct world *world = data;

	check_landed(&world->check, host == 0 ? CHECK_HOSTS_MAX : host - 1u, block, image);
	if (block == 0 && host != 0)
		check_block0_landed(&world->check, host - 1u, world->cluster->hosts[host - 1].block0.held);
}

static void writes(void *data, uint16_t host, uint32_t block)
{
	struct world *world = data;
	const struct sim_host *writer = &world->cluster->hosts[host - 1];

	if (block == 0)
		check_block0_begun(&world->check, host - 1u,
				   writer->block0.held &&
					   sim_sanlock_owns(&writer->sanlock, SIM_LEASE_BLOCK0));
}

static void heard(void *data, uint16_t host, const char *format)
{
	struct world *world = data;

	if (host >= 1 && strncmp(format, "lease of block 0 not to be had, written without", 47) == 0)
		check_block0_missed(&world->check, host - 1u);
	if (host >= 1 && strncmp(format, "global maintenance not set", 26) == 0)
		check_block0_ended(&world->check, host - 1u);
}

static void was_read(void *data, uint16_t host, uint32_t block, const uint8_t *bytes)
{
	struct world *world = data;

	if (block == 0)
		check_read_flag(&world->check, host - 1u, bytes);
}

/* A client waits for its command, which may still be carried out: 10 s for a lease, and two loops. One whose
 * broker has gone waits for ever. */
static bool global_is_asked(const struct sim_cluster *cluster)
{
	for (const struct sim_request *r = cluster->requests; r; r = r->next)
		if (r->command == 0 && !r->ended && cluster->sim.now < r->asked_at + MINUTE)
			return true;
	return false;
}

/* Asks every host to end its maintenance, and for the flag to be off, until all is so. */
static bool lift(struct world *world)
{
	struct sim_cluster *cluster = world->cluster;
	bool off = world->check.block0_known && !world->check.block0 && !global_is_asked(cluster);
	bool asked = false;

	for (unsigned i = 0; i < cluster->n_hosts; i++) {
		struct sim_host *host = &cluster->hosts[i];

		if (!host->agent || !host->broker)
			return false;
		if (host->agent->local.maintenance_operator) {
			sim_ask(host, COMMAND_LOCAL_MAINTENANCE_OFF);
			off = false;
		}
		if (!(world->check.block0_known && !world->check.block0) && !asked) {
			sim_ask_global(host, false);
			asked = true;
		}
	}
	return off;
}

/* From the end of the schedule on: first the faults that need no VM, then maintenance, then those that wait
 * for one. */
static void heal_fired(struct sim_event *event)
{
	struct world *world = (struct world *)((char *)event - offsetof(struct world, heal));
	struct sim *sim = &world->cluster->sim;

	if (faults_open(&world->faults, false) || !lift(world) || faults_open(&world->faults, true)) {
		if (sim->now < world->give_up)
			sim_set(sim, event, 0, sim->now + 30 * MONO_SECOND);
		else if (!faults_open(&world->faults, false) && lift(world))
			check_fail_progress(&world->check);
		else
			sim->stop = true;
		return;
	}
	for (uint16_t id = 1; id <= world->cluster->n_hosts; id++)
		sim_cluster_host(world->cluster, id)->vm.ways.copy_ms = SIM_COPY_MS;
	check_healed(&world->check);
	world->end_at = sim->now + check_whole_ms(&world->check.timing) + 15 * MINUTE;
}

static void set_up(struct world *world, const struct schedule *schedule, bool whole)
{
	struct sim_cluster_config config = {.seed = schedule->seed,
					    .n_hosts = schedule->hosts,
					    .policy = policy_default,
					    .watchdog = schedule->no_watchdog != UINT16_MAX,
					    .corosync = schedule_has_corosync(schedule)};
	struct sim_random random = sim_random_make(schedule->seed, 2);

	config.policy.lease.io_timeout_s = schedule->io_timeout_s;
	config.policy.require_watchdog = config.watchdog;
	world->schedule = schedule;
	world->cluster = sim_cluster_new(&config);
	for (uint16_t id = 1; id <= schedule->hosts; id++) {
		struct sim_host *host = sim_cluster_host(world->cluster, id);

		host->clock.ppm = (int32_t)sim_random_between(&random, -1000, 1000);
		/* Half of the clusters have no drop-in for sanlock: rule 4 is the broker's alone. */
		host->no_proof = schedule->seed % 2;
		if (id == schedule->no_watchdog)
			host->sanlock.has_watchdog = false;
		if (id == schedule->other_timing) {
			host->sanlock.timing.io_timeout_s++;
			host->broker_config.policy.lease.io_timeout_s++;
			host->agent_config.policy.lease.io_timeout_s++;
		}
	}
	/* Which blocks are in use is looked for at start, then sanlock tells; those of a host that it does
	 * not list are found by and by, and most aliens don't live so long. */
	for (size_t i = 0; i < schedule->n_faults; i++)
		if (schedule->faults[i].fault == FAULT_ALIEN && schedule->faults[i].length < UNLISTED_MS)
			for (uint16_t id = 1; id <= FAULTS_GHOST_IDS; id++)
				ghost_left_behind(&world->cluster->storage, (uint16_t)(schedule->hosts + id));
	world->cluster->after = after;
	world->cluster->stepped = stepped;
	world->cluster->data = world;
	world->cluster->storage.landed = landed;
	world->cluster->storage.writes = writes;
	world->cluster->storage.was_read = was_read;
	world->cluster->storage.data = world;
	world->check.now = &world->cluster->sim.now;
	world->check.n_hosts = schedule->hosts + 1u; /* with the ghosts' */
	world->check.look = check_look;
	world->check.data = world;
	world->check.whole = whole;
	world->check.timing = config.policy.lease;
	world->check.require_watchdog = config.policy.require_watchdog;
	check_init(&world->check);
	world->heal.fire = heal_fired;
	world->heal.kind = SIM_SCHEDULE;
	world->give_up = schedule->heal_at + OPEN_MS;
	world->end_at = MONO_NEVER;
}

static void print_loud(void *data, const char *text)
{
	fprintf(stderr, "%s\n", text);
}

static void print_trace(void *data, const char *text)
{
	struct world *world = data;
	const char *said = strchr(text, ' ');

	if (world->cluster->sim.now < world->schedule->faults[0].at || strstr(said, " input ") ||
	    strncmp(said, world->said, sizeof(world->said) - 1) == 0)
		return;
	snprintf(world->said, sizeof(world->said), "%s", said);
	/* Whole seconds: a draw more or less somewhere in the models moves everything by some ms. */
	printf("%.*s%s\n", (int)strcspn(text, "."), text, said);
}

static void tell_trial(struct world *world, struct trial *ret)
{
	const struct check *check = &world->check;
	const struct one_fault *open = faults_open(&world->faults, true);

	memset(ret, 0, sizeof(*ret));
	if (check->failed) {
		snprintf(ret->failed, sizeof(ret->failed), "%s", check->failed);
		snprintf(ret->text, sizeof(ret->text), "%s", check->text);
	}
	ret->at = world->cluster->sim.now;
	ret->hash = world->cluster->sim.hash;
	ret->events = world->cluster->sim.events;
	ret->starts = check->starts;
	for (size_t i = 0; i < world->schedule->n_faults; i++)
		ret->fired[world->schedule->faults[i].fault] += world->faults.all[i].over;
	if (open)
		snprintf(ret->missed, sizeof(ret->missed), "%s of host %u at %lld",
			 fault_str(open->what->fault), open->what->host, (long long)open->what->at);
	ret->up_after = check->up_first < 0 || check->healed_at < 0 ? -1 : check->up_first - check->healed_at;
}

void trial_run(const struct schedule *schedule, enum trial_log to, bool whole, struct trial *ret)
{
	struct world *world = calloc(1, sizeof(*world));
	struct sim_log log;

	if (!world)
		abort();
	/* Records carry times of the wall clock for people. */
	setenv("TZ", "UTC", 1);
	set_up(world, schedule, whole);
	log = (struct sim_log){.sim = &world->cluster->sim,
			       .most = LOG_INFO,
			       .line = to == TRIAL_TRACE ? print_trace : print_loud,
			       .data = world};
	sim_log_to(to == TRIAL_QUIET ? NULL : &log);
	world->ear = (struct sim_ear){.sim = &world->cluster->sim, .heard = heard, .data = world};
	sim_log_heard_by(&world->ear);
	sim_cluster_boot(world->cluster);
	faults_begin(&world->faults, world->cluster, &world->check, schedule);
	sim_set(&world->cluster->sim, &world->heal, 0, schedule->heal_at + MEND_MS);
	while (!world->check.failed && !world->cluster->sim.stop && world->cluster->sim.now < world->end_at)
		sim_cluster_run(world->cluster, world->end_at < world->give_up + 10 * MINUTE
							? world->end_at
							: world->cluster->sim.now + MINUTE);
	if (!world->check.failed && world->check.healed_at >= 0)
		check_end(&world->check);
	tell_trial(world, ret);
	sim_log_to(NULL);
	sim_log_heard_by(NULL);
	sim_cluster_free(world->cluster);
	free(world);
}
