/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Virtual time goes from one moment that matters to the next: whole seconds (renewals), every tenth of them
 * (samples of the monitors), the wake of the last step, the end of an action. */
#include "golden_world.h"

#include <assert.h>
#include <errno.h>

#define ZERO (1000 * MONO_SECOND)
#define SAMPLES_EVERY (10 * MONO_SECOND)
#define START_TAKES MONO_SECOND
#define HEALTHY_AFTER (5 * MONO_SECOND)
#define SHUTDOWN_TAKES (3 * MONO_SECOND)
#define DESTROY_TAKES MONO_SECOND
#define QEMU_PID 4242
#define NOTHING                                                                                              \
	(struct result)                                                                                      \
	{                                                                                                    \
		ACTION_NONE, OUTCOME_NONE                                                                    \
	}

static struct cluster *cluster(struct world *world)
{
	return &world->trace.known.cluster;
}

static void set_down(struct world *world, enum vm vm)
{
	world->trace.known.vm = (struct vm_facts){
		.vm = vm,
		.detail = DETAIL_DOWN,
		.reason = ENGINE_REASON_NOT_HERE,
		.running_since = MONO_UNSET,
		.seen_at = world->trace.now,
		.memory_mib = 4096,
	};
	cluster(world)->qemu_pid = 0;
	cluster(world)->held = HELD_NO;
	cluster(world)->monitors[MONITOR_ENGINE_HEALTH] = (struct sample){0};
}

void world_init(struct world *world, FILE *out)
{
	static const int32_t good[MONITOR_COUNT] = {
		[MONITOR_NETWORK] = 0,	  [MONITOR_MGMT_BRIDGE] = 1,	[MONITOR_MEM_FREE] = 16384,
		[MONITOR_CPU_LOAD] = 100, [MONITOR_STORAGE_DOMAIN] = 1,
	};

	*world = (struct world){.zero = ZERO,
				.next_tick = ZERO,
				.start_as = OUTCOME_OK,
				.ends_at = MONO_NEVER,
				.healthy_at = MONO_NEVER,
				.out = out};
	trace_init(&world->trace, world->peers, WORLD_HOSTS_MAX);
	world->trace.now = ZERO;
	world->trace.known.broker_answers = true;
	*cluster(world) = (struct cluster){
		.host_id = 1,
		.generation = 1,
		.membership = MEMBERSHIP_JOINED,
		.hosts_known = true,
		.whiteboard_read = true,
		.maintenance = FLAG_NO,
		.maintenance_read = true,
		.watchdog = WATCHDOG_HARD,
		.lease = policy_default.lease,
		.owner = OWNER_NOBODY,
		.owner_version = 1,
	};
	for (enum monitor m = 0; m < MONITOR_COUNT; m++)
		if (m != MONITOR_ENGINE_HEALTH)
			cluster(world)->monitors[m] =
				(struct sample){.number = 1, .value = good[m], .known = true};
	set_down(world, VM_DOWN);
	machine_init(&world->trace.machine, ZERO);
}

void world_restart(struct world *world)
{
	uint32_t failed = world->trace.machine.failed_tries;
	mono_t last = world->trace.machine.last_failed;

	machine_init(&world->trace.machine, world->trace.now);
	world->trace.machine.failed_tries = failed;
	world->trace.machine.last_failed = last;
	world->trace.known.stop_wanted = false;
	world->stepped = false;
}

static struct peer *seen(struct world *world, uint16_t id)
{
	for (size_t i = 0; i < world->trace.known.n_peers; i++)
		if (world->peers[i].id == id)
			return &world->peers[i];
	return NULL;
}

struct world_host *world_host(struct world *world, uint16_t id)
{
	struct world_host *host;
	char token[16];

	for (size_t i = 0; i < world->n_hosts; i++)
		if (world->hosts[i].says.id == id)
			return &world->hosts[i];
	snprintf(token, sizeof(token), "peer=%u", (unsigned)id);
	if (world->n_hosts == WORLD_HOSTS_MAX || trace_set(&world->trace, token) < 0)
		return NULL;
	host = &world->hosts[world->n_hosts++];
	*host = (struct world_host){.clock = 5000, .lockspace = 4990};
	peer_init(&host->says, id);
	host->says.fault = RECORD_OK;
	host->says.host = HOST_LIVE;
	host->says.claim = (struct claim){.generation = 1,
					  .score = 3400,
					  .vm = VM_DOWN,
					  .health = HEALTH_BAD,
					  .detail = DETAIL_DOWN,
					  .io_timeout_s = policy_default.lease.io_timeout_s,
					  .watchdog_fire_s = policy_default.lease.watchdog_fire_s};
	return host;
}

