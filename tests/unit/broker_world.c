/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ports of broker_world.h: every answer comes 1 ms after its question, in order, by the virtual clock.
 * Decides nothing that its switches do not say. */
#include "tests/unit/broker_world_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mono_t clock_now(struct clock_port *port)
{
	return WORLD_OF(port, clock)->now;
}

static int64_t clock_wall_now(struct clock_port *port)
{
	return 1700000000 + WORLD_OF(port, clock)->now / 1000;
}

static void clock_cancel(struct clock_port *port, struct timer *timer)
{
	struct world *world = WORLD_OF(port, clock);

	for (size_t i = 0; i < WORLD_TIMERS; i++)
		if (world->timers[i].timer == timer)
			world->timers[i].timer = NULL;
	timer->set = false;
}

static void clock_set(struct clock_port *port, struct timer *timer, mono_t at)
{
	struct world *world = WORLD_OF(port, clock);

	assert(timer->fire);
	clock_cancel(port, timer);
	if (at == MONO_NEVER)
		return;
	for (size_t i = 0; i < WORLD_TIMERS; i++) {
		if (world->timers[i].timer)
			continue;
		world->timers[i].timer = timer;
		world->timers[i].at = at;
		world->timers[i].order = world->order++;
		timer->set = true;
		return;
	}
	abort();
}

void world_run(struct world *world, int64_t ms)
{
	mono_t end = world->now + ms;

	for (;;) {
		struct timer *timer;
		size_t best = WORLD_TIMERS;

		for (size_t i = 0; i < WORLD_TIMERS; i++) {
			if (!world->timers[i].timer || world->timers[i].at > end)
				continue;
			if (best == WORLD_TIMERS || world->timers[i].at < world->timers[best].at ||
			    (world->timers[i].at == world->timers[best].at &&
			     world->timers[i].order < world->timers[best].order))
				best = i;
		}
		if (best == WORLD_TIMERS)
			break;
		timer = world->timers[best].timer;
		if (world->timers[best].at > world->now)
			world->now = world->timers[best].at;
		world->timers[best].timer = NULL;
		timer->set = false;
		timer->fire(timer);
	}
	world->now = end;
}

void world_fault(struct world *world, struct store_fault fault)
{
	store_faulty_set(world->faulty, &fault);
}

void world_heal(struct world *world)
{
	assert(store_faulty_fired(world->faulty) > 0);
	world_fault(world, (struct store_fault){.kind = STORE_FAULT_NONE});
}

static void soon(struct world *world, struct timer *timer)
{
	clock_set(&world->clock, timer, world->now + LATENCY_MS);
}

static void look_fired(struct timer *timer)
{
	struct world *world = WORLD_OF(timer, look_timer);
	void (*done)(void *, const struct lease_look *) = world->look_done;
	enum membership membership = world->look_ms ? world->look_membership : world->membership;
	struct lease_look look = {
		.error = world->sanlock_error,
		.membership = membership,
		.hosts_known = membership == MEMBERSHIP_JOINED,
		.hosts = world->hosts,
		.n_hosts = world->n_hosts,
		.generation = membership == MEMBERSHIP_JOINED ? world->generation : 0,
		.held = world->held,
		.pid = world->look_pid,
		.begun = world->look_begun,
	};

	world->look_done = NULL;
	done(world->look_data, &look);
}

static int lease_look(struct lease_port *port, pid_t pid, mono_t deadline,
		      void (*done)(void *data, const struct lease_look *look), void *data)
{
	struct world *world = WORLD_OF(port, lease);

	if (world->look_done || world->look_busy)
		return -EBUSY;
	world->look_done = done;
	world->look_data = data;
	world->look_pid = pid;
	world->look_begun = world->now;
	world->look_membership = world->membership;
	world->look_timer.fire = look_fired;
	clock_set(&world->clock, &world->look_timer,
		  world->now + (world->look_ms ? world->look_ms : LATENCY_MS));
	return 0;
}

static void owner_fired(struct timer *timer)
{
	struct world *world = WORLD_OF(timer, owner_timer);
	void (*done)(void *, const struct lease_owner *) = world->owner_done;

	world->owner_done = NULL;
	done(world->owner_data, &world->owner);
}

