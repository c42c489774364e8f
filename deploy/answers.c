/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which questions a deployment has, what their defaults are and which answers are right. What only
 * the host, the storage or the network can tell is not asked here. */
#include "deploy/answers.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_conf.h"
#include "deploy/cloud_init.h"
#include "util/engine_conf.h"
#include "util/file_replace.h"

#define OLD_PREFIX "OVEHOSTED_"
#define OLD_SECTION "environment:default"

_Static_assert(ANSWER_WHAT_SIZE == CLOUD_INIT_WHY_SIZE, "one reason goes into the other");

static bool is(const struct answers *answers, enum answer which, const char *word)
{
	return strcmp(answer_get(answers, which), word) == 0;
}

static bool first_host(const struct answers *answers)
{
	return !answers->further;
}

/* Its machine is made here. */
static bool new_machine(const struct answers *answers)
{
	return first_host(answers) && !answers->restored;
}

static bool further_host(const struct answers *answers)
{
	return answers->further;
}

static bool with_source(const struct answers *answers)
{
	return !is(answers, ANSWER_STORAGE_TYPE, "fc");
}

static bool of_iscsi(const struct answers *answers)
{
	return is(answers, ANSWER_STORAGE_TYPE, "iscsi");
}

static bool of_lun(const struct answers *answers)
{
	return of_iscsi(answers) || is(answers, ANSWER_STORAGE_TYPE, "fc");
}

static bool of_posix(const struct answers *answers)
{
	return is(answers, ANSWER_STORAGE_TYPE, "posix");
}

static bool of_nfs(const struct answers *answers)
{
	return is(answers, ANSWER_STORAGE_TYPE, "nfs");
}

static bool connected(const struct answers *answers)
{
	return !is(answers, ANSWER_STORAGE_TYPE, "path");
}

static bool mounted(const struct answers *answers)
{
	return connected(answers) && !of_lun(answers);
}

static bool with_chap(const struct answers *answers)
{
	return of_iscsi(answers) && answer_get(answers, ANSWER_USER)[0];
}

static bool pinged(const struct answers *answers)
{
	return is(answers, ANSWER_NETWORK_TEST, "ping");
}

static bool by_tcp(const struct answers *answers)
{
	return is(answers, ANSWER_NETWORK_TEST, "tcp");
}

static bool static_address(const struct answers *answers)
{
	return first_host(answers) && is(answers, ANSWER_VM_NETWORK, "static");
}

static int wrong(char what[ANSWER_WHAT_SIZE], const char *text)
{
	snprintf(what, ANSWER_WHAT_SIZE, "%s", text);
	return -EINVAL;
}

static int check_storage(const struct answers *answers, const char *value, char what[ANSWER_WHAT_SIZE])
{
	const char *colon = strstr(value, ":/");

	if (is(answers, ANSWER_STORAGE_TYPE, "path"))
		return value[0] == '/'
			       ? 0
			       : wrong(what, "is not an absolute path; give the folder, or the block device");
	if (of_iscsi(answers) || of_posix(answers))
		return 0;
	return colon && colon != value ? 0 : wrong(what, "is not SERVER:/PATH; give it so");
}

static int check_mac(const struct answers *answers, const char *value, char what[ANSWER_WHAT_SIZE])
{
	unsigned byte[6];
	char end;

	(void)answers;
	if (strlen(value) != 17 || sscanf(value, "%2x:%2x:%2x:%2x:%2x:%2x%c", &byte[0], &byte[1], &byte[2],
					  &byte[3], &byte[4], &byte[5], &end) != 6)
		return wrong(what, "is not a MAC address; give six bytes like 52:54:00:01:02:03");
	return byte[0] & 1 ? wrong(what, "is a multicast address; give one whose first byte is even") : 0;
}

static int check_fqdn(const struct answers *answers, const char *value, char what[ANSWER_WHAT_SIZE])
{
	(void)answers;
	return cloud_init_check_fqdn(value, what);
}

static int check_version(const struct answers *answers, const char *value, char what[ANSWER_WHAT_SIZE])
{
	const unsigned version = strchr(value, ':') ? 6 : 4;

	if (answers->ip_version == 0 || answers->ip_version == version)
		return 0;
	snprintf(what, ANSWER_WHAT_SIZE,
		 "is not of IPv%u, which --%u asks for; give one that is, or begin "
		 "without the option",
		 answers->ip_version, answers->ip_version);
	return -EINVAL;
}

