/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One request in the loop: its answer, each way that there is none, and that nothing comes after the end. */
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

#include "util/seqpacket.h"
#include "util/seqpacket_call.h"

static struct loop *loop;
static struct seqpacket_call call;
static struct timer limit;
static int listener, client, result;
static char path[64], heard[8];
static unsigned answers;
/* What the service does. */
static const char *reply;
static size_t reply_size;
static bool hangs_up;

static void done(struct seqpacket_call *of, int error, const void *data)
{
	assert_ptr_equal(of, &call);
	answers++;
	result = error;
	if (error == 0)
		memcpy(heard, data, sizeof(heard));
	loop_stop(loop);
}

static void limit_fired(struct timer *timer)
{
	loop_stop(loop);
}

static void asked(int fd, short revents, void *data)
{
	char message[16];

	client = accept(fd, NULL, NULL);
	assert_true(client >= 0);
	assert_int_equal(recv(client, message, sizeof(message), 0), 5);
	assert_memory_equal(message, "hello", 5);
	if (reply)
		assert_int_equal(send(client, reply, reply_size, 0), reply_size);
	if (hangs_up) {
		close(client);
		client = -1;
	}
}

static int setup(void **state)
{
	char folder[] = "/tmp/ovirt-ha-call-XXXXXX";

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s", folder);
	listener = seqpacket_listen(path);
	assert_true(listener >= 0);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(loop_add_fd(loop, listener, POLLIN, asked, NULL), 0);
	seqpacket_call_init(&call, loop, sizeof(heard), done);
	answers = 0;
	client = -1;
	reply = NULL;
	hangs_up = false;
	limit = (struct timer){.fire = limit_fired};
	return 0;
}

static int teardown(void **state)
{
	seqpacket_call_end(&call);
	loop_clock(loop)->cancel(loop_clock(loop), &limit);
	loop_free(loop);
	if (client >= 0)
		close(client);
	close(listener);
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	return 0;
}

static int ask(int64_t ms)
{
	struct clock_port *clock = loop_clock(loop);

	return seqpacket_call_start(&call, path, "hello", 5, mono_add(clock->now(clock), ms));
}

static void run(int64_t limit_ms)
{
	struct clock_port *clock = loop_clock(loop);

	clock->set(clock, &limit, mono_add(clock->now(clock), limit_ms));
	assert_int_equal(loop_run(loop), 0);
}

static void expect(int error)
{
	assert_int_equal(ask(20000), 0);
	run(30000);
	assert_int_equal(answers, 1);
	assert_int_equal(result, error);
	assert_int_equal(call.fd, -1);
}

static void test_answered(void **state)
{
	reply = "12345678";
	reply_size = 8;
	expect(0);
	assert_memory_equal(heard, "12345678", 8);
}

static void test_cut(void **state)
{
	reply = "1234567";
	reply_size = 7;
	expect(-EPROTO);
}

static void test_too_long(void **state)
{
	reply = "123456789";
	reply_size = 9;
	expect(-EPROTO);
}

static void test_hangs_up(void **state)
{
	hangs_up = true;
	expect(-ECONNRESET);
}

static void test_late(void **state)
{
	assert_int_equal(ask(50), 0);
	assert_int_equal(ask(50), -EBUSY);
	run(30000);
	assert_int_equal(answers, 1);
	assert_int_equal(result, -ETIMEDOUT);
	assert_int_equal(call.fd, -1);
}

static void test_ended(void **state)
{
	assert_int_equal(ask(20), 0);
	seqpacket_call_end(&call);
	seqpacket_call_end(&call);
	hangs_up = true;
	run(100);
	assert_int_equal(answers, 0);
}

static void test_nobody(void **state)
{
	assert_int_equal(seqpacket_call_start(&call, "/nonexistent/s", "hello", 5, MONO_NEVER), -ENOENT);
	assert_int_equal(call.fd, -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_answered), TEST(test_cut),   TEST(test_too_long), TEST(test_hangs_up),
		TEST(test_late),     TEST(test_ended), TEST(test_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
