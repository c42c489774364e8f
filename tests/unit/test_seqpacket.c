/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A local socket is served once, taken over from a dead service, and open to root and the service's user
 * alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "util/seqpacket.h"

static void test_serve(void **state)
{
	char folder[] = "/tmp/ovirt-ha-socket-XXXXXX", path[64], longest[200];
	struct ucred peer;
	struct stat st;
	int first, again, client, taken;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s", folder);
	assert_int_equal(seqpacket_connect(path), -ENOENT);
	first = seqpacket_listen(path);
	assert_true(first >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(seqpacket_listen(path), -EADDRINUSE);
	client = accept(first, NULL, NULL); /* the question whether somebody serves it */
	assert_true(client >= 0);
	close(client);
	client = seqpacket_connect(path);
	assert_true(client >= 0);
	taken = accept(first, NULL, NULL);
	assert_true(taken >= 0);
	assert_true(seqpacket_allowed(taken, getuid(), &peer));
	assert_int_equal(peer.pid, getpid());
	assert_int_equal(seqpacket_allowed(taken, getuid() + 1, &peer), getuid() == 0);
	assert_false(seqpacket_allowed(-1, getuid(), &peer));
	assert_int_equal(peer.pid, 0);
	close(client);
	close(taken);
	close(first);
	/* What a dead one left. */
	again = seqpacket_listen(path);
	assert_true(again >= 0);
	close(again);
	unlink(path);
	rmdir(folder);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(seqpacket_connect(longest), -ENAMETOOLONG);
	assert_int_equal(seqpacket_listen(longest), -ENAMETOOLONG);
}

/* What systemd keeps for a service comes as its sockets do, and is left for who knows it. */
static void test_kept(void **state)
{
	char folder[] = "/tmp/ovirt-ha-socket-XXXXXX", path[64], pid[16];
	socklen_t size = sizeof(int);
	int listener, listens = 0;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s", folder);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	assert_int_equal(dup2(STDERR_FILENO, SD_LISTEN_FDS_START), SD_LISTEN_FDS_START);
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	listener = seqpacket_listen(path);
	assert_true(listener > SD_LISTEN_FDS_START);
	assert_int_equal(getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size), 0);
	assert_int_equal(listens, 1);
	assert_int_equal(sd_listen_fds(1), 1);
	close(listener);
	close(SD_LISTEN_FDS_START);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serve),
		cmocka_unit_test(test_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
