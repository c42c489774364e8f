/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which files a storage daemon has to show for a configuration, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "storage/storage_export.h"

#define FOLDER "/run/ovirt-ha-storage/d"

static struct engine_conf make_conf(enum domain_type type, const char *const places[5])
{
	struct engine_conf conf = {.domain_type = type, .port = 3260};
	struct place *const into[] = {&conf.lockspace, &conf.metadata, &conf.lease, &conf.conf_volume,
				      &conf.disk};

	for (size_t i = 0; i < 5; i++)
		snprintf(into[i]->path, sizeof(into[i]->path), "%s", places[i] ? places[i] : "");
	snprintf(conf.storage, sizeof(conf.storage), "server:/export");
	snprintf(conf.lun, sizeof(conf.lun), "3");
	return conf;
}

static void test_rows(void **state)
{
	static const struct {
		const char *name;
		enum domain_type type;
		const char *places[5];
		int error;
		const char *expected; /* NAME/LUN .., or what the reason has */
	} rows[] = {
		{"all of a share",
		 DOMAIN_NFS3,
		 {FOLDER "/lockspace", FOLDER "/metadata", FOLDER "/leases", FOLDER "/conf", FOLDER "/disk"},
		 0,
		 "lockspace/0 metadata/0 leases/0 conf/0 disk/0 "},
		{"one file for two",
		 DOMAIN_GLUSTERFS,
		 {FOLDER "/a", FOLDER "/a", FOLDER "/a", NULL, FOLDER "/disk"},
		 0,
		 "a/0 disk/0 "},
		{"the whiteboard elsewhere",
		 DOMAIN_NFS,
		 {FOLDER "/lockspace", "nfs://server/export/metadata", FOLDER "/leases", "/srv/conf",
		  FOLDER "/disk"},
		 0,
		 "lockspace/0 leases/0 disk/0 "},
		{"a unit, and the disk on its own",
		 DOMAIN_ISCSI,
		 {FOLDER "/lun", FOLDER "/lun", FOLDER "/lun", FOLDER "/lun", FOLDER "/lun-12"},
		 0,
		 "lun/3 lun-12/12 "},
		{"parts of units",
		 DOMAIN_ISCSI,
		 {FOLDER "/lun", NULL, FOLDER "/lun-12.0.512", NULL, FOLDER "/lun.17825792.1073741824"},
		 0,
		 "lun/3 lun-12.0.512/12+0,512 lun.17825792.1073741824/3+17825792,1073741824 "},
		{"a part of no size",
		 DOMAIN_ISCSI,
		 {FOLDER "/lun", NULL, NULL, NULL, FOLDER "/lun.17825792"},
		 -EINVAL,
		 "lun-NUMBER"},
		{"a part of nothing",
		 DOMAIN_ISCSI,
		 {FOLDER "/lun", NULL, NULL, NULL, FOLDER "/lun.17825792.0"},
		 -EINVAL,
		 "lun-NUMBER"},
		{"a part of more than there can be",
		 DOMAIN_ISCSI,
		 {FOLDER "/lun", NULL, NULL, NULL, FOLDER "/lun.18446744073709551615.512"},
		 -EINVAL,
		 "lun-NUMBER"},
		{"a part, and more",
		 DOMAIN_ISCSI,
		 {FOLDER "/lun", NULL, NULL, NULL, FOLDER "/lun.512.512.512"},
		 -EINVAL,
		 "lun-NUMBER"},
		{"not a unit",
		 DOMAIN_ISCSI,
		 {FOLDER "/lun", NULL, NULL, NULL, FOLDER "/disk"},
		 -EINVAL,
		 "lun-NUMBER"},
		{"a unit of no number",
		 DOMAIN_ISCSI,
		 {FOLDER "/lun-", NULL, NULL, NULL, FOLDER "/lun"},
		 -EINVAL,
		 "lun-NUMBER"},
		{"a folder in the folder",
		 DOMAIN_NFS3,
		 {FOLDER "/a/b", NULL, NULL, NULL, FOLDER "/disk"},
		 -EINVAL,
		 "a folder alone"},
		{"out of the folder",
		 DOMAIN_NFS3,
		 {FOLDER "/..", NULL, NULL, NULL, FOLDER "/disk"},
		 -EINVAL,
		 "a folder alone"},
		{"a comma",
		 DOMAIN_NFS3,
		 {FOLDER "/a,b", NULL, NULL, NULL, FOLDER "/disk"},
		 -EINVAL,
		 "a folder alone"},
		{"a folder of a longer name",
		 DOMAIN_NFS3,
		 {FOLDER "e/a", NULL, NULL, NULL, "/dev/disk"},
		 -EINVAL,
		 "none of"},
		{"no disk", DOMAIN_NFS3, {FOLDER "/lockspace", NULL, NULL, NULL, NULL}, -EINVAL, "disk_path"},
		{"NFS 4",
		 DOMAIN_NFS4,
		 {FOLDER "/a", NULL, NULL, NULL, FOLDER "/b"},
		 -EOPNOTSUPP,
		 "version 3"},
		{"a disk of Fibre Channel",
		 DOMAIN_FC,
		 {FOLDER "/a", NULL, NULL, NULL, FOLDER "/b"},
		 -EOPNOTSUPP,
		 "alone"},
		{"a local mount",
		 DOMAIN_POSIX,
		 {FOLDER "/a", NULL, NULL, NULL, FOLDER "/b"},
		 -EOPNOTSUPP,
		 "alone"},
		{"nothing",
		 DOMAIN_UNTYPED,
		 {FOLDER "/a", NULL, NULL, NULL, FOLDER "/b"},
		 -EOPNOTSUPP,
		 "alone"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct engine_conf conf = make_conf(rows[i].type, rows[i].places);
		struct storage_exports exports;
		char why[STORAGE_EXPORT_WHY_SIZE] = "", text[256] = "";
		int r = storage_exports_plan(&conf, FOLDER, &exports, why);

		if (r != rows[i].error)
			fail_msg("%s: %d %s", rows[i].name, r, why);
		for (size_t j = 0; r == 0 && j < exports.n; j++) {
			const struct storage_export *export = &exports.all[j];
			char part[64] = "";

			if (export->size)
				snprintf(part, sizeof(part), "+%" PRIu64 ",%" PRIu64, export->offset,
					 export->size);
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s/%u%s ", export->name,
				 export->lun, part);
		}
		if (r == 0 ? strcmp(text, rows[i].expected) != 0 : !strstr(why, rows[i].expected))
			fail_msg("%s: %s%s", rows[i].name, text, why);
	}
}

