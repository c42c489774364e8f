/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The broker's IPC with the real libqb on both ends: the server in the test's loop on a virtual world,
 * clients in a thread. Silent, greedy and malformed clients delay nobody; the agent's port works through the
 * loop alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <qb/qbipcc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/broker_client.h"
#include "broker/ipc_server.h"
#include "tests/unit/broker_world.h"
#include "util/clock.h"

#define WAIT_MS 5000
#define SILENT 50
#define STRANGER 4242

/* Of no user or group that there is. */
static const struct service_account account = {
	.has_user = true, .has_group = true, .uid = 54320, .gid = 54321};

struct bench {
	struct world *world;
	struct loop *loop;
	struct ipc_server *server;
	struct timer pump; /* virtual time goes 1 s in 10 ms */
	struct timer limit;
	bool late;
	int ended; /* eventfd */
	void (*body)(struct bench *bench);
	/* The agent's side. */
	struct broker_port *agent;
	unsigned connected, lost, changed, facts, published, commands;
	atomic_int lost_error;
	int published_error;
	struct cluster cluster;
	size_t n_peers;
	atomic_bool agent_up, all_seen;
	bool hang; /* time stands still once all was published, and more is said then */
	atomic_uint agent_published;
};

static void pump_fired(struct timer *timer)
{
	struct bench *bench = (struct bench *)((char *)timer - offsetof(struct bench, pump));
	struct clock_port *clock = loop_clock(bench->loop);

	if (!bench->hang || atomic_load(&bench->agent_published) == 0)
		world_run(bench->world, 1000);
	clock->set(clock, timer, mono_add(clock->now(clock), 10));
}

static void limit_fired(struct timer *timer)
{
	struct bench *bench = (struct bench *)((char *)timer - offsetof(struct bench, limit));

	bench->late = true;
	loop_stop(bench->loop);
}

static void body_ended(int fd, short revents, void *data)
{
	loop_stop(((struct bench *)data)->loop);
}

static int setup_hosts(void **state, uint16_t last)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	char name[64];

	snprintf(name, sizeof(name), "ovirt-ha-test-%d", getpid());
	setenv("OVIRT_HA_BROKER_SOCKET", name, 1);
	bench->world = world_new();
	for (uint16_t id = 2; id <= last; id++)
		world_record(bench->world, id, "other", 10, 1, 3000);
	world_start(bench->world);
	assert_int_equal(loop_new(&bench->loop), 0);
	assert_int_equal(ipc_server_new(bench->world->broker, &account, bench->loop, &bench->server), 0);
	bench->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(loop_add_fd(bench->loop, bench->ended, POLLIN, body_ended, bench), 0);
	bench->pump.fire = pump_fired;
	bench->limit.fire = limit_fired;
	world_run(bench->world, 3000);
	*state = bench;
	return 0;
}

static int setup(void **state)
{
	return setup_hosts(state, 120);
}

static int setup_large(void **state)
{
	return setup_hosts(state, HOST_ID_MAX);
}

static int teardown(void **state)
{
	struct bench *bench = *state;
	struct clock_port *clock = loop_clock(bench->loop);

	clock->cancel(clock, &bench->pump);
	clock->cancel(clock, &bench->limit);
	if (bench->agent)
		bench->agent->close(bench->agent);
	ipc_server_free(bench->server);
	loop_free(bench->loop);
	close(bench->ended);
	world_free(bench->world);
	free(bench);
	return 0;
}

static void *thread_run(void *data)
{
	struct bench *bench = data;
	uint64_t one = 1;

	bench->body(bench);
	assert_int_equal(write(bench->ended, &one, sizeof(one)), sizeof(one));
	return NULL;
}

/* Runs `body` in a thread while the loop serves. */
static void run(struct bench *bench, void (*body)(struct bench *bench))
{
	struct clock_port *clock = loop_clock(bench->loop);
	pthread_t thread;

	bench->body = body;
	clock->set(clock, &bench->pump, clock->now(clock));
	clock->set(clock, &bench->limit, mono_add(clock->now(clock), 20000));
	assert_int_equal(pthread_create(&thread, NULL, thread_run, bench), 0);
	assert_int_equal(loop_run(bench->loop), 0);
	assert_false(bench->late);
	pthread_join(thread, NULL);
}

static struct broker_client *client_open(void)
{
	struct broker_client *client = NULL;

	assert_int_equal(broker_client_open(WAIT_MS, &client), 0);
	return client;
}

