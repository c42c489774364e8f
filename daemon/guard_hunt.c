/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds QEMU in /proc, kills it, sees that it is gone, and resets the host when it can't be killed. Whether
 * it has to die is decided in guard_rule.c. /proc is read in a thread: a process in state D with its memory
 * map locked keeps whoever reads its command line waiting, and must keep neither the others from being killed
 * nor the loop from its clients. Called by guard.c. */
#include <assert.h>
#include <errno.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "daemon/guard_state.h"
#include "lockspace/guard_protocol.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/worker.h"

#define SWEEP_MS 500	     /* a reading of /proc takes some ms; longer is a process that holds it */
#define SURVIVOR "survivor-" /* and since when, ms: the name of its pidfd at systemd */
#define OWED_MS 1000	     /* between two hunts after a suspend, until one ends well */

/* Rule 12. Without sync(2): it would wait for the storage that hangs. 0 is not returned. */
int hunt_reset(const char *why)
{
	int r;

	log_error("resetting this host why=%s", why);
	r = reboot(RB_AUTOBOOT) < 0 ? -errno : 0;
	log_error("reset failed error=%s", strerror(-r));
	return r;
}

static void sweep_done(struct job *job);

/* Who has let go of its thread is read again, whoever else still holds one. */
static void skip_late(struct guard *guard, struct qemu_walk *walk)
{
	for (size_t i = guard->n_late; i-- > 0;) {
		struct guard_sweep *late = guard->late[i];

		if (!guard_sweep_back(late)) {
			walk->skip[walk->n_skip++] = late->late_at;
			continue;
		}
		guard->late[i] = guard->late[--guard->n_late];
		late->job.destroy(&late->job);
	}
}

/* Reads /proc. Without a thread to do it, it is better to block than not to look. */
static void sweep_start(struct guard *guard, bool kill, mono_t now)
{
	struct guard_sweep *sweep = guard_sweep_new(guard->conf.vmid, kill);
	int r;

	if (!sweep)
		return; /* no memory: hunt_check() tries again */
	skip_late(guard, &sweep->walk);
	sweep->job.done = sweep_done;
	sweep->asker = guard;
	guard->sweep = sweep;
	guard->sweep_ends = mono_add(now, SWEEP_MS);
	r = worker_start(guard->sweeper, &sweep->job);
	if (r == -EBUSY) {
		sweep->error = r;
		sweep_done(&sweep->job);
	} else if (r < 0) {
		sweep->job.run(&sweep->job);
		sweep_done(&sweep->job);
	}
}

void hunt_begin(struct guard *guard, const char *reason, mono_t now)
{
	if (guard->hunt != HUNT_NONE)
		return;
	guard->hunt_reason = reason;
	guard->hunt = HUNT_WANTED;
	/* What is being read now was begun before the question. */
	if (guard->sweep)
		return;
	guard->hunt = HUNT_LOOK;
	sweep_start(guard, false, now);
}

static void hunt_end(struct guard *guard, int error, int alive)
{
	guard->hunt = HUNT_NONE;
	if (error == 0)
		guard->owed = MONO_NEVER;
	guard_reply_all(guard, error, alive);
}

/* The line in the log comes first: it may be the host's last. */
static void strike(struct guard *guard, pid_t first, int count, mono_t now)
{
	log_error("killing QEMU reason=%s vm=%s pid=%d count=%d sanlock=%s renewed_ago_ms=%lld",
		  guard->hunt_reason, guard->conf.vmid, first, count, guard_word_str(guard->facts.word),
		  guard->facts.renewed == MONO_UNSET ? -1LL : (long long)(now - guard->facts.renewed));
	guard->hunt = HUNT_STRIKE;
	sweep_start(guard, true, now);
}

static void survivor_set(struct guard *guard, int fd, mono_t since)
{
	guard_fd_set(guard, SLOT_SURVIVOR, fd, POLLIN);
	guard->survives_since = since;
	guard->survivor_freed = false;
}

/* Its minute goes on when this guard ends and another is started: systemd keeps the pidfd (the unit's
 * FileDescriptorStoreMax=), whose name tells since when. */
static void survivor_keep(struct guard *guard)
{
	int fd = guard->fds[SLOT_SURVIVOR].fd;
	char text[80];

	guard->survivor_kept = guard->survives_since;
	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s%lld", SURVIVOR, (long long)guard->survivor_kept);
	sd_pid_notify_with_fds(0, 0, text, &fd, 1);
}

static void survivor_gone(struct guard *guard)
{
	char text[80];

	guard_fd_set(guard, SLOT_SURVIVOR, -1, 0);
	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s%lld", SURVIVOR,
		 (long long)guard->survivor_kept);
	sd_notify(0, text);
}

