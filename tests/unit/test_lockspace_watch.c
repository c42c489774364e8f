/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The proof of unused host ids over leases that sanlock made: which bytes count, and for how long. */
#include "storage/lockspace_watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lockspace/lease_leader.h"
#include "lockspace/lease_write.h"
#include "util/cleanup.h"

#define MIB ((uint64_t)1024 * 1024)
#define TIMING                                                                                               \
	{                                                                                                    \
		.io_timeout_s = 1, .watchdog_fire_s = 60                                                     \
	}
#define FREE_MS 4000
#define DEAD_MS 68000

static struct {
	char path[64];
	unsigned sector;
	struct watch_request request;
	struct lockspace_watch *watch;
	char why[WATCH_WHY_SIZE];
} t;

static void write_at(uint64_t offset, const void *data, size_t size)
{
	_cleanup_close_ int fd = open(t.path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, data, size, (off_t)offset), (ssize_t)size);
}

/* Into the sector of an id, or (0) the lease: one byte of it. */
static void touch(unsigned id, unsigned at, uint8_t value)
{
	write_at((id ? (id - 1) * t.sector : t.request.lease_offset) + at, &value, 1);
}

static void make(unsigned sector)
{
	uint64_t alignment = lease_alignment(sector);

	t.sector = sector;
	assert_int_equal(truncate(t.path, (off_t)(2 * alignment)), 0);
	assert_int_equal(lease_write_lockspace(t.path, 0, "LS", sector, 1), 0);
	assert_int_equal(lease_write_resource(t.path, alignment, "LS", "engine", sector), 0);
	t.request = (struct watch_request){
		.lockspace_path = t.path, .lease_path = t.path, .lease_offset = alignment, .timing = TIMING};
}

static int setup(void **state)
{
	int fd;

	memset(&t, 0, sizeof(t));
	strcpy(t.path, "lockspace_watch.XXXXXX");
	fd = mkstemp(t.path);
	assert_true(fd >= 0);
	close(fd);
	make(512);
	return 0;
}

static int teardown(void **state)
{
	lockspace_watch_free(t.watch);
	return unlink(t.path);
}

static int look(mono_t after)
{
	return lockspace_watch_look(t.watch, 1000 + after, t.why);
}

static int begin(void)
{
	int r;

	lockspace_watch_free(TAKE_PTR(t.watch));
	r = lockspace_watch_new(&t.request, &t.watch, t.why);
	return r < 0 ? r : look(0);
}

/* What sanlock writes is understood: by the record of a lease that is made, and one that was had. */
static void test_leaders(void **state)
{
	static const struct {
		unsigned sector;
		uint64_t alignment;
	} rows[] = {{512, MIB}, {4096, 8 * MIB}};

	for (size_t i = 0; i < 2; i++) {
		uint8_t bytes[512];
		struct leader leader;
		FILE *file;

		make(rows[i].sector);
		touch(2, 152, 7);
		touch(2, 32, 2);
		touch(2, 40, 9);
		file = fopen(t.path, "re");
		assert_non_null(file);
		assert_int_equal(fread(bytes, 1, 512, file), 512);
		leader_decode(bytes, &leader);
		assert_true(leader.kind == LEADER_HOST_ID && leader.free);
		assert_int_equal(leader.io_timeout_s, 1);
		assert_int_equal(leader.sector_size, rows[i].sector);
		assert_int_equal(leader.alignment, rows[i].alignment);
		assert_int_equal(fseek(file, (long)rows[i].sector, SEEK_SET), 0);
		assert_int_equal(fread(bytes, 1, 512, file), 512);
		leader_decode(bytes, &leader);
		assert_true(leader.kind == LEADER_HOST_ID && !leader.free);
		assert_int_equal(leader.owner_id, 2);
		assert_int_equal(leader.owner_generation, 9);
		assert_int_equal(fseek(file, (long)rows[i].alignment, SEEK_SET), 0);
		assert_int_equal(fread(bytes, 1, 512, file), 512);
		leader_decode(bytes, &leader);
		assert_true(leader.kind == LEADER_RESOURCE && leader.free);
		fclose(file);
		bytes[12] = 1; /* no size of a sector */
		leader_decode(bytes, &leader);
		assert_int_equal(leader.kind, LEADER_NONE);
	}
}

