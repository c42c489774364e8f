/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real hosted-engine --get-shared-config, --set-shared-config and --save-config with files here and a
 * conf volume in a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metadata/conf_archive.h"
#include "tests/unit/command_run.h"
#include "util/cleanup.h"

#define VOLUME "The shared configuration in "

static char dir[128], volume[192];

static void write_file(const char *path, const void *data, size_t size)
{
	_cleanup_fclose_ FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
}

static void write_engine_conf(const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/ovirt-hosted-engine/hosted-engine.conf", dir);
	write_file(path, text, strlen(text));
}

static void set(struct conf_archive *archive, enum conf_entry entry, const char *text)
{
	assert_int_equal(conf_archive_set(archive, entry, text, strlen(text)), 0);
}

static void write_volume(const char *broker_conf)
{
	_cleanup_free_ uint8_t *packed = NULL;
	struct conf_archive archive = {0};
	size_t size;

	set(&archive, CONF_ENTRY_HOSTED_ENGINE, "fqdn=shared.example.com\nca_subject=a b \xe2\x80\xae.\n");
	set(&archive, CONF_ENTRY_BROKER, broker_conf);
	assert_int_equal(conf_archive_pack(&archive, &packed, &size), 0);
	write_file(volume, packed, size);
	conf_archive_done(&archive);
}

static int setup(void **state)
{
	char here[64] = "test_shared_config.XXXXXX", path[256], text[256];
	_cleanup_free_ char *real = NULL;

	if (!mkdtemp(here) || !(real = realpath(here, NULL)))
		return -1;
	snprintf(dir, sizeof(dir), "%s", real);
	snprintf(volume, sizeof(volume), "%s/volume", dir);
	snprintf(path, sizeof(path), "%s/ovirt-hosted-engine", dir);
	mkdir(path, 0755);
	setenv("OVIRT_HA_CONF_DIR", dir, 1);
	setenv("OVIRT_HA_STATE_DIR", dir, 1);
	setenv("OVIRT_HA_BROKER_SOCKET", "ovirt-ha-broker-not-there", 1);
	snprintf(text, sizeof(text), "fqdn=here.example.com\ngateway=192.0.2.1\nio_timeout=x\nconf_path=%s\n",
		 volume);
	write_engine_conf(text);
	snprintf(path, sizeof(path), "%s/ha.conf", dir);
	write_file(path, "local_maintenance=True\n", strlen("local_maintenance=True\n"));

	write_volume("[email]\nsmtp-server=mail.example.com\n");
	return 0;
}

static int teardown(void **state)
{
	char path[256];

	unlink(volume);
	snprintf(path, sizeof(path), "%s/ha.conf", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/ovirt-hosted-engine/hosted-engine.conf", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/ovirt-hosted-engine", dir);
	rmdir(path);
	return rmdir(dir);
}

/* `out` whole, `err` its beginning; NULL: nothing at all. */
static void check(const char *name, const char *key, const char *type, const char *out, const char *err)
{
	const char *args[COMMAND_ARGS_MAX] = {"--get-shared-config", key, type};
	_cleanup_free_ char *got_out = NULL, *got_err = NULL;
	int code = command_run(args, &got_out, &got_err);

	if (code != (out ? 0 : 1) || strcmp(got_out, out ? out : "") != 0 ||
	    strncmp(got_err, err ? err : "", err ? strlen(err) : 1) != 0)
		fail_msg("%s: %d, %s%s", name, code, got_out, got_err);
}

