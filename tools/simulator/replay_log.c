/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* replay: reads a journal, or one line of it, and takes each logged step again. Decides which file is read
 * and what is printed; replayed_step.c decides what belongs to a step. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/json_text.h"
#include "tools/simulator/replayed_step.h"
#include "tools/simulator/simulator_commands.h"
#include "tools/simulator/step_text.h"
#include "tools/terminal_text.h"
#include "util/cleanup.h"

struct replay {
	const char *name; /* of what is read, for messages */
	size_t line;	  /* that was read last */
	json_t *json;	  /* an array, NULL: text is wanted */
	struct replayed_step step;
	struct logged_step logged;
	bool open;	  /* `step` is to be printed when its lines are read */
	size_t step_line; /* of its input */
	size_t steps, differ, unreadable;
};

static void complain(struct replay *replay, const char *at, const char *what)
{
	fprintf(stderr, "%s:%zu: ", replay->name, replay->line);
	fputs(what, stderr);
	terminal_put(stderr, at, strcspn(at, " \n"));
	fputc('\n', stderr);
	replay->unreadable++;
}

static void put_text(const struct replay *replay, bool same, const char *difference)
{
	const struct trace *trace = &replay->step.trace;

	printf("%s:%zu: at %.3f s ", replay->name, replay->step_line, (double)trace->now / 1000);
	step_put_line(trace->machine.state, &replay->step.step, stdout);
	putchar('\n');
	step_put_details(&trace->known, &trace->policy, &replay->step.step, trace->now, stdout);
	if (!same)
		printf("    DIFFERS: %s. Did another version write this log?\n", difference);
	else
		puts(replay->logged.any ? "    the log says the same"
					: "    the log does not go on: nothing to compare with");
}

static void put_json(struct replay *replay, bool same, const char *difference)
{
	const struct trace *trace = &replay->step.trace;
	json_t *step = step_json(trace->machine.state, &replay->step.step, trace->now);

	json_object_set_new(step, "line", json_integer((json_int_t)replay->step_line));
	json_object_set_new(step, "compared", json_boolean(replay->logged.any));
	json_object_set_new(step, "differs", same ? json_null() : json_string(difference));
	json_array_append_new(replay->json, step);
}

/* All lines of the step are read. */
static void finish(struct replay *replay)
{
	char difference[REPLAY_TEXT_MAX];
	bool same;

	if (!replay->open)
		return;
	replay->open = false;
	replay->steps++;
	same = replay_same(&replay->step, &replay->logged, difference);
	replay->differ += !same;
	if (replay->json)
		put_json(replay, same, difference);
	else
		put_text(replay, same, difference);
	replay_done(&replay->step);
}

static void take_line(struct replay *replay, char *line)
{
	const char *input;
	bool cut = false;
	size_t at;
	int r;

	replay->line++;
	line[strcspn(line, "\r\n")] = '\0';
	input = replay_input(line, &cut);
	if (!input) {
		if (replay->open)
			replay_follow(line, &replay->logged);
		return;
	}
	finish(replay);
	if (cut) {
		complain(replay, "",
			 "the agent cut this input, it can't be replayed: the cluster has too many hosts");
		return;
	}
	r = replay_take(input, &replay->step, &at);
	if (r == -ENOMEM) {
		complain(replay, "", "out of memory");
	} else if (r < 0) {
		complain(replay, input + at, "not known to this version, or out of its range: ");
	} else {
		replay->open = true;
		replay->logged = (struct logged_step){0};
		replay->step_line = replay->line;
	}
}

static int read_file(struct replay *replay, const char *path)
{
	_cleanup_fclose_ FILE *opened = strcmp(path, "-") == 0 ? NULL : fopen(path, "re");
	FILE *file = strcmp(path, "-") == 0 ? stdin : opened;
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	if (file == stdin)
		replay->name = "stdin";
	if (file) {
		errno = 0;
		while (getline(&line, &size, file) > 0)
			take_line(replay, line);
	}
	if (file && !ferror(file))
		return 0;
	fputs("Cannot read ", stderr);
	terminal_put(stderr, path, strlen(path));
	fprintf(stderr,
		": %s. Give a line of the agent's log that begins with `input now=`, a file of its log, or "
		"-\n",
		strerror(errno));
	return 1;
}

static int report(struct replay *replay)
{
	finish(replay);
	if (replay->json) {
		if (json_line(replay->json, stdout) != 0)
			return 1;
	} else if (replay->steps > 1) {
		printf("%zu steps, %zu differ from the log\n", replay->steps, replay->differ);
	}
	if (replay->steps == 0 && replay->unreadable == 0) {
		fputs("No step in it: an agent logs a line `input now=..` when a step acts. Is it the log of "
		      "ovirt-ha-agent?\n",
		      stderr);
		return 1;
	}
	return replay->differ > 0 || replay->unreadable > 0;
}

int simulator_run_replay(const struct invocation *call)
{
	_cleanup_(json_decref_p) json_t *json = invocation_value(call, "json") ? json_array() : NULL;
	struct replay replay = {.name = call->operand, .json = json};
	bool cut;

	if (replay_input(call->operand, &cut) || strncmp(call->operand, "now=", 4) == 0) {
		_cleanup_free_ char *line = NULL;

		if (asprintf(&line, "%s%s", strncmp(call->operand, "now=", 4) == 0 ? "input " : "",
			     call->operand) < 0) {
			fputs("Out of memory\n", stderr);
			return 1;
		}
		replay.name = "line";
		for (char *next = line, *end; next; next = end) {
			end = strchr(next, '\n');
			if (end)
				*end++ = '\0';
			take_line(&replay, next);
		}
	} else if (read_file(&replay, call->operand) != 0) {
		return 1;
	}
	return report(&replay);
}
