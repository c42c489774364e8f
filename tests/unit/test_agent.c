/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The agent with the real core and fake ports on a virtual clock: what it starts, what it leaves alone, what
 * it answers. Each port answers 10 ms after it was asked. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/agent.h"
#include "tests/unit/virtual_clock.h"

#define DELAY 10
#define S MONO_SECOND
#define SPIN 200
#define START_MS 500 /* that a start of the fake VM takes */

struct world {
	struct virtual_clock clock;
	struct agent *agent;
	struct agent_ports ports;

	struct broker_port broker;
	struct cluster cluster;
	struct peer peer;
	size_t n_peers;
	bool connected, deaf, unwritable, asked;
	uint64_t serial, acknowledged;
	struct publish_request published;
	unsigned publishes;
	uint64_t answered_ticket;
	int answered_error;
	char answered[TEXT_MAX];
	unsigned answers;

	struct vm_port vm;
	struct domain_view view;
	bool looking, silent;
	enum action acted[256];
	size_t n_acted;
	char argument[TEXT_MAX];
	int64_t act_ms; /* that the last action was given */
	enum action acting;
	enum outcome start_outcome;
	bool destroy_fails, act_busy;
	bool start_hangs, hanging; /* it waits for its lease in libvirt */

	struct fence_port fence;
	unsigned kills, resets;
	int kill_error, reset_error;
	bool survives; /* SIGKILL */
	void (*kill_done)(void *data, int error, int alive);
	void *kill_data;

	struct local_port local;
	struct local_view local_view;
	bool local_looking, local_setting, local_on;
	int set_error;
	unsigned sets, saves;
	struct saved saved;

	struct timer broker_timer, vm_timer, act_timer, fence_timer, local_timer;
	bool stopped;
	struct step last;
};

static struct world w;

static void later(struct timer *timer, int64_t ms)
{
	if (!timer->set)
		virtual_set(&w.clock.port, timer, w.clock.now + ms);
}

static int fake_ask(struct broker_port *port)
{
	if (!w.connected)
		return -ENOTCONN;
	w.asked = true;
	later(&w.broker_timer, DELAY);
	return 0;
}

static int fake_publish(struct broker_port *port, const struct publish_request *request, uint64_t *ret_serial)
{
	if (!w.connected)
		return -ENOTCONN;
	w.published = *request;
	w.publishes++;
	*ret_serial = ++w.serial;
	later(&w.broker_timer, DELAY);
	return 0;
}

static int fake_answer(struct broker_port *port, uint64_t ticket, int error, const char *text)
{
	w.answered_ticket = ticket;
	w.answered_error = error;
	w.answers++;
	snprintf(w.answered, sizeof(w.answered), "%s", text);
	return 0;
}

static bool fake_connected(struct broker_port *port)
{
	return w.connected;
}

static void fake_close(struct broker_port *port)
{
}

static void broker_fired(struct timer *timer)
{
	if (w.deaf || !w.connected)
		return;
	if (w.asked) {
		w.asked = false;
		w.cluster.held_begun = w.cluster.owner_begun = w.clock.now - DELAY / 2;
		agent_broker_calls.facts(w.agent, 0, &w.cluster, &w.peer, w.n_peers);
	}
	if (w.acknowledged != w.serial && !w.unwritable) {
		w.acknowledged = w.serial;
		agent_broker_calls.published(w.agent, w.serial, 0);
	}
}

static void fake_look(struct vm_port *port, mono_t deadline)
{
	w.looking = true;
	w.view.begun = w.clock.now;
	later(&w.vm_timer, DELAY);
}

static void vm_fired(struct timer *timer)
{
	struct domain_view view = w.view;

	if (w.silent)
		view.state = DOMAIN_UNKNOWN;
	w.vm.changed(w.vm.data, &view);
}

static int fake_act(struct vm_port *port, enum action action, const char *argument, mono_t deadline)
{
	assert_true(w.n_acted < 256);
	w.acted[w.n_acted++] = action;
	w.act_ms = deadline - w.clock.now;
	snprintf(w.argument, sizeof(w.argument), "%s", argument ? argument : "");
	if (w.act_busy || (w.hanging && action != ACTION_DESTROY) ||
	    (w.acting != ACTION_NONE && action != ACTION_DESTROY))
		return -EBUSY;
	w.hanging = w.hanging || (w.start_hangs && action == ACTION_START);
	if (w.start_hangs && action == ACTION_START)
		return 0;
	w.acting = action;
	virtual_set(&w.clock.port, &w.act_timer, w.clock.now + START_MS);
	return 0;
}

static void own_lease(bool ours)
{
	w.cluster.owner = ours ? OWNER_HOST : OWNER_NOBODY;
	w.cluster.owner_id = ours ? w.cluster.host_id : 0;
	w.cluster.owner_generation = ours ? w.cluster.generation : 0;
	w.cluster.owner_version += ours ? 1 : 0;
	w.cluster.held = ours ? HELD_YES : HELD_NO;
	w.cluster.qemu_pid = ours ? 4711 : 0;
	w.cluster.monitors[MONITOR_ENGINE_HEALTH] =
		(struct sample){.number = 1, .value = HEALTH_GOOD, .known = ours};
}

