/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What becomes of the engine domain's XML, and what is refused (safety rule 1). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/domain_xml.h"
#include "util/cleanup.h"

#define UUID "11111111-2222-4333-8444-00000000000a"
#define LEASE                                                                                                \
	"<lease><lockspace>hosted-engine</lockspace><key>engine</key><target path='/srv/leases' "            \
	"offset='1048576'/></lease>"
#define HEAD "<domain type='kvm'><name>HostedEngine</name><uuid>" UUID "</uuid><memory unit='MiB'>96</memory>"
#define DISK "<disk type='block' device='disk'><source dev='/dev/x'/><target dev='vda'/></disk>"
#define POWEROFF "<on_lockfailure>poweroff</on_lockfailure>"
#define GOOD HEAD "<devices>" DISK "</devices></domain>"

static const struct domain_lease lease = {
	.lockspace = "hosted-engine", .key = "engine", .path = "/srv/leases", .offset = 1048576};
static const struct domain_lease at_zero = {
	.lockspace = "hosted-engine", .key = "engine", .path = "/srv/leases"};

struct row {
	const char *name;
	const char *text;
	int error;
	const char *why; /* a part of it */
};

static const struct row prepare_rows[] = {
	{"without a lease", GOOD, 0, ""},
	{"with our lease already", HEAD "<devices>" LEASE DISK "</devices></domain>", 0, ""},
	{"other on_lockfailure is replaced",
	 HEAD "<on_lockfailure>ignore</on_lockfailure><devices/></domain>", 0, ""},
	{"two of them are", HEAD POWEROFF "<on_lockfailure>pause</on_lockfailure><devices/></domain>", 0, ""},
	{"read-only cdrom", HEAD "<devices><disk device='cdrom'><readonly/></disk></devices></domain>", 0,
	 ""},
	{"upper-case uuid",
	 "<domain><name>e</name><uuid>11111111-2222-4333-8444-00000000000A</uuid><devices/></domain>", 0, ""},
	{"other uuid",
	 "<domain><name>e</name><uuid>11111111-2222-4333-8444-00000000000b</uuid><devices/></domain>",
	 -EINVAL, "not the configured vmid " UUID},
	{"no uuid", "<domain><name>e</name><devices/></domain>", -EINVAL, "one <uuid>"},
	{"two uuids", HEAD "<uuid>" UUID "</uuid><devices/></domain>", -EINVAL, "one <uuid>"},
	{"no name", "<domain><uuid>" UUID "</uuid><devices/></domain>", -EINVAL, "one <name>"},
	{"no devices", HEAD "</domain>", -EINVAL, "one <devices>"},
	{"other root", "<network><name>x</name></network>", -EINVAL, "root"},
	{"two leases", HEAD "<devices>" LEASE LEASE "</devices></domain>", -EINVAL, "2 <lease>"},
	{"a foreign lease",
	 HEAD
	 "<devices><lease><lockspace>hosted-engine</lockspace><key>other</key><target path='/srv/leases' "
	 "offset='1048576'/></lease></devices></domain>",
	 -EINVAL, "not the engine's"},
	{"our lease at another offset",
	 HEAD
	 "<devices><lease><lockspace>hosted-engine</lockspace><key>engine</key><target path='/srv/leases' "
	 "/></lease></devices></domain>",
	 -EINVAL, "not the engine's"},
	{"our lease, but not a device", HEAD LEASE "<devices/></domain>", -EINVAL, "not the engine's"},
	{"shareable disk", HEAD "<devices><disk device='disk'><shareable/></disk></devices></domain>",
	 -EINVAL, "shareable"},
	{"shareable cdrom", HEAD "<devices><disk device='cdrom'><shareable/></disk></devices></domain>",
	 -EINVAL, "shareable"},
	{"read-only disk", HEAD "<devices><disk><readonly/></disk></devices></domain>", -EINVAL, "readonly"},
	{"arguments for QEMU",
	 "<domain xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><name>e</name><uuid>" UUID
	 "</uuid><devices/><q:commandline><q:arg value='-drive'/></q:commandline></domain>",
	 -EINVAL, "<qemu:commandline>"},
	{"entity bomb",
	 "<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'><!ENTITY c "
	 "'&b;&b;&b;&b;&b;&b;&b;&b;'>]><domain>&c;</domain>",
	 -EBADMSG, "document type"},
	{"external entity", "<!DOCTYPE d [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><domain>&a;</domain>",
	 -EBADMSG, "document type"},
	{"undeclared entity", "<domain>&a;</domain>", -EBADMSG, "not well-formed"},
	{"cut", HEAD "<devices>", -EBADMSG, "not well-formed: line 1"},
	{"empty", "", -EBADMSG, "not well-formed"},
	{"noise", "\x01\xff\xfe<<>>", -EBADMSG, "not well-formed"},
};

