/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What paths live on, from a sysfs and a list of mounts made here, and what is another storage (safety rule
 * 8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "metadata/backing.h"

#define VG_A "LVM-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define VG_B "LVM-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define LV_1 "11111111111111111111111111111111"
#define LV_2 "22222222222222222222222222222222"
#define WWID "naa.600140500000000000000000000000"

static const char mountinfo[] = "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
				"21 20 8:1 /srv /mnt/again rw shared:5 - ext4 /dev/sda1 rw\n"
				"22 20 8:2 / /srv/b rw - xfs /dev/sda2 rw\n"
				"23 20 0:40 / /n/a rw shared:1 - nfs4 srv:/engine rw,vers=4.2\n"
				"24 20 0:41 / /n/b rw shared:1 master:3 - nfs4 192.0.2.1:/engine ro\n"
				"25 20 0:42 / /n/c rw - nfs srv:/other rw\n"
				"26 20 0:50 / /f/a rw - fuse /dev/fuse rw\n"
				"27 20 0:51 / /f/b rw - fuse.glusterfs srv:/vol rw\n"
				"28 20 0:60 / /run rw - tmpfs tmpfs rw\n"
				"29 20 0:61 / /tmp rw - tmpfs tmpfs rw\n"
				"30 20 0:70 / /merged rw - overlay overlay rw\n"
				"32 20 0:80 / /c/a rw - cifs //srv/a rw\n"
				"33 20 0:81 / /c/b rw - cifs //srv.example/a rw\n"
				"31 20 0:71 / /pool rw - zfs pool/x rw\n"
				"short\n";

/* A device of the made sysfs: its folder below devices/ and the files in it. */
static const struct device {
	unsigned major, minor;
	const char *folder;
	struct {
		const char *name, *text;
	} files[3];
} devices[] = {
	{8, 0, "sda", {{"device/wwid", WWID "1\n"}}},
	{8, 1, "sda/sda1", {{"partition", "1\n"}}},
	{8, 2, "sda/sda2", {{"partition", "2\n"}}},
	{8, 16, "sdb", {{"device/wwid", WWID "2\n"}}},
	{8, 32, "sdc", {{"device/wwid", WWID "1\n"}}},
	{8, 33, "sdc/sdc1", {{"partition", "1\n"}}},
	{259, 0, "nvme0n1", {{"wwid", "eui.0000000000000001\n"}}},
	{254, 0, "vda", {{"size", "2048\n"}}},
	{254, 16, "vdb", {{"size", "2048\n"}}},
	{253, 0, "dm-0", {{"dm/uuid", VG_A LV_1 "\n"}}},
	{253, 1, "dm-1", {{"dm/uuid", VG_A LV_2 "\n"}}},
	{253, 2, "dm-2", {{"dm/uuid", VG_B LV_1 "\n"}}},
	{253, 3, "dm-3", {{"dm/uuid", "mpath-3600140500000000000000000000001\n"}}},
	{253, 4, "dm-4", {{"dm/uuid", "part1-mpath-3600140500000000000000000000001\n"}}},
	{253, 5, "dm-5", {{"dm/uuid", "mpath-3600140500000000000000000000002\n"}}},
	{253, 6, "dm-6", {{"dm/uuid", "CRYPT-LUKS2-1234-x\n"}}},
	{253, 7, "dm-7", {{"dm/uuid", "LVM-short\n"}}},
	{7, 0, "loop0", {{"loop/backing_file", "@/file-a\n"}}},
	{7, 1, "loop1", {{"loop/backing_file", "/not/there\n"}}},
};

static char top[] = "/tmp/ovirt-ha-backing-XXXXXX";
static char sys_path[PATH_MAX], mounts_path[PATH_MAX];
static const struct backing_sources sources = {sys_path, mounts_path};

static void put(const char *folder, const char *name, const char *text)
{
	char command[PATH_MAX + 64], path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%.1000s/%.1000s", folder, name);
	*strrchr(path, '/') = '\0';
	snprintf(command, sizeof(command), "mkdir -p '%s'", path);
	assert_int_equal(system(command), 0);
	snprintf(path, sizeof(path), "%.1000s/%.1000s", folder, name);
	file = fopen(path, "we");
	assert_non_null(file);
	/* "@" is this test's own folder. */
	if (text[0] == '@')
		fprintf(file, "%s%s", top, text + 1);
	else
		fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
	char path[PATH_MAX], target[PATH_MAX];

	assert_non_null(mkdtemp(top));
	snprintf(sys_path, sizeof(sys_path), "%s/sys", top);
	snprintf(mounts_path, sizeof(mounts_path), "%s/mountinfo", top);
	put(top, "mountinfo", mountinfo);
	put(top, "file-a", "");
	put(top, "file-b", "");
	put(sys_path, "dev/block/x", "");
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		const struct device *device = &devices[i];

		for (size_t k = 0; k < 3 && device->files[k].name; k++) {
			snprintf(path, sizeof(path), "devices/%s/%s", device->folder, device->files[k].name);
			put(sys_path, path, device->files[k].text);
		}
		snprintf(path, sizeof(path), "%.1000s/dev/block/%u:%u", sys_path, device->major,
			 device->minor);
		snprintf(target, sizeof(target), "../../devices/%s", device->folder);
		assert_int_equal(symlink(target, path), 0);
	}
	return 0;
}

