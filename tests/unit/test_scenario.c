/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The text of scenarios: what lines mean, and for each that means nothing where it is and what was expected.
 */
#include "tools/simulator/scenario.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_defaults(void **state)
{
	struct scenario s;
	struct scenario_problem problem;

	assert_int_equal(scenario_parse("", 0, &s, &problem), 0);
	assert_int_equal(s.n_hosts, 3);
	assert_int_equal(s.seed, 1);
	assert_int_equal(s.run_ms, 600 * MONO_SECOND);
	assert_int_equal(s.n_events, 0);
	assert_int_equal(s.hosts[3].watchdog, WATCHDOG_HARD);
	assert_int_equal(s.hosts[3].policy.loop, policy_default.loop);
	scenario_done(&s);
}

static void test_whole(void **state)
{
	static const char text[] = "# about it\n"
				   "title  A host\tgoes # away\r\n"
				   "seed 42\n"
				   "hosts 4\n"
				   "host all io_timeout_s=5 loop=5000\n"
				   "host 2 watchdog=soft cpu=900 bridge=down off\n"
				   "\n"
				   "at 3m network all 1000 for 1m30s\n"
				   "at 1h2m3s500ms drift vm -100\n"
				   "at 3m storage 1 hang 300 for 30s\n"
				   "at 10s crash 1 agent\n"
				   "run 2h";
	struct scenario s;
	struct scenario_problem problem;
	char said[SCENARIO_TEXT_MAX];

	assert_int_equal(scenario_parse(text, strlen(text), &s, &problem), 0);
	assert_string_equal(s.title, "A host goes");
	assert_int_equal(s.seed, 42);
	assert_int_equal(s.n_hosts, 4);
	assert_int_equal(s.run_ms, 7200 * MONO_SECOND);
	assert_int_equal(s.hosts[4].policy.lease.io_timeout_s, 5);
	assert_int_equal(s.hosts[2].policy.loop, 5000);
	assert_int_equal(s.hosts[2].watchdog, WATCHDOG_SOFT);
	assert_int_equal(s.hosts[2].cpu, 900);
	assert_int_equal(s.hosts[2].bridge, 0);
	assert_true(s.hosts[2].off);
	assert_false(s.hosts[1].off);
	assert_int_equal(s.n_events, 4);
	/* By time, those of one moment as they stand. */
	scenario_event_text(&s.events[0], said);
	assert_string_equal(said, "crash 1 agent");
	scenario_event_text(&s.events[1], said);
	assert_string_equal(said, "network all 1000 for 90 s");
	scenario_event_text(&s.events[2], said);
	assert_string_equal(said, "storage 1 hang 300 for 30 s");
	scenario_event_text(&s.events[3], said);
	assert_string_equal(said, "drift vm -100");
	assert_int_equal(s.events[3].host, SCENARIO_VM_HOST);
	assert_int_equal(s.events[3].at, 3723500);
	assert_int_equal(s.events[3].line, 9);
	scenario_done(&s);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *expected;
	} rows[] = {
		{"jump 1", 1, "expected title, seed, hosts, host, at or run, not jump"},
		{"\n\nhosts", 3, "expected 1..2000 after hosts, not nothing"},
		{"hosts 0", 1, "expected 1..2000 after hosts, not 0"},
		{"hosts 2001", 1, "expected 1..2000 after hosts, not 2001"},
		{"hosts 2 3", 1, "expected the line's end, not 3"},
		{"hosts 2\nhosts 3", 2, "expected hosts once"},
		{"host 1 off\nhosts 3", 2, "expected hosts once, before the lines that name hosts"},
		{"seed x", 1, "expected a number 0..9223372036854775807 after seed, not x"},
		{"seed 1\nseed 1", 2, "expected seed once"},
		{"run 0s", 1, "expected a time up to 30 days like 90s, 2m30s or 1h after run, not 0s"},
		{"run 31d", 1, "expected a time"},
		{"run 721h", 1, "expected a time"},
		{"run 10", 1, "expected a time"},
		{"run 1s1m", 1, "expected a time"},
		{"run 1s1s", 1, "expected a time"},
		{"run 99999999999999999999s", 1, "expected a time"},
		{"title", 1, "expected words after title"},
		{"host 4 off", 1, "expected a host 1..3 or all after host, not 4"},
		{"host 1", 1, "expected settings after host 1"},
		{"host 1 colour=red", 1, "expected off, local-maintenance, watchdog= "},
		{"host 1 watchdog=big", 1, "expected watchdog=none|soft|hard, not big"},
		{"host 1 cpu=1001", 1, "expected cpu=0..1000, not 1001"},
		{"host 1 base=0", 1, "expected a value of that key within its range, not base=0"},
		{"host 1 loop=0", 1, "expected a value of that key within its range, not loop=0"},
		{"host 1 io_timeout_s=61", 1, "expected a value of that key within its range"},
		{"at", 1, "expected a time up to 30 days like 90s, 2m30s or 1h after at, not nothing"},
		{"at 5s", 1,
		 "expected a fault (hosted-engine-sim(1) lists them) after the time, not nothing"},
		{"at 5s explode 1", 1,
		 "expected a fault (hosted-engine-sim(1) lists them) after the time, not explode"},
		{"at 5s power-cut", 1, "expected a host 1..3, vm or all after power-cut, not nothing"},
		{"at 5s power-cut 1 2", 1, "expected for TIME or the line's end, not 2"},
		{"at 5s power-on 1 for 3s", 1, "expected the line's end, not for"},
		{"at 5s stall 1", 1, "expected for TIME, not nothing"},
		{"at 5s stall 1 for ever", 1, "expected for TIME, not ever"},
		{"at 5s storage 1 burn", 1,
		 "expected storage HOST eio|hang|lost|torn|stale|slow|other|heal, not burn"},
		{"at 5s storage 1 agent", 1, "expected storage HOST eio"},
		{"at 5s storage 1 eio 0", 1, "expected storage HOST 1..1000 (I/Os in a thousand), not 0"},
		{"at 5s stop 1 guard", 1, "expected stop HOST broker|agent, not guard"},
		{"host vm off", 1, "expected a host 1..3 or all after host, not vm"},
		{"at 5s drift 1 2000", 1, "expected drift HOST -1000..1000 (parts per million), not 2000"},
		{"at 10m power-cut 1", 1,
		 "expected a line `run TIME` with a longer time: it ends after 10 minutes"},
		{"run 5m\nat 6m power-cut 1\nat 1m power-on 1", 2,
		 "expected a time before the end of the run"},
		{"title \x1b[31m\n\x1b", 2, "expected title, seed, hosts, host, at or run, not ?"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct scenario_problem problem = {0};
		struct scenario s;

		print_message("# row %zu: %s\n", i, rows[i].expected); /* the text would break TAP and JUnit */
		assert_int_equal(scenario_parse(rows[i].text, strlen(rows[i].text), &s, &problem), -EINVAL);
		assert_int_equal(problem.line, rows[i].line);
		assert_memory_equal(problem.expected, rows[i].expected, strlen(rows[i].expected));
	}
}

