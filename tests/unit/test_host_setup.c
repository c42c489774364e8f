/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What becomes of a host's own files and services, there and back, below a root of the test's own. systemctl
 * and sanlock are stand-ins that keep what was asked in files. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "deploy/host_setup.h"
#include "util/cleanup.h"

#define NAME "4c4c4544-0000-4000-8000-000000000001.h1"
#define QEMU_CONF "etc/libvirt/qemu.conf"
#define QEMU_SANLOCK "etc/libvirt/qemu-sanlock.conf"
#define SANLOCK "etc/default/sanlock"

static char root[] = "/tmp/host_setup.XXXXXX";

/* A host as the packages leave it. $R/units: a file NAME.enabled, NAME.active or NAME.fails each, and
 * NAME.state for one that is neither up nor down; $R/calls:
 * what was asked to change; $R/started: since when all services run. */
static const char prepare[] =
	"mkdir -p etc/libvirt/hooks/qemu.d etc/default etc/systemd/system units bin;"
	"printf '# comment\\n#lock_manager = \"lockd\"\\n\\nuser = \"x\"\\n' >" QEMU_CONF ";"
	"printf '# none\\n#auto_disk_leases = 1\\n' >" QEMU_SANLOCK ";"
	"printf 'enabled=1\\n# opts\\nsanlock_opts=\"-w 0\"\\n' >" SANLOCK ";"
	"printf '#!/bin/sh\\n' >etc/libvirt/hooks/qemu.d/ovirt-ha; chmod +x "
	"etc/libvirt/hooks/qemu.d/ovirt-ha;"
	"touch units/sanlock.enabled units/libvirtd.enabled units/libvirtd.active; : >calls;"
	"echo @9999999999 >started; : >gets;"
	"cat >bin/systemctl <<'E'\n"
	"#!/bin/sh\n"
	"cd ${0%/bin/*}\n"
	"while [ \"${1#-}\" != \"$1\" ]; do shift; done\n"
	"unit=$2; for unit; do :; done\n"
	"case $1 in is-*) [ -e units/$unit.${1#is-} ]; exit;; show) case $* in *ActiveState*) cat "
	"units/$unit.state 2>/dev/null || if [ -e units/$unit.active ]; then echo active; else echo "
	"inactive; fi;; "
	"*) cat started;; esac; exit;; esac\n"
	"[ ! -e units/$unit.fails ] || { echo Job for $unit failed. >&2; exit 1; }\n"
	"echo $* >>calls\n"
	"case $1 in enable) touch units/$unit.enabled;; disable) rm units/$unit.enabled;; start) touch "
	"units/$unit.active;;"
	" stop) rm -f units/$unit.active units/$unit.state;; esac\n"
	"E\n"
	"printf '#!/bin/sh\\ncat ${0%%/bin/*}/gets\\n' >bin/sanlock; chmod +x bin/*;";

static struct host_setup host = {.root = root, .name = NAME, .require_watchdog = true};

static int shell(const char *script)
{
	char line[8192];

	snprintf(line, sizeof(line), "set -e; cd %s; %s", root, script);
	return system(line);
}

static int setup(void **state)
{
	char path[4096];

	if (!mkdtemp(root))
		return -1;
	snprintf(path, sizeof(path), "%s/bin:%s", root, getenv("PATH"));
	return setenv("PATH", path, 1);
}

static int teardown(void **state)
{
	char line[100];

	snprintf(line, sizeof(line), "rm -rf %s", root);
	return system(line);
}

static int fresh(void **state)
{
	host.require_watchdog = true;
	host.name = NAME;
	return shell("rm -rf etc units bin calls started gets") || shell(prepare);
}

static void assert_file(const char *path, const char *wanted)
{
	char below[256], got[4096];
	FILE *file;
	size_t n;

	snprintf(below, sizeof(below), "%s/%s", root, path);
	file = fopen(below, "r");
	assert_non_null(file);
	n = fread(got, 1, sizeof(got) - 1, file);
	fclose(file);
	got[n] = '\0';
	assert_string_equal(got, wanted);
}

