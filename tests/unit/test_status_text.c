/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The printer of the whiteboard: recorded blocks read as the tools of existing clusters read them, the text
 * is the one that scripts know, ours follows, and nothing of a record reaches a terminal uncleaned. */
#include "tools/status_text.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "metadata/record.h"

#define NOW (1000 * MONO_SECOND)
#define STATUS_UP "{\"vm\": \"up\", \"health\": \"good\", \"detail\": \"Up\"}"

static char *printed(const struct board_status *status, bool json)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	if (json)
		assert_int_equal(status_put_json(status, out), 0);
	else
		status_put_text(status, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

/* What is printed as JSON is one line of plain ASCII. */
static json_t *parsed(const struct board_status *status)
{
	char *text = printed(status, true);
	json_t *json = json_loads(text, JSON_ALLOW_NUL, NULL);

	assert_non_null(json);
	for (const char *p = text; p[1]; p++)
		assert_in_range((unsigned char)*p, ' ', '~');
	assert_int_equal(text[strlen(text) - 1], '\n');
	free(text);
	return json;
}

static void read_vector(const char *name, uint8_t block[BLOCK_SIZE])
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", getenv("VECTORS_DIR"), name);
	f = fopen(path, "rb");
	assert_non_null(f);
	memset(block, 0, BLOCK_SIZE);
	fread(block, 1, BLOCK_SIZE, f);
	fclose(f);
}

static void vector_slot(const char *name, uint32_t id, struct slot_block *ret)
{
	*ret = (struct slot_block){.id = id, .fresh = true, .read_at = NOW, .changed_at = NOW - 3500};
	read_vector(name, ret->block);
}

/* Timestamp 500 at the wall clock 86400, Jan 2 1970 00:00:00 UTC: the test runs in UTC. */
static struct record sample_record(uint16_t id)
{
	struct record r = {
		.claim = {.timestamp = 500,
			  .score = 3400,
			  .vm = VM_UP,
			  .health = HEALTH_GOOD,
			  .detail = DETAIL_UP},
		.host_id = id,
		.config_shared = true,
		.config_timestamp = 400,
		.state = "EngineUp",
	};

	snprintf(r.hostname, sizeof(r.hostname), "host%u.example.com", id);
	return r;
}

static void record_slot(const struct record *record, struct slot_block *ret)
{
	*ret = (struct slot_block){
		.id = record->host_id, .fresh = true, .read_at = NOW, .changed_at = NOW - 3500};
	assert_int_equal(record_encode(record, 86400, ret->block), 0);
}

#define KNOWN_LINES(status, up_to_date)                                                                      \
	"\n\n--== Host host1.example.com (id: 1) status ==--\n\n"                                            \
	"Host ID                            : 1\n"                                                           \
	"Host timestamp                     : 1834567\n"                                                     \
	"Score                              : 3400\n"                                                        \
	"Engine status                      : " status "\n"                                                  \
	"Hostname                           : host1.example.com\n"                                           \
	"Local maintenance                  : False\n"                                                       \
	"stopped                            : False\n"                                                       \
	"crc32                              : e568d2bf\n"                                                    \
	"conf_on_shared_storage             : True\n"                                                        \
	"local_conf_timestamp               : 1834567\n" up_to_date "Extra metadata (valid at timestamp):\n" \
	"\tmetadata_parse_version=1\n"                                                                       \
	"\tmetadata_feature_version=1\n"                                                                     \
	"\ttimestamp=1834567 (Fri Nov 13 19:36:07 2026)\n"                                                   \
	"\thost-id=1\n"                                                                                      \
	"\tscore=3400\n"                                                                                     \
	"\tvm_conf_refresh_time=1834567 (Fri Nov 13 19:36:07 2026)\n"                                        \
	"\tconf_on_shared_storage=True\n"                                                                    \
	"\tmaintenance=False\n"                                                                              \
	"\tstate=EngineUp\n"                                                                                 \
	"\tstopped=False\n"

#define BANNER "\n\n!! Cluster is in GLOBAL MAINTENANCE mode !!\n"

