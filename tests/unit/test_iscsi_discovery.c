/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Targets and LUNs of a real iSCSI server with CHAP, and of servers that say nothing. */
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
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/server_discovery.h"
#include "util/clock.h"

#define TARGET "iqn.2026-01.org.example:engine"
#define OPEN_TARGET "iqn.2026-01.org.example:open"
#define SECRET "chapsecret123"

static char top[] = "/tmp/ovirt-ha-iscsi-XXXXXX", portal[40];
static pid_t server;

static uint16_t free_port(int *ret_listener)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	if (ret_listener)
		*ret_listener = fd;
	else
		close(fd);
	return ntohs(address.sin_port);
}

static bool admin(const char *arguments)
{
	char command[800];

	snprintf(command, sizeof(command), "timeout 10 tgtadm -C 91 --lld iscsi %s >>%s/log 2>&1", arguments,
		 top);
	return system(command) == 0;
}

static int start_server(void **state)
{
	static const char *const commands[] = {
		"--op new --mode target --tid 1 -T " TARGET,
		"--op new --mode logicalunit --tid 1 --lun 1 -b TOP/one --bstype rdwr",
		"--op update --mode logicalunit --tid 1 --lun 1 --params "
		"vendor_id=FXTEST,product_id=CLUSTERLUN,scsi_sn=FXSN0001,scsi_id=FXID0001",
		"--op new --mode logicalunit --tid 1 --lun 2 -b TOP/two --bstype rdwr --blocksize 4096",
		"--op new --mode logicalunit --tid 1 --lun 3 -b TOP/small --bstype rdwr",
		"--op new --mode account --user chapuser --password " SECRET,
		"--op bind --mode account --tid 1 --user chapuser",
		"--op bind --mode target --tid 1 -I ALL",
		"--op new --mode target --tid 2 -T " OPEN_TARGET,
		"--op bind --mode target --tid 2 -I ALL",
	};
	char option[64], command[600];
	pid_t parent = getpid();
	mono_t deadline = clock_mono() + 10000;

	(void)state;
	assert_non_null(mkdtemp(top));
	snprintf(command, sizeof(command),
		 "cd %s && truncate -s 40M one && truncate -s 40M two && "
		 "truncate -s 2047K small && mke2fs -q -t ext4 -L data two 2>log",
		 top);
	assert_int_equal(system(command), 0);
	snprintf(portal, sizeof(portal), "127.0.0.1:%u", free_port(NULL));
	snprintf(option, sizeof(option), "portal=%s", portal);
	snprintf(command, sizeof(command), "%s/control", top);
	setenv("TGT_IPC_SOCKET", command, 1);
	server = fork();
	assert_true(server >= 0);
	if (server == 0) {
		snprintf(command, sizeof(command), "%s/log", top);
		if (!freopen(command, "a", stdout) || dup2(STDOUT_FILENO, STDERR_FILENO) < 0)
			_exit(126);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			execlp("tgtd", "tgtd", "-f", "-C", "91", "--iscsi", option, NULL);
		_exit(127);
	}
	while (!admin("--op show --mode target")) {
		assert_true(clock_mono() < deadline);
		poll(NULL, 0, 20);
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const char *at = strstr(commands[i], "TOP");

		snprintf(command, sizeof(command), "%.*s%s%s", at ? (int)(at - commands[i]) : 500,
			 commands[i], at ? top : "", at ? at + 3 : "");
		assert_true(admin(command));
	}
	return 0;
}

