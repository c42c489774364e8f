/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every recorded piece of whiteboard is answered as its JSON says the existing reader answered it, and what
 * its writer was given gives the same bytes. Where we differ on purpose stands in the tables below with the
 * reason; a row that is not needed is an error. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "metadata/global.h"
#include "metadata/record.h"
#include "tests/vectors/vector_file.h"

CLEANUP_DEFINE(json_t *, json_decref)
#define _cleanup_json_ _cleanup_(json_decref_p)

static struct difference {
	const char *name, *why;
	enum record_fault fault;
	bool used;
} record_differences[] = {
	{"ts-neg", "numbers are decimal digits", RECORD_BAD, false},
	{"ts-plus", "numbers are decimal digits", RECORD_BAD, false},
	{"ts-underscore", "numbers are decimal digits", RECORD_BAD, false},
	{"ver-parse-arabic-digit", "blocks are bytes, not characters", RECORD_BAD, false},
	{"id-nonnumeric", "field 4 must be the number of the block", RECORD_BAD, false},
	{"trunc-0000", "what is beyond the end is zeros, and a block of zeros is absent", RECORD_ABSENT,
	 false},
};

/* The old agent's loop ends at these; a status that says nothing is an engine that nobody knows. */
static struct rank_difference {
	const char *name, *why;
	int rank;
	bool used;
} rank_differences[] = {
	{"status-None", "no status", 0, false},
	{"status-no-health", "up with unknown health ranks as bad", 3, false},
	{"status-weird", "unknown words", 0, false},
	{"status-nonstring", "unknown words", 0, false},
};

static struct global_difference {
	const char *name, *why;
	enum flag flag;
	bool used;
} global_differences[] = {
	{"global-short", "what is beyond the end is zeros", FLAG_YES, false},
	{"global-nonutf8", "blocks are bytes: the key is there", FLAG_YES, false},
};

static struct image_difference {
	const char *name, *why;
	uint16_t bad_host;
	bool used;
} image_differences[] = {
	{"image-nonutf8-one-byte", "blocks are bytes: a broken block is one unreadable host", 3, false},
};

static struct writer_difference {
	const char *name, *why;
	bool used;
} writer_differences[] = {
	{"write-engine-status-null", "we always write vm, health and detail", false},
	{"write-hostname-nonascii", "we write ASCII", false},
};

#define FIND(table, wanted)                                                                                  \
	({                                                                                                   \
		__typeof__(&(table)[0]) found_ = NULL;                                                       \
		for (size_t i_ = 0; i_ < sizeof(table) / sizeof((table)[0]); i_++)                           \
			if (strcmp((table)[i_].name, wanted) == 0)                                           \
				found_ = &(table)[i_];                                                       \
		if (found_)                                                                                  \
			found_->used = true;                                                                 \
		found_;                                                                                      \
	})

#define ASSERT_ALL_USED(table)                                                                               \
	for (size_t i_ = 0; i_ < sizeof(table) / sizeof((table)[0]); i_++)                                   \
		if (!(table)[i_].used)                                                                       \
	fail_msg("%s (%s): the difference does not occur", (table)[i_].name, (table)[i_].why)

static const json_t *result_of(const json_t *outcome)
{
	return json_is_true(json_object_get(outcome, "ok")) ? json_object_get(outcome, "result") : NULL;
}

static enum record_fault fault_of(const json_t *outcome)
{
	const char *exception = json_string_value(json_object_get(outcome, "exception"));
	const char *message = json_string_value(json_object_get(outcome, "message"));

	if (result_of(outcome))
		return RECORD_OK;
	assert_non_null(exception);
	if (strcmp(exception, "FatalMetadataError") == 0)
		return RECORD_TOO_NEW;
	if (strcmp(exception, "MetadataError") == 0 && strstr(message, "too old"))
		return RECORD_TOO_OLD;
	return RECORD_BAD;
}

static void assert_text(const char *name, const char *what, const char *got, size_t length,
			const json_t *expected)
{
	size_t wanted = expected ? json_string_length(expected) : 0;

	if (wanted != length || (expected && memcmp(json_string_value(expected), got, length) != 0))
		fail_msg("%s: %s is \"%.*s\"", name, what, (int)length, got);
}

