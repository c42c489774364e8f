/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real hosted-engine against a stand-in for the broker, which answers by a script over the real IPC and
 * keeps what it was asked: which requests a command makes, and what becomes of each answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/broker_stand_in.h"
#include "tests/unit/command_run.h"

#define HOSTS_MAX 2000
#define NO_DAEMON "Cannot connect to the HA daemon, please check the logs.\n"
#define HINT "The hosted engine configuration has not been retrieved from shared storage yet,\n"
#define CONF                                                                                                 \
	"vmid=11111111-2222-4333-8444-555555555555\nhost_id=1\nfqdn=engine.example.com\n"                    \
	"sdUUID=11111111-2222-4333-8444-666666666666\nlockspace_path=/s/lockspace\n"                         \
	"metadata_path=/s/metadata\nlease_path=/s/leases\ndisk_path=/s/disk\n"

static char dir[] = "/tmp/test_broker_commands.XXXXXX";
static uint8_t sample[BLOCK_SIZE];

/* The rows differ in what they say; the block is always the sample's. */
static pid_t start(struct script with)
{
	static struct script scripted;
	pid_t pid;

	scripted = with;
	scripted.block = sample;
	pid = broker_stand_in_start(&scripted);
	assert_true(pid > 0);
	return pid;
}

static void write_conf(const char *more)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/ovirt-hosted-engine/hosted-engine.conf", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, CONF "%s", more);
	fclose(f);
}

