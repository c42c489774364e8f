/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lease port against a real sanlock daemon: every word it has for joined, held, owned, and for a daemon
 * that is away, hangs or was given the wrong names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lockspace/lease_port.h"
#include "tests/unit/sanlock_domain.h"
#include "util/clock.h"
#include "util/loop.h"

struct bench {
	struct sanlock_domain domain;
	struct loop *loop;
	struct lease_port *port;
	bool answered;
	struct lease_look look;
	struct lease_host host; /* the first of the look */
	struct lease_owner owner;
	int error;
	enum watchdog watchdog;
};

static struct bench bench;

static struct lease_config config_of(const struct bench *b)
{
	struct lease_config config = {
		.lockspace = "LS",
		.engine = "engine",
		.engine_place.offset = DOMAIN_ENGINE_OFFSET,
		.host_id = 1,
		.io_timeout_s = 1,
	};

	strcpy(config.lockspace_place.path, b->domain.disk);
	strcpy(config.engine_place.path, b->domain.disk);
	return config;
}

static void looked(void *data, const struct lease_look *look)
{
	struct bench *b = data;

	b->look = *look;
	if (look->n_hosts)
		b->host = look->hosts[0];
	b->look.hosts = NULL; /* valid during the call only */
	b->answered = true;
	loop_stop(b->loop);
}

static void owner_read(void *data, const struct lease_owner *owner)
{
	struct bench *b = data;

	b->owner = *owner;
	b->answered = true;
	loop_stop(b->loop);
}

static void ended(void *data, int error)
{
	struct bench *b = data;

	b->error = error;
	b->answered = true;
	loop_stop(b->loop);
}

static void watchdog_known(void *data, enum watchdog watchdog)
{
	struct bench *b = data;

	b->watchdog = watchdog;
	b->answered = true;
	loop_stop(b->loop);
}

static void await(struct bench *b)
{
	b->answered = false;
	assert_int_equal(loop_run(b->loop), 0);
	assert_true(b->answered);
}

static void look(struct bench *b, pid_t pid, int ms)
{
	assert_int_equal(b->port->look(b->port, pid, clock_mono() + ms, looked, b), 0);
	await(b);
	assert_int_equal(b->look.pid, pid);
}

static void read_owner(struct bench *b, int ms)
{
	assert_int_equal(b->port->read_owner(b->port, clock_mono() + ms, owner_read, b), 0);
	await(b);
}

static int join(struct bench *b)
{
	assert_int_equal(b->port->join(b->port, clock_mono() + 5000, ended, b), 0);
	await(b);
	return b->error;
}

static int leave(struct bench *b)
{
	assert_int_equal(b->port->leave(b->port, clock_mono() + 10000, ended, b), 0);
	await(b);
	return b->error;
}

/* With another host id, or other names, than the bench's. */
static void port_swap(struct bench *b, const struct lease_config *config)
{
	b->port->close(b->port);
	assert_int_equal(lease_sanlock_new(config, b->loop, &b->port), 0);
}

static int setup(void **state)
{
	struct lease_config config;

	memset(&bench, 0, sizeof(bench));
	domain_open(&bench.domain);
	config = config_of(&bench);
	assert_int_equal(loop_new(&bench.loop), 0);
	assert_int_equal(lease_sanlock_new(&config, bench.loop, &bench.port), 0);
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	b->port->close(b->port);
	loop_free(b->loop);
	domain_close(&b->domain);
	return 0;
}

static bool held_yes(void *data)
{
	struct bench *b = data;

	look(b, b->look.pid, 2000);
	return b->look.held == HELD_YES;
}

static bool hosts_known(void *data)
{
	struct bench *b = data;

	look(b, 0, 2000);
	return b->look.hosts_known;
}

static bool left(void *data)
{
	return leave(data) == 0;
}

