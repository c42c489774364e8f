/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which processes are the engine's QEMU by their command lines alone. comm is no filter: one read of
 * cmdline per process costs as much as one of comm, and a binary of another name must be found too. It may
 * not ask libvirt or sanlock, and may not take what it can't read for absent. Called by the guard, by the
 * broker's and the agent's gates, and by --prove-gone. */
#include "lockspace/qemu_pid.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "util/cleanup.h"

struct text {
	char *bytes;
	size_t length, size;
};

static void text_done(struct text *text)
{
	free(text->bytes);
}

/* The whole file, NUL terminated. 0 or -errno. */
static int text_read(struct text *text, int dir, const char *path)
{
	_cleanup_close_ int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);

	text->length = 0;
	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n;

		if (text->size - text->length < 2) {
			size_t size = text->size ? 2 * text->size : 16 * 1024;
			char *bytes = realloc(text->bytes, size);

			if (!bytes)
				return -ENOMEM;
			text->bytes = bytes;
			text->size = size;
		}
		n = read(fd, text->bytes + text->length, text->size - text->length - 1);
		if (n < 0)
			return -errno;
		text->length += (size_t)n;
		if (n == 0)
			break;
	}
	text->bytes[text->length] = '\0';
	return 0;
}

/* A process that ended between the listing and the read. */
static bool gone(int r)
{
	return r == -ENOENT || r == -ESRCH;
}

static bool is_option(const char *arg, const char *name)
{
	return arg[0] == '-' && strcmp(arg + (arg[1] == '-' ? 2 : 1), name) == 0;
}

/* In `type=1,manufacturer=X,uuid=UUID`. */
static bool smbios_has(const char *arg, const char *uuid)
{
	for (const char *part = arg; part; part = strchr(part, ',')) {
		size_t length;

		part += *part == ',';
		length = strcspn(part, ",");
		if (length == 5 + strlen(uuid) && strncmp(part, "uuid=", 5) == 0 &&
		    strncasecmp(part + 5, uuid, strlen(uuid)) == 0)
			return true;
	}
	return false;
}

/* Other programs have a long option --uuid too (virt-install), and are no VM: to take one for QEMU would find
 * it without the lease, and the VM would be killed for it. QEMU's own, and libvirt's, is -uuid. */
static bool names_uuid(const char *option, const char *program)
{
	return is_option(option, "uuid") &&
	       (option[1] != '-' || strstr(program, "qemu") || strstr(program, "kvm"));
}

static bool text_matches(const struct text *cmdline, const char *uuid)
{
	const char *end = cmdline->bytes + cmdline->length, *before = "";

	for (const char *arg = cmdline->bytes; arg < end; before = arg, arg += strlen(arg) + 1) {
		if (names_uuid(before, cmdline->bytes) && strcasecmp(arg, uuid) == 0)
			return true;
		if (is_option(before, "smbios") && smbios_has(arg, uuid))
			return true;
		if (is_option(before, "pidfile") && strcmp(arg, uuid) == 0)
			return true;
	}
	return false;
}

/* A thread group whose leader has ended has no command line although other threads may still be in a write,
 * in state D after a SIGKILL: such a thread is asked instead. 1 matches, 0 not, -errno. */
static int threads_match(int proc, const char *pid, const char *uuid, struct text *text)
{
	char path[64];
	_cleanup_close_ int fd = -1;
	DIR *dir;
	int r;

	snprintf(path, sizeof(path), "%s/stat", pid);
	r = text_read(text, proc, path);
	if (r < 0)
		return gone(r) ? 0 : r;
	/* The name in brackets may hold anything, brackets too; the state follows the last one. */
	const char *state = strrchr(text->bytes, ')');
	if (!state || state[1] != ' ' || state[2] != 'Z')
		return 0; /* a kernel thread, or in the middle of exec: its new command line is seen next time
			   */

	snprintf(path, sizeof(path), "%s/task", pid);
	fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return gone(-errno) ? 0 : -errno;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	fd = -1;
	r = 0;
	for (const struct dirent *entry; r == 0 && (entry = readdir(dir));) {
		char file[sizeof(entry->d_name) + 16];

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		snprintf(file, sizeof(file), "%s/cmdline", entry->d_name);
		r = text_read(text, dirfd(dir), file);
		if (r == 0)
			r = text_matches(text, uuid);
		else if (gone(r))
			r = 0;
	}
	closedir(dir);
	return r;
}

static int process_matches(int proc, const char *pid, const char *uuid, struct text *text)
{
	char path[64];
	int r;

	snprintf(path, sizeof(path), "%s/cmdline", pid);
	r = text_read(text, proc, path);
	if (r < 0)
		return gone(r) ? 0 : r;
	if (text->length == 0)
		return threads_match(proc, pid, uuid, text);
	return text_matches(text, uuid);
}

