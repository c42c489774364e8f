/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The path store on real files and on a loop device with sectors of 4096 bytes. An I/O that hangs is an
 * open() of a file under a lease, which waits in the kernel until the lease is given up. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "metadata/identity.h"
#include "metadata/image.h"
#include "metadata/store.h"
#include "util/cleanup.h"
#include "util/loop.h"

#define LIMIT_MS 20000

struct call {
	struct store_op op; /* first */
	int error;
	unsigned ended;
};

static struct {
	struct loop *loop;
	struct clock_port *clock;
	struct store *store;
	struct timer limit, tick;
	char directory[64], path[128], other[128];
	uint8_t data[8 * BLOCK_SIZE];
} f;

static struct {
	atomic_uint looks, times;
} asked;

/* Stands before the C library's. */
int statx(int folder, const char *restrict path, int flags, unsigned mask, struct statx *restrict ret)
{
	asked.looks++;
	asked.times += (mask & (STATX_ATIME | STATX_MTIME | STATX_CTIME)) != 0;
	return (int)syscall(SYS_statx, folder, path, flags, mask, ret);
}

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
	loop_stop(f.loop);
}

static struct call call_until(mono_t deadline_ms)
{
	return (struct call){.op = {.done = ended, .deadline = f.clock->now(f.clock) + deadline_ms},
			     .error = -ENOSYS};
}

static int wait_for(struct call *call)
{
	while (call->ended == 0)
		assert_int_equal(loop_run(f.loop), 0);
	assert_int_equal(call->ended, 1);
	return call->error;
}

static int read_blocks(uint32_t first, uint32_t count)
{
	struct call call = call_until(LIMIT_MS);

	memset(f.data, 0xee, sizeof(f.data));
	assert_int_equal(f.store->read(f.store, STORE_QUEUE_SCAN, first, count, f.data, &call.op), 0);
	return wait_for(&call);
}

static int write_block(uint32_t block, uint8_t fill)
{
	struct call call = call_until(LIMIT_MS);
	uint8_t data[BLOCK_SIZE];
	int r;

	memset(data, fill, sizeof(data));
	r = f.store->write(f.store, STORE_QUEUE_OWN, block, data, &call.op);
	memset(data, 0, sizeof(data)); /* it was copied */
	assert_int_equal(r, 0);
	return wait_for(&call);
}

static bool filled(size_t from, size_t to, uint8_t fill)
{
	for (size_t i = from; i < to; i++)
		if (f.data[i] != fill)
			return false;
	return true;
}

static void file_make(const char *path, size_t size, uint8_t fill)
{
	_cleanup_fclose_ FILE *file = fopen(path, "we");

	assert_non_null(file);
	for (size_t i = 0; i < size; i++)
		fputc(fill, file);
}

static void store_make(const char *spec)
{
	assert_int_equal(store_path_new(spec, f.loop, &f.store), 0);
}

static int setup(void **state)
{
	memset(&f, 0, sizeof(f));
	snprintf(f.directory, sizeof(f.directory), "test_store_path.XXXXXX");
	if (!mkdtemp(f.directory) || loop_new(&f.loop) < 0)
		return -1;
	f.clock = loop_clock(f.loop);
	f.limit.fire = too_late;
	f.clock->set(f.clock, &f.limit, f.clock->now(f.clock) + LIMIT_MS + 10000);
	_cleanup_free_ char *here = realpath(f.directory, NULL);
	snprintf(f.path, sizeof(f.path), "%s/board", here);
	snprintf(f.other, sizeof(f.other), "%s/other", here);
	return 0;
}

static int teardown(void **state)
{
	if (f.store)
		f.store->close(f.store);
	f.clock->cancel(f.clock, &f.limit);
	loop_free(f.loop);
	unlink(f.path);
	unlink(f.other);
	return rmdir(f.directory);
}

