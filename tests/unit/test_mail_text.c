/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The words of a mail: the template, what it may not say, values that try to end a header, and many
 * transitions in one mail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "notify/mail_text.h"

static const struct alert one = {.sequence = 5,
				 .wall = 1000000000,
				 .host = "h1.example.com",
				 .from = "EngineDown",
				 .to = "EngineStart",
				 .reason = "best-score",
				 .score = 3400};

static char headers[4096], body[64 * 1024];

/* The two parts of a mail, the headers with plain newlines and without those that are always the same. */
static int compose(const char *text, const char *from, const char *to, const struct alert *transitions,
		   size_t n, int64_t wall, char why[MAIL_WHY_MAX])
{
	static const char mime[] = "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
				   "Content-Transfer-Encoding: 8bit\n";
	struct mail mail;
	char *end, *out = headers;
	int r = mail_compose(text, from, to, transitions, n, wall, &mail, why);

	if (r < 0)
		return r;
	end = strstr(mail.text, "\r\n\r\n");
	assert_non_null(end);
	strcpy(body, end + 4);
	end[2] = '\0';
	for (const char *c = mail.text; *c; c++)
		if (*c != '\r')
			*out++ = *c;
	*out = '\0';
	out -= strlen(mime);
	assert_string_equal(out, mime);
	*out = '\0';
	mail_done(&mail);
	return 0;
}

static void test_template(void **state)
{
	static const struct {
		const char *name, *text, *headers, *body;
	} rows[] = {
		{"the standard's",
		 "From: {source-email}\nTo: {destination-emails}\nSubject: x {detail}\n\n{hostname} "
		 "{time}\n{reason}, "
		 "{score}\n",
		 "From: ha@x\nTo: a@x, b@x\nSubject: x EngineDown-EngineStart\n",
		 "h1.example.com 2001-09-09 01:46:40 UTC\r\nbest-score, 3400\r\n"},
		{"no headers", "\ntext", "From: ha@x\nTo: a@x, b@x\n", "text\r\n"},
		{"nothing", "", "From: ha@x\nTo: a@x, b@x\n", ""},
		{"lines of another system", "Subject: s\r\n\r\none\r\n\r\n.two\r\n",
		 "Subject: s\nFrom: ha@x\nTo: a@x, b@x\n", "one\r\n\r\n.two\r\n"},
		{"braces that stand for nothing", "X-A: {b} {detail\n\n{}{detail}}{",
		 "X-A: {b} {detail\nFrom: ha@x\nTo: "
		 "a@x, b@x\n",
		 "{}EngineDown-EngineStart}{\r\n"},
		{"UTF-8 in the text", "Subject: s\n\n\xc3\xa9\n", "Subject: s\nFrom: ha@x\nTo: a@x, b@x\n",
		 "\xc3\xa9\r\n"},
	};
	static const char tail[] =
		"Date: Sun, 09 Sep 2001 01:46:41 +0000\nMessage-ID: <5.5.1000000000@h1.example.com>\n";
	char why[MAIL_WHY_MAX], wanted[512];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(compose(rows[i].text, "ha@x", "a@x, b@x", &one, 1, 1000000001, why), 0);
		snprintf(wanted, sizeof(wanted), "%s%s", rows[i].headers, tail);
		if (strcmp(headers, wanted) != 0 || strcmp(body, rows[i].body) != 0)
			fail_msg("%s: %s%s", rows[i].name, headers, body);
	}
}