static bool joined(void *data)
{
	struct bench *b = data;

	look(b, 0, 2000);
	assert_int_not_equal(b->look.membership, MEMBERSHIP_NONE);
	return b->look.membership == MEMBERSHIP_JOINED;
}

/* Reads or writes bytes of the engine's lease on disk, behind sanlock's back. */
static void lease_bytes(struct bench *b, size_t offset, uint8_t *bytes, size_t size, bool write)
{
	off_t at = (off_t)(DOMAIN_ENGINE_OFFSET + offset);
	int fd = open(b->domain.disk, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write ? pwrite(fd, bytes, size, at) : pread(fd, bytes, size, at), size);
	assert_int_equal(fsync(fd), 0);
	close(fd);
}

/* One life: away, started, joining, joined, held, left. */
static void test_life(void **state)
{
	struct bench *b = *state;
	char place[256];
	const char *hold[] = {"sanlock", "client", "command", "-r", place, "-c", "/bin/sleep", "60", NULL};
	const size_t of_tenure[] = {16, 24, 40}; /* owner, generation and version in a host's block */
	uint8_t leader[512], released[512], byte;
	struct lease_config other;
	pid_t holder;

	/* never started: no socket */
	look(b, 1, 2000);
	assert_int_equal(b->look.error, -ECONNREFUSED);
	assert_int_equal(b->look.membership, MEMBERSHIP_UNKNOWN);
	assert_int_equal(b->look.held, HELD_UNKNOWN);
	read_owner(b, 2000);
	assert_int_not_equal(b->owner.error, 0);
	assert_int_equal(b->owner.kind, OWNER_UNREAD);

	domain_start(&b->domain);
	look(b, getpid(), 2000);
	assert_int_equal(b->look.error, 0);
	assert_int_equal(b->look.membership, MEMBERSHIP_NONE);
	assert_false(b->look.hosts_known);
	assert_int_equal(b->look.held, HELD_NO); /* not registered */
	read_owner(b, 2000);
	assert_int_equal(b->owner.error, 0);
	assert_int_equal(b->owner.kind, OWNER_NOBODY);
	assert_int_equal(b->port->watchdog(b->port, clock_mono() + 5000, watchdog_known, b), 0);
	await(b);
	assert_int_equal(b->watchdog, WATCHDOG_NONE);
	assert_int_equal(leave(b), 0); /* not joined: nothing to do */

	assert_int_equal(join(b), 0);
	look(b, 0, 2000);
	assert_int_equal(b->look.membership, MEMBERSHIP_JOINING);
	assert_true(domain_wait(joined, b, 10000));
	assert_false(b->look.hosts_known); /* no renewal seen yet */
	assert_int_equal(join(b), -EEXIST);
	assert_true(domain_wait(hosts_known, b, 10000));
	assert_int_equal(b->look.n_hosts, 1);
	assert_int_equal(b->host.id, 1);
	assert_int_equal(b->host.state, HOST_LIVE);
	assert_int_equal(b->host.io_timeout_s, 1);
	assert_int_equal(b->look.generation, 1);

	/* `sanlock client command` registers itself and becomes the command */
	snprintf(place, sizeof(place), "LS:engine:%s:%zu", b->domain.disk, DOMAIN_ENGINE_OFFSET);
	holder = domain_spawn(&b->domain, hold);
	b->look.pid = holder;
	assert_true(domain_wait(held_yes, b, 5000));
	read_owner(b, 2000);
	assert_int_equal(b->owner.error, 0);
	assert_int_equal(b->owner.kind, OWNER_HOST);
	assert_int_equal(b->owner.id, 1);
	assert_int_equal(b->owner.generation, 1);
	assert_int_equal(b->owner.version, 1);
	assert_int_equal(leave(b), -EBUSY); /* and the holder lives: rule 7 */
	look(b, holder, 2000);
	assert_int_equal(b->look.held, HELD_YES);

	/* registered, but not with our resource */
	other = config_of(b);
	strcpy(other.engine, "another");
	port_swap(b, &other);
	look(b, holder, 2000);
	assert_int_equal(b->look.held, HELD_NO);
	/* joined under another host id than the configured one */
	other = config_of(b);
	other.host_id = 2;
	port_swap(b, &other);
	look(b, 0, 2000);
	assert_int_equal(b->look.error, -EXDEV);
	/* or from another place */
	other = config_of(b);
	strcat(other.lockspace_place.path, "-other");
	port_swap(b, &other);
	look(b, 0, 2000);
	assert_int_equal(b->look.error, -EXDEV);
	other = config_of(b);
	other.lockspace_place.offset = 4 * DOMAIN_MIB;
	port_swap(b, &other);
	look(b, 0, 2000);
	assert_int_equal(b->look.error, -EXDEV);
	other = config_of(b);
	port_swap(b, &other);

	lease_bytes(b, 0, leader, sizeof(leader), false);
	kill(holder, SIGKILL);
	waitpid(holder, NULL, 0);
	look(b, holder, 2000);
	assert_int_not_equal(b->look.held, HELD_YES);
	assert_true(domain_wait(left, b, 5000)); /* -EBUSY until sanlock has released for the dead one */
	/* Where another host wrote the leader record, sanlock leaves it so and marks the owner's block alone.
	 */
	lease_bytes(b, 0, released, sizeof(released), false);
	lease_bytes(b, 0, leader, sizeof(leader), true);
	read_owner(b, 2000);
	assert_int_equal(b->owner.error, 0);
	assert_int_equal(b->owner.kind, OWNER_NOBODY);
	assert_int_equal(b->owner.version, 1);
	/* A mark of an earlier tenure says nothing of this one. */
	for (size_t i = 0; i < sizeof(of_tenure) / sizeof(of_tenure[0]); i++) {
		lease_bytes(b, 2 * 512 + of_tenure[i], &byte, 1, false);
		byte++;
		lease_bytes(b, 2 * 512 + of_tenure[i], &byte, 1, true);
		read_owner(b, 2000);
		assert_int_equal(b->owner.kind, OWNER_HOST);
		byte--;
		lease_bytes(b, 2 * 512 + of_tenure[i], &byte, 1, true);
	}
	lease_bytes(b, 0, released, sizeof(released), true);
	look(b, 0, 2000);
	assert_int_equal(b->look.membership, MEMBERSHIP_NONE);
	read_owner(b, 2000);
	assert_int_equal(b->owner.kind, OWNER_NOBODY);
	assert_int_equal(b->owner.version, 1);
}

