/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides how an answer reads: who, when and of what that time is made, what happened in the run in the
 * middle, every score with its reasons. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "tools/json_text.h"
#include "tools/simulator/change_text.h"
#include "tools/simulator/meanings.h"
#include "tools/simulator/step_text.h"
#include "tools/simulator/what_if.h"

#define SECONDS(ms) ((double)(ms) / 1000)
#define PARTS_MAX 5
#define PART_TEXT_MAX 200

/* A piece of the time from the fault to the VM. */
struct part {
	int64_t ms;
	char text[PART_TEXT_MAX];
};

__attribute__((format(printf, 4, 5))) static void part(struct part *parts, size_t *n, int64_t ms,
						       const char *format, ...)
{
	va_list args;

	parts[*n].ms = ms;
	va_start(args, format);
	vsnprintf(parts[(*n)++].text, PART_TEXT_MAX, format, args);
	va_end(args);
}

static bool moved(const struct what_if_run *run)
{
	return run->host && run->runs >= 0 && (run->left || !run->vm_before);
}

/* Of what the time until the VM runs, and until the engine answers, is made; sums up to each. */
static size_t parts_of(const struct what_if *what_if, const struct what_if_run *run,
		       struct part parts[PARTS_MAX])
{
	size_t n = 0;
	int64_t at = 0;

	if (!moved(run))
		return 0;
	if (what_if_waits_for_dead(what_if, run)) {
		const struct lease_timing *t =
			&what_if->board.scenario.hosts[what_if->fault.host].policy.lease;

		at = what_if_dead_at(what_if, run);
		if (at < run->runs)
			part(parts, &n, at,
			     "until sanlock takes host %u for dead: 8 x io_timeout (%" PRIu32
			     " s) + watchdog (%" PRIu32
			     " s) = %g s after its last renewal, which was %.1f s before",
			     (unsigned)what_if->fault.host, t->io_timeout_s, t->watchdog_fire_s,
			     SECONDS(lease_dead_ms(t)), SECONDS(run->renewed_ago));
		else
			at = 0;
	} else if (run->gone > 0) {
		part(parts, &n, run->gone, "until the VM has ended on host %u", (unsigned)run->vm_before);
		at = run->gone;
	}
	if (run->start > at && run->start <= run->runs) {
		part(parts, &n, run->start - at, "until host %u begins to start it: %s", (unsigned)run->host,
		     reason_meaning(run->reason));
		at = run->start;
	}
	if (run->start >= 0 && run->start < at)
		part(parts, &n, run->runs - at,
		     "until the start that host %u began after %.1f s, and that waits for the lease, has it",
		     (unsigned)run->host, SECONDS(run->start));
	else
		part(parts, &n, run->runs - at, "until it is created, has the lease, and runs");
	if (run->answers >= run->runs)
		part(parts, &n, run->answers - run->runs,
		     "until the engine answers: the guest boots, in the simulation");
	return n;
}

static void put_question(const struct what_if *what_if, FILE *out)
{
	unsigned host = what_if->fault.host;

	switch (what_if->fault.fault) {
	case FAULT_POWER_CUT:
		fprintf(out, "host %u loses its power", host);
		break;
	case FAULT_STORAGE:
		fprintf(out, "host %u loses its storage: nothing that it reads or writes ends", host);
		break;
	case FAULT_LOCAL_MAINTENANCE:
		fprintf(out, "host %u is set to local maintenance", host);
		break;
	default:
		fputs("global maintenance is set", out);
		break;
	}
}

