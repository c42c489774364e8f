/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes what such a host would, past all faults: the faults are of the paths of the hosts that read it.
 * Called by sim_cluster.c. */
#include "tests/sim/sim_light.h"

#include <stdio.h>
#include <string.h>

#include "metadata/record.h"
#include "tests/sim/sim_clock.h"

#define BEAT_MS 10000
#define RENEW_BEATS 2
#define ALL_SECTORS 0xff

static uint64_t clock_s(const struct sim_light *light)
{
	return (uint64_t)((light->sim->now - light->booted_at) / MONO_SECOND) + 1;
}

static void encode(struct sim_light *light, uint8_t block[BLOCK_SIZE])
{
	struct record record;
	int r;

	memset(&record, 0, sizeof(record));
	record.claim = light->claim;
	record.claim.timestamp = clock_s(light);
	if (light->writer != SIM_WRITER_PYTHON) {
		record.claim.generation = light->generation;
		record.claim.io_timeout_s = light->timing.io_timeout_s;
		record.claim.watchdog_fire_s = light->timing.watchdog_fire_s;
	}
	record.host_id = light->id;
	record.n_fields = 12;
	snprintf(record.hostname, sizeof(record.hostname), "light%u.example", light->id);
	snprintf(record.engine_reason, sizeof(record.engine_reason), "%s",
		 engine_reason_str(ENGINE_REASON_NOT_HERE));
	snprintf(record.state, sizeof(record.state), "EngineDown");
	r = record_encode(&record, SIM_WALL + light->sim->now / MONO_SECOND, block);
	assert(r == 0 && block[1] == '|' && block[3] == '|');
	switch (light->writer) {
	case SIM_WRITER_NEWER:
		block[0] = block[2] = '2';
		break;
	case SIM_WRITER_OLDER:
		block[2] = '0';
		break;
	case SIM_WRITER_BROKEN:
		memcpy(block + 4, "\xff\xfe?", 3);
		break;
	default:
		break;
	}
}

static void renew(struct sim_light *light)
{
	light->storage->deltas[light->id] = (struct sim_delta){.timestamp = clock_s(light),
							       .generation = light->generation,
							       .name = light->id,
							       .io_timeout_s = light->timing.io_timeout_s};
}

static void beat_fired(struct sim_event *event)
{
	struct sim_light *light = (struct sim_light *)event;
	uint8_t block[BLOCK_SIZE];

	if (light->renews && light->beats++ % RENEW_BEATS == 0)
		renew(light);
	if (light->writes) {
		encode(light, block);
		sim_storage_write(light->storage, light->id, light->id, block, ALL_SECTORS);
	}
	sim_set(light->sim, event, light->id, light->sim->now + BEAT_MS);
}

void sim_light_start(struct sim_light *light, struct sim *sim, struct sim_storage *storage, uint16_t id,
		     enum sim_writer writer, const struct lease_timing *timing)
{
	assert(id >= 1 && id <= HOST_ID_MAX && writer < SIM_WRITER_COUNT && !sim_is_set(&light->beat));
	light->beat.fire = beat_fired;
	light->beat.kind = SIM_SERVICE;
	light->sim = sim;
	light->storage = storage;
	light->id = id;
	light->writer = writer;
	light->timing = *timing;
	light->claim =
		(struct claim){.score = 2400, .vm = VM_DOWN, .health = HEALTH_BAD, .detail = DETAIL_DOWN};
	light->generation = storage->deltas[id].generation + 1;
	light->booted_at = sim->now;
	light->beats = 0;
	light->writes = light->renews = true;
	if (id > storage->highest_id)
		storage->highest_id = id;
	sim_set(sim, &light->beat, id, sim->now + sim_random_between(&sim->random, 0, BEAT_MS - 1));
}

void sim_light_stop(struct sim_light *light)
{
	sim_cancel(light->sim, &light->beat);
}
