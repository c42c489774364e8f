/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of checkers share. The first finding is kept, and ends the run. */
#pragma once

#include "tests/sim/sim_check.h"

#define SECOND 1000LL
#define MINUTE (60 * SECOND)

/* `name`: the checker's, which planted bugs and the files of what failed are called by. */
__attribute__((format(printf, 3, 4))) void check_fail(struct check *check, const char *name,
						      const char *format, ...);

/* Judges `host` for the events since it was judged last, which changed nothing of it. Before what is
 * remembered of it is used within an event. */
void check_catch_up(struct check *check, unsigned host);

static inline int64_t check_now(const struct check *check)
{
	return *check->now;
}

static inline int64_t later_of(int64_t a, int64_t b)
{
	return a > b ? a : b;
}
