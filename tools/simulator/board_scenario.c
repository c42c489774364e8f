/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides what of a whiteboard a simulated cluster starts from. A penalty becomes its cause (a monitor's
 * value, maintenance), so that the core finds it again by itself; a score without causes becomes the base.
 * The VM's host begins alone and starts the VM; the others follow when it runs.
 *
 *     0 s                 the VM's host boots: joins (2 x io_timeout + 1 s), starts the VM
 *     boot + 4N + 30 s    the VM answers; the other hosts boot, and join
 *     + 6N + 60 s         all have seen each other and judged their monitors: settled
 */
#include "tools/simulator/board_scenario.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "tools/status_view.h"

__attribute__((format(printf, 2, 3))) static void note(struct board_scenario *board, const char *format, ...)
{
	va_list args;

	if (board->n_notes == sizeof(board->notes) / sizeof(board->notes[0])) {
		board->more_notes++;
		return;
	}
	va_start(args, format);
	vsnprintf(board->notes[board->n_notes++], BOARD_NOTE_MAX, format, args);
	va_end(args);
}

static int add(struct board_scenario *board, int64_t at, uint16_t id, enum scenario_fault fault,
	       enum scenario_how how, int32_t value)
{
	return scenario_add(
		&board->scenario,
		&(struct scenario_event){.at = at, .fault = fault, .host = id, .how = how, .value = value});
}

/* points of `weight` as the value of a monitor that goes from `from` to `to`. */
static int32_t value_of(int32_t points, int32_t weight, int32_t from, int32_t to)
{
	if (points >= weight)
		return to;
	return from + (int32_t)(((int64_t)points * (to - from) + weight - 1) / weight);
}

/* The VM's host must be able to start it before anything is off its score. */
static int set_cause(struct board_scenario *board, uint16_t id, const struct record_penalty *penalty,
		     int64_t at)
{
	struct scenario_host *host = &board->scenario.hosts[id];
	const struct policy *p = &host->policy;
	int cause = penalty_parse(penalty->word);

	switch (cause) {
	case PENALTY_NETWORK:
		return add(board, at, id, FAULT_NETWORK, HOW_NONE,
			   value_of(penalty->points, p->weights.network, 0, 1000));
	case PENALTY_MGMT_BRIDGE:
		return add(board, at, id, FAULT_BRIDGE, HOW_DOWN, 0);
	case PENALTY_CPU_LOAD:
		return add(board, at, id, FAULT_CPU, HOW_NONE,
			   value_of(penalty->points, p->weights.cpu_load, (int32_t)p->cpu_load_from,
				    (int32_t)p->cpu_load_to));
	case PENALTY_MEMORY:
		return add(board, at, id, FAULT_MEMORY, HOW_NONE, 0);
	case PENALTY_LOCAL_MAINTENANCE:
		return add(board, at, id, FAULT_LOCAL_MAINTENANCE, HOW_ON, 0);
	case PENALTY_CONFIG:
		host->config_outdated = 1;
		return 0;
	case PENALTY_RETRIES:
		host->failed_tries = p->weights.retry ? penalty->points / p->weights.retry : 0;
		return 0;
	case PENALTY_TRIES_SPENT:
		host->failed_tries = FAILED_TRIES_MAX + 1;
		return 0;
	case PENALTY_NO_WATCHDOG:
		host->watchdog = WATCHDOG_NONE;
		return 0;
	default:
		note(board, "host %u: %s is not carried over: the host is simulated without it", (unsigned)id,
		     cause < 0 ? "a penalty of a newer version" : penalty_str((enum penalty)cause));
		return 0;
	}
}

static int set_score(struct board_scenario *board, uint16_t id, const struct record *record, int64_t at)
{
	struct scenario_host *host = &board->scenario.hosts[id];
	const char *cursor = record->penalties;
	struct record_penalty penalty;
	size_t n = 0;
	int r = 0;

	for (; r == 0 && record_penalty_next(&cursor, &penalty); n++)
		r = set_cause(board, id, &penalty, at);
	if (r < 0 || n > 0)
		return r;
	if (record->claim.maintenance)
		return add(board, at, id, FAULT_LOCAL_MAINTENANCE, HOW_ON, 0);
	if (record->claim.score >= host->policy.weights.base || record->claim.score < 0)
		return 0;
	if (record->claim.score == 0) {
		note(board,
		     "host %u: its record does not say why its score is 0: it is put in local maintenance",
		     (unsigned)id);
		return add(board, at, id, FAULT_LOCAL_MAINTENANCE, HOW_ON, 0);
	}
	note(board, "host %u: its record does not say what is off its score of %d: it is simulated with it",
	     (unsigned)id, (int)record->claim.score);
	host->policy.weights.base = record->claim.score;
	return 0;
}

/* Does the host take part? */
static bool takes_part(struct board_scenario *board, const struct board_status *status,
		       const struct status_view *view)
{
	unsigned id = view->id;

	if (view->fault == RECORD_ABSENT)
		return false;
	if (view->fault != RECORD_OK)
		note(board, "host %u: its record can't be read: it is left out", id);
	else if (status->live && !view->fresh)
		note(board, "host %u: its record is stale: it is taken for dead", id);
	else if (view->record.claim.stopped)
		note(board, "host %u: its agent is stopped: it is left out", id);
	else
		return true;
	return false;
}

/* Who has the highest score, and of equal ones the lowest id, is asked first: of a large cluster the others
 * are left out. `scores` has those of the hosts that live. */
