/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine's definition: libvirt's schema takes it, the agent's checks do, and nothing
 * that a person typed becomes an element. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/domain_xml.h"
#include "deploy/engine_xml.h"
#include "util/cleanup.h"

#define UUID "11111111-2222-4333-8444-00000000000a"

static const struct domain_lease lease = {
	.lockspace = "hosted-engine", .key = "engine", .path = "/srv/leases", .offset = 1048576};

static const struct engine_vm usual = {
	.name = ENGINE_XML_NAME,
	.uuid = UUID,
	.cpus = 4,
	.memory_mib = 16384,
	.disk = "/run/ovirt-ha-storage/x/disk",
	.iso = "/var/lib/ovirt-hosted-engine-ha/cidata.iso",
	.mac = "52:54:00:12:34:56",
	.bridge = "br0",
	.vnc = true,
	.secret = "abcdefgh",
};

/* Through the agent's eyes and through virt-xml-validate's. */
static void assert_good(const char *name, const struct engine_vm *vm)
{
	char why[DOMAIN_WHY_MAX], path[] = "/tmp/engine_xml.XXXXXX", line[128];
	_cleanup_free_ char *xml = NULL, *ready = NULL;
	struct domain_disks disks;
	int32_t memory_mib;
	int fd;

	if (engine_xml_format(vm, &xml, why) < 0)
		fail_msg("%s: %s", name, why);
	if (domain_xml_prepare(xml, strlen(xml), vm->uuid, &lease, &ready, &memory_mib, why) < 0)
		fail_msg("%s: %s", name, why);
	assert_int_equal(memory_mib, vm->memory_mib);
	assert_int_equal(domain_xml_check(ready, strlen(ready), vm->uuid, &lease, why), 0);
	assert_int_equal(domain_xml_disks(xml, strlen(xml), &disks, why), 0);
	assert_int_equal(disks.n, 1);
	assert_string_equal(disks.paths[0], vm->disk);
	fd = mkstemp(path);
	assert_int_equal(write(fd, ready, strlen(ready)), (int)strlen(ready));
	close(fd);
	snprintf(line, sizeof(line), "virt-xml-validate %s domain >%s.out 2>&1 || { cat %s.out; false; }",
		 path, path, path);
	if (system(line) != 0)
		fail_msg("%s: the schema refuses it: %s", name, ready);
	unlink(path);
	strcat(strcpy(line, path), ".out");
	unlink(line);
}

static void test_good(void **state)
{
	struct engine_vm vm = usual;

	assert_good("usual", &vm);
	vm.iso = NULL;
	vm.disk_block = true;
	vm.disk = "/dev/disk/by-partuuid/x";
	assert_good("on a LUN", &vm);
	vm.vnc = false;
	vm.secret = NULL;
	vm.emulated = true;
	vm.machine = "pc-i440fx-7.2";
	assert_good("serial", &vm);
	vm.cpu = "Skylake-Server-v4";
	vm.name = "a <b> & \"c\" 'd' ü";
	vm.disk = "/srv/a <b> & \"c\" 'd' ü,x";
	vm.bridge = "br-ovirt_1.100";
	assert_good("signs", &vm);
	vm.cpus = 710;
	vm.memory_mib = 16777216;
	assert_good("largest", &vm);
	vm.cpus = 1;
	vm.memory_mib = 128;
	assert_good("smallest", &vm);
}

static void test_text(void **state)
{
	char why[ENGINE_XML_WHY_SIZE];
	_cleanup_free_ char *xml = NULL, *again = NULL;
	struct engine_vm vm = usual;

	assert_int_equal(engine_xml_format(&vm, &xml, why), 0);
	assert_int_equal(engine_xml_format(&vm, &again, why), 0);
	assert_string_equal(xml, again);
	/* An expired password from the start: --add-console-password can't give one to a display without. */
	assert_non_null(
		strstr(xml, "<graphics type=\"vnc\" autoport=\"yes\" listen=\"0.0.0.0\" passwd=\"abcdefgh\" "
			    "passwdValidTo=\"1970-01-01T00:00:01\"/>"));
	assert_non_null(strstr(xml, "<source file=\"/var/lib/ovirt-hosted-engine-ha/cidata.iso\" "
				    "startupPolicy=\"optional\"/>"));
	assert_non_null(strstr(xml, "<seclabel model=\"dac\" relabel=\"no\"/>"));
	assert_null(strstr(xml, "<lease"));
	free(TAKE_PTR(xml));
	vm.vnc_listen = "2001:db8::1";
	assert_int_equal(engine_xml_format(&vm, &xml, why), 0);
	assert_non_null(strstr(xml, "listen=\"2001:db8::1\""));
	free(TAKE_PTR(xml));
	vm.vnc = false;
	assert_int_equal(engine_xml_format(&vm, &xml, why), 0);
	assert_null(strstr(xml, "<graphics"));
	assert_null(strstr(xml, "abcdefgh"));
	assert_non_null(strstr(xml, "<console type=\"pty\">"));
}

