/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The operator's commands, as they come through the broker: at most one about the VM and one about
 * maintenance at a time. VM commands are handed to the core, which may refuse; the answer's words are those
 * that scripts rely on. It may not act on the VM itself. Called by agent.c. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/outlook.h"
#include "daemon/agent_state.h"
#include "util/log.h"

/* A record that can't be written for so long is told to the operator. */
#define MAINTENANCE_MS 60000
#define BEGIN_MS 30000 /* the core takes a command in its next step, or refuses it */

static const char *word(enum command command)
{
	static const char *const words[COMMAND_KIND_END] = {
		[COMMAND_LOCAL_MAINTENANCE_ON] = "local-maintenance-on",
		[COMMAND_LOCAL_MAINTENANCE_OFF] = "local-maintenance-off",
		[COMMAND_VM_START] = "vm-start",
		[COMMAND_VM_START_PAUSED] = "vm-start-paused",
		[COMMAND_VM_SHUTDOWN] = "vm-shutdown",
		[COMMAND_VM_POWEROFF] = "vm-poweroff",
		[COMMAND_VM_MIGRATE] = "vm-migrate",
		[COMMAND_VM_MIGRATE_CANCEL] = "vm-migrate-cancel"};

	return command < COMMAND_KIND_END && words[command] ? words[command] : "unknown";
}

