/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real hosted-engine-sim, run on recorded whiteboards and logs: what it writes where, and its exit code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "metadata/record.h"
#include "tests/unit/broker_stand_in.h"
#include "tests/unit/command_run.h"

#define STEP                                                                                                 \
	"input now=1000010 machine.state=EngineDown machine.entered=1000010 machine.reason=initialized "     \
	"machine.lease_free_since=1000010 broker_answers=1 vm.vm=down vm.detail=Down vm.seen_at=1000010 "    \
	"cluster.host_id=1 cluster.generation=3 cluster.membership=joined cluster.hosts_known=1 "            \
	"cluster.whiteboard_read=1 cluster.maintenance=no cluster.maintenance_read=1 cluster.watchdog=hard " \
	"cluster.io_timeout_s=10 cluster.watchdog_fire_s=60 cluster.owner=nobody cluster.owner_version=5 "   \
	"cluster.owner_begun=1000005 cluster.held=no cluster.held_begun=1000005\n"
#define MOVED "state EngineDown -> EngineStart reason=best-score score=3400 vs=0\n"
#define OTHER "state EngineDown -> EngineStart reason=alone score=3400 vs=0\n"
#define BEGUN "action start begun state=EngineStart reason=best-score\n"

static char dir[] = "/tmp/test_hosted_engine_sim.XXXXXX";

