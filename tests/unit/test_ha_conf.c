/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ha.conf: no file, both keys, what a save keeps, and files that must not be taken for "no maintenance". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/ha_conf.h"

static char path[64], said[512];

static void listen(void *data, const char *line)
{
	snprintf(said, sizeof(said), "%s", line + strlen(path));
}

static int setup(void **state)
{
	int fd;

	strcpy(path, "/tmp/ovirt-ha-ha-conf-XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	unlink(path);
	return 0;
}

static void put(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void check(const char *expected)
{
	char text[256] = "";
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	(void)!fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	assert_string_equal(text, expected);
}

static void test_no_file(void **state)
{
	struct ha_conf conf = {true, true};

	unlink(path);
	assert_int_equal(ha_conf_load(path, &conf, NULL), 0);
	assert_false(conf.local_maintenance);
	assert_false(conf.local_maintenance_manual);
	conf.local_maintenance_manual = true;
	assert_int_equal(ha_conf_save(path, &conf), 0);
	check("local_maintenance=False\nlocal_maintenance_manual=True\n");
	conf.local_maintenance_manual = false;
	assert_int_equal(ha_conf_load(path, &conf, NULL), 0);
	assert_true(conf.local_maintenance_manual);
}

static void test_keeps(void **state)
{
	struct ha_conf conf;

	put("# mine\nlocal_maintenance=True\nother=1\n");
	assert_int_equal(ha_conf_load(path, &conf, NULL), 0);
	assert_true(conf.local_maintenance);
	assert_false(conf.local_maintenance_manual);
	conf.local_maintenance = false;
	assert_int_equal(ha_conf_save(path, &conf), 0);
	check("# mine\nlocal_maintenance=False\nother=1\nlocal_maintenance_manual=False\n");
}

static void test_not_understood(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{"local_maintenance=perhaps\n",
		 ":1: local_maintenance=perhaps: is neither yes nor no; give yes or no"},
		{"local_maintenance\n", ":1: local_maintenance: has no '='; write KEY=VALUE"},
		{"local_maintenance=no\nlocal_maintenance=yes\n",
		 ":2: local_maintenance: stands in line 1 already; keep one of the two"},
	};
	struct ha_conf conf = {true, false};
	struct problems problems = {.say = listen};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put(cases[i].text);
		assert_int_equal(ha_conf_load(path, &conf, &problems), -EINVAL);
		assert_string_equal(said, cases[i].said);
		assert_true(conf.local_maintenance);
	}
	/* Not understood is not overwritten. */
	assert_int_equal(ha_conf_save(path, &conf), -EINVAL);
	check("local_maintenance=no\nlocal_maintenance=yes\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keeps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_understood, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
