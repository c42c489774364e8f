/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides the pace of the mails: at most so many in any minute, and pauses that grow while the server
 * refuses. Called by alert_sender.c. */
#include "notify/mail_plan.h"

#include <assert.h>

#define MINUTE_MS (60 * MONO_SECOND)

size_t mail_plan_next(const struct mail_plan *plan, size_t pending, size_t per_minute, mono_t now,
		      mono_t *ret_wake)
{
	size_t recent = 0;
	mono_t oldest = now;

	assert(per_minute >= 1 && per_minute <= MAILS_PER_MINUTE_MAX);
	*ret_wake = MONO_NEVER;
	if (pending == 0)
		return 0;
	if (plan->retry_at > now) {
		*ret_wake = plan->retry_at;
		return 0;
	}
	/* From the newest back: those behind the first that is a minute old are older still. */
	for (size_t i = 1; i <= plan->n_sent && recent < per_minute; i++) {
		mono_t sent = plan->sent[(plan->at + MAILS_PER_MINUTE_MAX - i) % MAILS_PER_MINUTE_MAX];

		if (mono_passed(sent, MINUTE_MS, now))
			break;
		oldest = sent;
		recent++;
	}
	if (recent == per_minute) {
		*ret_wake = mono_add(oldest, MINUTE_MS);
		return 0;
	}
	return pending > per_minute - recent ? pending : 1;
}

void mail_plan_sent(struct mail_plan *plan, mono_t now)
{
	plan->sent[plan->at] = now;
	plan->at = (plan->at + 1) % MAILS_PER_MINUTE_MAX;
	if (plan->n_sent < MAILS_PER_MINUTE_MAX)
		plan->n_sent++;
	mail_plan_renew(plan);
}

void mail_plan_renew(struct mail_plan *plan)
{
	plan->retry_at = plan->retry_ms = 0;
}

void mail_plan_failed(struct mail_plan *plan, int64_t first_ms, mono_t now)
{
	plan->retry_ms = plan->retry_ms == 0		     ? first_ms
			 : plan->retry_ms < RETRY_MAX_MS / 2 ? 2 * plan->retry_ms
							     : RETRY_MAX_MS;
	plan->retry_at = mono_add(now, plan->retry_ms);
}
