/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides how a mail reads. It may not send it. Called by ovirt-ha-notify. */
#include "notify/mail_text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/cleanup.h"

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"

const char mail_fallback[] = "From: {source-email}\nTo: {destination-emails}\n"
			     "Subject: ovirt-hosted-engine state transition {detail}\n\n"
			     "{hostname}: {detail}\n";

/* What a placeholder stands for. */
struct value {
	const char *name;
	const char *text;
};

struct words {
	char detail[ALERT_DETAIL_MAX + 40], time[64], score[16];
	struct value values[7];
};

static void split_time(int64_t wall, struct tm *ret)
{
	time_t seconds = (time_t)wall;

	memset(ret, 0, sizeof(*ret));
	(void)gmtime_r(&seconds, ret);
}

/* No locale is set, so the words are the standard's: `Sun, 22 Nov 2026 09:00:00 +0000`. */
static void write_date(int64_t wall, char ret[64])
{
	struct tm parts;

	split_time(wall, &parts);
	strftime(ret, 64, "%a, %d %b %Y %H:%M:%S +0000", &parts);
}

static void write_time(int64_t wall, char ret[64])
{
	struct tm parts;

	split_time(wall, &parts);
	strftime(ret, 64, "%Y-%m-%d %H:%M:%S UTC", &parts);
}

static void fill_words(const struct alert *transitions, size_t n, const char *from, const char *to,
		       struct words *ret)
{
	const struct alert *last = &transitions[n - 1];

	alert_detail(last, ret->detail);
	if (n > 1)
		snprintf(ret->detail + strlen(ret->detail), 40, " and %zu before it", n - 1);
	write_time(last->wall, ret->time);
	snprintf(ret->score, sizeof(ret->score), "%" PRId32, last->score);
	ret->values[0] = (struct value){"source-email", from};
	ret->values[1] = (struct value){"destination-emails", to};
	ret->values[2] = (struct value){"hostname", last->host};
	ret->values[3] = (struct value){"detail", ret->detail};
	ret->values[4] = (struct value){"time", ret->time};
	ret->values[5] = (struct value){"reason", last->reason};
	ret->values[6] = (struct value){"score", ret->score};
}

static void put_value(FILE *out, const char *text)
{
	for (; *text; text++)
		fputc(*text >= ' ' && *text <= '~' ? *text : '?', out);
}

/* The line with its placeholders filled in; braces around anything else are ordinary. */
static void put_filled(FILE *out, const char *line, size_t length, const struct words *words)
{
	for (size_t i = 0; i < length; i++) {
		const char *end = line[i] == '{' ? memchr(line + i, '}', length - i) : NULL;
		const struct value *found = NULL;
		size_t size = end ? (size_t)(end - line) - i - 1 : 0;

		for (size_t v = 0; end && v < sizeof(words->values) / sizeof(words->values[0]); v++)
			if (strlen(words->values[v].name) == size &&
			    memcmp(words->values[v].name, line + i + 1, size) == 0)
				found = &words->values[v];
		if (found) {
			put_value(out, found->text);
			i += size + 1;
		} else {
			fputc(line[i], out);
		}
	}
}

static bool is_name(const char *line, size_t length, const char *name)
{
	return strlen(name) == length && strncasecmp(line, name, length) == 0;
}

/* These are written here, or decide who gets the mail. */
static bool ours(const char *line, size_t length)
{
	return is_name(line, length, "Date") || is_name(line, length, "Message-ID") ||
	       is_name(line, length, "Cc") || is_name(line, length, "Bcc") ||
	       (length >= 8 && strncasecmp(line, "Content-", 8) == 0) ||
	       is_name(line, length, "MIME-Version");
}

static int bad_template(char why[MAIL_WHY_MAX], unsigned line, const char *what)
{
	snprintf(why, MAIL_WHY_MAX, "line %u of the mail's template %s", line, what);
	return -EINVAL;
}

/* One header of the template. */
static int put_header(FILE *out, const char *line, size_t length, unsigned number, const struct words *words,
		      char why[MAIL_WHY_MAX])
{
	const char *colon = memchr(line, ':', length);
	size_t name = colon ? (size_t)(colon - line) : 0;

	if (name == 0 || strspn(line, NAME_LETTERS) != name)
		return bad_template(why, number,
				    "is no header; give `Name: text`, and an empty line before the text");
	if (ours(line, name))
		return bad_template(why, number, "has a header that is not the template's; remove it");
	for (size_t i = 0; i < length; i++)
		if (line[i] < ' ' || line[i] > '~')
			return bad_template(why, number,
					    "has a header with other bytes than printable ASCII; put "
					    "them into the text");
	put_filled(out, line, length, words);
	fputc('\n', out);
	return 0;
}

