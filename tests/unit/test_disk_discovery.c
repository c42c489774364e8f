/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks of a recorded sysfs: a local one, LUNs of Fibre Channel with and without multipath, NVMe, virtio, and
 * what is none; what they hold, from images in the place of devices, one of which hangs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/content_child.h"
#include "storage/disk_discovery.h"
#include "util/clock.h"

#define PCI "devices/pci0000:00/"
#define WWID "naa.600140500000000000000000000000"

/* A block device: its folder, and attributes in it. */
static const struct device {
	const char *name, *folder;
	struct {
		const char *name, *text;
	} files[9];
} devices[] = {
	{"sda",
	 PCI "ata1/host0/target0:0:0/0:0:0:0/block/sda",
	 {{"size", "409600\n"},
	  {"removable", "0\n"},
	  {"ro", "0\n"},
	  {"queue/logical_block_size", "512\n"},
	  {"device/vendor", "ATA     \n"},
	  {"device/model", "Samsung SSD 870 \n"},
	  {"device/wwid", "t10.ATA     Samsung\n"},
	  {"device/state", "running\n"}}},
	{"sdb",
	 PCI "host1/rport-1:0-0/target1:0:0/1:0:0:1/block/sdb",
	 {{"size", "409600\n"},
	  {"queue/logical_block_size", "512\n"},
	  {"device/vendor", "NETAPP  \n"},
	  {"device/model", "LUN C-Mode      \n"},
	  {"device/wwid", WWID "01\n"},
	  {"device/state", "running\n"},
	  {"holders/dm-0", ""}}},
	{"sdc",
	 PCI "host2/rport-2:0-3/target2:0:0/2:0:0:1/block/sdc",
	 {{"size", "409600\n"},
	  {"queue/logical_block_size", "512\n"},
	  {"device/wwid", WWID "01\n"},
	  {"device/state", "offline\n"},
	  {"holders/dm-0", ""}}},
	{"sdd",
	 PCI "host1/rport-1:0-0/target1:0:0/1:0:0:2/block/sdd",
	 {{"size", "819200\n"},
	  {"ro", "1\n"},
	  {"queue/logical_block_size", "4096\n"},
	  {"device/wwid", WWID "02\n"}}},
	{"sde",
	 PCI "host2/rport-2:0-3/target2:0:0/2:0:0:2/block/sde",
	 {{"size", "819200\n"}, {"queue/logical_block_size", "4096\n"}, {"device/wwid", WWID "02\n"}}},
	{"sdf",
	 PCI "host1/rport-1:0-0/target1:0:0/1:0:0:3/block/sdf",
	 {{"size", "409600\n"},
	  {"queue/logical_block_size", "512\n"},
	  {"device/wwid", WWID "03\n"},
	  {"holders/dm-1", ""}}},
	{"sdg",
	 PCI "host1/rport-1:0-0/target1:0:0/1:0:0:4/block/sdg",
	 {{"size", "409600\n"}, {"queue/logical_block_size", "512\n"}, {"device/wwid", WWID "04\n"}}},
	{"sdh",
	 PCI "host1/rport-1:0-0/target1:0:0/1:0:0:5/block/sdh",
	 {{"size", "409600\n"}, {"queue/logical_block_size", "512\n"}}},
	{"sdu",
	 PCI "usb1/1-1/host9/target9:0:0/9:0:0:0/block/sdu",
	 {{"size", "409600\n"}, {"removable", "1\n"}}},
	{"dm-0",
	 "devices/virtual/block/dm-0",
	 {{"size", "409600\n"},
	  {"queue/logical_block_size", "512\n"},
	  {"dm/uuid", "mpath-3600140500000000000000000000000001\n"},
	  {"dm/name", "mpatha\n"}}},
	{"dm-1", "devices/virtual/block/dm-1", {{"size", "409600\n"}, {"dm/uuid", "LVM-abc\n"}}},
	{"loop0", "devices/virtual/block/loop0", {{"size", "0\n"}}},
	{"ram0", "devices/virtual/block/ram0", {{"size", "8192\n"}}},
	{"sr0", PCI "ata2/host3/target3:0:0/3:0:0:0/block/sr0", {{"size", "8192\n"}}},
	{"nvme0n1",
	 PCI "nvme/nvme0/nvme0n1",
	 {{"size", "409600\n"},
	  {"queue/logical_block_size", "512\n"},
	  {"wwid", "eui.0000000000000001\n"},
	  {"device/model", "PM9A3\n"},
	  {"device/serial", "  S64FNE0R\n"}}},
	{"vda",
	 PCI "virtio1/block/vda",
	 {{"size", "409600\n"}, {"queue/logical_block_size", "512\n"}, {"serial", "disk-1\n"}}},
};

