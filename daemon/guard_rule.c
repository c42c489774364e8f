/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides when QEMU must die although nobody asked for it. It may do nothing but judge: no clock, no I/O.
 * Called by the guard's loop after everything that it hears, and at the deadline. */
#include "daemon/guard_rule.h"

STRTAB_DEFINE(guard_word, enum guard_word, WORD_COUNT, "unknown", "not-running", "not-joined", "joined")
STRTAB_DEFINE(guard_reason, enum guard_reason, GUARD_REASON_COUNT, "fine", "sanlock-gone",
	      "lockspace-not-joined", "renewal-too-old", "host-was-suspended")

#define RENEWALS 6    /* x io_timeout: rule 6 */
#define DOUBT_MS 4500 /* x io_timeout: the header's timeline */
#define SURVIVES_MS 60000
#define WAITS_MS 10000 /* the memory of a large QEMU is given back in less */
#define SLEPT_MS 1000  /* of clocks that drift apart by themselves: nothing near it */

#define ASK_MS 1000	    /* between two questions, */
#define ASK_RARELY_MS 500   /* x io_timeout: while all is known, */
#define ASK_RARELY_MAX 5000 /* but no longer than that */

mono_t guard_deadline(const struct guard_facts *facts)
{
	if (facts->watchdog)
		return MONO_NEVER;
	/* Had it joined after the last answer and hung then, nobody would have told. */
	if (facts->word == WORD_OUT || facts->word == WORD_GONE)
		return mono_add(facts->asked, GUARD_GRACE_MS);
	if (facts->renewed == MONO_UNSET)
		return mono_add(facts->since, GUARD_GRACE_MS);
	return mono_add(facts->renewed, RENEWALS * (int64_t)facts->io_timeout_s * MONO_SECOND);
}

bool guard_must_reset(mono_t since, mono_t now)
{
	return mono_passed(since, SURVIVES_MS, now);
}

bool guard_must_end_storage(mono_t since, mono_t now)
{
	return mono_passed(since, WAITS_MS, now);
}

mono_t guard_doubtful_from(mono_t renewed, uint32_t io_timeout_s)
{
	return mono_add(renewed, DOUBT_MS * (int64_t)io_timeout_s);
}

int64_t guard_ask_gap(const struct guard_facts *facts, mono_t now)
{
	int64_t gap = ASK_RARELY_MS * (int64_t)facts->io_timeout_s;

	if (facts->word != WORD_JOINED ||
	    (!facts->watchdog && now >= guard_doubtful_from(facts->renewed, facts->io_timeout_s)))
		return ASK_MS;
	return gap < ASK_MS ? ASK_MS : gap > ASK_RARELY_MAX ? ASK_RARELY_MAX : gap;
}

enum guard_reason guard_judge(const struct guard_facts *facts, mono_t now)
{
	/* Outside the guarantee of all timeouts: sanlock's clock stood still while the others' went on. */
	if (facts->slept_ms > SLEPT_MS)
		return GUARD_SUSPENDED;
	/* Rule 4: who has no lockspace has no lease. The answer must be younger than the sight of QEMU: the
	 * other way round the lockspace may have been joined and the VM been started in between, rightly. No
	 * time of grace: before a join the absence of QEMU was proven, and who leaves while one lives breaks
	 * rule 7. */
	if (facts->qemu_seen != MONO_UNSET && facts->asked > facts->qemu_seen) {
		if (facts->word == WORD_GONE)
			return GUARD_SANLOCK_GONE;
		if (facts->word == WORD_OUT)
			return GUARD_NOT_JOINED;
	}
	if (now >= guard_deadline(facts))
		return GUARD_RENEWAL_OLD;
	return GUARD_FINE;
}