static void assert_do(enum host_setup_step step, const char *wanted)
{
	char text[HOST_SETUP_TEXT_SIZE];

	if (host_setup_do(&host, step, text) != 0)
		fail_msg("%s", text);
	assert_string_equal(text, wanted);
}

static void assert_undo(enum host_setup_step step, const char *wanted)
{
	char text[HOST_SETUP_TEXT_SIZE];

	if (host_setup_undo(&host, step, text) != 0)
		fail_msg("%s", text);
	assert_string_equal(text, wanted);
}

static void assert_fails(enum host_setup_step step, int error, const char *why)
{
	char text[HOST_SETUP_TEXT_SIZE];

	assert_int_equal(host_setup_do(&host, step, text), error);
	if (!strstr(text, why))
		fail_msg("%s", text);
	assert_null(strchr(text, '\n'));
}

static void all(void)
{
	char text[HOST_SETUP_TEXT_SIZE];

	for (int step = 0; step < HOST_SETUP_STEP_COUNT; step++)
		if (host_setup_do(&host, (enum host_setup_step)step, text) != 0)
			fail_msg("%s", text);
}

static void none(void)
{
	char text[HOST_SETUP_TEXT_SIZE];

	for (int step = HOST_SETUP_STEP_COUNT; step-- > 0;)
		if (host_setup_undo(&host, (enum host_setup_step)step, text) != 0)
			fail_msg("%s", text);
}

static void test_files(void **state)
{
	assert_do(HOST_SETUP_QEMU_CONF, "/etc/libvirt/qemu.conf: lock_manager = \"sanlock\" (was not set)\n");
	assert_file(QEMU_CONF,
		    "# comment\n#lock_manager = \"lockd\"\n\nuser = \"x\"\nlock_manager = \"sanlock\"\n");
	assert_do(HOST_SETUP_QEMU_CONF, "");
	assert_do(HOST_SETUP_QEMU_SANLOCK,
		  "/etc/libvirt/qemu-sanlock.conf: auto_disk_leases = 0 (was not set)\n"
		  "/etc/libvirt/qemu-sanlock.conf: require_lease_for_disks = 1 (was not set)\n");
	assert_do(HOST_SETUP_SANLOCK,
		  "/etc/default/sanlock: sanlock_opts=\"-w 1 -e " NAME "\" (was: -w 0)\n");
	assert_file(SANLOCK, "enabled=1\n# opts\nsanlock_opts=\"-w 1 -e " NAME "\"\n");
	assert_do(HOST_SETUP_SANLOCK, "");
	assert_do(HOST_SETUP_HOOK, "");
	assert_int_equal(shell("chmod -x etc/libvirt/hooks/qemu.d/ovirt-ha"), 0);
	assert_fails(HOST_SETUP_HOOK, -ENOENT, "install this program again");
}

static const struct {
	const char *name, *before;
	bool watchdog;
	const char *after; /* NULL: the same */
} option_rows[] = {
	{"others stay", "-U a -w 0 -G b", true, "-U a -G b -w 1 -e " NAME},
	{"another name", "-w 1 -e other", true, "-w 1 -e " NAME},
	{"the last counts", "-w 1 -w 0 -e " NAME, true, "-w 1 -e " NAME},
	{"right", "-w 1 -e " NAME " -h 0", true, NULL},
	{"without a watchdog", "-w 0 -h 0", false, "-w 0 -h 0 -e " NAME},
	{"without a watchdog, right", "-w 0 -h 0 -l 0 -U root -G sanlock -e " NAME, false, NULL},
	{"none", "", true, "-w 1 -e " NAME},
};

