/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides how a whiteboard reads as text. The lines down to the extra metadata are known to scripts and stay
 * as they are; ours follow. Moments of a record are shown in its writer's words: computed from the wall clock
 * text beside its timestamp, so that all hosts show the same. */
#include "tools/status_text.h"

#include <inttypes.h>
#include <string.h>

#include "tools/status_view.h"
#include "tools/terminal_text.h"

static void put_label(const char *label, FILE *out)
{
	fprintf(out, "%-35s: ", label);
}

static void put_line(const char *label, const char *text, FILE *out)
{
	put_label(label, out);
	terminal_put(out, text, strlen(text));
	fputc('\n', out);
}

static void put_number(const char *label, int64_t number, FILE *out)
{
	put_label(label, out);
	fprintf(out, "%" PRId64 "\n", number);
}

static void put_bool(const char *label, bool value, FILE *out)
{
	put_line(label, value ? "True" : "False", out);
}

static void put_banner(enum flag maintenance, FILE *out)
{
	if (maintenance == FLAG_YES)
		fputs("\n\n!! Cluster is in GLOBAL MAINTENANCE mode !!\n", out);
	else if (maintenance == FLAG_UNKNOWN)
		fputs("\n\n!! It is not known whether the cluster is in global maintenance !!\n", out);
}

static void put_extra(const struct status_view *view, FILE *out)
{
	const char *at = view->extra, *end = at + view->extra_len;

	fputs("Extra metadata (valid at timestamp):\n", out);
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((newline ? newline : end) - at);

		fputc('\t', out);
		terminal_put(out, at, len);
		fputc('\n', out);
		at += len + (newline != NULL);
	}
}

/* A moment of the writer's clock. */
static void put_moment(const char *before, const struct status_view *view, int64_t moment_s, FILE *out)
{
	char text[RECORD_WORD_SIZE];
	int64_t away = moment_s - (int64_t)view->record.claim.timestamp;

	if (status_view_moment(view, moment_s, text))
		fprintf(out, "%s%s", before, text);
	else
		fprintf(out, "%s%" PRId64 " s %s the record", before, away < 0 ? -away : away,
			away < 0 ? "before" : "after");
}

static void put_penalties(const struct status_view *view, FILE *out)
{
	const char *cursor = view->record.penalties;
	struct record_penalty penalty;

	while (record_penalty_next(&cursor, &penalty)) {
		put_label("Score penalty", out);
		terminal_put(out, penalty.word, strlen(penalty.word));
		fprintf(out, " %" PRId32, penalty.points);
		put_moment(", since ", view, penalty.since_s, out);
		if (penalty.until_s != 0)
			put_moment(", until ", view, penalty.until_s, out);
		fputc('\n', out);
	}
}

static void put_ours(const struct status_view *view, bool live, FILE *out)
{
	put_penalties(view, out);
	if (view->record.reason[0])
		put_line("Last change of state because of", view->record.reason, out);
	if (!live)
		return;
	put_label("Record age in seconds", out);
	if (view->age_ms < 0)
		fputs("unknown\n", out);
	else
		fprintf(out, "%" PRId64 "\n", view->age_ms / MONO_SECOND);
	/* Of a stale record nothing runs any more as far as anybody here knows. */
	if (view->timeout_s >= 0 && view->fresh)
		put_number("Timeout ends in seconds", view->timeout_s, out);
}

static void put_io(const char *label, mono_t ended, int64_t took_ms, mono_t now, FILE *out)
{
	put_label(label, out);
	if (ended == MONO_UNSET)
		fputs("never\n", out);
	else
		fprintf(out, "%" PRId64 " s ago, in %" PRId64 " ms\n", (now - ended) / MONO_SECOND, took_ms);
}

