/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The port to corosync against a stand-in for its library: comes, goes, refuses, hangs; the loop never waits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <corosync/cpg.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/poke_port.h"
#include "util/clock.h"
#include "util/loop.h"

/* corosync. The functions below stand before the library's. */
static atomic_int connects, finalized, joins;
static _Atomic(cs_error_t) connect_error, join_error;
static pthread_mutex_t hang = PTHREAD_MUTEX_INITIALIZER; /* held: joins hang */
static cpg_model_v1_data_t model;
static void *context;
static int wake; /* readable: there is something to dispatch */
static cs_error_t dispatch_error, mcast_error;
static char sent[64], group[CPG_MAX_NAME_LENGTH + 1];
static const char *message;
static struct cpg_address all[2], gone[1];
static size_t n_all, n_gone;

cs_error_t cpg_model_initialize(cpg_handle_t *handle, cpg_model_t kind, cpg_model_data_t *data, void *of)
{
	*handle = (cpg_handle_t)++connects;
	model = *(cpg_model_v1_data_t *)data;
	context = of;
	return connect_error;
}

cs_error_t cpg_finalize(cpg_handle_t handle)
{
	finalized++;
	return CS_OK;
}

cs_error_t cpg_local_get(cpg_handle_t handle, unsigned *node)
{
	*node = 5;
	return CS_OK;
}

cs_error_t cpg_fd_get(cpg_handle_t handle, int *fd)
{
	*fd = wake;
	return CS_OK;
}

cs_error_t cpg_context_get(cpg_handle_t handle, void **of)
{
	*of = context;
	return CS_OK;
}

cs_error_t cpg_join(cpg_handle_t handle, const struct cpg_name *name)
{
	memcpy(group, name->value, name->length);
	joins++;
	pthread_mutex_lock(&hang);
	pthread_mutex_unlock(&hang);
	return join_error;
}

cs_error_t cpg_mcast_joined(cpg_handle_t handle, cpg_guarantee_t guarantee, const struct iovec *iov,
			    unsigned count)
{
	assert_int_equal(count, 1);
	memcpy(sent, iov->iov_base, iov->iov_len);
	return mcast_error;
}

cs_error_t cpg_dispatch(cpg_handle_t handle, cs_dispatch_flags_t how)
{
	eventfd_t count;

	assert_int_equal(how, CS_DISPATCH_ONE_NONBLOCKING);
	if (dispatch_error != CS_OK)
		return dispatch_error;
	if (n_all > 0) {
		size_t n = n_all;

		n_all = 0;
		model.cpg_confchg_fn(handle, NULL, all, n, gone, n_gone, NULL, 0);
		n_gone = 0;
	} else if (message) {
		const char *text = message;

		message = NULL;
		model.cpg_deliver_fn(handle, NULL, 6, 66, (void *)text, strlen(text));
	} else {
		eventfd_read(wake, &count);
		return CS_ERR_TRY_AGAIN;
	}
	return CS_OK;
}

/* What the port told. */
static struct loop *loop;
static struct poke_port *port;
static unsigned joined, lost, came, left, got;
static struct poke_member last;
static char heard[64];

static void on_joined(void *data, struct poke_member self)
{
	assert_int_equal(self.node, 5);
	assert_int_equal(self.pid, getpid());
	joined++;
}

static void on_lost(void *data)
{
	lost++;
}

static void on_came(void *data, struct poke_member member)
{
	last = member;
	came++;
}

static void on_left(void *data, struct poke_member member)
{
	assert_int_equal(member.node, 6);
	left++;
}

static void on_message(void *data, struct poke_member from, const void *bytes, size_t size)
{
	last = from;
	memset(heard, 0, sizeof(heard));
	memcpy(heard, bytes, size);
	got++;
}

static const struct poke_calls calls = {on_joined, on_lost, on_came, on_left, on_message};

static struct timer tick;
static bool (*condition)(void);
static mono_t until;

static void ticked(struct timer *timer)
{
	struct clock_port *clock = loop_clock(loop);

	if (condition() || clock_mono() > until)
		loop_stop(loop);
	else
		clock->set(clock, timer, clock_mono() + 5);
}

static void wait_for(bool (*what)(void))
{
	condition = what;
	until = clock_mono() + 10000;
	tick.fire = ticked;
	loop_clock(loop)->set(loop_clock(loop), &tick, clock_mono());
	assert_int_equal(loop_run(loop), 0);
	assert_true(what());
}

static bool is_joined(void)
{
	return joined > 0;
}

static bool has_tried(void)
{
	return connects > 0;
}

static bool has_tried_twice(void)
{
	return connects > 1;
}

static bool has_lost(void)
{
	return lost > 0;
}