static char top[] = "/tmp/ovirt-ha-disks-XXXXXX", sys_path[64], dev_path[64];
static const struct disk_sources sources = {sys_path, dev_path};

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *format, ...)
{
	char command[1000];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	assert_int_equal(system(command), 0);
}

static void put(const char *path, const void *bytes, size_t size)
{
	char folder[PATH_MAX];
	FILE *file;

	snprintf(folder, sizeof(folder), "%s", path);
	*strrchr(folder, '/') = '\0';
	run("mkdir -p '%s'", folder);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	fclose(file);
}

static int make_machine(void **state)
{
	static const uint8_t serial[] = {0,   0x80, 0,	 12,  ' ', ' ', 'F', 'X',
					 'S', 'N',  '0', '0', '1', ' ', ' ', ' '};
	char path[PATH_MAX];

	(void)state;
	assert_non_null(mkdtemp(top));
	snprintf(sys_path, sizeof(sys_path), "%s/sys", top);
	snprintf(dev_path, sizeof(dev_path), "%s/dev", top);
	run("mkdir -p %s/block %s/disk/by-id", sys_path, dev_path);
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		for (size_t k = 0; k < 9 && devices[i].files[k].name; k++) {
			snprintf(path, sizeof(path), "%s/%s/%s", sys_path, devices[i].folder,
				 devices[i].files[k].name);
			put(path, devices[i].files[k].text, strlen(devices[i].files[k].text));
		}
		run("ln -s '../%s' %s/block/%s; truncate -s 200M %s/%s", devices[i].folder, sys_path,
		    devices[i].name, dev_path, devices[i].name);
	}
	snprintf(path, sizeof(path), "%s/%s/device/vpd_pg80", sys_path, devices[1].folder);
	put(path, serial, sizeof(serial));
	run("cd %s/class 2>/dev/null || mkdir -p %s/class/fc_host/host1 %s/class/fc_remote_ports/rport-1:0-0",
	    sys_path, sys_path, sys_path);
	run("echo 0x21000024ff000001 >%s/class/fc_host/host1/port_name", sys_path);
	run("echo 0x5000000000000001 >%s/class/fc_remote_ports/rport-1:0-0/port_name", sys_path);
	run("cd %s/disk/by-id && ln -s ../../dm-0 wwn-0x6001405 && ln -s ../../dm-0 scsi-36001405 && "
	    "ln -s ../../sda ata-Samsung && ln -s ../../sda1 wwn-0x999",
	    dev_path);
	/* What they hold. */
	run("mke2fs -q -t ext4 -L data %s/sda 20M", dev_path);
	run("rm %s/sdg %s/sdh && mkfifo %s/sdg", dev_path, dev_path, dev_path);
	return 0;
}

static int remove_machine(void **state)
{
	(void)state;
	run("rm -rf %s", top);
	return 0;
}

static void check(const struct lun *lun, const char *path, const char *transport, unsigned paths,
		  enum lun_use use, const char *holds)
{
	char whole[300];

	snprintf(whole, sizeof(whole), "%s/%s", dev_path, path);
	print_message("# %s\n", path);
	assert_string_equal(lun->path, whole);
	assert_string_equal(lun->transport, transport);
	assert_int_equal(lun->n_paths, paths);
	assert_int_equal(lun->use, use);
	assert_string_equal(lun->holds, holds);
	assert_int_equal(lun->number, -1);
}

static void test_all(void **state)
{
	struct lun *luns = NULL;
	char why[DISCOVERY_WHY_SIZE];
	mono_t begun = clock_mono();
	size_t n = 0;

	(void)state;
	assert_int_equal(disks_find(&sources, false, begun + 1500, &luns, &n, why), 0);
	assert_in_range(clock_mono() - begun, 1400, 4000); /* the one that hangs, and no more */
	assert_int_equal(n, 8);
	check(&luns[0], "disk/by-id/wwn-0x6001405", "fc", 2, LUN_FREE, "");
	assert_true(luns[0].multipath);
	assert_string_equal(luns[0].vendor, "NETAPP");
	assert_string_equal(luns[0].model, "LUN C-Mode");
	assert_string_equal(luns[0].serial, "FXSN001");
	assert_string_equal(luns[0].wwid, WWID "01");
	assert_int_equal(luns[0].size, 200 << 20);
	assert_string_equal(luns[0].paths[0].device, "sdb");
	assert_string_equal(luns[0].paths[0].state, "running");
	assert_string_equal(luns[0].paths[0].initiator, "0x21000024ff000001");
	assert_string_equal(luns[0].paths[0].target, "0x5000000000000001");
	assert_string_equal(luns[0].paths[1].device, "sdc");
	assert_string_equal(luns[0].paths[1].state, "offline");
	assert_string_equal(luns[0].paths[1].target, "");

	check(&luns[1], "nvme0n1", "nvme", 1, LUN_FREE, "");
	assert_string_equal(luns[1].serial, "S64FNE0R");
	assert_string_equal(luns[1].wwid, "eui.0000000000000001");
	check(&luns[2], "disk/by-id/ata-Samsung", "ata", 1, LUN_USED, "ext4 filesystem \"data\"");
	assert_string_equal(luns[2].model, "Samsung SSD 870");
	check(&luns[3], "sdd", "fc", 2, LUN_FREE, "");
	assert_false(luns[3].multipath);
	assert_true(luns[3].read_only);
	assert_int_equal(luns[3].sector_size, 4096);
	assert_int_equal(luns[3].size, 400 << 20);
	assert_string_equal(luns[3].paths[1].device, "sde");
	check(&luns[4], "sdf", "fc", 1, LUN_USED, "in use by dm-1");
	check(&luns[5], "sdg", "fc", 1, LUN_UNKNOWN, "did not answer");
	check(&luns[6], "sdh", "fc", 1, LUN_UNKNOWN, "No such file or directory");
	check(&luns[7], "vda", "virtio", 1, LUN_FREE, "");
	assert_string_equal(luns[7].serial, "disk-1");
	assert_string_equal(luns[7].wwid, "");
	free(luns);
}

