/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The connections of a control group whose process was killed, against a reader that is slow: what was not
 * sent never arrives, and nobody else's connection ends. Needs root, a cgroup2 mount and a kernel with
 * INET_DIAG_DESTROY. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/connection_end.h"

#define UNIT "ovirt-ha-storage-daemon@"

static char group[256];
static int listener;
static struct sockaddr_in address;

static void enter_group(void)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(1);
	close(fd);
}

/* What the kernel takes of a client until the reader's and its own buffers are full. */
static void fill(int told)
{
	static const char bytes[4096];
	size_t sent = 0;
	ssize_t n;
	int fd;

	enter_group();
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		_exit(1);
	while ((n = write(fd, bytes, sizeof(bytes))) > 0)
		sent += (size_t)n;
	if (write(told, &sent, sizeof(sent)) != sizeof(sent))
		_exit(1);
	for (;;)
		pause();
}

static size_t drain(int fd, int *ret_error)
{
	char bytes[4096];
	size_t total = 0;
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		total += (size_t)n;
	*ret_error = n < 0 ? errno : 0;
	return total;
}

static int setup(void **state)
{
	static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	struct timeval limit = {.tv_sec = 10};
	socklen_t length = sizeof(address);
	char path[64];
	int size = 4096, r;

	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/cgroup.procs", mounts[i]);
		if (access(path, F_OK) == 0)
			snprintf(group, sizeof(group), "%s/" UNIT "%d.service", mounts[i], (int)getpid());
	}
	r = mkdir(group, 0755);
	address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return r < 0 || listener < 0 ||
	       setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0 ||
	       setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	       bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 4) < 0 ||
	       getsockname(listener, (struct sockaddr *)&address, &length) < 0;
}

static int teardown(void **state)
{
	close(listener);
	return rmdir(group);
}

static void test_rows(void **state)
{
	static const struct {
		const char *name;
		bool end;
	} rows[] = {
		{"left alone, all arrives", false},
		{"ended, what was not sent never does", true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int told[2], server, other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), of_other, error;
		size_t sent, got, n = 0;
		pid_t child;

		print_message("%s\n", rows[i].name);
		assert_int_equal(pipe2(told, O_CLOEXEC), 0);
		child = fork();
		assert_true(child >= 0);
		if (child == 0)
			fill(told[1]);
		close(told[1]);
		assert_int_equal(read(told[0], &sent, sizeof(sent)), sizeof(sent));
		close(told[0]);
		server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		assert_int_equal(connect(other, (struct sockaddr *)&address, sizeof(address)), 0);
		of_other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		assert_true(server >= 0 && of_other >= 0);
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, NULL, 0), child);

		if (rows[i].end) {
			assert_int_equal(connections_end(group, &n), 0);
			assert_int_equal(n, 1);
		}
		got = drain(server, &error);
		print_message("sent %zu, got %zu\n", sent, got);
		if (rows[i].end) {
			assert_true(got < sent);
			assert_int_equal(error, ECONNRESET);
			assert_int_equal(connections_end(group, &n), 0); /* none is left */
			assert_int_equal(n, 0);
		} else {
			assert_int_equal(got, sent);
			assert_int_equal(error, 0);
		}
		assert_int_equal(write(other, "x", 1), 1);
		assert_int_equal(read(of_other, &error, 1), 1);
		close(server);
		close(other);
		close(of_other);
	}
}

static void test_group(void **state)
{
	char found[4096] = "";
	int status;
	pid_t child;

	assert_int_equal(connections_group(UNIT, found), -ENOENT); /* a shell's, a test's */
	child = fork();
	if (child == 0) {
		enter_group();
		_exit(connections_group(UNIT, found) != 0 || strcmp(found, group) != 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(connections_end("/nowhere", &(size_t){0}), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_group),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