static int lease_read_owner(struct lease_port *port, mono_t deadline,
			    void (*done)(void *data, const struct lease_owner *owner), void *data)
{
	struct world *world = WORLD_OF(port, lease);

	if (world->owner_done)
		return -EBUSY;
	world->owner_done = done;
	world->owner_data = data;
	world->owner.begun = world->now;
	world->owner_timer.fire = owner_fired;
	soon(world, &world->owner_timer);
	return 0;
}

static void join_fired(struct timer *timer)
{
	struct world *world = WORLD_OF(timer, join_timer);

	if (world->join_error == 0)
		world->membership = MEMBERSHIP_JOINED;
	world->generation++;
	world->join_done(world->join_data, world->join_error);
}

static int lease_join(struct lease_port *port, mono_t deadline, void (*done)(void *data, int error),
		      void *data)
{
	struct world *world = WORLD_OF(port, lease);

	/* Safety rules 4 and 13, whoever asks. */
	assert(world->qemu_pid == 0 && world->qemu_error == 0 && world->proofs > world->joins);
	assert(!world->late_writes);
	world->joins++;
	world->join_done = done;
	world->join_data = data;
	world->join_timer.fire = join_fired;
	clock_set(&world->clock, &world->join_timer,
		  world->now + (world->join_ms ? world->join_ms : LATENCY_MS));
	return 0;
}

static void leave_fired(struct timer *timer)
{
	struct world *world = WORLD_OF(timer, leave_timer);

	world->leave_done(world->leave_data, world->leave_error);
}

static int lease_leave(struct lease_port *port, mono_t deadline, void (*done)(void *data, int error),
		       void *data)
{
	struct world *world = WORLD_OF(port, lease);

	world->leaves++;
	world->leave_done = done;
	world->leave_data = data;
	world->leave_timer.fire = leave_fired;
	clock_set(&world->clock, &world->leave_timer,
		  world->leave_error == -ETIMEDOUT ? deadline : world->now + 1);
	return 0;
}

static void watchdog_fired(struct timer *timer)
{
	struct world *world = WORLD_OF(timer, watchdog_timer);

	world->watchdog_done(world->watchdog_data, WATCHDOG_HARD);
}

static int lease_watchdog(struct lease_port *port, mono_t deadline,
			  void (*done)(void *data, enum watchdog watchdog), void *data)
{
	struct world *world = WORLD_OF(port, lease);

	world->watchdog_done = done;
	world->watchdog_data = data;
	world->watchdog_timer.fire = watchdog_fired;
	soon(world, &world->watchdog_timer);
	return 0;
}

static void kill_fired(struct timer *timer)
{
	struct world *world = WORLD_OF(timer, kill_timer);

	if (world->fence_error == 0 && --world->kills_needed <= 0)
		world->qemu_pid = 0;
	world->kill_done(world->kill_data, world->fence_error, world->qemu_pid > 0);
}

static int fence_kill(struct fence_port *port, mono_t deadline,
		      void (*done)(void *data, int error, int alive), void *data)
{
	struct world *world = WORLD_OF(port, fence);

	world->kills++;
	world->kill_done = done;
	world->kill_data = data;
	world->kill_timer.fire = kill_fired;
	soon(world, &world->kill_timer);
	return 0;
}

static void end_fired(struct timer *timer)
{
	struct world *world = WORLD_OF(timer, end_timer);
	bool gone = world->end_error == 0 && --world->ends_needed <= 0;

	if (gone)
		world->late_writes = false;
	world->end_done(world->end_data, world->end_error, !gone);
}

static int fence_end_storage(struct fence_port *port, mono_t deadline,
			     void (*done)(void *data, int error, int alive), void *data)
{
	struct world *world = WORLD_OF(port, fence);

	world->ends++;
	world->end_done = done;
	world->end_data = data;
	world->end_timer.fire = end_fired;
	clock_set(&world->clock, &world->end_timer,
		  world->now + (world->end_ms ? world->end_ms : LATENCY_MS));
	return 0;
}

static int fence_listens(struct fence_port *port)
{
	return WORLD_OF(port, fence)->guard_error;
}

