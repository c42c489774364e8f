/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What happens to a simulated cluster, and when: a setup and a list of faults. It is made from a seed, and
 * stands as lines of text that can be read back, replayed and cut down. It may not look at the world: the
 * same seed gives the same schedule whatever the daemons do. Used by run_sim.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/peer.h"

#define SCHEDULE_HOSTS_MAX HOST_ID_MAX
#define SCHEDULE_GHOSTS 3 /* ids beyond the hosts' that faults take, at most */
#define SCHEDULE_FAULTS_MAX 1000
#define SCHEDULE_COROSYNC_HOSTS 30 /* a larger cluster has none */

/* New ones come last, whatever they belong to: a seed that is written down stays the schedule that it was
 * (schedule_generate()). */
enum fault {
	/* The VM */
	FAULT_VM_CRASH,	      /* QEMU dies */
	FAULT_VM_POWEROFF,    /* from inside the guest */
	FAULT_VM_SICK,	      /* for: it runs and does not answer */
	FAULT_VM_DEAF,	      /* for: it ignores ACPI */
	FAULT_VM_IO_ERROR,    /* for: QEMU pauses itself, its disk fails */
	FAULT_VM_UNKILLABLE,  /* for: state D, SIGKILL waits */
	FAULT_VM_LOST,	      /* libvirt does not list it any more, it runs on */
	FAULT_VM_SUSPENDED,   /* for: virsh suspend by hand, then virsh resume */
	FAULT_VM_UNLEASED,    /* virsh start by hand, without a lease: libvirt's hook refuses it */
	FAULT_VM_START_FAILS, /* for: creating it fails */
	FAULT_VM_START_SLOW,  /* for, value: ms that creating it takes */
	/* Processes */
	FAULT_LIBVIRT_HANG, /* for */
	FAULT_LIBVIRT_KILL, /* for: until systemd starts it again */
	FAULT_AGENT_KILL,   /* for: until systemd starts it again */
	FAULT_BROKER_KILL,  /* for */
	FAULT_GUARD_KILL,   /* for */
	FAULT_SANLOCK_KILL, /* for */
	FAULT_SANLOCK_HANG, /* for: its socket; it renews on */
	FAULT_DAEMONS_STOP, /* for: systemctl stop of agent and broker, then start */
	/* Hosts */
	FAULT_HOST_CUT,	  /* for: power cut until it boots */
	FAULT_HOST_PAUSE, /* for: time passes, then everything at once */
	FAULT_WALL_JUMP,  /* value: s */
	/* What monitors see */
	FAULT_NETWORK_LOST, /* for, value: per mille of probes */
	FAULT_CPU_LOAD,	    /* for, value: per mille */
	FAULT_MEMORY_LOW,   /* for */
	FAULT_BRIDGE_DOWN,  /* for */
	/* Storage */
	FAULT_DISK_EIO,	       /* for: each I/O of this host fails */
	FAULT_DISK_HANG,       /* for: none returns before the end */
	FAULT_DISK_SLOW,       /* for, value: ms */
	FAULT_DISK_LOST,       /* for: writes to the whiteboard are acknowledged and lost */
	FAULT_DISK_TORN,       /* for: writes of a block stop in its middle, and fail */
	FAULT_DISK_STALE,      /* for: reads of the whiteboard give what was there before it */
	FAULT_LEASE_REWRITTEN, /* the engine lease gets another owner under its holder */
	/* Other writers */
	FAULT_CLONE,	     /* for: a copy of this host, of another name, writes its block too */
	FAULT_ALIEN,	     /* for: one more host, on another lockspace, writes our whiteboard */
	FAULT_RECORD_NOISE,  /* for: this host's block is overwritten by noise now and then */
	FAULT_OTHER_VERSION, /* for: one more host, value: 0 of an older version, 1 of the existing agents, 2
				newer */
	FAULT_FLAG_NOISE,    /* block 0 becomes unreadable */
	FAULT_FLAG_UNDONE,   /* for: an old writer puts its old copy of block 0 back */
	/* Clients */
	FAULT_GLOBAL_ON,
	FAULT_GLOBAL_OFF,
	FAULT_LOCAL_ON,
	FAULT_LOCAL_OFF,
	FAULT_ORDER_START,
	FAULT_ORDER_SHUTDOWN,
	FAULT_ORDER_POWEROFF,
	/* Once more the VM, and hosts */
	FAULT_VM_MIGRATED, /* live, by somebody else, to the next host that can take it */
	FAULT_CLOCK_DRIFT, /* for, value: ppm that this host's clocks are fast */
	FAULT_VM_STRIPPED, /* for: a hook of libvirt takes the lease out of what is created */
	/* Daemons that stand still, alone; systemd's watchdog ends them at last */
	FAULT_AGENT_HANG,	  /* for */
	FAULT_BROKER_HANG,	  /* for */
	FAULT_GUARD_HANG,	  /* for */
	FAULT_VM_MIGRATED_SLOWLY, /* as above, value: ms that its memory is copied */
	/* Storage, once more */
	FAULT_DISK_CUT,	 /* for: writes of a block stop within a sector, and fail */
	FAULT_DISK_HELD, /* for: its daemon on this host stands still, and sends later what it holds */
	/* An operator, once more */
	FAULT_LOCKSPACE_RESET, /* for: hosted-engine --reinitialize-lockspace on this host, daemons stopped */
	/* corosync, which a cluster has whose schedule has any of these (schedule_has_corosync()) */
	FAULT_COROSYNC_KILL,  /* for: until it is started again */
	FAULT_POKES_LOST,     /* for: half of those that come to this host */
	FAULT_POKES_SHUFFLED, /* for: they come to this host twice, and in another order */
	FAULT_POKES_FORGED,   /* for: by a member on this host, one each 10 ms */
	/* Once more clients */
	FAULT_ORDER_MIGRATE,
	FAULT_ORDER_MIGRATE_SLOWLY, /* value: ms that the memory is copied */
	FAULT_ORDER_MIGRATE_CANCEL,
	FAULT_MIGRATION_UNHEARD, /* for: the source's libvirtd does not hear that the target runs the VM */
	FAULT_MANAGEMENT_MAINTENANCE, /* for: local maintenance that the management system wants */
	FAULT_HAND_OVER_DIES, /* for: the source's libvirtd dies in hand-overs; value: ms until it is back */
	FAULT_COUNT
};

