/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Power cuts at any byte, in any order of sectors, again and again, in the writing of a generation; and
 * writes that land late. Each time one whole generation is to be read. */
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

static void from_empty(void)
{
}

static void from_older_version(void)
{
	disk_put_plain(1);
}

static void from_first(void)
{
	write_volume(1, NULL);
}

static void from_fourth(void)
{
	for (unsigned i = 0; i < 4; i++)
		write_volume(1, NULL);
}

static void from_spare_only(void)
{
	from_fourth();
	memset(disk.bytes + 300, 0x5a, 300); /* a torn first head */
}

static void from_first_only(void)
{
	from_fourth();
	memset(disk.bytes + CONF_SPARE_BLOCK * BLOCK_SIZE + 300, 0x5a, 300);
}

static void from_unswitched(void)
{
	uint8_t head[BLOCK_SIZE];

	from_fourth();
	memcpy(head, disk.bytes, sizeof(head));
	write_volume(1, NULL);
	memcpy(disk.bytes, head, sizeof(head));
}

static void from_overwritten_by_older(void)
{
	from_fourth();
	disk_put_plain(1);
}

static void from_older_cut(void)
{
	from_fourth();
	disk_put_plain(3);
	memset(disk.bytes + 2000, 0xff, 600);
}

static const struct before {
	const char *name;
	void (*make)(void);
	bool whole;  /* there is an old generation */
	bool by_tar; /* and a plain tar finds it */
} befores[] = {
	{"empty volume", from_empty, false, false},
	{"archive of an older version", from_older_version, true, true},
	{"first generation", from_first, true, true},
	{"fourth generation", from_fourth, true, true},
	{"first head torn", from_spare_only, true, false},
	{"spare head torn", from_first_only, true, true},
	{"cut before the switch", from_unswitched, true, true},
	{"overwritten by an older version", from_overwritten_by_older, true, true},
	{"cut while an older version wrote", from_older_cut, true, false},
};
#define BEFORES (sizeof(befores) / sizeof(befores[0]))

/* What is to be read at each moment of the writing of archive 2: 1 until it is 2, and 2 from then on. */
static void check_moment(const struct before *before, uint32_t block, size_t at, unsigned *seen)
{
	int r = read_volume();
	unsigned number = r == 0 ? number_of(&disk.transfer.archive) : 0;

	if (number == 0 && (before->whole || (r != -ENODATA && r != -EBADMSG)))
		fail_msg("%s, block %u at %zu: %d, %s", before->name, block, at, r, disk.transfer.cause);
	if (number > 2 || number < *seen)
		fail_msg("%s, block %u at %zu: %u after %u", before->name, block, at, number, *seen);
	*seen = number;
}

/* Lets `before` be, and writes archive 2. Afterwards the disk is as before and the log has what is written.
 */
static unsigned record_writing(const struct before *before)
{
	static uint8_t old[sizeof(disk.bytes)];
	unsigned writes;

	memset(disk.bytes, 0, sizeof(disk.bytes));
	before->make();
	if (before->whole)
		assert_int_equal(number_read(), 1);
	memcpy(old, disk.bytes, sizeof(old));
	assert_int_equal(write_volume(2, NULL), 0);
	assert_int_equal(number_by_tar(), 2);
	writes = disk.writes;
	memcpy(disk.bytes, old, sizeof(old));
	return writes;
}

/* Every byte where heads have contents or end, every sector, and some within. */
static bool is_cut(uint32_t block, size_t at)
{
	bool head = block == CONF_FIRST_BLOCK || block == CONF_SPARE_BLOCK;

	return (head && at <= 700) || at % SECTOR == 0 || at % 97 == 0;
}

static void test_cut_at_every_byte(void **state)
{
	for (size_t i = 0; i < BEFORES; i++) {
		unsigned writes = record_writing(&befores[i]), seen = 0;
		static struct written log[WRITES_MAX];

		memcpy(log, disk.log, sizeof(log));
		assert_true(writes >= 4);
		for (unsigned j = 0; j < writes; j++) {
			uint8_t *block = disk.bytes + (size_t)log[j].block * BLOCK_SIZE;

			for (size_t at = 0; at < BLOCK_SIZE; at++) {
				if (is_cut(log[j].block, at))
					check_moment(&befores[i], log[j].block, at, &seen);
				block[at] = log[j].data[at];
			}
			check_moment(&befores[i], log[j].block, BLOCK_SIZE, &seen);
		}
		assert_int_equal(seen, 2);
	}
}

