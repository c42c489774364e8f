/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of a deployment's answers: what is right row by row, which of them matter when, and what an
 * answer file says, ours or an older one's. */
#include "deploy/answers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBr2yZuY5o0yXk0Zr0l3r0Q3n6fO1q1f8m3Jk1b2c3d4 me@example"

static char said[4096];

static void listen(void *data, const char *line)
{
	(void)data;
	strncat(said, line, sizeof(said) - strlen(said) - 2);
	strcat(said, "\n");
}

static void test_values(void **state)
{
	static const struct {
		const char *name;
		const char *storage_type; /* "": none yet */
		enum answer which;
		const char *value, *what; /* NULL: right; else words of the reason */
	} rows[] = {
		{"a kind of storage", "", ANSWER_STORAGE_TYPE, "glusterfs", NULL},
		{"no kind of storage", "", ANSWER_STORAGE_TYPE, "nfs5", "is none of"},
		{"half a word is none", "", ANSWER_STORAGE_TYPE, "nf", "is none of"},
		{"an export", "nfs", ANSWER_STORAGE, "server:/export", NULL},
		{"a server without export", "nfs", ANSWER_STORAGE, "server", "SERVER:/PATH"},
		{"an export without server", "nfs", ANSWER_STORAGE, ":/export", "SERVER:/PATH"},
		{"an option in its place", "nfs", ANSWER_STORAGE, "-o:/export", "begins with -"},
		{"a folder", "path", ANSWER_STORAGE, "/srv/my folder", NULL},
		{"a folder without /", "path", ANSWER_STORAGE, "srv", "absolute"},
		{"portals", "iscsi", ANSWER_STORAGE, "192.0.2.1,192.0.2.2", NULL},
		{"nothing where something is needed", "nfs", ANSWER_STORAGE, "", "is needed"},
		{"a target", "iscsi", ANSWER_IQN, "iqn.2003-01.org.example:disk1", NULL},
		{"no target", "iscsi", ANSWER_IQN, "disk1", "name of a target"},
		{"no user", "iscsi", ANSWER_USER, "", NULL},
		{"a port", "iscsi", ANSWER_PORT, "3261", NULL},
		{"no port", "iscsi", ANSWER_PORT, "70000", "65535"},
		{"a bridge", "path", ANSWER_BRIDGE, "ovirtmgmt", NULL},
		{"a path for a bridge", "path", ANSWER_BRIDGE, "../br0", "interface"},
		{"a gateway", "path", ANSWER_GATEWAY, "192.0.2.1", NULL},
		{"a name for a gateway", "path", ANSWER_GATEWAY, "gateway", "IP address"},
		{"a host id", "path", ANSWER_HOST_ID, "2000", NULL},
		{"a host id that is none", "path", ANSWER_HOST_ID, "2001", "2000"},
		{"the engine's name", "path", ANSWER_FQDN, "engine.example.com", NULL},
		{"a name without a domain", "path", ANSWER_FQDN, "engine", ""},
		{"an appliance", "path", ANSWER_APPLIANCE, "/srv/a.ova", NULL},
		{"an appliance somewhere", "path", ANSWER_APPLIANCE, "a.ova", "absolute"},
		{"memory", "path", ANSWER_MEMORY, "128", NULL},
		{"too little memory", "path", ANSWER_MEMORY, "127", "from 128"},
		{"memory with a unit", "path", ANSWER_MEMORY, "16G", "whole number"},
		{"memory below zero", "path", ANSWER_MEMORY, "-1", "whole number"},
		{"a number that is too long", "path", ANSWER_MEMORY, "99999999999999999999", "whole number"},
		{"a MAC", "path", ANSWER_MAC, "52:54:00:aA:00:01", NULL},
		{"a short MAC", "path", ANSWER_MAC, "52:54:00:aa:00", "six bytes"},
		{"a MAC of many", "path", ANSWER_MAC, "53:54:00:aa:00:01", "multicast"},
		{"a MAC with a letter too many", "path", ANSWER_MAC, "52:54:00:aa:00:1x", "six bytes"},
		{"an address", "path", ANSWER_VM_ADDRESS, "192.0.2.10/24", NULL},
		{"an address without prefix", "path", ANSWER_VM_ADDRESS, "192.0.2.10", ""},
		{"name servers", "path", ANSWER_VM_DNS, "192.0.2.1,2001:db8::1", NULL},
		{"no name servers", "path", ANSWER_VM_DNS, "", NULL},
		{"a name server's name", "path", ANSWER_VM_DNS, "192.0.2.1,ns1", ""},
		{"four name servers", "path", ANSWER_VM_DNS, "192.0.2.1,192.0.2.2,192.0.2.3,192.0.2.4",
		 "more than three"},
		{"an SSH key", "path", ANSWER_SSH_KEY, KEY, NULL},
		{"a file's name for a key", "path", ANSWER_SSH_KEY, "/root/.ssh/id.pub", ""},
		{"a mail server", "path", ANSWER_SMTP_SERVER, "mail.example.com", NULL},
		{"mail's port", "path", ANSWER_SMTP_PORT, "0", "65535"},
		{"a uuid", "path", ANSWER_VMID, "5b2e4a5e-0000-4000-8000-000000000001", NULL},
		{"no uuid", "path", ANSWER_VMID, "engine", "uuid"},
		{"no watchdog", "path", ANSWER_REQUIRE_WATCHDOG, "no", NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct answers answers = {0};
		char what[ANSWER_WHAT_SIZE] = "";
		int r;

		if (rows[i].storage_type[0])
			assert_int_equal(answer_set(&answers, ANSWER_STORAGE_TYPE, rows[i].storage_type), 0);
		r = answer_check(&answers, rows[i].which, rows[i].value, what);
		if (r != (rows[i].what ? -EINVAL : 0) || (rows[i].what && !strstr(what, rows[i].what)))
			fail_msg("%s: %d %s", rows[i].name, r, what);
		answers_done(&answers);
	}
}

static void test_ip_version(void **state)
{
	static const struct {
		unsigned version;
		enum answer which;
		const char *value;
		bool right;
	} rows[] = {
		{0, ANSWER_GATEWAY, "192.0.2.1", true},
		{0, ANSWER_GATEWAY, "2001:db8::1", true},
		{4, ANSWER_GATEWAY, "192.0.2.1", true},
		{4, ANSWER_GATEWAY, "2001:db8::1", false},
		{6, ANSWER_GATEWAY, "192.0.2.1", false},
		{6, ANSWER_GATEWAY, "2001:db8::1", true},
		{4, ANSWER_VM_ADDRESS, "2001:db8::2/64", false},
		{6, ANSWER_VM_ADDRESS, "2001:db8::2/64", true},
		{6, ANSWER_VM_ADDRESS, "192.0.2.10/24", false},
		{4, ANSWER_VM_DNS, "2001:db8::1", true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct answers answers = {.ip_version = rows[i].version};
		char what[ANSWER_WHAT_SIZE] = "";

		if (answer_check(&answers, rows[i].which, rows[i].value, what) !=
			    (rows[i].right ? 0 : -EINVAL) ||
		    (!rows[i].right && !strstr(what, rows[i].version == 4 ? "IPv4" : "IPv6")))
			fail_msg("%u %s: %s", rows[i].version, rows[i].value, what);
	}
}

/* Each row alone: its key is its own, its default passes its own check. */
static void test_rows(void **state)
{
	for (int i = 0; i < ANSWER_COUNT; i++) {
		const struct answer_row *row = &answer_rows[i];
		struct answers answers = {0};
		char what[ANSWER_WHAT_SIZE] = "";

		assert_non_null(row->key);
		assert_non_null(row->section);
		for (int j = 0; j < i; j++) {
			assert_string_not_equal(row->key, answer_rows[j].key);
			assert_true(!row->old || !answer_rows[j].old ||
				    strcmp(row->old, answer_rows[j].old) != 0);
		}
		/* What nobody is asked for has to have a default, or may be left out. */
		if (!row->question && !row->empty && !row->fallback[0])
			assert_true(i == ANSWER_VMID || i == ANSWER_DOMAIN || i == ANSWER_TCP_ADDRESS ||
				    i == ANSWER_TCP_PORT);
		if (row->fallback[0] && answer_check(&answers, i, row->fallback, what) != 0)
			fail_msg("default of %s: %s", row->key, what);
	}
}

static void test_which_matter(void **state)
{
	static const struct {
		const char *name, *storage_type, *more;
		enum answer about;
		bool further, applies;
		enum answer which;
	} rows[] = {
		{"iSCSI has a target", "iscsi", NULL, 0, false, true, ANSWER_IQN},
		{"NFS has none", "nfs", NULL, 0, false, false, ANSWER_IQN},
		{"Fibre Channel has a LUN", "fc", NULL, 0, false, true, ANSWER_LUN},
		{"and no server", "fc", NULL, 0, false, false, ANSWER_STORAGE},
		{"a path has no mount options", "path", NULL, 0, false, false, ANSWER_MNT_OPTIONS},
		{"a password without user", "iscsi", NULL, 0, false, false, ANSWER_PASSWORD},
		{"a password", "iscsi", "me", ANSWER_USER, false, true, ANSWER_PASSWORD},
		{"an address by DHCP", "path", "dhcp", ANSWER_VM_NETWORK, false, false, ANSWER_VM_ADDRESS},
		{"an address", "path", "static", ANSWER_VM_NETWORK, false, true, ANSWER_VM_ADDRESS},
		{"a gateway to ping", "path", "ping", ANSWER_NETWORK_TEST, false, true, ANSWER_GATEWAY},
		{"none to ping", "path", "dns", ANSWER_NETWORK_TEST, false, false, ANSWER_GATEWAY},
		{"the first host has id 1", "path", NULL, 0, false, false, ANSWER_HOST_ID},
		{"a further host", "path", NULL, 0, true, true, ANSWER_HOST_ID},
		{"has no appliance", "path", NULL, 0, true, false, ANSWER_APPLIANCE},
		{"nor mail", "path", NULL, 0, true, false, ANSWER_SMTP_SERVER},
		{"but a bridge", "path", NULL, 0, true, true, ANSWER_BRIDGE},
		{"its storage is asked either way", "path", NULL, 0, true, true, ANSWER_STORAGE_FORCE},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct answers answers = {.further = rows[i].further};

		answer_set(&answers, ANSWER_STORAGE_TYPE, rows[i].storage_type);
		if (rows[i].more)
			answer_set(&answers, rows[i].about, rows[i].more);
		if (answer_applies(&answers, rows[i].which) != rows[i].applies)
			fail_msg("%s", rows[i].name);
		answers_done(&answers);
	}
}

static void test_what_counts(void **state)
{
	struct answers answers = {0};

	assert_string_equal(answer_get(&answers, ANSWER_VCPUS), "4");
	answer_suggest(&answers, ANSWER_VCPUS, "2");
	assert_string_equal(answer_get(&answers, ANSWER_VCPUS), "2");
	answer_set(&answers, ANSWER_VCPUS, "8");
	assert_string_equal(answer_get(&answers, ANSWER_VCPUS), "8");
	answer_set(&answers, ANSWER_VCPUS, NULL);
	assert_string_equal(answer_get(&answers, ANSWER_VCPUS), "2");
	answers_done(&answers);
}

static int load(struct answers *answers, const char *text)
{
	struct problems problems = {.say = listen};
	char path[] = "/tmp/ovirt-ha-answers-XXXXXX";
	int fd = mkstemp(path), r;

	said[0] = '\0';
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	r = answers_load(answers, path, &problems);
	unlink(path);
	return r;
}

static void test_files(void **state)
{
	static const struct {
		const char *name, *text;
		enum answer which;
		const char *value; /* NULL: refused */
		const char *said;
	} rows[] = {
		{"ours", "# answers\nfqdn=engine.example.com\n", ANSWER_FQDN, "engine.example.com", ""},
		{"an older one",
		 "[environment:default]\nOVEHOSTED_NETWORK/fqdn=str:engine.example.com\n"
		 "OVEHOSTED_VM/vmMemSizeMB=int:4096\nOVEHOSTED_CORE/deployProceed=bool:True\n"
		 "OVEHOSTED_STORAGE/hostID=none:None\n",
		 ANSWER_MEMORY, "4096", ""},
		{"a value with colons", "OVEHOSTED_STORAGE/storageDomainConnection=str:server:/export\n",
		 ANSWER_STORAGE, "server:/export", ""},
		{"a key that is none", "fqnd=engine.example.com\n", ANSWER_FQDN, NULL, "fqnd"},
		{"another file's section", "[agent]\nfqdn=engine.example.com\n", ANSWER_FQDN, NULL,
		 "section"},
		{"not a file of keys", "engine\n", ANSWER_FQDN, NULL, "'='"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct answers answers = {0};
		int r = load(&answers, rows[i].text);

		if (r != (rows[i].value ? 0 : -EINVAL) || !strstr(said, rows[i].said) ||
		    (rows[i].value && strcmp(answer_get(&answers, rows[i].which), rows[i].value) != 0))
			fail_msg("%s: %d %s", rows[i].name, r, said);
		answers_done(&answers);
	}
}

/* What was saved says the same, and nobody else can read it. */
static void test_saved(void **state)
{
	struct problems problems = {.say = listen};
	struct answers answers = {0}, again = {0};
	char path[] = "/tmp/ovirt-ha-answers-XXXXXX";
	struct stat st;
	int fd = mkstemp(path);

	close(fd);
	assert_int_equal(chmod(path, 0644), 0);
	answer_set(&answers, ANSWER_STORAGE_TYPE, "path");
	answer_set(&answers, ANSWER_STORAGE, "/srv/a folder");
	answer_set(&answers, ANSWER_ROOT_PASSWORD, "it's = a #secret");
	answer_set(&answers, ANSWER_IQN, "iqn.2003-01.org.example:of-no-use");
	assert_int_equal(answers_save(&answers, path), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(answers_load(&again, path, &problems), 0);
	for (int i = 0; i < ANSWER_COUNT; i++)
		if (answer_applies(&answers, i))
			assert_string_equal(answer_get(&again, i), answer_get(&answers, i));
	assert_null(again.text[ANSWER_IQN]);
	unlink(path);
	answers_done(&answers);
	answers_done(&again);
}

static void test_shared_without_secrets(void **state)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	struct answers answers = {0};

	answer_set(&answers, ANSWER_ROOT_PASSWORD, "secret");
	assert_int_equal(answers_keyfile(&answers, false, &file), 0);
	assert_null(keyfile_get(file, "", "root_password"));
	assert_string_equal(keyfile_get(file, "", "vcpus"), "4");
	answers_done(&answers);
}

/* The manual has every key, and no other. */
static void test_manual(void **state)
{
	const char *root = getenv("SOURCE_ROOT");
	char path[512], text[65536], key[64], *begin, *end, *at;
	unsigned keys = 0;
	FILE *file;

	assert_non_null(root);
	snprintf(path, sizeof(path), "%s/man/hosted-engine.8.scd", root);
	file = fopen(path, "r");
	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	begin = strstr(text, "\n# ANSWERS\n");
	assert_non_null(begin);
	end = strstr(begin + 1, "\n# ");
	assert_non_null(end);
	*end = '\0';
	for (int i = 0; i < ANSWER_COUNT; i++) {
		snprintf(key, sizeof(key), "*%s*", answer_rows[i].key);
		if (!strstr(begin, key))
			fail_msg("%s is not in the manual", key);
	}
	for (at = begin; (at = strchr(at, '*')); at = strchr(at + 1, '*') + 1)
		keys += at[1 + strcspn(at + 1, "*") + 1] != '('; /* not another page's name */
	assert_int_equal(keys, ANSWER_COUNT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),	    cmocka_unit_test(test_ip_version),
		cmocka_unit_test(test_rows),	    cmocka_unit_test(test_which_matter),
		cmocka_unit_test(test_what_counts), cmocka_unit_test(test_files),
		cmocka_unit_test(test_saved),	    cmocka_unit_test(test_shared_without_secrets),
		cmocka_unit_test(test_manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
