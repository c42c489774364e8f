/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Carries the volume of the tests of the shared configuration; ends no operation by itself, and fails the
 * test that begins one after its deadline or beside another. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/conf_disk.h"
#include "util/cleanup.h"

struct conf_disk disk;

static int op_begin(struct store_op *op)
{
	assert_null(disk.op);
	assert_true(disk.now < op->deadline);
	disk.op = op;
	return 0;
}

static int store_read(struct store *store, enum store_queue queue, uint32_t first, uint32_t count,
		      uint8_t *blocks, struct store_op *op)
{
	assert_true(count > 0 && first + count <= CONF_VOLUME_BLOCKS);
	if (disk.before)
		disk.before(disk.ops);
	memcpy(blocks, disk.bytes + (size_t)first * BLOCK_SIZE, (size_t)count * BLOCK_SIZE);
	return op_begin(op);
}

static int store_write(struct store *store, enum store_queue queue, uint32_t block, const uint8_t *data,
		       struct store_op *op)
{
	assert_true(block < CONF_VOLUME_BLOCKS && disk.writes < WRITES_MAX);
	disk.log[disk.writes].block = block;
	memcpy(disk.log[disk.writes].data, data, BLOCK_SIZE);
	if (disk.writes != disk.lose_at && disk.ops != disk.fail_at)
		memcpy(disk.bytes + (size_t)block * BLOCK_SIZE, data, BLOCK_SIZE);
	disk.writes++;
	return op_begin(op);
}

static mono_t clock_now(struct clock_port *port)
{
	return disk.now;
}

static void done(struct conf_transfer *transfer, int error)
{
	assert_ptr_equal(transfer, &disk.transfer);
	disk.ended++;
	disk.error = error;
}

int disk_finish(void)
{
	while (disk.ended == 0) {
		struct store_op *op = TAKE_PTR(disk.op);

		assert_non_null(op);
		disk.now += disk.ms_per_op;
		op->done(op, disk.ops++ == disk.fail_at ? -EIO : 0);
	}
	assert_int_equal(disk.ended, 1);
	assert_null(disk.op);
	assert_null(disk.transfer.packed);
	assert_null(disk.transfer.blocks);
	return disk.error;
}

void disk_begin(void)
{
	disk.ended = disk.ops = disk.writes = 0;
	disk.transfer.deadline = disk.now + 1000;
}

int read_volume(void)
{
	disk_begin();
	assert_int_equal(conf_read(&disk.transfer), 0);
	return disk_finish();
}

void make_archive(unsigned number, struct conf_archive *ret)
{
	char text[2 * BLOCK_SIZE];

	memset(text, 'a' + (int)number % 26, sizeof(text));
	*ret = (struct conf_archive){0};
	assert_int_equal(conf_archive_set(ret, CONF_ENTRY_VM, text, 3000 + 700 * (number % 3)), 0);
	snprintf(text, sizeof(text), "%u", number);
	assert_int_equal(conf_archive_set(ret, CONF_ENTRY_VERSION, text, strlen(text)), 0);
}

int write_volume(unsigned number, const struct conf_place *expected)
{
	struct conf_archive archive;
	int r;

	make_archive(number, &archive);
	disk_begin();
	r = conf_write(&disk.transfer, &archive, expected);
	conf_archive_done(&archive);
	assert_int_equal(r, 0);
	return disk_finish();
}

unsigned number_of(const struct conf_archive *found)
{
	const char *version = found->texts[CONF_ENTRY_VERSION].text;
	unsigned number = (unsigned)strtoul(version, NULL, 10);
	struct conf_archive want;

	make_archive(number, &want);
	assert_string_equal(found->texts[CONF_ENTRY_VERSION].text, want.texts[CONF_ENTRY_VERSION].text);
	assert_string_equal(found->texts[CONF_ENTRY_VM].text, want.texts[CONF_ENTRY_VM].text);
	conf_archive_done(&want);
	return number;
}

unsigned number_read(void)
{
	int r = read_volume();

	if (r != 0)
		fail_msg("not read: %d, %s", r, disk.transfer.cause);
	return number_of(&disk.transfer.archive);
}

unsigned number_by_tar(void)
{
	struct conf_archive found;
	char cause[CONF_CAUSE_SIZE];
	unsigned number;

	if (conf_archive_unpack(disk.bytes, sizeof(disk.bytes), &found, cause) < 0)
		return 0;
	number = number_of(&found);
	conf_archive_done(&found);
	return number;
}

int disk_setup(void **state)
{
	memset(&disk, 0, sizeof(disk));
	disk.store = (struct store){.read = store_read, .write = store_write};
	disk.clock.now = clock_now;
	disk.fail_at = disk.lose_at = ENDLESS;
	disk.transfer = (struct conf_transfer){.done = done, .store = &disk.store, .clock = &disk.clock};
	return 0;
}

int disk_teardown(void **state)
{
	conf_transfer_done(&disk.transfer);
	return 0;
}

void disk_put_plain(unsigned number)
{
	_cleanup_free_ uint8_t *packed = NULL;
	struct conf_archive archive;
	size_t size;

	make_archive(number, &archive);
	assert_int_equal(conf_archive_pack(&archive, &packed, &size), 0);
	memcpy(disk.bytes, packed, size);
	conf_archive_done(&archive);
}
