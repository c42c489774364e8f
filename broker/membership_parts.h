/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the lockspace's files need of each other: membership.c keeps the facts, membership_gate.c joins,
 * membership_leave.c leaves. For these three alone. */
#pragma once

#include "broker/membership.h"

/* /proc is read in ms; longer is a process in state D that keeps its reader waiting. */
#define MEMBER_FIND_MS 1000

mono_t member_now(struct member *member);
void member_set_timer(struct member *member, struct timer *timer, int64_t ms);
struct member *member_from_timer(struct timer *timer, size_t offset);
/* Says once per change what stands in the way. */
void member_set_trouble(struct member *member, const char *text);
/* What /proc showed: `pid` 0 none, and with `error` < 0 nothing. */
void member_take_qemu(struct member *member, int error, int32_t pid, mono_t begun);

/* The gate takes its next step in `ms`. */
void member_gate_later(struct member *member, int64_t ms);
