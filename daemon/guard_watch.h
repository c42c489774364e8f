/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guard's question to sanlock, asked in a worker thread since it may never be answered. */
#pragma once

#include "daemon/guard_rule.h"
#include "util/worker.h"

#define WATCH_NAME_MAX 48

struct guard_question {
	struct job job; /* first; done is the asker's */
	void *asker;
	/* asked */
	char lockspace[WATCH_NAME_MAX];
	uint16_t host_id;
	uint32_t io_timeout_s;
	mono_t known; /* the last renewal that is known; MONO_NEVER: it does not matter when it was */
	bool connect; /* also make a connection that lasts */
	bool ask_watchdog;
	bool joined; /* what is known: an answer that says so too, and no more, wakes nobody */
	mono_t asked;
	/* answered */
	int error; /* why word is WORD_SILENT */
	enum guard_word word;
	mono_t renewed;		       /* MONO_UNSET: not known */
	uint32_t renewed_io_timeout_s; /* that the host id was joined with, 0: not known */
	int use_watchdog;	       /* 0, 1, -1 not known */
	int connection;		       /* of `connect`: becomes readable when the daemon is gone; -1 none */
};

/* A question with run and destroy set, and no answers. NULL: no memory. Freed by job.destroy. */
struct guard_question *guard_question_new(void);

/* Leaves the lockspace when nothing holds a lease in it. 0: left, or not joined; -EBUSY: a holder lives.
 * Blocks, up to some io_timeouts. */
int guard_leave(const char *lockspace, uint16_t host_id);
