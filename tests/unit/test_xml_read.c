/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which texts become a tree. What a domain or an OVF has to be is tested where they are read. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/xml_read.h"

static const struct {
	const char *name, *text;
	int error;
	const char *why;
} rows[] = {
	{"good", "<a b='c'>d</a>", 0, ""},
	{"not closed", "<a>\n<b></a>", -EBADMSG, "is not well-formed: line 2"},
	{"nothing", "", -EBADMSG, "is not well-formed"},
	{"two roots", "<a/><b/>", -EBADMSG, "is not well-formed"},
	{"document type", "<!DOCTYPE a><a/>", -EBADMSG, "has a document type"},
	{"entity from a file", "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>", -EBADMSG,
	 "has a document type"},
	{"unknown entity", "<a>&b;</a>", -EBADMSG, "is not well-formed"},
};

static void test_read(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char why[XML_READ_WHY_SIZE] = "";
		xmlDocPtr doc = NULL;
		int r = xml_read(rows[i].text, strlen(rows[i].text), &doc, why);

		if (r != rows[i].error || strncmp(why, rows[i].why, strlen(rows[i].why)) != 0 ||
		    (doc != NULL) != (r == 0))
			fail_msg("%s: %d %s", rows[i].name, r, why);
		xmlFreeDoc(doc);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_read)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