static void test_other_names(void **state)
{
	struct bench *b = *state;
	struct lease_config other = config_of(b);

	domain_start(&b->domain);
	strcpy(other.engine, "another");
	port_swap(b, &other);
	read_owner(b, 2000);
	assert_int_equal(b->owner.error, -EXDEV);

	other = config_of(b);
	strcpy(other.lockspace, "XX");
	port_swap(b, &other);
	read_owner(b, 2000);
	assert_int_equal(b->owner.error, -EXDEV);
	assert_int_equal(join(b), -EXDEV);

	other = config_of(b);
	other.engine_place.offset = 4 * DOMAIN_MIB; /* nothing was initialised there */
	other.lockspace_place.offset = 4 * DOMAIN_MIB;
	port_swap(b, &other);
	read_owner(b, 2000);
	assert_true(b->owner.error < 0 && b->owner.error != -EXDEV);
	assert_true(join(b) < 0);

	other = config_of(b);
	strcat(other.engine_place.path, "-missing");
	port_swap(b, &other);
	read_owner(b, 2000);
	assert_int_equal(b->owner.error, -ENOENT);
}

/* sanlock has no thread left for storage that hangs, and says that the path is not there. The path from our
 * folder that means nothing in the daemon's stands for it. */
static void test_storage_that_is_there(void **state)
{
	struct bench *b = *state;
	struct lease_config other = config_of(b);
	char from[PATH_MAX];

	domain_start(&b->domain);
	assert_non_null(getcwd(from, sizeof(from)));
	assert_int_equal(chdir(b->domain.dir), 0);
	strcpy(other.engine_place.path, strrchr(b->domain.disk, '/') + 1);
	port_swap(b, &other);
	read_owner(b, 2000);
	assert_int_equal(b->owner.error, -ETIMEDOUT);
	strcat(other.engine_place.path, "-missing");
	port_swap(b, &other);
	read_owner(b, 2000);
	assert_int_equal(b->owner.error, -ENOENT);
	assert_int_equal(chdir(from), 0);
}

