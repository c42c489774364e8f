/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides how a whiteboard reads as JSON: one object on one line, hosts by number, the keys that scripts
 * know, ours after them. Recorded strings stand as they are, escaped to ASCII. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/json_text.h"
#include "tools/status_text.h"
#include "tools/status_view.h"
#include "util/cleanup.h"

#define DUMP_FLAGS JSON_ENSURE_ASCII

static json_t *number_of(uint64_t number)
{
	return number > INT64_MAX ? json_real((double)number) : json_integer((json_int_t)number);
}

/* What tools get for a value that should have been a string: the words of the readers they were made for. */
static json_t *word_of(json_t *value)
{
	_cleanup_free_ char *text = NULL;

	switch (json_typeof(value)) {
	case JSON_STRING:
		return json_incref(value);
	case JSON_TRUE:
		return json_string("True");
	case JSON_FALSE:
		return json_string("False");
	case JSON_NULL:
		return json_string("None");
	default:
		text = json_dumps(value, JSON_ENCODE_ANY);
		return text ? json_string(text) : NULL;
	}
}

/* The engine status: an object of strings always, but null for the text `None`, which says that there was
 * none yet. */
static json_t *engine_status_of(const char *text)
{
	_cleanup_(json_decref_p) json_t *object = NULL;
	json_t *value;
	const char *key;

	if (strcmp(text, "None") == 0)
		return json_null();
	object = json_loads(text, 0, NULL);
	if (!json_is_object(object))
		return json_pack("{s:s, s:s, s:s}", "vm", "unknown", "health", "unknown", "detail",
				 "serialization error");
	json_object_foreach(object, key, value)
	{
		if (!json_is_string(value) && json_object_set_new(object, key, word_of(value)) < 0)
			return NULL;
	}
	return TAKE_PTR(object);
}

static json_t *penalties_of(const struct record *record)
{
	_cleanup_(json_decref_p) json_t *array = json_array();
	const char *cursor = record->penalties;
	struct record_penalty penalty;

	while (record_penalty_next(&cursor, &penalty)) {
		json_t *until = penalty.until_s ? json_integer(penalty.until_s) : json_null();
		json_t *entry = json_pack(
			"{s:o, s:i, s:I, s:o}", "cause", json_text(penalty.word, strlen(penalty.word)),
			"points", (int)penalty.points, "since", (json_int_t)penalty.since_s, "until", until);

		if (json_array_append_new(array, entry) < 0)
			return NULL;
	}
	return TAKE_PTR(array);
}

/* Sets what a record always has and what only newer writers have; each of these helpers may be given NULL,
 * which is an error. */
static int set_known(json_t *host, const struct status_view *v)
{
	const struct record *r = &v->record;
	char crc[9];
	int bad = 0;

	bad |= json_object_set_new(host, "host-id", json_integer(v->id));
	bad |= json_object_set_new(host, "host-ts", number_of(r->claim.timestamp));
	bad |= json_object_set_new(host, "score", json_integer(r->claim.score));
	bad |= json_object_set_new(host, "engine-status", engine_status_of(r->status));
	bad |= json_object_set_new(host, "hostname", json_text(r->hostname, strlen(r->hostname)));
	if (r->n_fields >= 8)
		bad |= json_object_set_new(host, "maintenance", json_boolean(r->claim.maintenance));
	if (r->n_fields >= 9)
		bad |= json_object_set_new(host, "stopped", json_boolean(r->claim.stopped));
	if (r->n_fields >= 10) {
		snprintf(crc, sizeof(crc), "%08" PRIx32, r->crc);
		bad |= json_object_set_new(host, "crc32", json_string(crc));
	}
	if (r->n_fields >= 12) {
		bad |= json_object_set_new(host, "conf_on_shared_storage", json_boolean(r->config_shared));
		bad |= json_object_set_new(host, "local_conf_timestamp", number_of(r->config_timestamp));
	}
	if (v->extra_len > 0)
		bad |= json_object_set_new(host, "extra", json_text(v->extra, v->extra_len));
	return bad;
}

static int set_ours(json_t *host, const struct status_view *v, const struct board_status *status)
{
	const struct record *r = &v->record;
	int bad = 0;

	if (status->live) {
		bad |= json_object_set_new(host, "live-data", json_boolean(v->fresh));
		bad |= json_object_set_new(
			host, "age", v->age_ms < 0 ? json_null() : json_integer(v->age_ms / MONO_SECOND));
		if (v->timeout_s >= 0 && v->fresh)
			bad |= json_object_set_new(host, "timeout-left", json_integer(v->timeout_s));
	}
	if (r->state[0])
		bad |= json_object_set_new(host, "state", json_text(r->state, strlen(r->state)));
	if (r->reason[0])
		bad |= json_object_set_new(host, "reason", json_text(r->reason, strlen(r->reason)));
	bad |= json_object_set_new(host, "penalties", penalties_of(r));
	return bad;
}

static json_t *seconds_since(mono_t since, mono_t now)
{
	return since == MONO_UNSET ? json_null() : json_integer((now - since) / MONO_SECOND);
}

