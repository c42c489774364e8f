/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is said after an error: something to do, or nothing at all. */
#include "tools/error_advice.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_rows(void **state)
{
	static const struct {
		int error;
		const char *words;
	} rows[] = {
		{0, ""},
		{-EBADMSG, ""},
		{ENOENT, ""}, /* not an error of ours */
		{-EACCES, "; run this command as root, and see whom the storage lets in"},
		{-EISDIR, "; give a file"},
		{-ENOSPC, "; make room"},
		{-EIO, "; mend the storage, then try again"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(error_advice(rows[i].error), rows[i].words);
	assert_non_null(strstr(error_advice(-ENOENT), "--connect-storage"));
	assert_non_null(strstr(error_advice(-ESTALE), "--connect-storage"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
