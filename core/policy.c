/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The defaults and the arithmetic of sanlock's timeouts; the worked timelines stand in core/policy.h. */
#include "core/policy.h"

#define MINUTE (60 * MONO_SECOND)

const struct policy policy_default = {
	.loop = 10 * MONO_SECOND,
	.stale = 60 * MONO_SECOND,
	.bad_health = 300 * MONO_SECOND,
	.shutdown = 300 * MONO_SECOND,
	.starting = 600 * MONO_SECOND,
	.away = 40 * MONO_SECOND,
	.unexpected = 560 * MONO_SECOND,
	.retry_window = 600 * MONO_SECOND,
	.healthy_clears = 300 * MONO_SECOND,
	.untaken = 60 * MONO_SECOND,
	.paused = 30 * MONO_SECOND,
	.kill_limit = 60 * MONO_SECOND,
	.owner_retry = 60 * MONO_SECOND,
	.migration = 5 * MINUTE,
	.rank_delay = MONO_SECOND / 2,
	.better_held = 5 * MINUTE,
	.move_interval = 30 * MINUTE,
	.better_threshold = 800,
	.cpu_load_from = 400,
	.cpu_load_to = 900,
	.network = {.samples = 3, .ms = 30 * MONO_SECOND},
	.cpu = {.samples = 3, .ms = 5 * MINUTE},
	.other = {.samples = 3, .ms = 0},
	.require_watchdog = true,
	.live_migration = true,
	.weights = {.base = 3400,
		    .network = 1600,
		    .mgmt_bridge = 600,
		    .cpu_load = 1000,
		    .memory = 400,
		    .config = 1000,
		    .retry = 50},
	.lease = {.io_timeout_s = 10, .watchdog_fire_s = 60},
};

/* sanlock's own rules: it renews every 2 x io_timeout, takes a renewal for failed after 8 x, and everybody
 * waits the watchdog's time on top before the host counts as dead. */
int64_t lease_renew_ms(const struct lease_timing *t)
{
	return 2 * t->io_timeout_s * MONO_SECOND;
}

int64_t lease_guard_kill_ms(const struct lease_timing *t)
{
	return 6 * t->io_timeout_s * MONO_SECOND;
}

int64_t lease_fail_ms(const struct lease_timing *t)
{
	return 8 * t->io_timeout_s * MONO_SECOND;
}

int64_t lease_dead_ms(const struct lease_timing *t)
{
	return lease_fail_ms(t) + t->watchdog_fire_s * MONO_SECOND;
}

int64_t lease_alien_ms(const struct lease_timing *t)
{
	return 4 * t->io_timeout_s * MONO_SECOND;
}

int64_t lease_start_ms(const struct lease_timing *t)
{
	return lease_dead_ms(t) + MINUTE;
}

int64_t policy_try_gap(uint32_t failed)
{
	static const int64_t gaps[] = {0, MONO_SECOND, 5 * MONO_SECOND, 15 * MONO_SECOND, MINUTE};
	const uint32_t last = sizeof(gaps) / sizeof(gaps[0]) - 1;

	return gaps[failed < last ? failed : last];
}

int64_t policy_unexpected_gap(uint32_t failed)
{
	return failed == 0 ? 0 : policy_try_gap(failed + 1 > failed ? failed + 1 : failed);
}
