/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Puts the score's breakdown into a record, so that every host can tell why a host has the score it has.
 * Called by the broker. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "metadata/record.h"

void record_set_penalties(struct record *record, const struct score *score)
{
	size_t at = 0;

	record->penalties[0] = '\0';
	for (int i = 0; i < PENALTY_COUNT; i++) {
		const struct penalty_entry *entry = &score->entries[i];
		char text[2 * RECORD_WORD_SIZE];
		int length;

		if (entry->points <= 0)
			continue;
		length = snprintf(text, sizeof(text), "%s%s:%d:%" PRId64 ":%" PRId64, at > 0 ? "," : "",
				  penalty_str((enum penalty)i), entry->points,
				  entry->since > 0 ? entry->since / MONO_SECOND : 0,
				  entry->until > 0 && entry->until != MONO_NEVER ? entry->until / MONO_SECOND
										 : 0);
		/* What does not fit is left out whole. */
		if (length < 0 || (size_t)length >= sizeof(text) ||
		    at + (size_t)length >= sizeof(record->penalties))
			return;
		memcpy(record->penalties + at, text, (size_t)length + 1);
		at += (size_t)length;
	}
}
