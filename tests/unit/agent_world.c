/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ports of agent_world.h. A destroy is the real one (libvirt_call.c) on a libvirt that stands here: what
 * it takes for the VM's end the agent believes. Decides nothing that its switches do not say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "daemon/libvirt_call.h"
#include "tests/unit/agent_world.h"

#define DELAY 10
#define SPIN 200
#define START_MS 500 /* that a start of the fake VM takes */

struct agent_world world;

static void later(struct timer *timer, int64_t ms)
{
	if (!timer->set)
		virtual_set(&world.clock.port, timer, world.clock.now + ms);
}

static int fake_ask(struct broker_port *port)
{
	if (!world.connected)
		return -ENOTCONN;
	world.asked = true;
	later(&world.broker_timer, DELAY);
	return 0;
}

static int fake_publish(struct broker_port *port, const struct publish_request *request, uint64_t *ret_serial)
{
	if (!world.connected)
		return -ENOTCONN;
	world.published = *request;
	*ret_serial = ++world.serial;
	later(&world.broker_timer, DELAY);
	return 0;
}

static int fake_answer(struct broker_port *port, uint64_t ticket, int error, const char *text)
{
	world.answered_ticket = ticket;
	world.answered_error = error;
	world.answers++;
	snprintf(world.answered, sizeof(world.answered), "%s", text);
	return 0;
}

static bool fake_connected(struct broker_port *port)
{
	return world.connected;
}

static void fake_close(struct broker_port *port)
{
}

static void broker_fired(struct timer *timer)
{
	if (world.deaf || !world.connected)
		return;
	if (world.asked) {
		world.asked = false;
		world.cluster.held_begun = world.cluster.owner_begun = world.clock.now - DELAY / 2;
		agent_broker_calls.facts(world.agent, 0, &world.cluster, &world.peer, world.n_peers);
	}
	if (world.acknowledged != world.serial && !world.unwritable) {
		world.acknowledged = world.serial;
		agent_broker_calls.published(world.agent, world.serial, 0, world.target);
	}
}

static void fake_look(struct vm_port *port, mono_t deadline)
{
	world.view.begun = world.clock.now;
	later(&world.vm_timer, DELAY);
}

static void vm_fired(struct timer *timer)
{
	struct domain_view view = world.view;

	if (world.silent)
		view.state = DOMAIN_UNKNOWN;
	world.vm.changed(world.vm.data, &view);
}

static int fake_act(struct vm_port *port, enum action action, const char *argument, mono_t deadline)
{
	assert_true(world.n_acted < 256);
	world.acted[world.n_acted++] = action;
	world.act_ms = deadline - world.clock.now;
	snprintf(world.argument, sizeof(world.argument), "%s", argument ? argument : "");
	if ((world.hanging && action != ACTION_DESTROY) ||
	    (world.acting != ACTION_NONE && action != ACTION_DESTROY && action != ACTION_CANCEL))
		return -EBUSY;
	world.hanging = world.hanging || (world.start_hangs && action == ACTION_START);
	if (world.start_hangs && action == ACTION_START)
		return 0;
	if (action == ACTION_MIGRATE || action == ACTION_CANCEL)
		return 0; /* they go on until a test ends them */
	world.acting = action;
	virtual_set(&world.clock.port, &world.act_timer, world.clock.now + START_MS);
	return 0;
}

void world_own_lease(bool ours)
{
	world.cluster.owner = ours ? OWNER_HOST : OWNER_NOBODY;
	world.cluster.owner_id = ours ? world.cluster.host_id : 0;
	world.cluster.owner_generation = ours ? world.cluster.generation : 0;
	world.cluster.owner_version += ours ? 1 : 0;
	world.cluster.held = ours ? HELD_YES : HELD_NO;
	world.cluster.qemu_pid = ours ? 4711 : 0;
	world.cluster.monitors[MONITOR_ENGINE_HEALTH] =
		(struct sample){.number = 1, .value = HEALTH_GOOD, .known = ours};
}