/* Neither of them is seen from what is read back on this host. */
static void assert_uncached(void)
{
	unsigned found = 0;

	for (int fd = 0; fd < 256; fd++) {
		char link[64], name[256];
		ssize_t length;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		length = readlink(link, name, sizeof(name) - 1);
		if (length < 0)
			continue;
		name[length] = '\0';
		if (strcmp(name, f.path) != 0)
			continue;
		assert_int_equal(fcntl(fd, F_GETFL) & (O_DIRECT | O_SYNC), O_DIRECT | O_SYNC);
		found++;
	}
	assert_int_equal(found, 2); /* of the queues used */
}

static void test_cut_short(void **state)
{
	struct stat st;

	file_make(f.path, 3 * BLOCK_SIZE, 0);
	store_make(f.path);
	assert_int_equal(write_block(3, 'x'), 0);
	store_path_fix_end(f.store);
	assert_int_equal(write_block(3, 'x'), 0);
	assert_int_equal(write_block(4, 'x'), -EFBIG);
	assert_int_equal(truncate(f.path, 2 * BLOCK_SIZE + 512), 0);
	assert_int_equal(write_block(2, 'x'), -EFBIG);
	assert_int_equal(stat(f.path, &st), 0);
	assert_int_equal(st.st_size, 2 * BLOCK_SIZE + 512);
	assert_int_equal(write_block(1, 'x'), 0);
}

static void scan_blocks(uint32_t first, uint32_t count, struct image **images)
{
	struct call call = call_until(LIMIT_MS);

	assert_int_equal(f.store->scan(f.store, STORE_QUEUE_SCAN, first, count, images, &call.op), 0);
	assert_int_equal(wait_for(&call), 0);
}

/* As many images as blocks, NULL where one begins with NUL, and beyond the end of the file. */
static void test_scan(void **state)
{
	struct call call = call_until(LIMIT_MS);
	struct image *images[4];

	file_make(f.path, 3 * BLOCK_SIZE, 0);
	store_make(f.path);
	assert_int_equal(write_block(2, 'x'), 0);
	assert_int_equal(f.store->scan(f.store, STORE_QUEUE_SCAN, 1, 4, images, &call.op), 0);
	assert_int_equal(f.store->scan(f.store, STORE_QUEUE_SCAN, 1, 4, images, &call.op), -EBUSY);
	assert_int_equal(wait_for(&call), 0);
	assert_null(images[0]);
	assert_non_null(images[1]);
	assert_int_equal(images[1]->length, BLOCK_SIZE);
	assert_int_equal(images[1]->bytes[BLOCK_SIZE - 1], 'x');
	assert_null(images[2]);
	assert_null(images[3]);
	image_drop(images[1]);
}

/* The same image while the block has not changed, whatever was read together with it. */
static void test_unchanged_images(void **state)
{
	struct image *first[3], *second[3];

	file_make(f.path, 0, 0);
	store_make(f.path);
	for (uint32_t block = 4; block <= 6; block++)
		assert_int_equal(write_block(block, 'a'), 0);
	scan_blocks(4, 3, first);
	assert_int_equal(write_block(4, 'b'), 0);
	assert_int_equal(write_block(6, 0), 0);
	scan_blocks(4, 2, second);
	scan_blocks(6, 1, &second[2]);
	assert_ptr_not_equal(first[0], second[0]);
	assert_int_equal(second[0]->bytes[0], 'b');
	assert_ptr_equal(first[1], second[1]);
	assert_null(second[2]);
	for (size_t i = 0; i < 3; i++) {
		image_drop(first[i]);
		image_drop(second[i]);
	}
}