void hunt_resume(struct guard *guard, mono_t now)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);

	for (int i = 0; i < n; i++) {
		bool ours = strncmp(names[i], SURVIVOR, strlen(SURVIVOR)) == 0;
		mono_t since = ours ? strtoll(names[i] + strlen(SURVIVOR), NULL, 10) : now;

		if (ours && guard->fds[SLOT_SURVIVOR].fd < 0) {
			survivor_set(guard, SD_LISTEN_FDS_START + i, since < now ? since : now);
			guard->survivor_kept = since;
			log_warning("QEMU survives the SIGKILL of the guard before ms=%lld",
				    (long long)(now - guard->survives_since));
		} else {
			close(SD_LISTEN_FDS_START + i);
		}
		free(names[i]);
	}
	free(names);
}

/* Takes the killing from a thread that hangs in it: it goes on killing no more when it comes back, and what
 * it has killed has its minute (rule 12) even if the next look can't read it. */
static void strike_leave(struct guard *guard, struct qemu_walk *walk, mono_t now)
{
	int fd;

	walk->left = true;
	fd = atomic_exchange(&walk->killed, 0);
	if (fd <= 0)
		return;
	if (guard->fds[SLOT_SURVIVOR].fd >= 0) {
		close(fd);
		return;
	}
	survivor_set(guard, fd, now);
	survivor_keep(guard);
}

/* Keeps the pidfd of the first that did not die, until it does: a pid alone could be another's by then. */
static void survivor_take(struct guard *guard, int slot)
{
	if (guard->fds[slot].fd >= 0 && guard->fds[SLOT_SURVIVOR].fd < 0) {
		survivor_set(guard, TAKE_FD(guard->fds[slot].fd), guard->killing_ends - GUARD_KILL_MS);
		survivor_keep(guard);
	}
	guard_fd_set(guard, slot, -1, 0);
}

/* sanlock keeps the lockspace for as long as QEMU lives, so the broker's gate, which would end the storage
 * daemon, stays shut. */
static void survivor_free(struct guard *guard, mono_t now)
{
	if (guard->survivor_freed || !guard_must_end_storage(guard->survives_since, now))
		return;
	/* Not when it is being ended anyway: then again. */
	guard->survivor_freed = storage_end_begin(guard, now) == 0;
	if (guard->survivor_freed)
		log_warning("QEMU survives SIGKILL: ending the storage daemon that it may wait for");
}

/* Rule 12, also when neither agent nor broker is there to ask for it: what can't be killed may still write.
 */
static void survivor_check(struct guard *guard, mono_t now)
{
	struct pollfd *survivor = &guard->fds[SLOT_SURVIVOR];

	if (survivor->fd < 0)
		return;
	/* Asked this moment: what poll() told may be a second old. */
	if (poll(survivor, 1, 0) > 0) {
		survivor_gone(guard);
		return;
	}
	survivor_free(guard, now);
	if (!guard_must_reset(guard->survives_since, now))
		return;
	guard->survives_since = now; /* should it fail, not each second */
	hunt_reset("QEMU survives SIGKILL");
}

/* All pidfds told the end, or the time is over: /proc has the last word. */
static void kill_check(struct guard *guard, mono_t now)
{
	bool gone = true;

	if (guard->hunt != HUNT_DIE)
		return;
	for (int i = SLOT_KILLED; i < SLOT_COUNT; i++) {
		if (guard->fds[i].fd >= 0 && guard->fds[i].revents)
			guard_fd_set(guard, i, -1, 0);
		gone &= guard->fds[i].fd < 0;
	}
	if (!gone && now < guard->killing_ends)
		return;
	for (int i = SLOT_KILLED; i < SLOT_COUNT; i++)
		survivor_take(guard, i);
	guard->hunt = HUNT_PROVE;
	sweep_start(guard, false, now);
}

static void struck(struct guard *guard, struct guard_sweep *sweep, mono_t now)
{
	if (sweep->error < 0) {
		log_error("kill failed error=%s", strerror(-sweep->error));
		hunt_end(guard, sweep->error, 0);
		return;
	}
	for (size_t i = 0; i < sweep->n_fds; i++)
		guard_fd_set(guard, SLOT_KILLED + (int)i, TAKE_FD(sweep->fds[i]), POLLIN);
	guard->hunt = HUNT_DIE;
	guard->killing_ends = now + GUARD_KILL_MS;
}

static void proven(struct guard *guard, int count, pid_t first)
{
	if (count == 0)
		log_info("QEMU gone vm=%s", guard->conf.vmid);
	else if (count > 0)
		log_error("QEMU survived SIGKILL vm=%s pid=%d count=%d", guard->conf.vmid, first, count);
	hunt_end(guard, count < 0 ? count : 0, count < 0 ? 0 : count);
}