static void status_body(struct bench *bench)
{
	struct broker_client *client = client_open();
	struct status_reply status;
	struct slot_block *blocks;
	size_t n;

	assert_int_equal(broker_client_status(client, WAIT_MS, &status), 0);
	assert_int_equal(status.cluster.host_id, 1);
	assert_string_equal(status.hostname, "host1.example");
	assert_string_equal(status.trouble, "no agent");
	assert_int_equal(broker_client_all_blocks(client, WAIT_MS, &blocks, &n), 0);
	assert_int_equal(n, 120);
	assert_int_equal(blocks[119].id, 120);
	assert_memory_equal(blocks[119].block, bench->world->blocks[120], BLOCK_SIZE);
	free(blocks);
	broker_client_close(client);
}

static void status_and_blocks(void **state)
{
	run(*state, status_body);
}

static void global_body(struct bench *bench)
{
	struct broker_client *client = client_open();
	char text[TEXT_MAX];

	assert_int_equal(broker_client_global(client, true, WAIT_MS, text), 0);
	assert_string_equal(text, "");
	assert_int_equal(broker_client_command(client, COMMAND_VM_START, NULL, WAIT_MS, text), -EHOSTDOWN);
	assert_non_null(strstr(text, "ovirt-ha-agent"));
	broker_client_close(client);
}

static void global_and_no_agent(void **state)
{
	run(*state, global_body);
}

static void late_body(struct bench *bench)
{
	struct broker_client *client = client_open(), *other;
	char text[TEXT_MAX];
	struct status_reply status;

	/* It takes 20 s of virtual time, 200 ms here. */
	assert_int_equal(broker_client_global(client, true, 20, text), -ETIMEDOUT);
	assert_int_equal(broker_client_status(client, WAIT_MS, &status), -ENOTCONN);
	broker_client_close(client);
	other = client_open();
	assert_int_equal(broker_client_status(other, WAIT_MS, &status), 0);
	broker_client_close(other);
}

static void client_leaves_while_it_waits(void **state)
{
	struct bench *bench = *state;

	run(bench, late_body);
	world_run(bench->world, 60000);
	assert_memory_equal(bench->world->blocks[0], "maintenance=1", 13);
}

struct raw_reply {
	struct reply reply;
	uint8_t more[64];
};

/* Sends whatever, gives the error of the answer. */
static int raw(qb_ipcc_connection_t *connection, void *message, size_t size)
{
	struct raw_reply answer;
	struct iovec iov = {message, size};
	ssize_t n = qb_ipcc_sendv_recv(connection, &iov, 1, &answer, sizeof(answer), WAIT_MS);

	assert_int_equal(n, sizeof(struct reply));
	return answer.reply.header.error;
}

static void malformed_body(struct bench *bench)
{
	qb_ipcc_connection_t *connection =
		qb_ipcc_connect(getenv("OVIRT_HA_BROKER_SOCKET"), PROTOCOL_READER_MAX);
	static uint8_t big[4096];
	struct command_request command;
	struct global_request global;
	struct publish_request publish;
	struct request *request = (struct request *)big;
	struct broker_client *client;
	struct status_reply status;

	assert_non_null(connection);
	memset(big, 0, sizeof(big));
	request->header.size = sizeof(*request);
	request->version = PROTOCOL_VERSION;
	request->header.id = 77;
	assert_int_equal(raw(connection, big, sizeof(*request)), -EOPNOTSUPP);
	request->header.id = 0;
	assert_int_equal(raw(connection, big, sizeof(*request)), -EOPNOTSUPP);
	request->header.id = REQUEST_STATUS;
	request->version = PROTOCOL_VERSION + 1;
	assert_int_equal(raw(connection, big, sizeof(*request)), -EPROTO);
	request->version = PROTOCOL_VERSION;
	request->header.size = sizeof(*request) + 1;
	assert_int_equal(raw(connection, big, sizeof(*request) + 1), -EBADMSG);
	request->header.id = REQUEST_COMMAND;
	request->header.size = sizeof(*request);
	assert_int_equal(raw(connection, big, sizeof(*request)), -EBADMSG);
	/* A length that lies about what was sent. */
	request->header.size = INT32_MAX;
	assert_int_equal(raw(connection, big, sizeof(*request)), -EBADMSG);
	request->header.size = -5;
	assert_int_equal(raw(connection, big, sizeof(*request)), -EBADMSG);
	/* A text without an end. */
	memset(&command, 'x', sizeof(command));
	command.request.header.id = REQUEST_COMMAND;
	command.request.header.size = sizeof(command);
	command.request.version = PROTOCOL_VERSION;
	command.command = COMMAND_VM_START;
	assert_int_equal(raw(connection, &command, sizeof(command)), -EBADMSG);
	memset(command.argument, 0, sizeof(command.argument));
	command.command = COMMAND_KIND_END;
	assert_int_equal(raw(connection, &command, sizeof(command)), -EBADMSG);
	/* A bool that is none. */
	memset(&global, 0, sizeof(global));
	global.request.header.id = REQUEST_GLOBAL;
	global.request.header.size = sizeof(global);
	global.request.version = PROTOCOL_VERSION;
	memset(&global.maintenance, 7, 1);
	assert_int_equal(raw(connection, &global, sizeof(global)), -EBADMSG);
	/* Who is not the agent does not publish. */
	memset(&publish, 0, sizeof(publish));
	publish.request.header.id = REQUEST_PUBLISH;
	publish.request.header.size = sizeof(publish);
	publish.request.version = PROTOCOL_VERSION;
	assert_int_equal(raw(connection, &publish, sizeof(publish)), -EACCES);
	memset(&publish.claim.stopped, 2, 1);
	assert_int_equal(raw(connection, &publish, sizeof(publish)), -EBADMSG);
	qb_ipcc_disconnect(connection);

	client = client_open();
	assert_int_equal(broker_client_status(client, WAIT_MS, &status), 0);
	broker_client_close(client);
}

