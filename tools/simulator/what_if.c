/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* what-if: makes the question of the command line, simulates, and gathers what became of the VM. Decides when
 * enough was seen; the agents' code decides the rest. */
#include "tools/simulator/what_if.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/simulator/board_option.h"
#include "tools/simulator/simulator_commands.h"
#include "tools/terminal_text.h"
#include "util/cleanup.h"

#define LIMIT_MS (30 * 60 * MONO_SECOND)
#define QUIET_MS (2 * 60 * MONO_SECOND)

CLEANUP_DEFINE(struct board *, board_close)

struct watch {
	const struct what_if *what_if;
	struct what_if_run *run;
	struct simulation *simulation;
	bool begun, decided;
	int64_t starts[HOST_ID_MAX + 1]; /* last EngineStart of each host, after the fault; -1 none */
	enum reason reasons[HOST_ID_MAX + 1];
};

static void keep_steps(struct watch *watch)
{
	for (uint16_t id = 1; id <= watch->what_if->board.scenario.n_hosts; id++) {
		const struct step *step = simulation_step(watch->simulation, id);

		watch->run->has_step[id] = step != NULL;
		if (step)
			watch->run->steps[id] = *step;
	}
}

static void keep_change(const struct watch *watch, const struct change *change)
{
	struct what_if_run *run = watch->run;
	struct kept_change *kept;

	if (run->n_changes == WHAT_IF_CHANGES) {
		run->more_changes++;
		return;
	}
	kept = &run->changes[run->n_changes++];
	kept->change = *change;
	if (change->step) {
		kept->step = *change->step;
		kept->change.step = &kept->step;
	}
	if (change->event)
		kept->change.event = &watch->what_if->fault;
	kept->change.text = change->text ? run->refusal : NULL;
}

static void on_step(struct watch *watch, const struct change *change)
{
	struct what_if_run *run = watch->run;
	int64_t ago = change->at - run->fault_at;

	if (change->step->next.state == STATE_ENGINE_START && change->before != STATE_ENGINE_START) {
		watch->starts[change->host] = ago;
		watch->reasons[change->host] = change->step->reason;
		if (!watch->decided)
			keep_steps(watch);
		watch->decided = true;
	}
	if (change->step->next.state != STATE_ENGINE_UP || change->host != run->host || run->answers >= 0)
		return;
	if (run->left || !run->vm_before) {
		run->answers = ago;
		simulation_stop(watch->simulation);
	}
}

static void on_guest(struct watch *watch, const struct change *change)
{
	struct what_if_run *run = watch->run;
	int64_t ago = change->at - run->fault_at;

	if (change->value == 2) {
		run->host = change->host;
		run->runs = ago;
		run->answers = -1;
		run->start = watch->starts[change->host];
		run->reason = watch->reasons[change->host];
	} else if (change->host == run->vm_before && !run->left) {
		run->left = true;
		run->gone = ago;
	}
	if (change->value != 2 && change->host == run->host) {
		run->host = 0;
		run->runs = -1;
	}
}

static void on_change(void *data, const struct change *change)
{
	struct watch *watch = data;
	struct what_if_run *run = watch->run;

	if (!watch->begun && change->kind == CHANGE_FAULT && change->at == run->fault_at &&
	    change->event->fault == watch->what_if->fault.fault)
		watch->begun = true;
	if (!watch->begun)
		return;
	if (change->kind == CHANGE_STEP) {
		on_step(watch, change);
	} else if (change->kind == CHANGE_GUEST) {
		on_guest(watch, change);
	} else if (change->kind == CHANGE_REFUSED) {
		run->refused = true;
		snprintf(run->refusal, sizeof(run->refusal), "%s", change->text);
	}
	keep_change(watch, change);
}

static bool waits(const struct scenario_event *fault)
{
	return fault->fault == FAULT_POWER_CUT || fault->fault == FAULT_STORAGE;
}

bool what_if_waits_for_dead(const struct what_if *what_if, const struct what_if_run *run)
{
	return waits(&what_if->fault) && run->vm_before == what_if->fault.host && run->renewed_ago >= 0;
}

int64_t what_if_dead_at(const struct what_if *what_if, const struct what_if_run *run)
{
	return lease_dead_ms(&what_if->board.scenario.hosts[what_if->fault.host].policy.lease) -
	       run->renewed_ago;
}

