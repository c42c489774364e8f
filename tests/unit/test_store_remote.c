/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections, addresses and deadlines of a store over a network, with a library that does as it is told:
 * each thing it is asked ends with the next of `answers`, in the loop or within the call, or never. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "metadata/identity.h"
#include "metadata/image.h"
#include "metadata/store_remote.h"
#include "util/loop.h"

#define LIMIT_MS 20000
#define LONG_MS (10 * LIMIT_MS) /* nothing waits for it */
#define NEVER 1			/* an answer; below -1000: an error that the call itself returns */

struct link {
	struct remote_queue *queue;
	int fd, peer;
	int error;
};

struct call {
	struct store_op op; /* first */
	int error;
	unsigned ended;
};

static struct {
	struct loop *loop;
	struct clock_port *clock;
	struct store *store;
	struct timer limit;
	const int *answers; /* ended by none: good from then on */
	size_t n_answers;
	char asked[256];  /* C and the address, I for the identity, R, W, D for a link that was destroyed */
	uint8_t identity; /* of each byte of its block */
	struct link *last;
	unsigned links;
	bool close_in_done;
	uint8_t data[2 * BLOCK_SIZE];
} f;

static void note(const char *text)
{
	strncat(f.asked, text, sizeof(f.asked) - strlen(f.asked) - 1);
}

static int answer(struct link *link)
{
	int error = f.n_answers ? *f.answers : 0;

	if (f.n_answers) {
		f.answers++;
		f.n_answers--;
	}
	if (error < -1000)
		return error + 1000;
	link->error = error;
	if (error != NEVER)
		assert_int_equal(write(link->peer, "e", 1), 1);
	return 0;
}

/* Safety rule 13: the connection is over for everybody who has its descriptor, as a child of ours may. */
static void fake_destroy(void *base)
{
	struct link *link = base;
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	if (link == f.last)
		assert_int_equal(getpeername(link->fd, (struct sockaddr *)&address, &size), -1);
	note("D");
	f.links--;
	remote_ended(link->queue, -EPIPE); /* libraries end what they had, and nobody may listen */
	close(link->fd);
	close(link->peer);
	free(link);
}

/* Two ends of a TCP connection. */
static void connection(int ends[2])
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(ends[0], (struct sockaddr *)&address, size), 0);
	ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(ends[1] >= 0);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	close(listener);
}

static int fake_connect(void *config, const struct remote_address *address, struct remote_queue *queue,
			void **ret_link)
{
	struct link *link = calloc(1, sizeof(*link));
	int ends[2], r;

	assert_non_null(link);
	connection(ends);
	*link = (struct link){.queue = queue, .fd = ends[0], .peer = ends[1]};
	note("C");
	note(address->text + strlen(address->text) - 1);
	f.links++;
	r = answer(link);
	if (r < 0) {
		fake_destroy(link);
		return r;
	}
	f.last = link;
	*ret_link = link;
	return 0;
}

static int fake_read(void *link, uint64_t at, uint8_t *buffer, size_t size, mono_t now)
{
	note(at == IDENTITY_BLOCK * BLOCK_SIZE ? "I" : "R");
	memset(buffer, at == IDENTITY_BLOCK * BLOCK_SIZE ? f.identity : (int)(at / BLOCK_SIZE), size);
	return answer(link);
}

static int fake_write(void *link, uint64_t at, const uint8_t *data, size_t size, mono_t now)
{
	note("W");
	assert_int_equal(data[0], 0x77);
	return answer(link);
}

static int fake_fd(void *link)
{
	return ((struct link *)link)->fd;
}

static int fake_events(void *link)
{
	return POLLIN;
}

static int fake_service(void *base, int revents)
{
	struct link *link = base;
	char byte;

	if (read(link->fd, &byte, 1) != 1)
		return 0;
	if (byte != 'e')
		return -ECONNRESET;
	remote_ended(link->queue, link->error);
	return 0;
}

static void fake_free(void *config)
{
	*(bool *)config = true;
}

static const struct remote_library fake = {
	fake_connect, fake_read, fake_write, fake_fd, fake_events, fake_service, fake_destroy, fake_free,
};

static void too_late(struct timer *timer)
{
	fprintf(stderr, "an operation did not end\n");
	abort();
}

static void ended(struct store_op *op, int error)
{
	struct call *call = (struct call *)op;

	call->error = error;
	call->ended++;
	if (f.close_in_done)
		f.store->close(f.store);
	loop_stop(f.loop);
}