static void malformed(void **state)
{
	struct bench *bench = *state;

	run(bench, malformed_body);
	assert_int_equal(bench->world->writes, 0);
}

static void silent_body(struct bench *bench)
{
	qb_ipcc_connection_t *silent[SILENT];
	struct broker_client *client;
	struct status_reply status;
	mono_t begun;

	for (int i = 0; i < SILENT; i++) {
		silent[i] = qb_ipcc_connect(getenv("OVIRT_HA_BROKER_SOCKET"), PROTOCOL_READER_MAX);
		assert_non_null(silent[i]);
	}
	begun = clock_mono();
	client = client_open();
	for (int i = 0; i < 100; i++)
		assert_int_equal(broker_client_status(client, WAIT_MS, &status), 0);
	/* 100 answers; the limit is far above what a busy machine needs and far below one waiting client. */
	assert_true(clock_mono() - begun < 2000);
	broker_client_close(client);
	for (int i = 0; i < SILENT; i++)
		qb_ipcc_disconnect(silent[i]);
}

static void silent_clients_delay_nobody(void **state)
{
	run(*state, silent_body);
}

static void greedy_body(struct bench *bench)
{
	qb_ipcc_connection_t *greedy = qb_ipcc_connect(getenv("OVIRT_HA_BROKER_SOCKET"), PROTOCOL_READER_MAX);
	struct blocks_request request;
	struct broker_client *client;
	struct status_reply status;
	bool dropped = false;

	assert_non_null(greedy);
	memset(&request, 0, sizeof(request));
	request.request.header.id = REQUEST_BLOCKS;
	request.request.header.size = sizeof(request);
	request.request.version = PROTOCOL_VERSION;
	/* Asks and never reads: the ring is full after the first answer. */
	for (int i = 0; i < 50 && !dropped; i++)
		dropped = qb_ipcc_send(greedy, &request, sizeof(request)) < 0;
	client = client_open();
	assert_int_equal(broker_client_status(client, WAIT_MS, &status), 0);
	broker_client_close(client);
	for (int i = 0; i < 100 && qb_ipcc_is_connected(greedy); i++)
		poll(NULL, 0, 20);
	assert_false(qb_ipcc_is_connected(greedy));
	qb_ipcc_disconnect(greedy);
}

static void greedy_client_is_dropped(void **state)
{
	run(*state, greedy_body);
}

static void publish(struct bench *bench, int32_t score)
{
	struct publish_request request;
	uint64_t serial;

	memset(&request, 0, sizeof(request));
	request.claim.score = score;
	request.claim.vm = VM_DOWN;
	request.timeout_in_ms = request.config_age_ms = -1;
	assert_int_equal(bench->agent->publish(bench->agent, &request, &serial), 0);
}

static void on_connected(void *data)
{
	struct bench *bench = data;

	bench->connected++;
	publish(bench, 2400);
	/* More than may be under way: they are merged. */
	for (int i = 0; i < 40; i++)
		publish(bench, 1000 + i);
	assert_int_equal(bench->agent->ask(bench->agent), 0);
	assert_int_equal(bench->agent->ask(bench->agent), 0);
	atomic_store(&bench->agent_up, true);
}

static void on_lost(void *data, int error)
{
	struct bench *bench = data;

	bench->lost++;
	bench->lost_error = error;
}