void world_vm_ends(enum domain_end end)
{
	world.view.state = DOMAIN_NONE;
	world.view.end = end;
	world.view.ends++;
	if (world.cluster.owner_id == world.cluster.host_id)
		world_own_lease(false);
	world.cluster.qemu_pid = 0;
	world.view.begun = world.clock.now;
	world.vm.changed(world.vm.data, &world.view);
}

/* libvirt, as a destroy sees it. */
void virResetLastError(void)
{
}

virErrorPtr virGetLastError(void)
{
	static virError none = {.code = VIR_ERR_NO_DOMAIN, .domain = VIR_FROM_QEMU};

	return &none;
}

int virConnectIsAlive(virConnectPtr connection)
{
	return 1;
}

virDomainPtr virDomainLookupByUUIDString(virConnectPtr connection, const char *uuid)
{
	return world.view.state == DOMAIN_NONE ? NULL : (virDomainPtr)&world;
}

int virDomainDestroyFlags(virDomainPtr domain, unsigned int flags)
{
	if (world.destroy_fails)
		return -1;
	world_vm_ends(END_BY_US);
	return 0;
}

int virDomainFree(virDomainPtr domain)
{
	return 0;
}

static enum outcome destroy(void)
{
	struct libvirt_call call = {.action = ACTION_DESTROY,
				    .connection = (struct _virConnect *)&world,
				    .event_fd = -1,
				    .callbacks = LIBVIRT_NO_CALLBACKS};

	libvirt_call_run(&call.job);
	return call.outcome;
}

static void act_fired(struct timer *timer)
{
	enum action action = world.acting;
	enum outcome outcome = OUTCOME_OK;

	world.acting = ACTION_NONE;
	switch (action) {
	case ACTION_START:
	case ACTION_START_PAUSED:
		outcome = world.start_outcome;
		if (outcome == OUTCOME_OK) {
			world.view.state = action == ACTION_START ? DOMAIN_RUNNING : DOMAIN_PAUSED;
			world.view.pause = action == ACTION_START ? PAUSE_NONE : PAUSE_OTHER;
			world_own_lease(action == ACTION_START);
			world.cluster.qemu_pid = 4711;
		}
		break;
	case ACTION_SHUTDOWN:
		world_vm_ends(END_INSIDE);
		break;
	case ACTION_DESTROY:
		outcome = destroy();
		break;
	default:
		break;
	}
	world.vm.ended(world.vm.data, action, outcome, outcome == OUTCOME_OK ? "" : "libvirt said no");
}

static int fake_kill(struct fence_port *port, mono_t deadline, void (*done)(void *data, int error, int alive),
		     void *data)
{
	world.kills++;
	world.kill_done = done;
	world.kill_data = data;
	later(&world.fence_timer, DELAY);
	return 0;
}

static void fence_fired(struct timer *timer)
{
	if (world.kill_error == 0 && !world.survives)
		world_vm_ends(END_CRASHED);
	world.kill_done(world.kill_data, world.kill_error, world.kill_error ? -1 : world.survives);
}

static int fake_reset(struct fence_port *port, const char *why, void (*done)(void *data, int error),
		      void *data)
{
	world.resets++;
	return world.reset_error;
}

static void fake_local_look(struct local_port *port)
{
	later(&world.local_timer, DELAY);
}

static int fake_set_maintenance(struct local_port *port, bool on)
{
	world.sets++;
	world.local_setting = true;
	world.local_on = on;
	later(&world.local_timer, DELAY);
	return 0;
}

static void fake_save(struct local_port *port, const struct saved *saved)
{
	world.saves++;
	world.saved = *saved;
}

static void local_fired(struct timer *timer)
{
	bool set = world.local_setting;

	if (set && world.set_error == 0)
		world.local_view.maintenance_operator = world.local_on;
	world.local_setting = false;
	world.local.seen(world.local.data, &world.local_view);
	if (set)
		world.local.maintenance_set(world.local.data, world.set_error,
					    "/x/ha.conf could not be written");
}

static void fake_stepped(void *data, const struct step *step)
{
	world.last = *step;
}

void world_stopped(void *data)
{
	world.stopped = true;
}