static int end_server(void **state)
{
	char command[100];

	(void)state;
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

static const struct iscsi_target *target_named(const struct iscsi_target *targets, size_t n, const char *iqn)
{
	size_t i = 0;

	while (i < n && strcmp(targets[i].iqn, iqn) != 0)
		i++;
	assert_true(i < n);
	return &targets[i];
}

static void test_found(void **state)
{
	const struct iscsi_query query = {portal, "iqn.2026-01.org.example:host", "chapuser", SECRET};
	const struct iscsi_target *target;
	struct iscsi_target *targets = NULL;
	char why[DISCOVERY_WHY_SIZE] = "";
	size_t n = 0;

	(void)state;
	if (iscsi_targets_find(&query, clock_mono() + 10000, &targets, &n, why) < 0)
		fail_msg("%s", why);
	assert_int_equal(n, 2);
	target = target_named(targets, n, TARGET);
	assert_string_equal(target->trouble, "");
	assert_int_equal(target->n_portals, 1);
	assert_int_equal(strncmp(target->portals[0], portal, strlen(portal)), 0);
	assert_int_equal(target->n_luns, 3); /* the controller, number 0, is none */
	assert_int_equal(target->luns[0].number, 1);
	assert_int_equal(target->luns[0].size, 40 << 20);
	assert_int_equal(target->luns[0].sector_size, 512);
	assert_string_equal(target->luns[0].vendor, "FXTEST");
	assert_string_equal(target->luns[0].model, "CLUSTERLUN");
	assert_string_equal(target->luns[0].serial, "FXSN0001");
	assert_true(strlen(target->luns[0].wwid) > 4);
	assert_string_equal(target->luns[0].transport, "iscsi");
	assert_int_equal(target->luns[0].use, LUN_FREE);
	assert_string_equal(target->luns[0].holds, "");
	assert_int_equal(target->luns[1].number, 2);
	assert_int_equal(target->luns[1].sector_size, 4096);
	assert_int_equal(target->luns[1].size, 40 << 20);
	assert_int_equal(target->luns[1].use, LUN_USED);
	assert_string_equal(target->luns[1].holds, "ext4 filesystem \"data\"");
	/* Of which not all was read. */
	assert_int_equal(target->luns[2].use, LUN_UNKNOWN);
	assert_string_equal(target->luns[2].holds, "too small");
	target = target_named(targets, n, OPEN_TARGET);
	assert_string_equal(target->trouble, "");
	assert_int_equal(target->n_luns, 0);
	iscsi_targets_free(targets, n);
}

static void test_refused(void **state)
{
	static const struct {
		const char *name, *user, *secret;
	} rows[] = {{"no user", NULL, NULL},
		    {"wrong password", "chapuser", "wrongwrongwrong"},
		    {"wrong user", "nobody", SECRET}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct iscsi_query query = {portal, "iqn.2026-01.org.example:host", rows[i].user,
						  rows[i].secret};
		const struct iscsi_target *target;
		struct iscsi_target *targets = NULL;
		char why[DISCOVERY_WHY_SIZE] = "";
		size_t n = 0;

		assert_int_equal(iscsi_targets_find(&query, clock_mono() + 10000, &targets, &n, why), 0);
		target = target_named(targets, n, TARGET);
		print_message("# %s: %s\n", rows[i].name, target->trouble);
		assert_string_not_equal(target->trouble, "");
		assert_null(strstr(target->trouble, SECRET));
		assert_int_equal(target->n_luns, 0);
		iscsi_targets_free(targets, n);
	}
}

static void test_nobody(void **state)
{
	struct iscsi_query query = {portal, "iqn.2026-01.org.example:host", NULL, NULL};
	struct iscsi_target *targets = NULL;
	char why[DISCOVERY_WHY_SIZE] = "", address[40];
	size_t n = 7;
	mono_t begun;
	int listener;

	(void)state;
	query.portal = address;
	snprintf(address, sizeof(address), "127.0.0.1:%u", free_port(NULL));
	assert_int_equal(iscsi_targets_find(&query, clock_mono() + 5000, &targets, &n, why), -ECONNREFUSED);
	assert_int_equal(strncmp(why, address, strlen(address)), 0);
	assert_non_null(strstr(why, ": Connection refused"));

	/* Connected, and nobody there. */
	snprintf(address, sizeof(address), "127.0.0.1:%u", free_port(&listener));
	begun = clock_mono();
	assert_int_equal(iscsi_targets_find(&query, begun + 600, &targets, &n, why), -ETIMEDOUT);
	assert_in_range(clock_mono() - begun, 590, 3000);
	assert_non_null(strstr(why, "no answer"));
	close(listener);

	/* The server stops in the middle of all. */
	query = (struct iscsi_query){portal, "iqn.2026-01.org.example:host", "chapuser", SECRET};
	kill(server, SIGSTOP);
	begun = clock_mono();
	assert_int_equal(iscsi_targets_find(&query, begun + 600, &targets, &n, why), -ETIMEDOUT);
	assert_in_range(clock_mono() - begun, 590, 3000);
	kill(server, SIGCONT);
	assert_int_equal(n, 7);
	assert_null(targets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_nobody),
	};

	return cmocka_run_group_tests(tests, start_server, end_server);
}
