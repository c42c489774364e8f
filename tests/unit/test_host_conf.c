/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hosted-engine.conf as a deployment writes it: read back by its own reader, for each kind of storage, before
 * and after there is a domain, and what of it other hosts get. */
#include "deploy/host_conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <unistd.h>

#include "util/engine_conf.h"

#define DOMAIN "5b2e4a5e-0000-4000-8000-000000000002"
#define FOLDER "/run/ovirt-ha-storage/" DOMAIN
#define VMID "5b2e4a5e-0000-4000-8000-000000000001"

static int read_back(const struct keyfile *file, struct engine_conf *ret)
{
	struct problems problems = {.say = problems_print, .data = stderr};
	char path[] = "/tmp/ovirt-ha-host-conf-XXXXXX";
	int fd = mkstemp(path), r;

	close(fd);
	assert_int_equal(keyfile_save(file, path, 0600), 0);
	r = engine_conf_load(path, ret, &problems);
	unlink(path);
	return r;
}

static void make_domain(bool files, struct domain *ret)
{
	memset(ret, 0, sizeof(*ret));
	strcpy(ret->identity.domain, DOMAIN);
	strcpy(ret->identity.lockspace, "hosted-engine");
	ret->files = files;
	for (int i = 0; i < AREA_COUNT; i++) {
		if (files)
			snprintf(ret->areas[i].path, PATH_MAX, FOLDER "/%s", domain_area_names[i]);
		else
			strcpy(ret->areas[i].path, FOLDER "/lun");
		ret->areas[i].offset = files ? 0 : (uint64_t)(i + 1) << 20;
	}
	if (!files)
		strcpy(ret->areas[AREA_DISK].partition_uuid, "5b2e4a5e-0000-4000-8000-00000000000d");
}

static void answer_all(struct answers *answers, const char *type)
{
	answer_set(answers, ANSWER_STORAGE_TYPE, type);
	answer_set(answers, ANSWER_STORAGE,
		   strcmp(type, "path") == 0	? "/srv/shared"
		   : strcmp(type, "iscsi") == 0 ? "192.0.2.1"
						: "server:/export");
	answer_set(answers, ANSWER_IQN, "iqn.2003-01.org.example:disk1");
	answer_set(answers, ANSWER_LUN, strcmp(type, "fc") == 0 ? "wwn-0x5000" : "1");
	answer_set(answers, ANSWER_USER, "me");
	answer_set(answers, ANSWER_PASSWORD, "secret");
	answer_set(answers, ANSWER_BRIDGE, "br0");
	answer_set(answers, ANSWER_GATEWAY, "192.0.2.254");
	answer_set(answers, ANSWER_FQDN, "engine.example.com");
	answer_set(answers, ANSWER_VMID, VMID);
	answer_set(answers, ANSWER_DOMAIN, DOMAIN);
}

static void test_each_storage(void **state)
{
	static const struct {
		const char *type;
		enum domain_type as;
		bool files;
	} rows[] = {{"nfs", DOMAIN_NFS, true},	    {"nfs3", DOMAIN_NFS3, true},
		    {"nfs4", DOMAIN_NFS4, true},    {"posix", DOMAIN_POSIX, true},
		    {"path", DOMAIN_UNTYPED, true}, {"glusterfs", DOMAIN_GLUSTERFS, true},
		    {"iscsi", DOMAIN_ISCSI, false}, {"fc", DOMAIN_FC, false}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		_cleanup_keyfile_ struct keyfile *first = NULL, *whole = NULL;
		struct answers answers = {0};
		struct engine_conf conf;
		struct domain domain;

		print_message("%s\n", rows[i].type);
		answer_all(&answers, rows[i].type);
		make_domain(rows[i].files, &domain);

		/* Enough to connect, and no host that is deployed. */
		assert_int_equal(keyfile_new("x", false, &first), 0);
		assert_int_equal(host_conf_connection(&answers, DOMAIN, first), 0);
		assert_int_equal(read_back(first, &conf), 0);
		assert_false(engine_conf_deployed(&conf));
		assert_false(conf.configured);
		assert_int_equal(conf.domain_type, rows[i].as);
		assert_string_equal(conf.sd_uuid, DOMAIN);
		if (rows[i].as != DOMAIN_UNTYPED)
			assert_string_equal(conf.disk.path, rows[i].files ? FOLDER "/disk" : FOLDER "/lun");
		assert_string_equal(conf.password, rows[i].as == DOMAIN_ISCSI ? "secret" : "");

		assert_int_equal(keyfile_new("x", false, &whole), 0);
		assert_int_equal(host_conf_whole(&answers, &domain, whole), 0);
		assert_int_equal(read_back(whole, &conf), 0);
		assert_string_equal(conf.vmid, VMID);
		assert_int_equal(conf.host_id, 1);
		assert_false(conf.configured);
		assert_string_equal(conf.fqdn, "engine.example.com");
		assert_string_equal(conf.bridge, "br0");
		assert_string_equal(conf.lockspace_name, "hosted-engine");
		assert_int_equal(conf.metadata.offset, domain.areas[AREA_METADATA].offset);
		assert_string_equal(conf.conf_volume.path, domain.areas[AREA_CONF].path);
		assert_string_equal(conf.disk.path,
				    rows[i].files
					    ? FOLDER "/disk"
					    : "/dev/disk/by-partuuid/5b2e4a5e-0000-4000-8000-00000000000d");
		answers_done(&answers);
	}
}

