/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The score: base minus what stands against this host, each with its reason. A monitor's cause must last
 * (policy's patience) before it counts, so that one lost ping or a burst of load moves no VM; it stops
 * counting with the first good sample. */
#include "core/score.h"

#include <assert.h>

STRTAB_DEFINE(penalty, enum penalty, PENALTY_COUNT, "network", "mgmt-bridge", "cpu-load", "memory", "config",
	      "retries", "tries-spent", "unexpected-shutdown", "local-maintenance", "stopped", "vm-unknown",
	      "not-ready", "no-host-id", "no-knowledge", "no-watchdog", "blocked", "alien-peer",
	      "lease-timing")

/* Takes in the monitor's newest sample; an unknown one leaves the cause as it was. */
static void cause_update(struct cause *cause, const struct sample *sample, bool present, mono_t now)
{
	if (sample->number == cause->number)
		return;
	cause->number = sample->number;
	if (!sample->known)
		return;
	cause->value = sample->value;
	if (!present) {
		cause->samples = 0;
		return;
	}
	if (cause->samples == 0)
		cause->since = now;
	if (cause->samples < UINT32_MAX)
		cause->samples++;
}

static bool cause_lasts(const struct cause *cause, const struct patience *patience, mono_t now)
{
	return cause->samples >= patience->samples && mono_passed(cause->since, patience->ms, now);
}

static int32_t cpu_points(const struct policy *policy, int32_t load)
{
	int64_t from = policy->cpu_load_from, to = policy->cpu_load_to;

	if (load <= from)
		return 0;
	if (load >= to)
		return policy->weights.cpu_load;
	return (int32_t)(policy->weights.cpu_load * (load - from) / (to - from));
}

static void set_entry(struct score_memory *memory, struct score *score, enum penalty which, int32_t points,
		      mono_t until, mono_t now)
{
	if (points <= 0) {
		memory->applied[which] = false;
		return;
	}
	if (!memory->applied[which])
		memory->since[which] = now;
	memory->applied[which] = true;
	score->entries[which] =
		(struct penalty_entry){.points = points, .since = memory->since[which], .until = until};
}

/* The agent looks at its files once a loop: `samples` of them are one loop less apart. */
static bool config_lasts(const struct policy *policy, mono_t since, mono_t now)
{
	int64_t loops = (int64_t)policy->other.samples - 1;

	return mono_passed(since, loops * policy->loop, now) && mono_passed(since, policy->other.ms, now);
}

static void monitor_entries(struct score_memory *memory, const struct snapshot *known,
			    const struct policy *policy, const struct score_input *input, mono_t now,
			    struct score *score)
{
	const struct sample *samples = known->cluster.monitors;
	struct cause *causes = memory->causes;
	const struct score_weights *weights = &policy->weights;
	int32_t points;

	cause_update(&causes[MONITOR_NETWORK], &samples[MONITOR_NETWORK], samples[MONITOR_NETWORK].value > 0,
		     now);
	cause_update(&causes[MONITOR_MGMT_BRIDGE], &samples[MONITOR_MGMT_BRIDGE],
		     samples[MONITOR_MGMT_BRIDGE].value == 0, now);
	cause_update(&causes[MONITOR_CPU_LOAD], &samples[MONITOR_CPU_LOAD],
		     cpu_points(policy, samples[MONITOR_CPU_LOAD].value) > 0, now);
	cause_update(&causes[MONITOR_MEM_FREE], &samples[MONITOR_MEM_FREE],
		     samples[MONITOR_MEM_FREE].value < known->vm.memory_mib, now);
	/* Where the VM runs its own memory is taken: a low rest says nothing, and must not count from the
	 * past later. */
	if (!input->judge_memory)
		causes[MONITOR_MEM_FREE].samples = 0;

	points = cause_lasts(&causes[MONITOR_NETWORK], &policy->network, now)
			 ? weights->network * causes[MONITOR_NETWORK].value / 1000
			 : 0;
	set_entry(memory, score, PENALTY_NETWORK, points, MONO_NEVER, now);
	points = cause_lasts(&causes[MONITOR_MGMT_BRIDGE], &policy->other, now) ? weights->mgmt_bridge : 0;
	set_entry(memory, score, PENALTY_MGMT_BRIDGE, points, MONO_NEVER, now);
	points = cause_lasts(&causes[MONITOR_CPU_LOAD], &policy->cpu, now)
			 ? cpu_points(policy, causes[MONITOR_CPU_LOAD].value)
			 : 0;
	set_entry(memory, score, PENALTY_CPU_LOAD, points, MONO_NEVER, now);
	points = cause_lasts(&causes[MONITOR_MEM_FREE], &policy->other, now) ? weights->memory : 0;
	set_entry(memory, score, PENALTY_MEMORY, points, MONO_NEVER, now);
}

void score_update(struct score_memory *memory, const struct snapshot *known, const struct policy *policy,
		  const struct score_input *input, mono_t now, struct score *ret)
{
	const struct score_weights *weights = &policy->weights;
	bool spent = input->failed_tries > FAILED_TRIES_MAX;
	int32_t sum = 0;

	*ret = (struct score){0};
	monitor_entries(memory, known, policy, input, now, ret);
	set_entry(memory, ret, PENALTY_CONFIG,
		  config_lasts(policy, input->config_since, now) ? weights->config : 0, MONO_NEVER, now);
	set_entry(memory, ret, PENALTY_RETRIES, spent ? 0 : (int32_t)input->failed_tries * weights->retry,
		  input->tries_clear_at, now);
	set_entry(memory, ret, PENALTY_TRIES_SPENT, spent ? weights->base : 0, input->tries_clear_at, now);
	set_entry(memory, ret, PENALTY_UNEXPECTED_SHUTDOWN,
		  input->unexpected_until != MONO_UNSET ? weights->base : 0, input->unexpected_until, now);
	/* score_allows_start() reads these: a cause that applies has points, or safety rules would be off. */
	assert(weights->base > 0);
	for (enum penalty p = PENALTY_FIRST_NEVER; p < PENALTY_COUNT; p++)
		set_entry(memory, ret, p, input->zero[p] ? weights->base : 0, MONO_NEVER, now);

	for (enum penalty p = 0; p < PENALTY_COUNT; p++)
		sum += ret->entries[p].points < weights->base ? ret->entries[p].points : weights->base;
	ret->value = sum < weights->base ? weights->base - sum : 0;
}

bool score_allows_start(const struct score *score)
{
	for (enum penalty p = PENALTY_FIRST_NEVER; p < PENALTY_COUNT; p++)
		if (score->entries[p].points > 0)
			return false;
	return true;
}