static int check_address(const struct answers *answers, const char *value, char what[ANSWER_WHAT_SIZE])
{
	int r = cloud_init_check_address(value, what);

	return r < 0 ? r : check_version(answers, value, what);
}

static int check_vm_gateway(const struct answers *answers, const char *value, char what[ANSWER_WHAT_SIZE])
{
	return cloud_init_check_gateway(value, answer_get(answers, ANSWER_VM_ADDRESS), what);
}

static int check_key(const struct answers *answers, const char *value, char what[ANSWER_WHAT_SIZE])
{
	(void)answers;
	return cloud_init_check_ssh_key(value, what);
}

static int check_dns(const struct answers *answers, const char *value, char what[ANSWER_WHAT_SIZE])
{
	_cleanup_free_ char *copy = strdup(value);
	char *at = copy, *one;
	int n = 0;

	(void)answers;
	while ((one = strsep(&at, ",")))
		if (++n > CLOUD_INIT_DNS_MAX || cloud_init_check_dns(one, what) < 0)
			return n > CLOUD_INIT_DNS_MAX ? wrong(what, "has more than three addresses")
						      : -EINVAL;
	return 0;
}

static int check_path(const struct answers *answers, const char *value, char what[ANSWER_WHAT_SIZE])
{
	(void)answers;
	return value[0] == '/' ? 0 : wrong(what, "is not an absolute path; give it with all folders");
}

#define STORAGE "STORAGE CONFIGURATION"
#define NETWORK "HOST NETWORK CONFIGURATION"
#define VM "VM CONFIGURATION"
#define ENGINE "HOSTED ENGINE CONFIGURATION"

