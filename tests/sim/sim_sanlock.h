/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sanlock on one host: its host id, the leases of this host's processes, and what it has seen of other hosts,
 * with the arithmetic of sanlock 3.8.5. The numbers, N = io_timeout:
 *
 *   renewal        each 2N; a failed one is tried again after 1 s, one that takes longer than N has failed
 *   fail           8N after the begin of the last good one: holders are killed, then the lockspace is gone
 *   dead           8N + watchdog_fire after the last change that was seen: others may take its leases
 *   watchdog       resets the host then, unless the lockspace is gone (10 s before that at the earliest)
 *   join           2N + 1 s when the id is free or was of the same name; else it waits until the id is dead
 *   get_hosts      -EAGAIN until the first renewal, UNKNOWN until one of that host was seen
 *   acquire        of an owned lease: its owner's sector each second, refused as soon as it changes, granted
 * when it is free, of a newer generation, or unchanged for the dead time (counted from the last change seen,
 * or from now when none was)
 *
 * The daemon can be gone or stopped (SIGSTOP). Its I/O takes the host's path (sim_disk.h). */
#pragma once

#include "lockspace/lease_port.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_disk.h"

enum sim_space {
	SIM_SPACE_NONE,
	SIM_SPACE_ADDING,
	SIM_SPACE_JOINED,
	SIM_SPACE_KILLING, /* lost: holders are being killed */
	SIM_SPACE_LEAVING,
};

/* What was seen of a host id at our renewals, in our clock. */
struct sim_seen {
	uint64_t generation, timestamp;
	uint32_t io_timeout_s;
	mono_t first_check, last_live; /* MONO_UNSET never */
};

struct sim_sanlock;

/* One acquire of one of this host's processes. */
struct sim_acquire {
	struct sim_event step; /* first */
	struct sim_sanlock *sanlock;
	enum sim_lease_id which;
	bool active;
	int32_t pid;
	struct sim_io *io;
	struct sim_lease leader;
	bool leader_read;
	uint64_t last_timestamp; /* of the owner's sector, 0 not read */
	mono_t wait_start;
	void (*done)(void *data, int error);
	void *data;
};

/* Lets a lease go, again and again while that fails. */
struct sim_release {
	struct sim_event event; /* first */
	struct sim_sanlock *sanlock;
	enum sim_lease_id which;
};

/* What the host does when sanlock asks. */
struct sim_sanlock_calls {
	/* Kill the holder of the lease; sim_sanlock_exited() tells when it is gone. */
	void (*kill)(void *data, enum sim_lease_id which);
	/* The watchdog fires. */
	void (*reset)(void *data);
};

struct sim_sanlock {
	struct sim *sim;
	struct sim_clock *clock;
	struct sim_disk *disk;
	const struct sim_sanlock_calls *calls;
	void *data;
	uint16_t host_id;
	uint32_t name; /* the host name in the lockspace, as a number */
	struct lease_timing timing;
	bool has_watchdog;

	bool running, stopped;
	enum sim_space space;
	uint64_t generation;
	uint64_t stamp;	       /* of the claim that a join has written */
	mono_t renewed;	       /* begin of the last good renewal */
	bool checked;	       /* one has told of the others */
	struct sim_seen *seen; /* by host id */
	size_t n_seen;
	int32_t registered;		  /* QEMU's pid as it is known here, 0 none */
	int32_t holders[SIM_LEASE_COUNT]; /* pid, 0 nobody here */
	struct sim_acquire acquires[SIM_LEASE_COUNT];
	struct sim_io *renewal, *joining;
	struct sim_event renew, fail, fires, join_step, kill_step;
	struct sim_release release[SIM_LEASE_COUNT];
	mono_t renewal_begun, join_begun;
	uint64_t foreign_timestamp; /* of another name's in our id */
	void (*left)(void *data, int error);
	void *left_data;
	/* Counts for checkers and reports. */
	unsigned joins, losses, acquired, refused;
};

void sim_sanlock_init(struct sim_sanlock *sanlock, struct sim *sim, struct sim_clock *clock,
		      struct sim_disk *disk);
void sim_sanlock_done(struct sim_sanlock *sanlock);
void sim_sanlock_start(struct sim_sanlock *sanlock);
/* It dies: holders live on unregistered, and the watchdog fires unless none of them was in a lockspace.
 * Milder than wdmd: when it is started and has joined again before that, the reset is off. */
void sim_sanlock_crash(struct sim_sanlock *sanlock);
/* The host is off: nothing is left of it but the disk. */
void sim_sanlock_power_off(struct sim_sanlock *sanlock);
/* SIGSTOP and SIGCONT. */
void sim_sanlock_stop(struct sim_sanlock *sanlock, bool stopped);

/* -errno at once, or 0 and look. -EEXIST: joined, -EAGAIN: still leaving. */
int sim_sanlock_join(struct sim_sanlock *sanlock);
/* With REM_UNUSED: -EBUSY while a lease is held. `left` comes unless -errno is returned. */
int sim_sanlock_leave(struct sim_sanlock *sanlock, void (*left)(void *data, int error), void *data);
/* A process of libvirt's registers (no lease yet). */
void sim_sanlock_register(struct sim_sanlock *sanlock, int32_t pid);
/* One at a time per lease (-EBUSY). done: 0; -EBUSY held elsewhere; -ENOSPC not joined; -EIO. */
int sim_sanlock_acquire(struct sim_sanlock *sanlock, enum sim_lease_id which, int32_t pid,
			void (*done)(void *data, int error), void *data);
/* Nobody waits for it any more; a lease that still comes is let go. */
void sim_sanlock_forget(struct sim_sanlock *sanlock, enum sim_lease_id which);
/* Lets the lease go; the process lives on, registered. */
void sim_sanlock_release(struct sim_sanlock *sanlock, enum sim_lease_id which);
/* The process that held, or waited for, `which` has ended. */
void sim_sanlock_exited(struct sim_sanlock *sanlock, enum sim_lease_id which);
enum host_state sim_sanlock_state(const struct sim_sanlock *sanlock, uint16_t id, mono_t now);
/* Does the lease on the host's storage name this host in its generation? */
bool sim_sanlock_owns(const struct sim_sanlock *sanlock, enum sim_lease_id which);
