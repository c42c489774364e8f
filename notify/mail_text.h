/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The words of a mail: headers and body from the operator's template and the transitions that it tells of.
 * Pure: no file, no clock. A template is header lines, an empty line, and the text; both have placeholders in
 * braces: {source-email} {destination-emails} {hostname} {detail} {time} {reason} {score}. What a placeholder
 * stands for can't end a header: every byte but printable ASCII becomes `?`. */
#pragma once

#include "notify/spool.h"

#define MAIL_TEMPLATE_MAX (64 * 1024) /* bytes */
#define MAIL_LINE_MAX 900	      /* bytes, by SMTP's limit of 998 */
#define MAIL_LISTED_MAX 200	      /* transitions that a mail lists one by one */
#define MAIL_WHY_MAX 1280

struct mail {
	char *text; /* headers, an empty line, the text in UTF-8; each line ends with CR LF */
};

/* The mail about `n` >= 1 transitions, oldest first: of one, the template's text; of several, {detail} counts
 * them, the other placeholders are the last one's, and a list of all follows the text. `wall` is the mail's
 * Date in seconds since the epoch; the Message-ID follows from the transitions alone, so that a mail that is
 * sent again can be known. `from` and `to` are plain addresses, `to` separated by commas. 0; -EINVAL with
 * what is wrong with the template in `why`; -ENOMEM. */
int mail_compose(const char *text, const char *from, const char *to, const struct alert *transitions,
		 size_t n, int64_t wall, struct mail *ret, char why[MAIL_WHY_MAX]);
void mail_done(struct mail *mail);

/* The text where there is no template. */
extern const char mail_fallback[];
