/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines on stderr and as datagrams to a journal of the test's own, which lives in a mount namespace: escapes,
 * levels, fields, and a journal that does not read, which may cost lines but never time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/log.h"

static int err[2], saved_err;

static int redirect(void **state)
{
	if (pipe2(err, O_NONBLOCK) < 0)
		return -1;
	saved_err = dup(2);
	return dup2(err[1], 2) < 0 ? -1 : 0;
}

static int restore(void **state)
{
	dup2(saved_err, 2);
	close(saved_err);
	close(err[0]);
	close(err[1]);
	return 0;
}

static const char *heard(void)
{
	static char text[4096];
	ssize_t n;

	fflush(stderr);
	n = read(err[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void test_stderr(void **state)
{
	log_open("prog", false);
	log_info("state %s -> %s reason=%s", "A", "B", "why");
	assert_string_equal(heard(), "prog: info: state A -> B reason=why\n");
	log_error("bad %s", "\x1b[2J\n\xc3\xa4|");
	assert_string_equal(heard(), "prog: error: bad \\x1b[2J\\x0a\\xc3\\xa4|\n");
	assert_true(log_wants(LOG_INFO));
	assert_false(log_wants(LOG_DEBUG));
	log_debug("unseen");
	assert_string_equal(heard(), "");
	log_open("prog", true);
	assert_true(log_wants(LOG_DEBUG));
	errno = ENOTTY;
	log_debug("seen");
	assert_int_equal(errno, ENOTTY);
	assert_string_equal(heard(), "prog: debug: seen\n");
}

static const char *received(int journal)
{
	static char text[65536];
	ssize_t n = recv(journal, text, sizeof(text) - 1, MSG_DONTWAIT);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* Last: the journal stays the target. */
static void test_journal(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};
	int journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unsigned n = 0, before = 0;
	char stream[64];
	const char *text;
	struct stat st;

	assert_int_equal(unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER), 0);
	assert_int_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(mount("none", "/run", "tmpfs", 0, NULL), 0);
	assert_int_equal(mkdir("/run/systemd", 0755), 0);
	assert_int_equal(mkdir("/run/systemd/journal", 0755), 0);
	assert_int_equal(bind(journal, (struct sockaddr *)&address, sizeof(address)), 0);

	/* A stderr that is not the one systemd gave. */
	assert_int_equal(fstat(2, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino + 1);
	setenv("JOURNAL_STREAM", stream, 1);
	log_open("prog", false);
	log_info("here");
	assert_string_equal(heard(), "prog: info: here\n");

	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_open("prog", false);
	log_warning("state A -> B reason=best-score score=3400 X=1 =2 free_mib= 9x=3 k=%s", "a\nPRIORITY=0");
	assert_string_equal(heard(), "");
	assert_string_equal(received(journal),
			    "MESSAGE=state A -> B reason=best-score score=3400 X=1 =2 free_mib= 9x=3 "
			    "k=a\\x0aPRIORITY=0\nPRIORITY=4\nSYSLOG_IDENTIFIER=prog\nHA_REASON=best-score\n"
			    "HA_SCORE=3400\nHA_FREE_MIB=\nHA_K=a\\x0aPRIORITY=0\n");

	/* A journal that hangs: the lines over its queue are lost, and counted. */
	for (int i = 0; i < 5000; i++)
		log_info("line %d", i);
	while (received(journal)[0])
		before++;
	assert_true(before > 0 && before < 5000);
	log_info("again");
	assert_int_equal(strncmp(received(journal), "MESSAGE=again\n", 14), 0);
	text = received(journal);
	assert_int_equal(sscanf(text, "MESSAGE=log: lines lost before this one count=%u", &n), 1);
	assert_int_equal(n + before, 5000);

	/* A journal that was restarted has a new socket. */
	close(journal);
	assert_int_equal(unlink(address.sun_path), 0);
	log_info("into the void");
	journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(journal, (struct sockaddr *)&address, sizeof(address)), 0);
	log_info("back");
	assert_int_equal(strncmp(received(journal), "MESSAGE=back\n", 13), 0);
	close(journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stderr, redirect, restore),
		cmocka_unit_test_setup_teardown(test_journal, redirect, restore),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
