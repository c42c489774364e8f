/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds the QEMU processes of the engine's uuid in /proc, without libvirt: the proof that none lives here
 * (safety rules 4, 5, 7) must not rest on a daemon that may be dead or mistaken. The storage daemon of this
 * host is QEMU's too, and is found in the same way (rule 13), by its pid file in the place of a uuid. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define QEMU_PIDS_MAX 16
#define QEMU_UUID_SIZE 37 /* of the text, with the NUL */
/* What the storage daemon is started with after `--pidfile`, and nothing else. */
#define STORAGE_DAEMON_PID_FILE "/run/ovirt-ha-storage-daemon.pid"

#define QEMU_SKIP_MAX 4

/* A reading of /proc, as seen by who may have to give it up and go on without the process that holds it. */
struct qemu_walk {
	_Atomic pid_t reading; /* whose command line is read now, 0: none */
	atomic_bool left;      /* it is given up: it ends with -ECANCELED, and nobody more is killed */
	atomic_int killed;     /* a pidfd of the first that was sent SIGKILL, until the walk ends; 0: none, or
				  taken by atomic_exchange(): the taker's to close */
	pid_t skip[QEMU_SKIP_MAX]; /* not to be read: they held one before */
	size_t n_skip;
};

struct qemu_pids {
	size_t n; /* how many live, zombies aside; more than QEMU_PIDS_MAX are counted, not listed */
	pid_t pids[QEMU_PIDS_MAX];
	size_t unread; /* how many that are to be skipped live: with any, n == 0 proves nothing */
};

/* Every process that was started with `-uuid UUID`, with `-smbios ...,uuid=UUID`, or with `--pidfile UUID`
 * (of which STORAGE_DAEMON_PID_FILE alone is ever asked for). Its name does not
 * matter: a renamed or wrapped binary writes to the disk just as well. The uuid is compared without regard to
 * case. 0, or -errno when /proc can't be read fully (then nothing is known, and a proof fails). -EPERM: this
 * process is not shown the others' command lines (hidepid, ProtectProc). Reads /proc only, and yet may
 * block without limit: a process that waits for I/O with its memory map locked, in state D, keeps the reader
 * of its command line waiting. For worker threads, or for who may hang. */
int qemu_find(const char *uuid, struct qemu_pids *ret);
/* The same past the processes to be skipped. */
int qemu_find_past(const char *uuid, struct qemu_walk *walk, struct qemu_pids *ret);

/* A pidfd of this process if it is one that qemu_find() lists, checked with the pidfd open, so that it is no
 * other's that took the pid; the caller closes it. -ESRCH: it is none (any more). -errno. */
int qemu_open(const char *uuid, pid_t pid);

/* Sends SIGKILL to all that qemu_find() lists, each through a pidfd that was opened before its command line
 * was read, so that no other process can be hit. ret_fds gets the pidfds, which become readable once the last
 * thread of the process is gone; the caller closes them. 0 or -errno; on failure those found before are
 * killed, and none is returned. */
int qemu_kill(const char *uuid, int ret_fds[QEMU_PIDS_MAX], size_t *ret_n);
int qemu_kill_past(const char *uuid, struct qemu_walk *walk, int ret_fds[QEMU_PIDS_MAX], size_t *ret_n);