static json_t *ms_of(mono_t ended, int64_t took_ms)
{
	return ended == MONO_UNSET ? json_null() : json_integer(took_ms);
}

static json_t *renewals_of(const struct sanlock_renewals *renewals, mono_t now)
{
	if (!renewals || renewals->count == 0)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "count",
			 (json_int_t)renewals->count, "span",
			 (json_int_t)((renewals->last - renewals->first) / MONO_SECOND), "age",
			 (json_int_t)((now - renewals->last) / MONO_SECOND), "read-ms",
			 (json_int_t)renewals->read_ms, "write-ms", (json_int_t)renewals->write_ms,
			 "slowest-read-ms", (json_int_t)renewals->slowest_read_ms, "slowest-write-ms",
			 (json_int_t)renewals->slowest_write_ms, "timeouts", (json_int_t)renewals->timeouts,
			 "errors", (json_int_t)renewals->errors);
}

static json_t *storage_of(const struct board_status *status)
{
	const struct store_health *store = status->store;
	mono_t now = status->now;

	return json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:i, s:o}", "read-age", seconds_since(store->last_read, now),
		"read-ms", ms_of(store->last_read, store->read_ms), "write-age",
		seconds_since(store->last_write, now), "write-ms", ms_of(store->last_write, store->write_ms),
		"stuck-for", seconds_since(store->stuck_since, now), "stuck-threads", (int)store->stuck,
		"renewals", renewals_of(status->renewals, now));
}

/* NULL: out of memory. */
static json_t *host_of(const struct status_view *v, const struct board_status *status)
{
	_cleanup_(json_decref_p) json_t *host = json_object();
	int bad = 0;

	if (v->fault != RECORD_OK) {
		bad |= json_object_set_new(host, "error", json_string(v->cause));
		if (status->live) {
			bad |= json_object_set_new(host, "host-id", json_integer(v->id));
			bad |= json_object_set_new(host, "live-data", json_false());
		}
	} else {
		bad |= set_known(host, v);
		bad |= set_ours(host, v, status);
	}
	if (status->trouble[0] && v->id == status->own_id)
		bad |= json_object_set_new(host, "trouble",
					   json_text(status->trouble, strlen(status->trouble)));
	if (status->store && v->id == status->own_id)
		bad |= json_object_set_new(host, "storage", storage_of(status));
	return bad ? NULL : TAKE_PTR(host);
}

static json_t *flag_of(enum flag flag)
{
	return flag == FLAG_UNKNOWN ? json_null() : json_boolean(flag == FLAG_YES);
}

static json_t *global_of(const struct status_view *v, const struct board_status *status)
{
	if (v->fault != RECORD_OK)
		return json_pack("{s:s}", "error", v->cause);
	return json_pack("{s:o}", "maintenance", flag_of(status_maintenance(status)));
}

/* `"KEY": VALUE`, with a comma before all but the first. The value is used up; NULL: out of memory. */
static int put_member(const char *key, json_t *value, bool *first, FILE *out)
{
	_cleanup_(json_decref_p) json_t *owned = value;
	char text[16 * 1024];
	size_t size;

	if (!owned)
		return -ENOMEM;
	fprintf(out, "%s\"%s\": ", *first ? "{" : ", ", key);
	*first = false;
	/* A buffer takes a host in one go; the stream would be called for every token. */
	size = json_dumpb(owned, text, sizeof(text), DUMP_FLAGS);
	if (size > 0 && size <= sizeof(text))
		fwrite(text, 1, size, out);
	else if (json_dumpf(owned, out, DUMP_FLAGS) < 0 && !ferror(out))
		return -ENOMEM;
	return 0;
}

/* Host by host: the tree of a large cluster would cost more than all else. */
int status_put_json(const struct board_status *status, FILE *out)
{
	bool first = true;
	char key[16];
	int r;

	for (size_t i = 0; i < status->n_blocks; i++) {
		struct status_view view;

		status_view_of(status, &status->blocks[i], &view);
		/* With a broker block 0 is told by `global_maintenance`: scripts take every other key for a
		 * host. */
		if (view.fault == RECORD_ABSENT || (view.id == 0 && status->live))
			continue;
		snprintf(key, sizeof(key), "%" PRIu32, view.id);
		r = put_member(key, view.id == 0 ? global_of(&view, status) : host_of(&view, status), &first,
			       out);
		if (r < 0)
			return r;
	}
	if (status->live) {
		fprintf(out, "%s\"global_maintenance\": %s", first ? "{" : ", ",
			status->maintenance == FLAG_UNKNOWN ? "null"
			: status->maintenance == FLAG_YES   ? "true"
							    : "false");
		first = false;
	}
	fputs(first ? "{}\n" : "}\n", out);
	return 0;
}

void status_put_error(const char *text, FILE *out)
{
	_cleanup_(json_decref_p) json_t *object = json_object();

	json_object_set_new(object, "error", json_text(text, strlen(text)));
	json_dumpf(object, out, DUMP_FLAGS);
	fputc('\n', out);
}