static void qemu_fired(struct timer *timer)
{
	struct world_search *search =
		(struct world_search *)((char *)timer - offsetof(struct world_search, timer));
	struct world *world = search->world;
	qemu_found_fn found = search->found;

	search->found = NULL;
	if (search->hangs)
		found(search->data, -ETIMEDOUT, 0, search->begun);
	else
		found(search->data, world->qemu_error, world->qemu_error < 0 ? 0 : world->qemu_pid,
		      search->begun);
}

static int qemu_ask(struct world *world, struct world_search *search, mono_t deadline, qemu_found_fn found,
		    void *data)
{
	if (search->found)
		return -EBUSY;
	*search = (struct world_search){.world = world,
					.found = found,
					.data = data,
					.begun = world->now,
					.hangs = world->qemu_hangs};
	search->timer.fire = qemu_fired;
	clock_set(&world->clock, &search->timer, search->hangs ? deadline : world->now + LATENCY_MS);
	return 0;
}

static int qemu_find_pid(struct qemu_port *port, mono_t deadline, qemu_found_fn found, void *data)
{
	struct world *world = WORLD_OF(port, qemu);

	return qemu_ask(world, &world->find, deadline, found, data);
}

static int qemu_prove(struct qemu_port *port, mono_t deadline, qemu_found_fn found, void *data)
{
	struct world *world = WORLD_OF(port, qemu);

	int r = qemu_ask(world, &world->prove, deadline, found, data);

	world->proofs++;
	if (r == 0 && !world->qemu_hangs && world->prove_ms != 0)
		clock_set(&world->clock, &world->prove.timer, world->now + world->prove_ms);
	return r;
}

static void block0_fired(struct timer *timer)
{
	struct world *world = WORLD_OF(timer, block0_timer);

	world->block0_held = world->block0_error == 0 && world->block0_losses == 0;
	world->block0_losses -= world->block0_losses > 0;
	world->block0_done(world->block0_data, world->block0_error);
}

static int block0_take(struct block0_port *port, void (*taken)(void *data, int error), void *data)
{
	struct world *world = WORLD_OF(port, block0);

	world->block0_takes++;
	if (world->block0_refuses)
		return -EOPNOTSUPP;
	world->block0_done = taken;
	world->block0_data = data;
	world->block0_timer.fire = block0_fired;
	clock_set(&world->clock, &world->block0_timer, world->now + (world->block0_error ? 10000 : 1));
	return 0;
}

static bool block0_held(struct block0_port *port)
{
	return WORLD_OF(port, block0)->block0_held;
}

static void block0_release(struct block0_port *port)
{
	struct world *world = WORLD_OF(port, block0);

	world->block0_held = false;
	clock_cancel(&world->clock, &world->block0_timer);
}

static void backing_fired(struct timer *timer)
{
	struct world *world = WORLD_OF(timer, backing_timer);

	world->backing_done(world->backing_data, world->backing_hangs ? NULL : world->backings);
}

static int backing_look(struct backing_port *port, mono_t deadline,
			void (*done)(void *data, const struct backing *backings), void *data)
{
	struct world *world = WORLD_OF(port, backing);

	world->backing_looks++;
	world->backing_done = done;
	world->backing_data = data;
	world->backing_timer.fire = backing_fired;
	clock_set(&world->clock, &world->backing_timer,
		  world->backing_hangs ? deadline : world->now + LATENCY_MS);
	return 0;
}

static void connect_fired(struct timer *timer)
{
	struct world *world = WORLD_OF(timer, connect_timer);
	int error = world->connect_hangs ? -ETIMEDOUT : world->connect_error;

	for (int i = 0; i < PART_COUNT && error == 0 && !world->connect_useless; i++)
		world->backings[i].error = 0;
	world->connect_done(world->connect_data, error, world->connect_why);
}

static int connect_ask(struct connect_port *port, mono_t deadline,
		       void (*done)(void *data, int error, const char *why), void *data)
{
	struct world *world = WORLD_OF(port, connect);

	world->connect_asked++;
	if (world->connect_refused < 0)
		return world->connect_refused;
	world->connect_done = done;
	world->connect_data = data;
	world->connect_timer.fire = connect_fired;
	clock_set(&world->clock, &world->connect_timer,
		  world->connect_hangs ? deadline : world->now + LATENCY_MS);
	return 0;
}

