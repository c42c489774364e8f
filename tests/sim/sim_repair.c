/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes the command's steps on virtual time. direct_read(), qemu_find() and the writers of leases stand in
 * here for util/direct_read.c, lockspace/qemu_pid.c and lease_write.c. It decides nothing. */
#include "tests/sim/sim_repair.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "lockspace/block0_port.h"
#include "lockspace/lease_write.h"
#include "lockspace/qemu_pid.h"
#include "util/direct_read.h"
#include "tests/sim/sim_log.h"

#define LOOK_MS 1000
#define LOCKSPACE_PATH "/dev/engine/lockspace"
#define LEASE_PATH "/dev/engine/lease"

/* The functions that stand in have no room for a context, and block: nothing else runs meanwhile. */
static struct sim_repair *current;

static void put32(uint8_t *sector, size_t at, uint32_t value)
{
	value = htole32(value);
	memcpy(sector + at, &value, sizeof(value));
}

static void put64(uint8_t *sector, size_t at, uint64_t value)
{
	value = htole64(value);
	memcpy(sector + at, &value, sizeof(value));
}

/* As lockspace/lease_leader.c reads it. `version` stands for all else that changes with the owner. */
static void put_leader(uint8_t *sector, uint32_t magic, uint64_t owner, uint64_t generation,
		       uint64_t timestamp, uint64_t version, uint32_t io_timeout_s)
{
	put32(sector, 0, magic);
	put32(sector, 8, 0x10); /* 1 MiB from one to the next */
	put32(sector, 12, SIM_SECTOR);
	put64(sector, 24, version);
	put64(sector, 32, owner);
	put64(sector, 40, generation);
	memcpy(sector + 56, SIM_LOCKSPACE, strlen(SIM_LOCKSPACE));
	put64(sector, 152, timestamp);
	sector[174] = (uint8_t)io_timeout_s;
}

int direct_read(const char *path, uint64_t offset, size_t size, uint8_t *ret)
{
	const struct sim_disk *disk = &current->host->disk;
	const struct sim_lease *lease = &disk->storage->leases[SIM_LEASE_ENGINE];

	if (disk->per_mille[SIM_DISK_EIO] > 0)
		return -EIO;
	memset(ret, 0, size);
	if (strcmp(path, LEASE_PATH) == 0) {
		put_leader(ret, 0x06152010, lease->owner, lease->generation, lease->owner != 0,
			   lease->version, 0);
		return 0;
	}
	for (uint16_t id = 1; id <= HOST_ID_MAX && (size_t)id * SIM_SECTOR <= size; id++) {
		const struct sim_delta *delta = &disk->storage->deltas[id];

		put_leader(ret + (size_t)(id - 1) * SIM_SECTOR, 0x12212010, id, delta->generation,
			   delta->timestamp, delta->name, delta->io_timeout_s);
	}
	return 0;
}

int qemu_find(const char *uuid, struct qemu_pids *ret)
{
	const struct sim_vm *vm = &current->host->vm;

	*ret = (struct qemu_pids){.n = vm->pid != 0, .pids = {vm->pid}};
	return 0;
}

int lease_write_resource(const char *path, uint64_t offset, const char *lockspace, const char *resource,
			 unsigned sector_size)
{
	struct sim_lease *leases = current->host->disk.storage->leases;

	if (offset == 0)
		leases[SIM_LEASE_ENGINE] = (struct sim_lease){0};
	else if (offset == BLOCK0_LEASE_BEHIND * lease_alignment(sector_size))
		leases[SIM_LEASE_BLOCK0] = (struct sim_lease){0};
	return 0;
}

int lease_write_lockspace(const char *path, uint64_t offset, const char *lockspace, unsigned sector_size,
			  uint32_t io_timeout_s)
{
	struct sim_storage *storage = current->host->disk.storage;

	current->writes(current->data, current->host);
	memset(storage->deltas, 0, sizeof(storage->deltas));
	return 0;
}

static mono_t now_of(const struct sim_repair *repair)
{
	return sim_clock_mono(&repair->host->clock);
}

static void set_step(struct sim_repair *repair)
{
	sim_set(repair->host->sim, &repair->step, repair->host->id,
		sim_clock_due(&repair->host->clock, mono_add(now_of(repair), LOOK_MS)));
}

static void over(struct sim_repair *repair, int error, const char *why)
{
	sim_log_line(repair->host->id, "lockspace reset %s%s%s", error < 0 ? "refused" : "done",
		     why[0] ? ": " : "", why);
	sim_repair_end(repair);
}

/* As tools/host_outside.c finds it. */
static int check_outside(const struct sim_repair *repair, char why[WATCH_WHY_SIZE])
{
	const struct sim_host *host = repair->host;

	if (!host->broker && host->sanlock.space == SIM_SPACE_NONE)
		return 0;
	strcpy(why, "this host is in the lockspace");
	return -EBUSY;
}

/* As tools/repair_commands.c does it. -EAGAIN: not yet. */
static int go_on(struct sim_repair *repair, char why[WATCH_WHY_SIZE])
{
	mono_t now = now_of(repair);
	int r;

	if (!repair->watch) {
		r = check_outside(repair, why);
		if (r == 0)
			r = lockspace_watch_new(&repair->request.watch, &repair->watch, why);
		return r < 0 ? r : -EAGAIN;
	}
	r = lockspace_watch_look(repair->watch, now, why);
	if (r == 0)
		return -EAGAIN;
	if (r == 1)
		r = check_outside(repair, why);
	return r < 0 ? r : lockspace_reset(&repair->request, repair->watch, now, why);
}

static void step_fired(struct sim_event *event)
{
	struct sim_repair *repair = (struct sim_repair *)event;
	struct sim_host *host = repair->host;
	char why[WATCH_WHY_SIZE] = "";
	int r;

	if (!host->powered || host->boots != repair->boots) {
		sim_repair_end(repair);
		return;
	}
	set_step(repair);
	/* Its reads wait for the storage, and systemctl for the end of the daemons. */
	if (host->disk.per_mille[SIM_DISK_HANG] > 0 || sim_disk_hangs(&host->disk) ||
	    (!repair->watch && host->broker))
		return;
	current = repair;
	r = go_on(repair, why);
	current = NULL;
	if (r != -EAGAIN)
		over(repair, r, why);
}

void sim_repair_begin(struct sim_repair *repair, struct sim_host *host)
{
	const struct policy *policy = &host->broker_config.policy;

	repair->host = host;
	repair->boots = host->boots;
	repair->request = (struct reset_request){.watch = {.lockspace_path = LOCKSPACE_PATH,
							   .lease_path = LEASE_PATH,
							   .lockspace = SIM_LOCKSPACE,
							   .timing = policy->lease},
						 .lockspace = SIM_LOCKSPACE,
						 .engine_lease = "engine",
						 .vmid = "engine"};
	repair->step.fire = step_fired;
	repair->step.kind = SIM_SCHEDULE;
	set_step(repair);
}

void sim_repair_end(struct sim_repair *repair)
{
	if (!repair->host)
		return;
	sim_cancel(repair->host->sim, &repair->step);
	lockspace_watch_free(repair->watch);
	repair->watch = NULL;
}
