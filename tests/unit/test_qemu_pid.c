/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which command lines are the engine's QEMU, dead and half-dead processes, and the kill through pidfds.
 * openat(2) is this test's own, so that a process can hold who reads its command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lockspace/qemu_pid.h"
#include "tests/unit/qemu_stand_in.h"
#include "tests/unit/sanlock_domain.h"

static char uuid[QEMU_UUID_SIZE];
static _Atomic pid_t holder; /* 0: nobody is held */
static atomic_uint passes;   /* so many readers pass it before */

/* As fcntl.h's, which gives this name to openat(). Nothing here creates a file. */
int openat64(int dir, const char *path, int flags, ...);

int openat64(int dir, const char *path, int flags, ...)
{
	char held[32];

	snprintf(held, sizeof(held), "%d/cmdline", holder);
	if (strcmp(path, held) == 0 && atomic_fetch_sub(&passes, 1) == 0)
		while (holder != 0)
			poll(NULL, 0, 10);
	return (int)syscall(SYS_openat, dir, path, flags, 0);
}

static size_t count(void)
{
	struct qemu_pids pids = {0};

	assert_int_equal(qemu_find(uuid, &pids), 0);
	return pids.n;
}

static bool one_found(void *data)
{
	(void)data;
	return count() == 1;
}

static void test_command_lines(void **state)
{
	static char upper[QEMU_UUID_SIZE], smbios[80], smbios_last[80], longer[64];
	static char padding[40000];
	const struct {
		const char *name;
		const char *argv[6];
		bool leaderless, found;
	} rows[] = {
		{"as libvirt does it", {"qemu-system-x86_64", "-name", "x", "-uuid", uuid}, false, true},
		{"a renamed binary", {"engine", "-uuid", uuid}, false, true},
		{"two dashes", {"qemu-kvm", "--uuid", uuid}, false, true},
		{"upper case", {"qemu-kvm", "-uuid", upper}, false, true},
		{"in smbios", {"qemu-kvm", "-smbios", smbios}, false, true},
		{"in smbios, last", {"qemu-kvm", "-smbios", smbios_last}, false, true},
		{"behind a long argument", {"qemu-kvm", padding, "-uuid", uuid}, false, true},
		{"its first thread has ended", {"qemu-kvm", "-uuid", uuid}, true, true},
		{"as the storage daemon has its own",
		 {"qemu-storage-daemon", "--pidfile", uuid},
		 false,
		 true},
		{"another uuid", {"qemu-kvm", "-uuid", "11111111-2222-4333-8444-555555555555"}, false, false},
		{"a longer one", {"qemu-kvm", "-uuid", longer}, false, false},
		{"another program's option", {"virt-install", "--uuid", uuid}, false, false},
		{"another option", {"virsh", "start", uuid}, false, false},
		{"the option without a value", {"qemu-kvm", uuid, "-uuid"}, false, false},
	};

	(void)state;
	for (size_t i = 0; uuid[i]; i++)
		upper[i] = (char)toupper(uuid[i]);
	snprintf(smbios, sizeof(smbios), "type=1,uuid=%s,family=x", uuid);
	snprintf(smbios_last, sizeof(smbios_last), "type=1,uuid=%s", uuid);
	snprintf(longer, sizeof(longer), "%s0", uuid);
	memset(padding, 'x', sizeof(padding) - 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		pid_t pid = stand_in_start(rows[i].argv, rows[i].leaderless);
		/* a first thread ends a moment after it has begun */
		bool found = rows[i].leaderless ? domain_wait(one_found, NULL, 5000) : count() == 1;

		if (rows[i].leaderless) {
			poll(NULL, 0, 100);
			found = found && count() == 1;
		}
		stand_in_kill(pid);
		if (found != rows[i].found)
			fail_msg("%s", rows[i].name);
		if (count() != 0)
			fail_msg("%s: still there", rows[i].name);
	}
}

static void test_zombie_is_none(void **state)
{
	const char *argv[] = {"qemu-kvm", "-uuid", uuid, NULL};
	pid_t pid = stand_in_start(argv, false);
	siginfo_t info;

	(void)state;
	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0); /* dead, not reaped */
	assert_int_equal(count(), 0);
	waitpid(pid, NULL, 0);
}

static unsigned fds_open(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++) {
		int copy = dup(fd);

		n += copy >= 0;
		if (copy >= 0)
			close(copy);
	}
	return n;
}

static void test_kill(void **state)
{
	const char *argv[] = {"qemu-kvm", "-uuid", uuid, NULL};
	pid_t a = stand_in_start(argv, false), b = stand_in_start(argv, true);
	int fds[QEMU_PIDS_MAX];
	size_t n = 99;
	unsigned open_before = fds_open();

	(void)state;
	assert_int_equal(qemu_kill(uuid, fds, &n), 0);
	assert_int_equal(n, 2);
	for (size_t i = 0; i < n; i++) {
		struct pollfd poll_fd = {.fd = fds[i], .events = POLLIN};

		assert_int_equal(poll(&poll_fd, 1, 5000), 1);
		close(fds[i]);
	}
	waitpid(a, NULL, 0);
	waitpid(b, NULL, 0);
	assert_int_equal(qemu_kill(uuid, fds, &n), 0);
	assert_int_equal(n, 0);
	/* Nothing is left open. */
	assert_int_equal(fds_open(), open_before);
}

