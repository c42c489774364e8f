/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides what is asked next and how often. What is right is answers.c's to say, and the world's. */
#include "deploy/dialogue.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#define LABEL_WIDTH 36

static void __attribute__((format(printf, 2, 3)))
say(const struct dialogue *dialogue, const char *format, ...)
{
	char line[DIALOGUE_LINE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	dialogue->say(dialogue->data, line);
}

/* The words as people read them. */
static void spell(const char *words, char *ret, size_t size)
{
	size_t used = 0;

	for (; *words && used + 3 < size; words++) {
		ret[used++] = *words == '|' ? ',' : *words;
		if (*words == '|')
			ret[used++] = ' ';
	}
	ret[used] = '\0';
}

static void make_prompt(const struct answers *answers, enum answer which, char *ret, size_t size)
{
	const struct answer_row *row = &answer_rows[which];
	const char *fallback = answer_get(answers, which);
	char words[256] = "";
	int n;

	if (row->words)
		spell(row->words, words, sizeof(words));
	n = snprintf(ret, size, "%s%s%s%s", row->question, row->words ? " (" : "", words,
		     row->words ? ")" : "");
	if (fallback[0] && !row->secret && n > 0 && (size_t)n < size)
		snprintf(ret + n, size - (size_t)n, "[%s]", fallback);
	strncat(ret, ": ", size - strlen(ret) - 1);
}

/* 0, -EINVAL: not right by itself, -EAGAIN: not in this world, or another end. */
static int take(const struct dialogue *dialogue, struct answers *answers, enum answer which,
		const char *value, char what[DIALOGUE_LINE_SIZE])
{
	char wrong[ANSWER_WHAT_SIZE];
	int r = answer_check(answers, which, value, wrong);

	if (r < 0) {
		if (answer_rows[which].secret)
			snprintf(what, DIALOGUE_LINE_SIZE, "the password %s", wrong);
		else /* a long one is known by its beginning */
			snprintf(what, DIALOGUE_LINE_SIZE, "'%.200s%s' %s", value,
				 strlen(value) > 200 ? ".." : "", wrong);
		return r;
	}
	r = answer_set(answers, which, value);
	if (r == 0)
		r = dialogue->learn(dialogue->data, which, answers, what);
	return r == -EINVAL ? -EAGAIN : r;
}

/* One that nobody is asked for: given, or its default. `named`: the operator did not just type what is wrong.
 */
static int settle(const struct dialogue *dialogue, struct answers *answers, enum answer which, bool named)
{
	char what[DIALOGUE_LINE_SIZE] = "", *value = strdup(answer_get(answers, which));
	int r;

	if (!value)
		return -ENOMEM;
	r = take(dialogue, answers, which, value, what);
	if (r < 0)
		say(dialogue, "%s%s%s", named ? answer_rows[which].key : "", named ? ": " : "",
		    what[0] ? what : strerror(-r));
	explicit_bzero(value, strlen(value));
	free(value);
	return r;
}

/* The question from which on all is asked again when what they say together is wrong: nobody can mend an
 * address by another LUN. */
static enum answer first_of(enum answer which)
{
	return which > ANSWER_STORAGE_TYPE && which <= ANSWER_STORAGE_FORCE ? ANSWER_STORAGE_TYPE : which;
}

static bool any_asked(const bool asked[ANSWER_COUNT], enum answer from, enum answer to)
{
	for (int i = from; i < (int)to; i++)
		if (asked[i])
			return true;
	return false;
}

/* A server's text is one line: it can't add what would read as ours. */
static void say_foreign(const struct dialogue *dialogue, const char *before, const char *text)
{
	char line[DIALOGUE_LINE_SIZE];

	snprintf(line, sizeof(line), "%s%s", before, text);
	for (char *c = line; (c = strchr(c, '\n'));)
		*c = '?';
	say(dialogue, "%s", line);
}

static void show(const struct dialogue *dialogue, const struct choices *choices)
{
	char label[24], before[32];

	if (choices->note[0])
		say_foreign(dialogue, "", choices->note);
	for (size_t i = 0; i < choices->n; i++) {
		snprintf(before, sizeof(before), "  [%s]  ", choices_label(choices, i, label));
		say_foreign(dialogue, before, choices->all[i].about);
	}
	if (choices->more > 0)
		say(dialogue, "  and %zu more", choices->more);
	if (choices->n > 0)
		say(dialogue, "A number picks one; what is not listed can be typed.");
}

/* One line for the question; one that asks for a list gets it, and the question comes again. */
static int hear(const struct dialogue *dialogue, const struct answers *answers, enum answer which,
		char line[ANSWER_SIZE])
{
	_cleanup_(choices_done) struct choices choices = {0};
	const bool secret = answer_rows[which].secret;
	const char *picked;
	char prompt[1024];

	make_prompt(answers, which, prompt, sizeof(prompt));
	dialogue->offer(dialogue->data, which, answers, NULL, &choices);
	do {
		int r;

		show(dialogue, &choices);
		while ((r = dialogue->ask(dialogue->data, prompt, secret, line, ANSWER_SIZE)) == -EMSGSIZE)
			say(dialogue,
			    "That is too long, or has a character that no answer has: it was not taken");
		if (r < 0)
			return r;
		picked = choices_pick(&choices, line);
		if (picked)
			snprintf(line, ANSWER_SIZE, "%s", picked);
		choices_done(&choices);
		if (!picked && !secret)
			dialogue->offer(dialogue->data, which, answers, line, &choices);
	} while (choices.note[0]);
	return 0;
}

static int ask(const struct dialogue *dialogue, struct answers *answers, enum answer which)
{
	char line[ANSWER_SIZE], what[DIALOGUE_LINE_SIZE] = "";
	int r = hear(dialogue, answers, which, line);

	if (r < 0)
		return r;
	if (!line[0])
		snprintf(line, sizeof(line), "%s", answer_get(answers, which));
	r = take(dialogue, answers, which, line, what);
	explicit_bzero(line, sizeof(line));
	if (r < 0)
		say(dialogue, "%s", what[0] ? what : strerror(-r));
	/* What was refused is no default of the next time. */
	return r == -EAGAIN && answer_set(answers, which, NULL) < 0 ? -ENOMEM : r;
}

int dialogue_run(const struct dialogue *dialogue, struct answers *answers)
{
	bool asked[ANSWER_COUNT] = {0};
	const char *section = "";

	for (int i = 0; i < ANSWER_COUNT; i++) {
		const struct answer_row *row = &answer_rows[i];
		int r;

		if (!answer_applies(answers, i))
			continue;
		if (dialogue->silent || !row->question || (answers->text[i] && !asked[i])) {
			bool mendable = any_asked(asked, first_of(i), i); /* by what was asked before */

			r = settle(dialogue, answers, i, !mendable);
			if (r == -EAGAIN && !mendable)
				r = -EINVAL;
			if (r == -EINVAL)
				return r;
		} else {
			if (strcmp(section, row->section) != 0)
				say(dialogue, "\n--== %s ==--\n", row->section);
			section = row->section;
			asked[i] = true;
			r = ask(dialogue, answers, i);
		}
		if (r == -EINVAL)
			i--;
		else if (r == -EAGAIN)
			i = (int)first_of(i) - 1;
		else if (r < 0)
			return r;
	}
	return 0;
}

int dialogue_yes(const struct dialogue *dialogue, const char *question, bool yes)
{
	char prompt[1024], line[64];

	snprintf(prompt, sizeof(prompt), "%s (Yes, No)[%s]: ", question, yes ? "Yes" : "No");
	for (;;) {
		int r = dialogue->ask(dialogue->data, prompt, false, line, sizeof(line));

		if (r < 0)
			return r;
		if (!line[0])
			return yes ? 0 : -ECANCELED;
		if (strcasecmp(line, "yes") == 0 || strcasecmp(line, "y") == 0)
			return 0;
		if (strcasecmp(line, "no") == 0 || strcasecmp(line, "n") == 0)
			return -ECANCELED;
		say(dialogue, "'%s' is neither Yes nor No", line);
	}
}

int dialogue_confirm(const struct dialogue *dialogue, const struct answers *answers)
{
	say(dialogue, "\n--== CONFIGURATION PREVIEW ==--\n");
	for (int i = 0; i < ANSWER_COUNT; i++) {
		const char *value = answer_get(answers, i);

		if (answer_applies(answers, i) && value[0])
			say(dialogue, "%-*s: %s", LABEL_WIDTH, answer_rows[i].key,
			    answer_rows[i].secret ? "(set)" : value);
	}
	if (dialogue->silent)
		return 0;
	return dialogue_yes(dialogue, "\nPlease confirm installation settings", true);
}
