/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events and steps: what the ports tell is kept, a step is taken on each change and when the last one wanted
 * to be called again. It may not decide: the core does (core/machine.h). Called by the ports in the loop's
 * thread. */
#include "daemon/agent.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/trace.h"
#include "daemon/agent_state.h"
#include "util/cleanup.h"
#include "util/log.h"

#define OF(timer, field) ((struct agent *)((char *)(timer)-offsetof(struct agent, field)))

/* The first step waits so long for the first answers, else each start of the agent would publish "unknown"
 * once. */
#define FIRST_ANSWERS_MS 3000
#define BEAT_CLOSE_MS 1000
#define STOP_MS 1000
/* What libvirt said so much longer ago than it may take to answer begins no start. */
#define LOOK_OLD_MS 2000
/* The VM's configuration was good so long ago at most when its file can't be read now. A look at it comes
 * each loop and gives up after 10 s: three in a row. */
#define CONFIG_KEPT_MS 60000
/* Bytes of a step's input: without peers, for each of them, and at most. */
#define TRACE_BASE 8192
#define TRACE_PEER 1024
#define TRACE_MAX (96 * 1024)

mono_t agent_now(const struct agent *agent)
{
	return agent->ports.clock->now(agent->ports.clock);
}

static void set_timer(struct agent *agent, struct timer *timer, mono_t at)
{
	agent->ports.clock->set(agent->ports.clock, timer, at);
}

void agent_poke(struct agent *agent)
{
	mono_t now = agent_now(agent);
	bool answered = agent->libvirt_told && agent->facts_at != MONO_UNSET && agent->local_seen;

	if (!answered && !agent->stop_wanted && now < agent->first_step_at)
		set_timer(agent, &agent->step_timer, agent->first_step_at);
	else
		set_timer(agent, &agent->step_timer, now);
}

void agent_result(struct agent *agent, enum action action, enum outcome outcome, const char *text)
{
	mono_t now = agent_now(agent);

	if (outcome == OUTCOME_OK)
		log_info("action %s ended outcome=ok", action_str(action));
	else
		log_warning("action %s ended outcome=%s: %s", action_str(action), outcome_str(outcome), text);
	vm_watch_ended(&agent->watch, action, outcome, now);
	if (action == ACTION_MIGRATE) {
		snprintf(agent->move_failed, sizeof(agent->move_failed), "%s",
			 outcome == OUTCOME_OK ? "" : text);
		agent->move_failed_at = now;
	}
	/* A kill is no action in flight: the core sees by the facts whether it worked. A cancel's end is the
	 * migration's. */
	if (action != ACTION_KILL && action != ACTION_RESET_HOST && action != ACTION_CANCEL) {
		assert(agent->n_results < PENDING_RESULTS_MAX);
		agent->results[agent->n_results++] = (struct result){.action = action, .outcome = outcome};
	}
	command_result(agent, action, outcome, text);
	agent->ports.vm->look(agent->ports.vm, mono_add(now, agent->config.libvirt_ms));
	agent->ports.broker->ask(agent->ports.broker);
	agent_poke(agent);
}

void agent_vm_facts(struct agent *agent, struct vm_facts *ret)
{
	mono_t now = agent_now(agent);

	vm_watch_facts(&agent->watch, agent->cluster.qemu_pid, agent->cluster.held_begun, now, ret);
	/* An answer that has just come is younger: a libvirtd that is slow holds no start up for ever. */
	ret->look_old = mono_passed(ret->seen_at, agent->config.libvirt_ms + LOOK_OLD_MS, now);
	ret->memory_mib = agent->local.vm_memory_mib;
}

static bool broker_answers(const struct agent *agent, mono_t now)
{
	return agent->ports.broker->connected(agent->ports.broker) && !agent->facts_late &&
	       agent->facts_at != MONO_UNSET &&
	       !mono_passed(agent->facts_at, 2 * agent->config.policy.loop + BROKER_ANSWER_MS, now);
}