/* Who is passed over is neither found nor killed, and known to be missing. */
static void test_past(void **state)
{
	const char *argv[] = {"qemu-kvm", "-uuid", uuid, NULL};
	pid_t a = stand_in_start(argv, false), b = stand_in_start(argv, false);
	struct qemu_walk past = {.skip = {a}, .n_skip = 1};
	struct qemu_pids pids;
	int fds[QEMU_PIDS_MAX];
	size_t n;

	(void)state;
	assert_int_equal(qemu_find_past(uuid, &past, &pids), 0);
	assert_int_equal(pids.n, 1);
	assert_int_equal(pids.pids[0], b);
	assert_int_equal(pids.unread, 1);
	assert_int_equal(past.reading, 0);
	assert_int_equal(qemu_kill_past(uuid, &past, fds, &n), 0);
	assert_int_equal(n, 1);
	close(fds[0]);
	waitpid(b, NULL, 0);
	assert_false(stand_in_gone(&a));
	stand_in_kill(a);
	/* Who is gone is not missing. */
	assert_int_equal(qemu_find_past(uuid, &past, &pids), 0);
	assert_int_equal(pids.unread, 0);
}

static void *kill_all(void *data)
{
	int fds[QEMU_PIDS_MAX];
	size_t n;

	return (void *)(intptr_t)qemu_kill_past(uuid, data, fds, &n);
}

static bool one_killed(void *data)
{
	const struct qemu_walk *past = data;

	return past->killed != 0;
}

/* A kill that hangs behind the first and is given up: that one's pidfd can be had, the next one is spared.
 * Of the readings of the next one so many pass before one hangs. */
static void left_while_read(unsigned before)
{
	const char *argv[] = {"qemu-kvm", "-uuid", uuid, NULL};
	pid_t a = stand_in_start(argv, false), b = stand_in_start(argv, false);
	pid_t first = a < b ? a : b, last = a < b ? b : a;
	struct qemu_walk past = {0};
	struct pollfd ended = {.events = POLLIN};
	pthread_t thread;
	void *result;

	passes = before;
	holder = last;
	assert_int_equal(pthread_create(&thread, NULL, kill_all, &past), 0);
	assert_true(domain_wait(one_killed, &past, 5000));
	past.left = true;
	ended.fd = atomic_exchange(&past.killed, 0);
	assert_int_equal(poll(&ended, 1, 5000), 1);
	close(ended.fd);
	waitpid(first, NULL, 0);
	holder = 0;
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_int_equal((intptr_t)result, -ECANCELED);
	assert_int_equal(past.killed, 0);
	assert_false(stand_in_gone(&last));
	stand_in_kill(last);
}

static void test_left(void **state)
{
	struct qemu_walk left = {.left = true};
	struct qemu_pids pids;

	(void)state;
	assert_int_equal(qemu_find_past(uuid, &left, &pids), -ECANCELED);
	left_while_read(0);
	left_while_read(1);
}

static void test_open(void **state)
{
	const char *argv[] = {"qemu-kvm", "-uuid", uuid, NULL}, *other[] = {"qemu-kvm", "-uuid", "x", NULL};
	pid_t pid = stand_in_start(argv, false), stranger = stand_in_start(other, false);
	struct pollfd ended = {.events = POLLIN};

	(void)state;
	ended.fd = qemu_open(uuid, pid);
	assert_true(ended.fd >= 0);
	assert_int_equal(poll(&ended, 1, 0), 0);
	assert_int_equal(qemu_open(uuid, stranger), -ESRCH);
	stand_in_kill(stranger);
	stand_in_kill(pid);
	assert_int_equal(poll(&ended, 1, 5000), 1);
	close(ended.fd);
	assert_int_equal(qemu_open(uuid, pid), -ESRCH);
}

/* What can't be seen is not absent: proofs fail closed (safety rule 5). */
static void test_hidden_proc(void **state)
{
	struct qemu_pids pids;
	int fds[QEMU_PIDS_MAX], status;
	size_t n;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		stand_in_hide_proc();
		_exit(qemu_find(uuid, &pids) == -EPERM && qemu_kill(uuid, fds, &n) == -EPERM ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command_lines), cmocka_unit_test(test_zombie_is_none),
		cmocka_unit_test(test_kill),	      cmocka_unit_test(test_past),
		cmocka_unit_test(test_left),	      cmocka_unit_test(test_open),
		cmocka_unit_test(test_hidden_proc),
	};

	stand_in_main();
	stand_in_uuid(uuid);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