const struct answer_row answer_rows[ANSWER_COUNT] = {
	[ANSWER_STORAGE_TYPE] = {"storage_type", "STORAGE/domainType", STORAGE,
				 "Please specify the storage you would like to use", "nfs",
				 .words = "nfs|nfs3|nfs4|glusterfs|iscsi|fc|posix|path"},
	[ANSWER_STORAGE] = {"storage", "STORAGE/storageDomainConnection", STORAGE,
			    "Please specify the full shared storage connection path to use (example: "
			    "host:/path, of NFS host alone for a list; of iscsi: portals' addresses, of "
			    "path: a folder or device)",
			    "", .setting = "storage", .check = check_storage, .applies = with_source},
	[ANSWER_NFS_VERSION] = {"nfs_version", NULL, STORAGE, NULL, "", .setting = "nfs_version",
				.applies = of_nfs, .empty = true},
	[ANSWER_VFS_TYPE] = {"vfs_type", "STORAGE/vfsType", STORAGE,
			     "Please specify the type of the file system, as mount(8) has it", "auto",
			     .setting = "vfs_type", .applies = of_posix},
	[ANSWER_MNT_OPTIONS] = {"mnt_options", "STORAGE/mntOptions", STORAGE,
				"If needed, specify additional mount options for the connection", "",
				.setting = "mnt_options", .applies = mounted, .empty = true},
	[ANSWER_PORT] = {"port", "STORAGE/iSCSIPortalPort", STORAGE, "Please specify the iSCSI portal port",
			 "3260", .setting = "port", .applies = of_iscsi},
	[ANSWER_USER] = {"user", "STORAGE/iSCSIPortalUser", STORAGE,
			 "Please specify the iSCSI discover user, if the target asks for one", "",
			 .setting = "user", .applies = of_iscsi, .empty = true},
	[ANSWER_PASSWORD] = {"password", "STORAGE/iSCSIPortalPassword", STORAGE,
			     "Please specify its password", "", .setting = "password", .applies = with_chap,
			     .secret = true},
	[ANSWER_IQN] = {"iqn", "STORAGE/iSCSITargetName", STORAGE, "Please specify the iSCSI target name", "",
			.setting = "iqn", .applies = of_iscsi},
	[ANSWER_PORTAL] = {"portal", NULL, STORAGE, NULL, "", .setting = "portal", .applies = of_iscsi,
			   .empty = true},
	[ANSWER_LUN] = {"lun", "STORAGE/LunID", STORAGE, "Please specify the destination LUN", "",
			.setting = "lun", .applies = of_lun},
	[ANSWER_STORAGE_DRIVER] = {"storage_driver", NULL, STORAGE, NULL, "auto", .setting = "storage_driver",
				   .applies = connected},
	[ANSWER_STORAGE_FORCE] = {"storage_force", NULL, STORAGE, NULL, "no", .words = "yes|no"},
	[ANSWER_HOST_ID] = {"host_id", "STORAGE/hostID", STORAGE, "Please specify the Host ID", "1",
			    .setting = "host_id", .applies = further_host},
	[ANSWER_BRIDGE] = {"bridge", "NETWORK/bridgeName", NETWORK,
			   "Please indicate the management bridge of this host", "", .setting = "bridge"},
	[ANSWER_GATEWAY] = {"gateway", "NETWORK/gateway", NETWORK,
			    "Please indicate a pingable gateway IP address", "", .setting = "gateway",
			    .check = check_version, .applies = pinged},
	[ANSWER_NETWORK_TEST] = {"network_test", "NETWORK/network_test", NETWORK, NULL, "ping",
				 .setting = "network_test"},
	[ANSWER_TCP_ADDRESS] = {"tcp_t_address", "NETWORK/network_test_tcp_address", NETWORK, NULL, "",
				.setting = "tcp_t_address", .applies = by_tcp},
	[ANSWER_TCP_PORT] = {"tcp_t_port", "NETWORK/network_test_tcp_port", NETWORK, NULL, "",
			     .setting = "tcp_t_port", .applies = by_tcp},
	[ANSWER_FQDN] = {"fqdn", "NETWORK/fqdn", VM,
			 "Please provide the FQDN for the engine you would like to use. This needs to match "
			 "the FQDN that you will use for the engine installation within the VM",
			 "", .setting = "fqdn", .check = check_fqdn, .applies = first_host},
	[ANSWER_HEALTH_URL] = {"health_url", NULL, VM, NULL, "", .setting = "health_url",
			       .applies = first_host, .empty = true},
	[ANSWER_HEALTH_CA] = {"health_ca", NULL, VM, NULL, "", .setting = "health_ca", .applies = first_host,
			      .empty = true},
	[ANSWER_APPLIANCE] = {"appliance", "VM/ovfArchive", VM,
			      "Please specify the path of the engine's appliance: an OVA, or a disk in "
			      "qcow2 or raw format",
			      "", .check = check_path, .applies = first_host},
	[ANSWER_VCPUS] = {"vcpus", "VM/vmVCpus", VM, "Please specify the number of virtual CPUs for the VM",
			  "4", .min = 1, .max = 512, .applies = new_machine},
	[ANSWER_MEMORY] = {"memory_mib", "VM/vmMemSizeMB", VM,
			   "Please specify the memory size of the VM in MiB", "16384", .min = 128,
			   .max = 16 * 1024 * 1024, .applies = new_machine},
	[ANSWER_DISK_SIZE] = {"disk_gib", "STORAGE/imgSizeGB", VM,
			      "Please specify the size of the VM disk in GiB", "58", .min = 1,
			      .max = 64 * 1024, .applies = first_host},
	[ANSWER_MAC] = {"mac", "VM/vmMACAddr", VM,
			"You may specify a unicast MAC address for the VM or accept a randomly generated "
			"default",
			"", .check = check_mac, .applies = new_machine},
	[ANSWER_VM_NETWORK] = {"vm_network", NULL, VM, "How should the engine VM network be configured",
			       "dhcp", .words = "dhcp|static", .applies = first_host},
	[ANSWER_VM_ADDRESS] = {"vm_address", "VM/cloudinitVMStaticCIDR", VM,
			       "Please enter the IP address to be used for the engine VM, with its prefix "
			       "length",
			       "", .check = check_address, .applies = static_address},
	[ANSWER_VM_GATEWAY] = {"vm_gateway", NULL, VM, "Please enter the gateway of the engine VM", "",
			       .check = check_vm_gateway, .applies = static_address},
	[ANSWER_VM_DNS] = {"vm_dns", "VM/cloudinitVMDNS", VM,
			   "Please provide a comma-separated list of IP addresses of domain name servers for "
			   "the engine VM",
			   "", .check = check_dns, .applies = static_address, .empty = true},
	[ANSWER_ROOT_PASSWORD] = {"root_password", "VM/cloudInitRootPwd", VM,
				  "Enter root password that will be used for the engine appliance; empty: "
				  "none",
				  "", .applies = first_host, .empty = true, .secret = true},
	[ANSWER_SSH_KEY] = {"ssh_key", "VM/rootSshPubkey", VM,
			    "Enter ssh public key for the root user that will be used for the engine "
			    "appliance; empty: none",
			    "", .check = check_key, .applies = first_host, .empty = true},
	[ANSWER_SMTP_SERVER] = {"smtp_server", "NOTIF/smtpServer", ENGINE,
				"Please provide the name of the SMTP server through which we will send "
				"notifications",
				"localhost", .mail = "smtp-server", .applies = first_host},
	[ANSWER_SMTP_PORT] = {"smtp_port", "NOTIF/smtpPort", ENGINE,
			      "Please provide the TCP port number of the SMTP server", "25",
			      .mail = "smtp-port", .applies = first_host},
	[ANSWER_SMTP_FROM] = {"source_email", "NOTIF/sourceEmail", ENGINE,
			      "Please provide the email address from which notifications will be sent",
			      "root@localhost", .mail = "source-email", .applies = first_host},
	[ANSWER_SMTP_TO] = {"destination_emails", "NOTIF/destEmail", ENGINE,
			    "Please provide a comma-separated list of email addresses which will get "
			    "notifications",
			    "root@localhost", .mail = "destination-emails", .applies = first_host},
	[ANSWER_VMID] = {"vmid", "VM/vmUUID", ENGINE, NULL, "", .setting = "vmid", .applies = new_machine},
	[ANSWER_DOMAIN] = {"domain", "STORAGE/sdUUID", ENGINE, NULL, "", .setting = "sdUUID",
			   .applies = first_host},
	[ANSWER_IO_TIMEOUT] = {"io_timeout", NULL, ENGINE, NULL, "10", .setting = "io_timeout",
			       .applies = first_host},
	[ANSWER_WATCHDOG_TIMEOUT] = {"watchdog_fire_timeout", NULL, ENGINE, NULL, "60",
				     .setting = "watchdog_fire_timeout", .applies = first_host},
	[ANSWER_REQUIRE_WATCHDOG] = {"require_watchdog", NULL, ENGINE, NULL, "yes",
				     .setting = "require_watchdog", .words = "yes|no"},
	[ANSWER_HEALTH_TIMEOUT] = {"health_timeout", NULL, ENGINE, NULL, "1800", .min = 10, .max = 86400},
};

