/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which specs are taken, and what is said of the others. No server is asked. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "metadata/store.h"
#include "util/loop.h"

static const struct store_access access = {.user = "", .password = "", .host_name = "host"};

static const char *const taken[] = {
	"/a/b",
	"/a/b:512",
	"nfs://server/export/file",
	"nfs://server:2049/export/deep/file?version=4",
	"nfs://192.0.2.1,[2001:db8::1]:2049/export/file?version=3&mountport=20048&uid=36&gid=36&offset=1536",
	"iscsi://portal/iqn.2026-11.test:a/1",
	"iscsi://portal:3261,192.0.2.1,[2001:db8::1]/iqn.test:a/16383?initiator=iqn.test:b&offset=512",
};

static const struct {
	const char *spec, *what;
} refused[] = {
	{"ftp://server/export/file", "is of no kind that is known"},
	{"nfs:///export/file", "names no server"},
	{"nfs://server", "names no path behind its server"},
	{"nfs://server/", "names no path behind its server"},
	{"nfs://server/file", "names no file in an export"},
	{"nfs://server/export/", "names no file in an export"},
	{"nfs://server/export/file name", "has a blank"},
	{"nfs://ser%20ver/export/file", "names no server"},
	{"nfs://server,/export/file", "names no server"},
	{"nfs://a,b,c,d,e,f,g,h,i/export/file", "names more than 8 servers"},
	{"nfs://server:/export/file", "has a port"},
	{"nfs://server:0/export/file", "has a port"},
	{"nfs://server:65536/export/file", "has a port"},
	{"nfs://[::1/export/file", "has a [ that no ] ends"},
	{"nfs://[::1]x/export/file", "has a [ that no ] ends"},
	{"nfs://[server]/export/file", "has no IPv6 address"},
	{"nfs://server/export/file?", "has a parameter that is not NAME=VALUE"},
	{"nfs://server/export/file?version", "has a parameter that is not NAME=VALUE"},
	{"nfs://server/export/file?version=", "has a parameter that is not NAME=VALUE"},
	{"nfs://server/export/file?version=2", "has version=2; give a whole number, 3 to 4"},
	{"nfs://server/export/file?version=4.1", "has version=4.1; give a whole number, 3 to 4"},
	{"nfs://server/export/file?version=3&version=4", "has the parameter version, which stands twice"},
	{"nfs://server/export/file?soft=1", "has the parameter soft, which is not known"},
	{"nfs://server/export/file?a=1&b=1&c=1&d=1&e=1&f=1&g=1&h=1&i=1", "has too many parameters"},
	{"nfs://server/export/file?uid=-1", "has uid=-1; give a whole number"},
	{"iscsi://portal/iqn.2026-11.test:a", "names no unit of a target"},
	{"iscsi://portal/iqn.2026-11.test:a/", "names no unit of a target"},
	{"iscsi://portal//1", "names no unit of a target"},
	{"iscsi://portal/iqn.2026-11.test:a/x", "names no unit of a target"},
	{"iscsi://portal/iqn.2026-11.test:a/1/2", "names no unit of a target"},
	{"iscsi://portal/iqn.2026-11.test:a/16384", "names no unit of a target"},
	{"iscsi://portal/iqn.2026-11.test:a/1?version=3", "has the parameter version, which is not known"},
	{"iscsi://user%password@portal/iqn.2026-11.test:a/1", "names no server"},
	{"nfs://server/export/file?offset=100", "has an offset that is no multiple of 512"},
	{"nfs://server/export/file?offset=2000000000000000000", "has offset=2000000000000000000"},
};

static void test_check(void **state)
{
	char what[256];

	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (store_check(taken[i], &access, what, sizeof(what)) != 0)
			fail_msg("%s: %s", taken[i], what);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (store_check(refused[i].spec, &access, what, sizeof(what)) != -EINVAL)
			fail_msg("%s: was taken", refused[i].spec);
		if (strncmp(what, refused[i].what, strlen(refused[i].what)) != 0)
			fail_msg("%s: said %s", refused[i].spec, what);
	}
}

static void test_long_texts(void **state)
{
	static const struct {
		const char *name;
		size_t length;
		bool fits;
	} cases[] = {
		{"user", 255, true}, {"user", 256, false}, {"password", 255, true}, {"password", 256, false}};
	char text[300], what[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool user = strcmp(cases[i].name, "user") == 0;
		struct store_access long_access = {
			.user = user ? text : "", .password = user ? "" : text, .host_name = "host"};

		memset(text, 'x', cases[i].length);
		text[cases[i].length] = '\0';
		assert_int_equal(
			store_check("iscsi://portal/iqn.2026-11.test:a/1", &long_access, what, sizeof(what)),
			cases[i].fits ? 0 : -EINVAL);
		if (!cases[i].fits)
			assert_null(strstr(what, "xxx"));
	}
}

static void test_open(void **state)
{
	struct store *store;
	struct loop *loop;
	char what[256];

	assert_int_equal(loop_new(&loop), 0);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		assert_int_equal(store_open(taken[i], &access, loop, &store, what, sizeof(what)), 0);
		store->close(store);
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_int_equal(store_open(refused[i].spec, &access, loop, &store, what, sizeof(what)),
				 -EINVAL);
	assert_int_equal(store_open("relative", &access, loop, &store, what, sizeof(what)), -EINVAL);
	assert_non_null(strstr(what, "the path begins with /"));
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_check), cmocka_unit_test(test_long_texts),
					   cmocka_unit_test(test_open)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
