/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The VM port's deadlines: what is late is given up and told as failed, what ended in time is not, and the
 * next call is not late in the place of the one before. And which connection's end counts for what it says of
 * the VM. libvirt_call.c's part stands here; its calls hang for as long as a test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/libvirt_call.h"
#include "util/loop.h"

#define S MONO_SECOND

static struct {
	struct loop *loop;
	struct vm_port *port;
	struct timer release, limit;
	unsigned ended, changed;
	enum outcome outcome; /* of the last that ended */
	enum domain_state state;
	enum action then; /* what the owner begins when one has ended */
	/* The threads' */
	atomic_bool hangs[ACTION_COUNT]; /* ACTION_NONE: a look */
	atomic_uint ends, abandoned;
	int events;	   /* the pipe that the callbacks of all connections write to */
	bool reconnect;	   /* the next look makes a connection */
	uint32_t number;   /* of the one there is */
	uint32_t close_of; /* its close callback is called during the next look, 0: none */
	bool closed_first;
	atomic_bool fails;	    /* what is asked of libvirt, but for looks */
	atomic_bool asked, leaving; /* the last look was for a migration; what it says of one */
	bool told_leaving;
} t;

static void send_closed(uint32_t connection)
{
	const struct libvirt_message message = {.connection = connection, .kind = LIBVIRT_CLOSED};

	assert_int_equal(write(t.events, &message, sizeof(message)), sizeof(message));
}

static void connect_for_look(struct libvirt_call *call)
{
	if (t.events < 0)
		t.events = fcntl(call->event_fd, F_DUPFD_CLOEXEC, 3);
	t.closed_first = call->close_first;
	if (t.reconnect || call->close_first || !call->connection) {
		call->connected = true;
		t.number = call->number;
		t.reconnect = false;
	}
	if (t.close_of != 0)
		send_closed(t.close_of == UINT32_MAX ? t.number : t.close_of);
	t.close_of = 0;
}

