/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hosted-engine.conf: a full file, files of existing clusters, what a deployed host must have, and single bad
 * values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/engine_conf.h"
#include "util/paths.h"

#define DEPLOYED                                                                                             \
	"vmid=3F2b8c1e-0d5a-4c6f-9b7e-2a1d8e4f5c60\nhost_id=2\nlockspace_path=/s/lockspace\n"                \
	"metadata_path=/s/metadata:4096\nlease_path=/s/"                                                     \
	"leases:8388608\ngateway=192.0.2.1\nfqdn=engine.example\n"

static char said[4096];
static char path[64];

static void listen(void *data, const char *line)
{
	/* The path is another one in each run. */
	assert_int_equal(strncmp(line, path, strlen(path)), 0);
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "F%s\n", line + strlen(path));
}

typedef int load_fn(const char *path, struct engine_conf *ret, struct problems *problems);

static int load_by(load_fn *loader, const char *text, struct engine_conf *conf)
{
	struct problems problems = {.say = listen};
	int fd, r;

	said[0] = '\0';
	strcpy(path, "/tmp/ovirt-ha-engine-conf-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	r = loader(path, conf, &problems);
	unlink(path);
	return r;
}

static int load(const char *text, struct engine_conf *conf)
{
	return load_by(engine_conf_load, text, conf);
}

static void test_full(void **state)
{
	struct engine_conf c;
	char text[64];

	assert_int_equal(load(DEPLOYED
			      "io_timeout=1\nrequire_watchdog=no\nnetwork_test=none\nconfigured=True\n"
			      "sdUUID=0d5a3f2b-8c1e-4c6f-9b7e-2a1d8e4f5c60\nbridge=br0\nvm_xml=/etc/vm.xml\n",
			      &c),
			 0);
	assert_string_equal(said, "");
	assert_true(engine_conf_deployed(&c));
	assert_string_equal(c.vmid, "3f2b8c1e-0d5a-4c6f-9b7e-2a1d8e4f5c60");
	assert_int_equal(c.host_id, 2);
	assert_string_equal(c.metadata.path, "/s/metadata");
	assert_int_equal(c.metadata.offset, 4096);
	assert_string_equal(c.lockspace_name, "hosted-engine");
	assert_string_equal(c.engine_lease_name, "engine");
	assert_int_equal(c.io_timeout_s, 1);
	assert_int_equal(c.watchdog_fire_s, 60);
	assert_false(c.require_watchdog);
	assert_int_equal(c.network_test, NETWORK_TEST_NONE);
	assert_string_equal(c.health_url, "http://engine.example/ovirt-engine/services/health");
	assert_string_equal(c.vm_conf, "/run/ovirt-hosted-engine-ha/vm.conf");
	assert_int_equal(place_format(&c.lease, text, sizeof(text)), 0);
	assert_string_equal(text, "/s/leases:8388608");
	assert_int_equal(place_format(&c.lease, text, 17), -ENAMETOOLONG);
	assert_string_equal(text, "/s/leases:838860");
}

static void test_whiteboard_on_a_server(void **state)
{
	struct engine_conf c;
	char text[64];

	assert_int_equal(
		load("metadata_path=iscsi://h:3261/iqn.2026-11.test:a/1\nuser=me\npassword=se cret\n", &c),
		0);
	assert_string_equal(said, "");
	assert_string_equal(c.metadata.path, "iscsi://h:3261/iqn.2026-11.test:a/1");
	assert_int_equal(c.metadata.offset, 0);
	assert_int_equal(place_format(&c.metadata, text, sizeof(text)), 0);
	assert_string_equal(text, c.metadata.path);
	assert_string_equal(c.user, "me");
	assert_string_equal(c.password, "se cret");
	/* sanlock and QEMU know no such places. */
	assert_int_equal(load("lockspace_path=nfs://h/a/b\n", &c), -EINVAL);
}

/* Keys and forms that existing deployments write. */
static void test_existing_cluster(void **state)
{
	struct engine_conf c;

	assert_int_equal(
		load("fqdn=engine.example\nvm_disk_id=x\nvm_disk_vol_id=y\nvmid=\nstorage=h:/p\n"
		     "mnt_options=\nconf=/var/run/ovirt-hosted-engine-ha/vm.conf\nhost_id=1\nconsole=vnc\n"
		     "domainType=nfs\nspUUID=0\nsdUUID=\nconnectionUUID=z\nca_cert=/etc/ca.pem\n"
		     "ca_subject=\"C=EN, L=Test, O=Test, CN=Test\"\nvdsm_use_ssl=true\ngateway=192.0.2.1\n"
		     "bridge=ovirtmgmt\nmetadata_volume_UUID=a\nmetadata_image_UUID=b\n"
		     "lockspace_volume_UUID=c\nlockspace_image_UUID=d\nconf_volume_UUID=e\n"
		     "conf_image_UUID=f\niqn=\nportal=\nuser=\npassword=\nport=\niscsi_paths_blacklist=\n"
		     "nfs_version=auto\nconfigured=True\ntcp_t_address=\ntcp_t_port=\nnetwork_test=dns\n",
		     &c),
		0);
	assert_string_equal(said, "");
	assert_false(engine_conf_deployed(&c));
	assert_int_equal(c.network_test, NETWORK_TEST_DNS);
}

#define SD "0d5a3f2b-8c1e-4c6f-9b7e-2a1d8e4f5c60"
#define FOLDER STORAGE_RUN_DIR "/" SD "/"

/* A domain that is connected has its places; those that the file gives stay. */
static void test_domain(void **state)
{
	struct engine_conf c;

	assert_int_equal(load("domainType=nfs\nnfs_version=v4_1\nstorage=srv:/e\nsdUUID=" SD
			      "\nlease_path=/x:512\nvmid=3f2b8c1e-0d5a-4c6f-9b7e-2a1d8e4f5c60\nhost_id=2\n"
			      "network_test=none\n",
			      &c),
			 0);
	assert_string_equal(said, "");
	assert_int_equal(c.domain_type, DOMAIN_NFS);
	assert_int_equal(c.nfs_version, NFS_V4_1);
	assert_int_equal(c.storage_driver, STORAGE_AUTO);
	assert_string_equal(c.lockspace.path, FOLDER "lockspace");
	assert_string_equal(c.metadata.path, FOLDER "metadata");
	assert_string_equal(c.conf_volume.path, FOLDER "conf");
	assert_string_equal(c.lease.path, "/x");
	assert_string_equal(c.disk.path, "");
	assert_int_equal(load("domainType=iscsi\nstorage=192.0.2.1,192.0.2.2\niqn=iqn.2003-01.org.test:d\n"
			      "lun=1\nuser=u\npassword=p\nstorage_driver=userspace\nsdUUID=" SD "\n",
			      &c),
			 0);
	assert_int_equal(c.storage_driver, STORAGE_USERSPACE);
	assert_int_equal(c.port, 3260);
	assert_int_equal(c.portal, 1);
	assert_string_equal(c.lockspace.path, "");
	assert_int_equal(engine_conf_check_domain(&c, "F", NULL), 0);
	assert_int_equal(load("domainType=iscsi\nport=3261\nportal=2\n", &c), 0);
	assert_int_equal(c.port, 3261);
	assert_int_equal(c.portal, 2);
}

static void test_domain_problems(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{"domainType=nfs\n", "F: sdUUID: is missing; with domainType give the storage domain's uuid\n"
				     "F: storage: is missing; with domainType say where the storage is\n"},
		{"domainType=nfs4\nstorage=/e\nsdUUID=" SD "\n",
		 "F: storage=/e: is not SERVER:/PATH; give it so\n"},
		{"domainType=glusterfs\nstorage=:/e\nsdUUID=" SD "\n",
		 "F: storage=:/e: is not SERVER:/PATH; give it so\n"},
		{"domainType=nfs4\nnfs_version=v3\nstorage=s:/e\nsdUUID=" SD "\n",
		 "F: nfs_version=v3: goes with domainType=nfs alone; take one of the two lines out\n"},
		{"domainType=iscsi\nstorage=s\nmnt_options=x\nuser=u\nsdUUID=" SD "\n",
		 "F: iqn: is missing; with domainType=iscsi give the target's name\n"
		 "F: password: is missing; user is nobody to a target without it\n"
		 "F: lun: is missing; give the disk that the domain is on\n"
		 "F: mnt_options=x: can't be used: domainType=iscsi mounts nothing; take the line out\n"},
		{"domainType=fc\nlun=3\nsdUUID=" SD "\n",
		 "F: lun=3: is a number; give the disk's name in /dev/disk/by-id\n"},
	};
	static const struct {
		const char *text, *said;
	} values[] = {
		{"storage=-o x\n", "begins with -"},
		{"storage=a b\n", "has a blank"},
		{"mnt_options=\"x\"\n", "has a blank, a quote"},
		{"iqn=disk\n", "is not the name of a target"},
		{"iqn=iqn.x/../y\n", "has a byte"},
		{"lun=../x\n", "is neither a number nor a name"},
		{"domainType=smb\n", "give none, nfs, nfs3, nfs4, iscsi, fc, glusterfs or posix"},
	};
	struct problems problems = {.say = listen};
	struct engine_conf c;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* Only a deployed host must have all; who connects asks for it before. */
		assert_int_equal(load(cases[i].text, &c), 0);
		assert_int_equal(engine_conf_check_domain(&c, path, &problems), -EINVAL);
		if (strcmp(said, cases[i].said) != 0)
			fail_msg("%s: said %s", cases[i].text, said);
	}
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (load(values[i].text, &c) != -EINVAL || !strstr(said, values[i].said))
			fail_msg("%s: said %s", values[i].text, said);
	/* A deployed one is asked. */
	assert_int_equal(load(DEPLOYED "domainType=fc\n", &c), -EINVAL);
	assert_non_null(strstr(said, "lun: is missing"));
}

