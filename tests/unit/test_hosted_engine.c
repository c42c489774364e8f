/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real hosted-engine, run with a configuration and without any daemon: what it writes where, and its exit
 * code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/command_run.h"
#include "tools/command_table.h"

#define NO_DAEMON "Cannot connect to the HA daemon, please check the logs.\n"
#define VMID "vmid=11111111-2222-4333-8444-555555555555\n"
/* What a deployed host must have beside it. */
#define DEPLOYED                                                                                             \
	VMID "host_id=1\nsdUUID=11111111-2222-4333-8444-666666666666\nfqdn=engine.example.com\n"             \
	     "lockspace_path=/s/lockspace\nmetadata_path=/s/metadata\nlease_path=/s/leases\ndisk_path=/s/"   \
	     "disk\n"

static char dir[] = "/tmp/test_hosted_engine.XXXXXX";

struct output {
	char *out, *err;
	int code;
};

static struct output run(const char *const *args)
{
	struct output ret;

	ret.code = command_run(args, &ret.out, &ret.err);
	return ret;
}

static void output_free(struct output *output)
{
	free(output->out);
	free(output->err);
}

/* `text` NULL: no such file. */
static void write_conf(const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/ovirt-hosted-engine", dir);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/ovirt-hosted-engine/hosted-engine.conf", dir);
	unlink(path);
	if (!text)
		return;
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void assert_begins(const char *text, const char *begin)
{
	if (!begin)
		assert_string_equal(text, "");
	else if (strncmp(text, begin, strlen(begin)) != 0)
		assert_string_equal(text, begin);
}

