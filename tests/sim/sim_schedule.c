/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes schedules from seeds, writes and reads them, and cuts them down. Each seed takes a few kinds of
 * faults only, often, and now and then a known bad combination: what all kinds together would smear, a few of
 * them show. */
#include "tests/sim/sim_schedule.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define SECOND 1000
#define MINUTE (60 * SECOND)

/* The range of one fault's numbers; `to` 0: it has none. */
struct range {
	int64_t from, to;
};

static const struct {
	const char *word;
	unsigned weight;
	struct range length, value;
} kinds[FAULT_COUNT] = {
	[FAULT_VM_CRASH] = {"vm-crash", 6, {0}, {0}},
	[FAULT_VM_POWEROFF] = {"vm-poweroff", 4, {0}, {0}},
	[FAULT_VM_SICK] = {"vm-sick", 4, {20 * SECOND, 8 * MINUTE}, {0}},
	[FAULT_VM_DEAF] = {"vm-deaf", 2, {1 * MINUTE, 8 * MINUTE}, {0}},
	[FAULT_VM_IO_ERROR] = {"vm-io-error", 5, {2 * SECOND, 1 * MINUTE}, {0}},
	[FAULT_VM_UNKILLABLE] = {"vm-unkillable", 3, {10 * SECOND, 5 * MINUTE}, {0}},
	[FAULT_VM_LOST] = {"vm-lost", 4, {0}, {0}},
	[FAULT_VM_SUSPENDED] = {"vm-suspended", 4, {1 * SECOND, 1 * MINUTE}, {0}},
	[FAULT_VM_UNLEASED] = {"vm-unleased", 3, {0}, {0}},
	[FAULT_VM_START_FAILS] = {"vm-start-fails", 4, {30 * SECOND, 15 * MINUTE}, {0}},
	[FAULT_VM_START_SLOW] = {"vm-start-slow", 3, {1 * MINUTE, 10 * MINUTE}, {500, 90 * SECOND}},
	[FAULT_LIBVIRT_HANG] = {"libvirt-hang", 4, {2 * SECOND, 3 * MINUTE}, {0}},
	[FAULT_LIBVIRT_KILL] = {"libvirt-kill", 4, {200, 1 * MINUTE}, {0}},
	[FAULT_AGENT_KILL] = {"agent-kill", 5, {100, 3 * MINUTE}, {0}},
	[FAULT_BROKER_KILL] = {"broker-kill", 5, {100, 3 * MINUTE}, {0}},
	[FAULT_GUARD_KILL] = {"guard-kill", 3, {100, 2 * MINUTE}, {0}},
	[FAULT_SANLOCK_KILL] = {"sanlock-kill", 4, {500, 1 * MINUTE}, {0}},
	[FAULT_SANLOCK_HANG] = {"sanlock-hang", 3, {1 * SECOND, 2 * MINUTE}, {0}},
	[FAULT_DAEMONS_STOP] = {"daemons-stop", 4, {2 * SECOND, 5 * MINUTE}, {0}},
	[FAULT_HOST_CUT] = {"host-cut", 5, {2 * SECOND, 10 * MINUTE}, {0}},
	[FAULT_HOST_PAUSE] = {"host-pause", 3, {500, 20 * SECOND}, {0}},
	[FAULT_WALL_JUMP] = {"wall-jump", 2, {0}, {-7 * 24 * 3600, 7 * 24 * 3600}},
	[FAULT_NETWORK_LOST] = {"network-lost", 3, {5 * SECOND, 15 * MINUTE}, {100, 1000}},
	[FAULT_CPU_LOAD] = {"cpu-load", 2, {1 * MINUTE, 15 * MINUTE}, {300, 1000}},
	[FAULT_MEMORY_LOW] = {"memory-low", 2, {10 * SECOND, 10 * MINUTE}, {0}},
	[FAULT_BRIDGE_DOWN] = {"bridge-down", 2, {5 * SECOND, 10 * MINUTE}, {0}},
	[FAULT_DISK_EIO] = {"disk-eio", 4, {1 * SECOND, 5 * MINUTE}, {0}},
	[FAULT_DISK_HANG] = {"disk-hang", 4, {1 * SECOND, 5 * MINUTE}, {0}},
	[FAULT_DISK_SLOW] = {"disk-slow", 3, {10 * SECOND, 10 * MINUTE}, {50, 9 * SECOND}},
	[FAULT_DISK_LOST] = {"disk-lost", 3, {1 * SECOND, 2 * MINUTE}, {0}},
	[FAULT_DISK_TORN] = {"disk-torn", 3, {1 * SECOND, 2 * MINUTE}, {0}},
	[FAULT_DISK_STALE] = {"disk-stale", 3, {1 * SECOND, 1 * MINUTE}, {0}},
	[FAULT_LEASE_REWRITTEN] = {"lease-rewritten", 3, {150 * SECOND, 200 * SECOND}, {0}},
	[FAULT_CLONE] = {"clone", 3, {1 * MINUTE, 8 * MINUTE}, {0}},
	[FAULT_ALIEN] = {"alien", 3, {3 * MINUTE, 12 * MINUTE}, {0}},
	[FAULT_RECORD_NOISE] = {"record-noise", 4, {10 * SECOND, 5 * MINUTE}, {0}},
	[FAULT_OTHER_VERSION] = {"other-version", 5, {2 * MINUTE, 15 * MINUTE}, {0, 2}},
	[FAULT_FLAG_NOISE] = {"flag-noise", 3, {0}, {0}},
	[FAULT_FLAG_UNDONE] = {"flag-undone", 4, {5 * SECOND, 2 * MINUTE}, {0}},
	[FAULT_GLOBAL_ON] = {"global-on", 5, {0}, {0}},
	[FAULT_GLOBAL_OFF] = {"global-off", 5, {0}, {0}},
	[FAULT_LOCAL_ON] = {"local-on", 5, {0}, {0}},
	[FAULT_LOCAL_OFF] = {"local-off", 5, {0}, {0}},
	[FAULT_ORDER_START] = {"order-start", 3, {0}, {0}},
	[FAULT_ORDER_SHUTDOWN] = {"order-shutdown", 2, {0}, {0}},
	[FAULT_ORDER_POWEROFF] = {"order-poweroff", 2, {0}, {0}},
	[FAULT_VM_MIGRATED] = {"vm-migrated", 6, {0}, {0}},
	[FAULT_VM_STRIPPED] = {"vm-stripped", 3, {1 * MINUTE, 10 * MINUTE}, {0}},
	[FAULT_AGENT_HANG] = {"agent-hang", 3, {500, 40 * SECOND}, {0}},
	[FAULT_BROKER_HANG] = {"broker-hang", 3, {500, 40 * SECOND}, {0}},
	[FAULT_GUARD_HANG] = {"guard-hang", 3, {500, 20 * SECOND}, {0}},
	[FAULT_DISK_CUT] = {"disk-cut", 3, {1 * SECOND, 1 * MINUTE}, {0}},
	[FAULT_DISK_HELD] = {"disk-held", 3, {1 * SECOND, 5 * MINUTE}, {0}},
	[FAULT_LOCKSPACE_RESET] = {"lockspace-reset", 3, {3 * MINUTE, 8 * MINUTE}, {0}},
	[FAULT_CLOCK_DRIFT] = {"clock-drift", 3, {1 * MINUTE, 20 * MINUTE}, {-1000, 1000}},
	[FAULT_COROSYNC_KILL] = {"corosync-kill", 5, {500, 5 * MINUTE}, {0}},
	[FAULT_POKES_LOST] = {"pokes-lost", 4, {5 * SECOND, 10 * MINUTE}, {0}},
	[FAULT_POKES_SHUFFLED] = {"pokes-shuffled", 4, {5 * SECOND, 10 * MINUTE}, {0}},
	[FAULT_POKES_FORGED] = {"pokes-forged", 3, {5 * SECOND, 3 * MINUTE}, {0}},
	[FAULT_VM_MIGRATED_SLOWLY] = {"vm-migrated-slowly", 4, {0}, {10 * SECOND, 12 * MINUTE}},
	[FAULT_ORDER_MIGRATE] = {"order-migrate", 4, {0}, {0}},
	[FAULT_ORDER_MIGRATE_SLOWLY] = {"order-migrate-slowly", 3, {0}, {10 * SECOND, 7 * MINUTE}},
	[FAULT_ORDER_MIGRATE_CANCEL] = {"order-migrate-cancel", 3, {0}, {0}},
	[FAULT_MIGRATION_UNHEARD] = {"migration-unheard", 3, {1 * SECOND, 10 * MINUTE}, {0}},
	[FAULT_MANAGEMENT_MAINTENANCE] = {"management-maintenance", 4, {5 * SECOND, 10 * MINUTE}, {0}},
	[FAULT_HAND_OVER_DIES] = {"hand-over-dies", 3, {1 * SECOND, 10 * MINUTE}, {200, 30 * SECOND}},
};