static int create(struct bench *b, const char *name, const struct lease_place *place)
{
	assert_int_equal(b->port->create(b->port, name, place, clock_mono() + 5000, ended, b), 0);
	await(b);
	return b->error;
}

static void test_create(void **state)
{
	struct bench *b = *state;
	struct lease_config config = config_of(b);
	const struct lease_place taken = config.engine_place;

	domain_start(&b->domain);
	config.engine_place.offset = 4 * DOMAIN_MIB;
	assert_int_equal(create(b, "fresh", &config.engine_place), 0);
	assert_int_equal(create(b, "fresh", &config.engine_place), -EEXIST);
	assert_int_equal(create(b, "fresh", &taken), -EEXIST); /* never over a lease of another name */
	assert_int_equal(b->port->create(b->port, "", &taken, clock_mono() + 5000, ended, b), -EINVAL);

	strcpy(config.engine, "fresh");
	port_swap(b, &config);
	read_owner(b, 2000);
	assert_int_equal(b->owner.error, 0);
	assert_int_equal(b->owner.kind, OWNER_NOBODY);

	config = config_of(b);
	config.lockspace_place.offset = 6 * DOMAIN_MIB; /* no lockspace there: no lease without one */
	port_swap(b, &config);
	config.engine_place.offset = 5 * DOMAIN_MIB;
	assert_true(create(b, "fresh", &config.engine_place) < 0);
}

static void test_daemon_stopped_and_killed(void **state)
{
	struct bench *b = *state;
	mono_t begun;

	domain_start(&b->domain);
	look(b, 0, 2000);
	assert_int_equal(b->look.error, 0);

	domain_signal(&b->domain, SIGSTOP);
	begun = clock_mono();
	look(b, 1, 300);
	assert_int_equal(b->look.error, -ETIMEDOUT);
	assert_int_equal(b->look.held, HELD_UNKNOWN);
	read_owner(b, 300);
	assert_int_equal(b->owner.error, -ETIMEDOUT);
	assert_int_equal(b->owner.kind, OWNER_UNREAD);
	assert_in_range(clock_mono() - begun, 600, 2000);
	/* the one that hangs does not hold back the next, up to the worker's limit */
	look(b, 1, 300);
	assert_int_equal(b->look.error, -ETIMEDOUT);
	assert_int_equal(b->port->look(b->port, 1, clock_mono() + 300, looked, b), 0);
	assert_int_equal(b->port->look(b->port, 1, clock_mono() + 300, looked, b), -EBUSY);
	await(b);
	assert_int_equal(b->port->watchdog(b->port, clock_mono() + 300, watchdog_known, b), 0);
	await(b);
	assert_int_equal(b->watchdog, WATCHDOG_UNKNOWN);

	domain_signal(&b->domain, SIGCONT);
	assert_int_equal(b->port->leave(b->port, clock_mono() + 5000, ended, b), 0);
	await(b);
	domain_kill(&b->domain);
	assert_int_equal(join(b), -ECONNREFUSED);
	read_owner(b, 2000);
	assert_int_equal(b->owner.error, -ECONNREFUSED);
	assert_int_equal(b->owner.kind, OWNER_UNREAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_life, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_storage_that_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_create, setup, teardown),
		cmocka_unit_test_setup_teardown(test_daemon_stopped_and_killed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
