/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which lines of the agent's answer are words that scripts rely on. */
#include "tools/vm_answer.h"

#include <errno.h>
#include <string.h>

#include "tools/broker_trouble.h"
#include "tools/terminal_text.h"

#define WORD_STARTED "VM in WaitForLaunch"
#define WORD_CLEANING "VM exists and is Down, cleaning up and restarting"
#define WORD_EXISTS "VM exists and its status is "
#define WORD_FAILED "VM failed to launch"

#define BEGIN_MS (40 * 1000) /* until the agent has begun it, or refused it */
#define READS 2		     /* of the whiteboard: the one under way, and the broker's own for a start */

/* A start reaches the agent when the broker has read all records for it; a read that fails ends it. It is
 * answered when QEMU is created and its lease taken or refused, at the latest when the agent gives it up,
 * which follows from sanlock's timeouts: 260 s after the order at defaults, 1300 s at most. */
int64_t vm_answer_ms(const struct lease_timing *timing, int64_t io_ms)
{
	return READS * io_ms + BEGIN_MS + lease_start_ms(timing);
}

bool vm_answer_lost(int error, const char *text)
{
	/* A time-out with a text is the agent's: it answered. */
	return error == -ENOTCONN || error == -EACCES || error == -EPERM || error == -EPROTO ||
	       error == -EHOSTDOWN || (error == -ETIMEDOUT && !text[0]);
}

static bool line_is(const char *line, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(line, word, len) == 0;
}

int vm_start_answer(int error, const char *text, FILE *out, FILE *err)
{
	bool told = false, reason = false;

	/* The outcome comes before its reason, whatever the order of the lines: a terminal shows both
	 * streams. */
	for (int pass = 0; pass < 2; pass++) {
		for (const char *line = text; *line;) {
			size_t len = strcspn(line, "\n");
			bool exists = strncmp(line, WORD_EXISTS, strlen(WORD_EXISTS)) == 0;
			bool outcome =
				exists || line_is(line, len, WORD_STARTED) || line_is(line, len, WORD_FAILED);
			bool known = outcome || line_is(line, len, WORD_CLEANING);

			if (len > 0 && known == (pass == 0)) {
				terminal_put(known ? out : err, line, len);
				fputc('\n', known ? out : err);
				told = told || outcome;
				reason = reason || !known || exists;
			}
			line += len + (line[len] == '\n');
		}
		if (pass == 0 && !told)
			fprintf(out, "%s\n", error < 0 ? WORD_FAILED : WORD_STARTED);
		fflush(out);
	}
	if (error < 0 && !reason) {
		broker_trouble_put(err, error, "");
		fputc('\n', err);
	}
	return error < 0;
}
