/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which connection's end counts for what libvirt_port.c says of the VM. What runs in its threads is this
 * test's own: no libvirt is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/libvirt_call.h"
#include "daemon/libvirt_port.h"
#include "util/loop.h"

#define S MONO_SECOND

static struct {
	struct loop *loop;
	struct vm_port *port;
	struct timer release, limit;
	unsigned changes;
	enum domain_state state;
	/* The threads' */
	sem_t go_on;
	int events;	   /* the pipe that the callbacks of all connections write to */
	bool reconnect;	   /* the next look makes a connection */
	uint32_t number;   /* of the one there is */
	uint32_t close_of; /* its close callback is called during the next look, 0: none */
	bool closed_first;
} t;

static void send_closed(uint32_t connection)
{
	const struct libvirt_message message = {.connection = connection, .kind = LIBVIRT_CLOSED};

	assert_int_equal(write(t.events, &message, sizeof(message)), sizeof(message));
}

void libvirt_call_run(struct job *job)
{
	struct libvirt_call *call = (struct libvirt_call *)job;

	if (t.events < 0)
		t.events = fcntl(call->event_fd, F_DUPFD_CLOEXEC, 3);
	t.closed_first = call->close_first;
	if (t.reconnect || call->close_first || !call->connection) {
		call->connected = true;
		t.number = call->number;
		t.reconnect = false;
	}
	if (t.close_of != 0) {
		send_closed(t.close_of == UINT32_MAX ? t.number : t.close_of);
		t.close_of = 0;
		/* The loop takes it while the look is under way. */
		sem_wait(&t.go_on);
	}
	call->connection = (struct _virConnect *)&t;
	call->view.state = DOMAIN_RUNNING;
	call->outcome = OUTCOME_OK;
}

void libvirt_call_destroy(struct job *job)
{
	struct libvirt_call *call = (struct libvirt_call *)job;

	if (call->event_fd >= 0)
		close(call->event_fd);
	free(call);
}

int libvirt_events_start(void)
{
	return 0;
}

void libvirt_events_stop(void)
{
}

static void on_changed(void *data, const struct domain_view *view)
{
	(void)data;
	t.state = view->state;
	t.changes++;
	loop_stop(t.loop);
}

static void on_release(struct timer *timer)
{
	(void)timer;
	sem_post(&t.go_on);
}

static void too_late(struct timer *timer)
{
	(void)timer;
	fail_msg("no answer within 10 s");
}

static void run(void)
{
	struct clock_port *clock = loop_clock(t.loop);

	clock->set(clock, &t.limit, mono_add(clock->now(clock), 10 * S));
	assert_int_equal(loop_run(t.loop), 0);
	clock->cancel(clock, &t.limit);
}

/* A look and its answer; `close_of`: whose end is told in its midst. */
static enum domain_state look(uint32_t close_of)
{
	struct clock_port *clock = loop_clock(t.loop);

	t.close_of = close_of;
	if (close_of != 0)
		clock->set(clock, &t.release, mono_add(clock->now(clock), 50));
	t.port->look(t.port, mono_add(clock->now(clock), 5 * S));
	run();
	return t.state;
}

static int setup(void **state)
{
	static const struct libvirt_config config;

	(void)state;
	memset(&t, 0, sizeof(t));
	t.events = -1;
	sem_init(&t.go_on, 0, 0);
	t.release.fire = on_release;
	t.limit.fire = too_late;
	assert_int_equal(loop_new(&t.loop), 0);
	assert_int_equal(vm_libvirt_new(&config, t.loop, &t.port), 0);
	t.port->changed = on_changed;
	assert_int_equal(look(0), DOMAIN_RUNNING);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	t.port->close(t.port);
	loop_free(t.loop);
	close(t.events);
	sem_destroy(&t.go_on);
	return 0;
}

static void test_closed_while_idle(void **state)
{
	uint32_t before = t.number;

	(void)state;
	send_closed(before);
	run();
	assert_int_equal(t.state, DOMAIN_UNKNOWN);
	run();
	assert_int_equal(t.state, DOMAIN_RUNNING);
	assert_true(t.closed_first);
	assert_int_not_equal(t.number, before);
}

static void test_closed_under_a_look(void **state)
{
	uint32_t before = t.number;

	(void)state;
	assert_int_equal(look(t.number), DOMAIN_UNKNOWN);
	assert_int_equal(look(0), DOMAIN_RUNNING);
	assert_true(t.closed_first);
	assert_int_not_equal(t.number, before);
}

/* The look has found its connection dead and made another when the news of the end come. */
static void test_old_one_closed_while_a_new_one_is_made(void **state)
{
	uint32_t before = t.number;

	(void)state;
	t.reconnect = true;
	assert_int_equal(look(before), DOMAIN_RUNNING);
	assert_int_equal(look(0), DOMAIN_RUNNING);
	assert_false(t.closed_first);
}

static void test_new_one_closed_at_once(void **state)
{
	(void)state;
	t.reconnect = true;
	assert_int_equal(look(UINT32_MAX), DOMAIN_UNKNOWN);
	assert_int_equal(look(0), DOMAIN_RUNNING);
	assert_true(t.closed_first);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_closed_while_idle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_under_a_look, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old_one_closed_while_a_new_one_is_made, setup, teardown),
		cmocka_unit_test_setup_teardown(test_new_one_closed_at_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
