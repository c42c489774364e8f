/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The broker's question to ovirt-ha-storage: what is asked, and what is made of each answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/connect_port.h"
#include "storage/storage_protocol.h"
#include "util/loop.h"
#include "util/seqpacket.h"

static struct loop *loop;
static struct storage_reply reply;
static int result;
static char why[512];

static void done(void *data, int error, const char *text)
{
	assert_ptr_equal(data, &result);
	result = error;
	snprintf(why, sizeof(why), "%s", text);
	loop_stop(loop);
}

static void asked(int fd, short revents, void *data)
{
	int client = accept(fd, NULL, NULL);
	struct storage_request request;

	assert_int_equal(recv(client, &request, sizeof(request), 0), sizeof(request));
	assert_int_equal(request.version, STORAGE_VERSION);
	assert_int_equal(request.kind, STORAGE_CONNECT);
	assert_int_equal(send(client, &reply, sizeof(reply), 0), sizeof(reply));
	close(client);
}

static void test_answers(void **state)
{
	static const struct {
		const char *name;
		uint32_t version;
		int32_t error;
		const char *text;
		bool endless;
		int expected;
		const char *why;
	} rows[] = {
		{"connected", STORAGE_VERSION, 0, "", false, 0, ""},
		{"refused", STORAGE_VERSION, -EIO, "mount.nfs: no", false, -EIO, "mount.nfs: no"},
		{"another version", STORAGE_VERSION + 1, 0, "", false, -EPROTO, "Protocol error"},
		{"no error", STORAGE_VERSION, 5, "", false, -EPROTO, "Protocol error"},
		{"no end", STORAGE_VERSION, -EIO, "", true, -EPROTO, "Protocol error"},
	};
	char folder[] = "/tmp/ovirt-ha-ask-XXXXXX", path[64];
	struct connect_port *port;
	int listener;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s", folder);
	setenv("OVIRT_HA_STORAGE_SOCKET", path, 1);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(connect_socket_new(loop, &port), 0);
	assert_int_equal(port->connect(port, MONO_NEVER, done, &result), -ENOENT);
	listener = seqpacket_listen(path);
	assert_true(listener >= 0);
	assert_int_equal(loop_add_fd(loop, listener, POLLIN, asked, NULL), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct clock_port *clock = loop_clock(loop);

		reply = (struct storage_reply){.version = rows[i].version, .error = rows[i].error};
		strcpy(reply.text, rows[i].text);
		if (rows[i].endless)
			memset(reply.text, 'x', sizeof(reply.text));
		result = 77;
		assert_int_equal(port->connect(port, mono_add(clock->now(clock), 20000), done, &result), 0);
		assert_int_equal(port->connect(port, MONO_NEVER, done, &result), -EBUSY);
		assert_int_equal(loop_run(loop), 0);
		if (result != rows[i].expected || strcmp(why, rows[i].why) != 0)
			fail_msg("%s: %d %s", rows[i].name, result, why);
	}
	port->close(port);
	loop_free(loop);
	close(listener);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(test_answers)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
