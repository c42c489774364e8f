/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Domains on real loop devices and images: read back by other people's programs; what is refused and how it
 * is named; faults and power cuts at every write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/domain.h"
#include "tests/unit/storage_place.h"
#include "tests/unit/write_fault.h"

#define UUID "0c33e9c5-5bd8-4f4e-8f5c-0123456789ab"
#define OTHER "99999999-5bd8-4f4e-8f5c-0123456789ab"
#define MIB DOMAIN_MIB

static struct domain_request request_of(const struct storage_place *place)
{
	return (struct domain_request){
		.path = place->disk,
		.identity = {UUID, "hosted-engine"},
		.io_timeout_s = 1,
	};
}

static void assert_says(const char *output, const char *wanted)
{
	if (!strstr(output, wanted))
		fail_msg("no '%s' in %s", wanted, output);
}

/* sfdisk has the partitions where `domain` has them, and sanlock finds its leases there. */
static void check_by_others(const struct storage_place *place, const struct domain *domain)
{
	static const char *const leases[] = {"engine", "whiteboard", "conf"};
	const char *align = domain->sector_size == 512 ? "1M" : "8M";
	bool table = strcmp(place->disk, place->image) != 0 || domain->sector_size == 512;
	char line[512], *output;

	/* Of an image sfdisk takes the sectors for 512 bytes. */
	assert_true(
		place_run(place, table ? "sfdisk --verify $DISK && sfdisk --dump $DISK" : "true", &output));
	for (int i = 0; i < AREA_COUNT; i++) {
		assert_int_equal(domain->areas[i].offset % domain->alignment, 0);
		if (!table)
			continue;
		snprintf(line, sizeof(line),
			 "start=%12" PRIu64 ", size=%12" PRIu64
			 ", type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=",
			 domain->areas[i].offset / domain->sector_size,
			 domain->areas[i].size / domain->sector_size);
		assert_says(output, line);
		snprintf(line, sizeof(line), "name=\"ovirt-ha-%s\"", domain_area_names[i]);
		assert_says(output, line);
	}
	free(output);
	for (size_t i = 0; i < DOMAIN_LEASES; i++) {
		snprintf(line, sizeof(line), "sanlock direct dump $DISK:%" PRIu64 ":%" PRIu64 " -Z %u -A %s",
			 domain->areas[AREA_LEASES].offset + i * domain->alignment, domain->alignment,
			 domain->sector_size, align);
		assert_true(place_run(place, line, &output));
		snprintf(line, sizeof(line), " %s ", leases[i]);
		assert_says(output, line);
		free(output);
	}
	for (int id = 1; id <= 2000; id += 1999) { /* the first and the last host */
		snprintf(line, sizeof(line),
			 "sanlock direct read_leader -s hosted-engine:%d:$DISK:%" PRIu64 " -Z %u -A %s", id,
			 domain->areas[AREA_LOCKSPACE].offset, domain->sector_size, align);
		assert_true(place_run(place, line, &output));
		assert_says(output, "read_leader done 0");
		assert_says(output, "io_timeout 1\n");
		free(output);
	}
}