static void test_bad_template(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"words\n\nx", "line 1 of the mail's template is no header"},
		{"A: b\n: c\n\nx", "line 2 of the mail's template is no header"},
		{"A b: c\n\nx", "line 1 of the mail's template is no header"},
		{"bcc: c@x\n\nx", "line 1 of the mail's template has a header that is not the template's"},
		{"Date: now\n\nx", "has a header that is not the template's"},
		{"Message-ID: 1\n\nx", "has a header that is not the template's"},
		{"Content-Type: x\n\nx", "has a header that is not the template's"},
		{"Subject: \xc3\xa9\n\nx", "other bytes than printable ASCII"},
		{"Subject: a\rb\n\nx", "other bytes than printable ASCII"},
	};
	char why[MAIL_WHY_MAX], text[2048];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(compose(rows[i].text, "ha@x", "a@x", &one, 1, 0, why), -EINVAL);
		if (!strstr(why, rows[i].why))
			fail_msg("%s: %s", rows[i].text, why);
	}
	memset(text, 'a', sizeof(text));
	memcpy(text, "Subject: ", 9);
	strcpy(text + 1000, "\n\nx");
	assert_int_equal(compose(text, "ha@x", "a@x", &one, 1, 0, why), -EINVAL);
	assert_non_null(strstr(why, "over 900 bytes"));
	/* Short in the template, long when filled in. */
	memset(text, 'b', 950);
	strcpy(text + 950, "@x");
	assert_int_equal(compose("\nx", "ha@x", text, &one, 1, 0, why), -EINVAL);
	assert_non_null(strstr(why, "over 900 bytes"));
}

static void test_no_header_is_injected(void **state)
{
	struct alert evil = one;
	char why[MAIL_WHY_MAX];

	strcpy(evil.host, "h\r\nBcc: spy@x\n\n\xff");
	assert_int_equal(compose("Subject: {hostname}\n\n{hostname}\n", "ha@x\nX: y", "a@x\r\n\r\nz", &evil,
				 1, 0, why),
			 0);
	assert_string_equal(headers, "Subject: h?"
				     "?Bcc: spy@x??"
				     "?\nFrom: ha@x?X: y\nTo: a@x??"
				     "??"
				     "z\nDate: Thu, 01 Jan 1970 "
				     "00:00:00 +0000\nMessage-ID: <5.5.1000000000@h--Bcc--spy-x--->\n");
	assert_string_equal(body, "h?"
				  "?Bcc: spy@x??"
				  "?\r\n");
}

static void test_folded(void **state)
{
	char to[1000] = "", why[MAIL_WHY_MAX];

	for (int i = 0; i < 60; i++)
		strcat(to, "somebody@x.org,");
	assert_int_equal(compose("\n", "ha@x", to, &one, 1, 0, why), 0);
	for (const char *line = headers; *line; line += strcspn(line, "\n") + 1)
		assert_true(strcspn(line, "\n") < 100);
}

static void test_many(void **state)
{
	struct alert many[MAIL_LISTED_MAX + 1];
	char why[MAIL_WHY_MAX];
	char id[128];
	size_t lines = 0;

	for (size_t i = 0; i <= MAIL_LISTED_MAX; i++) {
		many[i] = one;
		many[i].sequence = 10 + i;
	}
	assert_int_equal(compose("Subject: {detail}\n\nx\n", "f@x", "t@x", many, 2, 0, why), 0);
	assert_non_null(strstr(headers, "Subject: EngineDown-EngineStart and 1 before it\n"));
	assert_string_equal(
		body, "x\r\n\r\nAll of them, oldest first:\r\n2001-09-09 01:46:40 UTC EngineDown-EngineStart "
		      "reason=best-score score=3400\r\n2001-09-09 01:46:40 UTC EngineDown-EngineStart "
		      "reason=best-score score=3400\r\n");
	snprintf(id, sizeof(id), "%s", strstr(headers, "Message-ID"));
	/* Sent again after a power cut it is the same mail. */
	assert_int_equal(compose("\n", "f@x", "t@x", many, 2, 99, why), 0);
	assert_string_equal(strstr(headers, "Message-ID"), id);
	assert_int_equal(compose("\n", "f@x", "t@x", many, MAIL_LISTED_MAX + 1, 0, why), 0);
	assert_non_null(strstr(body, "1 older ones are left out.\r\n"));
	for (const char *c = body; (c = strstr(c, "reason=")); c++)
		lines++;
	assert_int_equal(lines, MAIL_LISTED_MAX);
	assert_int_equal(compose(mail_fallback, "f@x", "t@x", &one, 1, 0, why), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_template),
		cmocka_unit_test(test_bad_template),
		cmocka_unit_test(test_no_header_is_injected),
		cmocka_unit_test(test_folded),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