#define LONG16 "0123456789abcdef"
#define LONG256                                                                                              \
	LONG16 LONG16 LONG16 LONG16 LONG16 LONG16 LONG16 LONG16 LONG16 LONG16 LONG16 LONG16 LONG16 LONG16    \
		LONG16 LONG16
#define MEMBER(m) offsetof(struct engine_vm, m)

static void test_refused(void **state)
{
	static const struct {
		size_t member;
		const char *value, *why;
	} rows[] = {
		{MEMBER(name), NULL, "name: "},
		{MEMBER(name), "", "name: "},
		{MEMBER(name), "a/b", "name: "},
		{MEMBER(name), "a\nb", "name: "},
		{MEMBER(name), "\xff", "name: "},
		{MEMBER(name), LONG256, "name: "},
		{MEMBER(uuid), NULL, "uuid: "},
		{MEMBER(uuid), "11111111-2222-4333-8444-00000000000", "uuid: "},
		{MEMBER(uuid), "11111111-2222-4333-8444-00000000000g", "uuid: "},
		{MEMBER(uuid), "11111111-2222-4333-84440-0000000000a", "uuid: "},
		{MEMBER(machine), "q35,accel=tcg", "machine: "},
		{MEMBER(machine), "", "machine: "},
		{MEMBER(cpu), "host passthrough", "CPU model: "},
		{MEMBER(disk), NULL, "disk: "},
		{MEMBER(disk), "disk", "disk: "},
		{MEMBER(disk), "/" LONG256 LONG256 LONG256 LONG256, "disk: "},
		{MEMBER(iso), "iso", "disc: "},
		{MEMBER(mac), NULL, "MAC: "},
		{MEMBER(mac), "52:54:00:12:34", "MAC: "},
		{MEMBER(mac), "52-54-00-12-34-56", "MAC: "},
		{MEMBER(mac), "53:54:00:12:34:56", "MAC: "},
		{MEMBER(mac), "00:00:00:00:00:00", "MAC: "},
		{MEMBER(mac), "52:54:00:12:34:5g", "MAC: "},
		{MEMBER(bridge), NULL, "bridge: "},
		{MEMBER(bridge), "br 0", "bridge: "},
		{MEMBER(bridge), "br&", "bridge: "},
		{MEMBER(bridge), LONG16, "bridge: "},
		{MEMBER(vnc_listen), "localhost", "VNC: "},
		{MEMBER(secret), NULL, "VNC: "},
		{MEMBER(secret), "123456789", "VNC: "},
		{MEMBER(secret), "a'b", "VNC: "},
	};
	char why[ENGINE_XML_WHY_SIZE] = "";
	struct engine_vm vm;
	char *xml = NULL;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		vm = usual;
		memcpy((char *)&vm + rows[i].member, &rows[i].value, sizeof(rows[i].value));
		if (engine_xml_format(&vm, &xml, why) != -EINVAL || xml ||
		    strncmp(why, rows[i].why, strlen(rows[i].why)) != 0)
			fail_msg("row %zu: %s", i, why);
	}
	for (int i = 0; i < 4; i++) {
		vm = usual;
		*(i < 2 ? &vm.cpus : &vm.memory_mib) = (const uint32_t[]){0, 711, 127, 16777217}[i];
		assert_int_equal(engine_xml_format(&vm, &xml, why), -EINVAL);
	}
}

#define OLD(disks)                                                                                           \
	"<domain type='kvm'><name>e</name><uuid>" UUID "</uuid><devices>" disks                              \
	"<interface type='bridge'><mac address='52:54:00:12:34:56'/></interface></devices></domain>"
#define OLD_DISK                                                                                             \
	"<disk type='network' device='disk'><source protocol='nbd'><host name='h'/><seclabel model='dac' "   \
	"relabel='no'/></source><target dev='vda'/></disk>"

