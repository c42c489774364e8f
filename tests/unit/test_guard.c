/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guard as a process against a real sanlock daemon (io_timeout 1, no watchdog) and stand-ins for QEMU:
 * who is killed when, and who is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lockspace/fence_port.h"
#include "lockspace/guard_protocol.h"
#include "lockspace/qemu_pid.h"
#include "lockspace/sanlock_status.h"
#include "tests/unit/qemu_stand_in.h"
#include "tests/unit/sanlock_domain.h"
#include "util/clock.h"
#include "util/loop.h"

#define NOBODY 65534

struct bench {
	struct sanlock_domain domain;
	char socket[128];
	pid_t guard;
	struct loop *loop;
	struct fence_port *fence;
	int error, alive;
	bool answered;
};

static struct bench bench;
static char uuid[QEMU_UUID_SIZE];

static void conf_remove(const struct bench *b)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/ovirt-hosted-engine/hosted-engine.conf", b->domain.dir);
	assert_int_equal(unlink(path), 0);
}

static void conf_write(const struct bench *b, const char *vmid)
{
	char path[200];
	FILE *file;

	snprintf(path, sizeof(path), "%s/ovirt-hosted-engine", b->domain.dir);
	mkdir(path, 0755);
	strcat(path, "/hosted-engine.conf");
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file,
		"vmid=%s\nhost_id=1\nlockspace_name=LS\nengine_lease_name=engine\nio_timeout=1\n"
		"require_watchdog=no\nlockspace_path=%s\nlease_path=%s:1048576\nmetadata_path=%s:4194304\n"
		"network_test=none\nfqdn=engine.example.com\nvm_xml=/nowhere\n",
		vmid, b->domain.disk, b->domain.disk, b->domain.disk);
	fclose(file);
}

static bool listens(void *data)
{
	struct bench *b = data;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), r;

	strcpy(address.sun_path, b->socket);
	r = connect(fd, (struct sockaddr *)&address, sizeof(address));
	close(fd);
	return r == 0;
}

static void guard_start(struct bench *b)
{
	const char *argv[] = {GUARD_PROGRAM, "-f", "-d", NULL};

	b->guard = domain_spawn(&b->domain, argv);
	assert_true(domain_wait(listens, b, 5000));
}

static int setup(void **state)
{
	memset(&bench, 0, sizeof(bench));
	domain_open(&bench.domain);
	setenv("OVIRT_HA_CONF_DIR", bench.domain.dir, 1);
	snprintf(bench.socket, sizeof(bench.socket), "%s/guard", bench.domain.dir);
	setenv("OVIRT_HA_GUARD_SOCKET", bench.socket, 1);
	conf_write(&bench, uuid);
	assert_int_equal(loop_new(&bench.loop), 0);
	assert_int_equal(fence_guard_new(bench.loop, &bench.fence), 0);
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	if (b->guard)
		stand_in_kill(b->guard);
	b->fence->close(b->fence);
	loop_free(b->loop);
	domain_close(&b->domain);
	return 0;
}

static pid_t qemu_start(void)
{
	const char *argv[] = {"qemu-system-x86_64", "-uuid", uuid, NULL};

	return stand_in_start(argv, false);
}

static bool log_has(struct bench *b, const char *text)
{
	char path[128], line[1024];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "%s/log", b->domain.dir);
	file = fopen(path, "r");
	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, text) != NULL;
	if (file)
		fclose(file);
	return found;
}

static bool connected(void *data)
{
	return log_has(data, "connected to sanlock");
}

static bool dropped(void *data)
{
	return log_has(data, "dropped the request of a client that has gone");
}

static void killed(void *data, int error, int alive)
{
	struct bench *b = data;

	b->error = error;
	b->alive = alive;
	b->answered = true;
	loop_stop(b->loop);
}

static void ask_kill(struct bench *b)
{
	assert_int_equal(b->fence->kill(b->fence, clock_mono() + 5000, killed, b), 0);
	assert_int_equal(b->fence->kill(b->fence, clock_mono() + 5000, killed, b), -EBUSY);
	b->answered = false;
	assert_int_equal(loop_run(b->loop), 0);
	assert_true(b->answered);
}

static void ask_end_storage(struct bench *b)
{
	assert_int_equal(b->fence->end_storage(b->fence, clock_mono() + 5000, killed, b), 0);
	b->answered = false;
	assert_int_equal(loop_run(b->loop), 0);
	assert_true(b->answered);
}