void world_make(void)
{
	struct agent_config config = {.policy = policy_default, .libvirt_ms = 10 * S};

	memset(&world, 0, sizeof(world));
	virtual_clock_init(&world.clock, 1000 * S, 1700000000);
	world.broker = (struct broker_port){fake_ask, fake_publish, fake_answer, fake_connected, fake_close};
	world.vm = (struct vm_port){.look = fake_look, .act = fake_act};
	world.fence = (struct fence_port){.kill = fake_kill, .reset = fake_reset};
	world.local = (struct local_port){
		.look = fake_local_look, .set_maintenance = fake_set_maintenance, .save = fake_save};
	world.broker_timer.fire = broker_fired;
	world.vm_timer.fire = vm_fired;
	world.act_timer.fire = act_fired;
	world.fence_timer.fire = fence_fired;
	world.local_timer.fire = local_fired;
	world.local_view = (struct local_view){
		.ha_known = true, .vm_known = true, .vm_config_good = true, .vm_memory_mib = 96};
	world.connected = true;
	world.view = (struct domain_view){.state = DOMAIN_NONE};
	world.start_outcome = OUTCOME_OK;
	world.cluster = (struct cluster){.host_id = 1,
					 .generation = 3,
					 .membership = MEMBERSHIP_JOINED,
					 .hosts_known = true,
					 .whiteboard_read = true,
					 .maintenance = FLAG_NO,
					 .maintenance_read = true,
					 .watchdog = WATCHDOG_HARD,
					 .owner = OWNER_NOBODY,
					 .owner_version = 5,
					 .held = HELD_NO,
					 .lease = policy_default.lease};
	for (int i = 0; i < MONITOR_COUNT; i++)
		world.cluster.monitors[i] = (struct sample){.number = 1, .value = 1, .known = true};
	world.cluster.monitors[MONITOR_NETWORK].value = 0;
	world.cluster.monitors[MONITOR_CPU_LOAD].value = 0;
	world.cluster.monitors[MONITOR_MEM_FREE].value = 100000;
	world.cluster.monitors[MONITOR_ENGINE_HEALTH] = (struct sample){0};
	assert_int_equal(agent_new(&config, &world.agent), 0);
	world.ports = (struct agent_ports){.clock = &world.clock.port,
					   .broker = &world.broker,
					   .vm = &world.vm,
					   .fence = &world.fence,
					   .local = &world.local,
					   .stepped = fake_stepped};
}

void world_add_peer(void)
{
	world.n_peers = 1;
	world.peer = (struct peer){.id = 2,
				   .fault = RECORD_OK,
				   .claim = {.timestamp = 1,
					     .generation = 1,
					     .score = 3400,
					     .vm = VM_DOWN,
					     .detail = DETAIL_DOWN,
					     .io_timeout_s = policy_default.lease.io_timeout_s,
					     .watchdog_fire_s = policy_default.lease.watchdog_fire_s},
				   .first_seen = 0,
				   .changed_at = world.clock.now,
				   .able_since = world.clock.now,
				   .vm_since = 0,
				   .host = HOST_LIVE,
				   .host_generation = 1,
				   .host_timestamp = 1,
				   .renewed_at = world.clock.now,
				   .moves_at = MONO_UNSET,
				   .alien_since = MONO_UNSET};
}

void world_start(const struct saved *saved)
{
	agent_start(world.agent, &world.ports, saved);
	agent_broker_calls.connected(world.agent);
}

void world_run(int64_t ms)
{
	mono_t end = world.clock.now + ms;

	while (world.clock.now < end) {
		world.peer.changed_at = world.peer.renewed_at = world.clock.now;
		for (int i = 0; i < MONITOR_COUNT; i++)
			if (world.cluster.monitors[i].number > 0)
				world.cluster.monitors[i].number++;
		virtual_clock_run(&world.clock, world.clock.now + S < end ? world.clock.now + S : end, SPIN);
	}
}

void world_make_with_vm_up(void)
{
	world_make();
	world.view.state = DOMAIN_RUNNING;
	world_own_lease(true);
	world_start(NULL);
	world_run(30 * S);
	assert_int_equal(world.last.next.state, STATE_ENGINE_UP);
}

void world_end(void)
{
	agent_free(world.agent);
}
