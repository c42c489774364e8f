/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides what a block's moments mean. Wall clock text in a record is of its writer's time zone, which nobody
 * knows here: texts of one record are compared with each other only, as if they were UTC. */
#include "tools/status_view.h"

#include <string.h>
#include <time.h>

#include "metadata/global.h"

/* No timeout of the state machine lasts longer. Older writers put a moment of 1970 there. */
#define TIMEOUT_MAX_S (24 * 3600)

/* The text of ctime() in seconds since the epoch as if it were UTC; INT64_MIN: it is none. */
static int64_t wall_parse(const char *text, char after)
{
	struct tm tm = {0};
	const char *end = strptime(text, "%a %b %d %H:%M:%S %Y", &tm);

	return end && *end == after ? (int64_t)timegm(&tm) : INT64_MIN;
}

/* The wall clock beside the record's timestamp: the line `timestamp=S (ctime)`. */
static int64_t wall_of(const char *extra, size_t len)
{
	static const char key[] = "timestamp=";
	const char *end = extra + len;

	while (extra < end) {
		const char *newline = memchr(extra, '\n', (size_t)(end - extra));
		size_t line_len = (size_t)((newline ? newline : end) - extra);
		char line[RECORD_WORD_SIZE * 2];

		if (line_len < sizeof(line) && line_len > strlen(key) &&
		    memcmp(extra, key, strlen(key)) == 0) {
			const char *open;

			memcpy(line, extra, line_len);
			line[line_len] = '\0';
			open = strstr(line, " (");
			return open ? wall_parse(open + 2, ')') : INT64_MIN;
		}
		extra += line_len + 1;
	}
	return INT64_MIN;
}

bool status_view_moment(const struct status_view *view, int64_t moment_s, char ret[RECORD_WORD_SIZE])
{
	int64_t away, wall;
	struct tm tm;
	time_t t;

	if (view->wall == INT64_MIN || view->record.claim.timestamp > INT64_MAX)
		return false;
	if (__builtin_sub_overflow(moment_s, (int64_t)view->record.claim.timestamp, &away) ||
	    __builtin_add_overflow(view->wall, away, &wall))
		return false;
	t = (time_t)wall;
	return gmtime_r(&t, &tm) && strftime(ret, RECORD_WORD_SIZE, "%a %b %e %H:%M:%S %Y", &tm) > 0;
}

static int64_t timeout_left(const struct status_view *view)
{
	int64_t ends, left;

	if (!view->record.timeout[0] || view->wall == INT64_MIN)
		return -1;
	ends = wall_parse(view->record.timeout, '\0');
	if (ends == INT64_MIN || ends < view->wall || ends - view->wall > TIMEOUT_MAX_S)
		return -1;
	left = ends - view->wall - (view->age_ms > 0 ? view->age_ms / MONO_SECOND : 0);
	return left > 0 ? left : 0;
}

void status_view_of(const struct board_status *status, const struct slot_block *slot, struct status_view *ret)
{
	struct status_view *v = ret;

	v->id = slot->id;
	v->cause[0] = '\0';
	v->fresh = slot->fresh;
	v->extra = NULL;
	v->extra_len = 0;
	v->age_ms = v->timeout_s = -1;
	v->wall = INT64_MIN;
	if (slot->id == 0) {
		_Static_assert(RECORD_CAUSE_SIZE >= GLOBAL_CAUSE_SIZE, "the cause of block 0 fits");

		v->fault = slot->block[0] == '\0'				  ? RECORD_ABSENT
			   : global_decode(slot->block, v->cause) == FLAG_UNKNOWN ? RECORD_BAD
										  : RECORD_OK;
		return;
	}
	if (slot->id > HOST_ID_MAX) {
		v->fault = RECORD_ABSENT;
		return;
	}
	v->fault = record_decode(slot->block, (uint16_t)slot->id, &v->record, v->cause);
	if (v->fault != RECORD_OK)
		return;
	v->extra = (const char *)slot->block + v->record.extra_at;
	v->extra_len = v->record.extra_length;
	v->wall = wall_of(v->extra, v->extra_len);
	if (status->live && slot->changed_at != MONO_UNSET && status->now >= slot->changed_at)
		v->age_ms = status->now - slot->changed_at;
	v->timeout_s = timeout_left(v);
}

enum flag status_maintenance(const struct board_status *status)
{
	char cause[GLOBAL_CAUSE_SIZE];

	if (status->live)
		return status->maintenance;
	if (status->n_blocks == 0 || status->blocks[0].id != 0)
		return FLAG_NO;
	return global_decode(status->blocks[0].block, cause);
}
