/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All that a step may know: facts with their moments, nothing derived. A fact that could not be had is
 * unknown, never a default. `struct cluster` is the broker's part and crosses the IPC as it stands; the rest
 * is the agent's own. Pure. */
#pragma once

#include <stddef.h>

#include "core/peer.h"

enum membership {		      /* of this host in the lockspace */
		  MEMBERSHIP_UNKNOWN, /* sanlock does not answer */
		  MEMBERSHIP_NONE,
		  MEMBERSHIP_JOINING,
		  MEMBERSHIP_JOINED,
		  MEMBERSHIP_COUNT
};
STRTAB_DECLARE(membership, enum membership);

enum flag { /* of global maintenance, and other yes/no/unknown facts */
	    FLAG_UNKNOWN,
	    FLAG_NO,
	    FLAG_YES,
	    FLAG_COUNT
};
STRTAB_DECLARE(flag, enum flag);

enum watchdog {
	WATCHDOG_UNKNOWN,
	WATCHDOG_NONE, /* sanlock runs with -w 0, or has no wdmd */
	WATCHDOG_SOFT, /* softdog: works as long as the kernel does; shown as weak */
	WATCHDOG_HARD,
	WATCHDOG_COUNT
};
STRTAB_DECLARE(watchdog, enum watchdog);

/* Why this host must not start the VM whatever its score (safety rules 8 and others that the broker sees). */
enum block_reason {
	BLOCK_NONE,
	BLOCK_ID_TAKEN, /* block N is fresh from another name, or a foreign record stands in our block */
	/* The domain's uuid is not the configured one, its parts are of different domains, or the whiteboard
	 * has no room for our block. */
	BLOCK_DOMAIN,
	BLOCK_REASON_COUNT
};
STRTAB_DECLARE(block_reason, enum block_reason);

enum owner_kind {		/* of the engine lease, as read from disk by sanlock */
		  OWNER_UNREAD, /* never read, or the last read failed */
		  OWNER_NOBODY,
		  OWNER_HOST,
		  OWNER_KIND_COUNT
};
STRTAB_DECLARE(owner_kind, enum owner_kind);

enum held { /* does sanlock here have QEMU's pid registered with the engine lease */
	    HELD_UNKNOWN,
	    HELD_NO,
	    HELD_YES,
	    HELD_COUNT
};
STRTAB_DECLARE(held, enum held);

enum monitor {
	MONITOR_NETWORK,	/* value: failed probes, per mille */
	MONITOR_MGMT_BRIDGE,	/* value: 1 up, 0 down */
	MONITOR_MEM_FREE,	/* value: MiB available */
	MONITOR_CPU_LOAD,	/* value: per mille, engine VM excluded, averaged over its window */
	MONITOR_ENGINE_HEALTH,	/* value: enum health; only while the VM is here */
	MONITOR_STORAGE_DOMAIN, /* value: 1 last write and read in time, 0 not */
	MONITOR_COUNT
};
STRTAB_DECLARE(monitor, enum monitor);

struct sample {
	uint32_t number; /* counts the samples taken; 0: none yet, the value means nothing */
	int32_t value;
	bool known; /* false: the last probe could not tell; value is the last known */
};

/* The broker's facts. Every `begun` is the moment before the question was asked: an answer says nothing about
 * what happened after it. */
struct cluster {
	uint16_t host_id;
	uint64_t generation; /* ours, 0 while not joined */
	enum membership membership;
	bool hosts_known;     /* get_hosts answered since the join */
	bool whiteboard_read; /* every block in use was read once */
	enum flag
		maintenance; /* global; the last good value when block 0 is unreadable; unknown: none known */
	bool maintenance_read; /* block 0 was read, or found absent, since the broker's start */
	enum watchdog watchdog;
	enum block_reason block;
	struct lease_timing lease; /* that sanlock lives by here, until it says so the configured one */