static void put_now(const struct what_if *what_if, FILE *out)
{
	const struct board_scenario *board = &what_if->board;
	unsigned lives = 0;

	for (uint16_t id = 1; id <= board->scenario.n_hosts; id++)
		lives += board->lives[id];
	if (board->vm_host)
		fprintf(out, "Now: host %u runs the VM; ", (unsigned)board->vm_host);
	else
		fputs("Now: no host runs the VM; ", out);
	fprintf(out, "%u %s.\nWhat if ", lives, lives == 1 ? "host lives" : "hosts live");
	put_question(what_if, out);
	fputs("?\n", out);
	for (size_t i = 0; i < board->n_notes; i++)
		fprintf(out, "Note: %s.\n", board->notes[i]);
	if (board->more_notes)
		fprintf(out, "Note: %zu more of this kind.\n", board->more_notes);
	if (board->vm_host && what_if->runs[what_if->typical].vm_before != board->vm_host)
		fprintf(out,
			"Note: host %u would not start the VM as it stands on the whiteboard: the simulated "
			"cluster "
			"differs from it.\n",
			(unsigned)board->vm_host);
}

static size_t count_hosts(const struct what_if *what_if, uint16_t host)
{
	size_t n = 0;

	for (size_t i = 0; i < what_if->n_runs; i++)
		n += (moved(&what_if->runs[i]) ? what_if->runs[i].host : 0) == host;
	return n;
}

static void put_who(const struct what_if *what_if, FILE *out)
{
	const struct what_if_run *run = &what_if->runs[what_if->typical];
	size_t n = count_hosts(what_if, run->host);

	if (run->refused)
		fprintf(out, "It is refused, and nothing changes: %s\n", run->refusal);
	if (!moved(run)) {
		if (run->host)
			fprintf(out, "The VM stays on host %u.\n", (unsigned)run->host);
		else
			fputs("No host runs the VM.\n", out);
		return;
	}
	fprintf(out, "Host %u runs the VM after %.0f s", (unsigned)run->host, SECONDS(run->runs));
	if (what_if->latest - what_if->earliest >= MONO_SECOND)
		fprintf(out, " (%.0f to %.0f s, by the moment at which it happens)",
			SECONDS(what_if->earliest), SECONDS(what_if->latest));
	fputs(".\n", out);
	if (n < what_if->n_runs) {
		fprintf(out, "So in %zu of %zu simulated runs; in the others:", n, what_if->n_runs);
		for (uint16_t id = 0; id <= what_if->board.scenario.n_hosts; id++) {
			size_t others = id == run->host ? 0 : count_hosts(what_if, id);

			if (others && id)
				fprintf(out, " host %u (%zu)", (unsigned)id, others);
			else if (others)
				fprintf(out, " the VM stays or runs nowhere (%zu)", others);
		}
		fputs(".\n", out);
	}
}

static void put_parts(const struct what_if *what_if, FILE *out)
{
	const struct what_if_run *run = &what_if->runs[what_if->typical];
	struct part parts[PARTS_MAX];
	size_t n = parts_of(what_if, run, parts);

	if (n == 0)
		return;
	fputs("\nWhat the time is made of:\n", out);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "  %7.1f s  %s\n", SECONDS(parts[i].ms), parts[i].text);
}

static void put_changes(const struct what_if *what_if, FILE *out)
{
	const struct what_if_run *run = &what_if->runs[what_if->typical];

	fputs("\nWhat happens, in seconds from now:\n", out);
	for (size_t i = 0; i < run->n_changes; i++) {
		const struct change *change = &run->changes[i].change;

		change_put(change, run->fault_at, out);
		if (change->kind == CHANGE_STEP &&
		    (change->step->next.state != change->before || change->step->alarm))
			fprintf(out, "               %s\n", reason_meaning(change->step->reason));
	}
	if (run->more_changes)
		fprintf(out, "           .. and %zu more changes\n", run->more_changes);
}

static void put_scores(const struct what_if *what_if, FILE *out)
{
	const struct what_if_run *run = &what_if->runs[what_if->typical];

	fputs(moved(run) ? "\nScores when the first start was begun:\n" : "\nScores afterwards:\n", out);
	for (uint16_t id = 1; id <= what_if->board.scenario.n_hosts; id++) {
		const struct step *step = &run->steps[id];

		if (!what_if->board.lives[id])
			continue;
		if (!run->has_step[id]) {
			fprintf(out, "  host %u: none, it is off\n", (unsigned)id);
			continue;
		}
		fprintf(out, "  host %u: %d, %s: %s\n", (unsigned)id, (int)step->score.value,
			state_str(step->next.state), reason_meaning(step->reason));
		for (enum penalty p = 0; p < PENALTY_COUNT; p++)
			if (step->score.entries[p].points > 0)
				fprintf(out, "    %5d  %s: %s\n", -(int)step->score.entries[p].points,
					penalty_str(p), penalty_meaning(p));
	}
}