static int teardown(void **state)
{
	char command[PATH_MAX];

	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	return system(command);
}

/* "8:1" is a device, "8:1/5" the file with inode 5 on a filesystem of that number. */
static void find(const char *thing, struct backing *ret)
{
	unsigned first, second, inode;

	if (sscanf(thing, "%u:%u/%u", &first, &second, &inode) == 3)
		backing_of_files(&sources, makedev(first, second), inode, ret);
	else if (sscanf(thing, "%u:%u", &first, &second) == 2)
		backing_of_device(&sources, makedev(first, second), ret);
	else
		backing_find(&sources, thing, ret);
}

static const struct row {
	const char *name, *a, *b;
	enum backing_match storage, thing;
} rows[] = {
	{"one file", "8:1/5", "8:1/5", BACKING_SAME, BACKING_SAME},
	{"two files of one filesystem", "8:1/5", "8:1/6", BACKING_SAME, BACKING_OTHER},
	{"two filesystems", "8:1/5", "8:2/5", BACKING_OTHER, BACKING_OTHER},
	{"a filesystem that is not listed", "8:1/5", "0:99/5", BACKING_UNSURE, BACKING_UNSURE},
	{"two files of one that is not listed", "0:99/4", "0:99/5", BACKING_SAME, BACKING_OTHER},
	{"two exports", "0:40/5", "0:42/5", BACKING_OTHER, BACKING_OTHER},
	{"one export under two names of its server", "0:40/5", "0:41/5", BACKING_UNSURE, BACKING_UNSURE},
	{"two mounts of a userspace storage daemon", "0:50/1", "0:51/1", BACKING_UNSURE, BACKING_UNSURE},
	{"a userspace mount and a disk's", "0:50/1", "8:1/1", BACKING_UNSURE, BACKING_UNSURE},
	{"one share of a server under two names", "0:80/1", "0:81/1", BACKING_UNSURE, BACKING_UNSURE},
	{"a share and a disk's", "0:80/1", "8:1/1", BACKING_UNSURE, BACKING_UNSURE},
	{"two filesystems in memory", "0:60/1", "0:61/1", BACKING_OTHER, BACKING_OTHER},
	{"an overlay", "0:60/1", "0:70/1", BACKING_UNSURE, BACKING_UNSURE},
	{"a dataset", "0:60/1", "0:71/1", BACKING_UNSURE, BACKING_UNSURE},
	{"one partition", "8:1", "8:1", BACKING_SAME, BACKING_SAME},
	{"two partitions of a disk", "8:1", "8:2", BACKING_SAME, BACKING_OTHER},
	{"a disk by two ways, without multipath", "8:0", "8:32", BACKING_SAME, BACKING_UNSURE},
	{"a partition by two ways", "8:1", "8:33", BACKING_SAME, BACKING_UNSURE},
	{"a partition and its disk", "8:1", "8:0", BACKING_SAME, BACKING_OTHER},
	{"two disks", "8:0", "8:16", BACKING_OTHER, BACKING_OTHER},
	{"a partition and another disk", "8:1", "8:16", BACKING_OTHER, BACKING_OTHER},
	{"two disks, NVMe", "8:0", "259:0", BACKING_OTHER, BACKING_OTHER},
	{"two disks without an id", "254:0", "254:16", BACKING_UNSURE, BACKING_UNSURE},
	{"a disk without an id, and one with", "254:0", "8:0", BACKING_UNSURE, BACKING_UNSURE},
	{"a volume", "253:0", "253:0", BACKING_SAME, BACKING_SAME},
	{"two volumes of a group", "253:0", "253:1", BACKING_SAME, BACKING_OTHER},
	{"two groups", "253:0", "253:2", BACKING_OTHER, BACKING_OTHER},
	{"a volume and a disk", "253:0", "8:0", BACKING_UNSURE, BACKING_UNSURE},
	{"a map and its partition", "253:3", "253:4", BACKING_SAME, BACKING_OTHER},
	{"two maps", "253:3", "253:5", BACKING_OTHER, BACKING_OTHER},
	{"a map and a disk, maybe its way", "253:3", "8:0", BACKING_UNSURE, BACKING_UNSURE},
	{"an encrypted device", "253:6", "253:0", BACKING_UNSURE, BACKING_UNSURE},
	{"a group without an id", "253:7", "253:0", BACKING_UNSURE, BACKING_UNSURE},
	{"a volume and NFS", "253:0", "0:40/5", BACKING_OTHER, BACKING_OTHER},
	{"NFS and a map", "0:40/5", "253:3", BACKING_OTHER, BACKING_OTHER},
	{"NFS and a disk without an id, maybe served from it", "0:40/5", "254:0", BACKING_UNSURE,
	 BACKING_UNSURE},
	{"a volume and a disk's filesystem", "253:0", "8:1/5", BACKING_UNSURE, BACKING_UNSURE},
	{"a device that sysfs does not know", "99:9", "8:0", BACKING_UNSURE, BACKING_UNSURE},
	{"itself", "99:9", "99:9", BACKING_UNSURE, BACKING_SAME},
	{"a loop device, and its file", "7:0", "@file-a", BACKING_SAME, BACKING_SAME},
	{"a loop device, and another file", "7:0", "@file-b", BACKING_SAME, BACKING_OTHER},
	{"a loop device of a file that is not seen", "7:1", "@file-a", BACKING_UNSURE, BACKING_UNSURE},
	{"no such file", "/no/such/file", "8:0", BACKING_UNSURE, BACKING_UNSURE},
	{"no such files", "/no/such/file", "/no/such/file2", BACKING_UNSURE, BACKING_UNSURE},
	{"a folder", "/", "8:0", BACKING_UNSURE, BACKING_UNSURE},
};

