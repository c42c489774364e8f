/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing host blocks, reading back what was written, and what damage does. The recorded blocks are
 * test_vectors' matter. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "metadata/record.h"
#include "tests/vectors/vector_file.h"

#define WALL 1700000000

static struct record record_full(void)
{
	return (struct record){
		.host_id = 12,
		.claim = {.timestamp = 4711,
			  .generation = 9,
			  .score = 2400,
			  .vm = VM_UP,
			  .health = HEALTH_BAD,
			  .detail = DETAIL_MIGRATION_SOURCE,
			  .migrating_to = 13,
			  .io_timeout_s = 10,
			  .watchdog_fire_s = 60},
		.config_shared = true,
		.config_timestamp = 4000,
		.hostname = "host12.example.com",
		.engine_reason = "failed liveliness check",
		.state = "EngineMigratingAway",
		.timeout = "Tue Nov 14 22:18:20 2023",
		.reason = "better-host",
		.version = "1.0.0",
		.penalties = "cpu-load:1000:4400:0",
	};
}

static void test_round_trip(void **state)
{
	struct record in = record_full(), out;
	char cause[RECORD_CAUSE_SIZE];
	uint8_t block[BLOCK_SIZE];

	assert_int_equal(record_encode(&in, WALL, block), 0);
	assert_int_equal(record_decode(block, 12, &out, cause), RECORD_OK);
	assert_string_equal(cause, "");
	assert_int_equal(out.n_fields, 12);
	assert_int_equal(out.host_id, 12);
	assert_int_equal(out.claim.timestamp, 4711);
	assert_int_equal(out.claim.generation, 9);
	assert_int_equal(out.claim.score, 2400);
	assert_int_equal(out.claim.vm, VM_UP);
	assert_int_equal(out.claim.health, HEALTH_BAD);
	assert_int_equal(out.claim.detail, DETAIL_MIGRATION_SOURCE);
	assert_false(out.claim.maintenance);
	assert_false(out.claim.stopped);
	assert_int_equal(out.claim.migrating_to, 13);
	assert_int_equal(out.claim.io_timeout_s, 10);
	assert_int_equal(out.claim.watchdog_fire_s, 60);
	assert_true(out.config_shared);
	assert_int_equal(out.config_timestamp, 4000);
	assert_string_equal(out.hostname, in.hostname);
	assert_string_equal(out.engine_reason, in.engine_reason);
	assert_string_equal(out.state, in.state);
	assert_string_equal(out.timeout, in.timeout);
	assert_string_equal(out.reason, in.reason);
	assert_string_equal(out.version, in.version);
	assert_string_equal(out.penalties, in.penalties);
	assert_string_equal(out.status,
			    "{\"vm\": \"up\", \"health\": \"bad\", \"detail\": \"Migration Source\", "
			    "\"reason\": \"failed liveliness check\"}");
}

static void test_text_order(void **state)
{
	static const char text[] =
		"metadata_parse_version=1\nmetadata_feature_version=1\n"
		"timestamp=4711 (Tue Nov 14 22:13:20 2023)\nhost-id=12\nscore=2400\n"
		"vm_conf_refresh_time=4000 (Tue Nov 14 22:01:29 2023)\n"
		"conf_on_shared_storage=True\nmaintenance=False\nstate=EngineMigratingAway\n"
		"stopped=False\ntimeout=Tue Nov 14 22:18:20 2023\ngeneration=9\nio_timeout=10\n"
		"watchdog_fire_timeout=60\nmigrating_to=13\npenalties=cpu-load:1000:4400:0\n"
		"reason=better-host\nversion=1.0.0\n";
	struct record in = record_full();
	uint8_t block[BLOCK_SIZE];

	assert_int_equal(record_encode(&in, WALL, block), 0);
	assert_string_equal(block + RECORD_LINE_MAX, text);
}

static const struct status_row {
	const char *name;
	enum vm vm;
	enum health health;
	const char *reason, *status;
} status_rows[] = {
	{"good has no reason", VM_UP, HEALTH_GOOD, "x",
	 "{\"vm\": \"up\", \"health\": \"good\", \"detail\": \"Up\"}"},
	{"up always has a health", VM_UP, HEALTH_UNKNOWN, "",
	 "{\"vm\": \"up\", \"health\": \"bad\", \"detail\": \"Up\"}"},
	{"separator, quote, newline", VM_DOWN, HEALTH_BAD, "a|b\"c\nd",
	 "{\"vm\": \"down\", \"health\": \"bad\", \"detail\": \"Up\", \"reason\": \"a\\u007cb\\\"c\\nd\"}"},
	{"not ASCII", VM_DOWN, HEALTH_BAD, "\xc3\xa4\x7f",
	 "{\"vm\": \"down\", \"health\": \"bad\", \"detail\": \"Up\", \"reason\": \"\\u00E4\\u007f\"}"},
};

