/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What this host says of itself after each step. It decides only how the step's outcome reads in a record
 * (FORMAT.md); the broker adds the timestamp and writes. Called by agent.c. */
#include <stdio.h>
#include <string.h>

#include "daemon/agent_state.h"

#define MOVE_FAILED_MS (60 * 60 * MONO_SECOND) /* it is shown for so long */

/* Records have a word of ours or, where the VM is up and does not answer, the liveliness check's. */
static enum engine_reason reason_of(const struct vm_facts *vm, enum health health)
{
	if (vm->reason == ENGINE_REASON_NONE && vm->vm == VM_UP && health != HEALTH_GOOD)
		return ENGINE_REASON_LIVELINESS;
	return vm->reason;
}

static void fill_claim(struct agent *agent, const struct vm_facts *vm, struct claim *ret)
{
	const struct step *step = &agent->step;
	bool here = vm->vm == VM_UP || vm->vm == VM_UNKNOWN || agent->cluster.qemu_pid != 0;

	ret->score = step->score.value;
	ret->vm = vm->vm;
	ret->detail = vm->detail;
	ret->health = step->health;
	ret->migrating_to = step->next.migrate_to;
	/* Old agents end at `up` without a verdict: nobody has seen it good, so it is bad. */
	if (vm->vm == VM_UP && ret->health == HEALTH_UNKNOWN)
		ret->health = HEALTH_BAD;
	ret->maintenance = agent->local.maintenance_management || agent->local.maintenance_operator ||
			   step->next.state == STATE_LOCAL_MAINTENANCE;
	/* Safety rule 7: others take `stopped` for proof that nothing runs here. */
	ret->stopped = step->next.state == STATE_AGENT_STOPPED && !here;
}

void publish_step(struct agent *agent)
{
	struct publish_request request;
	const struct step *step = &agent->step;
	mono_t now = agent_now(agent);
	struct vm_facts vm;

	memset(&request, 0, sizeof(request));
	agent_vm_facts(agent, &vm);
	fill_claim(agent, &vm, &request.claim);
	request.engine_reason = reason_of(&vm, request.claim.health);
	request.state = step->next.state;
	request.reason = step->next.reason;
	request.said_at = now;
	request.timeout_in_ms = step->next.deadline == MONO_NEVER ? -1
				: step->next.deadline > now	  ? step->next.deadline - now
								  : 0;
	request.config_shared = agent->config.config_shared;
	request.config_age_ms = agent->config_good_at == MONO_UNSET ? -1 : now - agent->config_good_at;
	request.may_start = step->may_start;
	request.can_move = step->can_move;
	request.alarm = step->alarm;
	request.in_turn = step->in_turn;
	request.watch_closely = step->watch_closely;
	request.score = step->score;
	request.memory_mib = vm.memory_mib;
	request.copied = step->next.in_flight == ACTION_MIGRATE ? agent->watch.view.copied : -1;
	if (!mono_passed(agent->move_failed_at, MOVE_FAILED_MS, now))
		memcpy(request.move_failed, agent->move_failed, sizeof(request.move_failed));
	if (agent->ports.broker->publish(agent->ports.broker, &request, &agent->serial) < 0)
		return; /* away: it gets the next one when it is back */
	if (request.claim.migrating_to != agent->announcing) {
		agent->announcing = request.claim.migrating_to;
		agent->announcing_serial = agent->serial;
		agent->announced = 0;
	}
	if (agent->maintenance_order.command && agent->maintenance_order.set &&
	    agent->maintenance_order.serial == 0)
		agent->maintenance_order.serial = agent->serial;
}

/* Safety rule 14: only what stands on storage has been announced. */
void publish_acknowledged(struct agent *agent, uint64_t serial, const char *target)
{
	if (agent->announced == agent->announcing || serial < agent->announcing_serial || !target[0])
		return;
	agent->announced = agent->announcing;
	snprintf(agent->target, sizeof(agent->target), "%s", target);
	agent_poke(agent);
}

void publish_forget(struct agent *agent)
{
	agent->announcing = agent->announced = 0;
}
