/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A client that does not take its answers and dies after the server queued its drop, before the drop runs:
 * libqb and the server must not both give libqb's reference back. The client is a child that is killed while
 * the server queues the job. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <qb/qbipcc.h>
#include <qb/qbipcs.h>
#include <qb/qbloop.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/ipc_server.h"
#include "tests/unit/broker_world.h"

static struct {
	struct loop *loop;
	pid_t client;
	qb_ipcs_service_t *service;
	qb_ipcs_connection_t *connection;
	qb_loop_job_dispatch_fn drop;
	bool dropped, late;
} bench;

int32_t __real_qb_loop_job_add(struct qb_loop *loop, enum qb_loop_priority priority, void *data,
			       qb_loop_job_dispatch_fn dispatch);
int32_t __wrap_qb_loop_job_add(struct qb_loop *loop, enum qb_loop_priority priority, void *data,
			       qb_loop_job_dispatch_fn dispatch);

qb_ipcs_service_t *__real_qb_ipcs_create(const char *name, int32_t id, enum qb_ipc_type type,
					 struct qb_ipcs_service_handlers *handlers);
qb_ipcs_service_t *__wrap_qb_ipcs_create(const char *name, int32_t id, enum qb_ipc_type type,
					 struct qb_ipcs_service_handlers *handlers);

qb_ipcs_service_t *__wrap_qb_ipcs_create(const char *name, int32_t id, enum qb_ipc_type type,
					 struct qb_ipcs_service_handlers *handlers)
{
	bench.service = __real_qb_ipcs_create(name, id, type, handlers);
	return bench.service;
}

static unsigned closed_by_libqb(void)
{
	struct qb_ipcs_stats stats;

	assert_int_equal(qb_ipcs_stats_get(bench.service, &stats, 0), 0);
	return stats.closed_connections;
}

static void drop(void *data)
{
	assert_int_equal(closed_by_libqb(), 1);
	bench.drop(data);
	bench.dropped = true;
	loop_stop(bench.loop);
}

/* The server's only job is a drop. Its connection gets a reference of the test's: what is given back too
 * often frees it under the test, and nothing that is freed is read. */
int32_t __wrap_qb_loop_job_add(struct qb_loop *loop, enum qb_loop_priority priority, void *data,
			       qb_loop_job_dispatch_fn dispatch)
{
	assert_null(bench.connection);
	bench.connection = data;
	bench.drop = dispatch;
	qb_ipcs_connection_ref(bench.connection);
	assert_int_equal(closed_by_libqb(), 0);
	assert_int_equal(kill(bench.client, SIGKILL), 0);
	assert_int_equal(waitpid(bench.client, NULL, 0), bench.client);
	return __real_qb_loop_job_add(loop, priority, data, drop);
}

static bool connection_lives(void)
{
	qb_ipcs_connection_t *at = qb_ipcs_connection_first_get(bench.service);
	bool found = false;

	while (at) {
		qb_ipcs_connection_t *next = qb_ipcs_connection_next_get(bench.service, at);

		found |= at == bench.connection;
		qb_ipcs_connection_unref(at);
		at = next;
	}
	return found;
}

/* Asks and never reads. */
static _Noreturn void greedy_client(void)
{
	qb_ipcc_connection_t *connection =
		qb_ipcc_connect(getenv("OVIRT_HA_BROKER_SOCKET"), PROTOCOL_READER_MAX);
	struct blocks_request request = {
		.request = {.header = {.id = REQUEST_BLOCKS, .size = sizeof(request)},
			    .version = PROTOCOL_VERSION}};

	while (connection && qb_ipcc_send(connection, &request, sizeof(request)) > 0)
		;
	_exit(1);
}

static void limit_fired(struct timer *timer)
{
	bench.late = true;
	loop_stop(bench.loop);
}

static void dropped_client_that_died(void **state)
{
	const struct service_account nobody = {0};
	struct timer limit = {.fire = limit_fired};
	struct world *world = world_new();
	struct ipc_server *server;
	struct clock_port *clock;
	char name[64];

	snprintf(name, sizeof(name), "ovirt-ha-test-%d", getpid());
	setenv("OVIRT_HA_BROKER_SOCKET", name, 1);
	for (uint16_t id = 2; id <= 120; id++)
		world_record(world, id, "other", 10, 1, 3000);
	world_start(world);
	world_run(world, 3000);
	assert_int_equal(loop_new(&bench.loop), 0);
	assert_int_equal(ipc_server_new(world->broker, &nobody, bench.loop, &server), 0);
	clock = loop_clock(bench.loop);
	clock->set(clock, &limit, mono_add(clock->now(clock), 20000));
	bench.client = fork();
	assert_true(bench.client >= 0);
	if (bench.client == 0)
		greedy_client();

	assert_int_equal(loop_run(bench.loop), 0);
	assert_false(bench.late);
	assert_true(bench.dropped);
	assert_true(connection_lives());
	qb_ipcs_connection_unref(bench.connection);
	assert_false(connection_lives());

	clock->cancel(clock, &limit);
	ipc_server_free(server);
	loop_free(bench.loop);
	world_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dropped_client_that_died),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