static void test_prepare(void **state)
{
	for (size_t i = 0; i < sizeof(prepare_rows) / sizeof(prepare_rows[0]); i++) {
		const struct row *row = &prepare_rows[i];
		_cleanup_free_ char *xml = NULL;
		char why[DOMAIN_WHY_MAX] = "";
		int32_t memory = -1;
		int r = domain_xml_prepare(row->text, strlen(row->text), UUID, &lease, &xml, &memory, why);

		if (r != row->error || !strstr(why, row->why))
			fail_msg("%s: %d %s", row->name, r, why);
		if (r < 0) {
			assert_null(xml);
			continue;
		}
		/* What is started passes the check of what runs. */
		r = domain_xml_check(xml, strlen(xml), UUID, &lease, why);
		if (r < 0)
			fail_msg("%s: prepared but %s", row->name, why);
	}
}

static const struct row check_rows[] = {
	{"as it should be", HEAD POWEROFF "<devices>" LEASE DISK "</devices></domain>", 0, ""},
	{"without the lease", HEAD POWEROFF "<devices>" DISK "</devices></domain>", -EINVAL, "no <lease>"},
	{"without on_lockfailure", HEAD "<devices>" LEASE DISK "</devices></domain>", -EINVAL,
	 "on_lockfailure"},
	{"pause", HEAD "<on_lockfailure>pause</on_lockfailure><devices>" LEASE "</devices></domain>", -EINVAL,
	 "on_lockfailure"},
	{"two leases", HEAD POWEROFF "<devices>" LEASE LEASE "</devices></domain>", -EINVAL, "2 <lease>"},
};

static void test_check(void **state)
{
	for (size_t i = 0; i < sizeof(check_rows) / sizeof(check_rows[0]); i++) {
		const struct row *row = &check_rows[i];
		char why[DOMAIN_WHY_MAX] = "";
		int r = domain_xml_check(row->text, strlen(row->text), UUID, &lease, why);

		if (r != row->error || !strstr(why, row->why))
			fail_msg("%s: %d %s", row->name, r, why);
	}
}

static void test_offset_zero_is_left_out_by_libvirt(void **state)
{
	static const char text[] =
		HEAD POWEROFF "<devices><lease><lockspace>hosted-engine</lockspace><key>engine</key>"
			      "<target path='/srv/leases'/></lease></devices></domain>";
	char why[DOMAIN_WHY_MAX] = "";

	assert_int_equal(domain_xml_check(text, sizeof(text) - 1, UUID, &at_zero, why), 0);
	assert_int_equal(domain_xml_check(text, sizeof(text) - 1, UUID, &lease, why), -EINVAL);
}

static void test_names_are_escaped(void **state)
{
	static const struct domain_lease odd = {
		.lockspace = "a&b", .key = "<k>", .path = "/srv/'x\"", .offset = 0};
	_cleanup_free_ char *xml = NULL;
	char why[DOMAIN_WHY_MAX] = "";
	int32_t memory;

	assert_int_equal(domain_xml_prepare(GOOD, strlen(GOOD), UUID, &odd, &xml, &memory, why), 0);
	assert_int_equal(domain_xml_check(xml, strlen(xml), UUID, &odd, why), 0);
}

static void test_too_long(void **state)
{
	size_t length = 10 * 1024 * 1024;
	_cleanup_free_ char *text = malloc(length), *xml = NULL;
	char why[DOMAIN_WHY_MAX] = "";
	int32_t memory;

	assert_non_null(text);
	memset(text, ' ', length);
	assert_int_equal(domain_xml_prepare(text, length, UUID, &lease, &xml, &memory, why), -EFBIG);
	assert_non_null(strstr(why, "10485760 bytes"));
}

static void test_too_deep(void **state)
{
	_cleanup_free_ char *text = calloc(1, 8192), *xml = NULL;
	char why[DOMAIN_WHY_MAX] = "";
	int32_t memory;

	assert_non_null(text);
	strcat(text, HEAD "<devices>");
	for (int i = 0; i < 200; i++)
		strcat(text, "<a>");
	for (int i = 0; i < 200; i++)
		strcat(text, "</a>");
	strcat(text, "</devices></domain>");
	assert_int_equal(domain_xml_prepare(text, strlen(text), UUID, &lease, &xml, &memory, why), -EINVAL);
	assert_non_null(strstr(why, "deeper"));
}

static void test_memory(void **state)
{
	static const struct {
		const char *element;
		int32_t mib;
	} rows[] = {{"<memory unit='MiB'>96</memory>", 96},
		    {"<memory>4194304</memory>", 4096},
		    {"<memory unit='GiB'>16</memory>", 16384},
		    {"<memory unit='bytes'>1</memory>", 1},
		    {"<memory unit='KiB'>1025</memory>", 2},
		    {"<memory unit='ells'>1</memory>", 0},
		    {"<memory>-1</memory>", 0},
		    {"<memory unit='TiB'>99999999999999999</memory>", 0},
		    {"", 0}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		_cleanup_free_ char *xml = NULL;
		char why[DOMAIN_WHY_MAX] = "", text[512];
		int32_t memory = -1;

		snprintf(text, sizeof(text), "<domain><name>e</name><uuid>%s</uuid>%s<devices/></domain>",
			 UUID, rows[i].element);
		assert_int_equal(domain_xml_prepare(text, strlen(text), UUID, &lease, &xml, &memory, why), 0);
		if (memory != rows[i].mib)
			fail_msg("%s: %d", rows[i].element, memory);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prepare),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_offset_zero_is_left_out_by_libvirt),
		cmocka_unit_test(test_names_are_escaped),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_too_deep),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