static void leave_out(struct board_scenario *board, const int32_t scores[HOST_ID_MAX + 1], uint16_t asked)
{
	uint16_t last = board->scenario.n_hosts;
	size_t lives = 0, kept = 0;
	bool keep[HOST_ID_MAX + 1] = {false};

	for (uint16_t id = 1; id <= last; id++)
		lives += board->lives[id];
	if (lives <= BOARD_HOSTS_MAX)
		return;
	keep[board->vm_host] = keep[asked] = true;
	for (; kept < BOARD_HOSTS_MAX - 2; kept++) {
		uint16_t best = 0;

		for (uint16_t id = 1; id <= last; id++)
			if (board->lives[id] && !keep[id] && (!best || scores[id] > scores[best]))
				best = id;
		keep[best] = true;
	}
	kept = 0;
	for (uint16_t id = 1; id <= last; id++) {
		board->lives[id] = board->lives[id] && keep[id];
		kept += board->lives[id];
	}
	note(board, "%zu of %zu hosts, with the lowest scores or the highest ids, are left out", lives - kept,
	     lives);
}

/* Finds out who lives and who runs the VM, before any host is made. */
static int look(struct board_scenario *board, const struct board_status *status, uint16_t owner,
		uint16_t asked)
{
	int32_t scores[HOST_ID_MAX + 1] = {0};
	int r;

	uint32_t last = 0;

	for (size_t i = 0; i < status->n_blocks; i++) {
		struct status_view view;

		status_view_of(status, &status->blocks[i], &view);
		if (view.id == 0 || view.id > HOST_ID_MAX || !takes_part(board, status, &view))
			continue;
		last = view.id;
		board->lives[view.id] = true;
		scores[view.id] = view.record.claim.score;
		if (view.record.claim.vm == VM_UP && (!board->vm_host || view.id == owner))
			board->vm_host = (uint16_t)view.id;
	}
	if (owner && board->lives[owner])
		board->vm_host = owner;
	r = last == 0 ? -ENOENT : scenario_hosts(&board->scenario, (uint16_t)last);
	if (r == 0)
		leave_out(board, scores, asked <= last ? asked : 0);
	return r;
}

static void set_timing(struct board_scenario *board, const struct lease_timing *timing, uint16_t id,
		       const struct record *record)
{
	struct lease_timing *lease = &board->scenario.hosts[id].policy.lease;

	if (record->claim.io_timeout_s >= 1 && record->claim.io_timeout_s <= 60 &&
	    record->claim.watchdog_fire_s >= 1 && record->claim.watchdog_fire_s <= 600)
		*lease = (struct lease_timing){.io_timeout_s = record->claim.io_timeout_s,
					       .watchdog_fire_s = record->claim.watchdog_fire_s};
	else if (timing && timing->io_timeout_s >= 1)
		*lease = *timing;
}

static int fill(struct board_scenario *board, const struct board_status *status,
		const struct lease_timing *timing)
{
	struct scenario *scenario = &board->scenario;
	uint32_t io_timeout_s = 1;
	int64_t others;
	int r = 0;

	for (uint16_t id = 1; id <= scenario->n_hosts; id++) {
		struct policy *policy = &scenario->hosts[id].policy;

		scenario->hosts[id].off = !board->lives[id] || (board->vm_host && id != board->vm_host);
		/* What counts on the whiteboard has lasted long enough already. */
		policy->network.ms = policy->cpu.ms = policy->other.ms = 0;
		policy->network.samples = policy->cpu.samples = policy->other.samples = 1;
	}
	for (size_t i = 0; i < status->n_blocks; i++) {
		struct status_view view;

		status_view_of(status, &status->blocks[i], &view);
		if (view.id == 0 || view.id > HOST_ID_MAX || !board->lives[view.id])
			continue;
		set_timing(board, timing, (uint16_t)view.id, &view.record);
		if (scenario->hosts[view.id].policy.lease.io_timeout_s > io_timeout_s)
			io_timeout_s = scenario->hosts[view.id].policy.lease.io_timeout_s;
	}
	others = (30 + 4 * io_timeout_s + (board->vm_host ? 40 : 0)) * MONO_SECOND;
	board->settled = others + (60 + 6 * io_timeout_s) * MONO_SECOND;
	for (size_t i = 0; r == 0 && i < status->n_blocks; i++) {
		struct status_view view;

		status_view_of(status, &status->blocks[i], &view);
		if (view.id == 0 || view.id > HOST_ID_MAX || !board->lives[view.id])
			continue;
		if (board->vm_host && view.id != board->vm_host)
			r = add(board, others, (uint16_t)view.id, FAULT_POWER_ON, HOW_NONE, 0);
		if (r == 0)
			r = set_score(board, (uint16_t)view.id, &view.record, board->vm_host ? others : 1);
	}
	return r;
}

int board_scenario_make(const struct board_status *status, const struct lease_timing *timing, uint16_t owner,
			uint16_t asked, struct board_scenario *ret)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->scenario.seed = 1;
	r = look(ret, status, owner <= HOST_ID_MAX ? owner : 0, asked);
	if (r == 0)
		r = fill(ret, status, timing);
	if (r == 0 && status_maintenance(status) == FLAG_YES)
		r = add(ret, ret->settled - 20 * MONO_SECOND, 0, FAULT_GLOBAL_MAINTENANCE, HOW_ON, 0);
	if (status_maintenance(status) == FLAG_UNKNOWN)
		note(ret, "whether there is global maintenance is not known: it is simulated without");
	if (r < 0)
		board_scenario_done(ret);
	return r;
}

void board_scenario_done(struct board_scenario *board)
{
	scenario_done(&board->scenario);
}