/* How long it takes, by what is found. */
static void test_times(void **state)
{
	static const struct {
		const char *name;
		unsigned id, at;
		uint8_t value;
		uint16_t only;
		int64_t ms;
	} rows[] = {
		{"all free", 1, 511, 0, 0, FREE_MS},
		{"an id is had", 3, 152, 7, 0, DEAD_MS},
		{"the last id is had", 2000, 152, 7, 0, DEAD_MS},
		{"an id is damaged", 5, 0, 0xff, 0, DEAD_MS},
		{"the lease has an owner", 0, 152, 7, 0, DEAD_MS},
		{"the lease is damaged", 0, 0, 0xff, 0, DEAD_MS},
		{"another id than the asked one", 3, 152, 7, 4, FREE_MS},
		{"the asked id", 3, 152, 7, 3, DEAD_MS},
		{"the asked id, a lease with an owner", 0, 152, 7, 3, FREE_MS},
		{"a free id that renews more slowly", 9, 174, 3, 0, 3 * FREE_MS},
		{"another id that renews more slowly", 9, 174, 3, 4, FREE_MS},
	};

	for (unsigned sector = 512; sector <= 4096; sector *= 8)
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			make(sector);
			touch(rows[i].id, rows[i].at, rows[i].value);
			t.request.only = rows[i].only;
			assert_int_equal(begin(), 0);
			if (lockspace_watch_ms(t.watch) != rows[i].ms)
				fail_msg("%s: %lld ms", rows[i].name, (long long)lockspace_watch_ms(t.watch));
			assert_int_equal(lockspace_watch_sector(t.watch), sector);
			assert_int_equal(look(rows[i].ms - 1), 0);
			assert_int_equal(look(rows[i].ms), 1);
		}
}

/* A host dies by the io_timeout that it joined with, whatever this one's configuration says by now. */
static void test_longer_io_timeout(void **state)
{
	touch(3, 152, 7);
	touch(3, 174, 3);
	assert_int_equal(begin(), 0);
	assert_int_equal(lockspace_watch_ms(t.watch), DEAD_MS + 2 * 8000);
}

/* Who writes is found, to the last moment, and not forgotten. */
static void test_ids(void **state)
{
	static const struct {
		const char *name;
		unsigned id;
		uint16_t only;
		const char *why; /* NULL: nobody cares */
	} rows[] = {
		{"the first", 1, 0, "host id 1 is in use"},
		{"the last", 2000, 0, "host id 2000 is in use"},
		{"the lease", 0, 0, "the engine's lease is in use"},
		{"the asked one", 7, 7, "host id 7 is in use"},
		{"another", 8, 7, NULL},
		{"the lease, one id asked", 0, 7, NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		make(512);
		t.request.only = rows[i].only;
		assert_int_equal(begin(), 0);
		assert_int_equal(look(FREE_MS - 1), 0);
		touch(rows[i].id, 160, 1);
		if (!rows[i].why) {
			assert_int_equal(look(FREE_MS), 1);
			continue;
		}
		assert_int_equal(look(FREE_MS), -EBUSY);
		if (strncmp(t.why, rows[i].why, strlen(rows[i].why)) != 0)
			fail_msg("%s: %s", rows[i].name, t.why);
		touch(rows[i].id, 160, 0);
		assert_int_equal(look(DEAD_MS), -EBUSY);
	}
}

/* Storage that held up the first reading, for however long, has not been watched meanwhile. */
static void test_late_begin(void **state)
{
	assert_int_equal(lockspace_watch_new(&t.request, &t.watch, t.why), 0);
	assert_int_equal(look(DEAD_MS), 0);
	assert_int_equal(look(DEAD_MS + FREE_MS - 1), 0);
	assert_int_equal(look(DEAD_MS + FREE_MS), 1);
}

/* A path that leads to another cluster's. */
static void test_other_lockspace(void **state)
{
	t.request.lockspace = "LS";
	assert_int_equal(begin(), 0);
	t.request.lockspace = "L";
	assert_int_equal(begin(), -EXDEV);
	t.request.lockspace = "LS";
	assert_int_equal(lease_write_resource(t.path, MIB, "OTHER", "engine", 512), 0);
	assert_int_equal(begin(), -EXDEV);
	assert_non_null(strstr(t.why, "is not of the lockspace LS: correct the paths"));
	touch(0, 0, 0xff); /* no lease: its name says nothing */
	assert_int_equal(begin(), 0);
	assert_int_equal(lease_write_lockspace(t.path, 0, "OTHER", 512, 1), 0);
	assert_int_equal(begin(), -EXDEV);
}

static void test_unreadable(void **state)
{
	touch(1, 0, 0xff);
	assert_int_equal(begin(), 0);
	assert_true(lockspace_watch_lease_sound(t.watch));
	make(512);
	touch(0, 0, 0xff);
	assert_int_equal(begin(), 0);
	assert_false(lockspace_watch_lease_sound(t.watch));
	touch(1, 0, 0xff);
	assert_int_equal(begin(), 0);
	assert_int_equal(lockspace_watch_sector(t.watch), 512);
	for (unsigned id = 2; id <= 128; id++)
		touch(id, 0, 0xff);
	assert_int_equal(begin(), -EBADMSG);
	assert_non_null(strstr(t.why, "neither the lockspace nor the engine's lease"));
	make(512);
	touch(0, 8, 0x20); /* 2 MiB */
	assert_int_equal(begin(), -EOPNOTSUPP);
	assert_int_equal(truncate(t.path, (off_t)(MIB / 2)), 0);
	assert_int_equal(begin(), -EBADMSG);
	assert_int_equal(unlink(t.path), 0);
	assert_int_equal(begin(), -ENOENT);
	close(open(t.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_leaders, setup, teardown),
		cmocka_unit_test_setup_teardown(test_times, setup, teardown),
		cmocka_unit_test_setup_teardown(test_longer_io_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late_begin, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_lockspace, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