static void test_round_trip(void **state)
{
	struct store_health health;

	file_make(f.path, 0, 0);
	store_make(f.path);
	f.store->health(f.store, &health);
	assert_true(health.last_write == MONO_UNSET && health.last_read == MONO_UNSET);
	assert_int_equal(write_block(3, 'a'), 0);
	assert_int_equal(write_block(IDENTITY_BLOCK, 'b'), 0);
	assert_int_equal(read_blocks(2, 3), 0);
	assert_true(filled(0, BLOCK_SIZE, 0));
	assert_true(filled(BLOCK_SIZE, 2 * BLOCK_SIZE, 'a'));
	assert_true(filled(2 * BLOCK_SIZE, 3 * BLOCK_SIZE, 0));
	assert_true(filled(3 * BLOCK_SIZE, 4 * BLOCK_SIZE, 0xee));
	assert_int_equal(read_blocks(IDENTITY_BLOCK, 1), 0);
	assert_true(filled(0, BLOCK_SIZE, 'b'));
	assert_uncached();
	f.store->health(f.store, &health);
	assert_true(health.last_write != MONO_UNSET && health.last_read != MONO_UNSET && health.stuck == 0);
	assert_true(health.stuck_since == MONO_UNSET);
}

static void test_end_of_file(void **state)
{
	file_make(f.path, BLOCK_SIZE + 700, 'x');
	store_make(f.path);
	assert_int_equal(read_blocks(0, 4), 0);
	assert_true(filled(0, BLOCK_SIZE + 700, 'x'));
	assert_true(filled(BLOCK_SIZE + 700, 4 * BLOCK_SIZE, 0));
	assert_int_equal(read_blocks(100, 2), 0);
	assert_true(filled(0, 2 * BLOCK_SIZE, 0));
	assert_int_equal(write_block(1, 'y'), 0);
	assert_int_equal(read_blocks(1, 1), 0);
	assert_true(filled(0, BLOCK_SIZE, 'y'));
}

static void test_offset(void **state)
{
	char spec[256];
	struct stat st;

	file_make(f.path, 0, 0);
	snprintf(spec, sizeof(spec), "%s:1048576", f.path);
	store_make(spec);
	assert_int_equal(write_block(1, 'o'), 0);
	assert_int_equal(stat(f.path, &st), 0);
	assert_int_equal(st.st_size, 1048576 + 2 * BLOCK_SIZE);
}

static void test_specs(void **state)
{
	struct store *store = NULL;

	assert_int_equal(store_path_new("relative", f.loop, &store), -EINVAL);
	assert_int_equal(store_path_new("/x:100", f.loop, &store), -EINVAL);
	assert_int_equal(store_path_new("/x:99999999999999999999", f.loop, &store), -EINVAL);
	assert_null(store);
	snprintf(f.other + strlen(f.other), 8, ":a:1x");
	file_make(f.other, 0, 0);
	store_make(f.other); /* colons of the name */
	assert_int_equal(write_block(0, 'c'), 0);
}

/* It opens lazily, and again after each error. */
static void test_comes_later(void **state)
{
	store_make(f.path);
	assert_int_equal(read_blocks(0, 1), -ENOENT);
	assert_int_equal(write_block(0, 'n'), -ENOENT);
	file_make(f.path, BLOCK_SIZE, 'l');
	assert_int_equal(read_blocks(0, 1), 0);
	assert_true(filled(0, BLOCK_SIZE, 'l'));
	assert_int_equal(unlink(f.path), 0);
	assert_int_equal(read_blocks(0, 1), -ENOENT);
	assert_int_equal(mkfifo(f.path, 0600), 0);
	assert_int_equal(read_blocks(0, 1), -EINVAL);
}

static void test_replaced(void **state)
{
	file_make(f.path, BLOCK_SIZE, '1');
	store_make(f.path);
	assert_int_equal(read_blocks(0, 1), 0);
	assert_int_equal(write_block(1, 'w'), 0);
	file_make(f.other, BLOCK_SIZE, '2');
	assert_int_equal(rename(f.other, f.path), 0);
	assert_int_equal(write_block(1, 'v'), 0);
	assert_int_equal(read_blocks(0, 2), 0);
	assert_true(filled(0, BLOCK_SIZE, '2'));
	assert_true(filled(BLOCK_SIZE, 2 * BLOCK_SIZE, 'v'));
}

