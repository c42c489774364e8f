/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A server's exports, from a mount service made here that answers well, wrongly, late or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/server_discovery.h"
#include "util/clock.h"

enum manner { MANNER_LIST, MANNER_EMPTY, MANNER_UNAVAILABLE, MANNER_SILENT, MANNER_CUT, MANNER_GARBAGE };

#define PROCEDURE_EXPORT 5
#define ACCEPTED_UNAVAILABLE 1

struct reply {
	uint32_t words[256];
	size_t n;
};

static void add(struct reply *reply, uint32_t word)
{
	reply->words[reply->n++] = htonl(word);
}

static void add_text(struct reply *reply, const char *text)
{
	size_t length = strlen(text);

	add(reply, (uint32_t)length);
	memcpy(&reply->words[reply->n], text, length);
	reply->n += (length + 3) / 4;
}

static void add_exports(struct reply *reply)
{
	add(reply, 1);
	add_text(reply, "/export/engine");
	add(reply, 1);
	add_text(reply, "10.0.0.0/8");
	add(reply, 1);
	add_text(reply, "host1");
	add(reply, 0);
	add(reply, 1);
	add_text(reply, "/home");
	add(reply, 0);
	add(reply, 0);
}

static void answer(int fd, const uint32_t *call, enum manner manner)
{
	struct reply reply = {.n = 1}; /* the first word is the record's length */
	size_t size;

	reply.words[reply.n++] = call[1]; /* its id, as it came */
	add(&reply, 1);			  /* a reply */
	add(&reply, 0);			  /* accepted */
	add(&reply, 0);
	add(&reply, 0);
	if (manner == MANNER_UNAVAILABLE) {
		add(&reply, ACCEPTED_UNAVAILABLE);
	} else {
		add(&reply, 0);
		if (ntohl(call[6]) == PROCEDURE_EXPORT && manner == MANNER_GARBAGE)
			add(&reply, 77);
		else if (ntohl(call[6]) == PROCEDURE_EXPORT && manner == MANNER_EMPTY)
			add(&reply, 0);
		else if (ntohl(call[6]) == PROCEDURE_EXPORT)
			add_exports(&reply);
	}
	reply.words[0] = htonl(0x80000000u | (uint32_t)(reply.n - 1) * 4);
	size = reply.n * 4;
	if (manner == MANNER_CUT && ntohl(call[6]) == PROCEDURE_EXPORT) {
		size -= 20;
		assert_int_equal(send(fd, reply.words, size, MSG_NOSIGNAL), (ssize_t)size);
		close(fd);
		return;
	}
	send(fd, reply.words, size, MSG_NOSIGNAL);
}

/* A server in a child process; its port. */
static uint16_t serve(enum manner manner, pid_t *ret)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	uint32_t call[256];

	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 5), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	*ret = fork();
	assert_true(*ret >= 0);
	if (*ret == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(30);
		for (;;) {
			int fd = accept(listener, NULL, NULL);

			while (recv(fd, call, sizeof(call), 0) >= 28)
				if (manner != MANNER_SILENT)
					answer(fd, call, manner);
			close(fd);
		}
	}
	close(listener);
	return ntohs(address.sin_port);
}

static void end(pid_t server)
{
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}

static void test_list(void **state)
{
	struct nfs_export *exports = NULL;
	char why[DISCOVERY_WHY_SIZE];
	size_t n = 7;
	pid_t server;
	uint16_t port = serve(MANNER_LIST, &server);

	(void)state;
	assert_int_equal(nfs_exports_find("127.0.0.1", port, clock_mono() + 5000, &exports, &n, why), 0);
	assert_int_equal(n, 2);
	assert_string_equal(exports[0].path, "/export/engine");
	assert_string_equal(exports[0].clients, "10.0.0.0/8 host1");
	assert_string_equal(exports[1].path, "/home");
	assert_string_equal(exports[1].clients, "");
	nfs_exports_free(exports, n);
	end(server);

	port = serve(MANNER_EMPTY, &server);
	assert_int_equal(nfs_exports_find("127.0.0.1", port, clock_mono() + 5000, &exports, &n, why), 0);
	assert_int_equal(n, 0);
	nfs_exports_free(exports, n);
	end(server);
}

static void test_troubles(void **state)
{
	static const struct {
		const char *name;
		enum manner manner;
		int r; /* 0: any */
	} rows[] = {
		{"no such service", MANNER_UNAVAILABLE, 0},
		{"silence", MANNER_SILENT, -ETIMEDOUT},
		{"half an answer", MANNER_CUT, 0},
		{"not a list", MANNER_GARBAGE, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct nfs_export *exports = NULL;
		char why[DISCOVERY_WHY_SIZE] = "";
		size_t n = 7;
		pid_t server;
		uint16_t port = serve(rows[i].manner, &server);
		mono_t begun = clock_mono();
		int r = nfs_exports_find("127.0.0.1", port, begun + 700, &exports, &n, why);

		print_message("# %s: %s\n", rows[i].name, why);
		assert_true(rows[i].r ? r == rows[i].r : r < 0);
		assert_true(clock_mono() - begun < 3000);
		assert_int_equal(strncmp(why, "127.0.0.1: ", 11), 0);
		assert_true(strlen(why) > 15);
		assert_int_equal(n, 7);
		assert_null(exports);
		end(server);
	}
}

static void test_refused(void **state)
{
	struct nfs_export *exports = NULL;
	char why[DISCOVERY_WHY_SIZE] = "";
	size_t n = 7;
	pid_t server;
	uint16_t port = serve(MANNER_LIST, &server);

	(void)state;
	end(server);
	assert_int_equal(nfs_exports_find("127.0.0.1", port, clock_mono() + 5000, &exports, &n, why),
			 -ECONNREFUSED);
	assert_string_equal(why, "127.0.0.1: Connection refused");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_troubles),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