static void test_real(void **state)
{
	static const struct {
		const char *name;
		unsigned sectors, image_sectors;
		uint64_t size, disk;
	} rows[] = {
		{"loop device, 512", 512, 0, 40 * MIB, 0},
		{"loop device, 4096", 4096, 0, 80 * MIB, 0},
		{"loop device, a disk of a size", 512, 0, 40 * MIB, 3 * MIB},
		{"image", 0, 0, 40 * MIB, 0},
		{"image, 4096", 0, 4096, 80 * MIB, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static struct domain domain, again;
		struct storage_place place;
		struct domain_request request;
		char why[DOMAIN_WHY_SIZE] = "";
		uint8_t *bytes;
		size_t size;

		print_message("# %s\n", rows[i].name);
		place_open(&place, rows[i].size, rows[i].sectors, false);
		/* What an earlier life of the LUN may have left in the middle of it. */
		for (uint64_t at = 2 * MIB; at < rows[i].size - 2 * MIB; at += MIB / 2)
			place_put(&place, at, "leftover", 8);
		request = request_of(&place);
		request.disk_size = rows[i].disk;
		request.sector_size = rows[i].image_sectors;
		assert_int_equal(domain_read(place.disk, request.sector_size, &domain, why), -ENODATA);
		if (domain_format(&request, &domain, why) < 0)
			fail_msg("%s", why);
		assert_int_equal(domain.sector_size,
				 rows[i].sectors == 4096 || rows[i].image_sectors == 4096 ? 4096 : 512);
		assert_string_equal(domain.identity.domain, UUID);
		assert_string_equal(domain.identity.lockspace, "hosted-engine");
		assert_false(domain.files);
		assert_string_equal(domain.areas[AREA_LEASES].path, place.disk);
		if (rows[i].disk)
			assert_int_equal(domain.areas[AREA_DISK].size, rows[i].disk);
		check_by_others(&place, &domain);
		assert_int_equal(domain_read(place.disk, request.sector_size, &again, why), 0);
		assert_memory_equal(&domain, &again, sizeof(domain));

		/* The whiteboard: nothing but its identity; conf and the begin of the disk: nothing. */
		bytes = place_read(&place, &size);
		for (uint64_t at = 0; at < 2002 * 4096; at++)
			if (at / 4096 != IDENTITY_BLOCK)
				assert_int_equal(bytes[domain.areas[AREA_METADATA].offset + at], 0);
		for (uint64_t at = 0; at < MIB; at++) {
			assert_int_equal(bytes[domain.areas[AREA_CONF].offset + at], 0);
			assert_int_equal(bytes[domain.areas[AREA_DISK].offset + at], 0);
		}
		free(bytes);

		/* It is not laid out again over itself, and asked to it is. */
		assert_int_equal(domain_format(&request, &domain, why), -EEXIST);
		assert_non_null(strstr(why, "gpt partition table"));
		request.force = true;
		strcpy(request.identity.domain, OTHER);
		assert_int_equal(domain_format(&request, &domain, why), 0);
		assert_string_equal(domain.identity.domain, OTHER);
		place_close(&place);
	}
}

static void put_bytes(const struct storage_place *place, const char *what)
{
	uint8_t lvm[512] = "LABELONE", luks[512] = {'L', 'U', 'K', 'S', 0xba, 0xbe, 0, 1};

	if (strcmp(what, "lvm") == 0) {
		lvm[8] = 1;   /* its own sector */
		lvm[20] = 32; /* where the header begins */
		memcpy(lvm + 24, "LVM2 001", 8);
		memcpy(lvm + 32, "abcdefghijklmnopqrstuvwxyz012345", 32);
		place_put(place, 512, lvm, sizeof(lvm));
	} else if (strcmp(what, "luks") == 0) {
		memcpy(luks + 168, UUID, 36);
		place_put(place, 0, luks, sizeof(luks));
	} else if (strcmp(what, "first") == 0) {
		place_put(place, MIB - 1, "x", 1);
	} else if (strcmp(what, "last") == 0) {
		place_put(place, 40 * MIB - 7, "x", 1);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *name, *bytes, *command, *says;
	} rows[] = {
		{"filesystem", NULL, "mke2fs -q -t ext4 -L 'my data' $DISK", "ext4 filesystem \"my data\""},
		{"swap", NULL, "mkswap $DISK", "holds swap"},
		{"GPT", NULL, "echo 'label: gpt\nsize=1M' | sfdisk -q $DISK", "gpt partition table"},
		{"GPT without the first copy", NULL,
		 "echo 'label: gpt\nsize=1M' | sfdisk -q $DISK && dd status=none if=/dev/zero of=$DISK bs=1M "
		 "count=1",
		 "gpt partition table"},
		{"MBR", NULL, "echo 'label: dos\nsize=1M' | sfdisk -q $DISK", "dos partition table"},
		{"LVM", "lvm", NULL, "holds LVM2_member"},
		{"LUKS", "luks", NULL, "holds crypto_LUKS"},
		{"sanlock lockspace", NULL, "sanlock direct init -s x:0:$DISK:0", "holds sanlock lockspace"},
		{"sanlock lease", NULL, "sanlock direct init -r x:y:$DISK:0", "holds sanlock lease"},
		{"unknown bytes in front", "first", NULL, "data of no known kind in the first MiB"},
		{"unknown bytes at the end", "last", NULL, "data of no known kind in the last MiB"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static struct domain domain;
		struct storage_place place;
		struct domain_request request;
		char why[DOMAIN_WHY_SIZE] = "";
		uint8_t *before, *after;
		size_t size;

		print_message("# %s\n", rows[i].name);
		place_open(&place, 40 * MIB, 512, false);
		if (rows[i].bytes)
			put_bytes(&place, rows[i].bytes);
		else
			assert_true(place_run(&place, rows[i].command, NULL));
		before = place_read(&place, &size);
		request = request_of(&place);
		assert_int_equal(domain_format(&request, &domain, why), -EEXIST);
		if (!strstr(why, rows[i].says) || !strstr(why, place.disk))
			fail_msg("%s", why);
		after = place_read(&place, &size);
		assert_memory_equal(before, after, size);
		free(before);
		free(after);

		request.force = true;
		assert_int_equal(domain_format(&request, &domain, why), 0);
		check_by_others(&place, &domain);
		place_close(&place);
	}
}

static void test_unfit(void **state)
{
	static struct domain domain;
	struct storage_place place;
	struct domain_request request;
	char why[DOMAIN_WHY_SIZE];
	uint8_t *bytes;
	size_t size;
	int fd, ends[2];
	pid_t child;
	char byte;

	(void)state;
	place_open(&place, 18 * MIB, 512, false);
	request = request_of(&place);
	request.force = true;
	assert_int_equal(domain_format(&request, &domain, why), -ENOSPC);
	assert_non_null(strstr(why, "it has 18874368 bytes, the domain takes 18939904"));
	bytes = place_read(&place, &size);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(bytes[i], 0);
	free(bytes);
	place_close(&place);

	place_open(&place, 40 * MIB, 512, true);
	request = request_of(&place);
	request.force = true;
	assert_int_equal(domain_format(&request, &domain, why), -EROFS);
	assert_non_null(strstr(why, "is read-only"));
	place_close(&place);

	/* As mounting it, LVM or multipath would hold it. */
	place_open(&place, 40 * MIB, 512, false);
	fd = open(place.disk, O_RDONLY | O_EXCL | O_CLOEXEC);
	assert_true(fd >= 0);
	request = request_of(&place);
	request.force = true;
	assert_int_equal(domain_format(&request, &domain, why), -EBUSY);
	assert_non_null(strstr(why, "in use on this host"));
	close(fd);
	/* The file below it, and as sanlock and QEMU have disks: not for themselves. */
	request.path = place.image;
	assert_int_equal(domain_format(&request, &domain, why), -EBUSY);
	assert_non_null(strstr(why, "is in use on this host by /dev/loop"));
	request.path = place.disk;
	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		(void)!write(ends[1], open(place.disk, O_RDWR) < 0 ? "n" : "y", 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(domain_format(&request, &domain, why), -EBUSY);
	assert_non_null(strstr(why, "is in use on this host by test_domain_lun (process"));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(domain_format(&request, &domain, why), 0);
	place_close(&place);
}

static void test_requests(void **state)
{
	static const struct {
		const char *name, *path, *domain, *lockspace;
		uint32_t io_timeout_s;
		int r;
	} rows[] = {
		{"no uuid", NULL, "mine", "hosted-engine", 10, -EINVAL},
		{"half a uuid", NULL, "0c33e9c5-5bd8-4f4e-8f5c", "hosted-engine", 10, -EINVAL},
		{"a uuid without dashes", NULL, "0c33e9c5x5bd8x4f4ex8f5cx0123456789ab", "a", 10, -EINVAL},
		{"no lockspace", NULL, UUID, "", 10, -EINVAL},
		{"a long lockspace", NULL, UUID, "123456789012345678901234567890123456789012345678", 10,
		 -EINVAL},
		{"a colon", NULL, UUID, "a:b", 10, -EINVAL},
		{"no timeout", NULL, UUID, "a", 0, -EINVAL},
		{"a long timeout", NULL, UUID, "a", 61, -EINVAL},
		{"nothing there", "/nonexistent", UUID, "a", 10, -ENOENT},
		{"relative", "image", UUID, "a", 10, -EINVAL},
		{"no disk", "/dev/null", UUID, "a", 10, -EINVAL},
	};
	static struct domain domain;
	struct storage_place place;

	(void)state;
	place_open(&place, 40 * MIB, 0, false);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct domain_request request = request_of(&place);
		char why[DOMAIN_WHY_SIZE] = "";

		print_message("# %s\n", rows[i].name);
		if (rows[i].path)
			request.path = rows[i].path;
		strcpy(request.identity.domain, rows[i].domain);
		strcpy(request.identity.lockspace, rows[i].lockspace);
		request.io_timeout_s = rows[i].io_timeout_s;
		assert_int_equal(domain_format(&request, &domain, why), rows[i].r);
		assert_true(strlen(why) > 10);
	}
	place_close(&place);
}

/* Partitions of the domain's names that are no domain. */
static void test_broken(void **state)
{
	static struct domain domain;
	char why[DOMAIN_WHY_SIZE];
	struct storage_place place;
	struct domain_request request;
	uint8_t zeros[4096] = {0};

	(void)state;
	place_open(&place, 40 * MIB, 512, false);
	request = request_of(&place);
	assert_int_equal(domain_format(&request, &domain, why), 0);
	place_put(&place, domain.areas[AREA_METADATA].offset + (uint64_t)IDENTITY_BLOCK * 4096, zeros, 4096);
	assert_int_equal(domain_read(place.disk, 0, &domain, why), -EBADMSG);
	assert_non_null(strstr(why, "does not say whose"));
	assert_true(place_run(&place, "sfdisk -q --delete $DISK 2", NULL));
	assert_int_equal(domain_read(place.disk, 0, &domain, why), -EBADMSG);
	assert_non_null(strstr(why, "4 of a domain's 5 partitions"));
	place_close(&place);
}

/* Every write and flush fails once, and every one from some point on. */
static void test_faults(void **state)
{
	static const int errors[] = {EIO, ENOSPC};
	static struct domain domain;

	(void)state;
	for (size_t e = 0; e < 2; e++) {
		unsigned left_whole = 0;
		bool fired = true;

		for (unsigned at = 0; fired; at++) {
			struct domain_request request;
			struct storage_place place;
			char why[DOMAIN_WHY_SIZE] = "";
			int r;

			place_open(&place, 19 * MIB, 0, false);
			request = request_of(&place);
			write_fault_arm(WRITE_FAIL, at, errors[e]);
			r = domain_format(&request, &domain, why);
			write_fault_end(&fired);
			if (fired) {
				assert_true(r == -EIO || r == -ENOSPC);
				assert_non_null(strstr(why, place.disk));
				/* What goes on failing can't be undone: only the last flushes, libfdisk's and
				 * ours, may leave a domain. */
				if (errors[e] == EIO || domain_read(place.disk, 0, &domain, why) < 0)
					assert_int_equal(domain_read(place.disk, 0, &domain, why), -ENODATA);
				else
					left_whole++;
			} else {
				assert_int_equal(r, 0);
				assert_true(at > 20);
			}
			place_close(&place);
		}
		assert_true(left_whole <= 2);
	}
}

static uint8_t *copy_of(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size);

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	return copy;
}

/* Which of the cached writes are on the disk after a power cut: none, all, the last one, every other one, or
 * all but one. */
enum { NONE, ALL, LAST, HALF, ALL_BUT };

static bool survives(size_t way, size_t i, size_t cut)
{
	return way == NONE   ? false
	       : way == ALL  ? true
	       : way == LAST ? i + 1 == cut
	       : way == HALF ? i % 2 == 0
			     : i != way - ALL_BUT;
}

struct cut_world {
	struct storage_place place;
	const struct kept_write *kept;
	size_t n, flushed_to, found, old;
	struct domain whole;
	uint8_t *after, *flushed; /* the disk when all was written, and as far as it was flushed */
	size_t size;
};

/* sanlock's library writes what its stack has behind the last field of a lease's second sector, which nobody
 * reads. */
static void blank_lease_ends(uint8_t *disk, const struct domain *domain)
{
	for (unsigned i = 0; i < DOMAIN_LEASES; i++)
		memset(disk + domain->areas[AREA_LEASES].offset + i * domain->alignment + 512 + 20, 0, 4);
}

static void check_cut(struct cut_world *world, size_t cut, size_t way)
{
	static struct domain domain;
	uint8_t *disk = copy_of(world->flushed, world->size), *now;
	char why[DOMAIN_WHY_SIZE];
	size_t size;

	for (size_t i = world->flushed_to; i < cut; i++)
		if (world->kept[i].size && (world->kept[i].durable || survives(way, i, cut)))
			memcpy(disk + world->kept[i].offset, world->kept[i].data, world->kept[i].size);
	place_put(&world->place, 0, disk, world->size);
	free(disk);
	if (domain_read(world->place.disk, 0, &domain, why) < 0)
		return;
	if (strcmp(domain.identity.domain, OTHER) == 0) {
		/* The old one, of which nothing was touched but its table. */
		world->old++;
		for (size_t i = 0; i < cut; i++)
			assert_false(world->kept[i].size > 0 && world->kept[i].offset > MIB &&
				     world->kept[i].offset < 18 * MIB);
		return;
	}
	world->found++;
	now = place_read(&world->place, &size);
	assert_memory_equal(&domain, &world->whole, sizeof(domain));
	blank_lease_ends(now, &domain);
	assert_memory_equal(now + MIB, world->after + MIB, 17 * MIB);
	free(now);
}

/* A power cut after every operation: what is then found is nothing, or the domain as it is when all is
 * written. The LUN has another domain before, with records on its whiteboard. */
static void test_power_cut(void **state)
{
	static struct cut_world world;
	static struct domain domain;
	struct domain_request request;
	char why[DOMAIN_WHY_SIZE];

	(void)state;
	place_open(&world.place, 19 * MIB, 0, false);
	request = request_of(&world.place);
	strcpy(request.identity.domain, OTHER);
	assert_int_equal(domain_format(&request, &domain, why), 0);
	for (uint64_t at = 0; at < 2001 * 4096; at += 4096)
		place_put(&world.place, domain.areas[AREA_METADATA].offset + at, "record", 6);
	world.flushed = place_read(&world.place, &world.size);
	strcpy(request.identity.domain, UUID);
	request.force = true;
	write_fault_arm(WRITE_KEEP, 0, 0);
	assert_int_equal(domain_format(&request, &world.whole, why), 0);
	write_fault_end(NULL);
	world.n = write_fault_kept(&world.kept);
	world.after = place_read(&world.place, &world.size);
	blank_lease_ends(world.after, &world.whole);

	for (size_t cut = 1; cut <= world.n; cut++) {
		bool flush = world.kept[cut - 1].size == 0;

		for (size_t way = NONE; way < ALL_BUT; way++)
			check_cut(&world, cut, way);
		/* Most are in the cache right before a flush. */
		for (size_t i = world.flushed_to; flush && i < cut; i++)
			check_cut(&world, cut, ALL_BUT + i);
		for (size_t i = world.flushed_to; flush && i < cut; i++)
			if (world.kept[i].size)
				memcpy(world.flushed + world.kept[i].offset, world.kept[i].data,
				       world.kept[i].size);
		if (flush)
			world.flushed_to = cut;
	}
	assert_true(world.n > 20 && world.old > 0 && world.found > 0);
	blank_lease_ends(world.flushed, &world.whole);
	assert_memory_equal(world.flushed, world.after, world.size); /* all of it was flushed */
	free(world.after);
	free(world.flushed);
	place_close(&world.place);
}

static void test_erased(void **state)
{
	static struct domain domain;
	char why[DOMAIN_WHY_SIZE] = "";
	struct storage_place place;
	struct domain_request request;

	place_open(&place, 64 * MIB, 512, false);
	request = request_of(&place);
	assert_int_equal(domain_vacant(place.disk, 0, why), 0);
	assert_int_equal(domain_format(&request, &domain, why), 0);
	assert_int_equal(domain_vacant(place.disk, 0, why), -EEXIST);
	assert_int_equal(domain_erase(place.disk, OTHER, 0, why), -EXDEV);
	assert_int_equal(domain_read(place.disk, 0, &domain, why), 0);
	assert_int_equal(domain_erase(place.disk, UUID, 0, why), 0);
	assert_int_equal(domain_read(place.disk, 0, &domain, why), -ENODATA);
	assert_int_equal(domain_vacant(place.disk, 0, why), 0);
	assert_int_equal(domain_erase(place.disk, UUID, 0, why), 0);
	/* Somebody uses it since, or the path leads to another disk. */
	assert_true(place_run(&place, "mke2fs -q -t ext4 $DISK", NULL));
	assert_int_equal(domain_erase(place.disk, UUID, 0, why), -EXDEV);
	assert_non_null(strstr(why, "ext4"));
	assert_int_equal(domain_vacant(place.disk, 0, why), -EEXIST);
	place_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real),	  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_unfit),	  cmocka_unit_test(test_requests),
		cmocka_unit_test(test_broken),	  cmocka_unit_test(test_faults),
		cmocka_unit_test(test_power_cut), cmocka_unit_test(test_erased),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