static void test_status(void **state)
{
	for (size_t i = 0; i < sizeof(status_rows) / sizeof(status_rows[0]); i++) {
		const struct status_row *row = &status_rows[i];
		struct record in = {.host_id = 1,
				    .claim = {.vm = row->vm, .health = row->health, .detail = DETAIL_UP}};
		char cause[RECORD_CAUSE_SIZE];
		uint8_t block[BLOCK_SIZE];
		struct record out;

		snprintf(in.engine_reason, sizeof(in.engine_reason), "%s", row->reason);
		assert_int_equal(record_encode(&in, WALL, block), 0);
		assert_int_equal(record_decode(block, 1, &out, cause), RECORD_OK);
		if (strcmp(out.status, row->status) != 0)
			fail_msg("%s: %s", row->name, out.status);
		if (row->health == HEALTH_BAD)
			assert_string_equal(out.engine_reason, row->reason);
	}
}

static void test_nothing_but_ascii(void **state)
{
	struct record in = record_full(), out;
	char cause[RECORD_CAUSE_SIZE];
	uint8_t block[BLOCK_SIZE];

	snprintf(in.hostname, sizeof(in.hostname), "h\xc3\xb6st|\n\x1b[31m.example.com");
	snprintf(in.state, sizeof(in.state), "a=b\nmaintenance=True");
	snprintf(in.version, sizeof(in.version), "\xe2\x82\xac");
	assert_int_equal(record_encode(&in, WALL, block), 0);
	for (size_t i = 0; i < sizeof(block); i++)
		assert_true(block[i] < 0x7f);
	assert_int_equal(record_decode(block, 12, &out, cause), RECORD_OK);
	assert_string_equal(out.hostname, "h?st???[31m.example.com");
	assert_string_equal(out.state, "a?b?maintenance?True");
	assert_string_equal(out.version, "?");
	assert_false(out.claim.maintenance);
}

static void test_too_long(void **state)
{
	struct record in = record_full();
	uint8_t block[BLOCK_SIZE], before[BLOCK_SIZE];

	memset(before, 'z', sizeof(before));
	memset(block, 'z', sizeof(block));
	memset(in.hostname, 'h', 500);
	in.hostname[500] = '\0';
	assert_int_equal(record_encode(&in, WALL, block), -EMSGSIZE);
	memset(in.engine_reason, '|', 200);
	in.engine_reason[200] = '\0';
	assert_int_equal(record_encode(&in, WALL, block), -EMSGSIZE);
	assert_memory_equal(block, before, sizeof(block));
}

static const struct damage_row {
	const char *name, *line; /* `@` stands for the right sum */
	enum record_fault fault;
	const char *cause;
} damage_rows[] = {
	{"another host's", "1|1|5|4|0|null|h|0|0|@|1|5", RECORD_BAD,
	 "record of host id 4 in the block of host id 3"},
	{"too many digits", "1|1|99999999999999999999999|3|0|null|h|0|0|@|1|5", RECORD_BAD,
	 "timestamp is not a number"},
	{"score above its type", "1|1|5|3|2147483648|null|h|0|0|@|1|5", RECORD_BAD, "score is not a number"},
	{"negative score", "1|1|5|3|-1|null|h|0|0|@|1|5", RECORD_BAD, "score is not a number"},
	{"very new", "99999999999999999999{new}", RECORD_TOO_NEW,
	 "written by a newer version (format 999999999, this host knows 1)"},
	{"letters behind the version", "1x|1|5|3|0|null|h|0|0|@|1|5", RECORD_BAD,
	 "parse version is not a number"},
	{"13 fields", "1|1|5|3|0|null|h|0|0|@|1|5|more", RECORD_OK, ""},
	{"11 fields", "1|1|5|3|0|null|h|0|0|@|x", RECORD_OK, ""},
	{"separator last", "1|1|5|3|0|null|", RECORD_OK, ""},
	{"short sum", "1|1|5|3|0|null|h|0|0|0|1|5", RECORD_BAD,
	 "CRC is not 8 hex digits, should be ef4dd144"},
};