static const char *file_with(const void *data, size_t size)
{
	static char path[sizeof(dir) + 8];
	FILE *f;

	snprintf(path, sizeof(path), "%s/file", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
	return path;
}

/* Two hosts, the second with something off its score, one that can't be read, and with `third` one more. */
static const char *whiteboard(bool maintenance, bool third)
{
	static uint8_t blocks[5][BLOCK_SIZE];
	struct score score = {.value = 1800};
	struct record record = {
		.claim = {.timestamp = 500,
			  .score = 3400,
			  .vm = VM_UP,
			  .health = HEALTH_GOOD,
			  .detail = DETAIL_UP},
		.host_id = 1,
		.hostname = "host1.example.com",
		.state = "EngineUp",
	};

	memset(blocks, 0, sizeof(blocks));
	memcpy(blocks[0], maintenance ? "maintenance=1" : "maintenance=0", 13);
	assert_int_equal(record_encode(&record, 86400, blocks[1]), 0);
	score.entries[PENALTY_NETWORK] =
		(struct penalty_entry){.points = 1600, .since = 440 * MONO_SECOND, .until = MONO_NEVER};
	record.host_id = 2;
	record.claim = (struct claim){
		.timestamp = 500, .score = 1800, .vm = VM_DOWN, .health = HEALTH_BAD, .detail = DETAIL_DOWN};
	strcpy(record.hostname, "host2\x1b[31m");
	strcpy(record.state, "EngineDown");
	record_set_penalties(&record, &score);
	assert_int_equal(record_encode(&record, 86400, blocks[2]), 0);
	memset(blocks[3], '?', 100);
	record.host_id = 4;
	record.claim.score = 3400;
	record.penalties[0] = '\0';
	if (third)
		assert_int_equal(record_encode(&record, 86400, blocks[4]), 0);
	return file_with(blocks, sizeof(blocks));
}

static void expect(const char *const *args, int code, const char *out, const char *err)
{
	char *said, *complained;
	int is = command_run(args, &said, &complained);

	if (is != code || !strstr(said, out) || !strstr(complained, err))
		print_message("# exit code %d\n%s\n%s", is, said, complained);
	assert_int_equal(is, code);
	assert_non_null(strstr(said, out));
	assert_non_null(strstr(complained, err));
	free(said);
	free(complained);
}

static void test_scores(void **state)
{
	const char *path = whiteboard(true, false);

	expect((const char *[]){"scores", "--whiteboard", path, NULL}, 0,
	       "host 1 host1.example.com: score 3400, EngineUp, VM up and healthy\n", "");
	expect((const char *[]){"scores", "--whiteboard", path, NULL}, 0,
	       "    -1600  network: the network test fails; since Thu Jan  1 23:59:00 1970\n", "");
	expect((const char *[]){"scores", "--whiteboard", path, NULL}, 0,
	       "host 3: its record can't be read: ", "");
	expect((const char *[]){"scores", "--whiteboard", "/nowhere", NULL}, 1, "",
	       "Cannot read /nowhere: No such file or directory. Give --whiteboard ");
}

static void test_scores_json(void **state)
{
	const char *args[] = {"scores", "--json", "--whiteboard", whiteboard(true, false)};
	const char *cause, *meaning, *error;
	char *out, *err;
	json_t *json;
	int points, id;

	assert_int_equal(command_run(args, &out, &err), 0);
	json = json_loads(out, 0, NULL);
	assert_int_equal(json_unpack(json, "{s:b, s:[{s:i}, {s:[{s:s, s:i, s:s}]}, {s:s}]}",
				     "global_maintenance", &id, "hosts", "host-id", &id, "penalties", "cause",
				     &cause, "points", &points, "meaning", &meaning, "error", &error),
			 0);
	assert_int_equal(id, 1);
	assert_string_equal(cause, "network");
	assert_int_equal(points, 1600);
	json_decref(json);
	free(out);
	free(err);
}

/* Without a broker it says what to do without one. */
static void test_no_broker(void **state)
{
	setenv("OVIRT_HA_BROKER_SOCKET", "no-such-broker", 1);
	expect((const char *[]){"scores", NULL}, 1, "", "--whiteboard=FILE");
}

/* Asked of the broker: the lease's owner is there, and records of hosts that it calls fresh. */
static void test_live(void **state)
{
	static uint8_t block[BLOCK_SIZE];
	static const struct script script = {.maintenance = FLAG_NO, .here_for = 100, .block = block};
	struct record record = {
		.claim = {.timestamp = 500, .score = 3400, .vm = VM_UP, .health = HEALTH_GOOD},
		.host_id = 1,
		.hostname = "host1",
		.state = "EngineUp",
	};
	char name[64];
	pid_t broker;

	assert_int_equal(record_encode(&record, 86400, block), 0);
	snprintf(name, sizeof(name), "test_hosted_engine_sim.%d", (int)getpid());
	setenv("OVIRT_HA_BROKER_SOCKET", name, 1);
	broker = broker_stand_in_start(&script);
	assert_true(broker > 0);
	expect((const char *[]){"scores", NULL}, 0, "host 1 host1: score 3400, EngineUp, VM up and healthy\n",
	       "");
	expect((const char *[]){"what-if", "--kill=1", NULL}, 0, "Now: host 1 runs the VM; 1 host lives.\n",
	       "");
	expect((const char *[]){"what-if", "--kill=2", NULL}, 1, "", "these do: 1. ");
	assert_int_equal(broker_stand_in_stop(broker), 0);
}

static void test_replay(void **state)
{
	static const struct {
		const char *name, *log;
		int code;
		const char *out, *err;
	} rows[] = {
		{"as logged", STEP MOVED BEGUN, 0, "the log says the same", ""},
		{"two steps", STEP MOVED BEGUN STEP MOVED BEGUN, 0, "2 steps, 0 differ", ""},
		{"another version", STEP OTHER BEGUN, 1, "DIFFERS: the log says reason=alone", ""},
		{"no log", "systemd[1]: Started.\n", 1, "", "No step in it"},
		{"unknown key", "a line\ninput now=7 vm.colour=red x=1\n", 1, "",
		 ":2: not known to this version, or out of its range: vm.colour=red\n"},
		{"cut", "input cut=yes now=7\n", 1, "", "can't be replayed"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("# %s\n", rows[i].name);
		expect((const char *[]){"replay", file_with(rows[i].log, strlen(rows[i].log)), NULL},
		       rows[i].code, rows[i].out, rows[i].err);
	}
	expect((const char *[]){"replay", STEP, NULL}, 0,
	       "EngineDown -> EngineStart best-score score=3400 do=start\n"
	       "    why: no other host has a higher score\n",
	       "");
	expect((const char *[]){"replay", STEP, "--json", NULL}, 0, "\"differs\": null", "");
	expect((const char *[]){"replay", "/nowhere", NULL}, 1, "", "Cannot read /nowhere: ");
}

#define WHAT_IF(option) ((const char *[]){"what-if", option, "--whiteboard", path})

static void test_what_if(void **state)
{
	const char *path = whiteboard(false, true);

	expect(WHAT_IF("--kill=1"), 0, "\nHost 4 runs the VM after 1", "");
	expect(WHAT_IF("--kill=1"), 0, "Note: host 3: its record can't be read: it is left out.\n", "");
	expect(WHAT_IF("--kill=1"), 0,
	       "8 x io_timeout (10 s) + watchdog (60 s) = 140 s after its last renewal", "");
	/* The core has found the cause by itself. */
	expect(WHAT_IF("--kill=1"), 0, "  host 2: 1800, EngineDown: ", "");
	expect(WHAT_IF("--kill=1"), 0, "    -1600  network: the network test fails\n", "");
	expect(WHAT_IF("--kill=2"), 0, "\nThe VM stays on host 1.\n", "");
	expect(WHAT_IF("--storage-loss=1"), 0, "\nHost 4 runs the VM after 1", "");
	expect(WHAT_IF("--storage-loss=4"), 0, "\nThe VM stays on host 1.\n", "");
	expect(WHAT_IF("--maintenance=1"), 0, "\nHost 4 runs the VM after ", "");
	expect(WHAT_IF("--maintenance=global"), 0, "\nThe VM stays on host 1.\n", "");
	path = whiteboard(true, true);
	expect(WHAT_IF("--kill=1"), 0, "\nNo host runs the VM.\n", "");
}

static void test_what_if_refused(void **state)
{
	uint8_t blocks[2][BLOCK_SIZE] = {0};
	struct record record = {
		.claim = {.timestamp = 500, .score = 3400, .vm = VM_UP, .health = HEALTH_GOOD}, .host_id = 1};
	const char *path;

	assert_int_equal(record_encode(&record, 86400, blocks[1]), 0);
	path = file_with(blocks, sizeof(blocks));
	expect(WHAT_IF("--maintenance=1"), 0, "\nIt is refused, and nothing changes: ", "");
	expect(WHAT_IF("--maintenance=1"), 0, "\nThe VM stays on host 1.\n", "");
	expect(WHAT_IF("--kill=2"), 1, "", "Host 2 does not live on this whiteboard; these do: 1. See: ");
	expect(WHAT_IF("--kill=x"), 1, "", "--kill=x: expected a host id 1..2000. Try: ");
	expect(WHAT_IF("--kill=0"), 1, "", "--kill=0: expected a host id 1..2000. Try: ");
	expect(WHAT_IF("--maintenance=local"), 1, "", "expected a host id 1..2000 or global. Try: ");
	expect((const char *[]){"what-if", "--whiteboard", path, NULL}, 1, "", "needs one of --kill=N");
	expect((const char *[]){"what-if", "--kill=1", "--storage-loss=1", NULL}, 1, "",
	       "needs one of --kill=N");
	memset(blocks, 0, sizeof(blocks));
	path = file_with(blocks, sizeof(blocks));
	expect(WHAT_IF("--kill=1"), 1, "", "No host lives on this whiteboard");
}

/* The parts of the time sum up to it, and no run is out of what sanlock's timeouts allow. */
static void test_what_if_json(void **state)
{
	char option[sizeof(dir) + 32], *out, *err;
	const char *args[] = {"what-if", "--kill=1", option, "--json"};
	json_t *json, *parts, *runs, *scores, *item;
	json_int_t answers, earliest, latest, sum = 0;
	size_t i;

	snprintf(option, sizeof(option), "--whiteboard=%s", whiteboard(false, true));
	assert_int_equal(command_run(args, &out, &err), 0);
	json = json_loads(out, 0, NULL);
	assert_int_equal(json_unpack(json, "{s:I, s:I, s:I, s:o, s:o, s:o}", "answers_ms", &answers,
				     "earliest_ms", &earliest, "latest_ms", &latest, "parts", &parts, "runs",
				     &runs, "scores", &scores),
			 0);
	json_array_foreach(parts, i, item) sum += json_integer_value(json_object_get(item, "ms"));
	assert_int_equal(sum, answers);
	/* What is left of the dead time, when the renewal was up to 20 s before. */
	assert_in_range(json_integer_value(json_object_get(json_array_get(parts, 0), "ms")), 119000, 140000);
	assert_int_equal(json_array_size(runs), 8);
	assert_int_equal(json_array_size(scores), 3);
	assert_in_range(earliest, 115000, latest);
	assert_in_range(latest, earliest, 165000);
	json_array_foreach(runs, i, item)
	{
		json_int_t before = json_integer_value(json_object_get(item, "renewed_before_ms"));
		json_int_t begins = json_integer_value(json_object_get(item, "runs_ms"));

		/* Never before the host is dead. */
		assert_true(begins + before >= 140000);
		assert_false(json_is_true(json_object_get(item, "two_ran")));
	}
	json_decref(json);
	free(out);
	free(err);
}

static void test_run(void **state)
{
	static const struct {
		const char *name, *text;
		int code;
		const char *out, *err;
	} rows[] = {
		{"healthy", "run 2m\n", 0, "end: the VM runs on host ", ""},
		{"too short", "run 10s\n", 0, "   10.000  end: the VM runs nowhere\n", ""},
		{"fault", "at 2m qemu-crash vm\nrun 130s\n", 0, "  120.000  fault qemu-crash vm: host ", ""},
		{"over again", "at 2m bridge 3 down for 5s\nrun 130s\n", 0,
		 "  125.000  over bridge 3 down for 5 s\n", ""},
		{"refused", "at 1s vm-start 1\nrun 2s\n", 0, "refused: ", ""},
		{"wrong", "hosts 3\nat 5s burn 1\n", 1, "", "/file:2: expected a fault "},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("# %s\n", rows[i].name);
		expect((const char *[]){"run", file_with(rows[i].text, strlen(rows[i].text)), NULL},
		       rows[i].code, rows[i].out, rows[i].err);
	}
	expect((const char *[]){"run", "/nowhere", NULL}, 1, "",
	       "Cannot read /nowhere: No such file or directory. Give");
	expect((const char *[]){"run", file_with("run 5s", 6), "--log", NULL}, 0,
	       " service sanlock started\n", "");
	expect((const char *[]){"run", file_with("run 5s", 6), "--svg=/nowhere/x", NULL}, 1, "",
	       "Cannot write /nowhere/x: ");
}

/* The same text gives the same log, to the letter. */
static void test_run_again(void **state)
{
	static const char text[] = "at 3m storage vm eio 500 for 1m\nat 5m power-cut vm for 1m\nrun 20m\n";
	const char *args[] = {"run", file_with(text, strlen(text)), "--log", NULL};
	char *first, *second, *err;

	assert_int_equal(command_run(args, &first, &err), 0);
	free(err);
	assert_int_equal(command_run(args, &second, &err), 0);
	free(err);
	assert_true(strlen(first) > 10000);
	assert_string_equal(first, second);
	free(first);
	free(second);
}

/* What the simulated agents log can be taken again, and is the same. */
static void test_replay_of_run(void **state)
{
	static const char text[] = "at 3m qemu-crash vm\nat 5m local-maintenance vm on\nrun 8m\n";
	const char *args[] = {"run", file_with(text, strlen(text)), "--log", NULL};
	char *log, *err, *summary;

	assert_int_equal(command_run(args, &log, &err), 0);
	free(err);
	args[0] = "replay";
	args[1] = file_with(log, strlen(log));
	args[2] = NULL;
	free(log);
	assert_int_equal(command_run(args, &log, &err), 0);
	summary = strstr(log, " steps, 0 differ from the log\n");
	assert_non_null(summary);
	while (summary > log && summary[-1] != '\n')
		summary--;
	assert_in_range(atoi(summary), 4, 100);
	free(log);
	free(err);
}

static void test_run_json(void **state)
{
	static const char text[] = "at 2m power-cut vm\nrun 6m\n";
	char svg[sizeof(dir) + 16], *out, *err, begin[5] = "";
	const char *args[] = {"run", file_with(text, strlen(text)), "--json", svg};
	int vm, two, faults = 0;
	json_t *json, *changes, *change;
	size_t i;
	FILE *f;

	snprintf(svg, sizeof(svg), "--svg=%s/svg", dir);
	assert_int_equal(command_run(args, &out, &err), 0);
	json = json_loads(out, 0, NULL);
	assert_int_equal(
		json_unpack(json, "{s:o, s:i, s:b}", "changes", &changes, "vm", &vm, "two_ran", &two), 0);
	assert_false(two);
	assert_in_range(vm, 1, 3);
	json_array_foreach(changes, i, change)
	{
		const char *kind;

		assert_int_equal(json_unpack(change, "{s:s, s:I}", "kind", &kind, "at_ms", &(json_int_t){0}),
				 0);
		faults += strcmp(kind, "fault") == 0;
	}
	assert_int_equal(faults, 1);
	json_decref(json);
	free(out);
	free(err);
	f = fopen(svg + strlen("--svg="), "r");
	assert_non_null(f);
	assert_int_equal(fread(begin, 1, 4, f), 4);
	fclose(f);
	assert_string_equal(begin, "<svg");
}

/* It has a name, though the scenario has none and no file. */
static void test_picture_from_standard_input(void **state)
{
	char svg[sizeof(dir) + 16], text[4096] = "";
	FILE *f;

	assert_non_null(freopen(file_with("run 5s\n", 7), "r", stdin));
	snprintf(svg, sizeof(svg), "--svg=%s/svg", dir);
	expect((const char *[]){"run", "-", svg, NULL}, 0, "end: ", "");
	f = fopen(svg + strlen("--svg="), "r");
	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	assert_non_null(strstr(text, ">A scenario</text>"));
}

static int begin(void **state)
{
	setenv("HOSTED_ENGINE", getenv("HOSTED_ENGINE_SIM"), 1);
	setenv("TZ", "UTC", 1);
	return mkdtemp(dir) ? 0 : -1;
}

static int end(void **state)
{
	char command[sizeof(dir) + 16];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scores),
		cmocka_unit_test(test_scores_json),
		cmocka_unit_test(test_no_broker),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_what_if),
		cmocka_unit_test(test_what_if_refused),
		cmocka_unit_test(test_what_if_json),
		cmocka_unit_test(test_run),
		cmocka_unit_test(test_run_again),
		cmocka_unit_test(test_run_json),
		cmocka_unit_test(test_picture_from_standard_input),
		cmocka_unit_test(test_replay_of_run),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
