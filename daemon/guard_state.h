/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the guard knows, and what its files need of each other: guard.c hears and judges, guard_hunt.c finds
 * and kills QEMU, guard_storage.c the storage daemon. For these alone. */
#pragma once

#include <poll.h>
#include <time.h>

#include "daemon/guard.h"
#include "daemon/guard_rule.h"
#include "daemon/guard_sweep.h"
#include "lockspace/qemu_pid.h"
#include "util/engine_conf.h"

#define GUARD_CLIENTS_MAX 8

/* Where things stand in the poll set. */
enum slot {
	SLOT_SIGNAL,
	SLOT_LISTENER,
	SLOT_WORKER,
	SLOT_SWEEPER,
	SLOT_STORAGE,
	SLOT_CONNECTION, /* to sanlock */
	SLOT_SANLOCK,	 /* pidfd */
	SLOT_SURVIVOR,	 /* pidfd: was sent SIGKILL and is not gone */
	SLOT_RESUME,	 /* timerfd */
	SLOT_CLIENTS,
	SLOT_KILLED = SLOT_CLIENTS + GUARD_CLIENTS_MAX, /* pidfds */
	SLOT_COUNT = SLOT_KILLED + QEMU_PIDS_MAX
};

/* Of the killing of all that is found. */
enum hunt {
	HUNT_NONE,
	HUNT_WANTED, /* as soon as /proc is not being read for something else */
	HUNT_LOOK,   /* the line in the log comes before the kill */
	HUNT_STRIKE,
	HUNT_DIE,   /* the killed have a moment to be gone */
	HUNT_PROVE, /* /proc has the last word */
};

struct client {
	bool waits;	    /* for the end of the killing */
	bool waits_storage; /* for the end of the storage daemon */
	bool stranger;	    /* may not ask */
	mono_t heard;	    /* when it connected, or asked last */
};

struct guard {
	const char *conf_path;
	struct timespec conf_changed;
	struct engine_conf conf;
	bool deployed;
	uid_t service_uid;

	struct pollfd fds[SLOT_COUNT];
	struct client clients[GUARD_CLIENTS_MAX];
	struct worker *worker;
	mono_t tick;	      /* the next question */
	mono_t question_ends; /* MONO_NEVER: none is under way */
	bool watchdog_asked;
	mono_t petted; /* systemd's watchdog */
	mono_t held_up_until;
	mono_t overdue_judged; /* with the deadline over */

	struct guard_facts facts;
	int64_t boot_ahead_ms; /* of CLOCK_BOOTTIME before CLOCK_MONOTONIC */
	bool proc_failed;      /* said already */

	struct worker *sweeper;
	struct guard_sweep *sweep;		 /* under way; the thread's */
	mono_t sweep_ends;			 /* MONO_NEVER: none is under way */
	struct guard_sweep *late[QEMU_SKIP_MAX]; /* given up; who holds them is passed over meanwhile */
	size_t n_late;
	enum hunt hunt;
	const char *hunt_reason;
	mono_t owed;	       /* when to hunt for the QEMU of before a suspend, MONO_NEVER: none is left */
	mono_t killing_ends;   /* of HUNT_DIE */
	mono_t survives_since; /* of SLOT_SURVIVOR */
	mono_t survivor_kept;  /* the same, as systemd keeps it */
	bool survivor_freed;   /* the end of the storage daemon was begun for it */

	struct worker *storage;
	struct storage_end *storage_end; /* under way; the thread's */
	mono_t storage_begun;

	mono_t refused_told;
	unsigned refused; /* since then */
};

/* guard.c */

/* Takes `fd`, closes what the slot held. */
void guard_fd_set(struct guard *guard, int slot, int fd, short events);
/* Waits until the killed are gone, and closes their pidfds: how many are not at the deadline. Blocks. */
size_t guard_wait_gone(int *pidfds, size_t n, mono_t deadline);
/* To all who wait for the end of a killing. */
void guard_reply_all(struct guard *guard, int error, int alive);
/* How many QEMU live, -errno not known; judges nothing yet. */
void guard_sighted(struct guard *guard, int count, mono_t now);
void guard_decide(struct guard *guard, mono_t now);

/* To all who wait for the end of the storage daemon. */
void guard_reply_storage(struct guard *guard, int error);

/* guard_storage.c */

/* Kills the storage daemon, guard_reply_storage() follows. 0, or -errno: it was not begun. */
int storage_end_begin(struct guard *guard, mono_t now);

/* guard_hunt.c */

/* Finds and kills all QEMU, and answers those who wait; joins a hunt that is under way. `reason` must stay.
 */
void hunt_begin(struct guard *guard, const char *reason, mono_t now);
/* The same for a client: its answer is of after its question. */
void hunt_asked(struct guard *guard, mono_t now);
/* Only looks, unless /proc is being read anyway: guard_sighted() and guard_decide() follow. */
void hunt_look(struct guard *guard, mono_t now);
/* What is due: threads that are late, the killed that are gone, those that can't be killed. */
void hunt_check(struct guard *guard, mono_t now);
/* When the next of it is due, MONO_NEVER: nothing. */
mono_t hunt_wake(const struct guard *guard);
/* Nothing is under way, owed or watched: no look at the clock is needed for it. */
bool hunt_rests(const struct guard *guard);
/* Takes over who survived the SIGKILL of a guard before this one, with its minute (rule 12). */
void hunt_resume(struct guard *guard, mono_t now);
/* Rule 12. -errno: 0 is not returned. */
int hunt_reset(const char *why);
