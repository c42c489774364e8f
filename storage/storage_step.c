/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Does what a step says, in a child process whose answer comes through a pipe. The child holds none of the
 * service's descriptors: a client must hear the end of its connection while a child hangs. It decides
 * nothing. Called by storage_service.c. */
#include "storage/storage_step.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libmount/libmount.h>

#include "lockspace/qemu_pid.h"
#include "lockspace/sanlock_status.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define AWAIT_LOOK_MS 100
#define SANLOCK_MS 5000
/* With SANLOCK_MS below the step's own limit; storage that hangs keeps sanlock longer. */
#define LEAVE_MS 8000
#define RECORD_MAX 65536

extern char **environ;

CLEANUP_DEFINE(DIR *, closedir)
CLEANUP_DEFINE(struct libmnt_context *, mnt_free_context)

struct answer {
	int error;
	char why[STORAGE_WHY_SIZE];
};

static int __attribute__((format(printf, 3, 4))) fail(struct answer *ret, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(ret->why, sizeof(ret->why), format, args);
	va_end(args);
	return error;
}

static int make_folder(const char *path, struct answer *ret)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = part + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return fail(ret, -errno, "%.150s: %s", part, strerror(errno));
	}
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return fail(ret, -errno, "%.150s: %s", path, strerror(errno));
	return 0;
}

static int write_file(const char *path, const char *content, struct answer *ret)
{
	char name[PATH_MAX];
	_cleanup_close_ int fd = -1;
	size_t length = strlen(content);

	if (length == 0) {
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		return fd >= 0 || errno == EEXIST ? 0
						  : fail(ret, -errno, "%.150s: %s", path, strerror(errno));
	}
	snprintf(name, sizeof(name), "%.4000s.new", path);
	unlink(name);
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, content, length) != (ssize_t)length || rename(name, path) < 0)
		return fail(ret, -errno, "%.150s: %s", path, strerror(errno));
	return 0;
}

static int put_line(const char *path, const char *key, const char *value, struct answer *ret)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	_cleanup_free_ char *text = NULL, *line = NULL;
	FILE *to;
	size_t size = 0, room = 0, length = strlen(key);
	bool put = false;

	if (!file)
		return fail(ret, -errno, "%.150s: %s", path, strerror(errno));
	to = open_memstream(&text, &size);
	while (to && getline(&line, &room, file) >= 0 && ftell(to) < RECORD_MAX) {
		bool is = strncmp(line, key, length) == 0 && strncmp(line + length, " = ", 3) == 0;

		/* open-iscsi's records end with a comment of their own. */
		if ((is || strncmp(line, "# END", 5) == 0) && !put) {
			fprintf(to, "%s = %s\n", key, value);
			put = true;
		}
		if (!is)
			fputs(line, to);
	}
	if (to && !put)
		fprintf(to, "%s = %s\n", key, value);
	if (!to || fclose(to) != 0)
		return fail(ret, -ENOMEM, "%.150s: %s", path, strerror(ENOMEM));
	return write_file(path, text, ret);
}

static int make_link(const char *path, const char *target, struct answer *ret)
{
	char name[PATH_MAX];

	snprintf(name, sizeof(name), "%.4000s.new", path);
	unlink(name);
	if (symlink(target, name) < 0 || rename(name, path) < 0)
		return fail(ret, -errno, "%.150s: %s", path, strerror(errno));
	return 0;
}

static int remove_entry(const char *path, struct answer *ret)
{
	if (remove(path) < 0 && errno != ENOENT)
		return fail(ret, -errno, "%.150s: %s", path, strerror(errno));
	return 0;
}

/* What libmount or its helper said last. */
static int mount_failed(struct libmnt_context *context, int r, const char *what, struct answer *ret)
{
	char text[STORAGE_WHY_SIZE] = "";
	int error = mnt_context_syscall_called(context) && mnt_context_get_syscall_errno(context)
			    ? mnt_context_get_syscall_errno(context)
			    : EIO;

	mnt_context_get_excode(context, r, text, sizeof(text));
	return fail(ret, -error, "%.100s: %.140s", what, text[0] ? text : strerror(error));
}

static int do_mount(const struct storage_world *world, const char *const *args, struct answer *ret)
{
	_cleanup_(mnt_free_context_p) struct libmnt_context *context = NULL;
	int r = storage_mounts(world, args[1]);

	if (r != 0)
		return r < 0 ? fail(ret, r, "%s: %s", world->mountinfo, strerror(-r)) : 0;
	context = mnt_new_context();
	if (!context || mnt_context_set_optsmode(context, MNT_OMODE_NOTAB) < 0 ||
	    mnt_context_set_source(context, args[0]) < 0 || mnt_context_set_target(context, args[1]) < 0 ||
	    mnt_context_set_fstype(context, args[2]) < 0 || mnt_context_set_options(context, args[3]) < 0)
		return fail(ret, -EINVAL, "%.100s can't be mounted as %.30s with %.80s", args[0], args[2],
			    args[3]);
	r = mnt_context_mount(context);
	return r == 0 && mnt_context_get_status(context) ? 0 : mount_failed(context, r, args[0], ret);
}