static void test_rows(void **state)
{
	static const struct {
		const char *name, *key, *type, *out, *err;
	} rows[] = {
		{"of this host", "fqdn", "--type=he_local", "\nfqdn : here.example.com, type : he_local\n\n",
		 NULL},
		{"of all", "fqdn", "--type=he_shared", "\nfqdn : shared.example.com, type : he_shared\n\n",
		 NULL},
		{"only here", "gateway", "--type=he_shared", "\ngateway : , type : he_shared\n\n", NULL},
		{"default", "lockspace_name", "--type=he_local",
		 "\nlockspace_name : hosted-engine, type : he_local\n\n", NULL},
		{"what turns letters round", "ca_subject", "--type=he_shared",
		 "\nca_subject : a b ???., type : he_shared\n\n", NULL},
		{"short name", "smtp-server", NULL, "\nbroker : mail.example.com, type : broker\n\n", NULL},
		{"short name and type", "smtp-server", "--type=broker",
		 "\nbroker : mail.example.com, type : broker\n\n", NULL},
		{"with its section", "email.smtp-server", NULL,
		 "\nemail.smtp-server : mail.example.com, type : broker\n\n", NULL},
		{"default of the guide", "smtp-port", NULL, "\nbroker : 25, type : broker\n\n", NULL},
		{"maintenance", "local_maintenance", NULL, "\nlocal_maintenance : True, type : ha\n\n", NULL},
		{"of several", "fqdn", NULL, NULL,
		 "Duplicate key fqdn, please specify the key type.\n--type=he_local|he_shared\n"},
		{"of none", "no\033such", NULL, NULL,
		 "Invalid configuration key no?such.\nhe_local: vmid host_id "},
		{"of another section", "notify.smtp-port", NULL, NULL,
		 "Invalid configuration key notify.smtp-port.\n"},
		{"no point", "email_smtp-port", NULL, NULL, "Invalid configuration key email_smtp-port.\n"},
		{"of another type", "smtp-port", "--type=ha", NULL, "Invalid configuration key smtp-port.\n"},
		{"no key", NULL, NULL, NULL, "--get-shared-config needs a KEY\n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check(rows[i].name, rows[i].key, rows[i].type, rows[i].out, rows[i].err);
}

static void test_json(void **state)
{
	const char *args[COMMAND_ARGS_MAX] = {"--get-shared-config", "ca_subject", "--type=he_shared",
					      "--json"};
	_cleanup_free_ char *out = NULL, *err = NULL;

	assert_int_equal(command_run(args, &out, &err), 0);
	assert_string_equal(
		out, "{\"key\": \"ca_subject\", \"value\": \"a b \\u202E.\", \"type\": \"he_shared\"}\n");
	assert_string_equal(err, "");
}

static void test_volumes(void **state)
{
	static const char noise[8192] = "no tar", zeros[4096];
	char err[512], path[256];

	write_volume("[email]\nsmtp-port=25\033\n");
	check("escape code", "smtp-port", NULL, NULL, "shared broker.conf:2: ");
	write_file(volume, noise, sizeof(noise));
	snprintf(err, sizeof(err), VOLUME "%s cannot be read: neither a head nor an archive\n", volume);
	check("noise", "smtp-port", NULL, NULL, err);
	write_file(volume, zeros, sizeof(zeros));
	snprintf(err, sizeof(err), VOLUME "%s cannot be read: nothing was written there yet: a ", volume);
	check("zeros", "smtp-port", NULL, NULL, err);
	assert_int_equal(unlink(volume), 0);
	snprintf(err, sizeof(err),
		 VOLUME "%s cannot be read: No such file or directory; check the path, and ", volume);
	check("no file", "smtp-port", NULL, NULL, err);
	check("here all the same", "fqdn", "--type=he_local",
	      "\nfqdn : here.example.com, type : he_local\n\n", NULL);
	snprintf(path, sizeof(path), "%s/ha.conf", dir);
	assert_int_equal(unlink(path), 0);
	check("no file, no maintenance", "local_maintenance", NULL, "\nlocal_maintenance : no, type : ha\n\n",
	      NULL);
	write_engine_conf("vmid=\n");
	check("no conf_path", "smtp-port", NULL, NULL, "hosted-engine.conf names no conf_path: ");
	write_engine_conf("no line\n");
	check("a file that is none", "fqdn", "--type=he_local", NULL, dir);
}

static int set_value(const char *key, const char *value, const char *type, char **ret_out, char **ret_err)
{
	const char *args[COMMAND_ARGS_MAX] = {"--set-shared-config", key, value, type};

	return command_run(args, ret_out, ret_err);
}

static void test_set_here(void **state)
{
	static const struct {
		const char *name, *key, *value, *type, *read_back;
	} rows[] = {
		{"of a file here", "gateway", "192.0.2.9", "--type=he_local", "192.0.2.9"},
		{"blanks and quotes", "ca_subject", "a 'b' \"c\" ;d#e", "--type=he_local",
		 "a 'b' \"c\" ;d#e"},
		{"UTF-8", "ca_subject", "gr\xc3\xbc\xc3\x9f", "--type=he_local", "gr\xc3\xbc\xc3\x9f"},
		{"nothing", "ca_subject", "", "--type=he_local", ""},
		{"a key that was not there", "bridge", "br0", "--type=he_local", "br0"},
		{"maintenance", "local_maintenance", "no", NULL, "no"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		_cleanup_free_ char *out = NULL, *err = NULL;
		char want[256];
		int code = set_value(rows[i].key, rows[i].value, rows[i].type, &out, &err);

		if (code != 0 || out[0] || err[0])
			fail_msg("%s: %d, %s%s", rows[i].name, code, out, err);
		snprintf(want, sizeof(want), "\n%s : %s, type : %s\n\n", rows[i].key, rows[i].read_back,
			 rows[i].type ? "he_local" : "ha");
		check(rows[i].name, rows[i].key, rows[i].type, want, NULL);
	}
	check("others stay", "fqdn", "--type=he_local", "\nfqdn : here.example.com, type : he_local\n\n",
	      NULL);
}

static void test_set_refused(void **state)
{
	static char long_value[100000];
	static const struct {
		const char *name, *key, *value, *type, *out, *err;
	} rows[] = {
		{"no key", NULL, NULL, NULL, "You must specify a key to set\n", ""},
		{"no value", "gateway", NULL, NULL, "You must specify a new value to set\n", ""},
		{"of several", "fqdn", "x", NULL, "", "Duplicate key fqdn, please specify the key type.\n"},
		{"of none", "nonsense", "x", NULL, "", "Invalid configuration key nonsense.\n"},
		{"no number", "smtp-port", "many", NULL, "", "The value of smtp-port is not "},
		{"out of range", "email.smtp-port", "0", NULL, "",
		 "The value of smtp-port is too small; give whole number, 1 to 65535\n"},
		{"line end", "ca_subject", "a\nb", "--type=he_local", "",
		 "The value of ca_subject can't be read back "},
		{"blank at its end", "ca_subject", "a ", "--type=he_local", "",
		 "The value of ca_subject can't be read back "},
		{"mail header", "source-email", "a@b\nBcc: c@d", NULL, "", "The"},
		{"100 KB", "fqdn", long_value, "--type=he_local", "", "The value of fqdn is too long"},
		{"no lockspace", "smtp-port", "26", NULL, "", "The shared configuration in "},
	};

	memset(long_value, 'x', sizeof(long_value) - 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		_cleanup_free_ char *out = NULL, *err = NULL;
		int code = set_value(rows[i].key, rows[i].value, rows[i].type, &out, &err);

		if (code != 1 || strcmp(out, rows[i].out) != 0 ||
		    strncmp(err, rows[i].err, strlen(rows[i].err)) != 0)
			fail_msg("%s: %d, %s%s", rows[i].name, code, out, err);
	}
	check("nothing changed", "smtp-port", NULL, "\nbroker : 25, type : broker\n\n", NULL);
	check("here neither", "ca_subject", "--type=he_local", "\nca_subject : , type : he_local\n\n", NULL);
}

static void test_save(void **state)
{
	char path[256], bad[352];
	const char *args[COMMAND_ARGS_MAX] = {"--save-config", path};
	_cleanup_free_ char *out = NULL, *err = NULL, *bad_out = NULL, *bad_err = NULL;
	struct conf_archive archive = {0};
	uint8_t bytes[16384];
	char cause[CONF_CAUSE_SIZE];
	struct stat st;
	size_t size;
	FILE *file;

	snprintf(path, sizeof(path), "%s/saved.tar", dir);
	assert_int_equal(command_run(args, &out, &err), 0);
	assert_string_equal(out, "");
	assert_string_equal(err, "");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	file = fopen(path, "re");
	assert_non_null(file);
	size = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	assert_int_equal(conf_archive_unpack(bytes, size, &archive, cause), 0);
	assert_string_equal(archive.texts[CONF_ENTRY_BROKER].text, "[email]\nsmtp-server=mail.example.com\n");
	conf_archive_done(&archive);
	unlink(path);

	snprintf(path, sizeof(path), "%s/none/saved.tar", dir);
	snprintf(bad, sizeof(bad), "%s cannot be written: No such file or directory; check the path, and ",
		 path);
	assert_int_equal(command_run(args, &bad_out, &bad_err), 1);
	assert_memory_equal(bad_err, bad, strlen(bad));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_json, setup, teardown),
		cmocka_unit_test_setup_teardown(test_volumes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_set_here, setup, teardown),
		cmocka_unit_test_setup_teardown(test_set_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_save, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