static int put_headers(FILE *out, const char **text, const struct words *words, char why[MAIL_WHY_MAX])
{
	unsigned number = 0;
	bool from = false, to = false;

	while (**text) {
		const char *line = *text;
		size_t length = strcspn(line, "\n"), name = strcspn(line, ":");
		int r;

		*text += length + (line[length] == '\n');
		number++;
		if (length > 0 && line[length - 1] == '\r')
			length--;
		if (length == 0)
			break;
		if (length > MAIL_LINE_MAX)
			return bad_template(why, number, "is a header over 900 bytes; make it shorter");
		r = put_header(out, line, length, number, words, why);
		if (r < 0)
			return r;
		from = from || is_name(line, name, "From");
		to = to || is_name(line, name, "To");
	}
	if (!from)
		put_filled(out, "From: {source-email}\n", 21, words);
	if (!to)
		put_filled(out, "To: {destination-emails}\n", 25, words);
	return 0;
}

static void put_list(FILE *out, const struct alert *transitions, size_t n)
{
	size_t first = n > MAIL_LISTED_MAX ? n - MAIL_LISTED_MAX : 0;
	char time[64];

	fprintf(out, "\r\nAll of them, oldest first:\r\n");
	if (first > 0)
		fprintf(out, "%zu older ones are left out.\r\n", first);
	for (size_t i = first; i < n; i++) {
		write_time(transitions[i].wall, time);
		fprintf(out, "%s %s-%s reason=%s score=%" PRId32 "\r\n", time, transitions[i].from,
			transitions[i].to, transitions[i].reason, transitions[i].score);
	}
}

/* All of it, in the lines of SMTP: a long header, of many receivers, is folded behind a comma. */
static int assemble(const char *headers, const char *body, char **ret, char why[MAIL_WHY_MAX])
{
	size_t size, line = 0;
	FILE *out = open_memstream(ret, &size);
	bool fits = true;

	if (!out)
		return -ENOMEM;
	for (const char *c = headers; *c; c++) {
		if (*c == '\n')
			fputc('\r', out);
		fputc(*c, out);
		line = *c == '\n' ? 0 : line + 1;
		if (*c == ',' && line > 70 && c[1] != '\n') {
			fputs("\r\n ", out);
			line = 1;
		}
		fits = fits && line <= MAIL_LINE_MAX;
	}
	fprintf(out,
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"Content-Transfer-Encoding: 8bit\r\n\r\n%s",
		body);
	for (const char *at = body; *at; at += strcspn(at, "\n") + 1)
		fits = fits && strcspn(at, "\n") <= MAIL_LINE_MAX;
	if (fclose(out) != 0 || !fits) {
		free(TAKE_PTR(*ret));
		snprintf(why, MAIL_WHY_MAX,
			 "a line of the mail is over 900 bytes; make those of its template shorter");
		return fits ? -ENOMEM : -EINVAL;
	}
	return 0;
}

int mail_compose(const char *text, const char *from, const char *to, const struct alert *transitions,
		 size_t n, int64_t wall, struct mail *ret, char why[MAIL_WHY_MAX])
{
	_cleanup_free_ char *headers = NULL, *body = NULL;
	const struct alert *first = &transitions[0], *last = &transitions[n - 1];
	size_t headers_size, body_size;
	struct words words;
	char date[64];
	FILE *out;
	int r;

	fill_words(transitions, n, from, to, &words);
	out = open_memstream(&headers, &headers_size);
	if (!out)
		return -ENOMEM;
	r = put_headers(out, &text, &words, why);
	write_date(wall, date);
	fprintf(out, "Date: %s\nMessage-ID: <%" PRIu64 ".%" PRIu64 ".%" PRId64 "@", date, first->sequence,
		last->sequence, last->wall);
	for (const char *c = last->host; *c; c++)
		fputc(strchr(NAME_LETTERS ".", *c) ? *c : '-', out);
	fputs(">\n", out);
	if (fclose(out) != 0)
		return -ENOMEM;
	if (r < 0)
		return r;

	out = open_memstream(&body, &body_size);
	if (!out)
		return -ENOMEM;
	while (*text) {
		size_t length = strcspn(text, "\n"), shown = length;

		if (shown > 0 && text[shown - 1] == '\r')
			shown--;
		put_filled(out, text, shown, &words);
		fputs("\r\n", out);
		text += length + (text[length] == '\n');
	}
	if (n > 1)
		put_list(out, transitions, n);
	if (fclose(out) != 0)
		return -ENOMEM;
	return assemble(headers, body, &ret->text, why);
}

void mail_done(struct mail *mail)
{
	free(TAKE_PTR(mail->text));
}
