/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's way: what is planned for each kind of storage, what a host must have, and what the kernel's
 * lists say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/storage_driver.h"

#define DOMAIN "0d5a3f2b-8c1e-4c6f-9b7e-2a1d8e4f5c60"
#define DB "/db/nodes/iqn.2003-01.org.test:d/"

static char top[64];
static char paths[8][128];

static struct storage_world world;

static const char *in_top(int i, const char *name)
{
	snprintf(paths[i], sizeof(paths[i]), "%s/%s", top, name);
	return paths[i];
}

static void put(const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	for (char *slash = path + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = '\0';
		mkdir(path, 0755);
	}
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	chmod(path, 0755);
}

static int setup(void **state)
{
	strcpy(top, "/tmp/ovirt-ha-kernel-XXXXXX");
	assert_non_null(mkdtemp(top));
	world = (struct storage_world){.run = in_top(0, "run"),
				       .mountinfo = in_top(1, "mountinfo"),
				       .filesystems = in_top(2, "filesystems"),
				       .sys = in_top(3, "sys"),
				       .dev = in_top(4, "dev"),
				       .iscsi = "/db",
				       .path = in_top(5, "bin")};
	put("mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
	put("filesystems", "nodev\tsysfs\n");
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command) != 0;
}

static struct engine_conf conf_of(enum domain_type type)
{
	struct engine_conf conf = {.domain_type = type, .sd_uuid = DOMAIN, .port = 3260, .portal = 1};

	strcpy(conf.storage, type == DOMAIN_ISCSI ? "192.0.2.1" : "srv:/engine");
	if (type == DOMAIN_ISCSI) {
		strcpy(conf.iqn, "iqn.2003-01.org.test:d");
		strcpy(conf.lun, "1");
	}
	return conf;
}

/* A line a step, paths without what is this run's own. */
static const char *shown(const struct storage_plan *plan)
{
	static const char *const words[] = {"folder",  "file", "line",	"link",	 "remove", "mount",
					    "unmount", "run",  "await", "touch", "unused"};
	static char text[8192];
	size_t used = 0;

	assert_false(plan->full);
	text[0] = '\0';
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct storage_step *step = &plan->steps[i];

		assert_true(step->ms > 0);
		used += (size_t)sprintf(text + used, "%s", words[step->kind]);
		for (size_t k = 0; step->args[k]; k++)
			used += (size_t)sprintf(text + used, " %s",
						strncmp(step->args[k], top, strlen(top)) == 0
							? step->args[k] + strlen(top)
							: step->args[k]);
		if (step->okay)
			used += (size_t)sprintf(text + used, " (%d)", step->okay);
		used += (size_t)sprintf(text + used, "%s\n", step->optional ? " (or not)" : "");
	}
	return text;
}

#define FOLDER "/run/" DOMAIN
#define NFS "nosuid,nodev,soft,nosharecache,timeo=100,retrans=3"