static void test_sanlock_options(void **state)
{
	for (size_t i = 0; i < sizeof(option_rows) / sizeof(option_rows[0]); i++) {
		char line[256], text[HOST_SETUP_TEXT_SIZE];

		assert_int_equal(fresh(NULL), 0);
		host.require_watchdog = option_rows[i].watchdog;
		snprintf(line, sizeof(line), "echo 'sanlock_opts=\"%s\"' >" SANLOCK, option_rows[i].before);
		assert_int_equal(shell(line), 0);
		if (host_setup_do(&host, HOST_SETUP_SANLOCK, text) != 0 ||
		    (text[0] != '\0') != (option_rows[i].after != NULL))
			fail_msg("%s: %s", option_rows[i].name, text);
		snprintf(line, sizeof(line), "sanlock_opts=\"%s\"\n",
			 option_rows[i].after ? option_rows[i].after : option_rows[i].before);
		assert_file(SANLOCK, line);
	}
}

static void test_refused(void **state)
{
	assert_int_equal(
		shell("printf 'lock_manager = \"lockd\"\\nlock_manager = \"sanlock\"\\n' >>" QEMU_CONF), 0);
	assert_fails(HOST_SETUP_QEMU_CONF, -EINVAL, "sets lock_manager twice");
	assert_int_equal(shell("rm " QEMU_SANLOCK), 0);
	assert_fails(HOST_SETUP_QEMU_SANLOCK, -ENOENT, "install the package libvirt-sanlock");
	assert_int_equal(shell("echo 'sanlock_opts=\"-w $X\"' >" SANLOCK), 0);
	assert_fails(HOST_SETUP_SANLOCK, -EINVAL, "write it plainly");
	assert_file(SANLOCK, "sanlock_opts=\"-w $X\"\n");
	host.name = "a b";
	assert_fails(HOST_SETUP_SANLOCK, -EINVAL, "48 letters");
	host.name = "0123456789012345678901234567890123456789012345678";
	assert_fails(HOST_SETUP_SANLOCK, -EINVAL, "48 letters");
	/* Nothing was changed, so nothing is kept. */
	assert_int_equal(shell("test ! -e etc/ovirt-hosted-engine"), 0);
}

static void test_back(void **state)
{
	assert_int_equal(shell("mkdir saved; cp -a etc/. saved"), 0);
	all();
	assert_int_equal(shell("test $(stat -c %a etc/ovirt-hosted-engine/setup) = 700"), 0);
	assert_int_equal(shell("cmp etc/ovirt-hosted-engine/setup/qemu.conf.before saved/libvirt/qemu.conf"),
			 0);
	none();
	assert_int_equal(shell("rm -r etc/ovirt-hosted-engine; diff -r etc saved; rm -r saved"), 0);
	none();
}

/* The record alone leads back: again and again, with a do that changed nothing between. */
static void test_back_again(void **state)
{
	all();
	all();
	none();
	assert_file(QEMU_CONF, "# comment\n#lock_manager = \"lockd\"\n\nuser = \"x\"\n");
	all();
	none();
	assert_file(QEMU_CONF, "# comment\n#lock_manager = \"lockd\"\n\nuser = \"x\"\n");
	assert_undo(HOST_SETUP_QEMU_CONF, "");
	/* Two changes, and the way leads back before the first. */
	assert_do(HOST_SETUP_SANLOCK,
		  "/etc/default/sanlock: sanlock_opts=\"-w 1 -e " NAME "\" (was: -w 0)\n");
	host.name = "other";
	assert_do(HOST_SETUP_SANLOCK,
		  "/etc/default/sanlock: sanlock_opts=\"-w 1 -e other\" (was: -w 1 -e " NAME ")\n");
	assert_undo(HOST_SETUP_SANLOCK, "/etc/default/sanlock: sanlock_opts=\"-w 0\" again\n");
}

