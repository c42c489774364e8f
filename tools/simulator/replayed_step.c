/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which lines of a log are of one step: the agent writes its input, then the change of state if there
 * is one, changes of the score, and each action that it begins. Lines of others in between are passed over.
 */
#include "tools/simulator/replayed_step.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX 64

const char *replay_input(const char *line, bool *ret_cut)
{
	static const char *const begins[] = {"input now=", "input cut=yes now="};

	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
		const char *at = strstr(line, begins[i]);

		if (at && (at == line || at[-1] == ' ')) {
			*ret_cut = i == 1;
			return strstr(at, "now=");
		}
	}
	return NULL;
}

/* trace_parse() leaves numbers as they stand; what the core may assume of them is checked here. */
static int check(const struct trace *trace)
{
	const struct policy *policy = &trace->policy;

	if (!machine_sound(&trace->machine) || policy->loop < 1 || policy->lease.io_timeout_s < 1 ||
	    policy->weights.base < 1 || policy->cpu_load_to <= policy->cpu_load_from)
		return -EINVAL;
	return 0;
}

int replay_take(const char *input, struct replayed_step *ret, size_t *ret_at)
{
	struct peer *peers = calloc(HOST_ID_MAX, sizeof(*peers));
	int r;

	if (!peers)
		return -ENOMEM;
	trace_init(&ret->trace, peers, HOST_ID_MAX);
	*ret_at = 0;
	r = trace_parse(input, &ret->trace, ret_at);
	if (r == 0)
		r = check(&ret->trace);
	if (r < 0) {
		free(peers);
		return r;
	}
	machine_step(&ret->trace.machine, &ret->trace.known, &ret->trace.policy, ret->trace.now, &ret->step);
	return 0;
}

void replay_done(struct replayed_step *step)
{
	free(step->trace.peers);
	step->trace.peers = NULL;
}

/* The text after `key` up to the next blank. False: it is not there, or too long. */
static bool word_after(const char *line, const char *key, char ret[WORD_MAX])
{
	const char *at = strstr(line, key);
	size_t len;

	if (!at)
		return false;
	at += strlen(key);
	len = strcspn(at, " \n");
	if (len == 0 || len >= WORD_MAX)
		return false;
	memcpy(ret, at, len);
	ret[len] = '\0';
	return true;
}

static void follow_state(const char *line, struct logged_step *logged)
{
	char from[WORD_MAX], to[WORD_MAX], reason[WORD_MAX], score[WORD_MAX], *end;
	int a, b, c;

	if (!word_after(line, "state ", from) || !word_after(line, " -> ", to) ||
	    !word_after(line, " reason=", reason) || !word_after(line, " score=", score))
		return;
	logged->moved = true;
	a = state_parse(from);
	b = state_parse(to);
	c = reason_parse(reason);
	logged->score = (int32_t)strtol(score, &end, 10);
	logged->unknown |= a < 0 || b < 0 || c < 0 || *end;
	if (logged->unknown)
		return;
	logged->from = (enum state)a;
	logged->to = (enum state)b;
	logged->reason = (enum reason)c;
}

static void follow_action(const char *line, struct logged_step *logged)
{
	char name[WORD_MAX];
	int action;

	if (!word_after(line, "action ", name))
		return;
	action = action_parse(name);
	if (action < 0 || logged->n_actions == ACTIONS_MAX)
		logged->unknown = true;
	else
		logged->actions[logged->n_actions++] = (enum action)action;
}

void replay_follow(const char *line, struct logged_step *logged)
{
	/* Only the first line can be the step's change of state: later ones are of steps that did not act. */
	if (!logged->any && strstr(line, "state ") && strstr(line, " -> ") && strstr(line, " reason="))
		follow_state(line, logged);
	else if (strstr(line, "action ") && strstr(line, " begun "))
		follow_action(line, logged);
	else if (!strstr(line, "penalty ") && !strstr(line, "action ") && !strstr(line, "vm "))
		return; /* not the agent's, or of no use here */
	logged->any = true;
}

static void put_actions(const enum action *actions, size_t n, char *ret, size_t size)
{
	size_t used = 0;

	snprintf(ret, size, "none");
	for (size_t i = 0; i < n && used < size; i++)
		used += (size_t)snprintf(ret + used, size - used, "%s%s", i ? "," : "",
					 action_str(actions[i]));
}

bool replay_same(const struct replayed_step *replayed, const struct logged_step *logged,
		 char ret[REPLAY_TEXT_MAX])
{
	const struct step *step = &replayed->step;
	enum state before = replayed->trace.machine.state;
	bool moves = step->next.state != before;

	if (!logged->any)
		return true;
	if (logged->unknown) {
		snprintf(ret, REPLAY_TEXT_MAX, "the log has words that this version does not know");
		return false;
	}
	if (moves != logged->moved || (moves && step->next.state != logged->to)) {
		snprintf(ret, REPLAY_TEXT_MAX, "the log says %s -> %s, this version %s -> %s",
			 state_str(before), state_str(logged->moved ? logged->to : before), state_str(before),
			 state_str(step->next.state));
		return false;
	}
	if (moves && step->reason != logged->reason) {
		snprintf(ret, REPLAY_TEXT_MAX, "the log says reason=%s, this version %s",
			 reason_str(logged->reason), reason_str(step->reason));
		return false;
	}
	if (moves && step->score.value != logged->score) {
		snprintf(ret, REPLAY_TEXT_MAX, "the log says score=%d, this version %d", (int)logged->score,
			 (int)step->score.value);
		return false;
	}
	if (logged->n_actions != step->n_actions ||
	    memcmp(logged->actions, step->actions, step->n_actions * sizeof(step->actions[0])) != 0) {
		char was[64], is[64];

		put_actions(logged->actions, logged->n_actions, was, sizeof(was));
		put_actions(step->actions, step->n_actions, is, sizeof(is));
		snprintf(ret, REPLAY_TEXT_MAX, "the log says do=%s, this version %s", was, is);
		return false;
	}
	return true;
}
