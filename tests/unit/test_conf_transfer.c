/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Readings and writings over a volume in memory whose operations fail, are lost or late, and over a real file
 * that tar reads. Power cuts: test_conf_cut.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "tests/unit/conf_disk.h"
#include "util/cleanup.h"

static void test_generations(void **state)
{
	static const struct conf_place never;

	assert_int_equal(read_volume(), -ENODATA);
	assert_int_equal(write_volume(1, &never), 0);
	assert_int_equal(disk.transfer.place.generation, 1);
	assert_int_equal(number_of(&disk.transfer.archive), 1); /* as it was read back */
	for (unsigned i = 2; i < 9; i++) {
		uint32_t slot = disk.transfer.place.first;

		assert_int_equal(write_volume(i, &disk.transfer.place), 0);
		assert_int_equal(disk.transfer.place.generation, i);
		assert_int_not_equal(disk.transfer.place.first, slot);
		assert_int_equal(number_read(), i);
		assert_int_equal(number_by_tar(), i);
		assert_string_equal(disk.transfer.cause, "");
	}
}

/* The archive that was found may be changed and written. */
static void test_change_what_was_found(void **state)
{
	assert_int_equal(write_volume(1, NULL), 0);
	assert_int_equal(conf_archive_set(&disk.transfer.archive, CONF_ENTRY_BROKER, "[email]\n", 8), 0);
	disk_begin();
	assert_int_equal(conf_write(&disk.transfer, &disk.transfer.archive, &disk.transfer.place), 0);
	assert_int_equal(disk_finish(), 0);
	assert_int_equal(number_read(), 1);
	assert_string_equal(disk.transfer.archive.texts[CONF_ENTRY_BROKER].text, "[email]\n");
	assert_int_equal(disk.transfer.place.generation, 2);
}

static void test_failed_operations(void **state)
{
	for (unsigned at = 0;; at++) {
		unsigned number;

		memset(disk.bytes, 0, sizeof(disk.bytes));
		disk.fail_at = ENDLESS;
		assert_int_equal(write_volume(1, NULL), 0);
		disk.fail_at = at;
		if (write_volume(2, NULL) == 0) {
			assert_int_equal(at, disk.ops);
			assert_true(at > 8);
			break;
		}
		assert_int_equal(disk.error, -EIO);
		assert_int_equal(disk.ops, at + 1); /* nothing after it */
		disk.fail_at = ENDLESS;
		number = number_read();
		assert_true(number == 1 || number == 2);
	}
	for (unsigned at = 0; at < 3; at++) {
		disk.fail_at = at;
		assert_int_equal(read_volume(), -EIO);
	}
}

static void test_deadline(void **state)
{
	struct conf_archive archive;

	assert_int_equal(write_volume(1, NULL), 0);
	for (unsigned after = 1; after < 9; after++) {
		disk.ms_per_op = 1000 / after;
		assert_int_equal(write_volume(2, NULL), -ETIMEDOUT);
		assert_in_range(disk.ops, after, after + 1); /* and op_begin() saw none after it */
		disk.ms_per_op = 0;
		assert_in_range(number_read(), 1, 2);
	}
	make_archive(3, &archive);
	disk_begin();
	disk.transfer.deadline = disk.now;
	assert_int_equal(conf_read(&disk.transfer), -ETIMEDOUT);
	assert_int_equal(conf_write(&disk.transfer, &archive, NULL), -ETIMEDOUT);
	assert_int_equal(disk.ended, 0);
	assert_null(disk.transfer.packed);
	conf_archive_done(&archive);
}

static void test_somebody_else_wrote(void **state)
{
	struct conf_place place = {0};

	disk_put_plain(5);
	assert_int_equal(write_volume(6, &place), -ESTALE); /* not empty */
	assert_int_equal(disk.writes, 0);
	assert_int_equal(number_read(), 5);
	place = disk.transfer.place;
	disk_put_plain(4);
	assert_int_equal(write_volume(6, &place), -ESTALE);
	assert_int_equal(number_read(), 4);
	place = disk.transfer.place;
	assert_int_equal(write_volume(6, &place), 0);
	assert_int_equal(write_volume(7, &place), -ESTALE);
	assert_int_equal(disk.writes, 0);
	assert_int_equal(number_read(), 6);
}

static void test_lost_writes(void **state)
{
	/* The archive's blocks: it doesn't read back. One head: the other tells. */
	static const int errors[] = {-EIO, -EIO, -EIO, 0, 0};

	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		memset(disk.bytes, 0x42, sizeof(disk.bytes));
		assert_int_equal(write_volume(1, NULL), 0);
		disk.lose_at = i;
		assert_int_equal(write_volume(2, NULL), errors[i]);
		assert_int_equal(disk.writes, 5);
		disk.lose_at = ENDLESS;
	}
}

static void other_done(struct conf_transfer *transfer, int error)
{
	assert_int_equal(error, 0);
	transfer->store = NULL;
}

/* Between the heads and the archive others write so often that the slot is another's. */
static void overtake(unsigned op)
{
	if (op != 2)
		return;
	disk.before = NULL;
	for (unsigned i = 3; i < 6; i++) {
		struct conf_transfer other = {.done = other_done,
					      .store = &disk.store,
					      .clock = &disk.clock,
					      .deadline = disk.now + 1000};
		struct conf_archive archive;

		make_archive(i, &archive);
		disk.writes = 0;
		assert_int_equal(conf_write(&other, &archive, NULL), 0);
		while (other.store) {
			struct store_op *now = TAKE_PTR(disk.op);

			now->done(now, 0);
		}
		conf_transfer_done(&other);
		conf_archive_done(&archive);
	}
}