static void test_edited_since(void **state)
{
	all();
	assert_int_equal(shell("echo 'group = \"y\"' >>" QEMU_CONF "; sed -i 's/-w 1/-w 1 -h 0/' " SANLOCK
			       "; sed -i 's/user = \"x\"/user = \"z\"/' " QEMU_CONF),
			 0);
	assert_undo(HOST_SETUP_SANLOCK,
		    "/etc/default/sanlock: sanlock_opts was changed since, and stays as it is\n");
	assert_file(SANLOCK, "enabled=1\n# opts\nsanlock_opts=\"-w 1 -h 0 -e " NAME "\"\n");
	assert_undo(HOST_SETUP_QEMU_CONF, "/etc/libvirt/qemu.conf: lock_manager is no longer set\n");
	assert_file(QEMU_CONF, "# comment\n#lock_manager = \"lockd\"\n\nuser = \"z\"\ngroup = \"y\"\n");
	assert_int_equal(shell("rm " QEMU_SANLOCK), 0);
	assert_undo(HOST_SETUP_QEMU_SANLOCK, "");
	assert_do(HOST_SETUP_QEMU_CONF, "/etc/libvirt/qemu.conf: lock_manager = \"sanlock\" (was not set)\n");
	assert_int_equal(shell("echo 'lock_manager = \"lockd\"' >>" QEMU_CONF), 0);
	assert_undo(HOST_SETUP_QEMU_CONF,
		    "/etc/libvirt/qemu.conf: lock_manager was changed since, and stays as it is\n");
}

static void test_value_comes_back(void **state)
{
	assert_int_equal(shell("sed -i 's/^#lock/  lock/' " QEMU_CONF), 0);
	assert_do(HOST_SETUP_QEMU_CONF, "/etc/libvirt/qemu.conf: lock_manager = \"sanlock\" (was: lockd)\n");
	assert_undo(HOST_SETUP_QEMU_CONF, "/etc/libvirt/qemu.conf: lock_manager = \"lockd\" again\n");
}

/* A stop between record and change is a change that was not made. */
static void test_recorded_alone(void **state)
{
	assert_int_equal(shell("mkdir -p etc/ovirt-hosted-engine/setup; cd etc/ovirt-hosted-engine/setup; "
			       "cp ../../libvirt/qemu.conf qemu.conf.before; "
			       "printf '[/etc/libvirt/qemu.conf]\\nlock_manager=lock_manager = "
			       "\"sanlock\"\\n' >changes"),
			 0);
	assert_undo(HOST_SETUP_QEMU_CONF, "");
	assert_int_equal(shell("test ! -e etc/ovirt-hosted-engine/setup/qemu.conf.before"), 0);
}

/* A line is not taken out because what was in its place can't be read. */
static void test_old_unreadable(void **state)
{
	char text[HOST_SETUP_TEXT_SIZE];

	assert_int_equal(shell("sed -i 's/^#lock/lock/' " QEMU_CONF), 0);
	assert_do(HOST_SETUP_QEMU_CONF, "/etc/libvirt/qemu.conf: lock_manager = \"sanlock\" (was: lockd)\n");
	assert_int_equal(shell("cd etc/ovirt-hosted-engine/setup; mv qemu.conf.before kept; "
			       "mkdir qemu.conf.before"),
			 0);
	assert_int_equal(host_setup_undo(&host, HOST_SETUP_QEMU_CONF, text), -EINVAL);
	assert_non_null(strstr(text, "mend it"));
	assert_file(QEMU_CONF, "# comment\nlock_manager = \"sanlock\"\n\nuser = \"x\"\n");
	assert_int_equal(shell("cd etc/ovirt-hosted-engine/setup; rmdir qemu.conf.before; "
			       "mv kept qemu.conf.before"),
			 0);
	assert_undo(HOST_SETUP_QEMU_CONF, "/etc/libvirt/qemu.conf: lock_manager = \"lockd\" again\n");
	assert_int_equal(shell("test ! -e etc/ovirt-hosted-engine/setup/qemu.conf.before"), 0);
}

/* A stop on the way back, between the old file's end and the record's. */
static void test_record_last(void **state)
{
	assert_int_equal(shell("sed -i 's/^#lock/lock/' " QEMU_CONF
			       "; mkdir -p etc/ovirt-hosted-engine/setup; "
			       "printf '[/etc/libvirt/qemu.conf]\\nlock_manager=lock_manager = "
			       "\"sanlock\"\\n' >etc/ovirt-hosted-engine/setup/changes"),
			 0);
	assert_undo(HOST_SETUP_QEMU_CONF,
		    "/etc/libvirt/qemu.conf: lock_manager was changed since, and stays as it is\n");
	assert_undo(HOST_SETUP_QEMU_CONF, "");
	assert_file(QEMU_CONF, "# comment\nlock_manager = \"lockd\"\n\nuser = \"x\"\n");
}