__attribute__((format(printf, 4, 5))) static void answer(struct agent *agent, struct order *order, int error,
							 const char *format, ...)
{
	char text[TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_info("command %s answered error=%d: %.*s", word(order->command), error, (int)strcspn(text, "\n"),
		 text);
	agent->ports.broker->answer(agent->ports.broker, order->ticket, error, text);
	memset(order, 0, sizeof(*order));
}

static void refuse_ticket(struct agent *agent, uint64_t ticket, int error, const char *text)
{
	agent->ports.broker->answer(agent->ports.broker, ticket, error, text);
}

/* Local maintenance moves the VM; where nobody can take it, it is refused and nothing changes. */
static void take_maintenance(struct agent *agent, struct order *order, bool on)
{
	struct vm_facts vm;
	int r;

	agent_vm_facts(agent, &vm);
	if (on && vm.vm == VM_UNKNOWN) {
		answer(agent, order, -EAGAIN,
		       "libvirt does not answer: it is not known whether the engine VM is here");
		return;
	}
	if (on && vm.vm == VM_UP && !agent->step.can_move) {
		answer(agent, order, -EBUSY,
		       "the engine VM runs here and no other host can take it: none is fresh, eligible and "
		       "out of "
		       "maintenance with a score above 0; see hosted-engine --vm-status");
		return;
	}
	order->deadline = mono_add(agent_now(agent), MAINTENANCE_MS);
	r = agent->ports.local->set_maintenance(agent->ports.local, on);
	if (r < 0)
		answer(agent, order, r, "ha.conf could not be written: %s", strerror(-r));
}

static void take_start(struct agent *agent, struct order *order, const struct vm_facts *vm)
{
	if (vm->vm == VM_UP) {
		answer(agent, order, -EEXIST, "VM exists and its status is %s", detail_str(vm->detail));
		return;
	}
	if (order->command == COMMAND_VM_START_PAUSED && agent->cluster.maintenance != FLAG_YES) {
		answer(agent, order, -ECANCELED,
		       "VM failed to launch\na paused start is for global maintenance only: run "
		       "hosted-engine "
		       "--set-maintenance --mode=global first");
		return;
	}
	order->cleans_up = agent->watch.view.state == DOMAIN_SHUT_OFF;
	agent->ports.broker->ask(agent->ports.broker);
	order->wanted = order->command == COMMAND_VM_START ? ACTION_START : ACTION_START_PAUSED;
}

static void take_migrate(struct agent *agent, struct order *order)
{
	const char *text = order->argument;
	char *end;
	long id = strtol(text, &end, 10);

	if (*end || (*text && (id < 1 || id > HOST_ID_MAX))) {
		answer(agent, order, -EINVAL, "%.20s is no host id", text);
		return;
	}
	if (agent->cluster.maintenance == FLAG_YES) {
		answer(agent, order, -ECANCELED,
		       "the cluster is in global maintenance, in which no host moves the VM: end it first "
		       "with hosted-engine --set-maintenance --mode=none");
		return;
	}
	order->host = (uint16_t)id;
	order->wanted = ACTION_MIGRATE;
}

static bool migrates(const struct agent *agent)
{
	return agent->machine.state == STATE_ENGINE_MIGRATING_AWAY ||
	       agent->machine.in_flight == ACTION_MIGRATE;
}

static void take_cancel(struct agent *agent, struct order *order)
{
	if (migrates(agent))
		order->wanted = ACTION_CANCEL;
	else
		answer(agent, order, -ENOENT, "no migration is under way here");
}

static void take_vm_command(struct agent *agent, struct order *order)
{
	bool start = order->command == COMMAND_VM_START || order->command == COMMAND_VM_START_PAUSED;
	struct vm_facts vm;

	agent_vm_facts(agent, &vm);
	order->deadline = mono_add(agent_now(agent), BEGIN_MS);
	if (vm.vm == VM_UNKNOWN) {
		answer(agent, order, -EAGAIN, "%slibvirt does not answer: the VM's state is unknown",
		       start ? "VM failed to launch\n" : "");
		return;
	}
	if (start)
		take_start(agent, order, &vm);
	else if (order->command == COMMAND_VM_MIGRATE_CANCEL)
		take_cancel(agent, order);
	else if (vm.vm != VM_UP && vm.detail != DETAIL_WAIT_FOR_LAUNCH)
		answer(agent, order, -ENOENT, "the engine VM is not on this host");
	else if (order->command == COMMAND_VM_MIGRATE)
		take_migrate(agent, order);
	else
		order->wanted = order->command == COMMAND_VM_SHUTDOWN ? ACTION_SHUTDOWN : ACTION_DESTROY;
	agent_poke(agent);
}

/* The last word holds: a start that still waits would begin behind what ends the VM. */
static void withdraw_start(struct agent *agent, enum command command)
{
	struct order *order = &agent->vm_order;

	if ((command == COMMAND_VM_SHUTDOWN || command == COMMAND_VM_POWEROFF) &&
	    (order->wanted == ACTION_START || order->wanted == ACTION_START_PAUSED))
		answer(agent, order, -ECANCELED, "%s", START_WITHDRAWN);
}

void command_take(struct agent *agent, uint64_t ticket, enum command command, const char *argument)
{
	bool maintenance =
		command == COMMAND_LOCAL_MAINTENANCE_ON || command == COMMAND_LOCAL_MAINTENANCE_OFF;
	struct order *order = maintenance ? &agent->maintenance_order : &agent->vm_order;

	log_info("command %s argument=%s", word(command), argument);
	if (command < COMMAND_LOCAL_MAINTENANCE_ON || command >= COMMAND_KIND_END) {
		refuse_ticket(agent, ticket, -ENOSYS, "the agent does not know this command");
		return;
	}
	if (agent->stop_wanted) {
		refuse_ticket(agent, ticket, -ESHUTDOWN, "the agent is stopping");
		return;
	}
	withdraw_start(agent, command);
	if (order->command) {
		refuse_ticket(agent, ticket, -EBUSY,
			      "another command is under way: try again when it has ended");
		return;
	}
	memset(order, 0, sizeof(*order));
	order->command = command;
	order->ticket = ticket;
	snprintf(order->argument, sizeof(order->argument), "%s", argument);
	if (maintenance)
		take_maintenance(agent, order, command == COMMAND_LOCAL_MAINTENANCE_ON);
	else
		take_vm_command(agent, order);
}

/* QEMU dies a moment after libvirt ceased to list its domain, and what the broker saw of it is older still:
 * the core would refuse a start that comes right behind the end. What lives on counts as up soon. So does a
 * start wait for libvirt's answer of now. */
static bool start_waits(struct agent *agent)
{
	struct vm_facts vm;

	/* The broker has looked at all hosts for it. */
	if (!agent->vm_order.informed)
		return true;
	agent_vm_facts(agent, &vm);
	if (vm.look_old)
		return true;
	/* libvirt has not let go of the last one, and would refuse: it does so in 220 ms, lists it all the
	 * same for 2 s, or becomes silent; and the order has its own limit. */
	if (engine_ending(vm.vm, vm.detail))
		return true;
	if (agent->cluster.qemu_pid <= 0 || agent->machine.in_flight != ACTION_NONE)
		return false;
	return vm.vm != VM_UP && vm.vm != VM_UNKNOWN && vm.detail != DETAIL_WAIT_FOR_LAUNCH;
}

enum action command_wanted(struct agent *agent, mono_t now)
{
	struct order *order = &agent->vm_order;
	bool start = order->wanted == ACTION_START || order->wanted == ACTION_START_PAUSED;

	if (order->command && order->wanted != ACTION_NONE && now >= order->deadline)
		answer(agent, order, -EAGAIN, "it could not be begun: reason=%s",
		       reason_str(agent->step.reason));
	return order->command && !(start && start_waits(agent)) ? order->wanted : ACTION_NONE;
}

static void answer_no_target(struct agent *agent, struct order *order)
{
	const struct machine *m = &agent->machine;
	const char *see = "see hosted-engine --vm-status";

	if (agent->watch.view.state != DOMAIN_RUNNING || agent->watch.end_wanted)
		answer(agent, order, -EBUSY, "the engine VM is here and does not run: %s", see);
	else if (!outlook_target(&(struct snapshot){.peers = agent->peers, .n_peers = agent->n_peers},
				 &agent->config.policy, order->host, agent_now(agent)))
		answer(agent, order, -EBUSY,
		       "%s can take it: fresh, out of maintenance, with a score above 0 and of this "
		       "software; %s",
		       order->host ? "that host is not one that" : "no other host is there that", see);
	else
		answer(agent, order, -ECANCELED, "refused in state %s: %s", state_str(m->state),
		       reason_str(agent->step.reason));
}

/* Why the core did not begin it, in the order of what an operator would look at. */
static void answer_refused(struct agent *agent, struct order *order)
{
	static const enum penalty stops[] = {PENALTY_NO_HOST_ID, PENALTY_NO_WATCHDOG, PENALTY_BLOCKED,
					     PENALTY_ALIEN_PEER, PENALTY_LEASE_TIMING};
	bool start = order->wanted == ACTION_START || order->wanted == ACTION_START_PAUSED;
	const char *failed = start ? "VM failed to launch\n" : "";
	const struct machine *m = &agent->machine;

	if (m->in_flight != ACTION_NONE) {
		answer(agent, order, -EBUSY, "%sthe agent's own %s is under way in state %s", failed,
		       action_str(m->in_flight), state_str(m->state));
		return;
	}
	if (order->wanted == ACTION_MIGRATE) { /* what keeps this host from a start is no matter */
		answer_no_target(agent, order);
		return;
	}
	if (start && agent->step.reason == REASON_MIGRATION_UNDER_WAY) {
		answer(agent, order, -EBUSY,
		       "%sanother host's record says that it is migrated: see hosted-engine --vm-status, and "
		       "try again when that has ended",
		       failed);
		return;
	}
	if (start && agent->watch.starting != ACTION_NONE) {
		answer(agent, order, -EBUSY,
		       "%sthe start before this one still waits in libvirt: try again later", failed);
		return;
	}
	if (start && agent->cluster.qemu_pid != 0) {
		answer(agent, order, -EBUSY, "%s%s: end it, or try again in some seconds", failed,
		       agent->cluster.qemu_pid > 0
			       ? "a QEMU of the engine VM that libvirt does not list lives here"
			       : "/proc can't be read: it is not known whether a QEMU of the engine VM lives "
				 "here");
		return;
	}
	for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++)
		if (agent->step.score.entries[stops[i]].points != 0) {
			answer(agent, order, -ECANCELED, "%sthis host may not start it: %s", failed,
			       penalty_str(stops[i]));
			return;
		}
	answer(agent, order, -ECANCELED, "%srefused in state %s: %s", failed, state_str(m->state),
	       reason_str(agent->step.reason));
}