static void assert_number(const char *name, const char *what, json_int_t got, const json_t *expected)
{
	json_int_t wanted = json_is_boolean(expected) ? json_is_true(expected) : json_integer_value(expected);

	assert_non_null(expected);
	if (got != wanted)
		fail_msg("%s: %s is %lld, recorded is %lld", name, what, (long long)got, (long long)wanted);
}

/* A field is in the JSON exactly when the line has it. */
static void assert_optional(const char *name, const char *what, bool present, json_int_t got,
			    const json_t *result)
{
	const json_t *expected = json_object_get(result, what);

	if (present != (expected != NULL))
		fail_msg("%s: %s is %s", name, what, present ? "there" : "missing");
	if (present)
		assert_number(name, what, got, expected);
}

static void assert_record(const char *name, const uint8_t *block, const struct record *record,
			  const json_t *result)
{
	char crc[16];
	const json_t *crc32 = json_object_get(result, "crc32");

	assert_number(name, "host-id", record->host_id, json_object_get(result, "host-id"));
	assert_number(name, "host-ts", (json_int_t)record->claim.timestamp,
		      json_object_get(result, "host-ts"));
	assert_number(name, "score", record->claim.score, json_object_get(result, "score"));
	assert_text(name, "engine-status", record->status, strlen(record->status),
		    json_object_get(result, "engine-status"));
	assert_text(name, "hostname", record->hostname, strlen(record->hostname),
		    json_object_get(result, "hostname"));
	assert_optional(name, "maintenance", record->n_fields > 7, record->claim.maintenance, result);
	assert_optional(name, "stopped", record->n_fields > 8, record->claim.stopped, result);
	assert_optional(name, "conf_on_shared_storage", record->n_fields > 11, record->config_shared, result);
	assert_optional(name, "local_conf_timestamp", record->n_fields > 11,
			(json_int_t)record->config_timestamp, result);
	snprintf(crc, sizeof(crc), "%08x", record->crc);
	if (record->n_fields > 9)
		assert_text(name, "crc32", crc, strlen(crc), crc32);
	else
		assert_null(crc32);
	assert_text(name, "extra", (const char *)block + record->extra_at, record->extra_length,
		    json_object_get(result, "extra"));
}

static void assert_word(const char *name, const char *what, const char *got, const json_t *engine, int known)
{
	const char *expected = json_string_value(json_object_get(engine, what));

	if (strcmp(got, known >= 0 ? expected : "unknown") != 0)
		fail_msg("%s: %s is %s, recorded is %s", name, what, got, expected);
}

static void assert_engine(const char *name, const struct record *record, const json_t *agent)
{
	const struct claim *claim = &record->claim;
	const json_t *engine = json_object_get(result_of(agent), "engine-status");
	const json_t *score = json_object_get(result_of(agent), "engine_status_score");
	struct rank_difference *difference;
	int rank = engine_rank(claim->vm, claim->health, claim->detail);
#define KNOWN(table, key)                                                                                    \
	(json_object_get(engine, key) ? table##_parse(json_string_value(json_object_get(engine, key))) : -1)

	if (!score)
		score = json_object_get(agent, "engine_status_score");
	assert_non_null(score);
	assert_word(name, "vm", vm_str(claim->vm), engine, KNOWN(vm, "vm"));
	assert_word(name, "health", health_str(claim->health), engine, KNOWN(health, "health"));
	assert_word(name, "detail", detail_str(claim->detail), engine, KNOWN(detail, "detail"));
	assert_text(name, "reason", record->engine_reason, strlen(record->engine_reason),
		    json_object_get(engine, "reason"));
	difference = FIND(rank_differences, name);
	if (difference)
		assert_null(result_of(score));
	else
		assert_non_null(result_of(score));
	assert_int_equal(rank, difference ? difference->rank : json_integer_value(result_of(score)));
}

/* `outcomes` has parse_metadata_to_dict and agent_process_remote_metadata. */
static void assert_block(const char *name, const uint8_t *block, uint16_t slot, const json_t *outcomes)
{
	const json_t *parse = json_object_get(outcomes, "parse_metadata_to_dict");
	enum record_fault recorded = parse ? fault_of(parse) : RECORD_BAD, wanted = recorded, got;
	struct difference *difference = FIND(record_differences, name);
	char cause[RECORD_CAUSE_SIZE];
	struct record record;

	if (difference) {
		assert_int_not_equal(difference->fault, recorded);
		wanted = difference->fault;
	}
	got = record_decode(block, slot, &record, cause);
	if (got != wanted)
		fail_msg("%s, host id %u: %s (%s), wanted %s", name, slot, record_fault_str(got), cause,
			 record_fault_str(wanted));
	assert_int_equal(cause[0] == '\0', got == RECORD_OK || got == RECORD_ABSENT);
	if (got != RECORD_OK)
		return;
	assert_record(name, block, &record, result_of(parse));
	assert_engine(name, &record, json_object_get(outcomes, "agent_process_remote_metadata"));
}

static void assert_global(const char *name, const uint8_t *block, const json_t *outcomes)
{
	const json_t *parse = json_object_get(outcomes, "parse_global_metadata_to_dict");
	const json_t *maintenance = json_object_get(result_of(parse), "maintenance");
	enum flag wanted = json_is_true(maintenance) ? FLAG_YES : result_of(parse) ? FLAG_NO : FLAG_UNKNOWN;
	struct global_difference *difference = FIND(global_differences, name);
	char cause[GLOBAL_CAUSE_SIZE];
	enum flag got = global_decode(block, cause);

	if (difference) {
		assert_int_not_equal(difference->flag, wanted);
		wanted = difference->flag;
	}
	if (got != wanted)
		fail_msg("%s: %s, wanted %s", name, flag_str(got), flag_str(wanted));
	assert_int_equal(cause[0] != '\0', got == FLAG_UNKNOWN);
}

static bool present(const json_t *ids, json_int_t id)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(ids, i, entry) if (json_integer_value(entry) == id) return true;
	return false;
}