static void test_known_text(void **state)
{
	static const struct {
		const char *name;
		bool live, fresh;
		enum flag maintenance;
		const char *trouble, *text;
	} rows[] = {
		{"live", true, true, FLAG_NO, "",
		 KNOWN_LINES(STATUS_UP,
			     "Status up-to-date                  : True\n") "Record age in seconds           "
									    "   : 3\n"},
		{"stale", true, false, FLAG_NO, "",
		 KNOWN_LINES("unknown stale-data",
			     "Status up-to-date                  : False\n") "Record age in seconds          "
									     "    : 3\n"},
		{"from a file", false, false, FLAG_NO, "", KNOWN_LINES(STATUS_UP, "")},
		{"global maintenance", true, true, FLAG_YES, "",
		 BANNER KNOWN_LINES(STATUS_UP,
				    "Status up-to-date                  : True\n") "Record age in seconds    "
										   "          : 3\n" BANNER},
		{"trouble", true, true, FLAG_NO, "storage: write stuck for 12 s\x1b",
		 KNOWN_LINES(
			 STATUS_UP,
			 "Status up-to-date                  : True\n") "Record age in seconds              "
									": 3\n\n"
									"Trouble of this host's broker      "
									": storage: write stuck for 12 s?\n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct slot_block slot;
		struct board_status status = {.blocks = &slot,
					      .n_blocks = 1,
					      .live = rows[i].live,
					      .now = NOW,
					      .maintenance = rows[i].maintenance,
					      .trouble = rows[i].trouble};
		char *text;

		print_message("# %s\n", rows[i].name);
		vector_slot("state-EngineUp.bin", 1, &slot);
		slot.fresh = rows[i].fresh;
		text = printed(&status, false);
		assert_string_equal(text, rows[i].text);
		free(text);
	}
}

/* Why the score is what it is, since when and until when, and what is left of a timeout: in the writer's
 * words, so that every host shows the same. */
static void test_ours(void **state)
{
	struct slot_block slot;
	struct board_status status = {.blocks = &slot,
				      .n_blocks = 1,
				      .live = true,
				      .now = NOW,
				      .maintenance = FLAG_NO,
				      .trouble = ""};
	struct record record = sample_record(7);
	json_t *all, *json, *penalties;
	char *text;

	snprintf(record.penalties, sizeof(record.penalties),
		 "network:800:440:0,unexpected-shutdown:2600:490:1050");
	snprintf(record.reason, sizeof(record.reason), "vm-gone");
	snprintf(record.timeout, sizeof(record.timeout), "Fri Jan  2 00:05:00 1970");
	record_slot(&record, &slot);
	text = printed(&status, false);
	assert_non_null(strstr(
		text, "Score penalty                      : network 800, since Thu Jan  1 23:59:00 1970\n"
		      "Score penalty                      : unexpected-shutdown 2600, since Thu Jan  1 "
		      "23:59:50 1970, "
		      "until Fri Jan  2 00:09:10 1970\n"
		      "Last change of state because of    : vm-gone\n"
		      "Record age in seconds              : 3\n"
		      "Timeout ends in seconds            : 297\n"));
	free(text);

	all = parsed(&status);
	json = json_object_get(all, "7");
	assert_int_equal(json_integer_value(json_object_get(json, "age")), 3);
	assert_int_equal(json_integer_value(json_object_get(json, "timeout-left")), 297);
	assert_string_equal(json_string_value(json_object_get(json, "state")), "EngineUp");
	penalties = json_object_get(json, "penalties");
	assert_int_equal(json_array_size(penalties), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(penalties, 0), "cause")),
			    "network");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(penalties, 0), "points")), 800);
	assert_true(json_is_null(json_object_get(json_array_get(penalties, 0), "until")));
	assert_int_equal(json_integer_value(json_object_get(json_array_get(penalties, 1), "until")), 1050);
	json_decref(all);
}

/* What the broker and sanlock found of their storage stands under its own host alone, whatever became of its
 * record. */
