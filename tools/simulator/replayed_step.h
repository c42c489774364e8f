/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One logged step: its input as the agent wrote it, what the log says came of it, and what this version makes
 * of the input. Pure but for the heap. replay_log.c reads a journal with it; the fuzzer gives it any text. */
#pragma once

#include "core/trace.h"

#define REPLAY_TEXT_MAX 256

/* What the lines after an input say of its step. */
struct logged_step {
	bool any;   /* a line of the agent's followed: what is missing did not happen */
	bool moved; /* a change of state, with the next three; else none */
	enum state from, to;
	enum reason reason;
	int32_t score;
	enum action actions[ACTIONS_MAX];
	size_t n_actions;
	bool unknown; /* a word in these lines that this version does not know */
};

struct replayed_step {
	struct trace trace;
	struct step step;
};

/* Where the input of a step begins in a line of any log, NULL: it has none. *ret_cut: the agent cut it. */
const char *replay_input(const char *line, bool *ret_cut);

/* Takes the step of an input. 0; -EINVAL, -ENOSPC as trace_parse() with *ret_at in `input`; -ENOMEM. On
 * success the step is to be given to replay_done(). */
int replay_take(const char *input, struct replayed_step *ret, size_t *ret_at);
void replay_done(struct replayed_step *step);

/* Takes in a line that follows an input and is no input. */
void replay_follow(const char *line, struct logged_step *logged);

/* True when the step is the one in the log; else `ret` says the first difference. */
bool replay_same(const struct replayed_step *replayed, const struct logged_step *logged,
		 char ret[REPLAY_TEXT_MAX]);
