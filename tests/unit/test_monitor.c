/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The monitors against real parts: ICMP on a loopback of the test's own network namespace, files like those
 * of /proc and /sys, and a small HTTP server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/monitor.h"
#include "util/clock.h"

struct seen {
	struct loop *loop;
	unsigned samples, wanted;
	bool known;
	int32_t value;
	struct timer limit;
	bool late;
	bool here;
	int32_t pid;
	char directory[64];
};

static void take(void *data, enum monitor monitor, bool known, int32_t value)
{
	struct seen *seen = data;

	seen->samples++;
	seen->known = known;
	seen->value = value;
	if (seen->samples >= seen->wanted)
		loop_stop(seen->loop);
}

static void limit_fired(struct timer *timer)
{
	struct seen *seen = (struct seen *)((char *)timer - offsetof(struct seen, limit));

	seen->late = true;
	loop_stop(seen->loop);
}

/* Runs until `n` more samples came, at most `ms`. */
static bool samples(struct seen *seen, unsigned n, int64_t ms)
{
	struct clock_port *clock = loop_clock(seen->loop);

	seen->wanted = seen->samples + n;
	seen->late = false;
	seen->limit.fire = limit_fired;
	clock->set(clock, &seen->limit, mono_add(clock->now(clock), ms));
	assert_int_equal(loop_run(seen->loop), 0);
	clock->cancel(clock, &seen->limit);
	return !seen->late;
}

static int setup(void **state)
{
	struct seen *seen = calloc(1, sizeof(*seen));

	assert_int_equal(loop_new(&seen->loop), 0);
	strcpy(seen->directory, "/tmp/test_monitor.XXXXXX");
	assert_non_null(mkdtemp(seen->directory));
	*state = seen;
	return 0;
}

static int teardown(void **state)
{
	struct seen *seen = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", seen->directory);
	assert_int_equal(system(command), 0);
	loop_free(seen->loop);
	free(seen);
	return 0;
}

static void put(struct seen *seen, const char *name, const char *text)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", seen->directory, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static struct sink sink_of(struct seen *seen)
{
	return (struct sink){take, seen};
}

/* A namespace of our own with its loopback up, so that no setting of the machine matters or is changed. */
static int own_network(void **state)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	static const char range[] = "0 2147483647";
	int fd;

	assert_int_equal(unshare(CLONE_NEWNET | CLONE_NEWNS), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(mount("sysfs", "/sys", "sysfs", 0, NULL), 0); /* it shows its mounter's interfaces */
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
	fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, range, strlen(range)), strlen(range));
	close(fd);
	return 0;
}

static void ping(void **state)
{
	static const struct {
		const char *name, *gateway;
		bool known;
		int32_t value;
	} rows[] = {
		{"loopback answers", "127.0.0.1", true, 0},
		{"loopback answers, version 6", "::1", true, 0},
		{"no route", "192.0.2.1", true, 1000},
		{"no probe", NULL, true, 0}, /* none */
	};
	struct seen *seen = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct network_target target = {.test = rows[i].gateway ? NETWORK_TEST_PING
									: NETWORK_TEST_NONE,
						.address = rows[i].gateway};
		struct monitor_network *monitor;

		print_message("# %s\n", rows[i].name);
		assert_int_equal(
			monitor_network_new(seen->loop, &target, 2, 300, 600, sink_of(seen), &monitor), 0);
		/* Two rounds: the second uses a socket and numbers of its own. */
		assert_true(samples(seen, 2, 5000));
		monitor_network_free(monitor);
		assert_int_equal(seen->known, rows[i].known);
		assert_int_equal(seen->value, rows[i].value);
	}
}

static void nothing(struct timer *timer)
{
}

/* Once something is known a probe waits for another timer, so that one wake-up is for both. */
static void ping_goes_with_others(void **state)
{
	static const struct network_target target = {.test = NETWORK_TEST_PING, .address = "127.0.0.1"};
	struct seen *seen = *state;
	struct clock_port *clock = loop_clock(seen->loop);
	struct timer other = {.fire = nothing};
	struct monitor_network *monitor;
	mono_t begun = clock->now(clock);

	assert_int_equal(monitor_network_new(seen->loop, &target, 1, 100, 1500, sink_of(seen), &monitor), 0);
	assert_true(samples(seen, 1, 5000));
	assert_true(clock->now(clock) < begun + 1000);
	clock->set(clock, &other, begun + 2000);
	assert_true(samples(seen, 1, 5000));
	assert_true(clock->now(clock) >= begun + 2000);
	assert_true(clock->now(clock) < begun + 2400);
	monitor_network_free(monitor);
}