static void test_storage(void **state)
{
	static const struct {
		const char *name;
		uint16_t own_id;
		bool unreadable;
		struct store_health store;
		struct sanlock_renewals renewals;
		const char *text, *json;
	} rows[] = {
		{"good",
		 7,
		 false,
		 {NOW - 3500, NOW - 1000, 2, 14, MONO_UNSET, 0},
		 {180, NOW - 900000, NOW - 7000, 1, 3, 12, 40, 2, 1},
		 "Record age in seconds              : 3\n"
		 "Storage last read                  : 3 s ago, in 2 ms\n"
		 "Storage last write                 : 1 s ago, in 14 ms\n"
		 "Host id last renewed               : 7 s ago, read in 1 ms, written in 3 ms\n"
		 "Host id renewals                   : 180 in 893 s, slowest read 12 ms, slowest write 40 "
		 "ms, "
		 "timeouts 2, errors 1\n",
		 "{\"read-age\": 3, \"read-ms\": 2, \"write-age\": 1, \"write-ms\": 14, \"stuck-for\": null, "
		 "\"stuck-threads\": 0, \"renewals\": {\"count\": 180, \"span\": 893, \"age\": 7, "
		 "\"read-ms\": 1, \"write-ms\": 3, \"slowest-read-ms\": 12, \"slowest-write-ms\": 40, "
		 "\"timeouts\": 2, \"errors\": 1}}"},
		{"stuck since it began",
		 7,
		 true,
		 {MONO_UNSET, MONO_UNSET, 0, 0, NOW - 12000, 3},
		 {0},
		 "Storage last read                  : never\n"
		 "Storage last write                 : never\n"
		 "Storage stuck                      : for 12 s, threads left behind: 3\n"
		 "Host id last renewed               : unknown\n",
		 "{\"read-age\": null, \"read-ms\": null, \"write-age\": null, \"write-ms\": null, "
		 "\"stuck-for\": 12, \"stuck-threads\": 3, \"renewals\": null}"},
		{"of another host",
		 6,
		 false,
		 {NOW - 3500, NOW - 1000, 2, 14, MONO_UNSET, 0},
		 {.count = 1, .last = NOW},
		 NULL,
		 NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct slot_block slot;
		struct board_status status = {.blocks = &slot,
					      .n_blocks = 1,
					      .live = true,
					      .now = NOW,
					      .maintenance = FLAG_NO,
					      .own_id = rows[i].own_id,
					      .trouble = "",
					      .store = &rows[i].store,
					      .renewals = &rows[i].renewals};
		struct record record = sample_record(7);
		json_t *all, *storage;
		char *text;

		print_message("# %s\n", rows[i].name);
		record_slot(&record, &slot);
		if (rows[i].unreadable)
			memset(slot.block, 0xff, BLOCK_SIZE);
		text = printed(&status, false);
		all = parsed(&status);
		storage = json_object_get(json_object_get(all, "7"), "storage");
		if (rows[i].text) {
			char *json = json_dumps(storage, JSON_PRESERVE_ORDER);

			assert_string_equal(strstr(text, rows[i].text), rows[i].text); /* the last of it */
			assert_string_equal(json, rows[i].json);
			free(json);
		} else {
			assert_null(strstr(text, "Storage"));
			assert_null(strstr(text, "Host id "));
			assert_null(storage);
		}
		json_decref(all);
		free(text);
	}
}

/* A timeout that says nothing is not shown: over, of the clock that older writers take, absurdly far, no time
 * at all. */
static void test_timeouts(void **state)
{
	static const struct {
		const char *name, *text;
		bool fresh;
		int left;
	} rows[] = {
		{"runs", "Fri Jan  2 00:10:00 1970", true, 597},
		{"is over by now", "Fri Jan  2 00:00:02 1970", true, 0},
		{"before the record", "Thu Jan  1 23:00:00 1970", true, -1},
		{"far", "Fri Jan  2 00:10:00 1999", true, -1},
		{"none", "", true, -1},
		{"no time", "soon", true, -1},
		{"of a stale record", "Fri Jan  2 00:10:00 1970", false, -1},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct slot_block slot;
		struct board_status status = {.blocks = &slot,
					      .n_blocks = 1,
					      .live = true,
					      .now = NOW,
					      .maintenance = FLAG_NO,
					      .trouble = ""};
		struct record record = sample_record(7);
		json_t *all, *left;

		print_message("# %s\n", rows[i].name);
		snprintf(record.timeout, sizeof(record.timeout), "%s", rows[i].text);
		record_slot(&record, &slot);
		slot.fresh = rows[i].fresh;
		all = parsed(&status);
		left = json_object_get(json_object_get(all, "7"), "timeout-left");
		assert_int_equal(left ? json_integer_value(left) : -1, rows[i].left);
		json_decref(all);
	}
}

/* Block 0 and blocks that can't be read; one bad block hides no other. */
static void test_faults(void **state)
{
	struct slot_block slots[4];
	struct board_status status = {.blocks = slots, .n_blocks = 4, .now = MONO_UNSET, .trouble = ""};
	struct record record = sample_record(3);
	json_t *all;
	char *text;

	vector_slot("global-written-1.bin", 0, &slots[0]);
	vector_slot("noise-ff.bin", 1, &slots[1]);
	vector_slot("ver-parse-2.bin", 2, &slots[2]);
	record_slot(&record, &slots[3]);

	text = printed(&status, false);
	assert_memory_equal(text, BANNER, strlen(BANNER));
	assert_non_null(strstr(text,
			       "--== Host (id: 1) status ==--\n\nHost ID                            : 1\n"
			       "Record unreadable                  : "));
	assert_non_null(strstr(text, "written by a newer version"));
	assert_non_null(strstr(text, "--== Host host3.example.com (id: 3) status ==--"));
	free(text);

	all = parsed(&status);
	assert_int_equal(json_object_size(all), 4);
	assert_true(json_is_true(json_object_get(json_object_get(all, "0"), "maintenance")));
	assert_int_equal(json_object_size(json_object_get(all, "0")), 1);
	assert_true(json_is_string(json_object_get(json_object_get(all, "1"), "error")));
	assert_int_equal(json_object_size(json_object_get(all, "1")), 1);
	assert_null(json_object_get(json_object_get(all, "3"), "live-data"));
	json_decref(all);

	/* The broker tells the flag: hosts only, and the flag at the end; unknown is null. */
	status.live = true;
	status.now = NOW;
	status.maintenance = FLAG_UNKNOWN;
	status.own_id = 1;
	status.trouble = "stuck";
	all = parsed(&status);
	assert_int_equal(json_object_size(all), 4);
	assert_null(json_object_get(all, "0"));
	assert_true(json_is_null(json_object_get(all, "global_maintenance")));
	assert_true(json_is_false(json_object_get(json_object_get(all, "1"), "live-data")));
	assert_string_equal(json_string_value(json_object_get(json_object_get(all, "1"), "trouble")),
			    "stuck");
	assert_true(json_is_true(json_object_get(json_object_get(all, "3"), "live-data")));
	json_decref(all);

	status.live = false;
	vector_slot("global-garbage.bin", 0, &slots[0]);
	text = printed(&status, false);
	if (strstr(text, "GLOBAL MAINTENANCE"))
		fail();
	free(text);
	vector_slot("global-maint-2.bin", 0, &slots[0]);
	text = printed(&status, false);
	assert_non_null(strstr(text, "It is not known whether the cluster is in global maintenance"));
	assert_non_null(strstr(text, "Global block unreadable            : "));
	free(text);
	all = parsed(&status);
	assert_true(json_is_string(json_object_get(json_object_get(all, "0"), "error")));
	json_decref(all);
}

static void test_cleaned(void **state)
{
	struct slot_block slot;
	struct board_status status = {.blocks = &slot, .n_blocks = 1, .now = MONO_UNSET, .trouble = ""};
	struct record record = sample_record(1);
	char *text, *name;

	/* The writer would escape it: another one may not. */
	record_slot(&record, &slot);
	name = memmem(slot.block + RECORD_LINE_MAX, BLOCK_SIZE - RECORD_LINE_MAX, "state=EngineUp", 14);
	assert_non_null(name);
	memcpy(name, "state=\x1b]0;x\x07", 12);
	text = printed(&status, false);
	assert_null(strpbrk(text, "\x1b\x07"));
	assert_non_null(strstr(text, "\tstate=?]0;x?"));
	free(text);
}

/* Recorded blocks: every key that the clusters' own tools show has the same value here. */
static void test_vectors(void **state)
{
	DIR *dir = opendir(getenv("VECTORS_DIR"));
	struct dirent *entry;
	unsigned compared = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		const char *dot = strrchr(entry->d_name, '.');
		char path[4096];
		json_t *vector, *theirs, *all, *ours, *value, *mine;
		struct slot_block slot;
		struct board_status status = {
			.blocks = &slot, .n_blocks = 1, .now = MONO_UNSET, .trouble = ""};
		const char *key;

		if (!dot || strcmp(dot, ".json") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", getenv("VECTORS_DIR"), entry->d_name);
		vector = json_load_file(path, JSON_ALLOW_NUL, NULL);
		assert_non_null(vector);
		theirs = json_object_get(json_object_get(vector, "agent_process_remote_metadata"), "result");
		if (json_object_size(theirs) > 0) {
			snprintf(path, sizeof(path), "%.*s.bin", (int)(dot - entry->d_name), entry->d_name);
			vector_slot(path, (uint32_t)json_integer_value(json_object_get(theirs, "host-id")),
				    &slot);
			all = parsed(&status);
			ours = json_object_iter_value(json_object_iter(all));
			/* Which blocks are refused here and not there is the codec's affair, and so is
			 * padding in the text. */
			if (!json_object_get(ours, "error") && !strstr(path, "hostname-nonascii")) {
				json_object_foreach(theirs, key, value)
				{
					mine = json_object_get(ours, key);
					if (!mine || !json_equal(mine, value))
						print_message("# %s: %s differs\n", path, key);
					assert_true(mine && json_equal(mine, value));
				}
				/* What a shorter line lacks is not made up. */
				json_object_foreach(ours, key, value)
				{
					if (!json_object_get(theirs, key))
						assert_true(strcmp(key, "state") == 0 ||
							    strcmp(key, "reason") == 0 ||
							    strcmp(key, "penalties") == 0);
				}
				compared++;
			}
			json_decref(all);
		}
		json_decref(vector);
	}
	closedir(dir);
	assert_true(compared >= 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_text), cmocka_unit_test(test_ours),
		cmocka_unit_test(test_storage),	   cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_faults),	   cmocka_unit_test(test_cleaned),
		cmocka_unit_test(test_vectors),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
