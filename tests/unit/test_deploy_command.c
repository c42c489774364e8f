/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hosted-engine --deploy and --undeploy as they are run, on hosts where they refuse before anything is
 * touched: exit codes, and the reason on stderr. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/command_run.h"

#define VMID "vmid=5b2e4a5e-0000-4000-8000-000000000001\n"
#define E2                                                                                                   \
	"It seems like a previous attempt to deploy hosted-engine failed or it's still in progress. Please " \
	"clean it up before trying again\nhosted-engine-cleanup does it\n"
#define LONG "storage_type=path\nstorage=/"

static char dir[] = "/tmp/ovirt-ha-deploy-XXXXXX";
static char answers[64], long_answers[100100];

static void write_file(const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
	if (!text)
		return;
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void test_refused(void **state)
{
	static const struct {
		const char *name, *conf, *journal, *answers; /* NULL: no such file */
		const char *args[COMMAND_ARGS_MAX];
		int code;
		const char *out, *err; /* a part; "": nothing at all */
	} rows[] = {
		{"nobody is there", NULL, NULL, NULL, {"--deploy"}, 1, "", "need a terminal: run it on one"},
		{"both",
		 NULL,
		 NULL,
		 NULL,
		 {"--deploy", "--4", "--6"},
		 1,
		 "",
		 "--4 and --6 exclude each other"},
		{"a value", NULL, NULL, NULL, {"--deploy", "--4=x"}, 1, "", "Option --4 takes no value"},
		{"no file", NULL, NULL, NULL, {"--deploy", "--config-append"}, 1, "", "config-append"},
		{"no such file", NULL, NULL, NULL, {"--deploy", answers}, 1, "", "does not exist"},
		{"no such question", NULL, NULL, "fqnd=x\n", {"--deploy", answers}, 1, "", "fqnd"},
		{"no file of answers", NULL, NULL, "\xff\xfe=\n[", {"--deploy", answers}, 1, "", "answers:"},
		{"a wrong answer",
		 NULL,
		 NULL,
		 "storage_type=floppy\n",
		 {"--deploy", answers},
		 1,
		 "",
		 "storage_type: 'floppy' is none of nfs|"},
		{"one with quotes and letters of elsewhere",
		 NULL,
		 NULL,
		 "storage_type=path\nstorage=\"l'été\"\n",
		 {"--deploy", answers},
		 1,
		 "",
		 "is not an absolute path"},
		{"one that would change the terminal",
		 NULL,
		 NULL,
		 "storage_type=\x1b[31mred\n",
		 {"--deploy", answers},
		 1,
		 "",
		 "holds a control character"},
		{"one of 100 KB", NULL, NULL, long_answers, {"--deploy", answers}, 1, "", "..' is too long"},
		{"one is missing",
		 NULL,
		 NULL,
		 "storage_type=iscsi\n",
		 {"--deploy", answers},
		 1,
		 "",
		 "storage: '' is needed"},
		{"storage in a plain file",
		 NULL,
		 NULL,
		 "storage_type=path\nstorage=/bin/sh\n",
		 {"--deploy", answers},
		 1,
		 "",
		 "storage: '/bin/sh' is a plain file: give a folder, or a block device"},
		{"nothing to restore",
		 NULL,
		 NULL,
		 "storage_type=path\n",
		 {"--deploy", answers, "--restore-from-file=/nonexistent"},
		 1,
		 "",
		 "/nonexistent can't be restored"},
		{"deployed by hand",
		 VMID,
		 NULL,
		 NULL,
		 {"--deploy"},
		 1,
		 "",
		 "has been deployed on this host already; by hand"},
		{"deployed",
		 VMID,
		 "finished=yes\n",
		 NULL,
		 {"--deploy"},
		 1,
		 "",
		 "already; hosted-engine-cleanup takes that back"},
		{"broken off", VMID, "stage.domain=begun\n", NULL, {"--deploy"}, 2, "", E2},
		{"broken off before there was any",
		 NULL,
		 "stage.domain=begun\n",
		 NULL,
		 {"--deploy"},
		 2,
		 "",
		 E2},

		{"to leave where one never was",
		 NULL,
		 NULL,
		 NULL,
		 {"--undeploy"},
		 1,
		 "You must run deploy first\n",
		 ""},
		{"to leave by hand",
		 VMID,
		 NULL,
		 NULL,
		 {"--undeploy"},
		 1,
		 "",
		 "one by hand is taken back by hand"},
		{"to leave half a deployment",
		 VMID,
		 "stage.domain=begun\n",
		 NULL,
		 {"--undeploy"},
		 1,
		 "",
		 "hosted-engine-cleanup takes back what was begun"},
		{"to leave without daemons",
		 VMID,
		 "finished=yes\n",
		 NULL,
		 {"--undeploy"},
		 1,
		 "",
		 "This host stays deployed"},
		{"to go on leaving",
		 NULL,
		 "leaving=yes\n",
		 NULL,
		 {"--undeploy"},
		 0,
		 "has left the hosted engine",
		 ""},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *out, *err;
		int code;

		write_file("ovirt-hosted-engine/hosted-engine.conf", rows[i].conf);
		write_file("ovirt-hosted-engine/deploy.journal", rows[i].journal);
		write_file("answers", rows[i].answers);
		code = command_run(rows[i].args, &out, &err);
		if (code != rows[i].code || !strstr(out, rows[i].out) || (out[0] && !rows[i].out[0]) ||
		    !strstr(err, rows[i].err) || (err[0] && !rows[i].err[0]))
			fail_msg("%s: %d\n%s%.1000s", rows[i].name, code, out, err);
		free(out);
		free(err);
	}
}

static int setup(void **state)
{
	char path[256];

	memset(long_answers, 'x', sizeof(long_answers) - 2);
	memcpy(long_answers, LONG, strlen(LONG));
	long_answers[sizeof(long_answers) - 2] = '\n';
	if (!mkdtemp(dir))
		return -1;
	snprintf(answers, sizeof(answers), "--config-append=%s/answers", dir);
	snprintf(path, sizeof(path), "%s/ovirt-hosted-engine", dir);
	setenv("OVIRT_HA_CONF_DIR", dir, 1);
	setenv("OVIRT_HA_STATE_DIR", dir, 1);
	setenv("OVIRT_HA_RUN_DIR", dir, 1);
	return mkdir(path, 0755) < 0 || !freopen("/dev/null", "r", stdin) ? -1 : 0;
}

static int teardown(void **state)
{
	static const char *const names[] = {"ovirt-hosted-engine/hosted-engine.conf",
					    "ovirt-hosted-engine/deploy.journal", "answers"};
	char path[256];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		write_file(names[i], NULL);
	snprintf(path, sizeof(path), "%s/ovirt-hosted-engine", dir);
	return rmdir(path) < 0 || rmdir(dir) < 0 ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