static void test_no_file(void **state)
{
	struct problems problems = {.say = listen};
	struct engine_conf c;

	said[0] = '\0';
	assert_int_equal(engine_conf_load("/nonexistent/hosted-engine.conf", &c, &problems), -ENOENT);
	assert_string_equal(said, "");
	assert_false(engine_conf_deployed(&c));
	assert_int_equal(c.io_timeout_s, 10);
	assert_true(c.require_watchdog);
}

static void test_problems(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{"vmid=3f2b8c1e-0d5a-4c6f-9b7e-2a1d8e4f5c60\n",
		 "F: host_id: is missing; give this host's number, 1 to 2000\n"
		 "F: lockspace_path: is missing; give PATH or PATH:OFFSET on the shared storage\n"
		 "F: metadata_path: is missing; give PATH or PATH:OFFSET on the shared storage\n"
		 "F: lease_path: is missing; give PATH or PATH:OFFSET on the shared storage\n"
		 "F: gateway: is missing; give the address to ping, or another network_test\n"},
		{DEPLOYED "network_test=tcp\n",
		 "F: tcp_t_address: is missing; give the address to connect to, or another network_test\n"
		 "F: tcp_t_port: is missing; give the port to connect to, or another network_test\n"},
		{"host_id=2001\n", "F:1: host_id=2001: is too large; give whole number, 1 to 2000\n"},
		{"host_id=0\n", "F:1: host_id=0: is too small; give whole number, 1 to 2000\n"},
		{"io_timeout=0\n", "F:1: io_timeout=0: is too small; give whole number, 1 to 60 s\n"},
		{"io_timeout=61\n", "F:1: io_timeout=61: is too large; give whole number, 1 to 60 s\n"},
		{"watchdog_fire_timeout=59\n",
		 "F:1: watchdog_fire_timeout=59: is too small; give whole number, 60 to 600 s\n"},
		{"tcp_t_port=65536\n",
		 "F:1: tcp_t_port=65536: is too large; give whole number, 1 to 65535\n"},
		{"network_test=pong\n",
		 "F:1: network_test=pong: is not a word for this key; give ping, none, dns or tcp\n"},
		{"lockspace_name=a:b\n", "F:1: lockspace_name=a:b: has a byte that a lease name can't have; "
					 "use letters, digits, - and _\n"},
		{"lockspace_name=123456789012345678901234567890123456789012345678\n",
		 "F:1: lockspace_name=123456789012345678901234567890123456789012345678: is too long; give at "
		 "most 47 "
		 "bytes\n"},
		{"bridge=../x\n",
		 "F:1: bridge=../x: is not the name of a network interface; see `ip link`\n"},
		{"gateway=a b\n", "F:1: gateway=a b: is not an IP address; give one like 192.0.2.1\n"},
		{"gateway=no.such.host\n",
		 "F:1: gateway=no.such.host: is not an IP address; give one like 192.0.2.1\n"},
		{"fqdn=a b\n", "F:1: fqdn=a b: is neither a host name nor an address; use letters, digits, "
			       "'.', '-' and ':'\n"},
		{"health_url=ftp://x\n",
		 "F:1: health_url=ftp://x: is not an address of http:// or https://; give one\n"},
		{"conf_path=nfs://h/a/b\n",
		 "F:1: conf_path=nfs://h/a/b: is an address of a server; give the path "
		 "where this host has it\n"},
		{"hostid=1\n", "F:1: hostid=1: is unknown; did you mean host_id?\n"},
		{"[section]\n", "F:1: is a section, and this file has none; write KEY=VALUE\n"},
	};
	struct engine_conf c;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (load(cases[i].text, &c) != -EINVAL)
			fail_msg("%s: was taken", cases[i].text);
		if (strcmp(said, cases[i].said) != 0)
			fail_msg("%s: said %s", cases[i].text, said);
	}
}

