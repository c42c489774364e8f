/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The type of a moment. Pure: it may be included from core/, it reads no clock (util/clock.h does). */
#pragma once

#include <stdint.h>

/* Milliseconds of this host's CLOCK_MONOTONIC. Comparable on one host within one boot only: a moment of
 * another host means nothing here but for whether it changed. */
typedef int64_t mono_t;

/* Later than every moment: a timer that never fires, a thing that never happened again. */
#define MONO_NEVER INT64_MAX
/* Earlier than every moment: a thing that has not happened. */
#define MONO_UNSET INT64_MIN

#define MONO_SECOND ((mono_t)1000)

/* `at` plus `ms` that saturates, so that MONO_NEVER stays never. */
static inline mono_t mono_add(mono_t at, int64_t ms)
{
	mono_t sum;

	if (at == MONO_NEVER || at == MONO_UNSET)
		return at;
	if (__builtin_add_overflow(at, ms, &sum))
		return ms > 0 ? MONO_NEVER : MONO_UNSET;
	return sum;
}

/* True when `since` happened and at least `ms` have passed from it until `now`. */
static inline int mono_passed(mono_t since, int64_t ms, mono_t now)
{
	return since != MONO_UNSET && since != MONO_NEVER && now >= mono_add(since, ms);
}
