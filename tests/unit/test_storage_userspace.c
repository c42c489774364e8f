/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The userspace way: what a host must have, what systemd is asked for, and what its mounts say. */
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

#include "storage/storage_driver.h"

#define DOMAIN "0d5a3f2b-8c1e-4c6f-9b7e-2a1d8e4f5c60"
#define FOLDER "/run/ovirt-ha-storage/" DOMAIN
#define UNIT "ovirt-ha-storage-daemon@" DOMAIN ".service"

static char top[64], dev[80], bin[80], mountinfo[96];
static struct storage_world world;
static struct engine_conf conf;

static void put(const char *folder, const char *name, const char *text)
{
	char path[200];
	FILE *file;

	mkdir(folder, 0755);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	chmod(path, 0755);
}

static int setup(void **state)
{
	(void)state;
	strcpy(top, "/tmp/ovirt-ha-userspace-XXXXXX");
	assert_non_null(mkdtemp(top));
	snprintf(dev, sizeof(dev), "%s/dev", top);
	snprintf(bin, sizeof(bin), "%s/bin", top);
	snprintf(mountinfo, sizeof(mountinfo), "%s/mountinfo", top);
	world = (struct storage_world){
		.run = "/run/ovirt-ha-storage", .mountinfo = mountinfo, .dev = dev, .path = bin};
	put(top, "mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
	conf = (struct engine_conf){.domain_type = DOMAIN_NFS3, .sd_uuid = DOMAIN, .storage = "srv:/engine"};
	strcpy(conf.lockspace.path, FOLDER "/lockspace");
	strcpy(conf.disk.path, FOLDER "/disk");
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command) != 0;
}

static void test_probe(void **state)
{
	char why[STORAGE_WHY_SIZE];

	(void)state;
	assert_int_equal(storage_userspace.probe(&world, &conf, why), -EOPNOTSUPP);
	assert_non_null(strstr(why, "qemu-storage-daemon"));
	put(bin, "qemu-storage-daemon", "");
	assert_int_equal(storage_userspace.probe(&world, &conf, why), -EOPNOTSUPP);
	assert_non_null(strstr(why, "modprobe fuse"));
	put(dev, "fuse", "");
	assert_int_equal(storage_userspace.probe(&world, &conf, why), 0);
	conf.domain_type = DOMAIN_NFS4;
	assert_int_equal(storage_userspace.probe(&world, &conf, why), -EOPNOTSUPP);
	assert_non_null(strstr(why, "version 3"));
}

static void assert_step(const struct storage_step *step, enum storage_step_kind kind, const char *first,
			const char *second, const char *third)
{
	assert_int_equal(step->kind, kind);
	assert_true(step->ms > 0);
	assert_string_equal(step->args[0], first);
	if (second)
		assert_string_equal(step->args[1], second);
	if (third)
		assert_string_equal(step->args[2], third);
}

static void test_plans(void **state)
{
	static struct storage_plan plan;

	(void)state;
	memset(&plan, 0, sizeof(plan));
	storage_userspace.connect(&world, &conf, &plan);
	assert_int_equal(plan.n_steps, 2);
	assert_step(&plan.steps[0], STORAGE_STEP_FOLDER, FOLDER, NULL, NULL);
	assert_step(&plan.steps[1], STORAGE_STEP_RUN, "systemctl", "start", UNIT);
	assert_string_equal(plan.steps[1].words, "/run/ovirt-ha-storage/daemon.words");
	memset(&plan, 0, sizeof(plan));
	storage_userspace.disconnect(&world, &conf, &plan);
	assert_int_equal(plan.n_steps, 3);
	assert_step(&plan.steps[0], STORAGE_STEP_RUN, "systemctl", "stop", UNIT);
	assert_step(&plan.steps[1], STORAGE_STEP_REMOVE, "/run/ovirt-ha-storage/daemon.words", NULL, NULL);
	assert_step(&plan.steps[2], STORAGE_STEP_REMOVE, FOLDER, NULL, NULL);
	assert_true(plan.steps[2].optional);
}

static enum storage_state state_of(const char *mounts)
{
	enum storage_state state;

	put(top, "mountinfo", mounts);
	assert_int_equal(storage_userspace.state(&world, &conf, &state), 0);
	return state;
}

static void test_state(void **state)
{
	static const char one[] = "50 22 0:40 / " FOLDER "/lockspace rw - fuse /dev/fuse rw\n";
	static const char both[] = "50 22 0:40 / " FOLDER "/lockspace rw - fuse /dev/fuse rw\n"
				   "51 22 0:41 / " FOLDER "/disk rw - fuse /dev/fuse rw\n";

	(void)state;
	assert_int_equal(state_of(""), STORAGE_DISCONNECTED);
	assert_int_equal(state_of(one), STORAGE_PARTIAL);
	assert_int_equal(state_of(both), STORAGE_CONNECTED);
	/* The kernel's mount of the same domain is another's work. */
	assert_int_equal(state_of("50 22 0:40 / " FOLDER " rw - nfs srv:/engine rw\n"), STORAGE_DISCONNECTED);
	conf.domain_type = DOMAIN_FC;
	assert_int_equal(state_of(both), STORAGE_DISCONNECTED);
}

/* systemd tries again for as long as the daemon is not stopped: that is there to be disconnected. */
static void test_refused(void **state)
{
	(void)state;
	world.run = top;
	snprintf(conf.lockspace.path, sizeof(conf.lockspace.path), "%s/" DOMAIN "/lockspace", top);
	snprintf(conf.disk.path, sizeof(conf.disk.path), "%s/" DOMAIN "/disk", top);
	assert_int_equal(state_of(""), STORAGE_DISCONNECTED);
	put(top, "daemon.words", "no such export\n");
	assert_int_equal(state_of(""), STORAGE_PARTIAL);
	conf.domain_type = DOMAIN_FC;
	assert_int_equal(state_of(""), STORAGE_DISCONNECTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_probe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_plans, setup, teardown),
		cmocka_unit_test_setup_teardown(test_state, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
