/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is read from sanlock's own command, and which watchdog a host has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>

#include "lockspace/sanlock_status.h"
#include "tests/unit/sanlock_domain.h"
#include "util/clock.h"

static void test_daemon(void **state)
{
	struct sanlock_status status = {.use_watchdog = 7, .last_renewal_s = 7};
	struct sanlock_renewals renewals = {.count = 7};
	struct sanlock_domain domain;
	mono_t begun;

	(void)state;
	domain_open(&domain);
	assert_int_equal(sanlock_renewals_read("LS", 5000, &renewals), -ECONNREFUSED);
	assert_int_equal(sanlock_status_read("LS", 5000, &status), -ECONNREFUSED);
	assert_int_equal(status.use_watchdog, 7); /* untouched */

	domain_start(&domain);
	assert_int_equal(sanlock_status_read("LS", 5000, &status), 0);
	assert_int_equal(status.use_watchdog, 0);
	assert_int_equal(status.last_renewal_s, -1);
	assert_int_equal(sanlock_renewals_read("LS", 5000, &renewals), -ECONNREFUSED);
	assert_int_equal(renewals.count, 7); /* untouched */
	domain_join(&domain);
	assert_int_equal(sanlock_renewals_read("L", 5000, &renewals), -ECONNREFUSED);
	assert_int_equal(sanlock_renewals_read("LS", 5000, &renewals), 0);
	assert_in_range(renewals.count, 1, 3);
	assert_in_range(renewals.last, clock_mono() - 6000, clock_mono());
	assert_int_equal(sanlock_status_read("L", 5000, &status), 0);
	assert_int_equal(status.last_renewal_s, -1); /* not a prefix */
	assert_int_equal(sanlock_status_read("LS", 5000, &status), 0);
	/* joined: the host id was written a moment ago, by the same clock as ours */
	assert_in_range(status.last_renewal_s, clock_mono() / 1000 - 6, clock_mono() / 1000);

	domain_signal(&domain, SIGSTOP);
	begun = clock_mono();
	assert_int_equal(sanlock_status_read("LS", 300, &status), -ETIMEDOUT);
	assert_int_equal(sanlock_renewals_read("LS", 300, &renewals), -ETIMEDOUT);
	assert_in_range(clock_mono() - begun, 600, 3000);
	domain_close(&domain);
}

#define RENEWAL(timestamp, read_ms, write_ms, timeouts, errors)                                              \
	"timestamp=" #timestamp " read_ms=" #read_ms " write_ms=" #write_ms " next_timeouts=" #timeouts      \
	" next_errors=" #errors "\n"

static void test_renewals(void **state)
{
	static const struct {
		const char *name, *text;
		struct sanlock_renewals is;
	} rows[] = {
		{"none", "", {0}},
		{"one", RENEWAL(100, 2, 5, 0, 0), {1, 100000, 100000, 2, 5, 2, 5, 0, 0}},
		{"several, the slow one in the middle, failures between and after",
		 RENEWAL(100, 2, 5, 0, 0) RENEWAL(120, 900, 3, 2, 1) RENEWAL(180, 1, 70, 1, 0),
		 {3, 100000, 180000, 1, 70, 900, 70, 3, 1}},
		{"lines of other words are passed over",
		 "renewals of LS\n" RENEWAL(100, 2, 5, 0, 0) "timestamp=120 read_ms=x\ntimestamp=-1\n",
		 {1, 100000, 100000, 2, 5, 2, 5, 0, 0}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct sanlock_renewals *is = &rows[i].is;
		struct sanlock_renewals got = {.count = 7};
		char text[512];

		print_message("# %s\n", rows[i].name);
		snprintf(text, sizeof(text), "%s", rows[i].text);
		sanlock_renewals_parse(text, &got);
		assert_int_equal(got.count, is->count);
		assert_int_equal(got.first, is->first);
		assert_int_equal(got.last, is->last);
		assert_int_equal(got.read_ms, is->read_ms);
		assert_int_equal(got.write_ms, is->write_ms);
		assert_int_equal(got.slowest_read_ms, is->slowest_read_ms);
		assert_int_equal(got.slowest_write_ms, is->slowest_write_ms);
		assert_int_equal(got.timeouts, is->timeouts);
		assert_int_equal(got.errors, is->errors);
	}
}

static void put(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void test_watchdog_kind(void **state)
{
	struct sanlock_domain domain;
	char class_dir[128], dev[160], path[200], modules[128];
	static const struct {
		const char *name, *identity, *state, *modules;
		enum watchdog kind;
	} rows[] = {
		{"hardware", "iTCO_wdt\n", "active\n", "", WATCHDOG_HARD},
		{"softdog", "Software Watchdog\n", "active\n", "", WATCHDOG_SOFT},
		{"softdog, state not known", "Software Watchdog\n", "", "", WATCHDOG_SOFT},
		{"hardware beside a softdog that is loaded only", "iTCO_wdt\n", "active\n", "softdog 1 0\n",
		 WATCHDOG_HARD},
		{"no sysfs, softdog loaded", NULL, NULL, "x 1\nsoftdog 16384 1 - Live\n", WATCHDOG_SOFT},
		{"no sysfs", NULL, NULL, "softdogs 1 0\n", WATCHDOG_HARD},
	};

	(void)state;
	domain_open(&domain);
	snprintf(class_dir, sizeof(class_dir), "%s/watchdog", domain.dir);
	snprintf(dev, sizeof(dev), "%s/watchdog0", class_dir);
	snprintf(modules, sizeof(modules), "%s/modules", domain.dir);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put(modules, rows[i].modules);
		if (rows[i].identity) {
			mkdir(class_dir, 0700);
			mkdir(dev, 0700);
			snprintf(path, sizeof(path), "%s/identity", dev);
			put(path, rows[i].identity);
			snprintf(path, sizeof(path), "%s/state", dev);
			put(path, rows[i].state);
		}
		if (watchdog_kind(rows[i].identity ? class_dir : "/nowhere", modules) != rows[i].kind)
			fail_msg("%s", rows[i].name);
	}
	/* of two, the active one counts */
	snprintf(path, sizeof(path), "%s/identity", dev);
	put(path, "Software Watchdog\n");
	snprintf(path, sizeof(path), "%s/state", dev);
	put(path, "inactive\n");
	snprintf(dev, sizeof(dev), "%s/watchdog1", class_dir);
	mkdir(dev, 0700);
	snprintf(path, sizeof(path), "%s/identity", dev);
	put(path, "iTCO_wdt\n");
	assert_int_equal(watchdog_kind(class_dir, modules), WATCHDOG_HARD);
	domain_close(&domain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_daemon),
		cmocka_unit_test(test_renewals),
		cmocka_unit_test(test_watchdog_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
