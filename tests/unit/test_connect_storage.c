/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --connect-storage and --disconnect-storage against a stand-in for the service: what is asked, what is
 * printed, and the exit code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/storage_protocol.h"
#include "tests/unit/command_run.h"
#include "util/seqpacket.h"

#define VMID "vmid=3f2b8c1e-0d5a-4c6f-9b7e-2a1d8e4f5c60\n"

static char dir[] = "/tmp/ovirt-ha-connect-XXXXXX";
static char path[96];

static void write_conf(const char *text)
{
	char name[128];
	FILE *file;

	snprintf(name, sizeof(name), "%s/ovirt-hosted-engine", dir);
	mkdir(name, 0755);
	strcat(name, "/hosted-engine.conf");
	file = fopen(name, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* Answers one request of the kind; `size` bytes of the reply. */
static pid_t answer_once(uint32_t kind, const struct storage_reply *reply, size_t size)
{
	int listener = seqpacket_listen(path);
	pid_t pid;

	assert_true(listener >= 0);
	pid = fork();
	if (pid == 0) {
		struct storage_request request;
		int fd;

		alarm(30);
		fcntl(listener, F_SETFL, 0);
		fd = accept(listener, NULL, NULL);
		if (recv(fd, &request, sizeof(request), 0) != sizeof(request) ||
		    request.version != STORAGE_VERSION || request.kind != kind)
			_exit(1);
		_exit(size > 0 && send(fd, reply, size, 0) != (ssize_t)size);
	}
	close(listener);
	return pid;
}

static void test_answers(void **state)
{
	static const struct {
		const char *name, *option;
		uint32_t kind;
		struct storage_reply reply;
		size_t size;
		int code;
		const char *err;
	} rows[] = {
		{"connected",
		 "--connect-storage",
		 STORAGE_CONNECT,
		 {STORAGE_VERSION, STORAGE_CONNECT, 0, 2, ""},
		 sizeof(struct storage_reply),
		 0,
		 ""},
		{"disconnected",
		 "--disconnect-storage",
		 STORAGE_DISCONNECT,
		 {STORAGE_VERSION, STORAGE_DISCONNECT, 0, 0, ""},
		 sizeof(struct storage_reply),
		 0,
		 ""},
		{"refused",
		 "--disconnect-storage",
		 STORAGE_DISCONNECT,
		 {STORAGE_VERSION, STORAGE_DISCONNECT, -EBUSY, 2, "the engine VM runs on this host"},
		 sizeof(struct storage_reply),
		 1,
		 "The storage stays connected: the engine VM runs on this host\n"},
		{"an escape",
		 "--connect-storage",
		 STORAGE_CONNECT,
		 {STORAGE_VERSION, STORAGE_CONNECT, -EIO, 0, "x\033[1m"},
		 sizeof(struct storage_reply),
		 1,
		 "The storage is not connected: x?[1m\n"},
		{"without words",
		 "--connect-storage",
		 STORAGE_CONNECT,
		 {STORAGE_VERSION, STORAGE_CONNECT, -EPERM, 0, ""},
		 sizeof(struct storage_reply),
		 1,
		 "The storage is not connected: Operation not permitted\n"},
		{"another version",
		 "--connect-storage",
		 STORAGE_CONNECT,
		 {STORAGE_VERSION + 1, STORAGE_CONNECT, 0, 2, ""},
		 sizeof(struct storage_reply),
		 1,
		 "ovirt-ha-storage does not answer: Protocol error; see systemctl status ovirt-ha-storage\n"},
		{"cut",
		 "--connect-storage",
		 STORAGE_CONNECT,
		 {STORAGE_VERSION, STORAGE_CONNECT, 0, 2, ""},
		 12,
		 1,
		 "ovirt-ha-storage does not answer: Protocol error; see systemctl status ovirt-ha-storage\n"},
		{"it ends",
		 "--connect-storage",
		 STORAGE_CONNECT,
		 {0},
		 0,
		 1,
		 "ovirt-ha-storage does not answer: Connection reset by peer; see systemctl status "
		 "ovirt-ha-storage\n"},
	};

	write_conf(VMID);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *args[COMMAND_ARGS_MAX] = {rows[i].option};
		pid_t pid = answer_once(rows[i].kind, &rows[i].reply, rows[i].size);
		char *out, *err;
		int status, code = command_run(args, &out, &err);

		if (code != rows[i].code || out[0] || strcmp(err, rows[i].err) != 0)
			fail_msg("%s: %d %s%s", rows[i].name, code, out, err);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (status != 0)
			fail_msg("%s: something else was asked", rows[i].name);
		free(out);
		free(err);
	}
}

static void test_nobody(void **state)
{
	const char *args[COMMAND_ARGS_MAX] = {"--connect-storage"};
	char *out, *err;

	unlink(path);
	write_conf(VMID);
	assert_int_equal(command_run(args, &out, &err), 1);
	assert_string_equal(err, "ovirt-ha-storage does not answer: No such file or directory; see systemctl "
				 "status ovirt-ha-storage\n");
	free(out);
	free(err);
	write_conf("vmid=\n");
	assert_int_equal(command_run(args, &out, &err), 1);
	assert_string_equal(out, "You must run deploy first\n");
	free(out);
	free(err);
}

static int setup(void **state)
{
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	setenv("OVIRT_HA_STORAGE_SOCKET", path, 1);
	setenv("OVIRT_HA_CONF_DIR", dir, 1);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) != 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(test_answers),
						  cmocka_unit_test(test_nobody)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
