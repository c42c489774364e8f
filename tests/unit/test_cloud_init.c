/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which answers go to an appliance, and what it reads then: by a YAML parser and an ISO reader of others. */
#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
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

#include "deploy/cloud_init.h"
#include "util/cleanup.h"

#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGjc3cg2G4VQKdjosag420YQPUG0BlRkVfhBXgkEX0pX"
#define HASH                                                                                                 \
	"$6$rounds=100000$DjvGjzIDOwATLzgG$"                                                                 \
	"JBREIMbcyc5j16LHkyhI4OiKGJSff5azUigPrpWN1h7FXF4V1ZVc8ucGaolU5FDz9nE."                               \
	"jC8o3.bPjfevsLGUJ/" /* of "x" */

static const struct cloud_init usual = {
	.instance_id = "11111111-2222-4333-8444-00000000000a",
	.fqdn = "engine.example.com",
	.mac = "52:54:00:12:34:56",
};

struct check_row {
	const char *name;
	int (*check)(const char *value, char why[CLOUD_INIT_WHY_SIZE]);
	const char *value;
	const char *why; /* a part of it; NULL: it is right */
};

#define LABEL63 "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabc"

static const struct check_row check_rows[] = {
	{"a name", cloud_init_check_fqdn, "engine-1.example.com", NULL},
	{"a digit first", cloud_init_check_fqdn, "3com.com", NULL},
	{"longest label", cloud_init_check_fqdn, LABEL63 ".com", NULL},
	{"label too long", cloud_init_check_fqdn, LABEL63 "d.com", "1 to 63"},
	{"name too long", cloud_init_check_fqdn, LABEL63 "." LABEL63 "." LABEL63 "." LABEL63, "253"},
	{"short name", cloud_init_check_fqdn, "engine", "whole name"},
	{"empty", cloud_init_check_fqdn, "", "1 to 63"},
	{"dot at its end", cloud_init_check_fqdn, "engine.example.com.", "1 to 63"},
	{"hyphen at an end", cloud_init_check_fqdn, "engine-.example.com", "letters"},
	{"underscore", cloud_init_check_fqdn, "my_engine.example.com", "letters"},
	{"UTF-8", cloud_init_check_fqdn, "motör.example.com", "letters"},
	{"line break", cloud_init_check_fqdn, "engine.example.com\nx", "letters"},
	{"an address", cloud_init_check_fqdn, "192.0.2.1", "an address"},

	{"IPv4", cloud_init_check_address, "192.0.2.10/24", NULL},
	{"IPv6", cloud_init_check_address, "2001:db8::10/64", NULL},
	{"of a network of two", cloud_init_check_address, "192.0.2.10/31", NULL},
	{"without prefix", cloud_init_check_address, "192.0.2.10", "ADDRESS/PREFIX"},
	{"mask", cloud_init_check_address, "192.0.2.10/255.255.255.0", "ADDRESS/PREFIX"},
	{"prefix too long", cloud_init_check_address, "192.0.2.10/33", "1 to 32"},
	{"prefix 0", cloud_init_check_address, "192.0.2.10/0", "1 to 32"},
	{"prefix with a sign", cloud_init_check_address, "192.0.2.10/+8", "ADDRESS/PREFIX"},
	{"IPv6 prefix too long", cloud_init_check_address, "2001:db8::10/129", "1 to 128"},
	{"the network", cloud_init_check_address, "192.0.2.128/25", "network itself"},
	{"all", cloud_init_check_address, "192.0.2.127/25", "network itself"},
	{"the router's of IPv6", cloud_init_check_address, "2001:db8::/64", "network itself"},
	{"loopback", cloud_init_check_address, "127.0.0.1/8", "no host"},
	{"loopback of IPv6", cloud_init_check_address, "::1/64", "no host"},
	{"multicast", cloud_init_check_address, "224.0.0.9/24", "no host"},
	{"link-local", cloud_init_check_address, "fe80::1/64", "no host"},
	{"a number too large", cloud_init_check_address, "192.0.2.256/24", "no address"},
	{"zone", cloud_init_check_address, "2001:db8::10%eth0/64", "no address"},

	{"DNS", cloud_init_check_dns, "192.0.2.53", NULL},
	{"DNS of IPv6", cloud_init_check_dns, "2001:db8::53", NULL},
	{"DNS by name", cloud_init_check_dns, "dns.example.com", "no address"},
	{"DNS of no host", cloud_init_check_dns, "0.0.0.0", "no address"},

	{"key", cloud_init_check_ssh_key, KEY, NULL},
	{"key with a comment", cloud_init_check_ssh_key, KEY " Müller's \"key\" #1", NULL},
	{"ECDSA", cloud_init_check_ssh_key,
	 "ecdsa-sha2-nistp256 "
	 "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBCLoeKeIjmbYug3El4lIo3tzzoCzjsvVewSDSOW5nskI"
	 "GzdS0aLAGwLsyfRwoAatzesJHZbHoLcmROccvqs9bW8= a",
	 NULL},
	{"cut", cloud_init_check_ssh_key, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA", "not whole"},
	{"cut by four", cloud_init_check_ssh_key, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA", "not whole"},
	{"of another kind", cloud_init_check_ssh_key, "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA==", "not whole"},
	{"kind alone", cloud_init_check_ssh_key, "ssh-ed25519", "beginning with its kind"},
	{"nothing behind it", cloud_init_check_ssh_key, "ssh-ed25519 ", "not whole"},
	{"options", cloud_init_check_ssh_key, "command=\"x\" " KEY, "beginning with its kind"},
	{"DSA", cloud_init_check_ssh_key, "ssh-dss AAAAB3NzaC1kc3MAAAABAA==", "beginning with its kind"},
	{"two lines", cloud_init_check_ssh_key, KEY "\nroot:x", "one line"},
	{"not UTF-8", cloud_init_check_ssh_key, KEY " \xff", "one line"},
	{"private", cloud_init_check_ssh_key, "-----BEGIN OPENSSH PRIVATE KEY-----",
	 "beginning with its kind"},
};

static void test_checks(void **state)
{
	for (size_t i = 0; i < sizeof(check_rows) / sizeof(check_rows[0]); i++) {
		const struct check_row *row = &check_rows[i];
		char why[CLOUD_INIT_WHY_SIZE] = "";
		int r = row->check(row->value, why);

		if (row->why ? r != -EINVAL || !strstr(why, row->why) : r != 0)
			fail_msg("%s: %d %s", row->name, r, why);
	}
}

static const struct {
	const char *name, *gateway, *address, *why;
} gateway_rows[] = {
	{"in the network", "192.0.2.1", "192.0.2.10/24", NULL},
	{"DHCP", "198.51.100.1", NULL, NULL},
	{"IPv6", "2001:db8::1", "2001:db8::10/60", NULL},
	{"link-local", "fe80::1", "2001:db8::10/64", NULL},
	{"outside by one bit", "192.0.2.129", "192.0.2.10/25", "not in the network"},
	{"outside of IPv6", "2001:db8:0:10::1", "2001:db8::10/60", "not in the network"},
	{"other family", "2001:db8::1", "192.0.2.10/24", "not in the network"},
	{"link-local for IPv4", "fe80::1", "192.0.2.10/24", "not in the network"},
	{"itself", "192.0.2.10", "192.0.2.10/24", "own address"},
	{"a name", "gateway", "192.0.2.10/24", "no address"},
};

static void test_gateway(void **state)
{
	for (size_t i = 0; i < sizeof(gateway_rows) / sizeof(gateway_rows[0]); i++) {
		char why[CLOUD_INIT_WHY_SIZE] = "";
		int r = cloud_init_check_gateway(gateway_rows[i].gateway, gateway_rows[i].address, why);

		if (gateway_rows[i].why ? r != -EINVAL || !strstr(why, gateway_rows[i].why) : r != 0)
			fail_msg("%s: %d %s", gateway_rows[i].name, r, why);
	}
}

static void test_hash(void **state)
{
	static const char long_one[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
				       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
				       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
				       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef1";
	const char *const bad[] = {"", "a\nb", "\x7f", "\xc2\x85", "\xff", long_one};
	char one[CLOUD_INIT_HASH_SIZE], two[CLOUD_INIT_HASH_SIZE], why[CLOUD_INIT_WHY_SIZE];
	struct cloud_init conf = usual;
	struct cloud_init_files files;

	assert_int_equal(cloud_init_hash("pass: \"wörd' #", one), 0);
	assert_int_equal(cloud_init_hash("pass: \"wörd' #", two), 0);
	assert_string_not_equal(one, two);
	assert_int_equal(strncmp(one, "$6$", 3), 0);
	assert_string_equal(crypt("pass: \"wörd' #", one), one);
	conf.root_hash = one;
	assert_int_equal(cloud_init_files(&conf, &files, why), 0);
	cloud_init_files_done(&files);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(cloud_init_hash(bad[i], one), -EINVAL);
}

/* A member that is wrong is named. */
static void test_files_refused(void **state)
{
	static const struct {
		size_t member;
		const char *value, *why;
	} rows[] = {
		{offsetof(struct cloud_init, instance_id), "", "instance id"},
		{offsetof(struct cloud_init, instance_id), "a\nb", "instance id"},
		{offsetof(struct cloud_init, fqdn), NULL, "name: missing"},
		{offsetof(struct cloud_init, fqdn), "engine", "name: "},
		{offsetof(struct cloud_init, mac), NULL, "MAC: missing"},
		{offsetof(struct cloud_init, mac), "52:54:00:12:34", "MAC: "},
		{offsetof(struct cloud_init, mac), "52:54:00:12:34:5g", "MAC: "},
		{offsetof(struct cloud_init, mac), "52:54:00:12:34:567", "MAC: "},
		{offsetof(struct cloud_init, address), "1.2.3.4", "address: "},
		{offsetof(struct cloud_init, gateway), "x", "gateway: "},
		{offsetof(struct cloud_init, dns) + 2 * sizeof(char *), "::", NULL},
		{offsetof(struct cloud_init, dns), "::", "DNS: "},
		{offsetof(struct cloud_init, root_hash), "secret", "password: "},
		{offsetof(struct cloud_init, root_hash), "$1$salt$hash", "password: "},
		{offsetof(struct cloud_init, root_hash), "$6$salt$", "password: "},
		{offsetof(struct cloud_init, root_hash), HASH "\n", "password: "},
		{offsetof(struct cloud_init, ssh_key), "x", "SSH key: "},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cloud_init_files files = {0};
		char why[CLOUD_INIT_WHY_SIZE] = "";
		struct cloud_init conf = usual;
		int r;

		memcpy((char *)&conf + rows[i].member, &rows[i].value, sizeof(rows[i].value));
		r = cloud_init_files(&conf, &files, why);
		if (rows[i].why ? r != -EINVAL || strncmp(why, rows[i].why, strlen(rows[i].why)) != 0
				: r != 0)
			fail_msg("row %zu: %d %s", i, r, why);
		if (r == 0)
			cloud_init_files_done(&files);
		else
			assert_null(files.user_data);
	}
}

/* What a YAML parser makes of a file, as sorted JSON on one line. */
static void assert_yaml(const char *text, const char *wanted)
{
	char path[] = "/tmp/cloud_init.XXXXXX", line[256], got[4096] = "";
	int fd = mkstemp(path);
	FILE *out;

	assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
	close(fd);
	snprintf(
		line, sizeof(line),
		"/usr/bin/python3 -c 'import json, sys, yaml; print(json.dumps(yaml.safe_load(open(\"%s\")), "
		"sort_keys=True, ensure_ascii=False))'",
		path);
	out = popen(line, "r");
	assert_non_null(out);
	(void)!fread(got, 1, sizeof(got) - 1, out);
	assert_int_equal(pclose(out), 0);
	unlink(path);
	got[strcspn(got, "\n")] = '\0';
	assert_string_equal(got, wanted);
}

static void test_files(void **state)
{
	struct cloud_init conf = usual;
	struct cloud_init_files files, again;
	char why[CLOUD_INIT_WHY_SIZE];

	conf.address = "192.0.2.10/24";
	conf.gateway = "192.0.2.1";
	conf.dns[0] = "192.0.2.53";
	conf.dns[1] = "2001:db8::53";
	conf.root_hash = HASH;
	conf.ssh_key = KEY " Müller's \"key\": #1";
	assert_int_equal(cloud_init_files(&conf, &files, why), 0);
	assert_yaml(files.meta_data, "{\"instance-id\": \"11111111-2222-4333-8444-00000000000a\", "
				     "\"local-hostname\": \"engine.example.com\"}");
	assert_yaml(
		files.network_config,
		"{\"ethernets\": {\"eth0\": {\"addresses\": [\"192.0.2.10/24\"], \"dhcp4\": false, "
		"\"dhcp6\": "
		"false, \"match\": {\"macaddress\": \"52:54:00:12:34:56\"}, \"nameservers\": {\"addresses\": "
		"[\"192.0.2.53\", \"2001:db8::53\"], \"search\": [\"example.com\"]}, \"routes\": [{\"to\": "
		"\"0.0.0.0/0\", \"via\": \"192.0.2.1\"}], \"set-name\": \"eth0\"}}, \"version\": 2}");
	assert_yaml(
		files.user_data,
		"{\"chpasswd\": {\"expire\": false, \"list\": [\"root:" HASH "\"]}, \"disable_root\": false, "
		"\"fqdn\": \"engine.example.com\", \"hostname\": \"engine\", \"preserve_hostname\": false, "
		"\"users\": [{\"lock_passwd\": false, \"name\": \"root\", \"ssh_authorized_keys\": [\"" KEY
		" Müller's \\\"key\\\": #1\"]}]}");
	assert_int_equal(strncmp(files.user_data, "#cloud-config\n", 14), 0);
	assert_int_equal(cloud_init_files(&conf, &again, why), 0);
	assert_string_equal(files.user_data, again.user_data);
	assert_string_equal(files.network_config, again.network_config);
	cloud_init_files_done(&files);
	cloud_init_files_done(&again);
}

static void test_files_few(void **state)
{
	struct cloud_init conf = usual;
	struct cloud_init_files files;
	char why[CLOUD_INIT_WHY_SIZE];

	assert_int_equal(cloud_init_files(&conf, &files, why), 0);
	assert_yaml(files.network_config,
		    "{\"ethernets\": {\"eth0\": {\"dhcp4\": true, \"match\": {\"macaddress\": "
		    "\"52:54:00:12:34:56\"}, \"set-name\": \"eth0\"}}, \"version\": 2}");
	assert_yaml(
		files.user_data,
		"{\"disable_root\": false, \"fqdn\": \"engine.example.com\", \"hostname\": \"engine\", "
		"\"preserve_hostname\": false, \"users\": [{\"lock_passwd\": true, \"name\": \"root\"}]}");
	cloud_init_files_done(&files);
	conf.dhcp6 = true;
	conf.gateway = "fe80::1";
	assert_int_equal(cloud_init_files(&conf, &files, why), 0);
	assert_yaml(files.network_config,
		    "{\"ethernets\": {\"eth0\": {\"dhcp6\": true, \"match\": {\"macaddress\": "
		    "\"52:54:00:12:34:56\"}, \"routes\": [{\"to\": \"::/0\", \"via\": \"fe80::1\"}], "
		    "\"set-name\": "
		    "\"eth0\"}}, \"version\": 2}");
	cloud_init_files_done(&files);
}

static void test_disc(void **state)
{
	char folder[] = "/tmp/cloud_init.XXXXXX", path[64], line[512], why[CLOUD_INIT_WHY_SIZE];
	struct cloud_init conf = usual;
	struct cloud_init_files files;
	struct stat st;
	FILE *wanted;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/it.iso", folder);
	conf.root_hash = HASH;
	/* An old one that all may read. */
	assert_int_equal(close(creat(path, 0644)), 0);
	assert_int_equal(cloud_init_write(&conf, path, why), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(cloud_init_files(&conf, &files, why), 0);
	snprintf(path, sizeof(path), "%s/wanted", folder);
	wanted = fopen(path, "w");
	fprintf(wanted, "%s%s%s", files.meta_data, files.network_config, files.user_data);
	fclose(wanted);
	cloud_init_files_done(&files);
	snprintf(line, sizeof(line),
		 "cd %s && test \"$(/usr/sbin/blkid -p -s LABEL -o value it.iso)\" = cidata && xorriso -osirrox on "
		 "-indev it.iso "
		 "-extract / out 2>log && cd out && test \"$(echo *)\" = 'meta-data network-config "
		 "user-data' && "
		 "cat * | cmp - ../wanted",
		 folder);
	assert_int_equal(system(line), 0);
	snprintf(path, sizeof(path), "%s/none/it.iso", folder);
	assert_int_equal(cloud_init_write(&conf, path, why), -ENOENT);
	assert_non_null(strstr(why, path));
	/* Nothing stays beside. */
	snprintf(line, sizeof(line),
		 "cd %s && chmod -R u+w . && test \"$(echo *)\" = 'it.iso log out wanted' && rm -rf %s",
		 folder, folder);
	assert_int_equal(system(line), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checks), cmocka_unit_test(test_gateway),
		cmocka_unit_test(test_hash),   cmocka_unit_test(test_files_refused),
		cmocka_unit_test(test_files),  cmocka_unit_test(test_files_few),
		cmocka_unit_test(test_disc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