/* Sectors of one block may come on the disk in any order. The plain tar that others read switches with one.
 */
static void test_any_sectors_of_a_block(void **state)
{
	for (size_t i = 0; i < BEFORES; i++) {
		unsigned writes = record_writing(&befores[i]);
		static struct written log[WRITES_MAX];

		memcpy(log, disk.log, sizeof(log));
		for (unsigned j = 0; j < writes; j++) {
			uint8_t *block = disk.bytes + (size_t)log[j].block * BLOCK_SIZE, old[BLOCK_SIZE];

			memcpy(old, block, sizeof(old));
			for (unsigned mask = 0; mask < 1u << SECTORS; mask++) {
				unsigned seen = 0;

				for (size_t k = 0; k < SECTORS; k++)
					memcpy(block + k * SECTOR,
					       (mask >> k & 1 ? log[j].data : old) + k * SECTOR, SECTOR);
				check_moment(&befores[i], log[j].block, mask, &seen);
				if (befores[i].by_tar && number_by_tar() == 0)
					fail_msg("%s, block %u, sectors %x: no tar", befores[i].name,
						 log[j].block, mask);
			}
			memcpy(block, log[j].data, sizeof(old));
		}
	}
}

/* A power cut in a writing, and one in the writing after that, and so on. */
static void test_cut_again_and_again(void **state)
{
	unsigned last = 1, switched = 0;

	write_volume(1, NULL);
	srandom(1);
	for (unsigned i = 2; i < 2000; i++) {
		static uint8_t old[sizeof(disk.bytes)];
		static struct written log[WRITES_MAX];
		unsigned writes, cut, number;

		memcpy(old, disk.bytes, sizeof(old));
		assert_int_equal(write_volume(i, NULL), 0);
		writes = disk.writes;
		memcpy(log, disk.log, sizeof(log));
		memcpy(disk.bytes, old, sizeof(old));
		cut = (unsigned)random() % writes;
		for (unsigned j = 0; j < cut; j++)
			memcpy(disk.bytes + (size_t)log[j].block * BLOCK_SIZE, log[j].data, BLOCK_SIZE);
		for (size_t k = 0; k < SECTORS; k++)
			if (random() % 2)
				memcpy(disk.bytes + (size_t)log[cut].block * BLOCK_SIZE + k * SECTOR,
				       log[cut].data + k * SECTOR, SECTOR);
		number = number_read();
		assert_true(number == last || number == i);
		switched += number == i;
		last = number;
	}
	assert_true(switched > 100 && switched < 1900);
}

/* A write of a head that was given up lands after others have written. */
static void test_late_head(void **state)
{
	for (unsigned which = 0; which < 2; which++) {
		for (unsigned later = 1; later < 4; later++) {
			static struct written late;

			memset(disk.bytes, 0, sizeof(disk.bytes));
			assert_int_equal(write_volume(1, NULL), 0);
			disk.lose_at =
				3 + which; /* behind the archive's blocks the spare head, the first head */
			assert_int_equal(write_volume(20, NULL), 0);
			disk.lose_at = ENDLESS;
			late = disk.log[3 + which];
			for (unsigned i = 0; i < later; i++)
				assert_int_equal(write_volume(2 + i, NULL), 0);
			memcpy(disk.bytes + (size_t)late.block * BLOCK_SIZE, late.data, BLOCK_SIZE);
			assert_int_equal(number_read(), 1 + later);
			assert_int_equal(write_volume(9, &disk.transfer.place), 0);
			assert_int_equal(number_by_tar(), 9);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cut_at_every_byte, disk_setup, disk_teardown),
		cmocka_unit_test_setup_teardown(test_any_sectors_of_a_block, disk_setup, disk_teardown),
		cmocka_unit_test_setup_teardown(test_cut_again_and_again, disk_setup, disk_teardown),
		cmocka_unit_test_setup_teardown(test_late_head, disk_setup, disk_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
