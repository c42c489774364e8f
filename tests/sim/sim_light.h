/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A host of which only the outside is simulated: its record on the whiteboard, written every loop, and its
 * host id, renewed as sanlock does. For clusters of thousands, and for hosts that run another version: the
 * existing Python agents, a newer or an older one, or something broken. It never has the VM. */
#pragma once

#include "core/peer.h"
#include "tests/sim/sim_disk.h"

enum sim_writer {
	SIM_WRITER_OURS,
	SIM_WRITER_PYTHON, /* the existing agents: no generation, no timing in the record */
	SIM_WRITER_NEWER,  /* parse version 2 */
	SIM_WRITER_OLDER,  /* feature version 0 */
	SIM_WRITER_BROKEN, /* neither a number nor UTF-8 where one should be */
	SIM_WRITER_COUNT
};

struct sim_light {
	struct sim_event beat; /* first */
	struct sim *sim;
	struct sim_storage *storage;
	uint16_t id;
	enum sim_writer writer;
	struct claim claim; /* what it says; timestamp, generation and timing are filled in */
	struct lease_timing timing;
	uint64_t generation;
	int64_t booted_at;
	uint32_t beats;
	bool writes, renews; /* false: its record, its host id stands still */
};

/* Begins at a random moment of the next 10 s, down and with score 2400. No host of the simulator's may have
 * its id. Zeroed before. */
void sim_light_start(struct sim_light *light, struct sim *sim, struct sim_storage *storage, uint16_t id,
		     enum sim_writer writer, const struct lease_timing *timing);
/* Its power is cut: record and host id stay as they are. */
void sim_light_stop(struct sim_light *light);