void libvirt_call_run(struct job *job)
{
	struct libvirt_call *call = (struct libvirt_call *)job;

	if (call->action == ACTION_NONE)
		connect_for_look(call);
	while (atomic_load(&t.hangs[call->action]))
		poll(NULL, 0, 5);
	call->connection = (struct _virConnect *)&t;
	call->view.state = DOMAIN_RUNNING;
	call->outcome = call->action != ACTION_NONE && atomic_load(&t.fails) ? OUTCOME_FAILED : OUTCOME_OK;
	if (call->action == ACTION_NONE) {
		atomic_store(&t.asked, call->migrates);
		call->view.leaving = call->view.leaving && atomic_load(&t.leaving);
	}
	if (atomic_load(&call->abandoned))
		atomic_fetch_add(&t.abandoned, 1);
	atomic_fetch_add(&t.ends, 1);
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

static mono_t now(void)
{
	return loop_clock(t.loop)->now(loop_clock(t.loop));
}

static void on_changed(void *data, const struct domain_view *view)
{
	t.changed++;
	t.state = view->state;
	t.told_leaving = view->leaving;
	loop_stop(t.loop);
}

static void on_ended(void *data, enum action action, enum outcome outcome, const char *text)
{
	t.ended++;
	t.outcome = outcome;
	if (t.then != ACTION_NONE) {
		atomic_store(&t.hangs[t.then], true);
		assert_int_equal(t.port->act(t.port, t.then, NULL, mono_add(now(), 10 * S)), 0);
		t.then = ACTION_NONE;
	}
	loop_stop(t.loop);
}

static void over(struct timer *timer)
{
	loop_stop(t.loop);
}

/* Until something is told, or the time is over. */
static void run_for(int ms)
{
	struct clock_port *clock = loop_clock(t.loop);

	clock->set(clock, &t.limit, mono_add(now(), ms));
	assert_int_equal(loop_run(t.loop), 0);
	clock->cancel(clock, &t.limit);
}

/* The thread has ended its call, and the worker has been told. */
static void release(enum action action)
{
	unsigned before = atomic_load(&t.ends);

	atomic_store(&t.hangs[action], false);
	for (int i = 0; i < 1000 && atomic_load(&t.ends) == before; i++)
		poll(NULL, 0, 5);
	assert_true(atomic_load(&t.ends) > before);
	poll(NULL, 0, 50);
}

static void release_look(struct timer *timer)
{
	atomic_store(&t.hangs[ACTION_NONE], false);
}

/* What is told next of the VM's state. */
static enum domain_state told(void)
{
	unsigned before = t.changed;

	run_for(10000);
	assert_true(t.changed > before);
	return t.state;
}

/* A look and its answer; `close_of`: whose end is told in its midst, while the loop runs. */
static enum domain_state look(uint32_t close_of)
{
	struct clock_port *clock = loop_clock(t.loop);

	t.close_of = close_of;
	if (close_of != 0) {
		atomic_store(&t.hangs[ACTION_NONE], true);
		clock->set(clock, &t.release, mono_add(now(), 50));
	}
	t.port->look(t.port, mono_add(now(), 5 * S));
	return told();
}

static int setup(void **state)
{
	static const struct libvirt_config config;

	memset(&t, 0, sizeof(t));
	t.events = -1;
	t.limit.fire = over;
	t.release.fire = release_look;
	assert_int_equal(loop_new(&t.loop), 0);
	assert_int_equal(vm_libvirt_new(&config, t.loop, &t.port), 0);
	t.port->changed = on_changed;
	t.port->ended = on_ended;
	return 0;
}

static int setup_connected(void **state)
{
	setup(state);
	assert_int_equal(look(0), DOMAIN_RUNNING);
	return 0;
}

static int teardown(void **state)
{
	for (size_t i = 0; i < ACTION_COUNT; i++)
		atomic_store(&t.hangs[i], false);
	t.port->close(t.port);
	loop_free(t.loop);
	if (t.events >= 0)
		close(t.events);
	return 0;
}

static void test_deadline_that_is_past(void **state)
{
	mono_t begun = now();

	atomic_store(&t.hangs[ACTION_START], true);
	assert_int_equal(t.port->act(t.port, ACTION_START, NULL, begun - 5 * S), 0);
	assert_int_equal(t.port->act(t.port, ACTION_SHUTDOWN, NULL, begun), -EBUSY);
	run_for(5000);
	assert_int_equal(t.ended, 1);
	assert_int_equal(t.outcome, OUTCOME_FAILED);
	assert_in_range(now() - begun, 0, 2000);
	/* The thread knows, and nobody hears of its end any more. */
	release(ACTION_START);
	assert_int_equal(atomic_load(&t.abandoned), 1);
	run_for(50);
	assert_int_equal(t.ended, 1);
	assert_int_equal(t.port->act(t.port, ACTION_START, NULL, mono_add(now(), 10 * S)), 0);
	run_for(5000);
	assert_int_equal(t.ended, 2);
	assert_int_equal(t.outcome, OUTCOME_OK);
}

static void test_look_with_a_deadline_that_is_past(void **state)
{
	atomic_store(&t.hangs[ACTION_NONE], true);
	t.port->look(t.port, now() - 1);
	run_for(5000);
	assert_int_equal(t.changed, 1);
	assert_int_equal(t.state, DOMAIN_UNKNOWN);
	release(ACTION_NONE);
	run_for(5000); /* by itself it looks again */
	assert_int_equal(t.changed, 2);
	assert_int_equal(t.state, DOMAIN_RUNNING);
}

/* A VM that runs must not count as a start that failed. */
static void test_ends_with_its_deadline(void **state)
{
	atomic_store(&t.hangs[ACTION_START], true);
	assert_int_equal(t.port->act(t.port, ACTION_START, NULL, mono_add(now(), 50)), 0);
	poll(NULL, 0, 100);    /* the loop hears of the deadline first, */
	release(ACTION_START); /* then of the end */
	run_for(5000);
	assert_int_equal(t.ended, 1);
	assert_int_equal(t.outcome, OUTCOME_OK);
	assert_int_equal(atomic_load(&t.abandoned), 0);
}

static void test_next_is_not_late(void **state)
{
	atomic_store(&t.hangs[ACTION_START], true);
	t.then = ACTION_SHUTDOWN;
	assert_int_equal(t.port->act(t.port, ACTION_START, NULL, mono_add(now(), 50)), 0);
	poll(NULL, 0, 100);
	release(ACTION_START);
	run_for(5000);
	assert_int_equal(t.ended, 1);
	assert_int_equal(t.outcome, OUTCOME_OK);
	run_for(200);
	assert_int_equal(t.ended, 1);
	release(ACTION_SHUTDOWN);
	run_for(5000);
	assert_int_equal(t.ended, 2);
	assert_int_equal(t.outcome, OUTCOME_OK);
	assert_int_equal(atomic_load(&t.abandoned), 0);
}

/* A start that waits for its lease holds libvirt's lock of the domain: a look waits with it. */
static void test_look_beside_a_start_is_not_late(void **state)
{
	atomic_store(&t.hangs[ACTION_START], true);
	atomic_store(&t.hangs[ACTION_NONE], true);
	assert_int_equal(t.port->act(t.port, ACTION_START, NULL, mono_add(now(), 10 * S)), 0);
	t.port->look(t.port, now());
	run_for(200);
	assert_int_equal(t.changed, 0);
	release(ACTION_NONE);
	run_for(5000);
	assert_int_equal(t.changed, 1);
	assert_int_equal(t.state, DOMAIN_RUNNING);
	release(ACTION_START);
}

static void test_closed_while_idle(void **state)
{
	uint32_t before = t.number;

	send_closed(before);
	assert_int_equal(told(), DOMAIN_UNKNOWN);
	assert_int_equal(told(), DOMAIN_RUNNING);
	assert_true(t.closed_first);
	assert_int_not_equal(t.number, before);
}

static void test_closed_under_a_look(void **state)
{
	uint32_t before = t.number;

	assert_int_equal(look(t.number), DOMAIN_UNKNOWN);
	assert_int_equal(look(0), DOMAIN_RUNNING);
	assert_true(t.closed_first);
	assert_int_not_equal(t.number, before);
}

/* The look has found its connection dead and made another when the news of the end come. */
static void test_old_one_closed_while_a_new_one_is_made(void **state)
{
	uint32_t before = t.number;

	t.reconnect = true;
	assert_int_equal(look(before), DOMAIN_RUNNING);
	assert_int_equal(look(0), DOMAIN_RUNNING);
	assert_false(t.closed_first);
}

static void test_new_one_closed_at_once(void **state)
{
	t.reconnect = true;
	assert_int_equal(look(UINT32_MAX), DOMAIN_UNKNOWN);
	assert_int_equal(look(0), DOMAIN_RUNNING);
	assert_true(t.closed_first);
}

/* libvirt says so, and is asked no more. */
static void none_is_under_way(void)
{
	atomic_store(&t.leaving, false);
	look(0);
	assert_true(atomic_load(&t.asked) && !t.told_leaving);
	look(0);
	assert_false(atomic_load(&t.asked) || t.told_leaving);
}

/* libvirt may go on with a migration whose call has failed or was given up, until it says that there is none.
 */
static void test_migration_whose_call_is_lost(void **state)
{
	look(0);
	assert_false(atomic_load(&t.asked));
	atomic_store(&t.hangs[ACTION_MIGRATE], true);
	atomic_store(&t.leaving, true);
	assert_int_equal(t.port->act(t.port, ACTION_MIGRATE, "h2", mono_add(now(), 50)), 0);
	run_for(5000);
	assert_int_equal(t.ended, 1);
	assert_int_equal(t.outcome, OUTCOME_FAILED);
	for (int i = 0; i < 2; i++) {
		look(0);
		assert_true(atomic_load(&t.asked) && t.told_leaving);
	}
	none_is_under_way();
	release(ACTION_MIGRATE);
}

/* Begun while nobody listened: each new connection asks, and goes on to. */
static void test_migration_from_before_the_connection(void **state)
{
	atomic_store(&t.leaving, true);
	for (int i = 0; i < 2; i++) {
		look(0);
		assert_true(atomic_load(&t.asked) && t.told_leaving);
		look(0);
		assert_true(atomic_load(&t.asked) && t.told_leaving);
		none_is_under_way();
		atomic_store(&t.leaving, true);
		send_closed(t.number);
		assert_int_equal(told(), DOMAIN_UNKNOWN);
	}
	look(0);
}

/* Its first pass is told at once, the looks after it ask, and its other passes are no news. */
static void test_migration_of_somebody_else(void **state)
{
	const struct libvirt_message message = {.connection = t.number, .kind = LIBVIRT_MIGRATES};
	unsigned changed;

	look(0);
	assert_false(atomic_load(&t.asked) || t.told_leaving);
	atomic_store(&t.leaving, true);
	assert_int_equal(write(t.events, &message, sizeof(message)), sizeof(message));
	told();
	assert_true(t.told_leaving);
	told();
	assert_true(t.told_leaving && atomic_load(&t.asked));
	changed = t.changed;
	assert_int_equal(write(t.events, &message, sizeof(message)), sizeof(message));
	run_for(50);
	assert_int_equal(t.changed, changed);
	none_is_under_way();
}

/* A look that began before the end says nothing of after it. */
static void test_migration_refused_beside_another(void **state)
{
	atomic_store(&t.hangs[ACTION_MIGRATE], true);
	atomic_store(&t.fails, true);
	assert_int_equal(t.port->act(t.port, ACTION_MIGRATE, "h2", mono_add(now(), 10 * S)), 0);
	atomic_store(&t.hangs[ACTION_NONE], true);
	t.port->look(t.port, mono_add(now(), 5 * S));
	poll(NULL, 0, 20);
	release(ACTION_MIGRATE);
	run_for(5000);
	assert_int_equal(t.ended, 1);
	atomic_store(&t.hangs[ACTION_NONE], false);
	told();
	assert_true(atomic_load(&t.asked) && !t.told_leaving);
	atomic_store(&t.leaving, true);
	look(0);
	assert_true(atomic_load(&t.asked) && t.told_leaving);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_deadline_that_is_past, setup, teardown),
		cmocka_unit_test_setup_teardown(test_look_with_a_deadline_that_is_past, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends_with_its_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_next_is_not_late, setup, teardown),
		cmocka_unit_test_setup_teardown(test_look_beside_a_start_is_not_late, setup, teardown),
		cmocka_unit_test_setup_teardown(test_migration_of_somebody_else, setup_connected, teardown),
		cmocka_unit_test_setup_teardown(test_migration_from_before_the_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_while_idle, setup_connected, teardown),
		cmocka_unit_test_setup_teardown(test_closed_under_a_look, setup_connected, teardown),
		cmocka_unit_test_setup_teardown(test_old_one_closed_while_a_new_one_is_made, setup_connected,
						teardown),
		cmocka_unit_test_setup_teardown(test_new_one_closed_at_once, setup_connected, teardown),
		cmocka_unit_test_setup_teardown(test_migration_whose_call_is_lost, setup_connected, teardown),
		cmocka_unit_test_setup_teardown(test_migration_refused_beside_another, setup_connected,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