/* The snapshot, from nothing but what the ports told. */
static void gather(struct agent *agent, mono_t now, struct snapshot *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->cluster = agent->cluster;
	ret->peers = agent->peers;
	ret->n_peers = agent->n_peers;
	agent_vm_facts(agent, &ret->vm);
	ret->local_maintenance = agent->local.maintenance_management || agent->local.maintenance_operator;
	ret->local_unknown = !agent->ha_seen;
	ret->stop_wanted = agent->stop_wanted;
	ret->config_outdated = agent->local_seen && !agent->local.vm_config_good;
	ret->broker_answers = broker_answers(agent, now);
	ret->wanted = command_wanted(agent, now);
	ret->wanted_host = agent->vm_order.host;
	ret->announced = agent->announced;
	while (agent->n_results > 0 && ret->n_results < RESULTS_MAX) {
		ret->results[ret->n_results++] = agent->results[0];
		memmove(&agent->results[0], &agent->results[1],
			--agent->n_results * sizeof(agent->results[0]));
	}
}

/* The lease in one word, for the log. */
static void lease_word(const struct cluster *cluster, char ret[32])
{
	if (cluster->owner == OWNER_HOST)
		snprintf(ret, 32, "%u", cluster->owner_id);
	else
		snprintf(ret, 32, "%s", cluster->owner == OWNER_NOBODY ? "none" : "unknown");
}

static int32_t best_remote(const struct agent *agent, mono_t now)
{
	int32_t best = 0;

	for (size_t i = 0; i < agent->n_peers; i++)
		if (agent->peers[i].claim.score > best &&
		    peer_eligible(&agent->peers[i], &agent->config.policy, now))
			best = agent->peers[i].claim.score;
	return best;
}

static void log_state(const struct agent *agent, const struct machine *before, const struct snapshot *known,
		      mono_t now)
{
	const struct step *step = &agent->step;
	bool moved = step->next.state != before->state;
	char lease[32];

	/* It looks at every peer, in every step. */
	if (!log_wants(moved ? LOG_INFO : LOG_DEBUG))
		return;
	lease_word(&known->cluster, lease);
	if (moved)
		log_info("state %s -> %s reason=%s score=%d vs=%d lease=%s vm=%s health=%s",
			 state_str(before->state), state_str(step->next.state), reason_str(step->reason),
			 step->score.value, best_remote(agent, now), lease, vm_str(known->vm.vm),
			 health_str(step->health));
	else
		log_debug("state %s reason=%s score=%d vs=%d lease=%s vm=%s health=%s membership=%s",
			  state_str(before->state), reason_str(step->reason), step->score.value,
			  best_remote(agent, now), lease, vm_str(known->vm.vm), health_str(step->health),
			  membership_str(known->cluster.membership));
}

static void log_penalties(const struct score *before, const struct score *score)
{
	for (unsigned i = 0; i < PENALTY_COUNT; i++) {
		int32_t old = before->entries[i].points, new = score->entries[i].points;

		if ((old == 0) != (new == 0))
			log_info("penalty %s %d -> %d score=%d", penalty_str((enum penalty)i), old, new,
				 score->value);
	}
}

/* A libvirt that lists the VM all the same is asked within the time that its event has, not a loop later. */
static void follow_end(struct agent *agent, const struct vm_facts *vm, mono_t now)
{
	bool ending = engine_ending(vm->vm, vm->detail);

	if (ending && !agent->ending)
		set_timer(agent, &agent->beat_timer, mono_add(now, BEAT_CLOSE_MS));
	agent->ending = ending;
}

/* Once for each reason. A broker that is away has been said; it is one for the operator when it stays so: a
 * restart takes a moment. */
static void log_alarm(struct agent *agent, mono_t now)
{
	const struct step *step = &agent->step;

	if (!step->alarm || !agent->alarmed || step->why != agent->alarm_why) {
		agent->alarm_told = false;
		agent->alarm_since = now;
	}
	agent->alarmed = step->alarm;
	agent->alarm_why = step->why;
	if (!step->alarm || agent->alarm_told)
		return;
	if (step->why == REASON_BROKER_AWAY &&
	    !mono_passed(agent->alarm_since, agent->config.policy.loop, now))
		return;
	agent->alarm_told = true;
	log_error("the operator is needed: state=%s reason=%s score=%d", state_str(step->next.state),
		  reason_str(step->why), step->score.value);
}