void world_forget(struct world *world, uint16_t id)
{
	struct snapshot *known = &world->trace.known;

	for (size_t i = 0; i < world->n_hosts; i++)
		if (world->hosts[i].says.id == id)
			world->hosts[i--] = world->hosts[--world->n_hosts];
	for (size_t i = 0; i < known->n_peers; i++) {
		if (world->peers[i].id != id)
			continue;
		memmove(&world->peers[i], &world->peers[i + 1],
			(known->n_peers - i - 1) * sizeof(struct peer));
		known->n_peers--;
	}
}

void world_observe(struct world *world, struct world_host *host)
{
	struct peer *peer = seen(world, host->says.id);
	uint64_t generation =
		host->says.host_generation ? host->says.host_generation : host->says.claim.generation;

	assert(peer);
	host->says.claim.timestamp = host->clock;
	if (host->says.host == HOST_ABSENT || host->says.host == HOST_UNKNOWN)
		generation = 0;
	peer_observe_host(peer, host->says.host, generation, host->lockspace, world->trace.now);
	if (host->says.fault == RECORD_OK)
		peer_observe_claim(peer, &host->says.claim, &world->trace.policy.lease, world->trace.now);
	else
		peer_observe_fault(peer, host->says.fault, world->trace.now);
}

void world_sample(struct world *world, enum monitor monitor, int32_t value, bool known)
{
	struct sample *sample = &cluster(world)->monitors[monitor];

	sample->number++;
	sample->known = known;
	if (known)
		sample->value = value;
}

static void tick(struct world *world)
{
	for (size_t i = 0; i < world->n_hosts; i++) {
		struct world_host *host = &world->hosts[i];

		if (!host->frozen)
			host->lockspace++;
		if (!host->frozen && !host->silent)
			host->clock++;
		world_observe(world, host);
	}
	if ((world->next_tick - ZERO) % SAMPLES_EVERY == 0 && world->next_tick > ZERO) {
		for (enum monitor m = 0; m < MONITOR_COUNT; m++) {
			struct sample *sample = &cluster(world)->monitors[m];

			if (sample->number > 0)
				world_sample(world, m, sample->value, sample->known);
		}
	}
	world->next_tick += MONO_SECOND;
}

static void take_lease(struct world *world, uint16_t id, uint64_t generation)
{
	struct cluster *c = cluster(world);

	c->owner = OWNER_HOST;
	c->owner_id = id;
	c->owner_generation = generation;
	c->owner_version++;
}

static void run_here(struct world *world)
{
	struct vm_facts *vm = &world->trace.known.vm;

	vm->vm = VM_UP;
	vm->detail = DETAIL_UP;
	vm->pause = PAUSE_NONE;
	vm->reason = ENGINE_REASON_NONE;
	vm->running_since = vm->seen_at = world->trace.now;
	cluster(world)->qemu_pid = QEMU_PID;
	cluster(world)->held = HELD_YES;
	take_lease(world, cluster(world)->host_id, cluster(world)->generation);
}

void world_vm_here(struct world *world)
{
	run_here(world);
	world_sample(world, MONITOR_ENGINE_HEALTH, HEALTH_GOOD, true);
}

void world_vm_there(struct world *world, struct world_host *host)
{
	set_down(world, VM_DOWN);
	host->says.claim.vm = VM_UP;
	host->says.claim.health = HEALTH_GOOD;
	host->says.claim.detail = DETAIL_UP;
	take_lease(world, host->says.id, host->says.claim.generation);
	world_observe(world, host);
}

void world_vm_gone(struct world *world, enum vm vm)
{
	struct cluster *c = cluster(world);

	if (c->owner == OWNER_HOST && c->owner_id == c->host_id)
		c->owner = OWNER_NOBODY;
	set_down(world, vm);
}

/* What the host was asked to do takes its time. */
static void begin(struct world *world, enum action action)
{
	static const int64_t takes[ACTION_COUNT] = {
		[ACTION_START] = START_TAKES,	  [ACTION_START_PAUSED] = START_TAKES,
		[ACTION_RESUME] = START_TAKES,	  [ACTION_SHUTDOWN] = SHUTDOWN_TAKES,
		[ACTION_DESTROY] = DESTROY_TAKES, [ACTION_KILL] = DESTROY_TAKES,
	};

	world->counts[action]++;
	if (!world->automatic || takes[action] == 0)
		return;
	world->ends = (struct result){.action = action, .outcome = OUTCOME_OK};
	world->ends_at = world->trace.now + takes[action];
}

