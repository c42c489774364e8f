/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides the order of what is written and what is done: the journal first, both ways. */
#include "deploy/stages.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void __attribute__((format(printf, 3, 4)))
say(const struct stages *stages, const char *level, const char *format, ...)
{
	char line[STAGE_WHY_SIZE + 256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	stages->say(stages->data, level, line);
}

static void say_lines(const struct stages *stages, const char *level, char *text)
{
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		say(stages, level, "    %s", line);
}

static const char *key_of(const struct stage *stage, char ret[64])
{
	int n = snprintf(ret, 64, "stage.%s", stage->name);

	assert(n < 64);
	return ret;
}

int stages_run(const struct stages *stages)
{
	for (size_t i = 0; i < stages->n; i++) {
		const struct stage *stage = &stages->all[i];
		char why[STAGE_WHY_SIZE] = "", key[64];
		const char *was = journal_get(stages->journal, key_of(stage, key));
		int r;

		if ((was && strcmp(was, "done") == 0) || (stage->applies && !stage->applies(stages->data)))
			continue;
		say(stages, "INFO", "%s", stage->text);
		r = stage->undo ? journal_set(stages->journal, key, "begun") : 0;
		if (r < 0)
			snprintf(why, sizeof(why), "the journal can't be written: %s", strerror(-r));
		if (r == 0)
			r = stage->run(stages->data, why);
		if (r < 0) {
			say(stages, "ERROR", "Failed: %s: %s", stage->text, why[0] ? why : strerror(-r));
			return r;
		}
		say_lines(stages, "INFO", why);
		if (stage->undo)
			r = journal_set(stages->journal, key, "done");
		if (r < 0) {
			say(stages, "ERROR", "Failed: %s: the journal can't be written: %s", stage->text,
			    strerror(-r));
			return r;
		}
	}
	return 0;
}

int stages_undo(const struct stages *stages)
{
	for (size_t i = stages->n; i-- > 0;) {
		const struct stage *stage = &stages->all[i];
		char why[STAGE_WHY_SIZE] = "", key[64];
		int r;

		if (!journal_get(stages->journal, key_of(stage, key)) || !stage->undo)
			continue;
		say(stages, "INFO", "Taking back: %s", stage->text);
		r = stage->undo(stages->data, why);
		if (r < 0) {
			say(stages, "ERROR", "Not taken back: %s: %s", stage->text,
			    why[0] ? why : strerror(-r));
			return r;
		}
		say_lines(stages, "INFO", why);
		r = journal_set(stages->journal, key, NULL);
		if (r < 0) {
			say(stages, "ERROR", "The journal can't be written: %s", strerror(-r));
			return r;
		}
	}
	return 0;
}