/* The input of a step that acts, as the simulator replays it. A cluster so large that the journal would not
 * take the line in one piece is cut, and says so. */
static void log_input(const struct machine *before, const struct snapshot *known, const struct policy *policy,
		      mono_t now)
{
	size_t size = TRACE_BASE + known->n_peers * TRACE_PEER;
	_cleanup_free_ char *line = NULL;
	int r;

	if (size > TRACE_MAX)
		size = TRACE_MAX;
	line = malloc(size);
	if (!line)
		return;
	r = trace_format(before, known, policy, now, line, size);
	log_info("input%s %s", r < 0 ? " cut=yes" : "", line);
}

/* Failed tries survive a restart of the agent: a VM that can't be started must not be tried for ever by
 * restarts. */
static void save_tries(struct agent *agent, mono_t now)
{
	const struct machine *m = &agent->machine;
	struct clock_port *clock = agent->ports.clock;
	struct saved saved = {.failed_tries = m->failed_tries};

	if (m->failed_tries > 0)
		saved.last_failed_wall = clock->wall(clock) - (now - m->last_failed) / MONO_SECOND;
	if (saved.failed_tries == agent->saved.failed_tries)
		return;
	agent->saved = saved;
	agent->ports.local->save(agent->ports.local, &saved);
}

static void finish_stop(struct agent *agent)
{
	void (*stopped)(void *data) = agent->stopped;

	agent->stopped = NULL;
	if (stopped)
		stopped(agent->stopped_data);
}

static void take_step(struct timer *timer)
{
	struct agent *agent = OF(timer, step_timer);
	struct machine before = agent->machine;
	struct score score_before = agent->step.score;
	mono_t now = agent_now(agent);
	struct snapshot known;

	gather(agent, now, &known);
	machine_step(&before, &known, &agent->config.policy, now, &agent->step);
	agent->machine = agent->step.next;
	follow_end(agent, &known.vm, now);
	if (agent->step.n_actions > 0 && log_wants(LOG_INFO))
		log_input(&before, &known, &agent->config.policy, now);
	log_state(agent, &before, &known, now);
	log_penalties(&score_before, &agent->step.score);
	log_alarm(agent, now);
	if (agent->machine.state == STATE_ENGINE_DOWN || agent->machine.state == STATE_REINITIALIZE)
		vm_watch_settle(&agent->watch);
	/* When to come again, before anything that is performed may say sooner. */
	set_timer(agent, &agent->step_timer, agent->n_results > 0 ? now : agent->step.wake);
	perform_step(agent);
	command_stepped(agent);
	save_tries(agent, now);
	publish_step(agent);
	agent->ports.stepped(agent->ports.data, &agent->step);
	if (agent->machine.state == STATE_AGENT_STOPPED && agent->stop_serial == 0) {
		agent->stop_serial = agent->serial;
		if (!agent->ports.broker->connected(agent->ports.broker))
			finish_stop(agent);
	}
}

/* The heartbeat: questions to everybody, at the latest every loop, every second while something is due, or
 * libvirt is to say how the VM ended. The answers bring the steps. */
static void beat(struct timer *timer)
{
	struct agent *agent = OF(timer, beat_timer);
	mono_t now = agent_now(agent);
	int64_t period = agent->config.policy.loop;

	if ((agent->step.watch_closely || agent->ending) && period > BEAT_CLOSE_MS)
		period = BEAT_CLOSE_MS;
	set_timer(agent, &agent->beat_timer, mono_add(now, period));
	agent->ports.broker->ask(agent->ports.broker);
	agent->ports.vm->look(agent->ports.vm, mono_add(now, agent->config.libvirt_ms));
	agent->ports.local->look(agent->ports.local);
}