static void vm_ends(enum domain_end end)
{
	w.view.state = DOMAIN_NONE;
	w.view.end = end;
	w.view.ends++;
	if (w.cluster.owner_id == w.cluster.host_id)
		own_lease(false);
	w.cluster.qemu_pid = 0;
	w.view.begun = w.clock.now;
	w.vm.changed(w.vm.data, &w.view);
}

static void act_fired(struct timer *timer)
{
	enum action action = w.acting;
	enum outcome outcome = OUTCOME_OK;

	w.acting = ACTION_NONE;
	switch (action) {
	case ACTION_START:
	case ACTION_START_PAUSED:
		outcome = w.start_outcome;
		if (outcome == OUTCOME_OK) {
			w.view.state = action == ACTION_START ? DOMAIN_RUNNING : DOMAIN_PAUSED;
			w.view.pause = action == ACTION_START ? PAUSE_NONE : PAUSE_OTHER;
			own_lease(action == ACTION_START);
			w.cluster.qemu_pid = 4711;
		}
		break;
	case ACTION_SHUTDOWN:
		vm_ends(END_INSIDE);
		break;
	case ACTION_DESTROY:
		outcome = w.destroy_fails || w.view.state == DOMAIN_NONE ? OUTCOME_FAILED : OUTCOME_OK;
		if (outcome == OUTCOME_OK)
			vm_ends(END_BY_US);
		break;
	default:
		break;
	}
	w.vm.ended(w.vm.data, action, outcome, outcome == OUTCOME_OK ? "" : "libvirt said no");
}

static int fake_kill(struct fence_port *port, mono_t deadline, void (*done)(void *data, int error, int alive),
		     void *data)
{
	w.kills++;
	w.kill_done = done;
	w.kill_data = data;
	later(&w.fence_timer, DELAY);
	return 0;
}

static void fence_fired(struct timer *timer)
{
	if (w.kill_error == 0 && !w.survives)
		vm_ends(END_CRASHED);
	w.kill_done(w.kill_data, w.kill_error, w.kill_error ? -1 : w.survives);
}

static int fake_reset(struct fence_port *port, const char *why, void (*done)(void *data, int error),
		      void *data)
{
	w.resets++;
	return w.reset_error;
}

static void fake_local_look(struct local_port *port)
{
	w.local_looking = true;
	later(&w.local_timer, DELAY);
}

static int fake_set_maintenance(struct local_port *port, bool on)
{
	w.sets++;
	w.local_setting = true;
	w.local_on = on;
	later(&w.local_timer, DELAY);
	return 0;
}

static void fake_save(struct local_port *port, const struct saved *saved)
{
	w.saves++;
	w.saved = *saved;
}

static void local_fired(struct timer *timer)
{
	bool set = w.local_setting;

	if (set && w.set_error == 0)
		w.local_view.maintenance_operator = w.local_on;
	w.local_setting = false;
	w.local.seen(w.local.data, &w.local_view);
	if (set)
		w.local.maintenance_set(w.local.data, w.set_error, "/x/ha.conf could not be written");
}

static void fake_stepped(void *data, const struct step *step)
{
	w.last = *step;
}

static void stopped(void *data)
{
	w.stopped = true;
}

