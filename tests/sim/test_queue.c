/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The simulator's queue and clocks: order, moving, hosts that stand still, drift, suspend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/sim/sim_clock.h"

#define EVENTS 64

struct fired {
	struct sim_event event; /* first */
	struct sim *sim;
	int64_t at;
	unsigned order;
};

static unsigned order;

static void note_event(struct sim_event *event)
{
	struct fired *fired = (struct fired *)event;

	fired->at = fired->sim->now;
	fired->order = ++order;
}

static struct fired events[EVENTS];

static void begin(struct sim *sim)
{
	order = 0;
	sim_init(sim, 1);
	for (size_t i = 0; i < EVENTS; i++)
		events[i] = (struct fired){.event = {.fire = note_event, .kind = SIM_VM}, .sim = sim};
}

static void test_in_the_order_of_moments(void **state)
{
	struct sim sim;

	begin(&sim);
	for (size_t i = 0; i < EVENTS; i++)
		sim_set(&sim, &events[i].event, 1, (int64_t)(i * 37 % EVENTS));
	sim_run(&sim, 1000);
	for (size_t i = 0; i < EVENTS; i++) {
		assert_int_equal(events[i].at, i * 37 % EVENTS);
		assert_int_equal(events[i].order, events[i].at + 1);
		assert_false(sim_is_set(&events[i].event));
	}
	assert_int_equal(sim.now, 1000);
	sim_done(&sim);
}

static void test_same_moment_in_the_order_of_setting(void **state)
{
	struct sim sim;

	begin(&sim);
	for (size_t i = 0; i < EVENTS; i++)
		sim_set(&sim, &events[i].event, (uint16_t)(i % 3), 5);
	sim_run(&sim, 5);
	for (size_t i = 0; i < EVENTS; i++)
		assert_int_equal(events[i].order, i + 1);
	sim_done(&sim);
}

static void test_moved_and_cancelled(void **state)
{
	struct sim sim;

	begin(&sim);
	for (size_t i = 0; i < EVENTS; i++)
		sim_set(&sim, &events[i].event, 1, 10 + (int64_t)i);
	sim_set(&sim, &events[40].event, 1, 1);
	sim_set(&sim, &events[3].event, 1, 500);
	for (size_t i = 10; i < 30; i++)
		sim_cancel(&sim, &events[i].event);
	sim_cancel(&sim, &events[10].event);
	sim_run(&sim, 400);
	assert_int_equal(events[40].order, 1);
	assert_int_equal(events[3].order, 0);
	for (size_t i = 10; i < 30; i++)
		assert_int_equal(events[i].order, 0);
	assert_int_equal(order, EVENTS - 21);
	sim_run(&sim, 500);
	assert_int_equal(events[3].at, 500);
	sim_done(&sim);
}

/* Also where one was set when the moment was far away, and another when it was near. */
static void test_far_away(void **state)
{
	const int64_t far = 3 * SIM_NEAR_MS;
	struct sim sim;

	begin(&sim);
	for (size_t i = 0; i < 32; i++)
		sim_set(&sim, &events[i].event, 1, far + (int64_t)(i * 7 % 32) * SIM_NEAR_MS);
	sim_set(&sim, &events[40].event, 1, far);
	sim_set(&sim, &events[41].event, 1, far);
	sim_cancel(&sim, &events[41].event);
	sim_run(&sim, far - SIM_NEAR_MS + 1);
	assert_int_equal(order, 0);
	sim_set(&sim, &events[42].event, 1, far);
	sim_set(&sim, &events[43].event, 1, far - 1);
	sim_set(&sim, &events[44].event, 1, 0); /* this very moment */
	sim_set(&sim, &events[31].event, 1, far + 40 * SIM_NEAR_MS);
	sim_run(&sim, far);
	assert_int_equal(events[44].order, 1);
	assert_int_equal(events[43].order, 2);
	assert_int_equal(events[0].order, 3);
	assert_int_equal(events[40].order, 4);
	assert_int_equal(events[42].order, 5);
	sim_run(&sim, far + 50 * SIM_NEAR_MS);
	for (size_t i = 0; i < 31; i++)
		assert_int_equal(events[i].at, far + (int64_t)(i * 7 % 32) * SIM_NEAR_MS);
	assert_int_equal(events[31].at, far + 40 * SIM_NEAR_MS);
	assert_int_equal(events[41].order, 0);
	assert_int_equal(order, 31 + 4 + 1);
	sim_done(&sim);
}