const char *answer_get(const struct answers *answers, enum answer which)
{
	assert(which < ANSWER_COUNT);
	if (answers->text[which])
		return answers->text[which];
	return answers->suggested[which] ? answers->suggested[which] : answer_rows[which].fallback;
}

bool answer_is(const struct answers *answers, enum answer which, const char *word)
{
	return is(answers, which, word);
}

bool answer_applies(const struct answers *answers, enum answer which)
{
	const struct answer_row *row = &answer_rows[which];

	return !row->applies || row->applies(answers);
}

static bool one_of(const char *words, const char *value)
{
	size_t length = strlen(value);

	for (const char *word = words; word; word = strchr(word, '|')) {
		word += *word == '|';
		if (strcspn(word, "|") == length && memcmp(word, value, length) == 0)
			return true;
	}
	return false;
}

static int check_number(const struct answer_row *row, const char *value, char what[ANSWER_WHAT_SIZE])
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(value, &end, 10);
	if (*end == '\0' && errno == 0 && value[0] >= '0' && value[0] <= '9' && number >= row->min &&
	    number <= row->max)
		return 0;
	snprintf(what, ANSWER_WHAT_SIZE, "is no whole number from %lld to %lld", (long long)row->min,
		 (long long)row->max);
	return -EINVAL;
}

/* As the file will judge it that the value goes to. */
static int check_setting(const struct settings *table, const char *section, const char *key,
			 const char *value, char what[ANSWER_WHAT_SIZE])
{
	const struct setting *setting = settings_find(table, section, key);
	union {
		struct engine_conf engine;
		struct broker_conf broker;
	} *scratch = calloc(1, sizeof(*scratch));
	int r;

	assert(setting);
	if (!scratch)
		return wrong(what, "can't be judged: out of memory");
	r = setting_parse(setting, value, scratch, what, ANSWER_WHAT_SIZE);
	explicit_bzero(scratch, sizeof(*scratch));
	free(scratch);
	return r;
}

int answer_check(const struct answers *answers, enum answer which, const char *value,
		 char what[ANSWER_WHAT_SIZE])
{
	const struct answer_row *row = &answer_rows[which];
	int r;

	if (value[0] == '\0')
		return row->empty ? 0 : wrong(what, "is needed");
	if (strlen(value) >= ANSWER_SIZE)
		return wrong(what, "is too long");
	if (row->words && !one_of(row->words, value)) {
		snprintf(what, ANSWER_WHAT_SIZE, "is none of %s", row->words);
		return -EINVAL;
	}
	if (row->max > 0)
		return check_number(row, value, what);
	r = row->check ? row->check(answers, value, what) : 0;
	/* A path of this host is nothing that is connected, and may have blanks. */
	if (r < 0 || (which == ANSWER_STORAGE && !connected(answers)))
		return r;
	if (row->setting)
		return check_setting(&engine_settings, "", row->setting, value, what);
	return row->mail ? check_setting(&broker_settings, "email", row->mail, value, what) : 0;
}