static void test_files(void **state)
{
	static const struct {
		const char *name;
		enum domain_type type;
		enum nfs_version version;
		const char *options, *vfs, *expected;
	} rows[] = {
		{"any version", DOMAIN_NFS, NFS_AUTO, "", "", "nfs " NFS},
		{"a version", DOMAIN_NFS, NFS_V4_1, "", "", "nfs " NFS ",vers=4.1"},
		{"NFS 3", DOMAIN_NFS3, NFS_AUTO, "", "", "nfs " NFS ",vers=3"},
		{"NFS 4", DOMAIN_NFS4, NFS_AUTO, "", "", "nfs " NFS ",vers=4"},
		{"the file's options come last", DOMAIN_NFS4, NFS_AUTO, "timeo=50,hard", "",
		 "nfs " NFS ",vers=4,timeo=50,hard"},
		{"gluster", DOMAIN_GLUSTERFS, NFS_AUTO, "", "", "glusterfs "},
		{"gluster with a second server", DOMAIN_GLUSTERFS, NFS_AUTO, "backup-volfile-servers=b", "",
		 "glusterfs backup-volfile-servers=b"},
		{"posix", DOMAIN_POSIX, NFS_AUTO, "noatime", "ceph", "ceph noatime"},
		{"posix of a type that mount finds out", DOMAIN_POSIX, NFS_AUTO, "bind", "", "auto bind"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct engine_conf conf = conf_of(rows[i].type);
		static struct storage_plan plan;
		char expected[512];

		memset(&plan, 0, sizeof(plan));
		conf.nfs_version = rows[i].version;
		strcpy(conf.mnt_options, rows[i].options);
		strcpy(conf.vfs_type, rows[i].vfs);
		storage_kernel.connect(&world, &conf, &plan);
		snprintf(expected, sizeof(expected), "folder " FOLDER "\nmount srv:/engine " FOLDER " %s\n",
			 rows[i].expected);
		if (strcmp(shown(&plan), expected) != 0)
			fail_msg("%s: %s", rows[i].name, shown(&plan));
		memset(&plan, 0, sizeof(plan));
		storage_kernel.disconnect(&world, &conf, &plan);
		assert_string_equal(shown(&plan), "unmount " FOLDER "\nremove " FOLDER "\n");
	}
}

#define NODE "run iscsiadm -m node "
#define REREAD "run blockdev --rereadpt "
#define TARGET "-T iqn.2003-01.org.test:d "

static void test_iscsi(void **state)
{
	struct engine_conf conf = conf_of(DOMAIN_ISCSI);
	static struct storage_plan plan;

	memset(&plan, 0, sizeof(plan));
	storage_kernel.connect(&world, &conf, &plan);
	assert_string_equal(
		shown(&plan),
		NODE "-o new " TARGET "-p 192.0.2.1:3260,1 -I default\n"
		     "line " DB "192.0.2.1,3260,1/default node.startup manual\n" NODE TARGET
		     "-p 192.0.2.1:3260,1 -l (15)\n" NODE TARGET "-R (or not)\n"
		     "await /dev/disk/by-path/ip-192.0.2.1:3260-iscsi-iqn.2003-01.org.test:d-lun-1\n" REREAD
		     "/dev/disk/by-path/ip-192.0.2.1:3260-iscsi-iqn.2003-01.org.test:d-lun-1 (or not)\n"
		     "folder " FOLDER "\nlink " FOLDER "/lun "
		     "/dev/disk/by-path/ip-192.0.2.1:3260-iscsi-iqn.2003-01.org.test:d-lun-1\n");
	memset(&plan, 0, sizeof(plan));
	storage_kernel.disconnect(&world, &conf, &plan);
	assert_string_equal(shown(&plan), "remove " FOLDER "/lun\nremove " FOLDER "\n" NODE TARGET
					  "-p 192.0.2.1:3260,1 -u (21)\n" NODE TARGET
					  "-p 192.0.2.1:3260,1 -o delete (21)\n");
}

/* Two portals, one of IPv6, CHAP and a multipath map: and no password on any command line. */
static void test_iscsi_full(void **state)
{
	struct engine_conf conf = conf_of(DOMAIN_ISCSI);
	static struct storage_plan plan;
	const char *text;

	put("bin/multipath", "#!/bin/sh\n");
	strcpy(conf.storage, "192.0.2.1,2001:db8::1");
	strcpy(conf.lun, "dm-uuid-mpath-3600");
	strcpy(conf.user, "me");
	strcpy(conf.password, "secret");
	conf.port = 3261;
	conf.portal = 2;
	memset(&plan, 0, sizeof(plan));
	storage_kernel.connect(&world, &conf, &plan);
	text = shown(&plan);
	/* One of two may be away. */
	assert_non_null(strstr(text, "-p 192.0.2.1:3261,2 -l (15) (or not)\n"));
	assert_non_null(strstr(text, "-p [2001:db8::1]:3261,2 -l (15) (or not)\n"));
	assert_non_null(
		strstr(text, "line " DB "192.0.2.1,3261,2/default node.session.auth.password secret\n"));
	assert_non_null(
		strstr(text, "line " DB "2001:db8::1,3261,2/default node.session.auth.password secret\n"));
	assert_non_null(
		strstr(text, "line " DB "2001:db8::1,3261,2/default node.session.auth.authmethod CHAP\n"));
	assert_non_null(
		strstr(text, "line " DB "2001:db8::1,3261,2/default node.session.auth.username me\n"));
	assert_non_null(strstr(text, "run multipath (or not)\nawait /dev/disk/by-id/dm-uuid-mpath-3600\n"));
	for (size_t i = 0; i < plan.n_steps; i++)
		for (size_t k = 0; plan.steps[i].kind == STORAGE_STEP_RUN && plan.steps[i].args[k]; k++)
			assert_null(strstr(plan.steps[i].args[k], "secret"));
	memset(&plan, 0, sizeof(plan));
	storage_kernel.disconnect(&world, &conf, &plan);
	assert_non_null(
		strstr(shown(&plan), "run multipath -f /dev/disk/by-id/dm-uuid-mpath-3600 (or not)\n"));
}

static void test_fc(void **state)
{
	struct engine_conf conf = conf_of(DOMAIN_FC);
	static struct storage_plan plan;

	conf.storage[0] = '\0';
	strcpy(conf.lun, "wwn-0x6001");
	memset(&plan, 0, sizeof(plan));
	storage_kernel.connect(&world, &conf, &plan);
	assert_string_equal(shown(&plan), "await /dev/disk/by-id/wwn-0x6001\n" REREAD
					  "/dev/disk/by-id/wwn-0x6001 (or not)\nfolder " FOLDER
					  "\nlink " FOLDER "/lun /dev/disk/by-id/wwn-0x6001\n");
}

static void test_probe(void **state)
{
	char why[STORAGE_WHY_SIZE];
	static const struct {
		enum domain_type type;
		const char *first, *then, *program, *filesystem, *folder;
	} rows[] = {
		{DOMAIN_NFS4, "no mount.nfs", "modprobe nfs", "bin/mount.nfs", "nodev\tnfs4\n", NULL},
		{DOMAIN_GLUSTERFS, "no mount.glusterfs", "modprobe fuse", "bin/mount.glusterfs",
		 "nodev\tfuse\n", NULL},
		{DOMAIN_ISCSI, "no iscsiadm", "modprobe iscsi_tcp", "bin/iscsiadm", NULL,
		 "sys/class/iscsi_transport/tcp"},
	};
	struct engine_conf conf;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		conf = conf_of(rows[i].type);
		assert_int_equal(storage_kernel.probe(&world, &conf, why), -EOPNOTSUPP);
		assert_non_null(strstr(why, rows[i].first));
		put(rows[i].program, "#!/bin/sh\n");
		assert_int_equal(storage_kernel.probe(&world, &conf, why), -EOPNOTSUPP);
		assert_non_null(strstr(why, rows[i].then));
		put(rows[i].filesystem ? "filesystems" : rows[i].folder,
		    rows[i].filesystem ? rows[i].filesystem : "");
		assert_int_equal(storage_kernel.probe(&world, &conf, why), 0);
	}
	conf = conf_of(DOMAIN_FC);
	assert_int_equal(storage_kernel.probe(&world, &conf, why), 0);
}