static bool skipped(const struct qemu_walk *past, pid_t pid)
{
	for (size_t i = 0; i < past->n_skip; i++)
		if (past->skip[i] == pid)
			return true;
	return false;
}

/* Calls found() with each process that matches; its negative result ends the walk. Counts the skipped. */
static int walk(const char *uuid, struct qemu_walk *past, size_t *ret_unread,
		int (*found)(pid_t pid, int proc, const char *name, void *data), void *data)
{
	_cleanup_(text_done) struct text text = {0};
	DIR *dir;
	int r;

	assert(uuid && strlen(uuid) > 0);
	dir = opendir("/proc");
	if (!dir)
		return -errno;
	/* Where /proc hides other users' processes, an empty list proves nothing. PID 1 is always there and
	 * always has a command line: not to see it means not to see QEMU either. */
	r = text_read(&text, dirfd(dir), "1/cmdline");
	if (r < 0 || text.length == 0) {
		closedir(dir);
		return -EPERM;
	}
	for (;;) {
		const struct dirent *entry;
		pid_t pid;

		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			r = -errno;
			break;
		}
		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		pid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (skipped(past, pid)) {
			++*ret_unread;
			continue;
		}
		past->reading = pid;
		r = process_matches(dirfd(dir), entry->d_name, uuid, &text);
		/* On to the next one that holds it? Nobody would know at which it is. */
		if (past->left)
			r = -ECANCELED;
		if (r > 0)
			r = found(pid, dirfd(dir), entry->d_name, data);
		if (r < 0)
			break;
	}
	past->reading = 0;
	closedir(dir);
	return r;
}

static int list(pid_t pid, int proc, const char *name, void *data)
{
	struct qemu_pids *pids = data;

	(void)proc;
	(void)name;
	if (pids->n < QEMU_PIDS_MAX)
		pids->pids[pids->n] = pid;
	pids->n++;
	return 0;
}

int qemu_find_past(const char *uuid, struct qemu_walk *past, struct qemu_pids *ret)
{
	struct qemu_pids pids = {0};
	size_t unread = 0;
	int r;

	assert(ret);
	r = walk(uuid, past, &unread, list, &pids);
	if (r < 0)
		return r;
	*ret = pids;
	ret->unread = unread;
	return 0;
}

int qemu_find(const char *uuid, struct qemu_pids *ret)
{
	struct qemu_walk all = {0};

	return qemu_find_past(uuid, &all, ret);
}

int qemu_open(const char *uuid, pid_t pid)
{
	_cleanup_(text_done) struct text text = {0};
	_cleanup_close_ int fd = -1, proc = -1;
	char name[16];
	int r;

	proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return -errno;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return -errno;
	snprintf(name, sizeof(name), "%d", pid);
	r = process_matches(proc, name, uuid, &text);
	if (r <= 0)
		return r < 0 ? r : -ESRCH;
	return TAKE_FD(fd);
}

struct killing {
	const char *uuid;
	struct qemu_walk *walk;
	int *fds;
	size_t n;
};

static int kill_one(pid_t pid, int proc, const char *name, void *data)
{
	_cleanup_(text_done) struct text text = {0};
	_cleanup_close_ int fd = -1;
	struct killing *killing = data;
	int r;

	if (killing->n == QEMU_PIDS_MAX)
		return -E2BIG;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return errno == ESRCH ? 0 : -errno;
	/* The pid may have been taken by another process since it was read. */
	r = process_matches(proc, name, killing->uuid, &text);
	if (r <= 0)
		return r;
	/* What was asked long ago: by now QEMU may have been started again, rightly. */
	if (killing->walk->left)
		return -ECANCELED;
	if (syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return -errno;
	/* Not 0, which is none. */
	if (killing->n == 0) {
		r = fcntl(fd, F_DUPFD_CLOEXEC, 1);
		killing->walk->killed = r < 0 ? 0 : r;
	}
	killing->fds[killing->n++] = TAKE_FD(fd);
	return 0;
}

int qemu_kill_past(const char *uuid, struct qemu_walk *past, int ret_fds[QEMU_PIDS_MAX], size_t *ret_n)
{
	int fds[QEMU_PIDS_MAX];
	struct killing killing = {.uuid = uuid, .walk = past, .fds = fds};
	size_t unread = 0;
	int first, r;

	assert(ret_fds && ret_n);
	r = walk(uuid, past, &unread, kill_one, &killing);
	first = atomic_exchange(&past->killed, 0);
	if (first > 0)
		close(first);
	if (r < 0) {
		for (size_t i = 0; i < killing.n; i++)
			close(fds[i]);
		return r;
	}
	memcpy(ret_fds, fds, killing.n * sizeof(fds[0]));
	*ret_n = killing.n;
	return 0;
}

int qemu_kill(const char *uuid, int ret_fds[QEMU_PIDS_MAX], size_t *ret_n)
{
	struct qemu_walk all = {0};

	return qemu_kill_past(uuid, &all, ret_fds, ret_n);
}