static void test_rows(void **state)
{
	static const struct {
		const char *name;
		const char *conf;
		const char *args[COMMAND_ARGS_MAX];
		int code;
		const char *out, *err; /* beginnings, NULL: nothing at all */
	} rows[] = {
		{"nothing", NULL, {NULL}, 1, "Usage: hosted-engine", NULL},
		{"help", NULL, {"--help"}, 0, "Usage: hosted-engine", NULL},
		{"help of one",
		 NULL,
		 {"--help", "vm-status"},
		 0,
		 "Usage: hosted-engine --vm-status [--json] [--watch]\n",
		 NULL},
		{"help with dashes",
		 NULL,
		 {"--help", "--vm-status"},
		 0,
		 "Usage: hosted-engine --vm-status",
		 NULL},
		{"help beside", NULL, {"--vm-status", "--help"}, 0, "Usage: hosted-engine --vm-status", NULL},
		{"help of none", NULL, {"--help", "x"}, 1, NULL, "Invalid option 'x'\nUsage: "},
		{"unknown", DEPLOYED, {"--retreat"}, 1, NULL, "Invalid option '--retreat'\nUsage: "},

		{"no file: not deployed",
		 NULL,
		 {"--check-deployed"},
		 1,
		 "The hosted engine has not been deployed\n",
		 NULL},
		{"no vmid: not deployed",
		 "vmid=\n",
		 {"--check-deployed"},
		 1,
		 "The hosted engine has not been deployed\n",
		 NULL},
		{"deployed",
		 DEPLOYED,
		 {"--check-deployed"},
		 0,
		 "The hosted engine has been deployed\n",
		 NULL},
		{"deployed, wrong elsewhere",
		 VMID "io_timeout=x\n",
		 {"--check-deployed"},
		 0,
		 "The hosted engine has been deployed\n",
		 NULL},
		{"no uuid", "vmid=x\n", {"--check-deployed"}, 1, NULL, dir},
		{"deployed, as JSON",
		 DEPLOYED,
		 {"--check-deployed", "--json"},
		 0,
		 "{\"deployed\": true}\n",
		 NULL},
		{"not deployed, as JSON",
		 NULL,
		 {"--check-deployed", "--json"},
		 1,
		 "{\"deployed\": false}\n",
		 NULL},
		{"no uuid, as JSON",
		 "vmid=x\n",
		 {"--check-deployed", "--json"},
		 1,
		 "{\"deployed\": null}\n",
		 dir},

		{"E1 status", NULL, {"--vm-status"}, 1, "You must run deploy first\n", NULL},
		{"E1 status as JSON",
		 NULL,
		 {"--vm-status", "--json"},
		 1,
		 "You must run deploy first\n",
		 NULL},
		{"E1 maintenance",
		 NULL,
		 {"--set-maintenance", "--mode=none"},
		 1,
		 "You must run deploy first\n",
		 NULL},
		{"E1 start", NULL, {"--vm-start"}, 1, "You must run deploy first\n", NULL},
		{"E1 start paused", NULL, {"--vm-start-paused"}, 1, "You must run deploy first\n", NULL},
		{"E1 shutdown", NULL, {"--vm-shutdown"}, 1, "You must run deploy first\n", NULL},
		{"E1 poweroff", NULL, {"--vm-poweroff"}, 1, "You must run deploy first\n", NULL},
		{"mode before E1",
		 NULL,
		 {"--set-maintenance"},
		 1,
		 "You must specify a maintenance mode with --mode\n",
		 NULL},
		{"E2",
		 DEPLOYED "configured=False\n",
		 {"--vm-status"},
		 2,
		 "It seems like a previous attempt to deploy hosted-engine failed or it's still in progress. "
		 "Please clean it up "
		 "before trying again\n",
		 NULL},
		{"E3 status",
		 DEPLOYED "conf=/nonexistent/vm.conf\n",
		 {"--vm-status"},
		 1,
		 "The hosted engine configuration has not been retrieved from shared storage yet,\n"
		 "please ensure that ovirt-ha-agent service is running.\n\n",
		 NULL},
		{"E3 start",
		 DEPLOYED "conf=/nonexistent/vm.conf\n",
		 {"--vm-start"},
		 1,
		 "The hosted engine configuration has not been retrieved from shared storage yet,\n",
		 NULL},

		{"E3 clean",
		 DEPLOYED "conf=/nonexistent/vm.conf\n",
		 {"--clean-metadata"},
		 1,
		 "The hosted engine configuration has not been retrieved from shared storage yet,\n",
		 NULL},

		{"status, broker away", DEPLOYED "vm_xml=/x\n", {"--vm-status"}, 1, NULL, NO_DAEMON},
		{"status as JSON, broker away",
		 DEPLOYED "vm_xml=/x\n",
		 {"--vm-status", "--json"},
		 1,
		 "{\"error\": \"",
		 NO_DAEMON},
		{"global, broker away", DEPLOYED, {"--set-maintenance", "--mode=global"}, 1, NULL, NO_DAEMON},
		{"local, broker away", DEPLOYED, {"--set-maintenance=local"}, 1, NULL, NO_DAEMON},
		{"start, broker away", DEPLOYED "vm_xml=/x\n", {"--vm-start"}, 1, NULL, NO_DAEMON},
		{"start from no file",
		 DEPLOYED,
		 {"--vm-start", "--vm-conf=/nonexistent"},
		 1,
		 NULL,
		 "--vm-conf: "},
		{"shutdown, broker away", DEPLOYED, {"--vm-shutdown"}, 1, NULL, NO_DAEMON},
		{"poweroff, broker away", DEPLOYED, {"--vm-poweroff"}, 1, NULL, NO_DAEMON},

		{"whom to ask",
		 NULL,
		 {"--check-liveliness"},
		 2,
		 NULL,
		 "hosted-engine.conf does not name the engine"},
		{"nobody answers",
		 "health_url=http://127.0.0.1:1/x\n",
		 {"--check-liveliness"},
		 1,
		 "Hosted Engine is not up!\n",
		 "http://127.0.0.1:1/x: "},

		{"nobody answers, as JSON",
		 "health_url=http://127.0.0.1:1/x\n",
		 {"--check-liveliness", "--json"},
		 1,
		 "{\"up\": false, \"detail\": \"",
		 "http://127.0.0.1:1/x: "},
		{"whom to ask, as JSON",
		 NULL,
		 {"--check-liveliness", "--json"},
		 2,
		 "{\"up\": null, \"detail\": \"hosted-engine.conf does not name",
		 "hosted-engine.conf does not name the engine"},

		{"no such whiteboard",
		 NULL,
		 {"--dump-whiteboard", "/nonexistent"},
		 1,
		 NULL,
		 "Cannot read /nonexistent: No such file or directory; check the path, "},
		{"directory",
		 NULL,
		 {"--dump-whiteboard", "/"},
		 1,
		 NULL,
		 "Cannot read /: Is a directory; give a file\n"},
		{"no output", NULL, {"--dump-whiteboard", "/dev/null"}, 0, NULL, NULL},
		{"endless", NULL, {"--dump-whiteboard", "/dev/zero", "--json"}, 0, "{}\n", NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct output output;

		print_message("# %s\n", rows[i].name);
		write_conf(rows[i].conf);
		output = run(rows[i].args);
		assert_begins(output.err, rows[i].err);
		assert_begins(output.out, rows[i].out);
		assert_int_equal(output.code, rows[i].code);
		output_free(&output);
	}
}

/* Every command that needs a deployed host says so where it is none, whoever reads the table. */
static void test_e1(void **state)
{
	write_conf(NULL);
	for (size_t i = 0; i < hosted_engine_commands.n_commands; i++) {
		const struct tool_command *command = &hosted_engine_commands.commands[i];
		char name[64];
		const char *args[COMMAND_ARGS_MAX] = {name,
						      command->options[0].needed ? "--mode=none" : NULL};
		struct output output;

		if (!command->deployed || (command->root && geteuid() != 0))
			continue;
		print_message("# %s\n", command->name);
		snprintf(name, sizeof(name), "--%s", command->name);
		output = run(args);
		assert_string_equal(output.out, "You must run deploy first\n");
		assert_string_equal(output.err, "");
		assert_int_equal(output.code, 1);
		output_free(&output);
	}
}

/* A broker that is away is an object for those who asked for JSON. */
static void test_error_json(void **state)
{
	struct output output;
	json_t *json;

	write_conf(DEPLOYED "vm_xml=/x\n");
	output = run((const char *const[COMMAND_ARGS_MAX]){"--vm-status", "--json"});
	json = json_loads(output.out, 0, NULL);
	assert_true(json_is_string(json_object_get(json, "error")));
	json_decref(json);
	output_free(&output);
}

/* One answer of an HTTP server. */
static void test_liveliness(void **state)
{
	/* As the broker's monitor judges them. */
	static char long_page[9000], late_page[9000];
	static const struct {
		const char *name, *answer, *out;
		int code;
	} rows[] = {
		{"up", "HTTP/1.0 200 OK\r\n\r\nDB Up!Welcome to Health Status!", "Hosted Engine is up!\n", 0},
		{"long", long_page, "Hosted Engine is up!\n", 0},
		{"too late", late_page, "Hosted Engine is not up!\n", 1},
		{"other text", "HTTP/1.0 200 OK\r\n\r\nDB Down", "Hosted Engine is not up!\n", 1},
		{"error page", "HTTP/1.0 500 No\r\n\r\nDB Up!", "Hosted Engine is not up!\n", 1},
		{"elsewhere", "HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\nDB Up!",
		 "Hosted Engine is not up!\n", 1},
		{"no HTTP", "DB Up!", "Hosted Engine is not up!\n", 1},
		{"nothing", "", "Hosted Engine is not up!\n", 1},
	};

	snprintf(long_page, sizeof(long_page), "HTTP/1.0 200 OK\r\n\r\nDB Up%8000s", "");
	snprintf(late_page, sizeof(late_page), "HTTP/1.0 200 OK\r\n\r\n%4092sDB Up", "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sockaddr_in address = {.sin_family = AF_INET,
					      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		socklen_t len = sizeof(address);
		int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		struct output output;
		char conf[128];
		pid_t pid;

		print_message("# %s\n", rows[i].name);
		assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
		assert_int_equal(listen(listener, 1), 0);
		assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			char request[4096];
			int fd;

			alarm(20);
			fd = accept(listener, NULL, NULL);
			if (read(fd, request, sizeof(request)) > 0)
				write(fd, rows[i].answer, strlen(rows[i].answer));
			_exit(0);
		}
		close(listener);
		snprintf(conf, sizeof(conf), "health_url=http://127.0.0.1:%u/health\n",
			 ntohs(address.sin_port));
		write_conf(conf);
		output = run((const char *const[COMMAND_ARGS_MAX]){"--check-liveliness"});
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_string_equal(output.out, rows[i].out);
		assert_int_equal(output.code, rows[i].code);
		output_free(&output);
	}
}