/* As uid nobody, in a child: its exit status says what the guard answered. */
static int ask_as_nobody(struct bench *b)
{
	struct guard_request request = {.version = GUARD_VERSION, .kind = GUARD_KILL, .why = "test"};
	struct guard_reply reply = {0};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int status, fd;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0) {
		waitpid(pid, &status, 0);
		return WEXITSTATUS(status);
	}
	strcpy(address.sun_path, b->socket);
	fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		_exit(100);
	if (send(fd, &request, sizeof(request), 0) < 0 || recv(fd, &reply, sizeof(reply), 0) != sizeof(reply))
		_exit(101);
	_exit(-reply.error);
}

static int guard_connect(const struct bench *b)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, b->socket);
	return fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ? fd : -1;
}

/* The guard's answer, 1: it has closed the connection. */
static int guard_ask(int fd)
{
	struct guard_request request = {.version = GUARD_VERSION, .kind = GUARD_KILL, .why = "test"};
	struct pollfd answer = {.fd = fd, .events = POLLIN};
	struct guard_reply reply;

	if (send(fd, &request, sizeof(request), MSG_NOSIGNAL) < 0)
		return 1;
	if (poll(&answer, 1, 5000) != 1)
		return 2;
	return recv(fd, &reply, sizeof(reply), 0) == sizeof(reply) ? reply.error : 1;
}

static unsigned log_count(struct bench *b, const char *text)
{
	char path[128], line[1024];
	unsigned n = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/log", b->domain.dir);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		n += strstr(line, text) != NULL;
	if (file)
		fclose(file);
	return n;
}

/* More clients than places: who spoke last keeps its place, and no stranger takes it. */
static void test_many_clients(void **state)
{
	struct bench *b = *state;
	int fds[8], ninth, status;
	pid_t pid;

	assert_int_equal(b->fence->listens(b->fence), -ENOENT);
	guard_start(b);
	assert_int_equal(b->fence->listens(b->fence), 0);
	for (int i = 0; i < 8; i++) {
		fds[i] = guard_connect(b);
		assert_true(fds[i] >= 0);
	}
	assert_int_equal(guard_ask(fds[7]), 0); /* accepted, and so are those before it */
	poll(NULL, 0, 5);
	assert_int_equal(guard_ask(fds[0]), 0);
	ninth = guard_connect(b);
	assert_int_equal(guard_ask(ninth), 0);
	assert_int_equal(guard_ask(fds[0]), 0);
	assert_int_equal(guard_ask(fds[1]), 1);
	for (int i = 0; i < 8; i++)
		close(fds[i]);
	close(ninth);

	fds[0] = guard_connect(b);
	assert_int_equal(guard_ask(fds[0]), 0);
	chmod(b->domain.dir, 0755);
	chmod(b->socket, 0666);
	pid = fork();
	if (pid == 0) {
		if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
			_exit(100);
		for (int i = 0; i < 12; i++)
			if (guard_connect(b) < 0)
				_exit(101);
		for (int i = 0; i < 20; i++)
			if (guard_ask(guard_connect(b)) != -EPERM)
				_exit(102);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(guard_ask(fds[0]), 0);
	assert_int_equal(log_count(b, "refused uid="), 1);
	close(fds[0]);
}

static unsigned long cpu_ticks(pid_t pid)
{
	unsigned long user, system;
	char path[32];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(
		fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system),
		2);
	fclose(file);
	return user + system;
}

/* It stood still for longer than a client waits: what that one wanted was for the VM of then. */
static void test_client_that_gave_up(void **state)
{
	struct guard_request request = {.version = GUARD_VERSION, .kind = GUARD_KILL, .why = "test"};
	struct bench *b = *state;
	int fd;

	guard_start(b);
	kill(b->guard, SIGSTOP);
	fd = guard_connect(b);
	assert_int_equal(send(fd, &request, sizeof(request), MSG_NOSIGNAL), sizeof(request));
	close(fd);
	kill(b->guard, SIGCONT);
	assert_true(domain_wait(dropped, b, 5000));
	assert_false(log_has(b, "asked to kill"));
	ask_kill(b);
	assert_int_equal(b->error, 0);
	assert_true(log_has(b, "asked to kill"));
}

static void hang_at(const char *path, pid_t pid)
{
	char temporary[160];
	FILE *file;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	file = fopen(temporary, "w");
	assert_non_null(file);
	fprintf(file, "%d", pid);
	fclose(file);
	assert_int_equal(rename(temporary, path), 0);
}

/* Processes whose command lines can't be read hold up neither the kill nor the guard; only nothing is proven
 * while they do. */
