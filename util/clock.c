/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the clocks, and nothing else does. It decides nothing: callers pass the moment on as an argument.
 * Called by the loop and by main functions. */
#include "util/clock.h"

#include <assert.h>
#include <time.h>

static mono_t read_ms(clockid_t id)
{
	struct timespec ts;
	int r = clock_gettime(id, &ts);

	/* Both ids exist on every Linux that this can run on. */
	assert(r == 0);
	return (mono_t)ts.tv_sec * MONO_SECOND + ts.tv_nsec / 1000000;
}

mono_t clock_mono(void)
{
	return read_ms(CLOCK_MONOTONIC);
}

mono_t clock_boot(void)
{
	return read_ms(CLOCK_BOOTTIME);
}

int64_t clock_wall(void)
{
	return read_ms(CLOCK_REALTIME) / MONO_SECOND;
}