static bool steps_to(const struct step *step, enum action action)
{
	for (size_t i = 0; i < step->n_actions; i++)
		if (step->actions[i] == action)
			return true;
	return false;
}

/* A migration begins once its target stands on storage: that is when its command is answered, or when the
 * core has let it be. A cancel is answered when it is asked for. True: the order is one of them. */
static bool migration_stepped(struct agent *agent, struct order *order)
{
	const struct step *step = &agent->step;

	if (order->wanted == ACTION_CANCEL) {
		if (steps_to(step, ACTION_CANCEL) || !migrates(agent))
			answer(agent, order, 0, "%s", "");
		return true;
	}
	if (order->wanted == ACTION_MIGRATE && migrates(agent)) {
		order->wanted = ACTION_NONE;
		order->awaited = ACTION_MIGRATE;
	}
	if (order->awaited == ACTION_MIGRATE && steps_to(step, ACTION_MIGRATE))
		answer(agent, order, 0, "%s", agent->target);
	else if (order->awaited == ACTION_MIGRATE && !migrates(agent))
		answer(agent, order, -EIO, "the migration could not be begun: reason=%s",
		       reason_str(step->reason));
	return order->wanted == ACTION_MIGRATE || order->awaited == ACTION_MIGRATE;
}

/* What neither was begun nor refused had something more urgent before it: the next step gets it again. */
void command_stepped(struct agent *agent)
{
	struct order *order = &agent->vm_order;

	if (agent->maintenance_order.command && agent_now(agent) >= agent->maintenance_order.deadline)
		answer(agent, &agent->maintenance_order, -ETIMEDOUT, "%s",
		       agent->maintenance_order.set ? "ha.conf is changed, but this host's record could not "
						      "be written to the shared "
						      "storage: the other hosts don't know yet"
						    : "ha.conf could not be written in time");
	if (!order->command)
		return;
	if (order->wanted != ACTION_NONE && agent->step.wanted_refused) {
		answer_refused(agent, order);
		return;
	}
	if (migration_stepped(agent, order) || order->wanted == ACTION_NONE)
		return;
	for (size_t i = 0; i < agent->step.n_actions; i++)
		if (agent->step.actions[i] == order->wanted) {
			order->awaited = order->wanted;
			order->wanted = ACTION_NONE;
			return;
		}
}