static void assert_image(const char *name, const uint8_t *bytes, size_t size, const json_t *recorded)
{
	const json_t *stats = json_object_get(recorded, "broker_get_raw_stats");
	const json_t *ids = json_object_get(result_of(stats), "host_ids_present");
	const json_t *hosts = json_object_get(recorded, "hosts"), *host;
	struct image_difference *difference = FIND(image_differences, name);
	size_t n_blocks = size / BLOCK_SIZE, checked = 0;
	char cause[RECORD_CAUSE_SIZE], key[16];
	struct record record;

	assert_int_equal(size % BLOCK_SIZE, 0);
	assert_int_equal(difference == NULL, ids != NULL);
	for (uint16_t id = 1; id < n_blocks; id++) {
		const uint8_t *block = bytes + (size_t)id * BLOCK_SIZE;
		enum record_fault fault = record_decode(block, id, &record, cause);

		if (difference) {
			assert_int_equal(fault, id == difference->bad_host ? RECORD_BAD : RECORD_OK);
			continue;
		}
		snprintf(key, sizeof(key), "%u", id);
		host = json_object_get(hosts, key);
		/* The list is long for a search; the hosts are the same ones. */
		assert_int_equal(fault != RECORD_ABSENT, host != NULL);
		if (!host)
			continue;
		assert_block(name, block, id, host);
		checked++;
	}
	if (difference)
		return;
	assert_int_equal(checked, json_object_size(hosts));
	assert_int_equal(json_array_size(ids), checked + (bytes[0] != '\0'));
	assert_int_equal(present(ids, 0), bytes[0] != '\0');
	if (bytes[0] != '\0')
		assert_global(name, bytes, json_object_get(recorded, "global"));
	else
		assert_int_equal(global_decode(bytes, cause), FLAG_NO);
}