static void end_action(struct world *world)
{
	switch (world->ends.action) {
	case ACTION_START:
		world->ends.outcome = world->start_as;
		if (world->start_as != OUTCOME_OK)
			break;
		run_here(world);
		world->healthy_at = world->trace.now + HEALTHY_AFTER;
		break;
	case ACTION_RESUME:
		run_here(world);
		break;
	case ACTION_SHUTDOWN:
	case ACTION_DESTROY:
		world_vm_gone(world, VM_DOWN);
		break;
	case ACTION_KILL:
		world_vm_gone(world, VM_DOWN_UNEXPECTED);
		break;
	default:
		break;
	}
	world->ends_at = MONO_NEVER;
}

/* An action that is repeated each second, for the same reason, is no news. */
static bool news(const struct world *world, const struct machine *was, const struct step *step)
{
	const struct step *last = &world->last;

	return !world->stepped || step->next.state != was->state || step->reason != last->reason ||
	       step->score.value != last->score.value || step->alarm != last->alarm || step->wanted_refused ||
	       (step->n_actions > 0 && (step->n_actions != last->n_actions ||
					memcmp(step->actions, last->actions, sizeof(step->actions)) != 0));
}

static void print_step(const struct world *world, const struct machine *was, const struct step *step)
{
	fprintf(world->out, "%8.1f ", (double)(world->trace.now - world->zero) / 1000);
	if (step->next.state != was->state)
		fprintf(world->out, "%s -> ", state_str(was->state));
	fprintf(world->out, "%s %s score=%d", state_str(step->next.state), reason_str(step->reason),
		(int)step->score.value);
	for (enum penalty p = 0; p < PENALTY_COUNT; p++)
		if (step->score.entries[p].points > 0)
			fprintf(world->out, " -%d:%s", (int)step->score.entries[p].points, penalty_str(p));
	for (size_t i = 0; i < step->n_actions; i++)
		fprintf(world->out, " do=%s", action_str(step->actions[i]));
	fprintf(world->out, "%s%s\n", step->wanted_refused ? " refused" : "", step->alarm ? " alarm" : "");
}

int world_step(struct world *world, enum action wanted, struct result ended)
{
	struct trace *trace = &world->trace;
	struct step step;

	trace->known.wanted = wanted;
	trace->known.n_results = ended.action != ACTION_NONE;
	trace->known.results[0] = ended;
	if (!world->old_facts)
		cluster(world)->owner_begun = cluster(world)->held_begun = trace->now - 1;
	if (trace->known.vm.vm != VM_UNKNOWN)
		trace->known.vm.seen_at = trace->now;

	machine_step(&trace->machine, &trace->known, &trace->policy, trace->now, &step);
	if (news(world, &trace->machine, &step))
		print_step(world, &trace->machine, &step);
	trace->machine = step.next;
	world->last = step;
	world->stepped = true;
	for (size_t i = 0; i < step.n_actions; i++)
		begin(world, step.actions[i]);
	world->spin = step.wake <= trace->now ? world->spin + 1 : 0;
	return world->spin > WORLD_SPIN_MAX ? -ELOOP : 0;
}

static mono_t sooner(mono_t a, mono_t b)
{
	return a < b ? a : b;
}

/* What happens by itself at this moment. 1: the agent hears of it. */
static int happen(struct world *world, struct result *ret_ended)
{
	mono_t now = world->trace.now;
	int heard = 0;

	*ret_ended = NOTHING;
	if (now >= world->next_tick)
		tick(world);
	if (now >= world->ends_at) {
		end_action(world);
		*ret_ended = world->ends;
		heard = 1;
	}
	if (now >= world->healthy_at) {
		world->healthy_at = MONO_NEVER;
		if (world->trace.known.vm.vm == VM_UP) {
			world_sample(world, MONITOR_ENGINE_HEALTH, HEALTH_GOOD, true);
			heard = 1;
		}
	}
	return heard;
}

void world_pause(struct world *world, int64_t ms)
{
	world->trace.now += ms;
	world->next_tick += ms;
}

int world_run(struct world *world, int64_t ms)
{
	mono_t end = world->trace.now + ms;

	for (;;) {
		struct result ended;
		int heard = happen(world, &ended);
		mono_t wake, next;
		int r;

		if (heard || !world->stepped || world->trace.now >= world->last.wake) {
			r = world_step(world, ACTION_NONE, ended);
			if (r < 0)
				return r;
		}
		wake = world->last.wake;
		if (wake <= world->trace.now)
			continue;
		next = sooner(sooner(wake, world->next_tick), sooner(world->ends_at, world->healthy_at));
		if (next > end) {
			world->trace.now = end;
			return 0;
		}
		world->trace.now = next;
	}
}