static void ping_bad_address(void **state)
{
	static const struct network_target target = {.test = NETWORK_TEST_PING, .address = "gateway.example"};
	struct seen *seen = *state;
	struct monitor_network *monitor;

	assert_int_equal(monitor_network_new(seen->loop, &target, 2, 300, 600, sink_of(seen), &monitor),
			 -EINVAL);
}

static void ping_without_permission(void **state)
{
	static const struct network_target target = {.test = NETWORK_TEST_PING, .address = "127.0.0.1"};
	struct seen *seen = *state;
	struct monitor_network *monitor;
	int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);

	assert_int_equal(write(fd, "1 0", 3), 3);
	assert_int_equal(monitor_network_new(seen->loop, &target, 2, 300, 600, sink_of(seen), &monitor), 0);
	assert_true(samples(seen, 1, 5000));
	monitor_network_free(monitor);
	assert_false(seen->known);
	assert_int_equal(write(fd, "0 2147483647", 12), 12);
	close(fd);
}

enum answers { ANSWER_ALL, ANSWER_FIRST, ANSWER_NONE, REFUSE_ALL };

struct name_server {
	int fd;
	enum answers answers;
	unsigned asked;
};

/* Turns each question into an answer without records, by its header alone. */
static void *serve_names(void *data)
{
	struct name_server *server = data;
	uint8_t packet[512];
	struct sockaddr_in from;
	socklen_t size = sizeof(from);
	ssize_t n;

	/* An empty packet ends it. */
	while ((n = recvfrom(server->fd, packet, sizeof(packet), 0, (struct sockaddr *)&from, &size)) > 0) {
		server->asked++;
		if (server->answers == ANSWER_NONE || (server->answers == ANSWER_FIRST && server->asked > 1))
			continue;
		packet[2] |= 0x80;
		packet[3] = server->answers == REFUSE_ALL ? 5 : 0;
		sendto(server->fd, packet, (size_t)n, 0, (struct sockaddr *)&from, size);
	}
	return NULL;
}

static int bound_socket(int type, uint16_t *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

static void dns(void **state)
{
	static const struct {
		const char *name;
		enum answers answers;
		int32_t value;
	} rows[] = {
		{"answers", ANSWER_ALL, 0},
		{"refuses, which is an answer", REFUSE_ALL, 0},
		{"is silent", ANSWER_NONE, 1000},
		{"answers one of two", ANSWER_FIRST, 500},
	};
	struct seen *seen = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct name_server server = {.answers = rows[i].answers};
		struct network_target target = {.test = NETWORK_TEST_DNS};
		struct sockaddr_in address;
		socklen_t size = sizeof(address);
		struct monitor_network *monitor;
		char servers[32];
		pthread_t thread;
		uint16_t port;

		print_message("# %s\n", rows[i].name);
		server.fd = bound_socket(SOCK_DGRAM, &port);
		snprintf(servers, sizeof(servers), "127.0.0.1:%u", port);
		target.servers = servers;
		assert_int_equal(pthread_create(&thread, NULL, serve_names, &server), 0);
		assert_int_equal(
			monitor_network_new(seen->loop, &target, 2, 600, 60000, sink_of(seen), &monitor), 0);
		assert_true(samples(seen, 1, 5000));
		monitor_network_free(monitor);
		assert_true(seen->known);
		assert_int_equal(seen->value, rows[i].value);
		assert_true(server.asked >= 2);
		assert_int_equal(getsockname(server.fd, (struct sockaddr *)&address, &size), 0);
		assert_int_equal(sendto(server.fd, "", 0, 0, (struct sockaddr *)&address, size), 0);
		pthread_join(thread, NULL);
		close(server.fd);
	}
}