/* A further host that reaches the domain another way: the cluster's keys stay, its own are its own. */
static void test_further_host(void **state)
{
	_cleanup_keyfile_ struct keyfile *first = NULL, *base = NULL;
	_cleanup_free_ char *text = NULL;
	struct answers answers = {0}, mine = {.further = true};
	struct engine_conf conf;
	struct domain domain;
	size_t size;

	answer_all(&answers, "nfs");
	answer_set(&answers, ANSWER_IO_TIMEOUT, "7");
	answer_set(&answers, ANSWER_MNT_OPTIONS, "nconnect=2");
	answer_set(&answers, ANSWER_HOST_ID, "of a further host");
	make_domain(true, &domain);
	assert_int_equal(keyfile_new("x", false, &first), 0);
	assert_int_equal(host_conf_whole(&answers, &domain, first), 0);
	assert_int_equal(host_conf_shared(first, &text, &size), 0);
	assert_int_equal(keyfile_parse("x", text, size, false, &base, NULL), 0);
	assert_null(keyfile_get(base, "", "host_id"));
	assert_null(keyfile_get(base, "", "configured"));
	assert_null(keyfile_get(base, "", "password"));

	answer_set(&mine, ANSWER_STORAGE_TYPE, "path");
	answer_set(&mine, ANSWER_STORAGE, "/mnt/engine");
	answer_set(&mine, ANSWER_HOST_ID, "5");
	answer_set(&mine, ANSWER_BRIDGE, "br1");
	answer_set(&mine, ANSWER_GATEWAY, "192.0.2.253");
	for (int i = 0; i < AREA_COUNT; i++)
		snprintf(domain.areas[i].path, PATH_MAX, "/mnt/engine/%s", domain_area_names[i]);
	assert_int_equal(host_conf_whole(&mine, &domain, base), 0);
	assert_int_equal(read_back(base, &conf), 0);
	assert_int_equal(conf.host_id, 5);
	assert_string_equal(conf.vmid, VMID);
	assert_int_equal(conf.io_timeout_s, 7);
	assert_string_equal(conf.bridge, "br1");
	assert_int_equal(conf.domain_type, DOMAIN_UNTYPED);
	assert_string_equal(conf.storage, "");
	assert_string_equal(conf.mnt_options, "");
	assert_string_equal(conf.lockspace.path, "/mnt/engine/lockspace");
	answers_done(&answers);
	answers_done(&mine);
}

/* Where partitions have no devices a storage daemon shows the VM's disk as a file. */
static void test_disk_as_a_file(void **state)
{
	struct domain domain;
	char path[PATH_MAX];
	bool block = true;

	make_domain(false, &domain);
	domain.image = true;
	domain.areas[AREA_DISK].size = 1 << 30;
	assert_int_equal(host_conf_disk(&domain, path, &block), 0);
	assert_string_equal(path, FOLDER "/lun.5242880.1073741824");
	assert_false(block);
}

/* QEMU is given paths, and an image elsewhere has none for its areas. */
static void test_disk_without_a_path(void **state)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	struct answers answers = {0};
	struct domain domain;

	make_domain(false, &domain);
	domain.image = true;
	strcpy(domain.areas[AREA_DISK].path, "/srv/image");
	domain.areas[AREA_DISK].partition_uuid[0] = '\0';
	assert_int_equal(keyfile_new("x", false, &file), 0);
	assert_int_equal(host_conf_whole(&answers, &domain, file), -EOPNOTSUPP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_storage),
		cmocka_unit_test(test_further_host),
		cmocka_unit_test(test_disk_as_a_file),
		cmocka_unit_test(test_disk_without_a_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