static void test_rows(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct backing a, b;
		char path[PATH_MAX];

		find(row->a, &a);
		snprintf(path, sizeof(path), "%s%s%s", row->b[0] == '@' ? top : "",
			 row->b[0] == '@' ? "/" : "", row->b + (row->b[0] == '@'));
		find(path, &b);
		if (backing_compare(&a, &b) != row->storage || backing_compare(&b, &a) != row->storage)
			fail_msg("%s: storage %d, not %d: %s, %s", row->name, backing_compare(&a, &b),
				 row->storage, a.what, b.what);
		if (backing_same(&a, &b) != row->thing || backing_same(&b, &a) != row->thing)
			fail_msg("%s: thing %d, not %d: %s, %s", row->name, backing_same(&a, &b), row->thing,
				 a.what, b.what);
	}
}

static void test_words(void **state)
{
	static const struct {
		const char *thing, *what;
	} words[] = {
		{"0:40/5", "nfs4 srv:/engine"},
		{"8:1/5", "ext4 /dev/sda1"},
		{"0:99/5", "a filesystem of device number 0:99"},
		{"8:2", "the disk sda with id " WWID "1"},
		{"254:0", "the disk vda"},
		{"253:1", "the volume group with id aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
		{"253:4", "the multipath disk 3600140500000000000000000000001"},
		{"7:1", "a loop device of /not/there"},
		{"/no/such/file", "unknown: No such file or directory"},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct backing found;

		find(words[i].thing, &found);
		assert_string_equal(found.what, words[i].what);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
