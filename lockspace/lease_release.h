/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads on disk whether the owner that a lease's leader record names has let it go. sanlock's library does
 * not tell: its answer is the leader record alone. */
#pragma once

#include "lockspace/lease_port.h"

/* True only when `owner` (kind OWNER_HOST, of the lease at `place`) itself wrote, in this very tenure, that
 * the lease is free; what can't be read is false. Reads two sectors from the storage: blocks as long as that
 * does.
 *
 * Two hosts that try at once may leave a leader record that the loser wrote for the winner (Disk Paxos: who
 * sees a majority commits). Its owner does not write it again when it releases the lease; it only marks its
 * own block, and a further acquire succeeds at once. Measured with sanlock 3.8.5. */
bool lease_released(const struct lease_place *place, const struct lease_owner *owner);
