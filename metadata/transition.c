/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides how a change of state is written down. A line that makes no sense is passed over: the file is for
 * people. Called by the agent and by hosted-engine. */
#include "metadata/transition.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void transition_format(const struct transition *transition, char ret[TRANSITION_LINE])
{
	int n = snprintf(ret, TRANSITION_LINE, "%" PRId64 " %s %s %s %" PRId32 "\n", transition->wall,
			 transition->from, transition->to, transition->reason, transition->score);

	assert(n > 0 && n < TRANSITION_LINE);
}

size_t transitions_parse(const char *text, struct transition ret[TRANSITIONS_MAX])
{
	size_t n = 0;

	while (*text) {
		size_t length = strcspn(text, "\n");
		char line[TRANSITION_LINE], end;
		struct transition it;

		if (length < sizeof(line)) {
			memcpy(line, text, length);
			line[length] = '\0';
			if (sscanf(line, "%" SCNd64 " %39s %39s %39s %" SCNd32 " %c", &it.wall, it.from,
				   it.to, it.reason, &it.score, &end) == 5) {
				if (n == TRANSITIONS_MAX)
					memmove(&ret[0], &ret[1], --n * sizeof(ret[0]));
				ret[n++] = it;
			}
		}
		text += length + (text[length] == '\n');
	}
	return n;
}
