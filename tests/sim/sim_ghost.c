/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the hosts that do not run this code write. The versions' agents renew their host id as sanlock does,
 * and take a free engine lease now and then: to the others they are owners whose records can't be read, or
 * have less in them. */
#include "tests/sim/sim_ghost.h"

#include <stdio.h>
#include <string.h>

#include "metadata/record.h"
#include "tests/sim/sim_clock.h"

#define PERIOD_MS 5000
#define NOISE_MS 1000
#define ALL_SECTORS 0xff
#define ALIEN_GENERATION 77
#define NAME 900 /* of deltas: beside all hosts' numbers */

static bool is_version(const struct ghost *ghost)
{
	return ghost->kind == GHOST_OLDER || ghost->kind == GHOST_PYTHON || ghost->kind == GHOST_NEWER;
}

static void write_record(struct ghost *ghost, int64_t now, bool stopped)
{
	struct record record = {.host_id = ghost->id, .n_fields = 12, .config_shared = true};
	uint8_t block[BLOCK_SIZE];

	record.parse_version = record.feature_version = RECORD_VERSION;
	record.claim.timestamp = ++ghost->stamp;
	record.claim.score = stopped ? 0 : 3400;
	record.claim.stopped = stopped;
	record.claim.vm = ghost->owns ? VM_UP : VM_DOWN;
	record.claim.health = ghost->owns ? HEALTH_GOOD : HEALTH_BAD;
	record.claim.detail = ghost->owns ? DETAIL_UP : DETAIL_DOWN;
	if (ghost->kind == GHOST_ALIEN || ghost->kind == GHOST_CLONE) {
		record.claim.generation = ALIEN_GENERATION + (uint64_t)ghost->begun;
		record.claim.io_timeout_s = ghost->io_timeout_s;
		record.claim.watchdog_fire_s = policy_default.lease.watchdog_fire_s;
	}
	snprintf(record.hostname, sizeof(record.hostname), "ghost%u.example.com", ghost->id);
	if (record_encode(&record, SIM_WALL + now / MONO_SECOND, block) < 0)
		assert(!"a ghost's record fits");
	/* The line begins with the parse version, then the feature version; a newer one need not have our
	 * CRC. */
	if (ghost->kind == GHOST_NEWER)
		block[0] = '2';
	if (ghost->kind == GHOST_OLDER)
		block[0] = block[2] = '0';
	sim_storage_write(ghost->storage, 0, ghost->id, block, ALL_SECTORS);
}

static void renew(struct ghost *ghost)
{
	struct sim_delta *delta = &ghost->storage->deltas[ghost->id];
	struct sim_lease *lease = &ghost->storage->leases[SIM_LEASE_ENGINE];

	/* In one go: nothing here reads between the two. */
	if (ghost->writes == 0)
		delta->generation++;
	delta->timestamp = ++ghost->stamp;
	delta->name = NAME + ghost->id;
	delta->io_timeout_s = ghost->io_timeout_s;
	if (ghost->id > ghost->storage->highest_id)
		ghost->storage->highest_id = ghost->id;
	if (ghost->kind == GHOST_OWNER
		    ? ghost->writes == 0
		    : !ghost->owns && lease->owner == 0 && ghost->writes > 2 && ghost->storage->handed == 0) {
		lease->owner = ghost->id;
		lease->generation = delta->generation;
		lease->version += ghost->kind == GHOST_OWNER ? 3 : 1;
		ghost->owns = ghost->kind != GHOST_OWNER;
	}
	/* Taken from it: its VM is gone. */
	if (lease->owner != ghost->id || lease->generation != delta->generation)
		ghost->owns = false;
}

static void write_noise(struct ghost *ghost)
{
	uint8_t block[BLOCK_SIZE];

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (uint8_t)sim_random_next(&ghost->sim->random);
	block[0] |= 1;
	sim_storage_write(ghost->storage, 0, ghost->id, block, ALL_SECTORS);
}

static void fired(struct sim_event *event)
{
	struct ghost *ghost = (struct ghost *)event;

	if (ghost->sim->now >= ghost->until)
		return; /* ghost_end() comes */
	sim_set(ghost->sim, event, 0,
		ghost->sim->now + (ghost->kind == GHOST_NOISE
					   ? NOISE_MS * sim_random_between(&ghost->sim->random, 1, 20)
					   : PERIOD_MS));
	if (ghost->kind == GHOST_NOISE)
		write_noise(ghost);
	else if (ghost->kind == GHOST_FLAG)
		sim_storage_write(ghost->storage, 0, 0, ghost->old, ALL_SECTORS);
	if (is_version(ghost) || ghost->kind == GHOST_OWNER)
		renew(ghost);
	if (is_version(ghost) || ghost->kind == GHOST_CLONE || ghost->kind == GHOST_ALIEN)
		write_record(ghost, ghost->sim->now, false);
	ghost->writes++;
}

void ghost_begin(struct ghost *ghost, struct sim *sim, struct sim_storage *storage, enum ghost_kind kind,
		 uint16_t id, int64_t until, uint32_t io_timeout_s)
{
	ghost->event.fire = fired;
	ghost->event.kind = SIM_SCHEDULE;
	ghost->sim = sim;
	ghost->storage = storage;
	ghost->kind = kind;
	ghost->id = id;
	ghost->until = until;
	ghost->begun = sim->now;
	ghost->io_timeout_s = io_timeout_s;
	ghost->stamp = (uint64_t)sim_random_between(&sim->random, 1000, 1000000);
	sim_storage_read(storage, 0, ghost->old);
	sim_set(sim, &ghost->event, 0, kind == GHOST_FLAG ? sim->now + PERIOD_MS / 2 : sim->now);
}

void ghost_end(struct ghost *ghost)
{
	struct sim_lease *lease;

	if (ghost->kind == GHOST_NONE)
		return;
	sim_cancel(ghost->sim, &ghost->event);
	if (is_version(ghost)) {
		lease = &ghost->storage->leases[SIM_LEASE_ENGINE];
		if (ghost->owns)
			lease->owner = 0;
		ghost->owns = false;
		ghost->storage->deltas[ghost->id].timestamp = 0;
		write_record(ghost, ghost->sim->now, true);
	}
	/* Nothing is overwritten that was not understood: an operator clears the block. */
	if (ghost->kind == GHOST_NOISE) {
		static const uint8_t none[BLOCK_SIZE];

		sim_storage_write(ghost->storage, 0, ghost->id, none, ALL_SECTORS);
	}
	if (ghost->kind == GHOST_OWNER)
		ghost->storage->deltas[ghost->id].timestamp = 0;
	ghost->kind = GHOST_NONE;
}

void ghost_left_behind(struct sim_storage *storage, uint16_t id)
{
	struct ghost ghost = {.kind = GHOST_PYTHON, .id = id, .storage = storage};

	write_record(&ghost, 0, true);
}

bool ghost_owns(const struct ghost *ghost)
{
	const struct sim_lease *lease = &ghost->storage->leases[SIM_LEASE_ENGINE];

	return ghost->owns && lease->owner == ghost->id &&
	       lease->generation == ghost->storage->deltas[ghost->id].generation;
}