static void on_vm_changed(void *data, const struct domain_view *view)
{
	struct agent *agent = data;
	struct vm_facts before, after;

	agent_vm_facts(agent, &before);
	vm_watch_view(&agent->watch, view, agent_now(agent));
	agent_vm_facts(agent, &after);
	if (before.vm != after.vm || before.detail != after.detail)
		log_info("vm %s -> %s detail=%s pause=%s", vm_str(before.vm), vm_str(after.vm),
			 detail_str(after.detail), pause_str(after.pause));
	/* What changed here is best seen with what sanlock says of it. */
	if (before.vm != after.vm || before.pause != after.pause)
		agent->ports.broker->ask(agent->ports.broker);
	agent->libvirt_told = true;
	agent_poke(agent);
}

static void on_vm_ended(void *data, enum action action, enum outcome outcome, const char *text)
{
	perform_vm_ended(data, action, outcome, text);
}

static void on_local_seen(void *data, const struct local_view *view)
{
	struct agent *agent = data;
	mono_t now = agent_now(agent);
	bool changed = !agent->local_seen, good;

	if (view->ha_known) {
		changed = changed || !agent->ha_seen ||
			  agent->local.maintenance_management != view->maintenance_management ||
			  agent->local.maintenance_operator != view->maintenance_operator;
		agent->local.maintenance_management = view->maintenance_management;
		agent->local.maintenance_operator = view->maintenance_operator;
		agent->ha_seen = true;
		agent->ha_told = false;
	} else if (!agent->ha_told) {
		agent->ha_told = true;
		if (agent->ha_seen)
			log_warning("local maintenance is not known: its last known value stays");
		else
			log_error("local maintenance is not known: this host starts no VM until it is");
	}
	good = view->vm_config_good;
	if (view->vm_known)
		agent->local.vm_memory_mib = view->vm_memory_mib;
	else /* A disk that is slow once says nothing of the file; one that stays away does. */
		good = agent->local.vm_config_good &&
		       !mono_passed(agent->config_good_at, CONFIG_KEPT_MS, now);
	changed = changed || agent->local.vm_config_good != good;
	agent->local.vm_config_good = good;
	if (view->vm_known && good)
		agent->config_good_at = now;
	agent->local_seen = true;
	if (changed)
		agent_poke(agent);
}

static void on_maintenance_set(void *data, int error, const char *why)
{
	command_maintenance_set(data, error, why);
}

static void on_connected(void *data)
{
	struct agent *agent = data;

	log_info("the broker answers");
	agent->ports.broker->ask(agent->ports.broker);
}

static void on_lost(void *data, int error)
{
	struct agent *agent = data;

	if (error == -EEXIST)
		log_error("another agent is registered with the broker, this one begins nothing; end one of "
			  "the two");
	else if (error == -EPROTO)
		log_error("the broker is of another version than this agent, or is none: restart "
			  "ovirt-ha-broker and ovirt-ha-agent after an upgrade; the VM goes on as it is, "
			  "nothing is begun");
	else
		log_warning("the broker does not answer: %s; the VM goes on as it is, nothing is begun",
			    strerror(-error));
	agent->facts_late = true; /* until it is back and has answered */
	publish_forget(agent);
	command_lost(agent);
	agent_poke(agent);
}

static void on_changed(void *data)
{
	struct agent *agent = data;

	agent->ports.broker->ask(agent->ports.broker);
}

static void on_facts(void *data, int error, const struct cluster *cluster, const struct peer *peers,
		     size_t n_peers)
{
	struct agent *agent = data;
	mono_t now = agent_now(agent);

	agent->facts_late = error < 0;
	if (error == 0) {
		assert(n_peers <= HOST_ID_MAX);
		if (n_peers > agent->peers_size) {
			struct peer *more = reallocarray(agent->peers, n_peers, sizeof(*more));

			if (!more) {
				log_error("out of memory for %zu peers", n_peers);
				agent->facts_late = true;
				agent_poke(agent);
				return;
			}
			agent->peers = more;
			agent->peers_size = n_peers;
		}
		if (n_peers > 0)
			memcpy(agent->peers, peers, n_peers * sizeof(*peers));
		agent->n_peers = n_peers;
		agent->cluster = *cluster;
		agent->facts_at = now;
		agent->vm_order.informed = true;
		/* Safety rule 3 counts an answer about the lease only when the VM was seen running after it.
		 */
		agent->ports.vm->look(agent->ports.vm, mono_add(now, agent->config.libvirt_ms));
	}
	agent_poke(agent);
}