/* A whiteboard of 2000 hosts comes whole, as text and as JSON, and so does one that is nothing but noise. */
static void test_large_whiteboards(void **state)
{
	struct output output;
	char path[4096], key[16];
	unsigned seed = 1;
	json_t *json;
	FILE *f;

	snprintf(path, sizeof(path), "%s/image-2000hosts.bin", getenv("IMAGES_DIR"));
	output = run((const char *const[COMMAND_ARGS_MAX]){"--dump-whiteboard", path, "--json"});
	assert_int_equal(output.code, 0);
	json = json_loads(output.out, 0, NULL);
	assert_int_equal(json_object_size(json), 2001);
	for (int i = 1; i <= 2000; i++) {
		snprintf(key, sizeof(key), "%d", i);
		assert_int_equal(json_integer_value(json_object_get(json_object_get(json, key), "host-id")),
				 i);
	}
	json_decref(json);
	output_free(&output);
	output = run((const char *const[COMMAND_ARGS_MAX]){"--dump-whiteboard", path});
	assert_int_equal(output.code, 0);
	assert_non_null(strstr(output.out, "(id: 2000) status ==--"));
	output_free(&output);

	snprintf(path, sizeof(path), "%s/noise", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < 2001 * 4096; i++) {
		seed = seed * 1103515245 + 12345;
		fputc((int)(seed >> 16 & 0xff), f);
	}
	fclose(f);
	output = run((const char *const[COMMAND_ARGS_MAX]){"--dump-whiteboard", path, "--json"});
	assert_int_equal(output.code, 0);
	json = json_loads(output.out, 0, NULL);
	assert_true(json_object_size(json) > 1900);
	assert_true(json_is_string(json_object_get(json_object_get(json, "2000"), "error")));
	json_decref(json);
	output_free(&output);
	output = run((const char *const[COMMAND_ARGS_MAX]){"--dump-whiteboard", path});
	assert_int_equal(output.code, 0);
	for (const char *p = output.out; *p; p++)
		assert_true((unsigned char)*p >= ' ' || *p == '\n' || *p == '\t');
	output_free(&output);
	unlink(path);
}

/* Output that can't be written is no success. */
static void test_full_disk(void **state)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open("/dev/full", O_WRONLY), null = open("/dev/null", O_WRONLY);

		dup2(fd, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execl(getenv("HOSTED_ENGINE"), "hosted-engine", "--help", (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

static int setup(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(dir))
		return -1;
	setenv("OVIRT_HA_CONF_DIR", dir, 1);
	setenv("OVIRT_HA_BROKER_SOCKET", "ovirt-ha-broker-not-there", 1);
	return 0;
}

static int teardown(void **state)
{
	char path[256];

	write_conf(NULL);
	snprintf(path, sizeof(path), "%s/ovirt-hosted-engine", dir);
	rmdir(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_e1),
		cmocka_unit_test(test_error_json),
		cmocka_unit_test(test_liveliness),
		cmocka_unit_test(test_large_whiteboards),
		cmocka_unit_test(test_full_disk),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
