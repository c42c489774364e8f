/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sizes and places of a domain's areas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "storage/domain_layout.h"

#define MIB DOMAIN_MIB
#define WHITEBOARD (2002 * 4096)

static void test_files(void **state)
{
	static const struct {
		const char *name;
		unsigned sector_size;
		uint64_t disk;
		int r;
		uint64_t alignment, sizes[AREA_COUNT];
	} rows[] = {
		{"512", 512, 1000, 0, MIB, {MIB, 3 * MIB, WHITEBOARD, 4 * MIB, 1024}},
		{"4096", 4096, 64 * MIB, 0, 8 * MIB, {8 * MIB, 24 * MIB, WHITEBOARD, 4 * MIB, 64 * MIB}},
		{"no such sectors", 2048, MIB, -EINVAL, 0, {0}},
		{"no sectors", 0, MIB, -EINVAL, 0, {0}},
		{"no disk", 512, 0, -EINVAL, 0, {0}},
		{"a disk beyond all", 512, UINT64_MAX, -EINVAL, 0, {0}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct domain_layout layout = {.sector_size = 7};

		print_message("# %s\n", rows[i].name);
		assert_int_equal(domain_layout_files(rows[i].sector_size, rows[i].disk, &layout), rows[i].r);
		assert_int_equal(layout.sector_size, rows[i].r == 0 ? rows[i].sector_size : 7);
		for (int area = 0; rows[i].r == 0 && area < AREA_COUNT; area++) {
			assert_int_equal(layout.areas[area].size, rows[i].sizes[area]);
			assert_int_equal(layout.areas[area].offset, 0);
		}
		if (rows[i].r == 0)
			assert_int_equal(layout.alignment, rows[i].alignment);
	}
}

static void test_lun(void **state)
{
	/* In MiB: 512 takes 1 for the table, then 1 + 3 + 8 + 4 and the disk, and 64 KiB behind. */
	static const struct {
		const char *name;
		unsigned sector_size;
		uint64_t size, disk;
		int r;
		uint64_t disk_at, disk_size, needed;
	} rows[] = {
		{"the rest", 512, 100 * MIB, 0, 0, 17 * MIB, 82 * MIB, 0},
		{"a size", 512, 100 * MIB, 10 * MIB + 1, 0, 17 * MIB, 11 * MIB, 0},
		{"just fits", 512, 18 * MIB + 65536, 0, 0, 17 * MIB, MIB, 0},
		{"a byte less", 512, 18 * MIB + 65535, 0, -ENOSPC, 0, 0, 18 * MIB + 65536},
		{"nothing", 512, 0, 0, -ENOSPC, 0, 0, 18 * MIB + 65536},
		{"the disk is too large", 512, 100 * MIB, 83 * MIB, -ENOSPC, 0, 0, 100 * MIB + 65536},
		{"4096", 4096, 100 * MIB, 0, 0, 56 * MIB, 40 * MIB, 0},
		{"4096, too small", 4096, 60 * MIB, 0, -ENOSPC, 0, 0, 64 * MIB + 65536},
		{"no such sectors", 1024, 100 * MIB, 0, -EINVAL, 0, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct domain_layout layout = {.sector_size = 7};
		uint64_t needed = 0, end = 0;

		print_message("# %s\n", rows[i].name);
		assert_int_equal(
			domain_layout_lun(rows[i].sector_size, rows[i].size, rows[i].disk, &layout, &needed),
			rows[i].r);
		assert_int_equal(needed, rows[i].needed);
		if (rows[i].r != 0) {
			assert_int_equal(layout.sector_size, 7);
			continue;
		}
		for (int area = 0; area < AREA_COUNT; area++) {
			assert_true(layout.areas[area].offset >= (area ? end : layout.alignment));
			assert_int_equal(layout.areas[area].offset % layout.alignment, 0);
			end = layout.areas[area].offset + layout.areas[area].size;
		}
		assert_true(end + 33 * 512 <= rows[i].size);
		assert_int_equal(layout.areas[AREA_DISK].offset, rows[i].disk_at);
		assert_int_equal(layout.areas[AREA_DISK].size, rows[i].disk_size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_lun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
