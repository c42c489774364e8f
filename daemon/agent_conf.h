/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent.conf: the constants of decisions, and the agent's own keys. What hosts must agree on (io_timeout,
 * watchdog) stands in hosted-engine.conf and is taken over from there. */
#pragma once

#include "core/policy.h"
#include "util/engine_conf.h"

struct agent_conf {
	struct policy policy;
	char libvirt_uri[256];
	char migration_uri[256];     /* of the target's libvirt, with {host} */
	int32_t migration_bandwidth; /* MiB/s, 0: without a limit */
	int64_t migration_downtime;  /* ms the guest may stand still for the hand-over, 0: QEMU's own */
	int64_t libvirt_timeout;     /* ms: a question to libvirt that takes longer is given up */
};

extern const struct settings agent_settings;

/* As engine_conf_load(); a file that is not there gives the defaults and 0. `engine` gives require_watchdog
 * and the lease's timing; NULL: their defaults. */
int agent_conf_load(const char *path, const struct engine_conf *engine, struct agent_conf *ret,
		    struct problems *problems);