/* What is due nearly once around from a moment within a span is not taken for what is due in that span. */
static void test_once_around(void **state)
{
	struct sim sim;

	begin(&sim);
	sim_run(&sim, SIM_SPAN_MS - 1);
	sim_set(&sim, &events[0].event, 1, SIM_NEAR_MS + 1);
	sim_set(&sim, &events[1].event, 1, SIM_NEAR_MS);
	sim_set(&sim, &events[2].event, 1, SIM_NEAR_MS - 1);
	sim_set(&sim, &events[3].event, 1, 100);
	sim_run(&sim, 2 * SIM_NEAR_MS);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(events[i].order, 4 - i);
	assert_int_equal(events[3].at, 100);
	assert_int_equal(events[0].at, SIM_NEAR_MS + 1);
	sim_done(&sim);
}

/* Time passes, and then everything at once; the others go on. */
static void test_held_host(void **state)
{
	struct sim sim;

	begin(&sim);
	sim_hold(&sim, 1, SIM_DAEMON_NONE, 50);
	sim_set(&sim, &events[0].event, 1, 10);
	sim_set(&sim, &events[1].event, 1, 20);
	sim_set(&sim, &events[2].event, 2, 30);
	sim_set(&sim, &events[3].event, 0, 40);
	sim_set(&sim, &events[4].event, 1, 60);
	sim_set(&sim, &events[5].event, 2, 50);
	sim_run(&sim, 100);
	assert_int_equal(events[0].at, 50);
	assert_int_equal(events[1].at, 50);
	assert_true(events[0].order < events[1].order);
	assert_true(events[1].order < events[5].order); /* which was set for that moment later */
	assert_int_equal(events[2].at, 30);
	assert_int_equal(events[3].at, 40);
	assert_int_equal(events[4].at, 60);
	sim_done(&sim);
}

static int64_t fired_at;
static struct sim *the_sim;

static void note_timer(struct timer *timer)
{
	fired_at = the_sim->now;
}

/* One daemon of a host: its events and timers wait, those of the rest of the host do not. */
static void test_stopped_daemon(void **state)
{
	struct timer timer = {.fire = note_timer};
	struct sim_clock clock = {.known_at = -1};
	struct clock_port *port = &clock.daemons[SIM_DAEMON_AGENT].port;
	struct sim sim;

	begin(&sim);
	the_sim = &sim;
	sim_clock_boot(&clock, &sim, 1, 0, 0);
	events[0].event.daemon = events[1].event.daemon = SIM_DAEMON_AGENT;
	events[2].event.daemon = SIM_DAEMON_BROKER;
	sim_hold(&sim, 1, SIM_DAEMON_AGENT, 50);
	assert_true(sim_stands(&sim, 1, SIM_DAEMON_AGENT));
	assert_false(sim_stands(&sim, 1, SIM_DAEMON_BROKER));
	port->set(port, &timer, 15);
	sim_set(&sim, &events[0].event, 1, 10);
	sim_set(&sim, &events[1].event, 2, 10);
	sim_set(&sim, &events[2].event, 1, 20);
	sim_set(&sim, &events[3].event, 1, 30);
	sim_run(&sim, 100);
	assert_int_equal(events[0].at, 50);
	assert_int_equal(fired_at, 50);
	assert_int_equal(events[1].at, 10);
	assert_int_equal(events[2].at, 20);
	assert_int_equal(events[3].at, 30);
	assert_false(sim_stands(&sim, 1, SIM_DAEMON_AGENT));
	sim_done(&sim);
}

static void test_drift_and_suspend(void **state)
{
	struct timer timer = {.fire = note_timer};
	struct sim_clock clock = {.known_at = -1};
	struct sim sim;

	begin(&sim);
	the_sim = &sim;
	sim_clock_boot(&clock, &sim, 1, 5000, 1000);
	clock.port.set(&clock.port, &timer, 5000 + 100000);
	sim_run(&sim, 200000);
	/* 0.1 % fast: 100 s of its own are 99.9 s. */
	assert_in_range(fired_at, 99890, 99910);
	assert_in_range(sim_clock_mono(&clock), 205190, 205210);

	clock.port.set(&clock.port, &timer, mono_add(sim_clock_mono(&clock), 100000));
	sim_clock_drift(&clock, 0);
	sim_clock_suspend(&clock, 40000);
	assert_int_equal(clock.boot_ahead_ms, 40000);
	sim_run(&sim, 400000);
	assert_int_equal(fired_at, 200000 + 140000);
	clock.port.set(&clock.port, &timer, MONO_NEVER);
	assert_false(timer.set);
	sim_done(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_the_order_of_moments),
		cmocka_unit_test(test_same_moment_in_the_order_of_setting),
		cmocka_unit_test(test_moved_and_cancelled),
		cmocka_unit_test(test_far_away),
		cmocka_unit_test(test_once_around),
		cmocka_unit_test(test_held_host),
		cmocka_unit_test(test_stopped_daemon),
		cmocka_unit_test(test_drift_and_suspend),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