static void put_renewals(const struct sanlock_renewals *renewals, mono_t now, FILE *out)
{
	put_label("Host id last renewed", out);
	if (!renewals || renewals->count == 0) {
		fputs("unknown\n", out);
		return;
	}
	fprintf(out, "%" PRId64 " s ago, read in %" PRId64 " ms, written in %" PRId64 " ms\n",
		(now - renewals->last) / MONO_SECOND, renewals->read_ms, renewals->write_ms);
	put_label("Host id renewals", out);
	fprintf(out,
		"%" PRIu32 " in %" PRId64 " s, slowest read %" PRId64 " ms, slowest write %" PRId64
		" ms, timeouts %" PRIu32 ", errors %" PRIu32 "\n",
		renewals->count, (renewals->last - renewals->first) / MONO_SECOND, renewals->slowest_read_ms,
		renewals->slowest_write_ms, renewals->timeouts, renewals->errors);
}

/* Of this host alone: one whose storage hangs can't write into its record that it does. */
static void put_storage(const struct board_status *status, FILE *out)
{
	const struct store_health *store = status->store;

	put_io("Storage last read", store->last_read, store->read_ms, status->now, out);
	put_io("Storage last write", store->last_write, store->write_ms, status->now, out);
	if (store->stuck_since != MONO_UNSET) {
		put_label("Storage stuck", out);
		fprintf(out, "for %" PRId64 " s, threads left behind: %u\n",
			(status->now - store->stuck_since) / MONO_SECOND, store->stuck);
	}
	put_renewals(status->renewals, status->now, out);
}

static void put_record(const struct status_view *view, bool live, FILE *out)
{
	const struct record *r = &view->record;

	fputs("\n\n--== Host ", out);
	if (view->fault == RECORD_OK)
		terminal_put(out, r->hostname, strlen(r->hostname));
	fprintf(out, "%s(id: %" PRIu32 ") status ==--\n\n", view->fault == RECORD_OK ? " " : "", view->id);
	put_number("Host ID", view->id, out);
	if (view->fault != RECORD_OK) {
		put_line("Record unreadable", view->cause, out);
		return;
	}

	put_label("Host timestamp", out);
	fprintf(out, "%" PRIu64 "\n", r->claim.timestamp);
	put_number("Score", r->claim.score, out);
	put_line("Engine status", live && !view->fresh ? "unknown stale-data" : r->status, out);
	put_line("Hostname", r->hostname, out);
	if (r->n_fields >= 8)
		put_bool("Local maintenance", r->claim.maintenance, out);
	if (r->n_fields >= 9)
		put_bool("stopped", r->claim.stopped, out);
	if (r->n_fields >= 10) {
		put_label("crc32", out);
		fprintf(out, "%08" PRIx32 "\n", r->crc);
	}
	if (r->n_fields >= 12) {
		put_bool("conf_on_shared_storage", r->config_shared, out);
		put_label("local_conf_timestamp", out);
		fprintf(out, "%" PRIu64 "\n", r->config_timestamp);
	}
	if (live)
		put_bool("Status up-to-date", view->fresh, out);
	if (view->extra_len > 0)
		put_extra(view, out);
	put_ours(view, live, out);
}

static void put_host(const struct status_view *view, const struct board_status *status, FILE *out)
{
	put_record(view, status->live, out);
	if (status->store && view->id == status->own_id)
		put_storage(status, out);
}

void status_put_text(const struct board_status *status, FILE *out)
{
	enum flag maintenance = status_maintenance(status);

	put_banner(maintenance, out);
	for (size_t i = 0; i < status->n_blocks; i++) {
		struct status_view view;

		status_view_of(status, &status->blocks[i], &view);
		if (view.id == 0) {
			if (view.fault != RECORD_OK && view.fault != RECORD_ABSENT) {
				fputc('\n', out);
				put_line("Global block unreadable", view.cause, out);
			}
		} else if (view.fault != RECORD_ABSENT) {
			put_host(&view, status, out);
		}
	}
	if (status->trouble[0]) {
		fputc('\n', out);
		put_line("Trouble of this host's broker", status->trouble, out);
	}
	put_banner(maintenance, out);
}
