/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scores: what each host says of its score, with the causes in words. Decides the wording alone; the records
 * decide the numbers. Everything of a record is untrusted and cleaned. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/score.h"
#include "tools/json_text.h"
#include "tools/simulator/board_option.h"
#include "tools/simulator/meanings.h"
#include "tools/simulator/simulator_commands.h"
#include "tools/status_view.h"
#include "tools/terminal_text.h"
#include "util/cleanup.h"

CLEANUP_DEFINE(struct board *, board_close)

/* What a newer writer's word means is not known here. */
static const char *meaning_of(const struct record_penalty *penalty)
{
	int value = penalty_parse(penalty->word);

	return value < 0 ? "a cause that this version does not know" : penalty_meaning((enum penalty)value);
}

static void put_moment(const char *before, const struct status_view *view, int64_t moment_s)
{
	int64_t away = (int64_t)view->record.claim.timestamp - moment_s;
	char text[RECORD_WORD_SIZE];

	if (status_view_moment(view, moment_s, text))
		printf("%s%s", before, text);
	else
		printf("%s%" PRId64 " s %s its last word", before, away < 0 ? -away : away,
		       away < 0 ? "after" : "before");
}

static size_t put_penalties(const struct status_view *view)
{
	const char *cursor = view->record.penalties;
	struct record_penalty penalty;
	size_t n = 0;

	for (; record_penalty_next(&cursor, &penalty); n++) {
		printf("    %5" PRId32 "  ", -penalty.points);
		terminal_put(stdout, penalty.word, strlen(penalty.word));
		printf(": %s", meaning_of(&penalty));
		put_moment("; since ", view, penalty.since_s);
		if (penalty.until_s != 0)
			put_moment(", until ", view, penalty.until_s);
		putchar('\n');
	}
	return n;
}

static void put_host(const struct status_view *view, bool live)
{
	const struct record *r = &view->record;

	printf("host %" PRIu32, view->id);
	if (view->fault != RECORD_OK) {
		fputs(": its record can't be read: ", stdout);
		terminal_put(stdout, view->cause, strlen(view->cause));
		fputs("\n           It is neither dead nor a host that could start the VM.\n", stdout);
		return;
	}
	putchar(' ');
	terminal_put(stdout, r->hostname, strlen(r->hostname));
	printf(": score %" PRId32, r->claim.score);
	if (r->state[0]) {
		fputs(", ", stdout);
		terminal_put(stdout, r->state, strlen(r->state));
	}
	printf(", VM %s%s\n", vm_str(r->claim.vm),
	       r->claim.vm == VM_UP ? r->claim.health == HEALTH_GOOD ? " and healthy" : ", not healthy" : "");
	if (live && !view->fresh) {
		fputs("           stale: it has not written", stdout);
		if (view->age_ms >= 0)
			printf(" for %" PRId64 " s", view->age_ms / MONO_SECOND);
		fputs(" and does not count\n", stdout);
	}
	if (r->claim.maintenance)
		fputs("           in local maintenance\n", stdout);
	if (put_penalties(view) == 0 && r->claim.score < policy_default.weights.base)
		fputs("           the record does not say what is off the score: its writer does not write "
		      "that\n",
		      stdout);
}

static int put_text(const struct board_status *status)
{
	enum flag maintenance = status_maintenance(status);
	size_t hosts = 0;

	if (maintenance != FLAG_NO)
		fputs(maintenance == FLAG_YES
			      ? "Global maintenance: no host starts, stops or moves the VM.\n"
			      : "It is not known whether there is global maintenance: nothing is begun.\n",
		      stdout);
	for (size_t i = 0; i < status->n_blocks; i++) {
		struct status_view view;

		status_view_of(status, &status->blocks[i], &view);
		if (view.id == 0 || view.fault == RECORD_ABSENT)
			continue;
		put_host(&view, status->live);
		hosts++;
	}
	if (hosts == 0)
		fputs("No host has written to this whiteboard.\n", stdout);
	return 0;
}

static json_t *penalties_json(const struct record *record)
{
	json_t *array = json_array();
	const char *cursor = record->penalties;
	struct record_penalty penalty;

	while (record_penalty_next(&cursor, &penalty))
		json_array_append_new(
			array, json_pack("{s:o, s:i, s:s, s:I, s:o}", "cause",
					 json_text(penalty.word, strlen(penalty.word)), "points",
					 (int)penalty.points, "meaning", meaning_of(&penalty), "since",
					 (json_int_t)penalty.since_s, "until",
					 penalty.until_s ? json_integer(penalty.until_s) : json_null()));
	return array;
}

static json_t *host_json(const struct status_view *view, bool live)
{
	const struct record *r = &view->record;

	if (view->fault != RECORD_OK)
		return json_pack("{s:i, s:s}", "host-id", (int)view->id, "error", view->cause);
	return json_pack("{s:i, s:o, s:i, s:I, s:o, s:s, s:s, s:b, s:o, s:o}", "host-id", (int)view->id,
			 "hostname", json_text(r->hostname, strlen(r->hostname)), "score",
			 (int)r->claim.score, "host-ts", (json_int_t)r->claim.timestamp, "state",
			 json_text(r->state, strlen(r->state)), "vm", vm_str(r->claim.vm), "health",
			 health_str(r->claim.health), "maintenance", r->claim.maintenance, "live-data",
			 live ? json_boolean(view->fresh) : json_null(), "penalties", penalties_json(r));
}

static int put_json(const struct board_status *status)
{
	_cleanup_(json_decref_p) json_t *all = json_object();
	enum flag maintenance = status_maintenance(status);
	json_t *hosts = json_array();

	for (size_t i = 0; i < status->n_blocks; i++) {
		struct status_view view;

		status_view_of(status, &status->blocks[i], &view);
		if (view.id != 0 && view.fault != RECORD_ABSENT)
			json_array_append_new(hosts, host_json(&view, status->live));
	}
	json_object_set_new(all, "global_maintenance",
			    maintenance == FLAG_UNKNOWN ? json_null()
							: json_boolean(maintenance == FLAG_YES));
	json_object_set_new(all, "hosts", hosts);
	return json_line(all, stdout);
}

int simulator_run_scores(const struct invocation *call)
{
	_cleanup_(board_close_p) struct board *board = board_open(call);

	if (!board)
		return 1;
	return invocation_value(call, "json") ? put_json(&board->status) : put_text(&board->status);
}