static enum flag kept_load(struct kept_port *port)
{
	return WORLD_OF(port, kept)->kept_value;
}

static void kept_save(struct kept_port *port, enum flag value)
{
	WORLD_OF(port, kept)->kept_value = value;
}

static struct world *poke_world(struct poke_port *port)
{
	return (struct world *)((char *)port - offsetof(struct world, poke));
}

static void poke_start(struct poke_port *port, const struct poke_calls *calls, void *data)
{
	poke_world(port)->poke_calls = calls;
	poke_world(port)->poke_data = data;
}

static void poke_back(struct timer *timer)
{
	struct world *world = (struct world *)((char *)timer - offsetof(struct world, poke_timer));

	if (!world->poke_hangs)
		world->poke_calls->message(world->poke_data, (struct poke_member){1, 1}, world->poke_sent,
					   POKE_SIZE);
}

static int poke_send(struct poke_port *port, const void *bytes, size_t size)
{
	struct world *world = poke_world(port);

	assert(size == POKE_SIZE);
	if (world->poke_error < 0)
		return world->poke_error;
	world->poke_sends++;
	memcpy(world->poke_sent, bytes, size);
	memcpy(world->poke_block, world->blocks[world->config.host_id], BLOCK_SIZE);
	world->poke_timer.fire = poke_back;
	soon(world, &world->poke_timer);
	return 0;
}

static void poke_restart(struct poke_port *port)
{
	poke_world(port)->poke_restarts++;
}

struct world *world_new(void)
{
	struct world *world = calloc(1, sizeof(*world));
	int r;

	assert(world);
	world->blocks = calloc(WORLD_BLOCKS, BLOCK_SIZE);
	assert(world->blocks);
	world->now = 1000000;
	world->clock = (struct clock_port){clock_now, clock_wall_now, clock_set, clock_cancel};
	world_store_init(world);
	r = store_faulty_new(&world->store, &world->clock, &world->faulty);
	assert(r == 0);
	world->lease.look = lease_look;
	world->lease.read_owner = lease_read_owner;
	world->lease.join = lease_join;
	world->lease.leave = lease_leave;
	world->lease.watchdog = lease_watchdog;
	world->membership = MEMBERSHIP_NONE;
	world->owner.kind = OWNER_NOBODY;
	world->fence.kill = fence_kill;
	world->fence.end_storage = fence_end_storage;
	world->fence.listens = fence_listens;
	world->qemu.find = qemu_find_pid;
	world->qemu.prove = qemu_prove;
	world->block0.take = block0_take;
	world->block0.held = block0_held;
	world->block0.release = block0_release;
	world->backing.find = backing_look;
	world->connect.connect = connect_ask;
	world->connect_why = "";
	world->poke = (struct poke_port){poke_start, poke_send, poke_restart, NULL};
	world->kept.load = kept_load;
	world->kept.save = kept_save;
	world->config.host_id = 1;
	strcpy(world->config.hostname, "host1.example");
	strcpy(world->config.lockspace, "hosted-engine");
	world->config.policy = policy_default;
	world->config.io_ms = 10000;
	world->config.monitor_ms[MONITOR_STORAGE_DOMAIN] = 10000;
	world->config.monitor_ms[MONITOR_NETWORK] = 10000;
	return world;
}

void world_poke_joined(struct world *world)
{
	world->poke_calls->joined(world->poke_data, (struct poke_member){1, 1});
	world->poke_calls->came(world->poke_data, (struct poke_member){1, 1});
}

void world_poke(struct world *world, uint16_t id, uint64_t sequence)
{
	struct poke poke = {.cluster = poke_cluster(world->config.domain, world->config.lockspace),
			    .sequence = sequence,
			    .what = POKE_VM,
			    .host_id = id};
	uint8_t bytes[POKE_SIZE];

	poke_encode(&poke, bytes);
	world->poke_calls->message(world->poke_data, (struct poke_member){id, 1}, bytes, sizeof(bytes));
}