void command_result(struct agent *agent, enum action action, enum outcome outcome, const char *text)
{
	struct order *order = &agent->vm_order;
	bool start = action == ACTION_START || action == ACTION_START_PAUSED;
	const char *first = order->cleans_up ? "VM exists and is Down, cleaning up and restarting\n" : "";

	/* `wanted` still stands when the action ends within the step that began it. */
	if (!order->command || (order->awaited != action && order->wanted != action))
		return;
	if (outcome == OUTCOME_OK)
		answer(agent, order, 0, "%s%s", start ? first : "", start ? "VM in WaitForLaunch" : "");
	else if (start)
		answer(agent, order, outcome == OUTCOME_LEASE_HELD ? -EBUSY : -EIO,
		       "%sVM failed to launch\n%s%s", first,
		       outcome == OUTCOME_LEASE_HELD ? "the engine lease is not to be had: " : "", text);
	else
		answer(agent, order, -EIO, "%s", text);
}

void command_maintenance_set(struct agent *agent, int error, const char *why)
{
	struct order *order = &agent->maintenance_order;

	if (!order->command)
		return;
	if (error < 0) {
		answer(agent, order, error, "%s", why);
		return;
	}
	order->set = true;
	agent_poke(agent); /* the step publishes it */
}

void command_published(struct agent *agent, uint64_t serial, int error)
{
	struct order *order = &agent->maintenance_order;
	bool on = order->command == COMMAND_LOCAL_MAINTENANCE_ON;

	if (!order->command || order->serial == 0 || serial < order->serial || error < 0)
		return;
	answer(agent, order, 0, "%s",
	       !on && agent->local.maintenance_management ? "local maintenance goes on: the management "
							    "system's key local_maintenance in ha.conf is set"
							  : "");
}

void command_lost(struct agent *agent)
{
	/* Nobody is left to be answered; what was begun goes on. */
	memset(&agent->vm_order, 0, sizeof(agent->vm_order));
	memset(&agent->maintenance_order, 0, sizeof(agent->maintenance_order));
}