static int run_make(const struct what_if *what_if, size_t n, struct what_if_run *ret)
{
	const struct scenario *scenario = &what_if->board.scenario;
	size_t hosts = (size_t)scenario->n_hosts + 1;
	int64_t renew =
		lease_renew_ms(&scenario->hosts[what_if->fault.host ? what_if->fault.host : 1].policy.lease);

	*ret = (struct what_if_run){
		.fault_at = what_if->board.settled + (int64_t)n * renew / WHAT_IF_RUNS,
		.renewed_ago = -1,
		.gone = -1,
		.start = -1,
		.runs = -1,
		.answers = -1,
		.steps = calloc(hosts, sizeof(*ret->steps)),
		.has_step = calloc(hosts, sizeof(*ret->has_step)),
		.changes = calloc(WHAT_IF_CHANGES, sizeof(*ret->changes)),
	};
	return ret->steps && ret->has_step && ret->changes ? 0 : -ENOMEM;
}

/* The fault is in the scenario for one run alone: its moment differs. */
static int run_one(struct what_if *what_if, size_t n)
{
	struct scenario *scenario = &what_if->board.scenario;
	struct what_if_run *run = &what_if->runs[n];
	_cleanup_free_ struct watch *watch = calloc(1, sizeof(*watch));
	int r = watch ? run_make(what_if, n, run) : -ENOMEM;

	what_if->n_runs = n + 1;
	what_if->fault.at = run->fault_at;
	scenario->seed = n + 1;
	if (r == 0)
		r = scenario_add(scenario, &what_if->fault);
	if (r < 0)
		return r;
	*watch = (struct watch){.what_if = what_if, .run = run};
	for (size_t i = 0; i <= HOST_ID_MAX; i++)
		watch->starts[i] = -1;
	r = simulation_new(scenario, NULL, on_change, watch, &watch->simulation);
	if (r == 0) {
		struct simulation *s = watch->simulation;
		int64_t quiet = run->fault_at + QUIET_MS + lease_start_ms(&scenario->hosts[1].policy.lease);

		simulation_run(s, run->fault_at - 1);
		run->vm_before = run->host = simulation_runner(s);
		if (what_if->fault.host)
			run->renewed_ago = simulation_renewed_ago(s, what_if->fault.host);
		simulation_run(s, quiet);
		/* Where the VM stays, nothing more is to come; else it is waited for. */
		if (simulation_now(s) >= quiet && (run->left || !run->vm_before) && run->answers < 0)
			simulation_run(s, run->fault_at + LIMIT_MS);
		if (!watch->decided)
			keep_steps(watch);
		run->two_ran = simulation_two_ran(s);
		simulation_free(s);
	}
	scenario->n_events--; /* the fault is the last: all others end before `settled` */
	return r;
}

static bool moved(const struct what_if_run *run)
{
	return run->host && run->runs >= 0 && (run->left || !run->vm_before);
}

/* The run to tell is the middle one of those that ended as most did. */
static void judge(struct what_if *what_if)
{
	size_t order[WHAT_IF_RUNS], n = 0;

	what_if->earliest = what_if->latest = -1;
	for (size_t i = 0; i < what_if->n_runs; i++) {
		const struct what_if_run *run = &what_if->runs[i];
		size_t at = n;

		if (!moved(run))
			continue;
		for (; at > 0 && what_if->runs[order[at - 1]].runs > run->runs; at--)
			order[at] = order[at - 1];
		order[at] = i;
		n++;
	}
	what_if->typical = 0;
	if (2 * n < what_if->n_runs)
		while (what_if->typical + 1 < what_if->n_runs && moved(&what_if->runs[what_if->typical]))
			what_if->typical++;
	if (n == 0)
		return;
	what_if->earliest = what_if->runs[order[0]].runs;
	what_if->latest = what_if->runs[order[n - 1]].runs;
	if (2 * n >= what_if->n_runs)
		what_if->typical = order[n / 2];
}

int what_if_ask(struct board_scenario *board, enum scenario_fault fault, enum scenario_how how, uint16_t host,
		struct what_if *ret)
{
	int r = 0;

	memset(ret, 0, sizeof(*ret));
	ret->board = *board;
	memset(&board->scenario, 0, sizeof(board->scenario));
	ret->fault = (struct scenario_event){
		.fault = fault, .how = how, .host = host, .value = fault == FAULT_STORAGE ? 1000 : 0};
	for (size_t i = 0; r == 0 && i < WHAT_IF_RUNS; i++)
		r = run_one(ret, i);
	if (r == 0)
		judge(ret);
	return r;
}

void what_if_done(struct what_if *what_if)
{
	board_scenario_done(&what_if->board);
	for (size_t i = 0; i < what_if->n_runs; i++) {
		free(what_if->runs[i].steps);
		free(what_if->runs[i].has_step);
		free(what_if->runs[i].changes);
	}
}

