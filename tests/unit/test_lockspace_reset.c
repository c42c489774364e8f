/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lockspace made anew with its leases, over storage that sanlock formatted and that was then damaged:
 * when it is refused, what is there afterwards, and after a power cut at each write. */
#include "storage/lockspace_reset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lockspace/lease_leader.h"
#include "lockspace/lease_write.h"
#include "tests/unit/qemu_stand_in.h"
#include "tests/unit/write_fault.h"
#include "util/cleanup.h"

#define MIB ((off_t)1024 * 1024)
#define LEASES 3
#define OPERATIONS_MAX 200

static struct {
	char lockspace[64], leases[64], vmid[37];
	struct reset_request request;
	struct lockspace_watch *watch;
	char why[WATCH_WHY_SIZE];
} t;

static void put(const char *path, off_t at, uint8_t value)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, &value, 1, at), 1);
}

static void get(const char *path, off_t at, struct leader *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t bytes[512];

	assert_int_equal(pread(fd, bytes, sizeof(bytes), at), sizeof(bytes));
	leader_decode(bytes, ret);
}

static void make(void)
{
	static const char *const names[LEASES] = {"engine", "whiteboard", "conf"};

	assert_int_equal(truncate(t.lockspace, MIB), 0);
	assert_int_equal(truncate(t.leases, LEASES * MIB), 0);
	assert_int_equal(lease_write_lockspace(t.lockspace, 0, "LS", 512, 1), 0);
	for (int i = 0; i < LEASES; i++)
		assert_int_equal(lease_write_resource(t.leases, (uint64_t)(i * MIB), "LS", names[i], 512), 0);
}

static int setup(void **state)
{
	memset(&t, 0, sizeof(t));
	strcpy(t.lockspace, "/tmp/reset_lockspace.XXXXXX");
	strcpy(t.leases, "/tmp/reset_leases.XXXXXX");
	close(mkstemp(t.lockspace));
	close(mkstemp(t.leases));
	stand_in_uuid(t.vmid);
	t.request = (struct reset_request){
		.watch = {.lockspace_path = t.lockspace,
			  .lease_path = t.leases,
			  .timing = {.io_timeout_s = 1, .watchdog_fire_s = 60}},
		.lockspace = "LS",
		.engine_lease = "engine",
		.vmid = t.vmid,
	};
	make();
	return 0;
}

static int teardown(void **state)
{
	lockspace_watch_free(t.watch);
	unlink(t.lockspace);
	return unlink(t.leases);
}

/* An id that was had and damaged in its begin, and leases that a dead host holds. */
static void damage(void)
{
	put(t.lockspace, 0, 0xff);
	put(t.lockspace, 2 * 512 + 152, 7);
	for (int i = 0; i < LEASES; i++) {
		put(t.leases, i * MIB + 152, 7);
		put(t.leases, i * MIB + 32, 3);
	}
}

static void watch(void)
{
	lockspace_watch_free(TAKE_PTR(t.watch));
	assert_int_equal(lockspace_watch_new(&t.request.watch, &t.watch, t.why), 0);
	assert_int_equal(lockspace_watch_look(t.watch, 0, t.why), 0);
}

static int reset(void)
{
	return lockspace_reset(&t.request, t.watch, lockspace_watch_ms(t.watch), t.why);
}

static bool all_leases_free(void)
{
	struct leader leader;
	bool ret = true;

	for (int i = 0; i < LEASES; i++) {
		get(t.leases, i * MIB, &leader);
		ret = ret && leader.kind == LEADER_RESOURCE && leader.free;
	}
	return ret;
}

static bool is_joinable(void)
{
	struct leader first, third;

	get(t.lockspace, 0, &first);
	get(t.lockspace, 2 * 512, &third);
	return first.kind == LEADER_HOST_ID && third.kind == LEADER_HOST_ID && third.free;
}

static void test_made_anew(void **state)
{
	damage();
	watch();
	assert_false(is_joinable() || all_leases_free());
	assert_int_equal(reset(), 0);
	assert_true(is_joinable() && all_leases_free());
}

static void test_refused(void **state)
{
	damage();
	watch();
	assert_int_equal(lockspace_reset(&t.request, t.watch, lockspace_watch_ms(t.watch) - 1, t.why),
			 -EAGAIN);
	/* in the last moment */
	put(t.lockspace, 1999 * 512 + 160, 1);
	assert_int_equal(reset(), -EBUSY);
	assert_string_equal(
		t.why, "host id 2000 is in use: stop ovirt-ha-agent and ovirt-ha-broker on that host, or "
		       "switch it off");
	assert_false(is_joinable());
	watch();
	put(t.leases, 160, 1);
	assert_int_equal(reset(), -EBUSY);
	put(t.leases, 0, 0xff);
	watch();
	assert_int_equal(reset(), -EBADMSG);
	assert_non_null(strstr(t.why, "--force takes it for free"));
	assert_false(is_joinable() || all_leases_free());
	t.request.damaged_lease = true;
	assert_int_equal(reset(), 0);
	assert_true(is_joinable() && all_leases_free());
}

static void test_qemu_here(void **state)
{
	const char *const argv[] = {"qemu-system-x86_64", "-uuid", t.vmid, NULL};
	pid_t qemu;

	damage();
	watch();
	qemu = stand_in_start(argv, false);
	assert_int_equal(reset(), -EBUSY);
	assert_non_null(strstr(t.why, "the engine VM's QEMU is on this host"));
	assert_false(is_joinable() || all_leases_free());
	stand_in_kill(qemu);
	assert_int_equal(reset(), 0);
}

/* Whenever the power goes: nobody can join before all leases are free, and it can be done again. */
static void test_order(void **state)
{
	unsigned cuts = 0;

	for (unsigned at = 0; at < OPERATIONS_MAX; at++) {
		int status;
		pid_t pid;

		make();
		damage();
		watch();
		pid = fork();
		if (pid == 0) {
			write_fault_arm(WRITE_CUT, at, 0);
			_exit(reset() == 0 ? 0 : 1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		if (is_joinable() && !all_leases_free())
			fail_msg("cut before operation %u: an old owner in the new lockspace", at);
		if (WEXITSTATUS(status) == 0)
			break;
		assert_int_equal(WEXITSTATUS(status), WRITE_CUT_STATUS);
		cuts++;
		t.request.damaged_lease = true; /* it may be torn */
		watch();
		assert_int_equal(reset(), 0);
		assert_true(is_joinable() && all_leases_free());
	}
	assert_in_range(cuts, LEASES + 1, OPERATIONS_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_made_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_qemu_here, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
	};

	stand_in_main();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
