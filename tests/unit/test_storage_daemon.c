/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line of the storage daemon, for each kind of storage, word for word; no password in it. The
 * real module, and what may stand in its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "storage/storage_daemon.h"

#define BEGIN "qemu-storage-daemon --daemonize --pidfile /run/ovirt-ha-storage-daemon.pid "
#define FUSE(name, path)                                                                                     \
	"--export {\"type\":\"fuse\",\"id\":\"" name "\",\"node-name\":\"" name "\",\"mountpoint\":\"" path  \
	"\",\"writable\":true,\"allow-other\":\"on\"} "

static void test_rows(void **state)
{
	static const struct {
		const char *name;
		enum domain_type type;
		const char *storage, *user;
		struct storage_exports exports;
		const char *expected;
	} rows[] = {
		{"nfs",
		 DOMAIN_NFS3,
		 "server:/a/b",
		 "",
		 {{{"/r/lockspace", "lockspace", 0, 0, 0}, {"/r/disk", "disk", 0, 0, 0}}, 2},
		 BEGIN
		 "--blockdev {\"driver\":\"nfs\",\"node-name\":\"part0\",\"cache\":{\"direct\":true},"
		 "\"server\":{\"type\":\"inet\",\"host\":\"server\"},\"path\":\"/a/b/lockspace\","
		 "\"user\":36,\"group\":36} " FUSE(
			 "part0", "/r/lockspace") "--blockdev "
						  "{\"driver\":\"nfs\",\"node-name\":\"part1\",\"cache\":{"
						  "\"direct\":true},"
						  "\"server\":{\"type\":\"inet\",\"host\":\"server\"},"
						  "\"path\":\"/a/b/disk\","
						  "\"user\":36,\"group\":36} " FUSE("part1", "/r/disk")},
		{"gluster",
		 DOMAIN_GLUSTERFS,
		 "[2001:db8::1]:/volume",
		 "",
		 {{{"/r/disk", "disk", 0, 0, 0}}, 1},
		 BEGIN
		 "--blockdev {\"driver\":\"gluster\",\"node-name\":\"part0\",\"cache\":{\"direct\":true},"
		 "\"server\":[{\"type\":\"inet\",\"host\":\"2001:db8::1\",\"port\":\"24007\"}],"
		 "\"volume\":\"volume\",\"path\":\"disk\"} " FUSE("part0", "/r/disk")},
		{"iscsi for everybody",
		 DOMAIN_ISCSI,
		 "2001:db8::1",
		 "",
		 {{{"/r/lun", "lun", 7, 0, 0}}, 1},
		 BEGIN
		 "--blockdev {\"driver\":\"iscsi\",\"node-name\":\"part0\",\"cache\":{\"direct\":true},"
		 "\"transport\":\"tcp\",\"portal\":\"[2001:db8::1]:3260\",\"target\":\"iqn.x:y\",\"lun\":7,"
		 "\"initiator-name\":\"iqn.2014-07.org.ovirt:host-1.example\"} " FUSE("part0", "/r/lun")},
		{"iscsi with CHAP",
		 DOMAIN_ISCSI,
		 "192.0.2.1,192.0.2.2",
		 "me \"&\\",
		 {{{"/r/lun", "lun", 0, 0, 0}}, 1},
		 BEGIN
		 "--object {\"qom-type\":\"secret\",\"id\":\"chap\",\"file\":\"/dev/fd/9\"} "
		 "--blockdev {\"driver\":\"iscsi\",\"node-name\":\"part0\",\"cache\":{\"direct\":true},"
		 "\"transport\":\"tcp\",\"portal\":\"192.0.2.1:3260\",\"target\":\"iqn.x:y\",\"lun\":0,"
		 "\"initiator-name\":\"iqn.2014-07.org.ovirt:host-1.example\",\"user\":\"me \\\"&\\\\\","
		 "\"password-secret\":\"chap\"} " FUSE("part0", "/r/lun")},
		{"a part of a unit",
		 DOMAIN_ISCSI,
		 "192.0.2.1",
		 "",
		 {{{"/r/lun.1048576.4096", "lun.1048576.4096", 7, 1048576, 4096}}, 1},
		 BEGIN
		 "--blockdev {\"driver\":\"iscsi\",\"node-name\":\"unit0\",\"cache\":{\"direct\":true},"
		 "\"transport\":\"tcp\",\"portal\":\"192.0.2.1:3260\",\"target\":\"iqn.x:y\",\"lun\":7,"
		 "\"initiator-name\":\"iqn.2014-07.org.ovirt:host-1.example\"} --blockdev "
		 "{\"driver\":\"raw\",\"node-name\":\"part0\",\"cache\":{\"direct\":true},\"file\":\"unit0\","
		 "\"offset\":1048576,\"size\":4096} " FUSE("part0", "/r/lun.1048576.4096")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct engine_conf conf = {.domain_type = rows[i].type, .port = 3260, .iqn = "iqn.x:y"};
		struct daemon_options options;
		char text[4096] = "";

		snprintf(conf.storage, sizeof(conf.storage), "%s", rows[i].storage);
		snprintf(conf.user, sizeof(conf.user), "%s", rows[i].user);
		snprintf(conf.password, sizeof(conf.password), "nobody-may-read-this");
		assert_int_equal(storage_daemon_options(&conf, &rows[i].exports, "Host_1.example",
							"/dev/fd/9", &options),
				 0);
		for (size_t j = 0; j < options.n; j++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", options.args[j]);
		assert_null(options.args[options.n]);
		if (strcmp(text, rows[i].expected) != 0)
			fail_msg("%s:\n%s\n%s", rows[i].name, text, rows[i].expected);
		storage_daemon_options_done(&options);
	}
}

/* The first `size` bytes of the module. */
static void cut(const char *path, long size)
{
	static char bytes[1 << 20];
	FILE *from = fopen(FUSE_COPY_MODULE, "re"), *to = fopen(path, "we");
	size_t n;

	assert_true(from && to);
	n = fread(bytes, 1, sizeof(bytes), from);
	assert_true(n > 4096 && n < sizeof(bytes));
	n = size < 0 ? n - (size_t)-size : (size_t)size;
	assert_int_equal(fwrite(bytes, 1, n, to), n);
	fclose(from);
	fclose(to);
}

static void test_module(void **state)
{
	static const struct {
		const char *name,
			*path; /* NULL: a copy, so many bytes of it; below 0: without its last ones */
		long size;
		int error;
		const char *why;
	} rows[] = {
		{"the module", FUSE_COPY_MODULE, 0, 0, ""},
		{"missing", "/nowhere/module.so", 0, -ENOENT,
		 "/nowhere/module.so can't be loaded: No such file or directory; install the package anew"},
		{"a folder", "/tmp", 0, -EISDIR, "/tmp can't be loaded: "},
		{"empty", "/dev/null", 0, -ELIBBAD, "/dev/null can't be loaded: "},
		{"text", "/etc/passwd", 0, -ELIBBAD, "/etc/passwd can't be loaded: "},
		{"another module", PROC_HANG_MODULE, 0, -ELIBBAD, PROC_HANG_MODULE},
		{"its head", NULL, 64, -ELIBBAD, ""},
		{"half of it", NULL, 4096, -ELIBBAD, ""},
		{"without its last byte", NULL, -1, -ELIBBAD, ""},
	};
	char copy[] = "/tmp/test_storage_daemon.XXXXXX";
	int fd = mkstemp(copy);

	assert_true(fd >= 0);
	close(fd);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char why[STORAGE_EXPORT_WHY_SIZE] = "";

		print_message("# %s\n", rows[i].name);
		if (!rows[i].path)
			cut(copy, rows[i].size);
		assert_int_equal(storage_daemon_module(rows[i].path ? rows[i].path : copy, why),
				 rows[i].error);
		assert_memory_equal(why, rows[i].why, strlen(rows[i].why));
		assert_true((why[0] != '\0') == (rows[i].error != 0));
	}
	unlink(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_module)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