static enum storage_state state_of(const struct engine_conf *conf)
{
	enum storage_state ret = (enum storage_state)77;

	assert_int_equal(storage_kernel.state(&world, conf, &ret), 0);
	return ret;
}

static void test_state_of_files(void **state)
{
	struct engine_conf conf = conf_of(DOMAIN_NFS);
	char line[512];

	assert_int_equal(state_of(&conf), STORAGE_DISCONNECTED);
	/* Another's, whose name begins alike, is not ours. */
	snprintf(line, sizeof(line), "9 1 0:9 / %s" FOLDER "x rw - nfs4 srv:/engine rw\n", top);
	put("mountinfo", line);
	assert_int_equal(state_of(&conf), STORAGE_DISCONNECTED);
	snprintf(line, sizeof(line), "9 1 0:9 / %s" FOLDER " rw - nfs4 srv:/engine rw\n", top);
	put("mountinfo", line);
	assert_int_equal(state_of(&conf), STORAGE_CONNECTED);
	world.mountinfo = "/nonexistent/mountinfo";
	{
		enum storage_state ret = (enum storage_state)77;

		assert_true(storage_kernel.state(&world, &conf, &ret) < 0);
		assert_int_equal(ret, 77);
	}
}

static void test_state_of_lun(void **state)
{
	struct engine_conf conf = conf_of(DOMAIN_ISCSI);
	char link[256];

	assert_int_equal(state_of(&conf), STORAGE_DISCONNECTED);
	put("sys/class/iscsi_session/session3/targetname", "iqn.2003-01.org.test:other\n");
	assert_int_equal(state_of(&conf), STORAGE_DISCONNECTED);
	put("sys/class/iscsi_session/session4/targetname", "iqn.2003-01.org.test:d\n");
	assert_int_equal(state_of(&conf), STORAGE_PARTIAL);
	put("dev/disk", "");
	put("run/" DOMAIN "/other", "");
	snprintf(link, sizeof(link), "%s" FOLDER "/lun", top);
	assert_int_equal(symlink("../../dev/disk", link), 0);
	assert_int_equal(state_of(&conf), STORAGE_CONNECTED);
	/* The device went. */
	snprintf(link, sizeof(link), "%s/dev/disk", top);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(state_of(&conf), STORAGE_PARTIAL);
	conf.domain_type = DOMAIN_FC;
	put("dev/disk", "");
	assert_int_equal(state_of(&conf), STORAGE_CONNECTED);
}

static void test_plan_too_long(void **state)
{
	static struct storage_plan plan;

	memset(&plan, 0, sizeof(plan));
	for (int i = 0; i < STORAGE_STEPS_MAX; i++)
		storage_plan_add(&plan, STORAGE_STEP_TOUCH, 1, "x", NULL);
	assert_true(plan.full);
	memset(&plan, 0, sizeof(plan));
	while (!plan.full)
		storage_text(&plan, "%s", "a text of some length that fills what there is");
	assert_true(plan.used <= sizeof(plan.text));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_files),	 TEST(test_iscsi),	   TEST(test_iscsi_full),
		TEST(test_fc),		 TEST(test_probe),	   TEST(test_state_of_files),
		TEST(test_state_of_lun), TEST(test_plan_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
