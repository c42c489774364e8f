/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When a mail is sent and how many transitions it tells of. Pure: time is an argument. */
#pragma once

#include <stddef.h>

#include "util/mono.h"

#define MAILS_PER_MINUTE_MAX 60
#define RETRY_MAX_MS (10 * 60 * MONO_SECOND)

struct mail_plan {
	mono_t sent[MAILS_PER_MINUTE_MAX]; /* of the last mails, as a ring */
	size_t at, n_sent;
	mono_t retry_at; /* nothing is sent before, 0: no failure since the last mail */
	int64_t retry_ms;
};

/* How many of the `pending` transitions, oldest first, the mail to be sent now tells of: one while the minute
 * has room for a mail each, else all. 0: none now, and *ret_wake is when to ask again. `per_minute` is 1 to
 * MAILS_PER_MINUTE_MAX. */
size_t mail_plan_next(const struct mail_plan *plan, size_t pending, size_t per_minute, mono_t now,
		      mono_t *ret_wake);
void mail_plan_sent(struct mail_plan *plan, mono_t now);
/* What failed says nothing any more: another server, or one that works now. */
void mail_plan_renew(struct mail_plan *plan);
/* The next try is in `first_ms`, then in twice the time before, up to RETRY_MAX_MS. */
void mail_plan_failed(struct mail_plan *plan, int64_t first_ms, mono_t now);
