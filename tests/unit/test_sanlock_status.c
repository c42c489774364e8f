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
	struct sanlock_domain domain;
	mono_t begun;

	(void)state;
	domain_open(&domain);
	assert_int_equal(sanlock_status_read("LS", 5000, &status), -ECONNREFUSED);
	assert_int_equal(status.use_watchdog, 7); /* untouched */

	domain_start(&domain);
	assert_int_equal(sanlock_status_read("LS", 5000, &status), 0);
	assert_int_equal(status.use_watchdog, 0);
	assert_int_equal(status.last_renewal_s, -1);
	domain_join(&domain);
	assert_int_equal(sanlock_status_read("L", 5000, &status), 0);
	assert_int_equal(status.last_renewal_s, -1); /* not a prefix */
	assert_int_equal(sanlock_status_read("LS", 5000, &status), 0);
	/* joined: the host id was written a moment ago, by the same clock as ours */
	assert_in_range(status.last_renewal_s, clock_mono() / 1000 - 6, clock_mono() / 1000);

	domain_signal(&domain, SIGSTOP);
	begun = clock_mono();
	assert_int_equal(sanlock_status_read("LS", 300, &status), -ETIMEDOUT);
	assert_in_range(clock_mono() - begun, 300, 2000);
	domain_close(&domain);
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
		cmocka_unit_test(test_watchdog_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