static bool freed;

static void begin(const char *const *hosts, size_t n)
{
	struct store_place places[STORE_PLACES_MAX] = {0};

	for (size_t i = 0; i < n; i++)
		strcpy(places[i].host, hosts[i]);
	freed = false;
	assert_int_equal(loop_new(&f.loop), 0);
	f.clock = loop_clock(f.loop);
	f.limit.fire = too_late;
	f.clock->set(f.clock, &f.limit, f.clock->now(f.clock) + LIMIT_MS);
	assert_int_equal(store_remote_new(places, n, 0, &fake, &freed, f.loop, &f.store), 0);
}

static void finish(void)
{
	if (!f.close_in_done)
		f.store->close(f.store);
	f.clock->cancel(f.clock, &f.limit);
	loop_free(f.loop);
	assert_true(freed);
	assert_int_equal(f.links, 0);
	memset(&f, 0, sizeof(f));
}

static int run(bool write, int64_t ms)
{
	struct call call = {.op = {.done = ended, .deadline = f.clock->now(f.clock) + ms}, .error = -ENOSYS};

	memset(f.data, 0x77, sizeof(f.data));
	f.asked[0] = '\0';
	if (write)
		assert_int_equal(f.store->write(f.store, STORE_QUEUE_OWN, 1, f.data, &call.op), 0);
	else
		assert_int_equal(f.store->read(f.store, STORE_QUEUE_OWN, 3, 2, f.data, &call.op), 0);
	assert_int_equal(call.ended, 0);
	while (call.ended == 0)
		assert_int_equal(loop_run(f.loop), 0);
	assert_int_equal(call.ended, 1);
	return call.error;
}

/* Answers to what is asked in turn, first to a connection. */
static const struct row {
	const char *name;
	int answers[8];
	size_t n;
	int64_t ms; /* 0: long */
	int error;
	const char *asked;
} rows[] = {
	{"all is well", {0}, 0, 0, 0, "C1IW"},
	{"the first address refuses", {-ECONNREFUSED}, 1, 0, 0, "C1DC2IW"},
	{"the first address refuses at once", {-1000 - ECONNREFUSED}, 1, 0, 0, "C1DC2IW"},
	{"all refuse", {-EACCES, -1000 - ENETUNREACH, -ECONNREFUSED}, 3, 0, -ECONNREFUSED, "C1DC2DC3D"},
	{"the first is silent", {NEVER}, 1, 300, 0, "C1DC2IW"},
	{"all are silent", {NEVER, NEVER, NEVER}, 3, 300, -ETIMEDOUT, "C1DC2DC3D"},
	{"a new connection that fails is not tried again", {0, 0, -EIO}, 3, 0, -EIO, "C1IWD"},
	{"nor one that fails at once", {0, 0, -1000 - EIO}, 3, 0, -EIO, "C1IWD"},
	{"the server takes no end", {0, 0, NEVER}, 3, 200, -ETIMEDOUT, "C1IWD"},
	{"the identity can't be read", {0, -EIO}, 2, 0, -EIO, "C1ID"},
	{"nor asked for", {0, -1000 - EIO}, 2, 0, -EIO, "C1ID"},
	{"the identity does not come", {0, NEVER}, 2, 200, -ETIMEDOUT, "C1ID"},
};

static void test_first_operation(void **state)
{
	static const char *const hosts[] = {"192.0.2.1", "192.0.2.2", "2001:db8::3"};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct store_health health;
		int error;

		begin(hosts, 3);
		f.answers = row->answers;
		f.n_answers = row->n;
		error = run(true, row->ms ? row->ms : LONG_MS);
		if (error != row->error || strcmp(f.asked, row->asked) != 0)
			fail_msg("%s: error %d asked %s", row->name, error, f.asked);
		f.store->health(f.store, &health);
		assert_int_equal(health.stuck_since != MONO_UNSET, error == -ETIMEDOUT);
		assert_int_equal(health.last_write != MONO_UNSET, error == 0);
		assert_int_equal(health.stuck, 0);
		finish();
	}
}