/* As a daemon needs it. */
static void test_deployed(void **state)
{
	static const struct {
		const char *text, *said;
		int error;
	} cases[] = {
		{DEPLOYED "vm_xml=/etc/vm.xml\n", "", 0},
		{DEPLOYED "conf_path=/s/conf\n", "", 0},
		{DEPLOYED,
		 "F: conf_path: is missing; name the conf volume, which has the engine VM's configuration, "
		 "or in vm_xml a file with its domain XML\n",
		 -EINVAL},
		{"",
		 "F: vmid: is missing; this host is not deployed: give the uuid of the engine VM, and the "
		 "other keys "
		 "that hosted-engine.conf(5) asks for\n",
		 -EINVAL},
		{"vmid=x\n",
		 "F:1: vmid=x: is not a uuid; give one like 3f2b8c1e-0d5a-4c6f-9b7e-2a1d8e4f5c60\n", -EINVAL},
	};
	struct problems problems = {.say = listen};
	struct engine_conf c;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(load_by(engine_conf_load_deployed, cases[i].text, &c), cases[i].error);
		assert_string_equal(said, cases[i].said);
	}
	said[0] = '\0';
	strcpy(path, "/nonexistent/hosted-engine.conf");
	assert_int_equal(engine_conf_load_deployed(path, &c, &problems), -ENOENT);
	assert_string_equal(
		said, "F: does not exist; this host is not deployed: hosted-engine.conf(5) has the keys "
		      "that it needs\n");
}

