/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When ovirt-ha-guard kills QEMU (safety rules 4, 5, 6). Pure: what was heard of sanlock goes in, a reason or
 * none comes out.
 *
 * Worked timeline of the time rule, N = io_timeout, in seconds after a renewal that was the last one
 * (sanlock 3.8.5):
 *
 *                                                         N = 1      N = 10
 *   0      sanlock writes its time stamp                  T 0        T 0
 *   2N     next renewal is due; the disk hangs            T 2        T 20
 *   1.5N.. if sanlock hangs too: the guard kills QEMU     T 1.5..6   T 15..60
 *    ..6N  if it answers: the same, at 6N                 T 5..6     T 59..60
 *   8N     sanlock kills its lease holders itself         T 8        T 80
 *   8N+60  other hosts may take the lease                 T 68       T 140
 *
 * get_hosts shows the stamp that the *next* renewal has read back: one renewal or two are missing in it, and
 * never one is there that was not made. So it is a moment to count from that is too early by 2N to 4N, plus
 * up to 1 s of sanlock's own loop and 1 s of cut: measured 2.0 to 5.6 s old at N = 1. It costs 0.2 ms, and in
 * a healthy host of N = 5 or more it never gets as old as 4.5N:
 *
 *                                                         N = 1      N = 10
 *   a healthy stamp's age                                 2..6       20..42
 *   4.5N   it is doubtful: the daemon is asked            4.5        45
 *   6N     QEMU dies, had it not answered                 6          60
 *
 * Then the exact moment is asked for (`renewal_last_success` of its status: a process, 3 ms of CPU), and
 * counts instead; 1.5N are left for the answer. All come from one clock, ours. When sanlock stops answering,
 * what is known is at most 4.5N old, so QEMU dies 1.5N to 6N after the true last renewal, never later. A
 * sanlock that stands still for 1.5N and goes on has done no harm. Where the watchdog sees to the time the
 * stamp decides nothing, and nobody asks for more. */
#pragma once

#include <stdbool.h>

#include "util/mono.h"
#include "util/strtab.h"

/* The last that was heard of sanlock. */
enum guard_word {
	WORD_SILENT, /* nothing yet */
	WORD_GONE,   /* no daemon */
	WORD_OUT,    /* a daemon that has not joined our lockspace */
	WORD_JOINED,
	WORD_COUNT
};
STRTAB_DECLARE(guard_word, enum guard_word);

enum guard_reason {
	GUARD_FINE,
	GUARD_SANLOCK_GONE,
	GUARD_NOT_JOINED,
	GUARD_RENEWAL_OLD,
	GUARD_SUSPENDED,
	GUARD_REASON_COUNT
};
STRTAB_DECLARE(guard_reason, enum guard_reason);

/* How long a daemon may be silent of which no renewal was ever heard, in ms: the guard was started while
 * sanlock hangs, or the last word was that the lockspace is not joined. Whole renewals could be missing, so
 * it is short; a healthy daemon answers in 1 ms. */
#define GUARD_GRACE_MS 5000

struct guard_facts {
	enum guard_word word;
	mono_t asked;	  /* when the question was asked that `word` answers */
	mono_t qemu_seen; /* when a QEMU was last found while the word was not WORD_JOINED, MONO_UNSET: none
			     there */
	mono_t renewed;	  /* our host id's last renewal, MONO_UNSET not known */
	mono_t since;	  /* when `word` became what it is, or the watch began */
	uint32_t io_timeout_s;
	bool watchdog;	  /* required, and sanlock uses it: it and sanlock see to rule 6's time */
	int64_t slept_ms; /* the host was suspended for so long since the last look */
};

/* Why a QEMU that lives now must die; GUARD_FINE: it need not. */
enum guard_reason guard_judge(const struct guard_facts *facts, mono_t now);
/* When the time rule would be over with nothing more heard; MONO_NEVER: it does not apply. */
mono_t guard_deadline(const struct guard_facts *facts);
/* How long after a question sanlock is asked the next one, in ms: a second, and up to 5 s, or 0.5 x
 * io_timeout, while it has joined and its last renewal is known well enough or does not matter. What is known
 * at its last answer grows no older than 4.5N by that, when it is asked anyway. Else an answer can only tell
 * of a lockspace that sanlock gave up while it lives, which it does when every holder of a lease is gone; its
 * own end is told by its connection and its pidfd, at once. */
int64_t guard_ask_gap(const struct guard_facts *facts, mono_t now);
/* A suspend of so long is seen as soon as it is over, a shorter one at the next question. */
#define GUARD_RESUME_MS 6000
/* Rule 12: a QEMU that was sent SIGKILL at `since` and lives at `now` can't be killed: only the end of this
 * host ends it. */
bool guard_must_reset(mono_t since, mono_t now);
/* Before that: it may wait in state D for a storage daemon that stands still, and ends as soon as that does.
 * Nobody else loses by it: one engine's VM runs on a host, and this one is killed. */
bool guard_must_end_storage(mono_t since, mono_t now);
/* From when on a last renewal of that moment is so old that the daemon's exact word is needed; MONO_UNSET (at
 * once) of one that is not known. */
mono_t guard_doubtful_from(mono_t renewed, uint32_t io_timeout_s);