void world_start(struct world *world)
{
	struct broker_ports ports = {
		.clock = &world->clock,
		.store = world->faulty,
		.lease = &world->lease,
		.fence = &world->fence,
		.qemu = &world->qemu,
		.block0 = &world->block0,
		.kept = &world->kept,
		.backing = &world->backing,
		.connect = world->connects ? &world->connect : NULL,
		.poke = world->pokes ? &world->poke : NULL,
	};
	int r = broker_new(&world->config, &ports, &world->broker);

	assert(r == 0);
}

void world_free(struct world *world)
{
	broker_free(world->broker);
	world->faulty->close(world->faulty);
	free(world->blocks);
	free(world);
}

struct world *world_joined(struct world *world)
{
	world_start(world);
	world_attach(world);
	world_run(world, 2000);
	assert(world_cluster(world).membership == MEMBERSHIP_JOINED);
	return world;
}

int world_setup(void **state)
{
	*state = world_new();
	return 0;
}

int world_teardown(void **state)
{
	world_free(*state);
	return 0;
}

void world_record(struct world *world, uint16_t slot, const char *hostname, uint64_t timestamp,
		  uint64_t generation, int32_t score)
{
	struct record record;
	int r;

	memset(&record, 0, sizeof(record));
	record.host_id = slot;
	record.n_fields = 12;
	record.parse_version = record.feature_version = RECORD_VERSION;
	record.claim = (struct claim){.timestamp = timestamp,
				      .generation = generation,
				      .score = score,
				      .vm = VM_DOWN,
				      .health = HEALTH_BAD,
				      .detail = DETAIL_DOWN,
				      .io_timeout_s = 10,
				      .watchdog_fire_s = 60};
	snprintf(record.hostname, sizeof(record.hostname), "%s", hostname);
	r = record_encode(&record, 1700000000, world->blocks[slot]);
	assert(r == 0);
}

enum record_fault world_own(struct world *world, struct record *ret)
{
	char cause[RECORD_CAUSE_SIZE];

	return record_decode(world->blocks[world->config.host_id], world->config.host_id, ret, cause);
}

static void heard_changed(void *data)
{
	struct world *world = data;

	world->changed++;
	if (world->on_changed)
		world->on_changed(world);
}

static void heard_published(void *data, uint64_t serial, int error, const char *target)
{
	struct world *world = data;

	world->published++;
	world->published_serial = serial;
	world->published_error = error;
	snprintf(world->published_target, sizeof(world->published_target), "%s", target);
}

static void heard_command(void *data, uint64_t ticket, enum command command, const char *argument)
{
	struct world *world = data;

	world->ticket = ticket;
	world->command = command;
}

static const struct agent_calls agent_calls = {heard_changed, heard_published, heard_command};

void world_attach(struct world *world)
{
	int r = broker_agent_attach(world->broker, &agent_calls, world);

	assert(r == 0);
}

void world_publish(struct world *world, int32_t score)
{
	static uint64_t serial;
	struct publish_request request;

	memset(&request, 0, sizeof(request));
	request.serial = ++serial;
	request.claim =
		(struct claim){.score = score, .vm = VM_DOWN, .health = HEALTH_BAD, .detail = DETAIL_DOWN};
	request.engine_reason = ENGINE_REASON_NOT_HERE;
	request.in_turn = true;
	request.state = STATE_ENGINE_DOWN;
	request.timeout_in_ms = -1;
	request.config_age_ms = -1;
	broker_publish(world->broker, &request);
}

static void heard_answer(void *data, int error, const char *text)
{
	struct world *world = data;

	world->answers++;
	world->answer_error = error;
	snprintf(world->answer_text, sizeof(world->answer_text), "%s", text);
}

void world_set_global(struct world *world, bool maintenance)
{
	int r = broker_set_global(world->broker, maintenance, heard_answer, world);

	assert(r == 0);
}

struct cluster world_cluster(struct world *world)
{
	static struct peer peers[HOST_ID_MAX];
	struct cluster cluster;

	broker_facts(world->broker, &cluster, peers);
	return cluster;
}
