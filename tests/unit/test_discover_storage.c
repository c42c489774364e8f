/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hosted-engine --discover-storage as it is run: exit codes, JSON on stdout, reasons on stderr, and its
 * deadline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "tests/unit/command_run.h"

static void test_lines(void **state)
{
	static const struct {
		const char *name, *args[COMMAND_ARGS_MAX];
		int code;
		const char *err;
	} rows[] = {
		{"no type", {"--discover-storage"}, 1, "--discover-storage needs a nfs|iscsi|fc|block\n"},
		{"other type",
		 {"--discover-storage", "smb"},
		 1,
		 "The type of storage is one of nfs, iscsi, fc and block\n"},
		{"no server",
		 {"--discover-storage", "nfs"},
		 1,
		 "You must specify the storage's server with --server\n"},
		{"a server of disks",
		 {"--discover-storage", "fc", "--server=h"},
		 1,
		 "Disks of this host have no --server\n"},
		{"a password",
		 {"--discover-storage", "iscsi", "--password=x"},
		 1,
		 "Invalid option '--password=x'"},
		{"no time",
		 {"--discover-storage", "fc", "--timeout=0"},
		 1,
		 "--timeout is 1 to 600 seconds\n"},
		{"no number",
		 {"--discover-storage", "fc", "--timeout=1s"},
		 1,
		 "--timeout is 1 to 600 seconds\n"},
		{"no port", {"--discover-storage", "nfs", "--server=h:0"}, 1, "'h:0' is no server\n"},
		{"no password",
		 {"--discover-storage", "iscsi", "--server=127.0.0.1:1", "--user=u"},
		 1,
		 "No password of the user: give --password-file, or OVIRT_HOSTED_ENGINE_ISCSI_PASSWORD in "
		 "the "},
		{"refused", {"--discover-storage", "nfs", "--server=127.0.0.1:1"}, 1, "127.0.0.1: "},
		{"disks", {"--discover-storage", "block"}, 0, ""},
		{"Fibre Channel", {"--discover-storage", "fc"}, 0, ""},
	};

	(void)state;
	unsetenv("OVIRT_HOSTED_ENGINE_ISCSI_PASSWORD");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *out, *err;
		json_t *answer;

		print_message("# %s\n", rows[i].name);
		assert_int_equal(command_run(rows[i].args, &out, &err), rows[i].code);
		if (strncmp(err, rows[i].err, strlen(rows[i].err)) != 0)
			fail_msg("%s", err);
		answer = json_loads(out, 0, NULL);
		if (rows[i].code == 0) {
			assert_true(json_is_array(json_object_get(answer, "luns")));
			assert_int_equal(strlen(out), strcspn(out, "\n") + 1);
		}
		if (strstr(err, "127.0.0.1") || strstr(err, "No password"))
			assert_true(json_is_string(json_object_get(answer, "error")));
		json_decref(answer);
		free(out);
		free(err);
	}
}

/* A server that takes the connection and says nothing. */
static void test_deadline(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char server[64], *out, *err;
	const char *args[] = {"--discover-storage", "nfs", server, "--timeout=1"};

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 5), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	snprintf(server, sizeof(server), "--server=127.0.0.1:%u", ntohs(address.sin_port));
	assert_int_equal(command_run(args, &out, &err), 1);
	assert_string_equal(err, "127.0.0.1: no answer\n");
	assert_string_equal(out, "{\"error\": \"127.0.0.1: no answer\"}\n");
	free(out);
	free(err);

	args[1] = "iscsi";
	setenv("OVIRT_HOSTED_ENGINE_ISCSI_PASSWORD", "secret", 1);
	assert_int_equal(command_run(args, &out, &err), 1);
	assert_non_null(strstr(err, ": no answer\n"));
	free(out);
	free(err);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
