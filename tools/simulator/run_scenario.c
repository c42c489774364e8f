/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* run: plays a scenario file and writes what happened as text or JSON, and as a picture. Decides which file
 * is read and where which output goes. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/json_text.h"
#include "tools/simulator/change_text.h"
#include "tools/simulator/simulator_commands.h"
#include "tools/terminal_text.h"
#include "util/cleanup.h"

#define SCENARIO_SIZE_MAX ((size_t)1024 * 1024)

CLEANUP_DEFINE(struct timeline *, timeline_free)
CLEANUP_DEFINE(struct simulation *, simulation_free)

struct run {
	const struct scenario *scenario;
	json_t *json;		   /* an array, NULL: text is wanted */
	struct timeline *timeline; /* NULL: none is wanted */
	bool no_memory;
};

static void on_change(void *data, const struct change *change)
{
	struct run *run = data;

	if (run->json)
		json_array_append_new(run->json, change_json(change));
	else
		change_put(change, 0, stdout);
	if (run->timeline && change_draw(change, run->scenario->n_hosts, run->timeline) < 0)
		run->no_memory = true;
}

static int cannot(const char *what, const char *path, int error, const char *advice)
{
	fprintf(stderr, "Cannot %s ", what);
	terminal_put(stderr, path, strlen(path));
	fprintf(stderr, ": %s. %s\n", strerror(error), advice);
	return 1;
}

static int read_scenario(const char *path, struct scenario *ret)
{
	_cleanup_fclose_ FILE *opened = strcmp(path, "-") == 0 ? NULL : fopen(path, "re");
	FILE *file = strcmp(path, "-") == 0 ? stdin : opened;
	_cleanup_free_ char *text = malloc(SCENARIO_SIZE_MAX);
	struct scenario_problem problem;
	size_t size;
	int r;

	if (!text)
		return cannot("read", path, ENOMEM, "");
	size = file ? fread(text, 1, SCENARIO_SIZE_MAX, file) : 0;
	if (!file || ferror(file))
		return cannot("read", path, errno, "Give a scenario file, or - for standard input.");
	if (size == SCENARIO_SIZE_MAX)
		return cannot("read", path, EFBIG, "A scenario is a text of some lines.");
	r = scenario_parse(text, size, ret, &problem);
	if (r == -EINVAL) {
		terminal_put(stderr, path, strlen(path));
		fprintf(stderr, ":%u: %s\n", problem.line, problem.expected);
	} else if (r < 0) {
		cannot("read", path, -r, "");
	}
	return r < 0;
}

static int put_svg(const struct run *run, const char *path, const char *name)
{
	const char *title = run->scenario->title[0]  ? run->scenario->title
			    : strcmp(name, "-") == 0 ? "A scenario"
						     : name;
	FILE *out = fopen(path, "we");
	int bad;

	if (!out)
		return cannot("write", path, errno, "Give --svg a file that can be made.");
	timeline_put_svg(run->timeline, title, run->scenario->run_ms, out);
	bad = ferror(out);
	if (fclose(out) != 0 || bad)
		return cannot("write", path, errno, "The picture is not whole.");
	return 0;
}

/* The last lines: where the VM is, and what must never be. */
static int put_end(const struct run *run, const struct simulation *simulation)
{
	uint16_t runner = simulation_runner(simulation);
	bool two = simulation_two_ran(simulation);

	if (run->json) {
		_cleanup_(json_decref_p) json_t *all =
			json_pack("{s:O, s:I, s:o, s:b}", "changes", run->json, "end_ms",
				  (json_int_t)simulation_now(simulation), "vm",
				  runner ? json_integer(runner) : json_null(), "two_ran", two);

		return json_line(all, stdout) || two;
	}
	printf("%9.3f  ", (double)simulation_now(simulation) / 1000);
	if (runner)
		printf("end: the VM runs on host %u\n", (unsigned)runner);
	else
		puts("end: the VM runs nowhere");
	if (two)
		fputs("Two hosts ran the VM at once, which must never be. Report it with the scenario.\n",
		      stderr);
	return two;
}

int simulator_run_scenario(const struct invocation *call)
{
	_cleanup_(json_decref_p) json_t *json = invocation_value(call, "json") ? json_array() : NULL;
	_cleanup_(timeline_free_p) struct timeline *timeline = NULL;
	_cleanup_(simulation_free_p) struct simulation *simulation = NULL;
	const char *svg = invocation_value(call, "svg");
	struct run run = {.json = json};
	struct scenario scenario;
	int code;

	if (read_scenario(call->operand, &scenario) != 0)
		return 1;
	run.scenario = &scenario;
	/* The daemons write times of the wall clock for people. */
	setenv("TZ", "UTC", 1);
	if ((svg && timeline_new(scenario.n_hosts, &timeline) < 0) ||
	    simulation_new(&scenario, invocation_value(call, "log") ? stdout : NULL, on_change, &run,
			   &simulation) < 0) {
		code = cannot("run", call->operand, ENOMEM, "");
	} else {
		run.timeline = timeline;
		for (uint16_t id = 1; timeline && id <= scenario.n_hosts; id++)
			run.no_memory |= timeline_set(timeline, 0, id, LANE_STATE, TIMELINE_OFF) < 0;
		simulation_run(simulation, scenario.run_ms);
		code = put_end(&run, simulation);
		if (svg && code == 0)
			code = run.no_memory ? cannot("draw", svg, ENOMEM, "")
					     : put_svg(&run, svg, call->operand);
	}
	simulation_free(TAKE_PTR(simulation));
	scenario_done(&scenario);
	return code;
}