const char *fault_str(enum fault fault)
{
	assert(fault < FAULT_COUNT);
	return kinds[fault].word;
}

/* splitmix64: small, and the same on every machine. */
static uint64_t chance(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static int64_t between(uint64_t *state, int64_t from, int64_t to)
{
	return from + (int64_t)(chance(state) % (uint64_t)(to - from + 1));
}

/* Small numbers as often as large ones: half of the draws lie in the lowest eighth. */
static int64_t draw(uint64_t *state, struct range range)
{
	int64_t to = range.to;

	if (range.to == range.from)
		return range.from;
	if (range.from >= 0 && chance(state) % 2)
		to = range.from + (range.to - range.from) / 8;
	return between(state, range.from, to);
}

static void add(struct schedule *schedule, int64_t at, uint16_t host, enum fault fault, int64_t length,
		int64_t value)
{
	size_t i = schedule->n_faults;

	if (i == SCHEDULE_FAULTS_MAX)
		return;
	for (; i > 0 && schedule->faults[i - 1].at > at; i--)
		schedule->faults[i] = schedule->faults[i - 1];
	schedule->faults[i] =
		(struct scheduled){.at = at, .fault = fault, .host = host, .length = length, .value = value};
	schedule->n_faults++;
}

/* Combinations that take more luck than a list of single faults has. `host` 0 in a part: the same for all
 * parts. */
struct part {
	enum fault fault;
	int64_t after; /* ms after the first */
	int64_t length;
	bool others; /* on all the other hosts instead */
};
#define PARTS_MAX 8

static const struct part recipes[][PARTS_MAX] = {
	/* sanlock dies and comes back while nobody looks: the QEMU that lives on has no lease (rule 4) */
	{{FAULT_GUARD_KILL, 0, 30 * SECOND, false},
	 {FAULT_AGENT_KILL, 0, 8 * SECOND, false},
	 {FAULT_BROKER_KILL, 0, 4 * SECOND, false},
	 {FAULT_SANLOCK_KILL, 100, 2 * SECOND, false}},
	/* only sanlock, and only for a moment */
	{{FAULT_SANLOCK_KILL, 0, 500, false}},
	/* the agent is away while sanlock goes (rule 5) */
	{{FAULT_AGENT_KILL, 0, 2 * MINUTE, false},
	 {FAULT_BROKER_KILL, 0, 2 * MINUTE, false},
	 {FAULT_SANLOCK_KILL, 3 * SECOND, 1 * MINUTE, false}},
	{{FAULT_GUARD_KILL, 0, 3 * SECOND, false},
	 {FAULT_AGENT_KILL, 0, 2 * MINUTE, false},
	 {FAULT_SANLOCK_KILL, 1 * SECOND, 1 * MINUTE, false}},
	{{FAULT_SANLOCK_HANG, 0, 4 * MINUTE, false}},
	/* the storage of the VM's host hangs, nothing else does (rule 6) */
	{{FAULT_DISK_HANG, 0, 5 * MINUTE, false}},
	{{FAULT_SANLOCK_HANG, 0, 4 * MINUTE, false}, {FAULT_DISK_HANG, 2 * SECOND, 4 * MINUTE, false}},
	/* paused, and taken by another meanwhile (rule 11) */
	{{FAULT_VM_SUSPENDED, 0, 28 * SECOND, false},
	 {FAULT_LEASE_REWRITTEN, 2 * SECOND, 200 * SECOND, false}},
	{{FAULT_VM_IO_ERROR, 0, 20 * SECOND, false},
	 {FAULT_LIBVIRT_HANG, 100, 15 * SECOND, false},
	 {FAULT_LEASE_REWRITTEN, 3 * SECOND, 200 * SECOND, false}},
	/* QEMU in state D, and it must go (rule 12) */
	{{FAULT_VM_UNKILLABLE, 0, 5 * MINUTE, false},
	 {FAULT_LEASE_REWRITTEN, 1 * SECOND, 200 * SECOND, false}},
	{{FAULT_AGENT_KILL, 0, 4 * MINUTE, false},
	 {FAULT_VM_UNKILLABLE, 0, 4 * MINUTE, false},
	 {FAULT_SANLOCK_KILL, 500, 3 * MINUTE, false}},
	/* libvirt loses it, and the agent forgets it too (rule 3) */
	{{FAULT_VM_LOST, 0, 0, false}, {FAULT_AGENT_KILL, 100, 500, false}},
	{{FAULT_VM_LOST, 0, 0, false}, {FAULT_LEASE_REWRITTEN, 2 * SECOND, 200 * SECOND, false}},
	/* stopped by the operator while the VM runs (rule 7) */
	{{FAULT_DAEMONS_STOP, 0, 3 * MINUTE, false}},
	{{FAULT_VM_LOST, 0, 0, false}, {FAULT_DAEMONS_STOP, 200, 1 * MINUTE, false}},
	{{FAULT_VM_SUSPENDED, 0, 25 * SECOND, false}, {FAULT_DAEMONS_STOP, 5 * SECOND, 1 * MINUTE, false}},
	/* the whole cluster loses its power */
	{{FAULT_HOST_CUT, 0, 30 * SECOND, false}, {FAULT_HOST_CUT, 500, 40 * SECOND, true}},
	/* the last host alive */
	{{FAULT_HOST_CUT, 0, 20 * MINUTE, true}, {FAULT_VM_CRASH, 6 * MINUTE, 0, false}},
	/* maintenance against an old writer, and while the flag can't be read */
	{{FAULT_GLOBAL_ON, 0, 0, false}, {FAULT_FLAG_UNDONE, 2 * SECOND, 10 * SECOND, false}},
	{{FAULT_GLOBAL_ON, 0, 0, false},
	 {FAULT_FLAG_NOISE, 40 * SECOND, 0, false},
	 {FAULT_VM_POWEROFF, 50 * SECOND, 0, false},
	 {FAULT_VM_POWEROFF, 50 * SECOND, 0, true}},
	{{FAULT_GLOBAL_ON, 0, 0, false},
	 {FAULT_VM_POWEROFF, 50 * SECOND, 0, false},
	 {FAULT_VM_POWEROFF, 50 * SECOND, 0, true}},
	{{FAULT_DISK_LOST, 0, 30 * SECOND, false}, {FAULT_LOCAL_ON, 2 * SECOND, 0, false}},
	{{FAULT_DISK_EIO, 0, 20 * SECOND, false}, {FAULT_LOCAL_ON, 2 * SECOND, 0, false}},
	{{FAULT_LOCAL_ON, 0, 0, false}, {FAULT_ORDER_POWEROFF, 30 * SECOND, 0, true}},
	/* a newer host has the VM, and whoever starts then */
	{{FAULT_OTHER_VERSION, 0, 10 * MINUTE, false}, {FAULT_VM_CRASH, 20 * SECOND, 0, false}},
	{{FAULT_OTHER_VERSION, 0, 10 * MINUTE, false},
	 {FAULT_VM_POWEROFF, 20 * SECOND, 0, false},
	 {FAULT_AGENT_KILL, 1 * MINUTE, 1 * SECOND, true}},
	/* better and worse in turn */
	{{FAULT_NETWORK_LOST, 0, 5 * MINUTE, false},
	 {FAULT_NETWORK_LOST, 6 * MINUTE, 5 * MINUTE, true},
	 {FAULT_NETWORK_LOST, 12 * MINUTE, 5 * MINUTE, false},
	 {FAULT_NETWORK_LOST, 18 * MINUTE, 5 * MINUTE, true}},
	/* it can't be started anywhere */
	{{FAULT_VM_START_FAILS, 0, 20 * MINUTE, false},
	 {FAULT_VM_START_FAILS, 0, 20 * MINUTE, true},
	 {FAULT_VM_CRASH, 1 * SECOND, 0, false},
	 {FAULT_VM_CRASH, 1 * SECOND, 0, true}},
	/* a copied host, and one that meets the record of another in its block */
	{{FAULT_CLONE, 0, 5 * MINUTE, false}, {FAULT_HOST_CUT, 5 * SECOND, 30 * SECOND, false}},
	{{FAULT_ALIEN, 0, 10 * MINUTE, false}, {FAULT_VM_CRASH, 3 * MINUTE, 0, false}},
	/* migrated by hand, and what stands around it goes meanwhile (rule 14) */
	{{FAULT_VM_MIGRATED, 0, 0, false}, {FAULT_VM_MIGRATED, 30 * SECOND, 0, false}},
	{{FAULT_VM_MIGRATED, 0, 0, false}, {FAULT_AGENT_KILL, 500, 20 * SECOND, false}},
	{{FAULT_VM_MIGRATED, 0, 0, false},
	 {FAULT_SANLOCK_KILL, 400, 2 * SECOND, true},
	 {FAULT_HOST_CUT, 40 * SECOND, 30 * SECOND, false}},
	{{FAULT_VM_MIGRATED, 0, 0, false}, {FAULT_LIBVIRT_KILL, 600, 10 * SECOND, false}},
	/* a fast clock against all the others', while the storage goes and comes */
	{{FAULT_CLOCK_DRIFT, 0, 20 * MINUTE, false}, {FAULT_DISK_HANG, 5 * MINUTE, 3 * MINUTE, false}},
	/* the VM comes to a host whose libvirt drops its lease (rule 1) */
	{{FAULT_VM_STRIPPED, 0, 5 * MINUTE, true}, {FAULT_VM_CRASH, 1 * SECOND, 0, false}},
	{{FAULT_VM_STRIPPED, 0, 3 * MINUTE, false}, {FAULT_VM_CRASH, 1 * SECOND, 0, false}},
	/* one of them stands while what it is for happens */
	{{FAULT_AGENT_HANG, 0, 18 * SECOND, false}, {FAULT_VM_MIGRATED, 1 * SECOND, 0, false}},
	{{FAULT_GUARD_HANG, 0, 9 * SECOND, false}, {FAULT_SANLOCK_KILL, 1 * SECOND, 2 * SECOND, false}},
	{{FAULT_BROKER_HANG, 0, 18 * SECOND, false},
	 {FAULT_LEASE_REWRITTEN, 1 * SECOND, 200 * SECOND, false},
	 {FAULT_AGENT_HANG, 10 * SECOND, 18 * SECOND, false}},
	/* a migration that takes long, and what goes meanwhile on one side */
	{{FAULT_VM_MIGRATED_SLOWLY, 0, 0, false}, {FAULT_LOCAL_ON, 1 * MINUTE, 0, true}},
	{{FAULT_VM_MIGRATED_SLOWLY, 0, 0, false}, {FAULT_AGENT_KILL, 40 * SECOND, 20 * SECOND, true}},
	{{FAULT_VM_MIGRATED_SLOWLY, 0, 0, false}, {FAULT_HOST_CUT, 1 * MINUTE, 30 * SECOND, false}},
	{{FAULT_VM_MIGRATED_SLOWLY, 0, 0, false}, {FAULT_LIBVIRT_KILL, 1 * MINUTE, 2 * SECOND, true}},
	/* a QEMU that can't be killed is there still when the storage is back (rule 4) */
	{{FAULT_VM_UNKILLABLE, 0, 3 * MINUTE, false}, {FAULT_DISK_EIO, 5 * SECOND, 1 * MINUTE, false}},
	/* the lockspace is made anew beside hosts that live, and with all others off (rule 15) */
	{{FAULT_LOCKSPACE_RESET, 0, 4 * MINUTE, false}},
	{{FAULT_HOST_CUT, 0, 8 * MINUTE, true}, {FAULT_LOCKSPACE_RESET, 2 * SECOND, 6 * MINUTE, false}},
	{{FAULT_VM_LOST, 0, 0, false}, {FAULT_LOCKSPACE_RESET, 1 * SECOND, 4 * MINUTE, false}},
	{{FAULT_SANLOCK_HANG, 0, 3 * MINUTE, true}, {FAULT_LOCKSPACE_RESET, 5 * SECOND, 4 * MINUTE, false}},
	/* the VM goes while nobody can tell of it, and while somebody tells of everything */
	{{FAULT_COROSYNC_KILL, 0, 20 * SECOND, false}, {FAULT_VM_CRASH, 5 * SECOND, 0, false}},
	{{FAULT_POKES_LOST, 0, 1 * MINUTE, true}, {FAULT_VM_CRASH, 10 * SECOND, 0, false}},
	{{FAULT_POKES_FORGED, 0, 1 * MINUTE, false}, {FAULT_VM_CRASH, 10 * SECOND, 0, false}},
	{{FAULT_POKES_SHUFFLED, 0, 2 * MINUTE, true}, {FAULT_HOST_CUT, 10 * SECOND, 30 * SECOND, false}},
	/* moved by the agent, and what goes meanwhile on either side, or wants the lease (rule 14) */
	{{FAULT_ORDER_MIGRATE, 0, 0, false}, {FAULT_ORDER_START, 800, 0, true}},
	{{FAULT_MIGRATION_UNHEARD, 0, 1 * MINUTE, false},
	 {FAULT_ORDER_MIGRATE, 100, 0, false},
	 {FAULT_AGENT_HANG, 800, 15 * SECOND, false},
	 {FAULT_VM_CRASH, 3 * SECOND, 0, false}},
	{{FAULT_MIGRATION_UNHEARD, 0, 1 * MINUTE, false},
	 {FAULT_ORDER_MIGRATE, 100, 0, false},
	 {FAULT_BROKER_HANG, 800, 15 * SECOND, false},
	 {FAULT_VM_CRASH, 3 * SECOND, 0, false}},
	{{FAULT_ORDER_MIGRATE, 0, 0, false}, {FAULT_HOST_CUT, 900, 30 * SECOND, true}},
	{{FAULT_ORDER_MIGRATE, 0, 0, false}, {FAULT_HOST_CUT, 900, 30 * SECOND, false}},
	{{FAULT_ORDER_MIGRATE, 0, 0, false}, {FAULT_LIBVIRT_KILL, 900, 2 * SECOND, true}},
	{{FAULT_ORDER_MIGRATE, 0, 0, false}, {FAULT_AGENT_KILL, 500, 2 * SECOND, false}},
	{{FAULT_ORDER_MIGRATE, 0, 0, false}, {FAULT_SANLOCK_HANG, 700, 20 * SECOND, true}},
	{{FAULT_ORDER_MIGRATE, 0, 0, false}, {FAULT_ORDER_MIGRATE_CANCEL, 600, 0, false}},
	{{FAULT_ORDER_MIGRATE, 0, 0, false}, {FAULT_GLOBAL_ON, 300, 0, false}},
	{{FAULT_ORDER_MIGRATE_SLOWLY, 0, 0, false}, {FAULT_ORDER_MIGRATE_CANCEL, 20 * SECOND, 0, false}},
	{{FAULT_ORDER_MIGRATE_SLOWLY, 0, 0, false}, {FAULT_AGENT_KILL, 40 * SECOND, 2 * SECOND, false}},
	{{FAULT_LOCAL_ON, 0, 0, false}, {FAULT_DISK_HANG, 500, 20 * SECOND, true}},
	{{FAULT_LOCAL_ON, 0, 0, false}, {FAULT_VM_MIGRATED_SLOWLY, 0, 0, false}},
	/* a storage daemon holds what was written until its host has lost its host id (rule 13) */
	{{FAULT_DISK_HELD, 0, 2 * MINUTE, false}},
	/* nothing is left on the VM's host but QEMU, and the lockspace is made anew there (rule 15) */
	{{FAULT_GUARD_KILL, 0, 8 * MINUTE, false},
	 {FAULT_HOST_CUT, 0, 8 * MINUTE, true},
	 {FAULT_LOCKSPACE_RESET, 1 * SECOND, 6 * MINUTE, false},
	 {FAULT_SANLOCK_KILL, 1500, 7 * MINUTE, false}},
	/* the source's QEMU goes on by itself, and a third host is asked to start (rule 14) */
	{{FAULT_HAND_OVER_DIES, 0, 30 * SECOND, false},
	 {FAULT_ORDER_MIGRATE, 100, 0, false},
	 {FAULT_ORDER_START, 4 * SECOND, 0, true}},
	{{FAULT_HAND_OVER_DIES, 0, 30 * SECOND, false},
	 {FAULT_VM_MIGRATED, 100, 0, false},
	 {FAULT_ORDER_START, 4 * SECOND, 0, true}},
};
#define N_RECIPES (sizeof(recipes) / sizeof(recipes[0]))

/* Those of the first `kinds_used` faults alone: they stand first. */
static size_t recipes_of(unsigned kinds_used)
{
	size_t n = 0;

	for (; n < N_RECIPES; n++)
		for (size_t i = 0; i < PARTS_MAX; i++)
			if (recipes[n][i].fault >= kinds_used)
				return n;
	return n;
}

/* Some need a host beside the VM's. */
static bool takes_two(enum fault fault)
{
	return fault == FAULT_VM_UNLEASED || fault == FAULT_VM_MIGRATED ||
	       fault == FAULT_VM_MIGRATED_SLOWLY || fault == FAULT_ORDER_MIGRATE ||
	       fault == FAULT_ORDER_MIGRATE_SLOWLY;
}

static void add_recipe(struct schedule *schedule, uint64_t *state, size_t which, int64_t at, uint16_t host)
{
	for (size_t i = 0; i < PARTS_MAX; i++) {
		const struct part *part = &recipes[which][i];
		/* A tenth sooner or later, so that the order of what falls together is tried both ways. */
		int64_t when = at + part->after + between(state, 0, part->after / 10 + 100);
		int64_t length = part->length ? part->length * between(state, 8, 12) / 10 : 0;
		int64_t value = kinds[part->fault].value.to ? kinds[part->fault].value.to : 0;

		if (i > 0 && part->fault == 0 && part->after == 0)
			break; /* the rest of the row is empty */
		for (uint16_t id = 1; id <= schedule->hosts; id++)
			if ((part->others ? id != host : id == host) &&
			    (schedule->hosts > 1 || !takes_two(part->fault)))
				add(schedule, when, id, part->fault, length, value);
	}
}

/* Mostly a few hosts, which see more of each fault; now and then dozens, seldom hundreds, and one schedule of
 * some thousands has up to as many as there can be: it takes minutes. */
static uint16_t draw_hosts(uint64_t *state, unsigned kinds_used)
{
	static const uint16_t sizes[] = {1, 2, 3, 3, 3, 3, 4, 5};
	uint16_t few = sizes[chance(state) % (sizeof(sizes) / sizeof(sizes[0]))];
	int64_t size;

	if (kinds_used <= FAULT_LOCKSPACE_RESET) /* of when there were no others */
		return few;
	size = between(state, 0, 199);
	if (size == 0)
		return chance(state) % 10 == 9 ? (uint16_t)between(state, 301, HOST_ID_MAX)
					       : (uint16_t)between(state, 65, 300);
	return size < 10 ? (uint16_t)between(state, 6, 64) : few;
}

void schedule_generate(uint64_t seed, unsigned kinds_used, struct schedule *ret)
{
	static const uint32_t timeouts[] = {10, 10, 10, 5, 2};
	uint64_t state = seed * 0x2545f4914f6cdd1dULL + 1;
	bool wanted[FAULT_COUNT] = {false};
	int64_t at = 4 * MINUTE, window;
	unsigned weights = 0, n_recipes;

	assert(kinds_used > 0 && kinds_used <= FAULT_COUNT);
	memset(ret, 0, sizeof(*ret));
	ret->seed = seed;
	ret->hosts = draw_hosts(&state, kinds_used);
	ret->io_timeout_s = timeouts[chance(&state) % (sizeof(timeouts) / sizeof(timeouts[0]))];
	/* The first host is always fit to run the VM. */
	if (chance(&state) % 8 == 0 && ret->hosts > 1)
		ret->other_timing = (uint16_t)between(&state, 2, ret->hosts);
	if (chance(&state) % 3 == 0)
		ret->no_watchdog = chance(&state) % 2 || ret->hosts == 1
					   ? UINT16_MAX
					   : (uint16_t)between(&state, 2, ret->hosts);

	/* A few kinds a seed, each host with its share. */
	for (unsigned i = 0; i < kinds_used; i++) {
		wanted[i] = chance(&state) % 5 == 0 && (ret->hosts > 1 || !takes_two((enum fault)i));
		weights += wanted[i] ? kinds[i].weight : 0;
	}
	window = between(&state, 8, 40) * MINUTE;
	n_recipes = (unsigned)between(&state, 1, 4);
	for (unsigned i = 0; i < n_recipes; i++)
		add_recipe(ret, &state, (size_t)between(&state, 0, (int64_t)recipes_of(kinds_used) - 1),
			   at + between(&state, 0, window), (uint16_t)between(&state, 1, ret->hosts));
	while (weights > 0) {
		int64_t pick = between(&state, 0, weights - 1);
		int which = 0;

		at += draw(&state, (struct range){1 * SECOND, 6 * MINUTE});
		if (at > 4 * MINUTE + window)
			break;
		while (!wanted[which] || pick >= kinds[which].weight)
			pick -= wanted[which] ? kinds[which].weight : 0, which++;
		add(ret, at, (uint16_t)between(&state, 1, ret->hosts), (enum fault)which,
		    kinds[which].length.to ? draw(&state, kinds[which].length) : 0,
		    kinds[which].value.to ? draw(&state, kinds[which].value) : 0);
	}
	ret->heal_at = 4 * MINUTE + window;
	for (size_t i = 0; i < ret->n_faults; i++)
		if (ret->faults[i].at + ret->faults[i].length > ret->heal_at)
			ret->heal_at = ret->faults[i].at + ret->faults[i].length;
	ret->heal_at += 1 * SECOND;
	ret->end_at = ret->heal_at + 40 * MINUTE;
}

bool schedule_has_corosync(const struct schedule *schedule)
{
	for (size_t i = 0; i < schedule->n_faults; i++)
		if (schedule->faults[i].fault >= FAULT_COROSYNC_KILL &&
		    schedule->faults[i].fault <= FAULT_POKES_FORGED)
			return schedule->hosts <= SCHEDULE_COROSYNC_HOSTS;
	return false;
}

void schedule_print(const struct schedule *schedule, FILE *out)
{
	fprintf(out,
		"setup seed=%" PRIu64 " hosts=%u io_timeout=%u other_timing=%u no_watchdog=%u heal=%" PRId64
		" end=%" PRId64 "\n",
		schedule->seed, schedule->hosts, schedule->io_timeout_s, schedule->other_timing,
		schedule->no_watchdog, schedule->heal_at, schedule->end_at);
	for (size_t i = 0; i < schedule->n_faults; i++) {
		const struct scheduled *s = &schedule->faults[i];

		fprintf(out, "at=%" PRId64 " host=%u %s", s->at, s->host, fault_str(s->fault));
		if (kinds[s->fault].length.to)
			fprintf(out, " for=%" PRId64, s->length);
		if (kinds[s->fault].value.to)
			fprintf(out, " value=%" PRId64, s->value);
		fputc('\n', out);
	}
}

static bool read_setup(const char *line, struct schedule *ret)
{
	return sscanf(line,
		      "setup seed=%" SCNu64 " hosts=%" SCNu16 " io_timeout=%" SCNu32 " other_timing=%" SCNu16
		      " no_watchdog=%" SCNu16 " heal=%" SCNd64 " end=%" SCNd64,
		      &ret->seed, &ret->hosts, &ret->io_timeout_s, &ret->other_timing, &ret->no_watchdog,
		      &ret->heal_at, &ret->end_at) == 7 &&
	       ret->hosts >= 1 && ret->hosts <= SCHEDULE_HOSTS_MAX && ret->io_timeout_s >= 1 &&
	       ret->io_timeout_s <= 60 && ret->heal_at >= 0 && ret->end_at >= ret->heal_at;
}

/* Its id has to be one that storage has room for. */
static bool takes_id(enum fault fault)
{
	return fault == FAULT_ALIEN || fault == FAULT_OTHER_VERSION || fault == FAULT_LEASE_REWRITTEN;
}

static bool read_fault(const char *line, const struct schedule *schedule, struct scheduled *ret)
{
	int used = 0, more = 0;
	char word[32];

	*ret = (struct scheduled){0};
	if (sscanf(line, "at=%" SCNd64 " host=%" SCNu16 " %31s%n", &ret->at, &ret->host, word, &used) != 3)
		return false;
	for (ret->fault = 0; ret->fault < FAULT_COUNT; ret->fault++)
		if (strcmp(word, kinds[ret->fault].word) == 0)
			break;
	if (ret->fault == FAULT_COUNT || ret->host < 1 || ret->host > schedule->hosts || ret->at < 0)
		return false;
	if (takes_id(ret->fault) && schedule->hosts > HOST_ID_MAX - SCHEDULE_GHOSTS)
		return false;
	line += used;
	if (kinds[ret->fault].length.to) {
		if (sscanf(line, " for=%" SCNd64 "%n", &ret->length, &more) != 1 || ret->length < 0)
			return false;
		line += more;
	}
	if (kinds[ret->fault].value.to) {
		if (sscanf(line, " value=%" SCNd64 "%n", &ret->value, &more) != 1)
			return false;
		line += more;
	}
	return line[strspn(line, " \n")] == '\0';
}

int schedule_read(FILE *in, struct schedule *ret, char ret_why[128])
{
	bool setup = false;
	unsigned number = 0;
	char line[256];

	memset(ret, 0, sizeof(*ret));
	while (fgets(line, sizeof(line), in)) {
		struct scheduled s;

		number++;
		if (line[0] == '#' || line[strspn(line, " \n")] == '\0')
			continue;
		if (!setup) {
			if (!read_setup(line, ret)) {
				snprintf(ret_why, 128,
					 "line %u: expected `setup seed= hosts= io_timeout= ..`", number);
				return -EINVAL;
			}
			setup = true;
			continue;
		}
		if (ret->n_faults == SCHEDULE_FAULTS_MAX || !read_fault(line, ret, &s)) {
			snprintf(ret_why, 128, "line %u: expected `at=MS host=N FAULT [for=MS] [value=N]`",
				 number);
			return -EINVAL;
		}
		add(ret, s.at, s.host, s.fault, s.length, s.value);
	}
	if (setup)
		return 0;
	snprintf(ret_why, 128, "no line `setup ..`");
	return -EINVAL;
}

static void drop(const struct schedule *from, size_t first, size_t count, struct schedule *ret)
{
	*ret = *from;
	memmove(&ret->faults[first], &ret->faults[first + count],
		(from->n_faults - first - count) * sizeof(ret->faults[0]));
	ret->n_faults -= count;
}

/* ddmin, complements only: pieces are left out, the halves first, until no single line can go. */
void schedule_shrink(struct schedule *schedule, bool (*fails)(const struct schedule *schedule, void *data),
		     void *data, unsigned most)
{
	size_t piece = (schedule->n_faults + 1) / 2;
	bool cut = false;

	while (piece > 0 && schedule->n_faults > 0) {
		cut = false;
		for (size_t first = 0; first < schedule->n_faults && most > 0;) {
			size_t left = schedule->n_faults - first, count = piece < left ? piece : left;
			struct schedule less;

			drop(schedule, first, count, &less);
			most--;
			if (fails(&less, data)) {
				*schedule = less;
				cut = true;
			} else {
				first += count;
			}
		}
		if (most == 0)
			return;
		if (piece == 1 && !cut)
			return;
		piece = piece > 1 ? (piece + 1) / 2 : 1;
		if (piece == 1 && schedule->n_faults == 0)
			return;
	}
}