static void record_from_inputs(const json_t *inputs, struct record *ret, int64_t *ret_wall)
{
	const json_t *engine = json_object_get(inputs, "engine_status"), *value;
	json_int_t timestamp = json_integer_value(json_object_get(inputs, "ts"));
	const char *state = json_string_value(json_object_get(inputs, "state"));
	const char *reason = json_string_value(json_object_get(engine, "reason"));

	*ret = (struct record){0};
	*ret_wall = timestamp + json_integer_value(json_object_get(inputs, "epoch"));
	ret->host_id = (uint16_t)json_integer_value(json_object_get(inputs, "host_id"));
	ret->claim.timestamp = (uint64_t)timestamp;
	ret->claim.score = (int32_t)json_integer_value(json_object_get(inputs, "score"));
	if (engine && json_is_object(engine)) {
		ret->claim.vm = vm_parse(json_string_value(json_object_get(engine, "vm")));
		ret->claim.health = health_parse(json_string_value(json_object_get(engine, "health")));
		ret->claim.detail = detail_parse(json_string_value(json_object_get(engine, "detail")));
	}
	snprintf(ret->engine_reason, sizeof(ret->engine_reason), "%s", reason ? reason : "");
	snprintf(ret->hostname, sizeof(ret->hostname), "%s",
		 json_string_value(json_object_get(inputs, "hostname")));
	snprintf(ret->state, sizeof(ret->state), "%s", state);
	ret->claim.maintenance = strcmp(state, "LocalMaintenance") == 0;
	ret->claim.stopped = strcmp(state, "AgentStopped") == 0;
	ret->config_shared = !json_is_false(json_object_get(inputs, "conf_shared"));
	value = json_object_get(inputs, "vm_ts");
	ret->config_timestamp = (uint64_t)(value ? json_integer_value(value) : timestamp);
	value = json_object_get(
		inputs, "timeout"); /* when the state began; the recording printed a monotonic moment */
	if (value)
		record_time_text(json_integer_value(value) + (strcmp(state, "EngineStop") == 0 ? 300 : 560),
				 ret->timeout);
}

static void assert_written(const char *name, const uint8_t *bytes, const json_t *inputs, bool refused)
{
	uint8_t block[BLOCK_SIZE];
	struct record record;
	int64_t wall;
	int r;

	record_from_inputs(inputs, &record, &wall);
	r = record_encode(&record, wall, block);
	assert_int_equal(r, refused ? -EMSGSIZE : 0);
	if (refused)
		return;
	for (size_t i = 0; i < sizeof(block); i++)
		assert_true(block[i] < 0x80);
	if (FIND(writer_differences, name))
		assert_memory_not_equal(block, bytes, sizeof(block));
	else if (memcmp(block, bytes, sizeof(block)) != 0)
		fail_msg("%s: written is %s\n%s", name, block, block + RECORD_LINE_MAX);
}

static void assert_vector(const char *name)
{
	char file[128];
	size_t size;
	_cleanup_free_ unsigned char *text = NULL;
	_cleanup_free_ unsigned char *bytes = NULL;
	_cleanup_json_ json_t *recorded = NULL;
	const json_t *inputs;
	const char *kind;

	snprintf(file, sizeof(file), "%s.json", name);
	text = vector_read(file, 0, &size);
	recorded = json_loadb((const char *)text, size, JSON_ALLOW_NUL, NULL);
	assert_non_null(recorded);
	kind = json_string_value(json_object_get(recorded, "kind"));
	inputs = json_object_get(recorded, "inputs_given_to_the_original_writer");
	if (strcmp(kind, "writer-refusal") == 0) {
		assert_written(name, NULL, inputs, true);
		return;
	}
	snprintf(file, sizeof(file), "%s.bin", name);
	bytes = vector_read(file, BLOCK_SIZE, &size);
	assert_int_equal(size, json_integer_value(json_object_get(recorded, "size_bytes")));
	if (strcmp(kind, "host-block") == 0) {
		const json_t *id = json_object_get(recorded, "host_id_argument");

		assert_block(name, bytes, (uint16_t)json_integer_value(id), recorded);
		if (inputs)
			assert_written(name, bytes, inputs, false);
	} else if (strcmp(kind, "global-block") == 0) {
		assert_global(name, bytes, recorded);
	} else if (strcmp(kind, "image") == 0) {
		assert_image(name, bytes, size, recorded);
	} else {
		fail_msg("%s: unknown kind %s", name, kind);
	}
}

static void test_all(void **state)
{
	size_t size, n = 0;
	_cleanup_free_ char *index = (char *)vector_read("INDEX.tsv", 0, &size);
	char *rest = index, *line;

	line = strsep(&rest, "\n"); /* the heading */
	while ((line = strsep(&rest, "\n"))) {
		if (*line == '\0')
			continue;
		assert_vector(strsep(&line, "\t"));
		n++;
	}
	assert_int_equal(n, 94);
	ASSERT_ALL_USED(record_differences);
	ASSERT_ALL_USED(rank_differences);
	ASSERT_ALL_USED(global_differences);
	ASSERT_ALL_USED(image_differences);
	ASSERT_ALL_USED(writer_differences);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