static void proc_failure(struct guard *guard, int error)
{
	if (error < 0 && error != -ETIMEDOUT && !guard->proc_failed)
		log_error("cannot read /proc error=%s: QEMU can be neither found nor killed",
			  strerror(-error));
	guard->proc_failed = error < 0 && error != -ETIMEDOUT;
}

static void sweep_done(struct job *job)
{
	struct guard_sweep *sweep = (struct guard_sweep *)job;
	struct guard *guard = sweep->asker;
	int count = guard_sweep_count(sweep);
	pid_t first = sweep->pids.n > 0 ? sweep->pids.pids[0] : 0;
	mono_t now = clock_mono();

	guard->sweep = NULL;
	guard->sweep_ends = MONO_NEVER;
	proc_failure(guard, count);
	if (!sweep->kill)
		guard_sighted(guard, count, now);
	switch (guard->hunt) {
	case HUNT_NONE:
		guard_decide(guard, now);
		break;
	case HUNT_WANTED:
		guard->hunt = HUNT_LOOK;
		sweep_start(guard, false, now);
		break;
	case HUNT_LOOK:
		/* What can't be read may be one; those that can be are killed all the same. */
		if (count > 0)
			strike(guard, first, count, now);
		else
			hunt_end(guard, count, 0);
		break;
	case HUNT_STRIKE:
		struck(guard, sweep, now);
		break;
	case HUNT_PROVE:
		proven(guard, count, first);
		break;
	case HUNT_DIE:
		assert(false); /* nothing is read then */
	}
	job->destroy(job);
}

/* A process holds the thread: on without it, at once. What it is stays unknown, so nothing is proven. Were it
 * QEMU itself and only slow, the next look finds it; one that holds its reader for good can't be told from
 * any other process: sanlock, the watchdog or the operator have to end it. All but one of WORKER_STUCK_MAX
 * can be passed: with the last no thread is left to look with, and nothing is killed until one is let go. */
static void sweep_check(struct guard *guard, mono_t now)
{
	struct guard_sweep *sweep = guard->sweep;
	bool kill;
	pid_t pid;

	/* There was no memory for one. */
	if (!sweep && guard->hunt != HUNT_NONE && guard->hunt != HUNT_DIE)
		sweep_start(guard, guard->hunt == HUNT_STRIKE, now);
	if (!sweep || now < guard->sweep_ends)
		return;
	/* It may have ended this instant, and the next one have begun: that one is not late. */
	worker_dispatch(guard->sweeper);
	if (guard->sweep != sweep)
		return;
	pid = sweep->walk.reading;
	kill = sweep->kill;
	log_error("reading /proc hangs at pid=%d, likely in state D: QEMU is looked for without it", pid);
	if (guard->n_late < QEMU_SKIP_MAX && pid > 0) {
		sweep->late_at = pid;
		guard_sweep_keep(sweep);
		guard->late[guard->n_late++] = sweep;
	}
	strike_leave(guard, &sweep->walk, now);
	worker_give_up(guard->sweeper);
	guard->sweep = NULL;
	guard->sweep_ends = MONO_NEVER;
	if (guard->hunt == HUNT_WANTED)
		guard->hunt = HUNT_LOOK;
	sweep_start(guard, kill, now);
}

void hunt_asked(struct guard *guard, mono_t now)
{
	if (guard->hunt == HUNT_LOOK || guard->hunt == HUNT_PROVE)
		guard->hunt = HUNT_WANTED;
	hunt_begin(guard, "asked", now);
}

void hunt_look(struct guard *guard, mono_t now)
{
	if (!guard->sweep && guard->hunt == HUNT_NONE)
		sweep_start(guard, false, now);
}

void hunt_check(struct guard *guard, mono_t now)
{
	sweep_check(guard, now);
	/* A suspend is told once; all other reasons stay for as long as they hold. */
	if (now >= guard->owed) {
		guard->owed = now + OWED_MS;
		hunt_begin(guard, guard_reason_str(GUARD_SUSPENDED), now);
	}
	kill_check(guard, now);
	survivor_check(guard, now);
}

mono_t hunt_wake(const struct guard *guard)
{
	mono_t at = guard->hunt == HUNT_DIE ? guard->killing_ends : MONO_NEVER;

	return guard->sweep_ends < at ? guard->sweep_ends : at;
}

bool hunt_rests(const struct guard *guard)
{
	return guard->hunt == HUNT_NONE && !guard->sweep && guard->owed == MONO_NEVER &&
	       guard->fds[SLOT_SURVIVOR].fd < 0;
}