static void test_hanging_proc(void **state)
{
	const char *argv[] = {"innocent", NULL};
	struct bench *b = *state;
	char path[128];
	pid_t qemu, held;

	held = stand_in_start(argv, false);
	snprintf(path, sizeof(path), "%s/hang", b->domain.dir);
	hang_at(path, held);
	setenv("PROC_HANG", path, 1);
	setenv("LD_PRELOAD", PROC_HANG_MODULE, 1);
	setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 0); /* it would refuse what is preloaded */
	guard_start(b);
	unsetenv("LD_PRELOAD");
	qemu = qemu_start();
	assert_true(domain_wait(stand_in_gone, &qemu, 3000));
	assert_true(log_has(b, "reading /proc hangs"));
	ask_kill(b);
	assert_int_equal(b->error, -ETIMEDOUT);
	/* Asked for, and found, it dies without being proven gone. */
	qemu = qemu_start();
	ask_kill(b);
	assert_true(domain_wait(stand_in_gone, &qemu, 2000));
	/* It lets go. */
	hang_at(path, 0);
	poll(NULL, 0, 300);
	ask_kill(b);
	assert_int_equal(b->error, 0);
	assert_int_equal(b->alive, 0);
	stand_in_kill(held);
}

/* Joined and renewing: QEMU lives, whatever the age of the stamp that get_hosts shows; a request kills it.
 * Then sanlock hangs. */
static void test_renewals(void **state)
{
	struct bench *b = *state;
	struct sanlock_status status;
	unsigned long used;
	mono_t died;
	pid_t qemu;

	domain_start(&b->domain);
	domain_join(&b->domain);
	qemu = qemu_start();
	guard_start(b);
	assert_false(domain_wait(stand_in_gone, &qemu, 12000));

	chmod(b->domain.dir, 0755);
	chmod(b->socket, 0666);
	assert_int_equal(ask_as_nobody(b), EPERM);
	assert_false(stand_in_gone(&qemu));
	ask_kill(b);
	assert_int_equal(b->error, 0);
	assert_int_equal(b->alive, 0);
	assert_true(stand_in_gone(&qemu));
	ask_kill(b); /* nothing left */
	assert_int_equal(b->error, 0);
	assert_int_equal(b->alive, 0);
	assert_false(log_has(b, "reason=renewal"));

	qemu = qemu_start();
	assert_int_equal(sanlock_status_read("LS", 2000, &status), 0);
	domain_signal(&b->domain, SIGSTOP);
	assert_true(domain_wait(stand_in_gone, &qemu, 10000));
	died = clock_mono();
	/* not later than 6 x io_timeout after the last renewal (and a moment to see it), not earlier than 1.5
	 * x after it */
	assert_in_range(died - status.last_renewal_s * MONO_SECOND, 1500, 6300);
	assert_true(log_has(b, "killing QEMU reason=renewal-too-old"));
	/* it stays so: the next one dies too */
	qemu = qemu_start();
	assert_true(domain_wait(stand_in_gone, &qemu, 2500));
	/* and the guard still answers, and does not spin */
	ask_kill(b);
	assert_int_equal(b->error, 0);
	used = cpu_ticks(b->guard);
	poll(NULL, 0, 1500);
	assert_in_range(cpu_ticks(b->guard) - used, 0, sysconf(_SC_CLK_TCK) / 5);
	domain_signal(&b->domain, SIGCONT);
}

static void test_sanlock_killed(void **state)
{
	struct bench *b = *state;
	mono_t begun;
	pid_t qemu;

	domain_start(&b->domain);
	domain_join(&b->domain);
	guard_start(b);
	assert_true(domain_wait(connected, b, 5000));
	qemu = qemu_start();
	begun = clock_mono();
	domain_kill(&b->domain);
	domain_start(&b->domain); /* at once */
	assert_true(domain_wait(stand_in_gone, &qemu, 2000));
	assert_in_range(clock_mono() - begun, 0, 1000);
	assert_true(log_has(b, "reason=sanlock-gone"));

	/* the new daemon has not joined */
	qemu = qemu_start();
	assert_true(domain_wait(stand_in_gone, &qemu, 3000));
	assert_true(log_has(b, "reason=lockspace-not-joined"));
	/* joined again, one may live */
	domain_join(&b->domain);
	poll(NULL, 0, 1500);
	qemu = qemu_start();
	assert_false(domain_wait(stand_in_gone, &qemu, 3000));
	stand_in_kill(qemu);
}