static void test_versions(void **state)
{
	static const char *const places[5] = {FOLDER "/a", NULL, NULL, NULL, FOLDER "/b"};
	struct engine_conf conf = make_conf(DOMAIN_NFS, places);
	struct storage_exports exports;
	char why[STORAGE_EXPORT_WHY_SIZE];

	(void)state;
	conf.nfs_version = NFS_V4_1;
	assert_int_equal(storage_exports_plan(&conf, FOLDER, &exports, why), -EOPNOTSUPP);
	conf.nfs_version = NFS_V3;
	assert_int_equal(storage_exports_plan(&conf, FOLDER, &exports, why), 0);
	conf.storage[0] = '\0';
	assert_int_equal(storage_exports_plan(&conf, FOLDER, &exports, why), -EINVAL);
	conf.domain_type = DOMAIN_ISCSI;
	snprintf(conf.lun, sizeof(conf.lun), "wwn-0x6001405");
	assert_int_equal(storage_exports_plan(&conf, FOLDER, &exports, why), -EINVAL);
	assert_non_null(strstr(why, "number"));
}

static void test_servers(void **state)
{
	static const struct {
		const char *source;
		int error;
		const char *host, *path;
	} rows[] = {
		{"server:/a/b", 0, "server", "/a/b"},
		{"192.0.2.1:/a", 0, "192.0.2.1", "/a"},
		{"[2001:db8::1]:/a", 0, "2001:db8::1", "/a"},
		{"192.0.2.1,192.0.2.2", 0, "192.0.2.1", ""},
		{"2001:db8::1", 0, "2001:db8::1", ""},
		{"[2001:db8::1],[2001:db8::2]", 0, "2001:db8::1", ""},
		{":/a", -EINVAL, NULL, NULL},
		{"[2001:db8::1", -EINVAL, NULL, NULL},
		{"", -EINVAL, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *path = "";
		char host[256] = "";
		int r = storage_server(rows[i].source, host, &path);

		if (r != rows[i].error ||
		    (r == 0 && (strcmp(host, rows[i].host) || strcmp(path, rows[i].path))))
			fail_msg("%s: %d %s %s", rows[i].source, r, host, path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
