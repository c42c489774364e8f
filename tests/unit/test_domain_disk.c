/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which domains write to the configured disk, and which certainly to another (safety rule 8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/domain_disk.h"

#define FILE_DISK(path) "<disk type='file' device='disk'><source file='" path "'/><target dev='vda'/></disk>"
#define BLOCK_DISK(path) "<disk type='block'><source dev='" path "'/></disk>"
#define NET_DISK "<disk type='network'><source protocol='nbd' name='x'><host name='h'/></source></disk>"
#define CDROM(path) "<disk type='file' device='cdrom'><source file='" path "'/><readonly/></disk>"

/* "@" is a folder with the files `ours`, `other`, and the link `name` to `ours`. */
static const struct row {
	const char *name, *disk, *devices;
	int error;
	const char *why;
} rows[] = {
	{"not configured", "", FILE_DISK("@/other"), 0, ""},
	{"ours", "@/ours", FILE_DISK("@/ours"), 0, ""},
	{"ours by another name", "@/ours", FILE_DISK("@/name"), 0, ""},
	{"another's", "@/ours", FILE_DISK("@/other"), -EINVAL, "is none of its writable disks"},
	{"another's, which is named", "@/ours", FILE_DISK("@/other"), -EINVAL, "/other: correct"},
	{"the second is ours", "@/ours", FILE_DISK("@/other") FILE_DISK("@/name"), 0, ""},
	{"ours is its cdrom only", "@/ours", CDROM("@/ours") FILE_DISK("@/other"), -EINVAL, "is none of"},
	{"a source behind another", "@/ours",
	 "<disk><source file='@/other'/><backingStore><source file='@/ours'/></backingStore></disk>", -EINVAL,
	 "is none of"},
	{"no disk", "@/ours", "", -EINVAL, "no writable disk"},
	{"no disk but a cdrom", "@/ours", CDROM("@/ours"), -EINVAL, "no writable disk"},
	{"one without a source", "@/ours", "<disk type='file'/>", 0, ""},
	{"one of a network can't be told", "@/ours", NET_DISK, 0, ""},
	{"nor beside another's", "@/ours", FILE_DISK("@/other") NET_DISK, 0, ""},
	{"ours is not there", "@/gone", FILE_DISK("@/other"), 0, ""},
	{"neither is there, one name", "/gone", BLOCK_DISK("/gone"), 0, ""},
	{"its disk is not there", "@/ours", BLOCK_DISK("@/gone"), 0, ""},
};

static char top[] = "/tmp/ovirt-ha-disk-XXXXXX";

/* `text` with each "@" replaced by the folder. */
static void expand(const char *text, char ret[4096])
{
	size_t n = 0;

	for (; *text; text++)
		n += (size_t)snprintf(ret + n, 4096 - n, "%.*s", *text == '@' ? 100 : 1,
				      *text == '@' ? top : text);
	ret[n] = '\0';
}

static int setup(void **state)
{
	char command[512];

	assert_non_null(mkdtemp(top));
	snprintf(command, sizeof(command), "cd '%s' && touch ours other && ln -s ours name", top);
	return system(command);
}

static int teardown(void **state)
{
	char command[512];

	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	return system(command);
}

static void test_rows(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		char why[DOMAIN_WHY_MAX] = "", devices[4096], disk[4096], text[8192];
		int r;

		expand(row->devices, devices);
		expand(row->disk, disk);
		snprintf(text, sizeof(text), "<domain><devices>%s</devices></domain>", devices);
		r = domain_disk_check(&backing_machine, text, strlen(text), disk, why);
		if (r != row->error || !strstr(why, row->why) || (r == 0) != (why[0] == '\0'))
			fail_msg("%s: %d \"%s\"", row->name, r, why);
	}
}

static void test_no_domain(void **state)
{
	char why[DOMAIN_WHY_MAX] = "";

	assert_int_equal(domain_disk_check(&backing_machine, "<x", 2, "/x", why), -EBADMSG);
	assert_int_equal(domain_disk_check(&backing_machine, "<x/>", 4, "/x", why), -EINVAL);
}

static void test_many(void **state)
{
	char text[4096] = "<domain><devices>", why[DOMAIN_WHY_MAX] = "", devices[4096];
	struct domain_disks disks;

	for (int i = 0; i < DOMAIN_DISKS_MAX + 1; i++)
		strcat(text, FILE_DISK("@/other"));
	strcat(text, "</devices></domain>");
	expand(text, devices);
	assert_int_equal(domain_xml_disks(devices, strlen(devices), &disks, why), 0);
	assert_int_equal(disks.n, DOMAIN_DISKS_MAX);
	assert_true(disks.others);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_no_domain),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