static void test_no_daemon(void **state)
{
	struct bench *b = *state;
	pid_t qemu = qemu_start();

	guard_start(b);
	assert_true(domain_wait(stand_in_gone, &qemu, 3000));
	/* another VM is none of its business, and an undeployed host has none */
	stand_in_kill(b->guard);
	conf_write(b, "");
	guard_start(b);
	qemu = qemu_start();
	assert_false(domain_wait(stand_in_gone, &qemu, 2500));
	ask_kill(b);
	assert_int_equal(b->error, -ENODATA);
	/* deployed now: noticed */
	conf_write(b, uuid);
	assert_true(domain_wait(stand_in_gone, &qemu, 4000));
	/* and not forgotten when the file is emptied, or removed, under it */
	conf_write(b, "");
	ask_kill(b);
	assert_int_equal(b->error, 0);
	conf_remove(b);
	ask_kill(b);
	assert_int_equal(b->error, 0);
	qemu = qemu_start();
	assert_true(domain_wait(stand_in_gone, &qemu, 4000));
	kill(b->guard, SIGTERM);
	assert_true(domain_wait(stand_in_gone, &b->guard, 2000));
	b->guard = 0;
	assert_int_equal(b->fence->kill(b->fence, clock_mono() + 5000, killed, b), -ECONNREFUSED);
}

static void test_prove_gone(void **state)
{
	struct bench *b = *state;
	const char *argv[] = {GUARD_PROGRAM, "--prove-gone", NULL};
	pid_t qemu, other, hidden;
	int status;
	const char *other_argv[] = {"qemu-kvm", "-uuid", "0fa57e57-0000-4000-8000-ffffffffffff", NULL};

	assert_int_equal(domain_run(&b->domain, argv), 0);
	qemu = qemu_start();
	other = stand_in_start(other_argv, false);
	assert_int_equal(domain_run(&b->domain, argv), 0);
	assert_true(stand_in_gone(&qemu));
	assert_false(stand_in_gone(&other));
	conf_write(b, "");
	qemu = qemu_start();
	assert_int_equal(domain_run(&b->domain, argv), 0); /* not deployed */
	assert_false(stand_in_gone(&qemu));
	conf_write(b, "not-a-uuid"); /* cannot be proven */
	assert_int_equal(domain_run(&b->domain, argv), 1);
	conf_write(b, uuid); /* nor where /proc is hidden */
	hidden = fork();
	if (hidden == 0) {
		stand_in_hide_proc();
		execv(argv[0], (char *const *)argv);
	}
	assert_int_equal(waitpid(hidden, &status, 0), hidden);
	assert_int_equal(WEXITSTATUS(status), 1);
	assert_false(stand_in_gone(&qemu));
	stand_in_kill(qemu);
	stand_in_kill(other);
}

/* Rule 13: who lives at the question is gone at the answer, and nobody else is touched. */
static void test_storage_daemon(void **state)
{
	struct bench *b = *state;
	const char *argv[] = {"qemu-storage-daemon", "--pidfile", STORAGE_DAEMON_PID_FILE, NULL};
	const char *other_argv[] = {"qemu-storage-daemon", "--pidfile", "/run/other.pid", NULL};
	pid_t stopped, other = stand_in_start(other_argv, false);

	conf_write(b, ""); /* of a host that is not deployed too */
	guard_start(b);
	ask_end_storage(b);
	assert_int_equal(b->error, 0);
	assert_int_equal(b->alive, 0);
	stopped = stand_in_start(argv, false);
	kill(stopped, SIGSTOP);
	ask_end_storage(b);
	assert_int_equal(b->error, 0);
	assert_int_equal(b->alive, 0);
	assert_true(stand_in_gone(&stopped));
	assert_true(log_has(b, "storage daemon killed"));
	assert_false(stand_in_gone(&other));
	stand_in_kill(other);
}

/* The guard ends every storage daemon that it sees: none but this test's, and no lab's beside it. */
static void see_no_others(const char *program)
{
	static const char mark[] = "OVIRT_HA_TEST_ALONE";

	if (geteuid() != 0 || getenv(mark)) /* whom others may not kill, it does not */
		return;
	setenv(mark, "1", true);
	execlp("unshare", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", program, NULL);
	perror("unshare");
	exit(1);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_prove_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_clients, setup, teardown),
		cmocka_unit_test_setup_teardown(test_client_that_gave_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_storage_daemon, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hanging_proc, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_daemon, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sanlock_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_renewals, setup, teardown),
	};

	stand_in_main();
	see_no_others(argv[0]);
	stand_in_uuid(uuid);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
