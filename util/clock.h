/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The only place that reads a clock. Decisions use clock_mono(); people get clock_wall(). Never blocks, never
 * fails. */
#pragma once

#include "util/mono.h"

/* CLOCK_MONOTONIC in ms. */
mono_t clock_mono(void);
/* CLOCK_BOOTTIME in ms: it goes on while the machine is suspended; a jump against clock_mono() is a suspend.
 */
mono_t clock_boot(void);
/* Seconds since the epoch, for what people read. */
int64_t clock_wall(void);