void what_if_put_text(const struct what_if *what_if, FILE *out)
{
	put_now(what_if, out);
	fputc('\n', out);
	put_who(what_if, out);
	put_parts(what_if, out);
	put_changes(what_if, out);
	put_scores(what_if, out);
}

static json_t *ms_json(int64_t ms)
{
	return ms < 0 ? json_null() : json_integer(ms);
}

static json_t *runs_json(const struct what_if *what_if)
{
	json_t *array = json_array();

	for (size_t i = 0; i < what_if->n_runs; i++) {
		const struct what_if_run *run = &what_if->runs[i];

		json_array_append_new(array, json_pack("{s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:b}", "host",
						       run->host ? json_integer(run->host) : json_null(),
						       "moved", moved(run), "renewed_before_ms",
						       ms_json(run->renewed_ago), "ended_ms",
						       ms_json(run->gone), "start_ms", ms_json(run->start),
						       "runs_ms", ms_json(run->runs), "answers_ms",
						       ms_json(run->answers), "two_ran", run->two_ran));
	}
	return array;
}

static json_t *parts_json(const struct what_if *what_if)
{
	struct part parts[PARTS_MAX];
	size_t n = parts_of(what_if, &what_if->runs[what_if->typical], parts);
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			array, json_pack("{s:I, s:s}", "ms", (json_int_t)parts[i].ms, "what", parts[i].text));
	return array;
}

static json_t *scores_json(const struct what_if *what_if)
{
	const struct what_if_run *run = &what_if->runs[what_if->typical];
	json_t *array = json_array();

	for (uint16_t id = 1; id <= what_if->board.scenario.n_hosts; id++) {
		json_t *host;

		if (!what_if->board.lives[id])
			continue;
		host = run->has_step[id] ? step_json(run->steps[id].next.state, &run->steps[id], 0)
					 : json_object();
		json_object_set_new(host, "host", json_integer(id));
		json_object_set_new(host, "lives", json_boolean(run->has_step[id]));
		json_object_del(host, "at_ms");
		json_object_del(host, "from");
		json_array_append_new(array, host);
	}
	return array;
}

static json_t *changes_json(const struct what_if_run *run)
{
	json_t *array = json_array();

	for (size_t i = 0; i < run->n_changes; i++) {
		json_t *change = change_json(&run->changes[i].change);

		json_object_set_new(change, "at_ms",
				    json_integer((json_int_t)(run->changes[i].change.at - run->fault_at)));
		json_array_append_new(array, change);
	}
	return array;
}

int what_if_put_json(const struct what_if *what_if, FILE *out)
{
	const struct what_if_run *run = &what_if->runs[what_if->typical];
	_cleanup_(json_decref_p) json_t *all = NULL;
	json_t *notes = json_array();
	char question[SCENARIO_TEXT_MAX];

	for (size_t i = 0; i < what_if->board.n_notes; i++)
		json_array_append_new(notes, json_string(what_if->board.notes[i]));
	scenario_event_text(&what_if->fault, question);
	all = json_pack("{s:s, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "fault",
			question, "vm_now", run->vm_before ? json_integer(run->vm_before) : json_null(),
			"vm_then", run->host ? json_integer(run->host) : json_null(), "moved", moved(run),
			"runs_ms", ms_json(run->runs), "answers_ms", ms_json(run->answers), "earliest_ms",
			ms_json(what_if->earliest), "latest_ms", ms_json(what_if->latest), "parts",
			parts_json(what_if), "scores", scores_json(what_if), "changes", changes_json(run),
			"runs", runs_json(what_if), "notes", notes);
	if (all && run->refused)
		json_object_set_new(all, "refused", json_string(run->refusal));
	return json_line(all, out);
}