static void test_later_operations(void **state)
{
	static const char *const hosts[] = {"192.0.2.1", "192.0.2.2"};
	static const int fails[] = {-ESTALE}, fails_twice[] = {-ESTALE, 0, 0, -EROFS}, silent[] = {NEVER},
			 moves[] = {-ECONNREFUSED};
	struct store_health health;

	begin(hosts, 2);
	assert_int_equal(run(true, LONG_MS), 0);
	assert_int_equal(run(false, LONG_MS), 0);
	assert_string_equal(f.asked, "R");
	assert_int_equal(f.data[0], 3);
	f.answers = fails;
	f.n_answers = 1;
	assert_int_equal(run(true, LONG_MS), 0);
	assert_string_equal(f.asked, "WDC1IW");
	f.answers = fails_twice;
	f.n_answers = 4;
	assert_int_equal(run(true, LONG_MS), -EROFS);
	assert_string_equal(f.asked, "WDC1IWD");
	f.answers = moves;
	f.n_answers = 1;
	assert_int_equal(run(true, LONG_MS), 0);
	assert_string_equal(f.asked, "C1DC2IW");
	/* What is late is not tried again, and its connection is gone; the address that worked comes first.
	 */
	f.answers = silent;
	f.n_answers = 1;
	assert_int_equal(run(true, 100), -ETIMEDOUT);
	assert_string_equal(f.asked, "WD");
	f.store->health(f.store, &health);
	assert_true(health.stuck_since != MONO_UNSET);
	assert_int_equal(run(true, LONG_MS), 0);
	assert_string_equal(f.asked, "C2IW");
	f.store->health(f.store, &health);
	assert_true(health.stuck_since == MONO_UNSET);
	finish();
}

/* Safety rule 8: behind a new connection is what the caller read last, or nothing is written. */
static void test_other_storage(void **state)
{
	static const char *const hosts[] = {"192.0.2.1"};
	static const int dropped[] = {-ECONNRESET};
	struct call call = {.op = {.done = ended}};

	begin(hosts, 1);
	f.identity = 0x11;
	assert_int_equal(run(true, LONG_MS), 0);
	assert_int_equal(run(true, LONG_MS), 0);
	assert_string_equal(f.asked, "W");
	f.identity = 0x22;
	for (int i = 0; i < 3; i++) {
		f.answers = dropped;
		f.n_answers = i == 0;
		assert_int_equal(run(true, LONG_MS), -EXDEV);
		assert_string_equal(f.asked, i == 0 ? "WDC1ID" : "C1ID");
	}
	/* Reading is free, and whoever reads the identity knows it. */
	assert_int_equal(run(false, LONG_MS), 0);
	assert_int_equal(run(true, LONG_MS), -EXDEV);
	assert_string_equal(f.asked, "IDC1ID");
	call.op.deadline = f.clock->now(f.clock) + LONG_MS;
	assert_int_equal(f.store->read(f.store, STORE_QUEUE_SCAN, IDENTITY_BLOCK, 1, f.data, &call.op), 0);
	while (call.ended == 0)
		assert_int_equal(loop_run(f.loop), 0);
	assert_int_equal(run(true, LONG_MS), 0);
	assert_string_equal(f.asked, "C1IW");
	/* What a link was confirmed by counts no longer once another identity is read. */
	f.identity = 0x33;
	call.ended = 0;
	assert_int_equal(f.store->read(f.store, STORE_QUEUE_SCAN, IDENTITY_BLOCK, 1, f.data, &call.op), 0);
	while (call.ended == 0)
		assert_int_equal(loop_run(f.loop), 0);
	f.identity = 0x22;
	assert_int_equal(run(true, LONG_MS), -EXDEV);
	assert_string_equal(f.asked, "IDC1ID");
	finish();
}

static void expire(struct timer *timer)
{
	loop_stop(f.loop);
}

/* The name server: `names` says how it answers, and a name is 192.0.2.7. */
enum { NAMES_GOOD, NAMES_FAIL, NAMES_HANG };
static atomic_int names = NAMES_GOOD;
static sem_t name_server;

int __real_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		       struct addrinfo **ret);
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		       struct addrinfo **ret);

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		       struct addrinfo **ret)
{
	if (hints->ai_flags & AI_NUMERICHOST)
		return __real_getaddrinfo(node, service, hints, ret);
	if (names == NAMES_HANG)
		sem_wait(&name_server);
	return names == NAMES_FAIL ? EAI_AGAIN : __real_getaddrinfo("192.0.2.7", service, hints, ret);
}

static unsigned threads_that_hang(void)
{
	struct store_health health;

	f.store->health(f.store, &health);
	return health.stuck;
}

