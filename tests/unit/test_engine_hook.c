/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt's hook as libvirtd calls it: which domains may start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define UUID "11111111-2222-4333-8444-00000000000a"
#define HEAD "<domain type='kvm'>\n  <name>engine</name>\n  <uuid>" UUID "</uuid>\n"
#define LEASE_AT(path, offset)                                                                               \
	"<lease><lockspace>LS</lockspace><key>engine</key><target path='" path "' offset='" offset           \
	"'/></lease>"
#define POWEROFF "<on_lockfailure>poweroff</on_lockfailure>"
#define TAIL "</devices></domain>"

static char dir[64];

static void conf_write(const char *text)
{
	char path[200];
	FILE *file;

	snprintf(path, sizeof(path), "%s/ovirt-hosted-engine", dir);
	mkdir(path, 0755);
	strcat(path, "/hosted-engine.conf");
	unlink(path);
	if (!text)
		return;
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* libvirt's; NULL: none. */
static void qemu_conf_write(const char *text)
{
	char path[200];
	FILE *file;

	snprintf(path, sizeof(path), "%s/libvirt", dir);
	mkdir(path, 0755);
	strcat(path, "/qemu.conf");
	unlink(path);
	if (!text)
		return;
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int hook(const char *operation, const char *sub, const char *xml)
{
	char path[200];
	FILE *file;
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/domain.xml", dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(xml, file);
	fclose(file);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int in = open(path, O_RDONLY), null = open("/dev/null", O_WRONLY);

		dup2(in, STDIN_FILENO);
		dup2(null, STDERR_FILENO);
		execl(ENGINE_HOOK, "ovirt-ha", "engine", operation, sub, "-", (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return WEXITSTATUS(status);
}

static const char deployed[] = "vmid=" UUID "\nhost_id=1\nlockspace_name=LS\nengine_lease_name=engine\n"
			       "lockspace_path=/srv/ids\nmetadata_path=/srv/board\n"
			       "lease_path=/srv/leases:1048576\nnetwork_test=none\n";
static const char good[] = HEAD POWEROFF "<devices>" LEASE_AT("/srv/leases", "1048576") TAIL;

static void test_domains(void **state)
{
	static const char bare[] = HEAD POWEROFF "<devices>" TAIL;
	static const struct {
		const char *name, *conf, *operation, *sub, *xml;
		int status;
	} rows[] = {
		{"with the lease", deployed, "prepare", "begin", good, 0},
		{"without it", deployed, "prepare", "begin", bare, 1},
		{"without it, start", deployed, "start", "begin", bare, 1},
		{"without it, migration", deployed, "migrate", "begin", bare, 1},
		{"without it, restore", deployed, "restore", "begin", bare, 1},
		{"its end is not judged", deployed, "stopped", "end", bare, 0},
		{"nor what runs", deployed, "reconnect", "begin", bare, 0},
		{"a lease elsewhere", deployed, "prepare", "begin",
		 HEAD POWEROFF "<devices>" LEASE_AT("/srv/other", "1048576") TAIL, 1},
		{"loss of it ignored", deployed, "prepare", "begin",
		 HEAD "<on_lockfailure>ignore</on_lockfailure><devices>" LEASE_AT("/srv/leases", "1048576")
			 TAIL,
		 1},
		{"another VM", deployed, "prepare", "begin",
		 "<domain><name>x</name><uuid>11111111-2222-4333-8444-00000000000b</uuid><devices/></domain>",
		 0},
		{"another VM that names it", deployed, "prepare", "begin",
		 "<domain><name>x</name><uuid>11111111-2222-4333-8444-00000000000b</uuid>"
		 "<description>" UUID "</description><devices/></domain>",
		 0},
		{"not well-formed", deployed, "prepare", "begin", HEAD "<devices>", 1},
		{"not deployed", "vmid=\n", "prepare", "begin", bare, 0},
		{"no configuration", NULL, "prepare", "begin", bare, 0},
		{"a configuration that is not right", "vmid=" UUID "\nhost_id=99999\n", "prepare", "begin",
		 good, 1},
	};

	(void)state;
	qemu_conf_write("lock_manager = \"sanlock\"\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		conf_write(rows[i].conf);
		if (hook(rows[i].operation, rows[i].sub, rows[i].xml) != rows[i].status)
			fail_msg("%s", rows[i].name);
	}
}

static void test_lock_manager(void **state)
{
	static const struct {
		const char *name, *conf;
		int status;
	} rows[] = {
		{"no file", NULL, 1},
		{"not said", "user = \"root\"\n", 1},
		{"commented out", "#lock_manager = \"sanlock\"\n", 1},
		{"another", "lock_manager = \"lockd\"\n", 1},
		{"taken back", "lock_manager = \"sanlock\"\nlock_manager = \"lockd\"\n", 1},
		{"without blanks", "user = \"root\"\nlock_manager=\"sanlock\"\n", 0},
		{"set", "lock_manager = \"sanlock\" # leases\n", 0},
	};

	(void)state;
	conf_write(deployed);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		qemu_conf_write(rows[i].conf);
		if (hook("prepare", "begin", good) != rows[i].status)
			fail_msg("%s", rows[i].name);
	}
	conf_write("vmid=\n"); /* other domains are libvirt's own matter */
	qemu_conf_write(NULL);
	assert_int_equal(hook("prepare", "begin", good), 0);
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/ovirt-ha-hook-XXXXXX");
	setenv("OVIRT_HA_CONF_DIR", mkdtemp(dir), 1);
	return 0;
}

static int teardown(void **state)
{
	const char *remove[] = {"rm", "-rf", dir, NULL};

	(void)state;
	if (fork() == 0)
		execvp(remove[0], (char *const *)remove);
	wait(NULL);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_domains),
					   cmocka_unit_test(test_lock_manager)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