static void test_rows(void **state)
{
	static const struct {
		const char *name;
		const char *args[COMMAND_ARGS_MAX];
		struct script script;
		const char *asked;
		int code;
		const char *out, *err; /* beginnings, NULL: nothing at all */
	} rows[] = {
		{"global", {"--set-maintenance", "--mode=global"}, {0}, "global=1 ", 0, NULL, NULL},
		{"local", {"--set-maintenance", "--mode=local"}, {0}, "command=1 ", 0, NULL, NULL},
		{"none ends both",
		 {"--set-maintenance", "--mode=none"},
		 {0},
		 "global=0 command=2 ",
		 0,
		 NULL,
		 NULL},
		{"none, the other key remains",
		 {"--set-maintenance=none"},
		 {.command_text = "the management system's remains"},
		 "global=0 command=2 ",
		 0,
		 NULL,
		 "the management system's remains\n"},
		{"none, half of it fails",
		 {"--set-maintenance=none"},
		 {.global_error = -EIO, .global_text = "storage: write stuck"},
		 "global=0 command=2 ",
		 1,
		 NULL,
		 "storage: write stuck\n"},
		{"none, the other half fails",
		 {"--set-maintenance=none"},
		 {.command_error = -EHOSTDOWN},
		 "global=0 command=2 ",
		 1,
		 NULL,
		 NO_DAEMON},
		{"global without the lease",
		 {"--set-maintenance=global"},
		 {.global_text = "written without the lease"},
		 "global=1 ",
		 0,
		 NULL,
		 "written without the lease\n"},
		{"global, storage late",
		 {"--set-maintenance=global"},
		 {.global_error = -ETIMEDOUT, .global_text = "storage is late"},
		 "global=1 ",
		 1,
		 NULL,
		 "storage is late\n"},
		{"not permitted",
		 {"--set-maintenance=global"},
		 {.global_error = -EACCES},
		 "global=1 ",
		 1,
		 NULL,
		 "not permitted: "},
		{"local refused",
		 {"--set-maintenance=local"},
		 {.command_error = -EBUSY, .command_text = "no host can take the VM"},
		 "command=1 ",
		 1,
		 NULL,
		 "no host can take the VM\n"},
		{"local, waits for the move",
		 {"--set-maintenance=local", "--wait"},
		 {.here_for = 2},
		 "status command=1 status status ",
		 0,
		 NULL,
		 NULL},
		{"local, waits for the start elsewhere",
		 {"--set-maintenance=local", "--wait"},
		 {.here_for = 1, .free_for = 1},
		 "status command=1 status status ",
		 0,
		 NULL,
		 NULL},
		{"local, nothing to wait for",
		 {"--set-maintenance=local", "--wait"},
		 {0},
		 "status command=1 ",
		 0,
		 NULL,
		 NULL},
		{"local, moves in no global maintenance",
		 {"--set-maintenance=local", "--wait"},
		 {.here_for = 9, .maintenance = FLAG_YES},
		 "status command=1 status ",
		 1,
		 NULL,
		 "This host is in maintenance, but"},
		{"wait without local",
		 {"--set-maintenance=none", "--wait"},
		 {0},
		 "",
		 1,
		 NULL,
		 "--wait goes with --mode=local\n"},

		{"start",
		 {"--vm-start"},
		 {.command_text = "VM in WaitForLaunch"},
		 "command=3 ",
		 0,
		 "VM in WaitForLaunch\n",
		 NULL},
		{"start of what runs",
		 {"--vm-start"},
		 {.command_error = -EEXIST, .command_text = "VM exists and its status is Up"},
		 "command=3 ",
		 1,
		 "VM exists and its status is Up\n",
		 NULL},
		{"start fails",
		 {"--vm-start"},
		 {.command_error = -EBUSY, .command_text = "host 2 holds the lease"},
		 "command=3 ",
		 1,
		 "VM failed to launch\n",
		 "host 2 holds the lease\n"},
		{"start late",
		 {"--vm-start"},
		 {.command_error = -ETIMEDOUT, .command_text = "the lease did not come"},
		 "command=3 ",
		 1,
		 "VM failed to launch\n",
		 "the lease did not come\n"},
		{"start from a file",
		 {"--vm-start", "--vm-conf=/dev/null"},
		 {0},
		 "command=3/dev/null ",
		 0,
		 "VM in WaitForLaunch\n",
		 NULL},
		{"start paused", {"--vm-start-paused"}, {0}, "command=4 ", 0, "VM in WaitForLaunch\n", NULL},
		{"start without agent",
		 {"--vm-start"},
		 {.command_error = -EHOSTDOWN},
		 "command=3 ",
		 1,
		 NULL,
		 NO_DAEMON},
		{"start, as JSON",
		 {"--vm-start", "--json"},
		 {.command_text = "VM exists and is Down, cleaning up and restarting\nVM in WaitForLaunch"},
		 "command=3 ",
		 0,
		 "{\"started\": true, \"said\": \"VM exists and is Down, cleaning up and restarting\\nVM in "
		 "WaitForLaunch\", \"detail\": null}\n",
		 NULL},
		{"start fails, as JSON",
		 {"--vm-start-paused", "--json"},
		 {.command_error = -EBUSY, .command_text = "host 2 holds the \"lease\""},
		 "command=4 ",
		 1,
		 "{\"started\": false, \"said\": \"VM failed to launch\", \"detail\": \"host 2 holds the "
		 "\\\"lease\\\"\"}\n",
		 "host 2 holds the \"lease\"\n"},
		{"start without agent, as JSON",
		 {"--vm-start", "--json"},
		 {.command_error = -EHOSTDOWN},
		 "command=3 ",
		 1,
		 "{\"started\": null, \"said\": null, \"detail\": \"the agent is not running: ",
		 NO_DAEMON},
		{"shutdown", {"--vm-shutdown"}, {0}, "command=5 ", 0, NULL, NULL},
		{"shutdown fails",
		 {"--vm-shutdown"},
		 {.command_error = -ESRCH, .command_text = "the VM is not here"},
		 "command=5 ",
		 1,
		 NULL,
		 "the VM is not here\n"},
		{"poweroff", {"--vm-poweroff"}, {0}, "command=6 ", 0, NULL, NULL},
		{"migrate",
		 {"--vm-migrate", "--host=2"},
		 {.command_text = "h2.example"},
		 "command=72 ",
		 0,
		 "The VM is being moved to h2.example\n",
		 NULL},
		{"migrate to a host without a name",
		 {"--vm-migrate", "--host="},
		 {0},
		 "",
		 1,
		 NULL,
		 "--host: give a host id or a name; see hosted-engine --vm-status\n"},
		{"migrate, as JSON",
		 {"--vm-migrate", "--json"},
		 {.command_text = "h2.example"},
		 "command=7 ",
		 0,
		 "{\"to\": \"h2.example\", \"moved\": null, \"detail\": null}\n",
		 NULL},
		{"migrate to a host that is not there, as JSON",
		 {"--vm-migrate", "--json", "--host=h\xc3\xb6st \"2\""},
		 {0},
		 "blocks ",
		 1,
		 "{\"to\": null, \"moved\": false, \"detail\": \"--host: no host is called so; ",
		 "--host: no host is called so; see hosted-engine --vm-status\n"},
		{"migrate refused, as JSON",
		 {"--vm-migrate", "--json", "--wait"},
		 {.command_error = -EBUSY, .command_text = "no other host"},
		 "command=7 ",
		 1,
		 "{\"to\": null, \"moved\": false, \"detail\": \"no other host\"}\n",
		 "no other host\n"},
		{"migrate without agent, as JSON",
		 {"--vm-migrate", "--json"},
		 {.command_error = -EHOSTDOWN},
		 "command=7 ",
		 1,
		 "{\"to\": null, \"moved\": null, \"detail\": \"the agent is not running",
		 NO_DAEMON},
		{"migrate not answered in time, as JSON",
		 {"--vm-migrate", "--json"},
		 {.command_error = -ETIMEDOUT, .command_text = "given up"},
		 "command=7 ",
		 1,
		 "{\"to\": null, \"moved\": null, \"detail\": \"given up\"}\n",
		 "given up\n"},
		{"migrate begun, then not known, as JSON",
		 {"--vm-migrate", "--json", "--wait"},
		 {.command_text = "h2.example", .status_error = -EIO},
		 "command=7 status ",
		 1,
		 "{\"to\": \"h2.example\", \"moved\": null, \"detail\": \"Input/output error\"}\n",
		 "Input/output error\n"},
		{"migrate refused",
		 {"--vm-migrate"},
		 {.command_error = -EBUSY, .command_text = "no other host"},
		 "command=7 ",
		 1,
		 NULL,
		 "no other host\n"},

		{
			"E3, the agent runs",
			{"--vm-status"},
			{0},
			"status ",
			1,
			HINT "for more details please check sanlock status.\n\n",
			NULL,
		},
		{
			"E3, it does not",
			{"--vm-start"},
			{.no_agent = true},
			"status ",
			1,
			HINT "please ensure that ovirt-ha-agent service is running.\n\n",
			NULL,
		},
		{"E3 is no matter with a file",
		 {"--vm-start", "--vm-conf=/dev/null"},
		 {0},
		 "command=3/dev/null ",
		 0,
		 "VM in WaitForLaunch\n",
		 NULL},
		{"status",
		 {"--vm-status"},
		 {.maintenance = FLAG_NO},
		 "status blocks ",
		 0,
		 "\n\n--== Host host1.example.com (id: 1) status ==--\n",
		 NULL},
		{"status in global maintenance",
		 {"--vm-status"},
		 {.maintenance = FLAG_YES},
		 "status blocks ",
		 0,
		 "\n\n!! Cluster is in GLOBAL MAINTENANCE mode !!\n",
		 NULL},
		{"status not permitted",
		 {"--vm-status"},
		 {.status_error = -EACCES},
		 "status ",
		 1,
		 NULL,
		 "not permitted: "},
		{"status as JSON not permitted",
		 {"--vm-status", "--json"},
		 {.status_error = -EACCES},
		 "status ",
		 1,
		 "{\"error\": \"not permitted: ",
		 "not permitted: "},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *out, *err;
		int code;
		pid_t broker;

		print_message("# %s\n", rows[i].name);
		write_conf(strncmp(rows[i].name, "E3", 2) == 0 ? "conf=/nonexistent/vm.conf\n"
							       : "vm_xml=/x\n");
		broker = start(rows[i].script);
		code = command_run(rows[i].args, &out, &err);
		assert_int_equal(broker_stand_in_stop(broker), 0);
		assert_string_equal(broker_stand_in_asked(), rows[i].asked);
		if (!rows[i].err || strncmp(err, rows[i].err, strlen(rows[i].err)) != 0)
			assert_string_equal(err, rows[i].err ? rows[i].err : "");
		if (!rows[i].out || strncmp(out, rows[i].out, strlen(rows[i].out)) != 0)
			assert_string_equal(out, rows[i].out ? rows[i].out : "");
		assert_int_equal(code, rows[i].code);
		free(out);
		free(err);
	}
}

