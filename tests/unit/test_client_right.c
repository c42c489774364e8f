/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a peer may do, by its uid, its gid and the groups of its process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <grp.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/client_right.h"

#define USER 54320
#define GROUP 54321
#define STRANGER 4242

/* A process with these credentials; -1 in `groups` ends them. */
static pid_t process_start(uid_t uid, const int groups[4])
{
	gid_t list[4];
	size_t n = 0;
	int ready[2];
	char byte;
	pid_t pid;

	while (n < 4 && groups[n] >= 0) {
		list[n] = (gid_t)groups[n];
		n++;
	}
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		alarm(60);
		if (setgroups(n, list) < 0 || setgid(STRANGER) < 0 || setuid(uid) < 0 ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void process_end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_rights(void **state)
{
	static const struct {
		const char *name;
		uid_t uid;
		gid_t gid;
		uid_t process_uid;
		int groups[4];
		bool no_account;
		enum client_right right;
	} rows[] = {
		{"root", 0, 0, 0, {-1}, false, RIGHT_CHANGE},
		{"root without an account", 0, 0, 0, {-1}, true, RIGHT_CHANGE},
		{"the service's user", USER, 1, USER, {-1}, false, RIGHT_CHANGE},
		{"its uid without an account", USER, 1, USER, {-1}, true, RIGHT_NONE},
		{"primary group", STRANGER, GROUP, STRANGER, {-1}, false, RIGHT_READ},
		{"supplementary group",
		 STRANGER,
		 STRANGER,
		 STRANGER,
		 {7, GROUP, 99999, -1},
		 false,
		 RIGHT_READ},
		{"supplementary group, no account",
		 STRANGER,
		 STRANGER,
		 STRANGER,
		 {GROUP, -1},
		 true,
		 RIGHT_NONE},
		{"other groups", STRANGER, STRANGER, STRANGER, {5432, 543210, -1}, false, RIGHT_NONE},
		{"no groups", STRANGER, STRANGER, STRANGER, {-1}, false, RIGHT_NONE},
		{"the pid is another user's now",
		 STRANGER,
		 STRANGER,
		 STRANGER + 1,
		 {GROUP, -1},
		 false,
		 RIGHT_NONE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct service_account account = {.has_user = !rows[i].no_account,
						  .has_group = !rows[i].no_account};
		pid_t pid = process_start(rows[i].process_uid, rows[i].groups);
		enum client_right right;

		if (!rows[i].no_account) {
			account.uid = USER;
			account.gid = GROUP;
		}
		right = client_right(&account, rows[i].uid, rows[i].gid, pid);
		process_end(pid);
		if (right != rows[i].right)
			fail_msg("%s: %d", rows[i].name, right);
		/* It has ended: what it was counts no more. */
		if (rows[i].uid == STRANGER && rows[i].gid == STRANGER &&
		    client_right(&account, rows[i].uid, rows[i].gid, pid) != RIGHT_NONE)
			fail_msg("%s: gone", rows[i].name);
	}
}

static void test_no_pid(void **state)
{
	const struct service_account account = {
		.has_user = true, .has_group = true, .uid = USER, .gid = GROUP};

	(void)state;
	assert_int_equal(client_right(&account, STRANGER, STRANGER, 0), RIGHT_NONE);
	assert_int_equal(client_right(&account, geteuid(), STRANGER, 0), RIGHT_CHANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_no_pid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
