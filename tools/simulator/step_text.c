/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides the wording of a step. What it says of other hosts is what the core judges of them (core/peer.h).
 */
#include "tools/simulator/step_text.h"

#include <inttypes.h>

#include "tools/simulator/meanings.h"

#define SECONDS(ms) ((double)(ms) / 1000)

void step_put_line(enum state before, const struct step *step, FILE *out)
{
	if (step->next.state != before)
		fprintf(out, "%s -> ", state_str(before));
	fprintf(out, "%s %s score=%d", state_str(step->next.state), reason_str(step->reason),
		(int)step->score.value);
	for (enum penalty p = 0; p < PENALTY_COUNT; p++)
		if (step->score.entries[p].points > 0)
			fprintf(out, " -%d:%s", (int)step->score.entries[p].points, penalty_str(p));
	for (size_t i = 0; i < step->n_actions; i++)
		fprintf(out, " do=%s", action_str(step->actions[i]));
	fprintf(out, "%s%s", step->wanted_refused ? " refused" : "", step->alarm ? " alarm" : "");
}

static void put_since(mono_t since, mono_t now, FILE *out)
{
	if (since != MONO_UNSET && since <= now)
		fprintf(out, ", for %.1f s", SECONDS(now - since));
}

static void put_facts(const struct snapshot *known, FILE *out)
{
	const struct cluster *c = &known->cluster;

	fprintf(out, "    host %u knew: VM %s", (unsigned)c->host_id, vm_str(known->vm.vm));
	if (c->owner == OWNER_HOST)
		fprintf(out, ", lease of host %u (generation %" PRIu64 ", version %" PRIu64 ")",
			(unsigned)c->owner_id, c->owner_generation, c->owner_version);
	else
		fputs(c->owner == OWNER_NOBODY ? ", lease nobody's" : ", lease not read", out);
	fprintf(out, ", membership %s, global maintenance %s, watchdog %s", membership_str(c->membership),
		flag_str(c->maintenance), watchdog_str(c->watchdog));
	if (known->local_maintenance)
		fputs(", local maintenance", out);
	if (known->local_unknown)
		fputs(", local maintenance not known", out);
	if (!known->broker_answers)
		fputs(", the broker silent", out);
	for (size_t i = 0; i < known->n_results; i++)
		fprintf(out, ", %s ended %s", action_str(known->results[i].action),
			outcome_str(known->results[i].outcome));
	if (known->wanted != ACTION_NONE)
		fprintf(out, ", the operator wants %s", action_str(known->wanted));
	fputc('\n', out);
}

static void put_peer(const struct peer *peer, const struct policy *policy, mono_t now, FILE *out)
{
	fprintf(out, "    host %u: ", (unsigned)peer->id);
	if (peer->fault == RECORD_OK)
		fprintf(out, "score %d, VM %s, %s", (int)peer->claim.score, vm_str(peer->claim.vm),
			peer_fresh(peer, policy, now) ? "fresh" : "stale");
	else
		fprintf(out, "record %s", record_fault_str(peer->fault));
	if (peer->changed_at != MONO_UNSET)
		fprintf(out, " (written %.1f s ago)", SECONDS(now - peer->changed_at));
	fprintf(out, ", sanlock says %s", host_state_str(peer->host));
	if (peer->renewed_at != MONO_UNSET)
		fprintf(out, " (renewed %.1f s ago)", SECONDS(now - peer->renewed_at));
	fputs(peer_eligible(peer, policy, now) ? ", eligible\n" : ", not eligible\n", out);
}

void step_put_details(const struct snapshot *known, const struct policy *policy, const struct step *step,
		      mono_t now, FILE *out)
{
	fprintf(out, "    why: %s\n", reason_meaning(step->reason));
	for (enum penalty p = 0; p < PENALTY_COUNT; p++) {
		const struct penalty_entry *entry = &step->score.entries[p];

		if (entry->points == 0)
			continue;
		fprintf(out, "    score %d for %s: %s", -(int)entry->points, penalty_str(p),
			penalty_meaning(p));
		put_since(entry->since, now, out);
		if (entry->until != MONO_NEVER)
			fprintf(out, ", ends in %.1f s", SECONDS(entry->until - now));
		fputc('\n', out);
	}
	put_facts(known, out);
	for (size_t i = 0; i < known->n_peers; i++)
		put_peer(&known->peers[i], policy, now, out);
}

static json_t *penalties_json(const struct score *score)
{
	json_t *array = json_array();

	for (enum penalty p = 0; p < PENALTY_COUNT; p++) {
		const struct penalty_entry *entry = &score->entries[p];

		if (entry->points > 0)
			json_array_append_new(
				array, json_pack("{s:s, s:i, s:s, s:I, s:o}", "cause", penalty_str(p),
						 "points", (int)entry->points, "meaning", penalty_meaning(p),
						 "since_ms", (json_int_t)entry->since, "until_ms",
						 entry->until == MONO_NEVER ? json_null()
									    : json_integer(entry->until)));
	}
	return array;
}

json_t *step_json(enum state before, const struct step *step, mono_t now)
{
	json_t *actions = json_array();

	for (size_t i = 0; i < step->n_actions; i++)
		json_array_append_new(actions, json_string(action_str(step->actions[i])));
	return json_pack("{s:I, s:s, s:s, s:s, s:s, s:i, s:o, s:o, s:b}", "at_ms", (json_int_t)now, "from",
			 state_str(before), "to", state_str(step->next.state), "reason",
			 reason_str(step->reason), "meaning", reason_meaning(step->reason), "score",
			 (int)step->score.value, "penalties", penalties_json(&step->score), "actions",
			 actions, "alarm", step->alarm);
}
