/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which saved configurations an engine can be made of, and what of them holds on another storage. */
#include "deploy/restore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "util/cleanup.h"

#define UUID "11111111-2222-4333-8444-00000000000a"
#define ENGINE                                                                                               \
	"vmid=" UUID "\nfqdn=engine.example.com\nbridge=ovirtmgmt\ngateway=192.0.2.1\nstorage=old:/export\n" \
	"engine_lease_name=old\nspUUID=x\nio_timeout=20\n"
#define VM                                                                                                   \
	"<domain><uuid>" UUID "</uuid><devices><disk><source file='/old'/></disk><interface><mac "           \
	"address='52:54:00:12:34:56'/></interface></devices></domain>"
#define MAIL "[email]\nsmtp-server=mail.example.com\nsmtp-port=587\n[notify]\ncommand=/bin/tell\n"
#define ANSWERS                                                                                              \
	"storage=old:/export\nfqdn=then.example.com\nvcpus=4\ndisk_gib=70\nappliance=/"                      \
	"old.ova\nvm_network=static\n"                                                                       \
	"host_id=7\ndomain=" UUID "\nno_such_question=1\n"

static char path[] = "/tmp/restore.XXXXXX";

/* Writes the archive of these, NULL for the usual ones, and loads it. */
static int load(const char *const texts[CONF_ENTRY_COUNT], struct conf_archive *ret,
		char why[RESTORE_WHY_SIZE])
{
	static const char *const usual[CONF_ENTRY_COUNT] = {"1\n", ENGINE, MAIL, VM, ANSWERS};
	struct conf_archive archive = {0};
	_cleanup_free_ uint8_t *packed = NULL;
	size_t size;
	int fd;

	for (int i = 0; i < CONF_ENTRY_COUNT; i++) {
		const char *text = texts && texts[i] ? texts[i] : usual[i];

		assert_int_equal(conf_archive_set(&archive, (enum conf_entry)i, text, strlen(text)), 0);
	}
	assert_int_equal(conf_archive_pack(&archive, &packed, &size), 0);
	conf_archive_done(&archive);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(fd, packed, size), (int)size);
	close(fd);
	return restore_load(path, ret, why);
}

static void test_load(void **state)
{
	static const struct {
		const char *name;
		const char *texts[CONF_ENTRY_COUNT];
		const char *why;
	} rows[] = {
		{"no vmid", {NULL, "fqdn=a.b\n", NULL, NULL, NULL}, "has no vmid"},
		{"a vmid that is none", {NULL, "vmid=1\n", NULL, NULL, NULL}, "has no vmid"},
		{"of another machine",
		 {NULL, "vmid=11111111-2222-4333-8444-00000000000b\n", NULL, NULL, NULL},
		 "vm.conf is of no use: it is not of the VM"},
		{"an older vm.conf", {NULL, NULL, NULL, "vmId=" UUID "\n", NULL}, "vm.conf is of no use"},
		{"a broken hosted-engine.conf", {NULL, "x", NULL, NULL, NULL}, "hosted-engine.conf can't"},
		{"a broken broker.conf", {NULL, NULL, "x", NULL, NULL}, "broker.conf can't"},
	};
	struct conf_archive saved = {0};
	char why[RESTORE_WHY_SIZE] = "", line[64];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (load(rows[i].texts, &saved, why) != -EINVAL || !strstr(why, rows[i].why))
			fail_msg("%s: %s", rows[i].name, why);
	assert_int_equal(load(NULL, &saved, why), 0);
	conf_archive_done(&saved);
	snprintf(line, sizeof(line), "tar rf %s -C /etc passwd", path);
	assert_int_equal(system(line), 0);
	assert_int_equal(restore_load(path, &saved, why), -EINVAL);
	assert_non_null(strstr(why, "newer version"));
	assert_int_equal(truncate(path, 1000), 0);
	assert_int_equal(restore_load(path, &saved, why), -EBADMSG);
	assert_int_equal(truncate(path, CONF_ARCHIVE_MAX + 1), 0);
	assert_int_equal(restore_load(path, &saved, why), -EFBIG);
	assert_int_equal(restore_load("/tmp", &saved, why), -EINVAL);
	assert_int_equal(restore_load("/tmp/no such file", &saved, why), -ENOENT);
}

static void test_answers(void **state)
{
	static const struct {
		enum answer which;
		const char *value;
	} rows[] = {
		{ANSWER_VMID, UUID},
		{ANSWER_MAC, "52:54:00:12:34:56"},
		{ANSWER_FQDN, "engine.example.com"}, /* what was set since counts */
		{ANSWER_BRIDGE, "ovirtmgmt"},
		{ANSWER_IO_TIMEOUT, "20"},
		{ANSWER_SMTP_SERVER, "mail.example.com"},
		{ANSWER_SMTP_PORT, "2525"}, /* it was answered */
		{ANSWER_DISK_SIZE, "70"},
		{ANSWER_VM_NETWORK, "static"},
		{ANSWER_STORAGE, ""},
		{ANSWER_HOST_ID, "1"},
		{ANSWER_APPLIANCE, ""},
		{ANSWER_DOMAIN, ""},
	};
	_cleanup_(answers_done) struct answers answers = {0};
	_cleanup_(conf_archive_done) struct conf_archive saved = {0};
	char why[RESTORE_WHY_SIZE];

	assert_int_equal(answer_set(&answers, ANSWER_SMTP_PORT, "2525"), 0);
	assert_int_equal(load(NULL, &saved, why), 0);
	assert_int_equal(restore_answers(&saved, &answers), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(answer_get(&answers, rows[i].which), rows[i].value);
	/* The machine is who it was, and nobody is asked about it. */
	assert_true(answers.restored);
	assert_false(answer_applies(&answers, ANSWER_VCPUS));
	assert_false(answer_applies(&answers, ANSWER_MEMORY));
	assert_false(answer_applies(&answers, ANSWER_MAC));
	assert_true(answer_applies(&answers, ANSWER_APPLIANCE));
}

static void test_conf(void **state)
{
	_cleanup_(conf_archive_done) struct conf_archive saved = {0};
	_cleanup_keyfile_ struct keyfile *file = NULL;
	char why[RESTORE_WHY_SIZE];

	assert_int_equal(load(NULL, &saved, why), 0);
	assert_int_equal(restore_conf(&saved, &file), 0);
	assert_string_equal(keyfile_get(file, "", "vmid"), UUID);
	assert_string_equal(keyfile_get(file, "", "io_timeout"), "20");
	assert_null(keyfile_get(file, "", "engine_lease_name"));
	assert_null(keyfile_get(file, "", "spUUID"));
}

static int setup(void **state)
{
	return close(mkstemp(path));
}

static int teardown(void **state)
{
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_conf),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