static void test_sleep(void **state)
{
	assert_int_equal(shell("ln -s /dev/null etc/systemd/system/suspend.target"), 0);
	assert_do(HOST_SETUP_SLEEP,
		  "sleep.target: masked\nhibernate.target: masked\nhybrid-sleep.target: masked\n"
		  "suspend-then-hibernate.target: masked\n");
	assert_file("calls", "daemon-reload\n");
	assert_do(HOST_SETUP_SLEEP, "");
	assert_file("calls", "daemon-reload\n");
	assert_undo(HOST_SETUP_SLEEP, "sleep.target: no longer masked\nhibernate.target: no longer "
				      "masked\nhybrid-sleep.target: no longer "
				      "masked\nsuspend-then-hibernate.target: no longer masked\n");
	assert_int_equal(shell("test \"$(ls etc/systemd/system)\" = suspend.target"), 0);
	assert_int_equal(shell(": >etc/systemd/system/sleep.target"), 0);
	assert_fails(HOST_SETUP_SLEEP, -EEXIST, "take it away");
}

static void test_services(void **state)
{
	assert_do(HOST_SETUP_SUPPORT,
		  "wdmd: enabled\nwdmd: started\novirt-ha-guard: enabled\novirt-ha-guard: started\n"
		  "sanlock: started\n");
	assert_do(HOST_SETUP_SUPPORT, "");
	assert_do(HOST_SETUP_STORAGE, "ovirt-ha-storage: enabled\novirt-ha-storage: started\n");
	assert_do(HOST_SETUP_DAEMONS,
		  "ovirt-ha-broker: enabled\novirt-ha-broker: started\novirt-ha-agent: enabled\n"
		  "ovirt-ha-agent: started\n");
	assert_undo(HOST_SETUP_DAEMONS,
		    "ovirt-ha-agent: stopped\novirt-ha-agent: disabled\novirt-ha-broker: stopped\n"
		    "ovirt-ha-broker: disabled\n");
	/* What was enabled before stays so; what is not ours goes on. */
	assert_undo(HOST_SETUP_SUPPORT,
		    "ovirt-ha-guard: stopped\novirt-ha-guard: disabled\nwdmd: disabled\n");
	assert_undo(HOST_SETUP_SUPPORT, "");
	assert_int_equal(
		shell("test -e units/sanlock.enabled -a -e units/sanlock.active -a -e units/wdmd.active"), 0);
}

/* One that begins again and again is not active, and would go on. */
static void test_stops_what_restarts(void **state)
{
	char text[HOST_SETUP_TEXT_SIZE];

	assert_int_equal(shell("echo activating >units/ovirt-ha-agent.state; "
			       "echo failed >units/ovirt-ha-broker.state"),
			 0);
	assert_undo(HOST_SETUP_DAEMONS, "ovirt-ha-agent: stopped\n");
	assert_undo(HOST_SETUP_DAEMONS, "");
	/* Systemd does not tell: nothing is believed. */
	assert_int_equal(shell("printf '#!/bin/sh\\nexit 1\\n' >bin/systemctl"), 0);
	assert_int_equal(host_setup_undo(&host, HOST_SETUP_DAEMONS, text), -EIO);
}

static void test_services_without_watchdog(void **state)
{
	host.require_watchdog = false;
	assert_do(HOST_SETUP_SUPPORT, "ovirt-ha-guard: enabled\novirt-ha-guard: started\nsanlock: started\n");
}

