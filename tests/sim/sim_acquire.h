/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The leases half of the sanlock model, for sim_sanlock.c alone. */
#pragma once

#include "tests/sim/sim_sanlock.h"

void sim_acquire_init(struct sim_sanlock *sanlock);
/* The lockspace, or the daemon, is gone: what waits for a lease is refused. */
void sim_acquire_space_gone(struct sim_sanlock *sanlock);
/* The daemon stood still: what ended meanwhile lets its lease go now. */
void sim_acquire_go_on(struct sim_sanlock *sanlock);