static void test_fc(void **state)
{
	static const char *const names[] = {"sdb", "sdd", "sdf", "sdg", "sdh"};
	struct lun *luns = NULL;
	char why[DISCOVERY_WHY_SIZE];
	size_t n = 0;

	(void)state;
	assert_int_equal(disks_find(&sources, true, clock_mono() + 300, &luns, &n, why), 0);
	assert_int_equal(n, 5);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(luns[i].paths[0].device, names[i]);
	free(luns);
}

/* More ways than have room are ways of the same disk all the same. */
static void test_many_paths(void **state)
{
	struct lun *luns = NULL;
	char why[DISCOVERY_WHY_SIZE], folder[200];
	size_t n = 0;

	(void)state;
	for (unsigned i = 0; i <= LUN_PATHS_MAX; i++) {
		snprintf(folder, sizeof(folder),
			 "%s/" PCI "host1/rport-1:0-0/target1:0:0/1:0:0:%u/block/sdz%u", sys_path, 100 + i,
			 i);
		run("mkdir -p %s/device %s/queue && echo 409600 >%s/size && echo 512 "
		    ">%s/queue/logical_block_size && "
		    "echo " WWID "77 >%s/device/wwid",
		    folder, folder, folder, folder, folder);
		run("ln -s %s %s/block/sdz%u && truncate -s 200M %s/sdz%u", folder, sys_path, i, dev_path, i);
	}
	assert_int_equal(disks_find(&sources, true, clock_mono() + 300, &luns, &n, why), 0);
	assert_int_equal(n, 6);
	assert_int_equal(luns[5].n_paths, LUN_PATHS_MAX);
	free(luns);
	run("rm -r %s/block/sdz* %s/sdz*", sys_path, dev_path);
}

static void test_no_sysfs(void **state)
{
	const struct disk_sources nowhere = {"/nonexistent", "/nonexistent"};
	struct lun *luns = NULL;
	char why[DISCOVERY_WHY_SIZE];
	size_t n = 7;

	(void)state;
	assert_int_equal(disks_find(&nowhere, false, clock_mono() + 300, &luns, &n, why), -ENOENT);
	assert_string_equal(why, "/nonexistent/block: No such file or directory");
	assert_int_equal(n, 7);
	/* This machine's own can be read, whatever they are. */
	assert_int_equal(disks_find(&disk_machine, false, clock_mono() + 5000, &luns, &n, why), 0);
	free(luns);
}

/* A child that hangs for ever must not hold the command's output open. */
static void test_child_closes(void **state)
{
	char path[100], text[CONTENT_TEXT_SIZE];
	struct content_child child;
	mono_t deadline = clock_mono() + 5000;
	struct stat st;

	(void)state;
	snprintf(path, sizeof(path), "%s/sdg", dev_path);
	assert_int_equal(content_child_start(path, &child), 0);
	for (int fd = 0; fd <= 2; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)child.pid, fd);
		while (stat(path, &st) == 0) {
			assert_true(clock_mono() < deadline);
			poll(NULL, 0, 5);
		}
	}
	assert_int_equal(content_child_end(&child, clock_mono() + 50, text), -ETIMEDOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),	     cmocka_unit_test(test_fc),
		cmocka_unit_test(test_many_paths),   cmocka_unit_test(test_no_sysfs),
		cmocka_unit_test(test_child_closes),
	};

	return cmocka_run_group_tests(tests, make_machine, remove_machine);
}