static void on_published(void *data, uint64_t serial, int error, const char *target)
{
	struct agent *agent = data;

	if (error < 0)
		log_debug("publish serial=%" PRIu64 " error=%s", serial, strerror(-error));
	else
		publish_acknowledged(agent, serial, target);
	if (agent->stop_serial != 0 && serial >= agent->stop_serial)
		finish_stop(agent);
	else
		command_published(agent, serial, error);
}

static void on_command(void *data, uint64_t ticket, enum command command, const char *argument)
{
	command_take(data, ticket, command, argument);
}

const struct broker_calls agent_broker_calls = {
	.connected = on_connected,
	.lost = on_lost,
	.changed = on_changed,
	.facts = on_facts,
	.published = on_published,
	.command = on_command,
};

static void stop_late(struct timer *timer)
{
	struct agent *agent = OF(timer, stop_timer);

	if (agent->stopped)
		log_warning("the last record could not be written within %d ms: the others see this host go "
			    "stale",
			    STOP_MS);
	finish_stop(agent);
}

int agent_new(const struct agent_config *config, struct agent **ret)
{
	struct agent *agent = calloc(1, sizeof(*agent));

	assert(config && ret);
	if (!agent)
		return -ENOMEM;
	agent->config = *config;
	agent->facts_at = agent->config_good_at = MONO_UNSET;
	agent->cluster.owner_begun = agent->cluster.held_begun = MONO_UNSET;
	agent->cluster.qemu_pid = -1;
	agent->cluster.lease = config->policy.lease;
	agent->destroy = (struct ending){.agent = agent, .action = ACTION_DESTROY};
	agent->kill = (struct ending){.agent = agent, .action = ACTION_KILL};
	agent->step_timer.fire = take_step;
	agent->beat_timer.fire = beat;
	agent->stop_timer.fire = stop_late;
	vm_watch_init(&agent->watch, config->policy.shutdown);
	*ret = agent;
	return 0;
}

void agent_start(struct agent *agent, const struct agent_ports *ports, const struct saved *saved)
{
	mono_t now;

	agent->ports = *ports;
	now = agent_now(agent);
	ports->vm->changed = on_vm_changed;
	ports->vm->ended = on_vm_ended;
	ports->vm->data = agent;
	ports->local->seen = on_local_seen;
	ports->local->maintenance_set = on_maintenance_set;
	ports->local->data = agent;
	machine_init(&agent->machine, now);
	if (saved && saved->failed_tries > 0) {
		int64_t ago_s = ports->clock->wall(ports->clock) - saved->last_failed_wall;

		/* A wall clock that was set back makes the try one of now. */
		agent->machine.failed_tries = saved->failed_tries;
		agent->machine.last_failed = ago_s > 0 ? now - ago_s * MONO_SECOND : now;
		agent->saved = *saved;
	}
	agent->first_step_at = mono_add(now, FIRST_ANSWERS_MS);
	agent_poke(agent);
	beat(&agent->beat_timer);
}

void agent_stop(struct agent *agent, void (*stopped)(void *data), void *data)
{
	agent->stopped = stopped;
	agent->stopped_data = data;
	agent->stop_wanted = true;
	set_timer(agent, &agent->stop_timer, mono_add(agent_now(agent), STOP_MS));
	agent_poke(agent);
}

void agent_free(struct agent *agent)
{
	if (!agent)
		return;
	if (agent->ports.clock) {
		agent->ports.clock->cancel(agent->ports.clock, &agent->step_timer);
		agent->ports.clock->cancel(agent->ports.clock, &agent->beat_timer);
		agent->ports.clock->cancel(agent->ports.clock, &agent->stop_timer);
	}
	free(agent->peers);
	free(agent);
}

const struct step *agent_step(const struct agent *agent)
{
	return &agent->step;
}