/* A kernel that was asked for a file's times makes the next write slower: it gets new ones, durable too. */
static void test_times_unasked(void **state)
{
	file_make(f.path, 0, 0);
	store_make(f.path);
	asked.looks = asked.times = 0;
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(write_block(3, 't'), 0);
		assert_int_equal(read_blocks(3, 1), 0);
		assert_true(asked.looks >= 2 * i);
	}
	assert_int_equal(asked.times, 0);
}

static void test_one_at_a_time(void **state)
{
	struct call first = call_until(LIMIT_MS), second = call_until(LIMIT_MS), own = call_until(LIMIT_MS);
	uint8_t more[BLOCK_SIZE] = {0};

	file_make(f.path, BLOCK_SIZE, '1');
	store_make(f.path);
	assert_int_equal(f.store->read(f.store, STORE_QUEUE_SCAN, 0, 1, f.data, &first.op), 0);
	assert_int_equal(f.store->read(f.store, STORE_QUEUE_SCAN, 0, 1, more, &second.op), -EBUSY);
	assert_int_equal(f.store->write(f.store, STORE_QUEUE_OWN, 1, more, &own.op), 0);
	assert_int_equal(wait_for(&first), 0);
	assert_int_equal(wait_for(&own), 0);
	assert_int_equal(f.store->read(f.store, STORE_QUEUE_SCAN, 0, 1, more, &second.op), 0);
	assert_int_equal(wait_for(&second), 0);
}

