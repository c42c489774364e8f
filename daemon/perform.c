/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Performs what a step says: through libvirt, the guard, or both in turn. It may not leave an action out or
 * add one; each one's end goes back as a result. Called by agent.c after each step. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/agent_state.h"
#include "util/log.h"

/* libvirt's destroy is SIGTERM, 10 s, SIGKILL, 5 s; the guard's SIGKILL acts at once or never. */
#define DESTROY_MS 20000
#define SHUTDOWN_MS 30000
#define GUARD_MS 2000
#define CANCEL_MS 10000

static void ending_next(struct ending *ending);

static void ending_done(struct ending *ending, enum outcome outcome, const char *text)
{
	ending->under_way = false;
	agent_result(ending->agent, ending->action, outcome, text);
}

static void guard_done(void *data, int error, int alive)
{
	struct ending *ending = data;

	if (error == 0 && alive == 0) {
		ending_done(ending, OUTCOME_OK, "");
		return;
	}
	ending->survived = error == 0;
	log_warning("action %s: the guard could not: %s alive=%d", action_str(ending->action),
		    error < 0 ? strerror(-error) : "QEMU survives SIGKILL", alive);
	ending_next(ending);
}

static void ending_by_guard(struct ending *ending)
{
	struct agent *agent = ending->agent;
	int r;

	ending->tried_guard = true;
	r = agent->ports.fence->kill(agent->ports.fence, mono_add(agent_now(agent), GUARD_MS), guard_done,
				     ending);
	if (r < 0)
		guard_done(ending, r, -1);
}

static void ending_by_libvirt(struct ending *ending)
{
	struct agent *agent = ending->agent;
	int r;

	ending->tried_libvirt = true;
	r = agent->ports.vm->act(agent->ports.vm, ACTION_DESTROY, NULL,
				 mono_add(agent_now(agent), DESTROY_MS));
	if (r < 0) {
		log_warning("action %s: libvirt could not: %s", action_str(ending->action), strerror(-r));
		ending_next(ending);
		return;
	}
	agent->by_libvirt = ending;
}

/* DESTROY asks libvirt first, which cleans up after the domain; KILL is for a VM that writes without its
 * lease (safety rule 3): the guard needs nobody's answer. Each falls back on the other's way. */
static void ending_next(struct ending *ending)
{
	bool libvirt_first = ending->action == ACTION_DESTROY;

	if (!ending->tried_libvirt && (libvirt_first || ending->tried_guard))
		ending_by_libvirt(ending);
	else if (!ending->tried_guard)
		ending_by_guard(ending);
	else
		ending_done(ending, ending->survived ? OUTCOME_SURVIVED : OUTCOME_FAILED,
			    "neither libvirt nor the guard could end it");
}

static void begin_ending(struct ending *ending)
{
	if (ending->under_way)
		return; /* its end serves this one too */
	ending->under_way = true;
	ending->tried_libvirt = ending->tried_guard = ending->survived = false;
	ending_next(ending);
}

void perform_vm_ended(struct agent *agent, enum action action, enum outcome outcome, const char *text)
{
	struct ending *ending = agent->by_libvirt;

	if (action != ACTION_DESTROY) {
		agent_result(agent, action, outcome, text);
		return;
	}
	agent->by_libvirt = NULL;
	if (!ending)
		return;
	if (outcome == OUTCOME_OK) {
		ending_done(ending, OUTCOME_OK, "");
		return;
	}
	log_warning("action %s: libvirt could not: %s", action_str(ending->action), text);
	ending_next(ending);
}

static void reset_failed(void *data, int error)
{
	struct agent *agent = data;

	agent_result(agent, ACTION_RESET_HOST, OUTCOME_FAILED, strerror(-error));
}

static void begin(struct agent *agent, enum action action)
{
	const struct policy *policy = &agent->config.policy;
	const struct order *order = &agent->vm_order;
	const char *argument = NULL;
	int64_t limit;
	int r;

	log_info("action %s begun state=%s reason=%s", action_str(action), state_str(agent->machine.state),
		 reason_str(agent->step.reason));
	vm_watch_began(&agent->watch, action);
	switch (action) {
	case ACTION_START:
	case ACTION_START_PAUSED:
		if (order->wanted == action && order->argument[0])
			argument = order->argument;
		limit = lease_start_ms(&agent->cluster.lease);
		break;
	case ACTION_RESUME:
		/* The disk's path, which is looked at first, may hang still: a VM that is paused for long is
		 * ended. */
		limit = lease_start_ms(&agent->cluster.lease);
		if (policy->paused < limit)
			limit = policy->paused;
		break;
	case ACTION_SHUTDOWN:
		limit = SHUTDOWN_MS;
		break;
	case ACTION_MIGRATE:
		/* The core cancels it in time; then it may have to wait for the lease, here or there. */
		argument = agent->target;
		limit = policy->migration + lease_start_ms(&agent->cluster.lease);
		log_info("migration to host=%u name=%s", agent->announced, agent->target);
		break;
	case ACTION_CANCEL:
		limit = CANCEL_MS;
		break;
	case ACTION_DESTROY:
		begin_ending(&agent->destroy);
		return;
	case ACTION_KILL:
		begin_ending(&agent->kill);
		return;
	case ACTION_RESET_HOST:
		/* Safety rule 12: what can't be killed may still write; only the end of this host ends it. */
		log_error("QEMU survives SIGKILL: this host resets itself");
		r = agent->ports.fence->reset(agent->ports.fence, "QEMU survives SIGKILL", reset_failed,
					      agent);
		if (r < 0)
			reset_failed(agent, r);
		return;
	case ACTION_NONE:
	case ACTION_COUNT:
	default:
		assert(!"no such action");
		return;
	}
	r = agent->ports.vm->act(agent->ports.vm, action, argument, mono_add(agent_now(agent), limit));
	if (r < 0)
		agent_result(agent, action, OUTCOME_FAILED,
			     r == -EBUSY ? "another call to libvirt hangs" : strerror(-r));
}

void perform_step(struct agent *agent)
{
	assert(agent->step.n_actions <= ACTIONS_MAX);
	for (size_t i = 0; i < agent->step.n_actions; i++)
		begin(agent, agent->step.actions[i]);
}