static int unmount_one(const char *path, struct answer *ret)
{
	_cleanup_(mnt_free_context_p) struct libmnt_context *context = mnt_new_context();
	int r;

	if (!context || mnt_context_set_target(context, path) < 0)
		return fail(ret, -ENOMEM, "%.150s: %s", path, strerror(ENOMEM));
	r = mnt_context_umount(context);
	return r == 0 && mnt_context_get_status(context) ? 0 : mount_failed(context, r, path, ret);
}

/* Two, one on the other, where a service was restarted while its child was still mounting. */
static int do_unmount(const struct storage_world *world, const char *path, struct answer *ret)
{
	int n = storage_mounts(world, path), r = 0;

	if (n < 0)
		return fail(ret, n, "%s: %s", world->mountinfo, strerror(-n));
	for (; n > 0 && r == 0; n--)
		r = unmount_one(path, ret);
	return r;
}

/* A program that goes on in the background may keep our stderr: a file, read when the program has ended. */
static void last_words(int fd, char ret[STORAGE_WHY_SIZE])
{
	char text[2048], *line, *quoted;
	off_t size = lseek(fd, 0, SEEK_END);
	ssize_t n = pread(fd, text, sizeof(text) - 1, size > 2047 ? size - 2047 : 0);

	ret[0] = '\0';
	if (n <= 0)
		return;
	text[n] = '\0';
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
		text[--n] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	/* QEMU quotes the option first, which is long: "--blockdev {..}: why". */
	while ((quoted = strstr(line, "}: ")))
		line = quoted + strlen("}: ");
	snprintf(ret, STORAGE_WHY_SIZE, "%.200s", line);
}