static void test_overtaken_reader(void **state)
{
	assert_int_equal(write_volume(1, NULL), 0);
	disk.before = overtake;
	assert_int_equal(number_read(), 5);
	assert_null(disk.before);
	assert_int_equal(disk.ops, 6); /* its second try */
	assert_string_equal(disk.transfer.cause, "");
}

static void test_damage(void **state)
{
	static const struct conf_place never;

	/* Another one's volume. */
	memset(disk.bytes, 0x42, sizeof(disk.bytes));
	assert_int_equal(read_volume(), -EBADMSG);
	assert_string_equal(disk.transfer.cause, "neither a head nor an archive");
	assert_int_equal(write_volume(1, &never), -EBADMSG);
	assert_int_equal(disk.writes, 0);
	/* By an operator's command. */
	assert_int_equal(write_volume(1, NULL), 0);
	assert_int_equal(number_read(), 1);
	/* A rotten archive. */
	disk.bytes[disk.transfer.place.first * BLOCK_SIZE + 600] ^= 1;
	assert_int_equal(read_volume(), -EBADMSG);
	assert_string_equal(disk.transfer.cause, "generation 1: bad CRC");
	assert_int_equal(write_volume(2, &disk.transfer.place), -EBADMSG);
	assert_int_equal(write_volume(2, NULL), 0);
	assert_int_equal(disk.transfer.place.generation, 2);
	disk.bytes[disk.transfer.place.first * BLOCK_SIZE + 600] ^= 1;
	assert_int_equal(read_volume(), -EBADMSG);
	/* A plain archive that lacks something. */
	memset(disk.bytes, 0, sizeof(disk.bytes));
	assert_int_equal(read_volume(), -ENODATA);
	assert_string_equal(disk.transfer.cause, "");
	disk_put_plain(1);
	memset(disk.bytes + 1024, 0, 8192);
	assert_int_equal(read_volume(), -EBADMSG);
	assert_string_equal(disk.transfer.cause, "hosted-engine.conf: missing");
}

/* The real store, and real tars on the other side. */
static struct loop *loop;

static void stop(struct conf_transfer *transfer, int error)
{
	disk.error = error;
	loop_stop(loop);
}

static int run_tar(const char *format, const char *directory, char ret[2 * BLOCK_SIZE])
{
	char command[512];
	_cleanup_free_ char *here = realpath(directory, NULL);
	FILE *pipe;
	size_t size;

	snprintf(command, sizeof(command), "cd '%s' && ", here);
	strncat(command, format, sizeof(command) - strlen(command) - 1);
	pipe = popen(command, "re");
	assert_non_null(pipe);
	size = fread(ret, 1, 2 * BLOCK_SIZE - 1, pipe);
	ret[size] = '\0';
	return pclose(pipe);
}

static void test_real_file(void **state)
{
	char directory[] = "test_conf_transfer.XXXXXX", spec[512], out[2 * BLOCK_SIZE];
	struct conf_transfer transfer = {.done = stop};
	struct conf_archive archive;

	assert_non_null(mkdtemp(directory));
	_cleanup_free_ char *here = realpath(directory, NULL);
	assert_int_equal(loop_new(&loop), 0);
	snprintf(spec, sizeof(spec), "%s/volume", here);
	assert_int_equal(store_path_new(spec, loop, &transfer.store), 0);
	transfer.clock = loop_clock(loop);
	transfer.deadline = transfer.clock->now(transfer.clock) + 30000;

	assert_int_equal(conf_read(&transfer), 0);
	loop_run(loop);
	assert_int_equal(disk.error, -ENOENT);
	assert_int_equal(
		run_tar("for f in version hosted-engine.conf broker.conf vm.conf fhanswers.conf; do echo of "
			"$f >$f; done; "
			"tar -cf volume version hosted-engine.conf broker.conf vm.conf fhanswers.conf",
			directory, out),
		0);
	assert_int_equal(conf_read(&transfer), 0);
	loop_run(loop);
	assert_int_equal(disk.error, 0);
	assert_int_equal(transfer.place.generation, 0);
	assert_string_equal(transfer.archive.texts[CONF_ENTRY_BROKER].text, "of broker.conf\n");

	make_archive(2, &archive);
	for (unsigned i = 1; i < 4; i++) {
		assert_int_equal(conf_write(&transfer, &archive, &transfer.place), 0);
		loop_run(loop);
		assert_int_equal(disk.error, 0);
		assert_int_equal(transfer.place.generation, i);
		assert_int_equal(run_tar("dd if=volume bs=4k status=none | tar -tf -", directory, out), 0);
		assert_string_equal(out, "generation\nversion\nhosted-engine.conf\nbroker.conf\nvm.conf\n"
					 "fhanswers.conf\n");
		assert_int_equal(run_tar("tar -xOf volume vm.conf", directory, out), 0);
		assert_string_equal(out, archive.texts[CONF_ENTRY_VM].text);
	}
	conf_archive_done(&archive);
	transfer.store->close(transfer.store);
	conf_transfer_done(&transfer);
	loop_free(loop);
	assert_int_equal(run_tar("rm version *.conf volume", directory, out), 0);
	assert_int_equal(rmdir(directory), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, disk_setup, disk_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_generations),		TEST(test_change_what_was_found),
		TEST(test_failed_operations),	TEST(test_deadline),
		TEST(test_somebody_else_wrote), TEST(test_lost_writes),
		TEST(test_overtaken_reader),	TEST(test_damage),
		TEST(test_real_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