/* A first server that is dead leaves time for the second. */
static void dns_second_server(void **state)
{
	struct name_server server = {.answers = ANSWER_ALL};
	struct network_target target = {.test = NETWORK_TEST_DNS};
	struct seen *seen = *state;
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	struct monitor_network *monitor;
	uint16_t port, dead;
	char servers[64];
	pthread_t thread;
	int silent = bound_socket(SOCK_DGRAM, &dead);

	server.fd = bound_socket(SOCK_DGRAM, &port);
	snprintf(servers, sizeof(servers), "127.0.0.1:%u,127.0.0.1:%u", dead, port);
	target.servers = servers;
	assert_int_equal(pthread_create(&thread, NULL, serve_names, &server), 0);
	/* Ends within a round: a second monitor is ended amid its own. */
	assert_int_equal(monitor_network_new(seen->loop, &target, 2, 1500, 60000, sink_of(seen), &monitor),
			 0);
	assert_true(samples(seen, 1, 5000));
	monitor_network_free(monitor);
	assert_int_equal(seen->value, 0);
	assert_int_equal(monitor_network_new(seen->loop, &target, 2, 1500, 60000, sink_of(seen), &monitor),
			 0);
	assert_false(samples(seen, 1, 100));
	monitor_network_free(monitor);
	assert_int_equal(getsockname(server.fd, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(sendto(server.fd, "", 0, 0, (struct sockaddr *)&address, size), 0);
	pthread_join(thread, NULL);
	close(server.fd);
	close(silent);
}

static void tcp(void **state)
{
	static const struct {
		const char *name, *address;
		bool listens;
		int32_t value;
	} rows[] = {
		{"connects", "127.0.0.1", true, 0},
		{"connects by a name of /etc/hosts", "localhost", true, 0},
		{"is refused", "127.0.0.1", false, 1000},
		{"no route", "192.0.2.1", false, 1000},
		{"no such name", "no-such-host.invalid", true, 1000},
	};
	struct seen *seen = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct network_target target = {.test = NETWORK_TEST_TCP, .address = rows[i].address};
		struct monitor_network *monitor;
		int fd = bound_socket(SOCK_STREAM, &target.port);

		print_message("# %s\n", rows[i].name);
		if (rows[i].listens)
			assert_int_equal(listen(fd, 8), 0);
		assert_int_equal(
			monitor_network_new(seen->loop, &target, 2, 300, 600, sink_of(seen), &monitor), 0);
		assert_true(samples(seen, 2, 5000));
		monitor_network_free(monitor);
		assert_true(seen->known);
		assert_int_equal(seen->value, rows[i].value);
		close(fd);
	}
}

static void bridge(void **state)
{
	static const struct {
		const char *name, *command;
		int32_t value;
	} rows[] = {
		{"there is none", "true", 0},
		{"with a port that is up",
		 "ip link add br0 type bridge && ip link set br0 up && ip link add v0 type veth peer name v1 "
		 "&& ip link set v0 master br0 && ip link set v0 up && "
		 "ip link set v1 up",
		 1},
		{"the port's other end is down", "ip link set v1 down", 0},
		{"it is up again", "ip link set v1 up", 1},
		{"set down", "ip link set br0 down", 0},
	};
	struct seen *seen = *state;
	struct clock_port *clock = loop_clock(seen->loop);
	struct monitor_bridge *monitor;
	struct rlimit limit, none;

	assert_int_equal(monitor_bridge_new(clock, "br0", 20, sink_of(seen), &monitor), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("# %s\n", rows[i].name);
		assert_int_equal(system(rows[i].command), 0);
		/* A link's state follows its ports a moment later. */
		for (int tries = 0; tries == 0 || (seen->value != rows[i].value && tries < 100); tries++)
			assert_true(samples(seen, 1, 2000));
		assert_true(seen->known);
		assert_int_equal(seen->value, rows[i].value);
	}
	/* No descriptor is to be had. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_true(samples(seen, 1, 2000));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_false(seen->known);
	monitor_bridge_free(monitor);

	/* A driver that does not say. */
	assert_int_equal(monitor_bridge_new(clock, "lo", 20, sink_of(seen), &monitor), 0);
	assert_true(samples(seen, 1, 2000));
	assert_true(seen->known);
	assert_int_equal(seen->value, 1);
	assert_int_equal(system("ip link set lo down"), 0);
	assert_true(samples(seen, 2, 2000));
	assert_int_equal(seen->value, 0);
	assert_int_equal(system("ip link set lo up"), 0);
	monitor_bridge_free(monitor);
	assert_int_equal(monitor_bridge_new(clock, "a-name-too-long-", 20, sink_of(seen), &monitor), -EINVAL);
}

static void memory(void **state)
{
	struct seen *seen = *state;
	struct monitor_memory *monitor;
	char path[128];

	snprintf(path, sizeof(path), "%s/meminfo", seen->directory);
	put(seen, "meminfo",
	    "MemTotal:       16000000 kB\nMemFree:         1000 kB\nMemAvailable:    2048000 kB\n");
	assert_int_equal(monitor_memory_new(loop_clock(seen->loop), path, 50, sink_of(seen), &monitor), 0);
	assert_true(samples(seen, 1, 2000));
	assert_true(seen->known);
	assert_int_equal(seen->value, 2000);
	put(seen, "meminfo", "noise\n");
	assert_true(samples(seen, 2, 2000));
	assert_false(seen->known);
	monitor_memory_free(monitor);
}

static int32_t pid_of(void *data)
{
	return ((struct seen *)data)->pid;
}

static void cpu(void **state)
{
	struct seen *seen = *state;
	struct monitor_cpu *monitor;
	char path[128];

	snprintf(path, sizeof(path), "%s/77", seen->directory);
	assert_int_equal(mkdir(path, 0700), 0);
	put(seen, "stat", "cpu  1000 0 0 1000 0 0 0 0 0 0\ncpu0 1 1 1 1\n");
	put(seen, "77/stat", "77 (qemu) x) S 1 77 77 0 -1 4194560 100 0 0 0 100 100 0 0 20 0 3 0 1 1 1\n");
	seen->pid = 77;
	assert_int_equal(monitor_cpu_new(loop_clock(seen->loop), seen->directory, 5000, 100, pid_of,
					 sink_of(seen), &monitor),
			 0);
	assert_true(samples(seen, 1, 2000));
	assert_false(seen->known); /* one reading is no share */
	/* 1000 ticks passed: 600 busy, 200 of them QEMU's, 300 idle, 100 waiting. */
	put(seen, "77/stat", "77 (qemu) x) S 1 77 77 0 -1 4194560 100 0 0 0 200 200 0 0 20 0 3 0 1 1 1\n");
	put(seen, "stat", "cpu  1600 0 0 1300 100 0 0 0 0 0\ncpu0 1 1 1 1\n");
	assert_true(samples(seen, 2, 2000));
	assert_true(seen->known);
	assert_int_equal(seen->value, 400);
	/* Another 1000, all busy, none of it QEMU's: the average of both. */
	put(seen, "stat", "cpu  2600 0 0 1300 100 0 0 0 0 0\n");
	assert_true(samples(seen, 2, 2000));
	assert_int_equal(seen->value, 700);
	put(seen, "stat", "noise\n");
	assert_true(samples(seen, 2, 2000));
	assert_false(seen->known);
	monitor_cpu_free(monitor);
}

/* Serves one answer for each connection, until its socket is shut down. */
struct server {
	int fd;
	const char *answer; /* NULL: it takes the question and says nothing */
	unsigned served;
};

static void *serve(void *data)
{
	struct server *server = data;
	char question[1024];

	for (;;) {
		int fd = accept(server->fd, NULL, NULL);

		if (fd < 0)
			return NULL;
		if (server->answer && read(fd, question, sizeof(question)) > 0)
			(void)!write(fd, server->answer, strlen(server->answer));
		if (server->answer)
			close(fd);
		server->served++;
	}
}

static bool here(void *data)
{
	return ((struct seen *)data)->here;
}

static void health(void **state)
{
	/* What counts stands in the first 4096 bytes, however many there are. */
	static char long_page[9000], late_page[9000];
	static const struct {
		const char *name, *answer;
		int32_t value;
	} rows[] = {
		{"good", "HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\nDB Up!Welcome to Health Status!\r\n",
		 HEALTH_GOOD},
		{"long", long_page, HEALTH_GOOD},
		{"too late", late_page, HEALTH_BAD},
		{"other body", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nDB Down", HEALTH_BAD},
		{"error", "HTTP/1.1 500 no\r\nContent-Length: 6\r\n\r\nDB Up!", HEALTH_BAD},
		{"redirect",
		 "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 6\r\n\r\nDB Up!",
		 HEALTH_BAD},
		{"noise", "\x01\x02\x03", HEALTH_BAD},
		{"silence", NULL, HEALTH_BAD},
	};
	struct seen *seen = *state;

	snprintf(long_page, sizeof(long_page), "HTTP/1.1 200 OK\r\n\r\nDB Up%8000s", "");
	snprintf(late_page, sizeof(late_page), "HTTP/1.1 200 OK\r\n\r\n%4092sDB Up", "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sockaddr_in address = {.sin_family = AF_INET,
					      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		socklen_t size = sizeof(address);
		struct server server = {.answer = rows[i].answer};
		struct monitor_engine *monitor;
		pthread_t thread;
		char url[64];

		print_message("# %s\n", rows[i].name);
		server.fd = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(bind(server.fd, (struct sockaddr *)&address, size), 0);
		assert_int_equal(listen(server.fd, 5), 0);
		assert_int_equal(getsockname(server.fd, (struct sockaddr *)&address, &size), 0);
		snprintf(url, sizeof(url), "http://127.0.0.1:%u/ovirt-engine/services/health",
			 ntohs(address.sin_port));
		assert_int_equal(pthread_create(&thread, NULL, serve, &server), 0);
		seen->here = true;
		assert_int_equal(
			monitor_engine_new(seen->loop, url, NULL, 500, 200, here, sink_of(seen), &monitor),
			0);
		assert_true(samples(seen, 2, 5000));
		assert_true(seen->known);
		assert_int_equal(seen->value, rows[i].value);
		/* The VM is gone: what was known is no longer. */
		seen->here = false;
		assert_true(samples(seen, 1, 5000));
		assert_false(seen->known);
		assert_int_equal(seen->value, HEALTH_UNKNOWN);
		monitor_engine_free(monitor);
		shutdown(server.fd, SHUT_RDWR);
		close(server.fd);
		pthread_join(thread, NULL);
	}
}

static void health_nobody_listens(void **state)
{
	struct seen *seen = *state;
	struct monitor_engine *monitor;

	seen->here = true;
	assert_int_equal(monitor_engine_new(seen->loop, "http://127.0.0.1:1/", NULL, 500, 200, here,
					    sink_of(seen), &monitor),
			 0);
	assert_true(samples(seen, 1, 3000));
	monitor_engine_free(monitor);
	assert_true(seen->known);
	assert_int_equal(seen->value, HEALTH_BAD);
}

/* Certificates of two authorities, of which the second has signed nothing, and a real server with the
 * first's. */
static pid_t serve_tls(struct seen *seen, uint16_t port)
{
	char command[1024], number[16];
	pid_t pid;

	snprintf(command, sizeof(command),
		 "cd %s && for ca in ca other; do openssl req -x509 -newkey ec -pkeyopt "
		 "ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=engine -addext "
		 "subjectAltName=IP:127.0.0.1 -keyout $ca.key -out $ca 2>/dev/null || exit 1; done && "
		 "printf 'HTTP/1.0 200 OK\\r\\n\\r\\nDB Up!\\n' >health",
		 seen->directory);
	assert_int_equal(system(command), 0);
	snprintf(number, sizeof(number), "%u", port);
	pid = fork();
	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (chdir(seen->directory) == 0)
		execlp("openssl", "openssl", "s_server", "-accept", number, "-cert", "ca", "-key", "ca.key",
		       "-HTTP", "-quiet", (char *)NULL);
	_exit(1);
}

static void health_over_tls(void **state)
{
	static const struct {
		const char *name, *ca;
		enum health health;
	} rows[] = {
		{"trusted", "ca", HEALTH_GOOD},
		{"of another authority", "other", HEALTH_BAD},
		{"the system's authorities", NULL, HEALTH_BAD},
		{"no such file", "nowhere", HEALTH_BAD},
	};
	struct seen *seen = *state;
	char url[64], ca[160];
	uint16_t port;
	pid_t pid;
	int fd = bound_socket(SOCK_STREAM, &port);

	close(fd);
	pid = serve_tls(seen, port);
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/health", port);
	seen->here = true;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct monitor_engine *monitor;
		unsigned tries = 0;

		print_message("# %s\n", rows[i].name);
		snprintf(ca, sizeof(ca), "%s/%s", seen->directory, rows[i].ca ? rows[i].ca : "");
		assert_int_equal(monitor_engine_new(seen->loop, url, rows[i].ca ? ca : NULL, 2000, 100, here,
						    sink_of(seen), &monitor),
				 0);
		/* The first may be asked before the server listens. */
		do
			assert_true(samples(seen, 1, 5000));
		while (i == 0 && seen->value != (int32_t)rows[i].health && ++tries < 50);
		monitor_engine_free(monitor);
		assert_true(seen->known);
		assert_int_equal(seen->value, rows[i].health);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void health_not_asked_when_not_here(void **state)
{
	struct seen *seen = *state;
	struct monitor_engine *monitor;

	assert_int_equal(monitor_engine_new(seen->loop, "http://127.0.0.1:1/", NULL, 500, 100, here,
					    sink_of(seen), &monitor),
			 0);
	assert_false(samples(seen, 1, 500));
	monitor_engine_free(monitor);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(ping),
		ROW(ping_goes_with_others),
		ROW(ping_bad_address),
		ROW(ping_without_permission),
		ROW(dns),
		ROW(dns_second_server),
		ROW(tcp),
		ROW(bridge),
		ROW(memory),
		ROW(cpu),
		ROW(health),
		ROW(health_nobody_listens),
		ROW(health_over_tls),
		ROW(health_not_asked_when_not_here),
	};

	return cmocka_run_group_tests(tests, own_network, NULL);
}