static int replace(char **text, const char *value)
{
	char *copy = value ? strdup(value) : NULL;

	if (value && !copy)
		return -ENOMEM;
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = copy;
	return 0;
}

int answer_set(struct answers *answers, enum answer which, const char *value)
{
	return replace(&answers->text[which], value);
}

int answer_suggest(struct answers *answers, enum answer which, const char *value)
{
	return replace(&answers->suggested[which], value);
}

void answers_done(struct answers *answers)
{
	for (int i = 0; i < ANSWER_COUNT; i++) {
		replace(&answers->text[i], NULL);
		replace(&answers->suggested[i], NULL);
	}
}

static int find_row(const char *key)
{
	bool old = strncmp(key, OLD_PREFIX, strlen(OLD_PREFIX)) == 0;

	for (int i = 0; i < ANSWER_COUNT; i++) {
		const char *name = old ? answer_rows[i].old : answer_rows[i].key;

		if (name && strcmp(name, old ? key + strlen(OLD_PREFIX) : key) == 0)
			return i;
	}
	return -1;
}

/* `type:value` of older versions; NULL: there is no value. */
static const char *old_value(const char *value)
{
	const char *colon = strchr(value, ':');

	return strcmp(value, "none:None") == 0 ? NULL : colon ? colon + 1 : value;
}

static int take(struct answers *answers, const struct keyfile *file, const char *key, const char *value,
		unsigned line, struct problems *problems)
{
	bool old = strncmp(key, OLD_PREFIX, strlen(OLD_PREFIX)) == 0;
	int row = find_row(key);

	if (row < 0 && !old)
		problems_add(problems, keyfile_name(file), line, key, NULL,
			     "is no question; hosted-engine(8) lists them");
	if (row < 0)
		return old ? 0 : -EINVAL;
	if (old)
		value = old_value(value);
	/* What is of another storage or host is kept: it is judged when it counts. */
	return value ? answer_set(answers, row, value) : 0;
}

static int take_all(struct answers *answers, const struct keyfile *file, struct problems *problems)
{
	const char *section, *key, *value;
	unsigned line;
	int r = 0;

	for (size_t i = 0; keyfile_entry(file, i, &section, &key, &value, &line); i++) {
		int one;

		if (section[0] && strcmp(section, OLD_SECTION) != 0) {
			problems_add(problems, keyfile_name(file), line, key, NULL,
				     "is in a section of another file");
			one = -EINVAL;
		} else {
			one = take(answers, file, key, value, line, problems);
		}
		if (one == -ENOMEM)
			return one;
		r = one < 0 ? one : r; /* the others are looked at, too */
	}
	return r;
}

int answers_parse(struct answers *answers, const char *name, const char *text, size_t size,
		  struct problems *problems)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	int r = keyfile_parse(name, text, size, true, &file, problems);

	return r < 0 ? r : take_all(answers, file, problems);
}

int answers_load(struct answers *answers, const char *path, struct problems *problems)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	int r = keyfile_load(path, true, &file, problems);

	if (r == -ENOENT)
		problems_add(problems, path, 0, NULL, NULL, "does not exist");
	return r < 0 ? r : take_all(answers, file, problems);
}

int answers_keyfile(const struct answers *answers, bool secrets, struct keyfile **ret)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	int r = keyfile_new("answers", false, &file);

	for (int i = 0; r == 0 && i < ANSWER_COUNT; i++) {
		const char *value = answer_get(answers, i);

		if (answer_applies(answers, i) && value[0] && (secrets || !answer_rows[i].secret))
			r = keyfile_set(file, "", answer_rows[i].key, value);
	}
	if (r == 0)
		*ret = TAKE_PTR(file);
	return r;
}

int answers_save(const struct answers *answers, const char *path)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	char *text = NULL;
	size_t size = 0;
	int r = answers_keyfile(answers, true, &file);

	if (r == 0)
		r = keyfile_format(file, &text, &size);
	if (r == 0) {
		r = file_replace_private(path, text, size);
		explicit_bzero(text, size);
	}
	free(text);
	return r;
}