	enum owner_kind owner;
	uint16_t owner_id;
	uint64_t owner_generation;
	uint64_t owner_version; /* the lease's version, rises by one at each acquire */
	mono_t owner_begun;

	int32_t qemu_pid;  /* of the engine's uuid, from /proc: 0 none here, -1 unknown, else the pid */
	enum held held;	   /* of qemu_pid */
	mono_t held_begun; /* also of qemu_pid */

	struct sample monitors[MONITOR_COUNT];
};

enum pause { /* why a VM that is up does not run */
	     PAUSE_NONE,
	     PAUSE_STARTING,  /* created by us and not yet resumed, or started paused by the operator */
	     PAUSE_IO_ERROR,  /* QEMU stopped it on an I/O error */
	     PAUSE_MIGRATION, /* it is being taken in, or handed over to its target */
	     PAUSE_OTHER,
	     PAUSE_COUNT
};
STRTAB_DECLARE(pause, enum pause);

/* The VM here, from libvirt. */
struct vm_facts {
	enum vm vm;
	enum detail detail;
	enum pause pause;
	enum engine_reason reason;
	mono_t running_since; /* when it was first seen running (guest CPUs on) without a break, MONO_UNSET:
				 not running */
	mono_t seen_at;	      /* begin of the look that this is the answer of, or when the event came that it
				 follows from */
	int32_t memory_mib;   /* what the VM needs, 0 unknown */
	bool look_old; /* libvirt was asked longer ago than it may take to answer: the VM may be here by
			  now */
	bool leaving;  /* libvirt migrates it away, for us or for somebody else */
};

/* The end of an action. */
enum outcome {
	OUTCOME_NONE,
	OUTCOME_OK,
	OUTCOME_FAILED,	    /* with a text in the log */
	OUTCOME_LEASE_HELD, /* a start: the lease was not to be had */
	OUTCOME_SURVIVED,   /* a destroy: SIGKILL was sent, and QEMU lives on */
	OUTCOME_UNDER_WAY,  /* a migration: somebody else migrates it just now */
	OUTCOME_COUNT
};
STRTAB_DECLARE(outcome, enum outcome);

enum action {
	ACTION_NONE,
	ACTION_START, /* create paused, check the XML, resume: the lease is taken here (safety rule 2) */
	ACTION_START_PAUSED, /* create paused and leave it so; the operator's, in global maintenance only */
	ACTION_RESUME,	     /* after an I/O error */
	ACTION_SHUTDOWN,     /* ACPI */
	ACTION_DESTROY,	     /* by libvirt, then by the guard */
	ACTION_KILL,	     /* SIGKILL by the guard, without libvirt (safety rule 3) */
	ACTION_RESET_HOST,   /* safety rule 12 */
	ACTION_MIGRATE,	     /* live, to the host that the record names (safety rule 14) */
	ACTION_CANCEL,	     /* that; its end is told as the migration's */
	ACTION_COUNT
};
STRTAB_DECLARE(action, enum action);

struct result {
	enum action action; /* ACTION_NONE: none came in since the last step */
	enum outcome outcome;
};

#define RESULTS_MAX 4

struct snapshot {
	struct cluster cluster;
	const struct peer *peers; /* the other hosts, by rising id */
	size_t n_peers;		  /* 0..HOST_ID_MAX */
	struct vm_facts vm;
	bool local_maintenance; /* either key of ha.conf, as last understood */
	bool local_unknown;	/* ha.conf was never understood: neither in local maintenance nor out of it */
	bool stop_wanted;
	bool config_outdated; /* the VM's configuration can't be had or is out of date */
	bool broker_answers;  /* false: `cluster` is the last one known, and old */
	enum action wanted;   /* the operator's command of this step, or ACTION_NONE */
	uint16_t wanted_host; /* of ACTION_MIGRATE: the host id to go to, 0 the best */
	uint16_t announced;   /* our record on storage says migrating_to this host id, 0: none */
	struct result results[RESULTS_MAX];
	size_t n_results;
};