static uint32_t sum_of(const char *line)
{
	uint32_t crc = ~0U;

	for (; *line; line++) {
		crc ^= (unsigned char)*line;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

static void test_damage(void **state)
{
	for (size_t i = 0; i < sizeof(damage_rows) / sizeof(damage_rows[0]); i++) {
		const struct damage_row *row = &damage_rows[i];
		const char *at = strchr(row->line, '@');
		char cause[RECORD_CAUSE_SIZE], text[RECORD_LINE_MAX];
		uint8_t block[BLOCK_SIZE] = {0};
		struct record out = {.host_id = 77};
		enum record_fault fault;

		snprintf(text, sizeof(text), "%s", row->line);
		if (at) {
			snprintf(text, sizeof(text), "%.*s00000000%s", (int)(at - row->line), row->line,
				 at + 1);
			snprintf(text, sizeof(text), "%.*s%08x%s", (int)(at - row->line), row->line,
				 sum_of(text), at + 1);
		}
		memcpy(block, text, strlen(text));
		fault = record_decode(block, 3, &out, cause);
		if (fault != row->fault || strcmp(cause, row->cause) != 0)
			fail_msg("%s: %s (%s)", row->name, record_fault_str(fault), cause);
		assert_int_equal(out.host_id, fault == RECORD_OK ? 3 : 77);
	}
}

/* Sectors of two writes in one block: what the text claims belongs to its own line alone. */
static void test_torn(void **state)
{
	static const struct {
		const char *name;
		uint64_t timestamp,
			generation; /* of the write that the text is of; the line's are 4711 and 9 */
		uint32_t io_timeout_s;
		uint16_t migrating_to;
		bool torn;
	} rows[] = {
		{"whole", 4711, 9, 10, 13, false},
		{"text of before a reboot", 200000, 8, 10, 0, true},
		{"text of after a reboot", 5, 10, 10, 0, true},
		{"text of after a reboot, generation not known yet", 5, 0, 10, 0, true},
		{"text with no more than a target", 5, 0, 0, 13, true},
		{"text of a writer before us", 5, 0, 0, 0, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct record line = record_full(), text = record_full(), out;
		uint8_t block[BLOCK_SIZE], other[BLOCK_SIZE];
		char cause[RECORD_CAUSE_SIZE];

		text.claim.timestamp = rows[i].timestamp;
		text.claim.generation = rows[i].generation;
		text.claim.io_timeout_s = rows[i].io_timeout_s;
		text.claim.watchdog_fire_s = rows[i].io_timeout_s ? 60 : 0;
		text.claim.migrating_to = rows[i].migrating_to;
		assert_int_equal(record_encode(&line, WALL, block), 0);
		assert_int_equal(record_encode(&text, WALL, other), 0);
		memcpy(block + RECORD_LINE_MAX, other + RECORD_LINE_MAX, BLOCK_SIZE - RECORD_LINE_MAX);
		assert_int_equal(record_decode(block, 12, &out, cause), RECORD_OK);
		if (out.torn != rows[i].torn)
			fail_msg("%s: torn=%d", rows[i].name, out.torn);
	}
}

/* A write that stopped inside the line. */
static void test_half_written(void **state)
{
	static const struct {
		const char *name;
		uint16_t slot;
		size_t at; /* of the byte that is another */
		char byte;
		bool half;
	} rows[] = {
		{"whole", 12, 0, '1', false},
		{"another timestamp", 12, 4, '5', true},
		{"no digit in its CRC", 12, 137, 'g', true},
		{"in another's block", 13, 4, '5', false},
		{"another host id", 12, 10, '3', false},
		{"another name", 12, 114, 'x', false},
		{"a newer version", 12, 0, '2', false},
		{"no version", 12, 0, 'x', false},
		{"nothing", 12, 0, '\0', false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct record record = record_full();
		uint8_t block[BLOCK_SIZE];
		bool half;

		assert_int_equal(record_encode(&record, WALL, block), 0);
		block[rows[i].at] = (uint8_t)rows[i].byte;
		half = record_half_written(block, rows[i].slot, "host12.example.com");
		if (half != rows[i].half)
			fail_msg("%s: %.150s", rows[i].name, (const char *)block);
	}
}

/* No write can part them: the longest text there is has the last key of a claim in the sector of its
 * timestamp. */
static void test_keys_share_a_sector(void **state)
{
	struct record record = record_full();
	char block[BLOCK_SIZE + 1] = "";
	const char *text = block + RECORD_LINE_MAX, *last;

	record.claim = (struct claim){.timestamp = UINT64_MAX,
				      .generation = UINT64_MAX,
				      .score = INT32_MIN,
				      .migrating_to = HOST_ID_MAX,
				      .io_timeout_s = INT32_MAX,
				      .watchdog_fire_s = INT32_MAX};
	record.host_id = HOST_ID_MAX;
	record.config_timestamp = UINT64_MAX;
	record.config_shared = false;
	memset(record.state, 's', sizeof(record.state) - 1);
	memset(record.timeout, 't', sizeof(record.timeout) - 1);
	assert_int_equal(record_encode(&record, INT64_MAX, (uint8_t *)block), 0);
	last = strstr(text, "migrating_to=2000\n");
	assert_non_null(last);
	assert_true(last + strlen("migrating_to=2000\n") <= text + 512);
}

static void test_nul_inside(void **state)
{
	static const char line[] = "1|1|5|3|0|null|h\0x";
	char cause[RECORD_CAUSE_SIZE];
	uint8_t block[BLOCK_SIZE] = {0};
	struct record out;

	memcpy(block, line, sizeof(line));
	assert_int_equal(record_decode(block, 3, &out, cause), RECORD_BAD);
	assert_string_equal(cause, "NUL inside the line");
}

/* Every single byte flip, in every way: nothing worse than a bad record, and in the line never an unnoticed
 * one. */
static void test_byte_flips(void **state)
{
	struct record in = record_full(), out;
	char cause[RECORD_CAUSE_SIZE];
	uint8_t block[BLOCK_SIZE];
	size_t line, bad = 0;

	assert_int_equal(record_encode(&in, WALL, block), 0);
	line = strlen((char *)block);
	for (size_t at = 0; at < sizeof(block); at++) {
		for (unsigned flip = 1; flip < 256; flip = at < 1200 ? flip + 1 : flip << 1) {
			enum record_fault fault;

			block[at] ^= (uint8_t)flip;
			fault = record_decode(block, 12, &out, cause);
			if (at < line)
				assert_int_not_equal(fault, RECORD_OK);
			bad += fault == RECORD_BAD;
			if (fault == RECORD_OK) {
				assert_true(out.extra_at + out.extra_length <= BLOCK_SIZE);
				assert_int_equal(out.claim.score, 2400);
			} else if (fault != RECORD_ABSENT) {
				assert_true(cause[0] != '\0');
			}
			block[at] ^= (uint8_t)flip;
		}
	}
	assert_true(bad > line * 250);
	assert_int_equal(record_decode(block, 12, &out, cause), RECORD_OK);
}

static void test_penalties(void **state)
{
	struct record record = {0};
	struct score score = {.value = 2550};
	struct record_penalty found;
	const char *cursor;

	score.entries[PENALTY_CPU_LOAD] = (struct penalty_entry){800, 4400999, MONO_NEVER};
	score.entries[PENALTY_RETRIES] = (struct penalty_entry){50, 4500000, 5100000};
	record_set_penalties(&record, &score);
	cursor = record.penalties;
	assert_true(record_penalty_next(&cursor, &found));
	assert_string_equal(found.word, penalty_str(PENALTY_CPU_LOAD));
	assert_int_equal(found.points, 800);
	assert_int_equal(found.since_s, 4400);
	assert_int_equal(found.until_s, 0);
	assert_true(record_penalty_next(&cursor, &found));
	assert_string_equal(found.word, penalty_str(PENALTY_RETRIES));
	assert_int_equal(found.until_s, 5100);
	assert_false(record_penalty_next(&cursor, &found));
	/* All at once: whole entries, as many as fit. */
	for (int i = 0; i < PENALTY_COUNT; i++)
		score.entries[i] = (struct penalty_entry){3400, INT64_C(1) << 45, INT64_C(1) << 46};
	record_set_penalties(&record, &score);
	assert_true(strlen(record.penalties) > RECORD_PENALTIES_SIZE - 64);
	for (cursor = record.penalties; *cursor;)
		assert_true(record_penalty_next(&cursor, &found));
	/* What makes no sense is passed over. */
	cursor = "x,:1:2:3,a:1:2,b:-1:2:3,c:1:2:3,,d:1:2:99999999999999999999";
	assert_true(record_penalty_next(&cursor, &found));
	assert_string_equal(found.word, "c");
	assert_false(record_penalty_next(&cursor, &found));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_text_order),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_nothing_but_ascii),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_half_written),
		cmocka_unit_test(test_keys_share_a_sector),
		cmocka_unit_test(test_nul_inside),
		cmocka_unit_test(test_byte_flips),
		cmocka_unit_test(test_penalties),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
