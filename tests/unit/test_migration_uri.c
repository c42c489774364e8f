/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The address of another host's libvirt: what a pattern must be, and which host names get into one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "util/migration_uri.h"

static void test_patterns(void **state)
{
	static const struct {
		const char *pattern;
		bool right, plain;
	} rows[] = {
		{"qemu+tls://{host}/system", true, false},
		{"qemu+tls://{host}.example.com:16514/system?no_verify=0", true, false},
		{"qemu+tcp://{host}/system", true, true},
		{"qemu+ssh://root@{host}/system", true, false},
		{"qemu:///system", false, false},
		{"qemu+tls://host/system", false, false},
		{"qemu+tls://{host}/{host}", false, false},
		{"http://{host}/", false, false},
		{"", false, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if ((migration_uri_check(rows[i].pattern) == NULL) != rows[i].right ||
		    migration_uri_plain(rows[i].pattern) != rows[i].plain)
			fail_msg("%s", rows[i].pattern);
}

static void test_names(void **state)
{
	static const struct {
		const char *host, *uri; /* NULL: refused */
	} rows[] = {
		{"h2", "qemu+tls://h2/system"},
		{"Host-2.example.com", "qemu+tls://Host-2.example.com/system"},
		{"10.0.0.2", "qemu+tls://10.0.0.2/system"},
		{"", NULL},
		{"h2/system?command=/bin/sh", NULL},
		{"h2?no_verify=1", NULL},
		{"root@h2", NULL},
		{"h2:1", NULL},
		{"h 2", NULL},
		{"-h2", NULL},
		{".h2", NULL},
		{"h\xc3\xa4", NULL},
		{"h2\n", NULL},
	};
	char longest[255], uri[MIGRATION_URI_MAX];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int r = migration_uri_make("qemu+tls://{host}/system", rows[i].host, uri);

		if (r != (rows[i].uri ? 0 : -EINVAL) || (rows[i].uri && strcmp(uri, rows[i].uri) != 0))
			fail_msg("%s", rows[i].host);
	}
	memset(longest, 'h', sizeof(longest));
	longest[254] = '\0';
	assert_int_equal(migration_uri_make("qemu+tls://{host}/system", longest, uri), -EINVAL);
	longest[253] = '\0';
	assert_int_equal(migration_uri_make("qemu+tls://{host}/system", longest, uri), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_patterns), cmocka_unit_test(test_names)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
