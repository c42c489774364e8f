/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* core/ is pure: what its library leaves undefined is asked of nm(1) and must stand on the list below. A
 * clock, a file, the heap or a lock would show here by its name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const pure[] = {
	"bcmp",
	"memcpy",
	"memset",
	"memmove",
	"memcmp",
	"strcmp",
	"strncmp",
	"strlen",
	"strchr",
	"snprintf",
	"vsnprintf",
	"strtoll",
	"strtoull",
	"__isoc23_strtoll",
	"__isoc23_strtoull",
	"__errno_location",
	"__assert_fail",
	"__stack_chk_fail",
	"_GLOBAL_OFFSET_TABLE_",
};

/* A compiler's run time for checks is of the build, not of the code. */
static bool of_the_compiler(const char *symbol)
{
	return strncmp(symbol, "__asan_", 7) == 0 || strncmp(symbol, "__ubsan_", 8) == 0 ||
	       strncmp(symbol, "__gcov_", 7) == 0 || strncmp(symbol, "__sanitizer_", 12) == 0 ||
	       strncmp(symbol, "__llvm_", 7) == 0;
}

/* The last word of nm's line: "machine.o: U memcpy" or "T machine_step". */
static bool is_pure(const char *symbol)
{
	for (size_t i = 0; i < sizeof(pure) / sizeof(pure[0]); i++)
		if (strcmp(pure[i], symbol) == 0)
			return true;
	return of_the_compiler(symbol);
}

#define SYMBOLS_MAX 512

static void test_undefined(void **state)
{
	static char defined[SYMBOLS_MAX][64], undefined[SYMBOLS_MAX][64];
	size_t n_defined = 0, n_undefined = 0;
	char command[4096], line[512];
	const char *library = getenv("LIBCORE");
	FILE *nm;

	assert_non_null(library);
	snprintf(command, sizeof(command), "nm -g '%s'", library);
	nm = popen(command, "re");
	assert_non_null(nm);
	while (fgets(line, sizeof(line), nm)) {
		char type, symbol[64];

		if (sscanf(line, "%*x %c %63s", &type, symbol) == 2 && n_defined < SYMBOLS_MAX)
			strcpy(defined[n_defined++], symbol);
		else if (sscanf(line, " U %63s", symbol) == 1 && n_undefined < SYMBOLS_MAX)
			strcpy(undefined[n_undefined++], symbol);
	}
	assert_int_equal(pclose(nm), 0);
	/* The list is not empty by mistake. */
	assert_true(n_defined > 30 && n_undefined > 10 && n_defined < SYMBOLS_MAX &&
		    n_undefined < SYMBOLS_MAX);
	for (size_t i = 0; i < n_undefined; i++) {
		bool own = false;

		for (size_t j = 0; j < n_defined && !own; j++)
			own = strcmp(undefined[i], defined[j]) == 0;
		if (!own && !is_pure(undefined[i]))
			fail_msg("core/ needs %s", undefined[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_undefined)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