struct scheduled {
	int64_t at; /* ms since the begin */
	enum fault fault;
	uint16_t host;	/* host id, 1..hosts */
	int64_t length; /* ms, 0 where the fault has none */
	int64_t value;	/* 0 where it has none */
};

struct schedule {
	uint64_t seed; /* of the world's own chances: latencies, drift, boot times */
	uint16_t hosts;
	uint32_t io_timeout_s;
	uint16_t other_timing; /* host id whose io_timeout is another, 0 none */
	uint16_t no_watchdog;  /* host id without watchdog, 0 none, 0xffff all and none is required */
	int64_t heal_at;       /* ms: everything is mended, then progress is asked for */
	int64_t end_at;	       /* ms */
	struct scheduled faults[SCHEDULE_FAULTS_MAX]; /* by rising `at` */
	size_t n_faults;
};

const char *fault_str(enum fault fault);
/* `kinds_used`: of the first so many faults alone, FAULT_COUNT for all. A seed that is written down stays
 * what it was by the number of kinds that there were then. */
void schedule_generate(uint64_t seed, unsigned kinds_used, struct schedule *ret);
bool schedule_has_corosync(const struct schedule *schedule);
/* One line for the setup, one per fault. */
void schedule_print(const struct schedule *schedule, FILE *out);
/* Reads what schedule_print() wrote; blank lines and those that begin with # are passed over. 0, or -EINVAL
 * with the number of the line and what was expected in `ret_why`. */
int schedule_read(FILE *in, struct schedule *ret, char ret_why[128]);
/* Cuts the list of faults down while `fails` stays true (ddmin). Calls it at most `most` times. */
void schedule_shrink(struct schedule *schedule, bool (*fails)(const struct schedule *schedule, void *data),
		     void *data, unsigned most);