/* From now on opening the file hangs until the descriptor is closed. */
static int hang_begin(void)
{
	int fd = open(f.path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	signal(SIGIO, SIG_IGN);
	assert_int_equal(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
	return fd;
}

static void tick(struct timer *timer)
{
	loop_stop(f.loop);
}

static void wait_unstuck(void)
{
	struct store_health health;

	f.tick.fire = tick;
	for (f.store->health(f.store, &health); health.stuck > 0; f.store->health(f.store, &health)) {
		f.clock->set(f.clock, &f.tick, f.clock->now(f.clock) + 5);
		loop_run(f.loop);
	}
	assert_true(health.stuck_since == MONO_UNSET);
}

static void test_hang(void **state)
{
	struct call slow = call_until(LIMIT_MS), late = call_until(100);
	struct store_health health;
	mono_t before = MONO_UNSET, after = MONO_UNSET;
	uint8_t data[BLOCK_SIZE] = {0};
	int fd;

	file_make(f.path, BLOCK_SIZE, 'h');
	store_make(f.path);
	fd = hang_begin();
	/* One hanging queue does not hold up another's deadline. */
	assert_int_equal(f.store->read(f.store, STORE_QUEUE_SCAN, 0, 1, f.data, &slow.op), 0);
	for (unsigned hanging = 1; hanging <= 3; hanging++) {
		late = call_until(100);
		before = hanging == 1 ? f.clock->now(f.clock) : before;
		assert_int_equal(f.store->write(f.store, STORE_QUEUE_OWN, 1, data, &late.op), 0);
		after = hanging == 1 ? f.clock->now(f.clock) : after;
		assert_int_equal(wait_for(&late), -ETIMEDOUT);
		assert_true(f.clock->now(f.clock) >= late.op.deadline);
		f.store->health(f.store, &health);
		assert_int_equal(health.stuck, hanging);
		assert_in_range(health.stuck_since, before, after);
	}
	assert_int_equal(slow.ended, 0);
	late = call_until(100);
	assert_int_equal(f.store->write(f.store, STORE_QUEUE_OWN, 1, data, &late.op), -ETIMEDOUT);
	assert_int_equal(late.ended, 0);
	close(fd);
	assert_int_equal(wait_for(&slow), 0);
	assert_true(filled(0, BLOCK_SIZE, 'h'));
	wait_unstuck();
	assert_int_equal(write_block(1, 'b'), 0);
	assert_int_equal(late.ended, 0);
}

static void test_close_while_hanging(void **state)
{
	struct call call = call_until(LIMIT_MS);
	int fd;

	file_make(f.path, BLOCK_SIZE, 'h');
	store_make(f.path);
	fd = hang_begin();
	assert_int_equal(f.store->read(f.store, STORE_QUEUE_SCAN, 0, 1, f.data, &call.op), 0);
	f.store->close(f.store);
	f.store = NULL;
	close(fd);
	f.tick.fire = tick;
	f.clock->set(f.clock, &f.tick, f.clock->now(f.clock) + 50);
	loop_run(f.loop);
	assert_int_equal(call.ended, 0);
}

/* The device is gone with its last descriptor, whatever happens to the test. */
static int loop_device(const char *backing, unsigned sector, unsigned flags, char ret_path[32])
{
	_cleanup_close_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	_cleanup_close_ int file = open(backing, O_RDWR | O_CLOEXEC);
	struct loop_config config = {
		.fd = (uint32_t)file,
		.block_size = sector,
		.info = {.lo_flags = LO_FLAGS_AUTOCLEAR | flags},
	};

	for (int tries = 0; control >= 0 && tries < 8; tries++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE), fd;

		snprintf(ret_path, 32, "/dev/loop%d", number);
		fd = open(ret_path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		if (ioctl(fd, LOOP_CONFIGURE, &config) == 0)
			return fd;
		/* EBUSY: somebody else was faster. */
		if (close(fd) < 0 || errno != EBUSY)
			break;
	}
	return -errno;
}

static void test_large_sectors(void **state)
{
	char device[32], spec[64];
	int fd;

	file_make(f.path, 64 * BLOCK_SIZE, 'd');
	fd = loop_device(f.path, 4096, 0, device);
	assert_true(fd >= 0);
	snprintf(spec, sizeof(spec), "%s:8192", device);
	store_make(spec);
	assert_int_equal(write_block(1, 's'), 0);
	assert_int_equal(read_blocks(0, 3), 0);
	assert_true(filled(0, BLOCK_SIZE, 'd'));
	assert_true(filled(BLOCK_SIZE, 2 * BLOCK_SIZE, 's'));
	/* Beyond the end of a device nothing can be written, and zeros are read. */
	assert_int_equal(write_block(64, 's'), -ENOSPC);
	store_path_fix_end(f.store);
	assert_int_equal(write_block(64, 's'), -EFBIG);
	assert_int_equal(read_blocks(60, 4), 0);
	assert_true(filled(0, 2 * BLOCK_SIZE, 'd'));
	assert_true(filled(2 * BLOCK_SIZE, 4 * BLOCK_SIZE, 0));
	f.store->close(f.store);
	f.store = NULL;
	/* An offset within a sector of the device. */
	snprintf(spec, sizeof(spec), "%s:512", device);
	store_make(spec);
	assert_int_equal(read_blocks(0, 1), -EINVAL);
	close(fd);
}

static void test_read_only_disk(void **state)
{
	char device[32];
	int fd;

	(void)state;
	file_make(f.path, 64 * BLOCK_SIZE, 'd');
	fd = loop_device(f.path, 512, LO_FLAGS_READ_ONLY, device);
	assert_true(fd >= 0);
	store_make(device);
	assert_int_equal(write_block(1, 's'), -EROFS);
	assert_int_equal(read_blocks(0, 3), 0);
	assert_true(filled(0, 3 * BLOCK_SIZE, 'd'));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cut_short, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scan, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unchanged_images, setup, teardown),
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_of_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_offset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_specs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_comes_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_times_unasked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_at_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hang, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_while_hanging, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_sectors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only_disk, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
