/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The local port: this host's own small files as the agent sees them: ha.conf (local maintenance), the VM's
 * configuration, and what is remembered over a restart. The real one is daemon/local_files.c. Nothing blocks;
 * ends come as calls in the loop. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "util/mono.h"

/* What outlives the agent. Wall clock: the monotonic one begins anew with each boot. */
struct saved {
	uint32_t failed_tries;
	int64_t last_failed_wall; /* seconds since the epoch; meaningful with tries */
};

struct local_view {
	bool ha_known; /* false: ha.conf can't be understood, the two below mean nothing */
	bool maintenance_management, maintenance_operator;
	bool vm_known; /* false: the VM's configuration was not read in time, the two below mean nothing */
	bool vm_config_good;   /* it is there and may be started */
	int32_t vm_memory_mib; /* 0 unknown */
};

struct local_port {
	/* Reads both; `seen` tells. A look under way is joined. */
	void (*look)(struct local_port *port);
	/* Sets the operator's key, durably; `maintenance_set` tells. -EBUSY: one is under way. */
	int (*set_maintenance)(struct local_port *port, bool on);
	/* Writes it as soon as the one before is written; the last one wins. */
	void (*save)(struct local_port *port, const struct saved *saved);
	void (*close)(struct local_port *port);

	/* Set by the owner before the first call. */
	void (*seen)(void *data, const struct local_view *view);
	/* `seen` comes first, with the new value. `why` is for the operator, "" without an error. */
	void (*maintenance_set)(void *data, int error, const char *why);
	void *data;
};
