/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The probes of one round of the network monitor that go by TCP, or to a name server. */
#pragma once

#include "broker/monitor.h"

#define NETWORK_PROBES_MAX 20

struct network_probes;

/* `answered` is called in the loop, maybe from inside network_probes_send(), for each probe that was
 * answered; for the others nothing is. 0 or -errno. */
int network_probes_new(struct loop *loop, const struct network_target *target, int64_t timeout_ms,
		       void (*answered)(void *data, unsigned which), void *data, struct network_probes **ret);
/* Not from inside `answered`. NULL is fine. */
void network_probes_free(struct network_probes *probes);
void network_probes_send(struct network_probes *probes, unsigned which); /* 0 .. NETWORK_PROBES_MAX - 1 */