/* All pieces of a long answer arrive, and the own host tells of its broker's trouble. */
static void test_all_hosts(void **state)
{
	static const struct script with = {
		.maintenance = FLAG_NO, .n_hosts = HOSTS_MAX, .trouble = "storage: write stuck for 12 s"};
	pid_t broker;
	char *out, *err;
	json_t *json, *own;

	write_conf("vm_xml=/x\n");
	broker = start(with);
	assert_int_equal(
		command_run((const char *const[COMMAND_ARGS_MAX]){"--vm-status", "--json"}, &out, &err), 0);
	assert_int_equal(broker_stand_in_stop(broker), 0);
	assert_string_equal(err, "");
	json = json_loads(out, 0, NULL);
	assert_int_equal(json_object_size(json), HOSTS_MAX + 1);
	assert_true(json_is_false(json_object_get(json, "global_maintenance")));
	own = json_object_get(json, "1");
	assert_true(json_is_true(json_object_get(own, "live-data")));
	assert_int_equal(json_integer_value(json_object_get(own, "age")), 2);
	assert_string_equal(json_string_value(json_object_get(own, "trouble")), with.trouble);
	json_decref(json);
	free(out);
	free(err);
}

static int setup(void **state)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/state-EngineUp.bin", getenv("VECTORS_DIR"));
	f = fopen(path, "rb");
	if (!f || fread(sample, 1, BLOCK_SIZE, f) != BLOCK_SIZE)
		return -1;
	fclose(f);
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/ovirt-hosted-engine", dir);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "test_broker_commands.%d", (int)getpid());
	setenv("OVIRT_HA_CONF_DIR", dir, 1);
	setenv("OVIRT_HA_BROKER_SOCKET", path, 1);
	return 0;
}

static int teardown(void **state)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/ovirt-hosted-engine/hosted-engine.conf", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/ovirt-hosted-engine", dir);
	rmdir(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_all_hosts),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