static void test_names(void **state)
{
	static const char *const hosts[] = {"server.example"};
	static const int fails[] = {-EIO, -EIO, -EIO};
	struct timer until = {.fire = expire};

	assert_int_equal(sem_init(&name_server, 0, 0), 0);
	names = NAMES_FAIL;
	begin(hosts, 1);
	assert_int_equal(run(true, LONG_MS), -EAGAIN);
	assert_string_equal(f.asked, "");
	names = NAMES_HANG;
	assert_int_equal(run(true, 100), -ETIMEDOUT);
	assert_int_equal(threads_that_hang(), 1);
	names = NAMES_GOOD;
	assert_int_equal(run(true, LONG_MS), 0);
	assert_string_equal(f.asked, "C7IW");
	/* Known addresses do without name servers, whether those fail or hang. */
	for (int i = 0; i < 2; i++) {
		f.answers = fails;
		f.n_answers = 1;
		names = i == 0 ? NAMES_FAIL : NAMES_HANG;
		assert_int_equal(run(true, i == 0 ? LONG_MS : 400), 0);
		assert_string_equal(f.asked, "WDC7IW");
	}
	assert_int_equal(threads_that_hang(), 2);
	assert_int_equal(sem_post(&name_server) + sem_post(&name_server), 0);
	while (threads_that_hang() > 0) {
		f.clock->set(f.clock, &until, f.clock->now(f.clock) + 10);
		assert_int_equal(loop_run(f.loop), 0);
	}
	finish();
}

static void test_scan(void **state)
{
	static const char *const hosts[] = {"192.0.2.1"};
	static const int fails[] = {0, -EIO};
	struct image *images[2] = {NULL, NULL};

	begin(hosts, 1);
	f.answers = fails;
	f.n_answers = 2;
	for (int i = 0; i < 3; i++) {
		struct call call = {.op = {.done = ended, .deadline = f.clock->now(f.clock) + LONG_MS}};

		/* Fails, then a block of host 3, then the one that begins with NUL. */
		assert_int_equal(
			f.store->scan(f.store, STORE_QUEUE_SCAN, i == 2 ? 0 : 3, 2, images, &call.op), 0);
		while (call.ended == 0)
			assert_int_equal(loop_run(f.loop), 0);
		assert_int_equal(call.error, i == 0 ? -EIO : 0);
		assert_int_equal(images[1] != NULL, i == 1);
		if (i == 1)
			assert_int_equal(images[1]->bytes[BLOCK_SIZE - 1], 3);
		image_drop(images[0]);
		image_drop(images[1]);
		images[0] = images[1] = NULL;
	}
	finish();
}

/* Between two operations the server closes the connection. */
static void test_closed_while_idle(void **state)
{
	static const char *const hosts[] = {"192.0.2.1"};
	struct timer until = {.fire = expire};

	begin(hosts, 1);
	assert_int_equal(run(true, LONG_MS), 0);
	assert_int_equal(write(f.last->peer, "x", 1), 1);
	while (f.links > 0) {
		f.clock->set(f.clock, &until, f.clock->now(f.clock) + 10);
		assert_int_equal(loop_run(f.loop), 0);
	}
	assert_int_equal(run(true, LONG_MS), 0);
	assert_string_equal(f.asked, "C1IW");
	finish();
}

static void test_busy_and_close(void **state)
{
	static const char *const hosts[] = {"192.0.2.1"};
	static const int silent[] = {NEVER};
	struct call first = {.op = {.done = ended}}, second = {.op = {.done = ended}};

	begin(hosts, 1);
	f.answers = silent;
	f.n_answers = 1;
	first.op.deadline = second.op.deadline = f.clock->now(f.clock) + LIMIT_MS;
	memset(f.data, 0x77, sizeof(f.data));
	assert_int_equal(f.store->write(f.store, STORE_QUEUE_OWN, 1, f.data, &first.op), 0);
	assert_int_equal(f.store->write(f.store, STORE_QUEUE_OWN, 1, f.data, &second.op), -EBUSY);
	finish();
	assert_int_equal(first.ended + second.ended, 0);

	begin(hosts, 1);
	f.close_in_done = true;
	assert_int_equal(run(true, LONG_MS), 0);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_operation),
		cmocka_unit_test(test_later_operations),
		cmocka_unit_test(test_other_storage),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_closed_while_idle),
		cmocka_unit_test(test_busy_and_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
