/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A scenario's text: hosts, their settings, what happens to them and when. The man page hosted-engine-sim(1)
 * has the grammar; the tables in scenario.c are it. Pure: bytes in, struct out; run_scenario.c plays it. */
#pragma once

#include <stddef.h>

#include "core/trace.h"

#define SCENARIO_EVENTS_MAX 20000
#define SCENARIO_TEXT_MAX 128
#define SCENARIO_VM_HOST UINT16_MAX /* whoever runs the VM then */
#define SCENARIO_RUN_MAX (30 * 24 * 3600 * MONO_SECOND)

enum scenario_fault { /* named as the functions of tests/sim/sim_fault.h that they call */
		      FAULT_POWER_CUT,
		      FAULT_POWER_ON,
		      FAULT_STALL,
		      FAULT_SUSPEND,
		      FAULT_DRIFT,
		      FAULT_WALL_JUMP,
		      FAULT_CRASH,
		      FAULT_STOP,
		      FAULT_START,
		      FAULT_FREEZE,
		      FAULT_THAW,
		      FAULT_PROC_FAILS,
		      FAULT_STORAGE,
		      FAULT_QEMU_CRASH,
		      FAULT_QEMU_UNKILLABLE,
		      FAULT_GUEST_OFF,
		      FAULT_GUEST_HANG,
		      FAULT_GUEST_SUSPEND,
		      FAULT_GUEST_RESUME,
		      FAULT_NETWORK,
		      FAULT_BRIDGE,
		      FAULT_MEMORY,
		      FAULT_CPU,
		      FAULT_LOCAL_MAINTENANCE,
		      FAULT_MANAGEMENT_MAINTENANCE,
		      FAULT_GLOBAL_MAINTENANCE,
		      FAULT_VM_START,
		      FAULT_VM_SHUTDOWN,
		      FAULT_VM_POWEROFF,
		      FAULT_VM_MIGRATE,
		      FAULT_VM_MIGRATE_CANCEL,
		      FAULT_COUNT
};

/* The second word of a fault; which ones a fault has stands in the tables. */
enum scenario_how {
	HOW_NONE,
	HOW_ON,
	HOW_OFF,
	HOW_UP,
	HOW_DOWN,
	HOW_GUARD,
	HOW_SANLOCK,
	HOW_LIBVIRTD,
	HOW_BROKER,
	HOW_AGENT,
	HOW_EIO,
	HOW_HANG,
	HOW_LOST,
	HOW_TORN,
	HOW_STALE,
	HOW_SLOW,
	HOW_OTHER,
	HOW_HEAL,
	HOW_COUNT
};
STRTAB_DECLARE(scenario_fault, enum scenario_fault);
STRTAB_DECLARE(scenario_how, enum scenario_how);

struct scenario_event {
	int64_t at; /* ms since the begin */
	enum scenario_fault fault;
	uint16_t host; /* 0: all; SCENARIO_VM_HOST */
	enum scenario_how how;
	int32_t value;	/* of faults with a number; of storage: how many I/Os in a thousand */
	int64_t for_ms; /* then it is over, 0: it stays */
	unsigned line;	/* of the text */
};

struct scenario_host {
	struct policy policy;
	enum watchdog watchdog;
	int32_t drift_ppm;
	bool off; /* at the begin */
	bool local_maintenance;
	int32_t network, bridge, memory_mib, cpu; /* of the monitors at the begin */
	int32_t boot_s;				  /* how long the guest takes until the engine answers */
	int32_t failed_tries;			  /* that its agent remembers at the begin */
	int32_t config_outdated;		  /* 1: the VM's configuration is */
};

struct scenario {
	char title[SCENARIO_TEXT_MAX];
	uint64_t seed;
	uint16_t n_hosts; /* 1..HOST_ID_MAX */
	int64_t run_ms;
	struct scenario_host *hosts;   /* [1..n_hosts] */
	struct scenario_event *events; /* by rising `at`, those of one moment in the order of the text */
	size_t n_events, events_size;
};

struct scenario_problem {
	unsigned line;
	char expected[SCENARIO_TEXT_MAX * 2]; /* printable ASCII: "expected a host 1..3, not 9" */
};

/* Reads `size` bytes of any kind. 0, and *ret is for scenario_done(); -EINVAL and *ret_problem says where and
 * what was expected; -ENOMEM. */
int scenario_parse(const char *text, size_t size, struct scenario *ret, struct scenario_problem *ret_problem);
void scenario_done(struct scenario *scenario);

/* To make one without text, zeroed at first: healthy hosts 1..n, and events in any order. 0, -ENOMEM, or
 * -ENOSPC beyond SCENARIO_EVENTS_MAX. */
int scenario_hosts(struct scenario *scenario, uint16_t n);
int scenario_add(struct scenario *scenario, const struct scenario_event *event);

/* "storage 2 hang for 30 s" */
void scenario_event_text(const struct scenario_event *event, char ret[SCENARIO_TEXT_MAX]);