struct question {
	enum scenario_fault fault;
	enum scenario_how how;
	uint16_t host; /* 0: all */
};

static int wrong(const char *option, const char *value, const char *expected)
{
	fprintf(stderr, "--%s=", option);
	terminal_put(stderr, value, strlen(value));
	fprintf(stderr, ": expected %s. Try: hosted-engine-sim --help what-if\n", expected);
	return 1;
}

static int question_of(const struct invocation *call, struct question *ret)
{
	static const struct {
		const char *option;
		enum scenario_fault fault;
		enum scenario_how how;
	} options[] = {{"kill", FAULT_POWER_CUT, HOW_NONE},
		       {"maintenance", FAULT_LOCAL_MAINTENANCE, HOW_ON},
		       {"storage-loss", FAULT_STORAGE, HOW_HANG}};
	int given = 0;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		const char *value = invocation_value(call, options[i].option);
		char *end;
		unsigned long id;

		if (!value)
			continue;
		given++;
		*ret = (struct question){.fault = options[i].fault, .how = options[i].how};
		if (options[i].fault == FAULT_LOCAL_MAINTENANCE && strcmp(value, "global") == 0) {
			ret->fault = FAULT_GLOBAL_MAINTENANCE;
			continue;
		}
		id = strtoul(value, &end, 10);
		if (value[0] < '0' || value[0] > '9' || *end || id < 1 || id > HOST_ID_MAX)
			return wrong(options[i].option, value,
				     options[i].fault == FAULT_LOCAL_MAINTENANCE
					     ? "a host id 1..2000 or global"
					     : "a host id 1..2000");
		ret->host = (uint16_t)id;
	}
	if (given == 1)
		return 0;
	fputs("what-if needs one of --kill=N, --maintenance=N|global and --storage-loss=N. Try: "
	      "hosted-engine-sim "
	      "--help what-if\n",
	      stderr);
	return 1;
}

static int check_host(const struct board_scenario *board, uint16_t host)
{
	if (!host || (host <= board->scenario.n_hosts && board->lives[host]))
		return 0;
	fprintf(stderr, "Host %u does not live on this whiteboard; these do:", (unsigned)host);
	for (uint16_t id = 1; id <= board->scenario.n_hosts; id++)
		if (board->lives[id])
			fprintf(stderr, " %u", (unsigned)id);
	fputs(". See: hosted-engine-sim scores\n", stderr);
	return 1;
}

static int make_board(const struct board *from, uint16_t asked, struct board_scenario *ret)
{
	const struct cluster *cluster = from->status.live ? &from->reply.cluster : NULL;
	uint16_t owner = cluster && cluster->owner == OWNER_HOST ? cluster->owner_id : 0;
	int r = board_scenario_make(&from->status, cluster ? &cluster->lease : NULL, owner, asked, ret);

	if (r == -ENOENT)
		fputs("No host lives on this whiteboard: there is nothing to simulate. See: "
		      "hosted-engine-sim scores\n",
		      stderr);
	else if (r < 0)
		fprintf(stderr, "Cannot simulate: %s\n", strerror(-r));
	return r < 0;
}

int simulator_run_what_if(const struct invocation *call)
{
	_cleanup_(board_close_p) struct board *from = NULL;
	_cleanup_free_ struct board_scenario *board = calloc(1, sizeof(*board));
	_cleanup_free_ struct what_if *what_if = calloc(1, sizeof(*what_if));
	struct question question = {0};
	int code = question_of(call, &question);

	if (code != 0)
		return code;
	if (!board || !what_if) {
		fputs("Out of memory\n", stderr);
		return 1;
	}
	from = board_open(call);
	if (!from || make_board(from, question.host, board) != 0)
		return 1;
	code = check_host(board, question.host);
	if (code != 0) {
		board_scenario_done(board);
		return code;
	}
	/* The daemons write times of the wall clock for people. */
	setenv("TZ", "UTC", 1);
	if (what_if_ask(board, question.fault, question.how, question.host, what_if) < 0) {
		fputs("Out of memory\n", stderr);
		code = 1;
	} else if (invocation_value(call, "json")) {
		code = what_if_put_json(what_if, stdout);
	} else {
		what_if_put_text(what_if, stdout);
	}
	for (size_t i = 0; code == 0 && i < what_if->n_runs; i++) {
		if (!what_if->runs[i].two_ran)
			continue;
		fputs("Two simulated hosts ran the VM at once, which must never be. Report it with the "
		      "whiteboard.\n",
		      stderr);
		code = 1;
	}
	what_if_done(what_if);
	return code;
}
