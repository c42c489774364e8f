/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of initiators from names of hosts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "metadata/initiator.h"

static void test_rows(void **state)
{
	static const struct {
		const char *host, *name;
	} rows[] = {
		{"host1.example.com", "iqn.2014-07.org.ovirt:host1.example.com"},
		{"Host-1", "iqn.2014-07.org.ovirt:host-1"},
		{"a_b c,d\n\xc3\xa9", "iqn.2014-07.org.ovirt:a-b-c-d---"},
		{"", "iqn.2014-07.org.ovirt:"},
	};
	char name[INITIATOR_NAME_SIZE], many[400];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		initiator_name(rows[i].host, name);
		assert_string_equal(name, rows[i].name);
	}
	memset(many, 'x', sizeof(many) - 1);
	many[sizeof(many) - 1] = '\0';
	initiator_name(many, name);
	assert_int_equal(strlen(name), INITIATOR_NAME_SIZE - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