static void test_bytes(void **state)
{
	struct scenario_problem problem = {0};
	struct scenario s;
	char line[2000];

	assert_int_equal(scenario_parse("seed 1\0", 7, &s, &problem), -EINVAL);
	assert_string_equal(problem.expected, "expected text, not a NUL byte");
	memset(line, ' ', sizeof(line));
	assert_int_equal(scenario_parse(line, sizeof(line), &s, &problem), -EINVAL);
	assert_string_equal(problem.expected, "expected a line shorter than 1024 bytes");
	/* No byte beyond the size is read. */
	assert_int_equal(scenario_parse("seed 12", 6, &s, &problem), 0);
	assert_int_equal(s.seed, 1);
	scenario_done(&s);
}

/* The manual names every fault, every word of one, and every setting. */
static void test_manual(void **state)
{
	static const char *const settings[] = {
		"off",	   "local-maintenance", "watchdog=", "drift=", "network=",
		"bridge=", "memory=",		"cpu=",	     "boot=",  "tries=",
		"config="};
	char path[4096], *page = NULL, wanted[64];
	size_t size = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/man/hosted-engine-sim.1.scd", getenv("SOURCE_ROOT"));
	f = fopen(path, "r");
	assert_non_null(f);
	assert_true(getdelim(&page, &size, '\0', f) > 0);
	fclose(f);
	for (enum scenario_fault fault = 0; fault < FAULT_COUNT; fault++) {
		snprintf(wanted, sizeof(wanted), "*%s*", scenario_fault_str(fault));
		print_message("# %s\n", wanted);
		assert_non_null(strstr(page, wanted));
	}
	for (enum scenario_how how = HOW_NONE + 1; how < HOW_COUNT; how++)
		assert_non_null(strstr(page, scenario_how_str(how)));
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		snprintf(wanted, sizeof(wanted), "*%s*", settings[i]);
		assert_non_null(strstr(page, wanted));
	}
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_whole),
		cmocka_unit_test(test_refused),	 cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