static bool has_got(void)
{
	return got > 0;
}

static bool has_left(void)
{
	return left > 0;
}

static bool hangs(void)
{
	return joins > 0;
}

static bool is_finalized(void)
{
	return finalized > 0;
}

static void stir(void)
{
	assert_int_equal(eventfd_write(wake, 1), 0);
}

static void group_of(size_t n)
{
	all[0] = (struct cpg_address){.nodeid = 5, .pid = (uint32_t)getpid()};
	all[1] = (struct cpg_address){.nodeid = 6, .pid = 66};
	n_all = n;
	stir();
}

static int setup(void **state)
{
	connects = finalized = joins = 0;
	connect_error = join_error = dispatch_error = mcast_error = CS_OK;
	joined = lost = came = left = got = 0;
	n_all = n_gone = 0;
	message = NULL;
	wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(poke_cpg_new("domain", "lockspace", loop, &port), 0);
	return 0;
}

static int teardown(void **state)
{
	port->close(port);
	loop_free(loop);
	close(wake);
	return 0;
}

static void begin(void)
{
	group_of(2);
	port->start(port, &calls, NULL);
	wait_for(is_joined);
}

static void joins_sends_and_hears(void **state)
{
	assert_int_equal(port->send(port, "x", 1), -ENOTCONN);
	begin();
	assert_string_equal(group, "ovirt-ha/domain/lockspace");
	assert_int_equal(came, 2);
	assert_int_equal(last.node, 6);
	assert_int_equal(port->send(port, "hello", 6), 0);
	assert_string_equal(sent, "hello");
	message = "poke";
	stir();
	wait_for(has_got);
	assert_string_equal(heard, "poke");
	assert_int_equal(last.pid, 66);
	gone[0] = all[1];
	n_gone = 1;
	group_of(1);
	wait_for(has_left);
	mcast_error = CS_ERR_TRY_AGAIN;
	assert_int_equal(port->send(port, "x", 1), -EAGAIN);
	mcast_error = CS_ERR_LIBRARY;
	assert_int_equal(port->send(port, "x", 1), -ENOTCONN);
	assert_int_equal(lost, 0);
}

static void comes_again_after_a_death(void **state)
{
	begin();
	dispatch_error = CS_ERR_LIBRARY;
	stir();
	wait_for(has_lost);
	assert_int_equal(port->send(port, "x", 1), -ENOTCONN);
	joined = 0;
	dispatch_error = CS_OK;
	group_of(1);
	wait_for(is_joined);
	assert_int_equal(lost, 1);
	assert_int_equal(connects, 2);
	assert_int_equal(finalized, 1);
}

static void is_tried_again_where_it_is_not(void **state)
{
	mono_t begun = clock_mono();

	connect_error = CS_ERR_LIBRARY;
	port->start(port, &calls, NULL);
	wait_for(has_tried);
	assert_int_equal(finalized, 0);
	connect_error = CS_OK;
	group_of(1);
	wait_for(is_joined);
	assert_in_range(clock_mono() - begun, 900, 9000);
	assert_int_equal(lost, 0);
}

static void a_refused_join_is_ended(void **state)
{
	join_error = CS_ERR_ACCESS;
	port->start(port, &calls, NULL);
	wait_for(has_tried_twice);
	assert_in_range(finalized, 1, 2);
	assert_int_equal(joined, 0);
}

/* The loop goes on, and so does the end of the broker; what was begun is ended by whoever hung. */
static void a_join_that_hangs_holds_nobody(void **state)
{
	struct poke_port *other;

	pthread_mutex_lock(&hang);
	port->start(port, &calls, NULL);
	wait_for(hangs);
	assert_int_equal(poke_cpg_new("domain", "lockspace", loop, &other), 0);
	port->close(port);
	port = other;
	assert_int_equal(finalized, 0);
	pthread_mutex_unlock(&hang);
	wait_for(is_finalized);
	assert_int_equal(joined, 0);
}

static void one_that_hung_is_ended_by_the_next(void **state)
{
	begin();
	port->restart(port);
	assert_int_equal(port->send(port, "x", 1), -ENOTCONN);
	assert_int_equal(finalized, 0);
	port->restart(port); /* once is enough */
	joined = 0;
	group_of(1);
	wait_for(is_joined);
	assert_int_equal(finalized, 1);
	assert_int_equal(connects, 2);
	assert_int_equal(lost, 0);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(joins_sends_and_hears),	     ROW(comes_again_after_a_death),
		ROW(is_tried_again_where_it_is_not), ROW(a_refused_join_is_ended),
		ROW(a_join_that_hangs_holds_nobody), ROW(one_that_hung_is_ended_by_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