static void on_changed(void *data)
{
	((struct bench *)data)->changed++;
}

static void on_facts(void *data, int error, const struct cluster *cluster, const struct peer *peers,
		     size_t n_peers)
{
	struct bench *bench = data;

	assert_int_equal(error, 0);
	bench->facts++;
	bench->cluster = *cluster;
	bench->n_peers = n_peers;
	atomic_store(&bench->all_seen, n_peers == HOST_ID_MAX - 1);
	for (size_t i = 0; i < n_peers; i++)
		assert_int_equal(peers[i].id, 2 + i);
}

static void on_published(void *data, uint64_t serial, int error, const char *target)
{
	struct bench *bench = data;

	bench->published++;
	bench->published_error = error;
	if (serial != 41)
		return;
	atomic_fetch_add(&bench->agent_published, 1);
	for (int i = 0; bench->hang && i < 8; i++)
		publish(bench, 2000 + i);
}

static void on_command(void *data, uint64_t ticket, enum command command, const char *argument)
{
	struct bench *bench = data;

	bench->commands++;
	assert_int_equal(command, COMMAND_VM_START);
	assert_string_equal(argument, "/tmp/vm.conf");
	assert_int_equal(bench->agent->answer(bench->agent, ticket, -EBUSY, "VM exists and its status is Up"),
			 0);
}

static const struct broker_calls agent_calls = {
	.connected = on_connected,
	.lost = on_lost,
	.changed = on_changed,
	.facts = on_facts,
	.published = on_published,
	.command = on_command,
};

static void wait_agent(struct bench *bench)
{
	for (int i = 0;
	     i < 500 && (!atomic_load(&bench->agent_up) || atomic_load(&bench->agent_published) == 0); i++)
		poll(NULL, 0, 10);
}

static void agent_body(struct bench *bench)
{
	struct broker_client *client;
	char text[TEXT_MAX];
	struct status_reply status;

	wait_agent(bench);
	client = client_open();
	assert_int_equal(broker_client_command(client, COMMAND_VM_START, "/tmp/vm.conf", WAIT_MS, text),
			 -EBUSY);
	assert_string_equal(text, "VM exists and its status is Up");
	assert_int_equal(broker_client_status(client, WAIT_MS, &status), 0);
	assert_true(status.agent_connected);
	assert_int_equal(status.published.claim.score, 1039);
	broker_client_close(client);
}

static void agent_port(void **state)
{
	struct bench *bench = *state;
	struct record record;

	assert_int_equal(broker_client_port_new(bench->loop, &agent_calls, bench, &bench->agent), 0);
	run(bench, agent_body);
	assert_int_equal(bench->connected, 1);
	assert_int_equal(bench->lost, 0);
	assert_int_equal(bench->facts, 1);
	assert_int_equal(bench->n_peers, 119);
	assert_int_equal(bench->cluster.membership, MEMBERSHIP_JOINED);
	assert_int_equal(bench->published_error, 0);
	assert_int_equal(bench->commands, 1);
	assert_int_equal(world_own(bench->world, &record), RECORD_OK);
	assert_int_equal(record.claim.score, 1039);
}

static void hang_body(struct bench *bench)
{
	struct broker_client *client = client_open();
	struct status_reply status;

	status.published.claim.score = 0;
	for (int i = 0; i < 500 && status.published.claim.score != 2007; i++) {
		poll(NULL, 0, 10);
		assert_int_equal(broker_client_status(client, WAIT_MS, &status), 0);
	}
	assert_int_equal(status.published.claim.score, 2007);
	broker_client_close(client);
}

/* An answer that is for several publishes makes room for as many: storage that hangs afterwards is not taken
 * for an agent that is silent. */
static void merged_publishes_leave_the_window(void **state)
{
	struct bench *bench = *state;

	bench->hang = true;
	assert_int_equal(broker_client_port_new(bench->loop, &agent_calls, bench, &bench->agent), 0);
	run(bench, hang_body);
}

static void large_body(struct bench *bench)
{
	for (int i = 0; i < 500 && !atomic_load(&bench->all_seen); i++)
		poll(NULL, 0, 10);
}

static void large_cluster(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(broker_client_port_new(bench->loop, &agent_calls, bench, &bench->agent), 0);
	run(bench, large_body);
	assert_int_equal(bench->n_peers, HOST_ID_MAX - 1);
	assert_int_equal(bench->lost, 1);
	assert_int_equal(bench->lost_error, -EMSGSIZE);
	assert_int_equal(bench->connected, 2);
}