static void test_paths(void **state)
{
	char at[PATH_MAX];

	unsetenv("OVIRT_HA_CONF_DIR");
	unsetenv("OVIRT_HA_STATE_DIR");
	assert_string_equal(file_path(FILE_ENGINE_CONF, at), "/etc/ovirt-hosted-engine/hosted-engine.conf");
	assert_string_equal(file_path(FILE_BROKER_CONF, at), "/etc/ovirt-hosted-engine-ha/broker.conf");
	assert_string_equal(file_path(FILE_HA_CONF, at), "/var/lib/ovirt-hosted-engine-ha/ha.conf");
	setenv("OVIRT_HA_CONF_DIR", "/t/etc", 1);
	setenv("OVIRT_HA_STATE_DIR", "/t/state", 1);
	assert_string_equal(file_path(FILE_AGENT_CONF, at), "/t/etc/ovirt-hosted-engine-ha/agent.conf");
	assert_string_equal(file_path(FILE_AGENT_STATE, at), "/t/state/agent-state");
	unsetenv("OVIRT_HA_CONF_DIR");
	unsetenv("OVIRT_HA_STATE_DIR");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_existing_cluster),
		cmocka_unit_test(test_whiteboard_on_a_server),
		cmocka_unit_test(test_domain),
		cmocka_unit_test(test_domain_problems),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_problems),
		cmocka_unit_test(test_deployed),
		cmocka_unit_test(test_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