/* One host, joined, knowing all, nobody owning the lease, no other host. */
static void make_world(void)
{
	struct agent_config config = {.policy = policy_default, .libvirt_ms = 10 * S};

	memset(&w, 0, sizeof(w));
	virtual_clock_init(&w.clock, 1000 * S, 1700000000);
	w.broker = (struct broker_port){fake_ask, fake_publish, fake_answer, fake_connected, fake_close};
	w.vm = (struct vm_port){.look = fake_look, .act = fake_act};
	w.fence = (struct fence_port){.kill = fake_kill, .reset = fake_reset};
	w.local = (struct local_port){
		.look = fake_local_look, .set_maintenance = fake_set_maintenance, .save = fake_save};
	w.broker_timer.fire = broker_fired;
	w.vm_timer.fire = vm_fired;
	w.act_timer.fire = act_fired;
	w.fence_timer.fire = fence_fired;
	w.local_timer.fire = local_fired;
	w.local_view = (struct local_view){
		.ha_known = true, .vm_known = true, .vm_config_good = true, .vm_memory_mib = 96};
	w.connected = true;
	w.view = (struct domain_view){.state = DOMAIN_NONE};
	w.start_outcome = OUTCOME_OK;
	w.cluster = (struct cluster){.host_id = 1,
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
		w.cluster.monitors[i] = (struct sample){.number = 1, .value = 1, .known = true};
	w.cluster.monitors[MONITOR_NETWORK].value = 0;
	w.cluster.monitors[MONITOR_CPU_LOAD].value = 0;
	w.cluster.monitors[MONITOR_MEM_FREE].value = 100000;
	w.cluster.monitors[MONITOR_ENGINE_HEALTH] = (struct sample){0};
	assert_int_equal(agent_new(&config, &w.agent), 0);
	w.ports = (struct agent_ports){.clock = &w.clock.port,
				       .broker = &w.broker,
				       .vm = &w.vm,
				       .fence = &w.fence,
				       .local = &w.local,
				       .stepped = fake_stepped};
}

/* Another host that may take the VM. */
static void add_peer(void)
{
	w.n_peers = 1;
	w.peer = (struct peer){.id = 2,
			       .fault = RECORD_OK,
			       .claim = {.timestamp = 1,
					 .generation = 1,
					 .score = 3400,
					 .vm = VM_DOWN,
					 .detail = DETAIL_DOWN,
					 .io_timeout_s = policy_default.lease.io_timeout_s,
					 .watchdog_fire_s = policy_default.lease.watchdog_fire_s},
			       .first_seen = 0,
			       .changed_at = w.clock.now,
			       .able_since = w.clock.now,
			       .vm_since = 0,
			       .host = HOST_LIVE,
			       .host_generation = 1,
			       .host_timestamp = 1,
			       .renewed_at = w.clock.now,
			       .alien_since = MONO_UNSET};
}

static void start_agent(const struct saved *saved)
{
	agent_start(w.agent, &w.ports, saved);
	agent_broker_calls.connected(w.agent);
}

/* The peer lives on, health is probed again. */
static void run_for(int64_t ms)
{
	mono_t end = w.clock.now + ms;

	while (w.clock.now < end) {
		w.peer.changed_at = w.peer.renewed_at = w.clock.now;
		for (int i = 0; i < MONITOR_COUNT; i++)
			if (w.cluster.monitors[i].number > 0)
				w.cluster.monitors[i].number++;
		virtual_clock_run(&w.clock, w.clock.now + S < end ? w.clock.now + S : end, SPIN);
	}
}

static void begin_with_vm_up(void)
{
	make_world();
	w.view.state = DOMAIN_RUNNING;
	own_lease(true);
	start_agent(NULL);
	run_for(30 * S);
	assert_int_equal(w.last.next.state, STATE_ENGINE_UP);
}

static void end_world(void)
{
	agent_free(w.agent);
}

static void test_starts_the_vm(void **state)
{
	make_world();
	start_agent(NULL);
	run_for(30 * S);
	assert_int_equal(w.n_acted, 1);
	assert_int_equal(w.acted[0], ACTION_START);
	assert_int_equal(w.last.next.state, STATE_ENGINE_UP);
	assert_int_equal(w.published.claim.vm, VM_UP);
	assert_int_equal(w.published.claim.health, HEALTH_GOOD);
	assert_int_equal(w.published.claim.score, 3400);
	assert_int_equal(w.published.memory_mib, 96);
	end_world();
}

static void test_first_step_is_prompt(void **state)
{
	make_world();
	start_agent(NULL);
	run_for(S);
	/* Answers came after 10 ms: the start is under way, and nothing was ever unknown. */
	assert_int_equal(w.n_acted, 1);
	end_world();
}

static void test_restart_leaves_the_vm_alone(void **state)
{
	begin_with_vm_up();
	run_for(600 * S);
	assert_int_equal(w.n_acted, 0);
	assert_int_equal(w.kills, 0);
	assert_int_equal(w.last.next.state, STATE_ENGINE_UP);
	end_world();
}

static void test_restart_while_libvirt_is_silent(void **state)
{
	make_world();
	w.view.state = DOMAIN_RUNNING;
	own_lease(true);
	w.silent = true;
	start_agent(NULL);
	run_for(60 * S);
	assert_int_equal(w.last.next.state, STATE_UNKNOWN_LOCAL_VM);
	assert_int_equal(w.published.claim.vm, VM_UNKNOWN);
	w.silent = false;
	run_for(30 * S);
	assert_int_equal(w.last.next.state, STATE_ENGINE_UP);
	assert_int_equal(w.n_acted, 0);
	assert_int_equal(w.kills, 0);
	end_world();
}

static void test_broker_away_begins_nothing(void **state)
{
	make_world();
	w.connected = false;
	agent_start(w.agent, &w.ports, NULL);
	agent_broker_calls.lost(w.agent, -ENOTCONN);
	run_for(120 * S);
	assert_int_equal(w.n_acted, 0);
	w.connected = true;
	agent_broker_calls.connected(w.agent);
	run_for(30 * S);
	assert_int_equal(w.last.next.state, STATE_ENGINE_UP);
	/* Back, but without an answer yet: what it said before is of the past. */
	w.deaf = true;
	w.connected = false;
	agent_broker_calls.lost(w.agent, -ENOTCONN);
	w.connected = true;
	agent_broker_calls.connected(w.agent);
	run_for(1 * S);
	assert_int_equal(w.last.reason, REASON_BROKER_AWAY);
	w.deaf = false;
	agent_broker_calls.facts(w.agent, 0, &w.cluster, &w.peer, 0);
	run_for(30 * S);
	assert_int_equal(w.last.next.state, STATE_ENGINE_UP);
	/* Hangs: the VM goes on. */
	w.deaf = true;
	agent_broker_calls.facts(w.agent, -ETIMEDOUT, NULL, NULL, 0);
	run_for(300 * S);
	assert_int_equal(w.n_acted, 1);
	assert_int_equal(w.kills, 0);
	end_world();
}

static void test_lease_of_another_kills(void **state)
{
	begin_with_vm_up();
	add_peer();
	w.peer.claim.vm = VM_UP;
	w.cluster.owner_id = 2;
	w.cluster.owner_generation = 1;
	run_for(15 * S);
	assert_true(w.kills >= 1);
	assert_int_equal(w.view.state, DOMAIN_NONE);
	assert_int_equal(w.n_acted, 0);
	end_world();
}

static void test_kill_without_guard_asks_libvirt(void **state)
{
	begin_with_vm_up();
	w.kill_error = -ENOENT;
	add_peer();
	w.peer.claim.vm = VM_UP;
	w.cluster.owner_id = 2;
	w.cluster.owner_generation = 1;
	run_for(15 * S);
	assert_true(w.kills >= 1);
	assert_true(w.n_acted >= 1);
	assert_int_equal(w.acted[0], ACTION_DESTROY);
	assert_int_equal(w.view.state, DOMAIN_NONE);
	end_world();
}

/* Neither guard nor libvirt can end it (safety rule 12). */
static void test_unkillable_resets_the_host(void **state)
{
	begin_with_vm_up();
	w.kill_error = -ETIMEDOUT;
	w.destroy_fails = true;
	w.cluster.owner_id = 2;
	run_for(58 * S);
	assert_true(w.kills >= 1);
	assert_int_equal(w.resets, 0);
	run_for(25 * S);
	assert_true(w.resets >= 1);
	end_world();
}

/* The guard is gone: the failure is told at once and brings a step, which must not ask again at once. */
static void test_failed_reset_is_tried_each_second(void **state)
{
	begin_with_vm_up();
	w.kill_error = w.reset_error = -ECONNREFUSED;
	w.destroy_fails = true;
	w.cluster.owner_id = 2;
	run_for(83 * S);
	assert_in_range(w.resets, 1, 25);
	end_world();
}

/* The minute of safety rule 12 is one since SIGKILL was sent: a destroy that sent none begins nothing. */
static void test_no_reset_before_a_sigkill(void **state)
{
	begin_with_vm_up();
	w.view.state = DOMAIN_PAUSED;
	w.view.pause = PAUSE_OTHER;
	w.cluster.owner = OWNER_NOBODY;
	w.cluster.held = HELD_NO;
	w.destroy_fails = true;
	w.kill_error = -ENOENT;
	run_for(110 * S);
	assert_int_equal(w.last.next.state, STATE_ENGINE_FORCE_STOP);
	assert_true(w.kills > 1);
	assert_int_equal(w.resets, 0);
	w.kill_error = 0;
	w.survives = true;
	run_for(55 * S);
	assert_int_equal(w.resets, 0);
	run_for(15 * S);
	assert_true(w.resets > 0);
	end_world();
}

/* A start may wait for as long as sanlock makes it, by the io_timeout that sanlock uses; a resume that hangs
 * must not keep a paused VM from its end for so long. */
static void test_time_for_start_and_resume(void **state)
{
	make_world();
	w.cluster.lease.io_timeout_s = 20;
	start_agent(NULL);
	run_for(30 * S);
	assert_int_equal(w.n_acted, 1);
	assert_int_equal(w.act_ms, (8 * 20 + 60 + 60) * S);
	assert_int_equal(w.last.next.state, STATE_ENGINE_UP);
	w.view.state = DOMAIN_PAUSED;
	w.view.pause = PAUSE_IO_ERROR;
	w.cluster.owner = OWNER_NOBODY;
	w.cluster.held = HELD_NO;
	run_for(15 * S);
	assert_true(w.n_acted > 1);
	assert_int_equal(w.acted[1], ACTION_RESUME);
	assert_int_equal(w.act_ms, policy_default.paused);
	end_world();
}

/* libvirt was restarted and lost it; /proc shows it. */
static void test_poweroff_of_a_qemu_that_libvirt_lost(void **state)
{
	begin_with_vm_up();
	w.cluster.maintenance = FLAG_YES;
	w.view.state = DOMAIN_NONE;
	run_for(30 * S);
	assert_int_equal(w.published.claim.vm, VM_UP);
	agent_broker_calls.command(w.agent, 77, COMMAND_VM_POWEROFF, "");
	run_for(5 * S);
	assert_int_equal(w.answers, 1);
	assert_int_equal(w.answered_error, 0);
	assert_int_equal(w.kills, 1);
	assert_int_equal(w.cluster.qemu_pid, 0);
	end_world();
}

/* What the broker last saw of QEMU is from before its end. */
static void test_start_right_behind_the_poweroff(void **state)
{
	static const struct {
		const char *name;
		bool lives_on;
		int error;
		const char *text;
	} rows[] = {{"it dies", false, 0, "VM in WaitForLaunch"},
		    {"it lives on", true, -EBUSY, "VM failed to launch\na QEMU of the engine VM that"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin_with_vm_up();
		w.cluster.maintenance = FLAG_YES;
		run_for(20 * S);
		agent_broker_calls.command(w.agent, 77, COMMAND_VM_POWEROFF, "");
		for (int k = 0; k < 1000 && w.answers == 0; k++)
			run_for(1);
		assert_int_equal(w.answered_error, 0);
		w.cluster.qemu_pid = 4711;
		agent_broker_calls.command(w.agent, 78, COMMAND_VM_START, "");
		run_for(300);
		if (w.answers != 1)
			fail_msg("%s: %s", rows[i].name, w.answered);
		if (!rows[i].lives_on)
			w.cluster.qemu_pid = 0;
		run_for(20 * S);
		if (w.answers != 2 || w.answered_ticket != 78 || w.answered_error != rows[i].error ||
		    strncmp(w.answered, rows[i].text, strlen(rows[i].text)) != 0)
			fail_msg("%s: %u answers, error %d: %s", rows[i].name, w.answers, w.answered_error,
				 w.answered);
		end_world();
	}
}

/* Its call goes on in libvirt until its own end: no start can be begun meanwhile, and none has failed. */
static void test_poweroff_of_a_start_that_waits(void **state)
{
	make_world();
	w.start_hangs = true;
	start_agent(NULL);
	run_for(5 * S);
	assert_int_equal(w.last.next.state, STATE_ENGINE_START);
	agent_broker_calls.command(w.agent, 77, COMMAND_VM_POWEROFF, "");
	run_for(60 * S);
	assert_int_equal(w.answered_error, 0);
	assert_int_equal(w.last.next.state, STATE_ENGINE_DOWN);
	assert_int_equal(w.last.next.failed_tries, 0);
	agent_broker_calls.command(w.agent, 78, COMMAND_VM_START, "");
	run_for(S);
	assert_int_equal(w.answered_error, -EBUSY);
	assert_non_null(strstr(w.answered, "still waits in libvirt"));
	w.start_hangs = w.hanging = false;
	w.vm.ended(w.vm.data, ACTION_START, OUTCOME_FAILED, "no answer");
	run_for(30 * S);
	assert_int_equal(w.last.next.state, STATE_ENGINE_UP);
	assert_int_equal(w.last.next.failed_tries, 0);
	end_world();
}

static void test_crash_is_restarted_when_alone(void **state)
{
	begin_with_vm_up();
	vm_ends(END_CRASHED);
	run_for(3 * S);
	assert_int_equal(w.n_acted, 1);
	assert_int_equal(w.acted[0], ACTION_START);
	run_for(30 * S);
	assert_int_equal(w.published.claim.vm, VM_UP);
	end_world();
}

static void test_crash_is_over_when_the_machine_took_it_in(void **state)
{
	begin_with_vm_up();
	add_peer();
	run_for(20 * S);
	w.peer.claim.vm = VM_UP;
	w.cluster.owner_id = 2;
	w.cluster.owner_generation = 1;
	vm_ends(END_CRASHED);
	run_for(60 * S);
	assert_int_equal(w.last.next.state, STATE_ENGINE_UNEXPECTEDLY_DOWN);
	assert_int_equal(w.published.claim.vm, VM_DOWN_UNEXPECTED);
	run_for(600 * S);
	assert_int_equal(w.last.next.state, STATE_ENGINE_DOWN);
	assert_int_equal(w.published.claim.vm, VM_DOWN);
	end_world();
}

static void test_failed_tries_are_saved_and_read(void **state)
{
	struct saved saved;

	make_world();
	w.start_outcome = OUTCOME_FAILED;
	start_agent(NULL);
	run_for(30 * S);
	assert_true(w.saves >= 2);
	assert_true(w.saved.failed_tries >= 2);
	saved = w.saved;
	end_world();

	make_world();
	w.start_outcome = OUTCOME_FAILED;
	saved.failed_tries = 3;
	saved.last_failed_wall = w.clock.wall + 1000 - 2;
	start_agent(&saved);
	run_for(10 * S);
	/* Three tries, the last 2 s ago: the next one waits for its 15 s. */
	assert_int_equal(w.n_acted, 0);
	assert_int_equal(w.last.next.failed_tries, 3);
	end_world();
}

struct command_row {
	const char *name;
	enum command command;
	bool up, global, shut_off, silent;
	enum outcome outcome;
	bool destroy_fails;
	int error;
	const char *text;
	enum action acted; /* ACTION_NONE: nothing must have been done */
};

static const struct command_row command_rows[] = {
	{"start where it runs", COMMAND_VM_START, true, false, false, false, OUTCOME_OK, false, -EEXIST,
	 "VM exists and its status is Up", ACTION_NONE},
	{"start in global maintenance", COMMAND_VM_START, false, true, false, false, OUTCOME_OK, false, 0,
	 "VM in WaitForLaunch", ACTION_START},
	{"start over a domain that is shut off", COMMAND_VM_START, false, true, true, false, OUTCOME_OK,
	 false, 0, "VM exists and is Down, cleaning up and restarting\nVM in WaitForLaunch", ACTION_START},
	{"start, lease elsewhere", COMMAND_VM_START, false, true, false, false, OUTCOME_LEASE_HELD, false,
	 -EBUSY, "VM failed to launch\nthe engine lease is not to be had: libvirt said no", ACTION_START},
	{"start fails", COMMAND_VM_START, false, true, false, false, OUTCOME_FAILED, false, -EIO,
	 "VM failed to launch\nlibvirt said no", ACTION_START},
	{"start, libvirt silent", COMMAND_VM_START, false, true, false, true, OUTCOME_OK, false, -EAGAIN,
	 "VM failed to launch\nlibvirt does not answer: the VM's state is unknown", ACTION_NONE},
	{"paused start", COMMAND_VM_START_PAUSED, false, true, false, false, OUTCOME_OK, false, 0,
	 "VM in WaitForLaunch", ACTION_START_PAUSED},
	{"shutdown", COMMAND_VM_SHUTDOWN, true, true, false, false, OUTCOME_OK, false, 0, "",
	 ACTION_SHUTDOWN},
	{"shutdown where it is not", COMMAND_VM_SHUTDOWN, false, true, false, false, OUTCOME_OK, false,
	 -ENOENT, "the engine VM is not on this host", ACTION_NONE},
	{"poweroff", COMMAND_VM_POWEROFF, true, true, false, false, OUTCOME_OK, false, 0, "", ACTION_DESTROY},
	{"poweroff, libvirt can't, the guard can", COMMAND_VM_POWEROFF, true, true, false, false, OUTCOME_OK,
	 true, 0, "", ACTION_DESTROY},
};

static void test_vm_commands(void **state)
{
	for (size_t i = 0; i < sizeof(command_rows) / sizeof(command_rows[0]); i++) {
		const struct command_row *row = &command_rows[i];

		make_world();
		if (row->global)
			w.cluster.maintenance = FLAG_YES;
		if (row->up) {
			w.view.state = DOMAIN_RUNNING;
			own_lease(true);
		}
		if (row->shut_off)
			w.view.state = DOMAIN_SHUT_OFF;
		w.silent = row->silent;
		w.start_outcome = row->outcome;
		w.destroy_fails = row->destroy_fails;
		start_agent(NULL);
		run_for(20 * S);
		if (w.n_acted != 0)
			fail_msg("%s: acted before the command", row->name);
		agent_broker_calls.command(w.agent, 77, row->command, "/some/vm.xml");
		run_for(20 * S);
		if (w.answers != 1 || w.answered_ticket != 77 || w.answered_error != row->error ||
		    strcmp(w.answered, row->text) != 0)
			fail_msg("%s: %u answers, error %d: %s", row->name, w.answers, w.answered_error,
				 w.answered);
		if (row->acted == ACTION_NONE ? w.n_acted != 0 : w.n_acted != 1 || w.acted[0] != row->acted)
			fail_msg("%s: %zu actions, first %s", row->name, w.n_acted, action_str(w.acted[0]));
		if (row->acted == ACTION_START)
			assert_string_equal(w.argument, "/some/vm.xml");
		if (row->destroy_fails)
			assert_int_equal(w.kills, 1);
		end_world();
	}
}

static void test_start_paused_only_in_global_maintenance(void **state)
{
	make_world();
	w.cluster.watchdog = WATCHDOG_NONE; /* keeps it from starting by itself */
	start_agent(NULL);
	run_for(20 * S);
	agent_broker_calls.command(w.agent, 5, COMMAND_VM_START_PAUSED, "");
	run_for(S);
	assert_int_equal(w.answered_error, -ECANCELED);
	assert_non_null(strstr(w.answered, "global maintenance only"));
	/* And without the required watchdog no start at all. */
	agent_broker_calls.command(w.agent, 6, COMMAND_VM_START, "");
	run_for(S);
	assert_int_equal(w.answered_ticket, 6);
	assert_int_equal(w.answered_error, -ECANCELED);
	assert_non_null(strstr(w.answered, penalty_str(PENALTY_NO_WATCHDOG)));
	assert_int_equal(w.n_acted, 0);
	end_world();
}

static void test_second_command_is_refused(void **state)
{
	make_world();
	w.cluster.maintenance = FLAG_YES;
	start_agent(NULL);
	run_for(20 * S);
	agent_broker_calls.command(w.agent, 1, COMMAND_VM_START, "");
	agent_broker_calls.command(w.agent, 2, COMMAND_VM_START, "");
	assert_int_equal(w.answered_ticket, 2);
	assert_int_equal(w.answered_error, -EBUSY);
	run_for(S);
	assert_int_equal(w.answered_ticket, 1);
	assert_int_equal(w.answered_error, 0);
	end_world();
}

static void test_local_maintenance_without_a_host_is_refused(void **state)
{
	begin_with_vm_up();
	agent_broker_calls.command(w.agent, 9, COMMAND_LOCAL_MAINTENANCE_ON, "");
	run_for(20 * S);
	assert_int_equal(w.answers, 1);
	assert_int_equal(w.answered_error, -EBUSY);
	assert_non_null(strstr(w.answered, "no other host can take it"));
	assert_int_equal(w.sets, 0);
	assert_false(w.published.claim.maintenance);
	assert_int_equal(w.n_acted, 0);
	end_world();
}

static void test_local_maintenance_moves_the_vm(void **state)
{
	begin_with_vm_up();
	add_peer();
	run_for(20 * S);
	w.unwritable = true;
	agent_broker_calls.command(w.agent, 9, COMMAND_LOCAL_MAINTENANCE_ON, "");
	agent_broker_calls.published(w.agent, w.serial, 0);
	assert_int_equal(w.answers, 0); /* that was a record from before */
	run_for(3 * S);
	agent_broker_calls.published(w.agent, 1, 0);
	agent_broker_calls.published(w.agent, w.serial, -EIO);
	/* Set and published, but not on storage yet: not acknowledged. */
	assert_int_equal(w.sets, 1);
	assert_true(w.published.claim.maintenance);
	assert_int_equal(w.answers, 0);
	w.unwritable = false;
	run_for(15 * S);
	assert_int_equal(w.answers, 1);
	assert_int_equal(w.answered_error, 0);
	assert_string_equal(w.answered, "");
	assert_int_equal(w.acted[0], ACTION_SHUTDOWN);
	assert_int_equal(w.last.score.value, 0);
	/* And back; the management system's key remains. */
	w.local_view.maintenance_management = true;
	agent_broker_calls.command(w.agent, 10, COMMAND_LOCAL_MAINTENANCE_OFF, "");
	run_for(15 * S);
	assert_int_equal(w.answered_ticket, 10);
	assert_int_equal(w.answered_error, 0);
	assert_non_null(strstr(w.answered, "local_maintenance in ha.conf"));
	assert_int_equal(w.last.score.value, 0);
	end_world();
}

static void test_local_maintenance_that_can_not_be_saved(void **state)
{
	make_world();
	w.cluster.watchdog = WATCHDOG_NONE;
	start_agent(NULL);
	run_for(20 * S);
	w.set_error = -EROFS;
	agent_broker_calls.command(w.agent, 9, COMMAND_LOCAL_MAINTENANCE_ON, "");
	run_for(2 * S);
	assert_int_equal(w.answered_error, -EROFS);
	assert_non_null(strstr(w.answered, "ha.conf could not be written"));
	/* Saved, but the record can't be written. */
	w.set_error = 0;
	w.unwritable = true;
	agent_broker_calls.command(w.agent, 10, COMMAND_LOCAL_MAINTENANCE_ON, "");
	run_for(90 * S);
	assert_int_equal(w.answered_ticket, 10);
	assert_int_equal(w.answered_error, -ETIMEDOUT);
	assert_non_null(strstr(w.answered, "the other hosts don't know"));
	end_world();
}

/* A look at this host's files that is late is no bad configuration, for a minute. */
static void test_late_files_are_unknown(void **state)
{
	const int32_t *points = &w.last.score.entries[PENALTY_CONFIG].points;

	begin_with_vm_up();
	assert_int_equal(*points, 0);
	w.local_view = (struct local_view){0};
	run_for(60 * S);
	assert_int_equal(*points, 0);
	run_for(40 * S);
	assert_true(*points > 0);
	w.local_view = (struct local_view){
		.ha_known = true, .vm_known = true, .vm_config_good = true, .vm_memory_mib = 96};
	run_for(20 * S);
	assert_int_equal(*points, 0);
	/* What was read to be bad needs no such time. */
	w.local_view.vm_config_good = false;
	run_for(40 * S);
	assert_true(*points > 0);
	end_world();
}

/* What was never understood is no "not in maintenance"; what was stays. */
static void test_local_maintenance_that_is_not_known(void **state)
{
	make_world();
	w.local_view.ha_known = false;
	start_agent(NULL);
	run_for(120 * S);
	assert_int_equal(w.n_acted, 0);
	assert_int_equal(w.last.score.value, 0);
	assert_true(w.last.score.entries[PENALTY_NO_KNOWLEDGE].points > 0);
	w.local_view.ha_known = true;
	run_for(20 * S);
	assert_int_equal(w.last.next.state, STATE_ENGINE_UP);
	w.local_view.ha_known = false;
	run_for(60 * S);
	assert_int_equal(w.last.score.value, 3400);
	end_world();
}

/* Runs on, and gives the alarms that are logged meanwhile: how many, and whether one has that reason. */
static unsigned alarms(int64_t ms, const char *reason, bool *ret_has)
{
	FILE *file = tmpfile();
	int before = dup(2);
	char line[65536];
	unsigned n = 0;

	assert_non_null(file);
	assert_true(before >= 0 && dup2(fileno(file), 2) >= 0);
	run_for(ms);
	fflush(stderr);
	assert_true(dup2(before, 2) >= 0);
	close(before);
	rewind(file);
	*ret_has = false;
	while (fgets(line, sizeof(line), file))
		if (strstr(line, "the operator is needed")) {
			n++;
			*ret_has = *ret_has || strstr(line, reason);
		}
	fclose(file);
	return n;
}

static void test_alarms_are_told_once_with_their_reason(void **state)
{
	bool has;

	begin_with_vm_up();
	w.connected = false;
	agent_broker_calls.lost(w.agent, -ENOTCONN);
	assert_int_equal(alarms(3 * S, "", &has), 0);
	w.connected = true;
	agent_broker_calls.connected(w.agent);
	assert_int_equal(alarms(20 * S, "", &has), 0);
	w.connected = false;
	agent_broker_calls.lost(w.agent, -ENOTCONN);
	assert_int_equal(alarms(60 * S, " reason=broker-away ", &has), 1);
	assert_true(has);
	w.connected = true;
	agent_broker_calls.connected(w.agent);
	add_peer();
	w.peer.alien_advances = 2;
	assert_int_equal(alarms(20 * S, " reason=alien-peer ", &has), 1);
	assert_true(has);
	/* A graver one while that one stands. */
	w.cluster.held = HELD_NO;
	w.kill_error = -ENOENT;
	w.destroy_fails = true;
	assert_int_equal(alarms(15 * S, " reason=lease-lost ", &has), 1);
	assert_true(has);
	end_world();
}

static void test_stop_without_vm(void **state)
{
	make_world();
	w.cluster.watchdog = WATCHDOG_NONE;
	start_agent(NULL);
	run_for(20 * S);
	agent_stop(w.agent, stopped, NULL);
	run_for(500);
	assert_true(w.stopped);
	assert_int_equal(w.published.state, STATE_AGENT_STOPPED);
	assert_int_equal(w.published.claim.score, 0);
	assert_true(w.published.claim.stopped);
	end_world();
}

static void test_stop_with_vm(void **state)
{
	begin_with_vm_up();
	agent_stop(w.agent, stopped, NULL);
	run_for(500);
	assert_true(w.stopped);
	assert_int_equal(w.published.state, STATE_AGENT_STOPPED);
	assert_false(w.published.claim.stopped); /* safety rule 7 */
	assert_int_equal(w.published.claim.vm, VM_UP);
	assert_int_equal(w.n_acted, 0);
	assert_int_equal(w.kills, 0);
	end_world();
}

/* libvirt says that there is none, /proc that QEMU lives, or nothing. */
static void test_stop_with_a_qemu_that_libvirt_lost(void **state)
{
	static const int32_t pids[] = {4711, -1};

	for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++) {
		make_world();
		w.cluster.watchdog = WATCHDOG_NONE;
		w.cluster.qemu_pid = pids[i];
		start_agent(NULL);
		run_for(500);
		agent_stop(w.agent, stopped, NULL);
		run_for(500);
		assert_int_equal(w.published.state, STATE_AGENT_STOPPED);
		assert_false(w.published.claim.stopped); /* safety rule 7 */
		end_world();
	}
}

static void test_stop_while_the_record_can_not_be_written(void **state)
{
	begin_with_vm_up();
	w.unwritable = true;
	agent_stop(w.agent, stopped, NULL);
	run_for(900);
	assert_false(w.stopped);
	run_for(200);
	assert_true(w.stopped);
	end_world();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_starts_the_vm),
		cmocka_unit_test(test_first_step_is_prompt),
		cmocka_unit_test(test_restart_leaves_the_vm_alone),
		cmocka_unit_test(test_restart_while_libvirt_is_silent),
		cmocka_unit_test(test_broker_away_begins_nothing),
		cmocka_unit_test(test_lease_of_another_kills),
		cmocka_unit_test(test_kill_without_guard_asks_libvirt),
		cmocka_unit_test(test_unkillable_resets_the_host),
		cmocka_unit_test(test_failed_reset_is_tried_each_second),
		cmocka_unit_test(test_no_reset_before_a_sigkill),
		cmocka_unit_test(test_time_for_start_and_resume),
		cmocka_unit_test(test_poweroff_of_a_qemu_that_libvirt_lost),
		cmocka_unit_test(test_start_right_behind_the_poweroff),
		cmocka_unit_test(test_poweroff_of_a_start_that_waits),
		cmocka_unit_test(test_crash_is_restarted_when_alone),
		cmocka_unit_test(test_crash_is_over_when_the_machine_took_it_in),
		cmocka_unit_test(test_failed_tries_are_saved_and_read),
		cmocka_unit_test(test_vm_commands),
		cmocka_unit_test(test_start_paused_only_in_global_maintenance),
		cmocka_unit_test(test_second_command_is_refused),
		cmocka_unit_test(test_local_maintenance_without_a_host_is_refused),
		cmocka_unit_test(test_local_maintenance_moves_the_vm),
		cmocka_unit_test(test_local_maintenance_that_can_not_be_saved),
		cmocka_unit_test(test_late_files_are_unknown),
		cmocka_unit_test(test_local_maintenance_that_is_not_known),
		cmocka_unit_test(test_alarms_are_told_once_with_their_reason),
		cmocka_unit_test(test_stop_without_vm),
		cmocka_unit_test(test_stop_with_vm),
		cmocka_unit_test(test_stop_with_a_qemu_that_libvirt_lost),
		cmocka_unit_test(test_stop_while_the_record_can_not_be_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