static int do_run(const struct storage_world *world, const struct storage_step *step, struct answer *ret)
{
	char words[STORAGE_WHY_SIZE];
	int status = 0, r;
	pid_t pid;

	setenv("PATH", world->path, 1);
	setenv("LC_ALL", "C", 1);
	r = posix_spawnp(&pid, step->args[0], NULL, NULL, (char **)step->args, environ);
	if (r == 0 && waitpid(pid, &status, 0) != pid)
		r = errno;
	if (r != 0)
		return fail(ret, -r, "%.100s: %s", step->args[0], strerror(r));
	if (WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == step->okay))
		return 0;
	if (step->words) {
		_cleanup_close_ int fd = open(step->words, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

		if (fd >= 0)
			last_words(fd, words);
		if (fd >= 0 && words[0])
			return fail(ret, -EIO,
				    "%.170s; check the server, and what hosted-engine.conf says of it",
				    words);
	}
	last_words(STDERR_FILENO, words);
	if (words[0])
		return fail(ret, -EIO, "%s", words);
	return fail(ret, -EIO, "%.100s ended with status %d", step->args[0],
		    WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* Until the deadline, when the child is killed. */
static int await(const char *path)
{
	while (access(path, F_OK) < 0)
		poll(NULL, 0, AWAIT_LOOK_MS);
	return 0;
}

static int touch(const char *path, struct answer *ret)
{
	_cleanup_(closedir_p) DIR *folder = opendir(path);
	const struct dirent *entry;
	struct statvfs all;
	struct stat st;

	/* A server that takes root for nobody may not show it what is there, and has answered. */
	if (!folder && errno == EACCES && statvfs(path, &all) == 0)
		return 0;
	if (!folder || fstatvfs(dirfd(folder), &all) < 0)
		return fail(ret, -errno, "%.150s: %s", path, strerror(errno));
	while ((entry = readdir(folder)))
		if (fstatat(dirfd(folder), entry->d_name, &st, 0) < 0 && errno != EACCES)
			return fail(ret, -errno, "%.100s/%.80s: %s", path, entry->d_name, strerror(errno));
	return 0;
}

/* What is unmounted under a running VM or a joined lockspace is a VM that sanlock has to kill. */
static int prove_unused(const char *vmid, const char *lockspace, struct answer *ret)
{
	struct qemu_pids found = {0};
	mono_t leave_by = mono_add(clock_mono(), LEAVE_MS);
	struct sanlock_status status;
	int r = vmid[0] ? qemu_find(vmid, &found) : 0;

	if (r < 0)
		return fail(ret, r, "no proof that the engine VM does not run here: %s", strerror(-r));
	if (found.n > 0)
		return fail(ret, -EBUSY, "the engine VM runs on this host");
	/* A broker that was just stopped has asked sanlock to leave, and did not wait for its end. */
	while ((r = sanlock_status_read(lockspace, SANLOCK_MS, &status)) == 0 && status.leaving &&
	       clock_mono() < leave_by)
		poll(NULL, 0, AWAIT_LOOK_MS);
	if (r == -ECONNREFUSED) /* no daemon: nothing is joined */
		return 0;
	if (r < 0)
		return fail(ret, -EBUSY, "sanlock does not tell whether the lockspace is joined: %s",
			    strerror(-r));
	if (status.last_renewal_s >= 0)
		return fail(ret, -EBUSY,
			    "the lockspace %.47s is joined; stop ovirt-ha-agent and ovirt-ha-broker first",
			    lockspace);
	return 0;
}

static int perform(const struct storage_world *world, const struct storage_step *step, struct answer *ret)
{
	const char *const *args = step->args;

	switch (step->kind) {
	case STORAGE_STEP_FOLDER:
		return make_folder(args[0], ret);
	case STORAGE_STEP_FILE:
		return write_file(args[0], args[1], ret);
	case STORAGE_STEP_LINE:
		return put_line(args[0], args[1], args[2], ret);
	case STORAGE_STEP_LINK:
		return make_link(args[0], args[1], ret);
	case STORAGE_STEP_REMOVE:
		return remove_entry(args[0], ret);
	case STORAGE_STEP_MOUNT:
		return do_mount(world, args, ret);
	case STORAGE_STEP_UNMOUNT:
		return do_unmount(world, args[0], ret);
	case STORAGE_STEP_RUN:
		return do_run(world, step, ret);
	case STORAGE_STEP_AWAIT:
		return await(args[0]);
	case STORAGE_STEP_TOUCH:
		return touch(args[0], ret);
	case STORAGE_STEP_UNUSED:
		return prove_unused(args[0], args[1], ret);
	case STORAGE_STEP_KINDS:
		break;
	}
	return -EINVAL;
}

/* Nothing of the service's but the pipe, which becomes 3: 0 and 1 go nowhere, 2 is a file in memory. */
static void own_descriptors(int out)
{
	int null = open("/dev/null", O_RDWR), words = memfd_create("stderr", 0);

	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(words, STDERR_FILENO);
	if (out != 3)
		dup2(out, 3);
	fcntl(3, F_SETFD, FD_CLOEXEC);
	syscall(SYS_close_range, 4u, ~0u, 0u);
}

static void __attribute__((noreturn))
be_child(const struct storage_world *world, const struct storage_step *step, int out)
{
	struct answer answer = {0};
	sigset_t none;

	setpgid(0, 0);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	own_descriptors(out);
	umask(0022);
	answer.error = perform(world, step, &answer);
	for (char *c = answer.why; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	/* Smaller than a pipe's atomic write: whole or not at all. */
	_exit(write(3, &answer, sizeof(answer)) != (ssize_t)sizeof(answer));
}

int storage_step_start(const struct storage_world *world, const struct storage_step *step,
		       struct storage_child *ret)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		be_child(world, step, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return -EAGAIN;
	}
	setpgid(pid, pid); /* the child does it too: whoever comes first, a kill of the group finds it */
	*ret = (struct storage_child){pid, ends[0]};
	return 0;
}

int storage_step_end(struct storage_child *child, char why[STORAGE_WHY_SIZE])
{
	struct answer answer = {.error = -EIO, .why = "a child process ended without an answer"};

	(void)!read(child->fd, &answer, sizeof(answer));
	close(child->fd);
	child->pid = 0;
	memcpy(why, answer.why, sizeof(answer.why));
	return answer.error;
}

void storage_step_kill(struct storage_child *child, pid_t *ret_group)
{
	*ret_group = child->pid;
	kill(-child->pid, SIGKILL);
	close(child->fd);
	child->pid = 0;
}

/* A group keeps its number from others until its last process has gone. One that may not be asked is of
 * another user: the number was given away since. */
bool storage_step_gone(pid_t group)
{
	return kill(-group, 0) < 0;
}

void storage_step_describe(const struct storage_step *step, char *ret, size_t size)
{
	static const char *const words[] = {
		[STORAGE_STEP_FOLDER] = "make",		[STORAGE_STEP_FILE] = "write",
		[STORAGE_STEP_LINE] = "write",		[STORAGE_STEP_LINK] = "link",
		[STORAGE_STEP_REMOVE] = "remove",	[STORAGE_STEP_MOUNT] = "mount",
		[STORAGE_STEP_UNMOUNT] = "unmount",	[STORAGE_STEP_RUN] = "run",
		[STORAGE_STEP_AWAIT] = "wait for",	[STORAGE_STEP_TOUCH] = "look at",
		[STORAGE_STEP_UNUSED] = "prove unused",
	};
	size_t used;

	_Static_assert(sizeof(words) / sizeof(words[0]) == STORAGE_STEP_KINDS, "a word each");
	snprintf(ret, size, "%s %s", words[step->kind], step->args[0]);
	/* Arguments of programs are no secrets. */
	for (size_t i = 1; step->kind == STORAGE_STEP_RUN && step->args[i]; i++) {
		used = strlen(ret);
		snprintf(ret + used, size - used, " %s", step->args[i]);
	}
}