static void second_body(struct bench *bench)
{
	qb_ipcc_connection_t *second;
	struct request request = {.header = {.id = REQUEST_AGENT, .size = sizeof(request)},
				  .version = PROTOCOL_VERSION};
	struct reply answer;
	ssize_t n;

	wait_agent(bench);
	second = qb_ipcc_connect(getenv("OVIRT_HA_BROKER_SOCKET"), PROTOCOL_READER_MAX);
	assert_non_null(second);
	/* It hears of it where an agent listens, of another build too: else it took the broker for silent. */
	for (uint32_t more = 2; more-- > 0;) {
		request.version = PROTOCOL_VERSION + more;
		assert_int_equal(qb_ipcc_send(second, &request, sizeof(request)), sizeof(request));
		n = qb_ipcc_event_recv(second, &answer, sizeof(answer), WAIT_MS);
		assert_int_equal(n, sizeof(answer));
		assert_int_equal(answer.header.error, more ? -EPROTO : -EEXIST);
	}
	qb_ipcc_disconnect(second);
}

static void second_agent_is_refused(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(broker_client_port_new(bench->loop, &agent_calls, bench, &bench->agent), 0);
	run(bench, second_body);
	assert_int_equal(bench->connected, 1);
	assert_int_equal(bench->lost, 0);
}

static void restart_body(struct bench *bench)
{
	wait_agent(bench);
}

static void agent_connects_again(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(broker_client_port_new(bench->loop, &agent_calls, bench, &bench->agent), 0);
	run(bench, restart_body);
	assert_int_equal(bench->connected, 1);
	/* The server goes, and comes back. */
	ipc_server_free(bench->server);
	atomic_store(&bench->agent_up, false);
	assert_int_equal(ipc_server_new(bench->world->broker, &account, bench->loop, &bench->server), 0);
	assert_int_equal(read(bench->ended, &(uint64_t){0}, 8), 8);
	run(bench, restart_body);
	assert_int_equal(bench->lost, 1);
	assert_int_equal(bench->lost_error, -ENOTCONN);
	assert_int_equal(bench->connected, 2);
}

static void refused_body(struct bench *bench)
{
	for (int i = 0; i < 500 && atomic_load(&bench->lost_error) != -EEXIST; i++)
		poll(NULL, 0, 10);
	assert_int_equal(bench->lost_error, -EEXIST);
}

/* A broker that is back and refuses is news to who knows that it was away. */
static void agent_is_told_of_a_refusal(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(broker_client_port_new(bench->loop, &agent_calls, bench, &bench->agent), 0);
	run(bench, restart_body);
	ipc_server_free(bench->server);
	world_attach(bench->world);
	assert_int_equal(ipc_server_new(bench->world->broker, &account, bench->loop, &bench->server), 0);
	assert_int_equal(read(bench->ended, &(uint64_t){0}, 8), 8);
	run(bench, refused_body);
	assert_int_equal(bench->lost, 2);
}

static void no_broker_body(struct bench *bench)
{
	struct broker_client *client;

	assert_int_equal(broker_client_open(WAIT_MS, &client), -ENOTCONN);
}

static void broker_away(void **state)
{
	setenv("OVIRT_HA_BROKER_SOCKET", "ovirt-ha-nobody", 1);
	run(*state, no_broker_body);
}

/* A user whose process has the service's group among its supplementary ones may read, and no more. */
static void group_member_body(struct bench *bench)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct status_reply reply;
		struct broker_client *client;
		char text[TEXT_MAX];

		if (setgroups(1, &account.gid) < 0 || setgid(STRANGER) < 0 || setuid(STRANGER) < 0)
			_exit(1);
		if (broker_client_open(WAIT_MS, &client) < 0)
			_exit(2);
		if (broker_client_status(client, WAIT_MS, &reply) < 0)
			_exit(3);
		_exit(broker_client_global(client, true, WAIT_MS, text) == -EACCES ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void group_member_reads(void **state)
{
	run(*state, group_member_body);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(status_and_blocks),
		ROW(global_and_no_agent),
		ROW(client_leaves_while_it_waits),
		ROW(malformed),
		ROW(silent_clients_delay_nobody),
		ROW(greedy_client_is_dropped),
		ROW(agent_port),
		ROW(merged_publishes_leave_the_window),
		cmocka_unit_test_setup_teardown(large_cluster, setup_large, teardown),
		ROW(second_agent_is_refused),
		ROW(agent_connects_again),
		ROW(agent_is_told_of_a_refusal),
		ROW(broker_away),
		ROW(group_member_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