/* libvirtd reads its files, and looks for hooks, when it starts. */
static void test_restarts(void **state)
{
	assert_do(HOST_SETUP_SUPPORT,
		  "wdmd: enabled\nwdmd: started\novirt-ha-guard: enabled\novirt-ha-guard: started\n"
		  "sanlock: started\n");
	assert_int_equal(shell(": >calls"), 0);
	assert_do(HOST_SETUP_QEMU_CONF, "/etc/libvirt/qemu.conf: lock_manager = \"sanlock\" (was not set)\n");
	assert_do(HOST_SETUP_SUPPORT, "libvirtd: restarted\n");
	assert_do(HOST_SETUP_SUPPORT, "");
	assert_file("calls", "restart libvirtd\n");
	/* The way back. */
	assert_undo(HOST_SETUP_QEMU_CONF, "/etc/libvirt/qemu.conf: lock_manager is no longer set\n");
	assert_undo(HOST_SETUP_QEMU_CONF, "");
	assert_file("calls", "restart libvirtd\ntry-restart libvirtd\n");
	/* A change by another hand since it started: of all that read a file, here. */
	assert_int_equal(shell("echo @1 >started"), 0);
	assert_do(HOST_SETUP_SUPPORT, "sanlock: restarted\nlibvirtd: restarted\n");
	/* Systemd does not tell. */
	assert_int_equal(shell("echo >started"), 0);
	assert_do(HOST_SETUP_SUPPORT, "");
}

static void test_sanlock_in_use(void **state)
{
	assert_int_equal(shell("touch units/sanlock.active; echo 's hosted-engine:1:/srv/ls:0' >gets"), 0);
	assert_do(HOST_SETUP_SANLOCK,
		  "/etc/default/sanlock: sanlock_opts=\"-w 1 -e " NAME "\" (was: -w 0)\n");
	assert_fails(HOST_SETUP_SUPPORT, -EBUSY, "holds the lockspace hosted-engine:1:/srv/ls:0");
	assert_int_equal(shell("! grep sanlock calls; : >gets"), 0);
	assert_do(HOST_SETUP_SUPPORT, "sanlock: restarted\n");
}

static void test_service_fails(void **state)
{
	assert_int_equal(shell("touch units/sanlock.fails"), 0);
	assert_fails(HOST_SETUP_SUPPORT, -EIO, "Job for sanlock failed.; see journalctl -u sanlock");
	assert_int_equal(shell("rm units/sanlock.fails"), 0);
	assert_do(HOST_SETUP_SUPPORT, "sanlock: started\n");
}

static void test_name(void **state)
{
	char name[49];

	host_setup_name("4c4c4544-0000-4000-8000-000000000001", "host1.example.com", name);
	assert_string_equal(name, "4c4c4544-0000-4000-8000-000000000001.host1.examp");
	host_setup_name("4c4c4544-0000-4000-8000-000000000001", "a b\"c", name);
	assert_string_equal(name, "4c4c4544-0000-4000-8000-000000000001.a_b_c");
	for (int step = 0; step < HOST_SETUP_STEP_COUNT; step++)
		assert_non_null(host_setup_step_text((enum host_setup_step)step));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_files, fresh),
		cmocka_unit_test(test_sanlock_options),
		cmocka_unit_test_setup(test_refused, fresh),
		cmocka_unit_test_setup(test_back, fresh),
		cmocka_unit_test_setup(test_back_again, fresh),
		cmocka_unit_test_setup(test_edited_since, fresh),
		cmocka_unit_test_setup(test_value_comes_back, fresh),
		cmocka_unit_test_setup(test_recorded_alone, fresh),
		cmocka_unit_test_setup(test_old_unreadable, fresh),
		cmocka_unit_test_setup(test_record_last, fresh),
		cmocka_unit_test_setup(test_sleep, fresh),
		cmocka_unit_test_setup(test_services, fresh),
		cmocka_unit_test_setup(test_stops_what_restarts, fresh),
		cmocka_unit_test_setup(test_services_without_watchdog, fresh),
		cmocka_unit_test_setup(test_restarts, fresh),
		cmocka_unit_test_setup(test_sanlock_in_use, fresh),
		cmocka_unit_test_setup(test_service_fails, fresh),
		cmocka_unit_test(test_name),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