static void test_move(void **state)
{
	static const struct {
		const char *name, *text, *uuid;
		int error;
		const char *why, *has, *has_not;
	} rows[] = {
		{"from a network", OLD(OLD_DISK), UUID, 0, "", "<source dev=\"/dev/a &amp; b\">", "nbd"},
		{"its label", OLD(OLD_DISK), UUID, 0, "", "<seclabel model=\"dac\" relabel=\"no\"/>",
		 "network"},
		{"its type", OLD(OLD_DISK), UUID, 0, "", "<disk type=\"block\" device=\"disk\">",
		 "host name"},
		{"without a source", OLD("<disk type='file'><target dev='vda'/></disk>"), UUID, 0, "",
		 "<source dev=\"/dev/a &amp; b\"/>", "type=\"file\""},
		{"its format",
		 OLD("<disk type='file'><driver name='qemu' type='qcow2'/><source file='/q'/></disk>"), UUID,
		 0, "", "<driver name=\"qemu\" type=\"raw\"/>", "qcow2"},
		{"discs stay",
		 OLD("<disk type='file' device='cdrom'><source file='/iso'/><readonly/></disk>" OLD_DISK),
		 UUID, 0, "", "<source file=\"/iso\"/>", "nbd"},
		{"its old lease goes", OLD("<lease><key>x</key></lease>" OLD_DISK), UUID, 0, "",
		 "<source dev=", "lease"},
		{"upper case", OLD(OLD_DISK), "11111111-2222-4333-8444-00000000000A", 0, "",
		 "<source dev=", "nbd"},
		{"another VM", OLD(OLD_DISK), "11111111-2222-4333-8444-00000000000b", -EINVAL,
		 "not of the VM", NULL, NULL},
		{"two disks", OLD(OLD_DISK OLD_DISK), UUID, -EINVAL, "2 disks", NULL, NULL},
		{"no disk", OLD("<disk device='cdrom'/>"), UUID, -EINVAL, "0 disks", NULL, NULL},
		{"no domain", "<network/>", UUID, -EINVAL, "no domain", NULL, NULL},
		{"an older vm.conf", "vmId=" UUID "\nmemSize=4096\n", UUID, -EBADMSG, "not well-formed", NULL,
		 NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char why[ENGINE_XML_WHY_SIZE] = "";
		_cleanup_free_ char *xml = NULL;
		int r = engine_xml_move(rows[i].text, strlen(rows[i].text), rows[i].uuid, "/dev/a & b", true,
					&xml, why);

		if (r != rows[i].error || !strstr(why, rows[i].why) || (xml != NULL) != (r == 0) ||
		    (xml && (!strstr(xml, rows[i].has) || strstr(xml, rows[i].has_not))))
			fail_msg("%s: %d %s %s", rows[i].name, r, why, xml ? xml : "");
	}
}

/* One of our own: what comes out is what would be written for the other disk. */
static void test_move_own(void **state)
{
	_cleanup_free_ char *xml = NULL, *moved = NULL, *ready = NULL;
	char why[DOMAIN_WHY_MAX], mac[18];
	struct engine_vm vm = usual;
	struct domain_disks disks;
	int32_t memory_mib;

	assert_int_equal(engine_xml_format(&vm, &xml, why), 0);
	assert_int_equal(engine_xml_move(xml, strlen(xml), UUID, "/dev/other", true, &moved, why), 0);
	assert_int_equal(domain_xml_disks(moved, strlen(moved), &disks, why), 0);
	assert_int_equal(disks.n, 1);
	assert_string_equal(disks.paths[0], "/dev/other");
	assert_int_equal(domain_xml_prepare(moved, strlen(moved), UUID, &lease, &ready, &memory_mib, why), 0);
	assert_true(engine_xml_card(moved, strlen(moved), mac));
	assert_string_equal(mac, vm.mac);
	assert_false(engine_xml_card("<domain/>", 9, mac));
	assert_false(engine_xml_card("", 0, mac));
}

static void test_random(void **state)
{
	char one[ENGINE_XML_SECRET_SIZE], two[ENGINE_XML_SECRET_SIZE], mac[18], why[ENGINE_XML_WHY_SIZE];
	struct engine_vm vm = usual;
	_cleanup_free_ char *xml = NULL;

	assert_int_equal(engine_xml_secret(one), 0);
	assert_int_equal(engine_xml_secret(two), 0);
	assert_int_equal(strlen(one), 8);
	assert_string_not_equal(one, two);
	assert_int_equal(engine_xml_mac(mac), 0);
	vm.secret = one;
	vm.mac = mac;
	assert_int_equal(engine_xml_format(&vm, &xml, why), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good), cmocka_unit_test(test_text),     cmocka_unit_test(test_refused),
		cmocka_unit_test(test_move), cmocka_unit_test(test_move_own), cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
