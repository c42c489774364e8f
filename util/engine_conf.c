/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which keys hosted-engine.conf has and what they must be together. It may not touch storage: whether
 * the places exist is for those who use them. Called by every main function. */
#include "util/engine_conf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char *const network_tests[] = {"ping", "none", "dns", "tcp", NULL};

_Static_assert(sizeof(network_tests) / sizeof(network_tests[0]) == NETWORK_TEST_COUNT + 1,
	       "a test without a word");

/* sanlock takes 48 bytes with the NUL; `:` separates the parts of its arguments. */
static const char *check_lock_name(const char *value)
{
	for (const char *c = value; *c; c++)
		if (*c == ':' || *c == '\\' || *c == ' ' || (unsigned char)*c >= 0x7f)
			return "has a byte that a lease name can't have; use letters, digits, - and _";
	return NULL;
}

static const char *check_host(const char *value)
{
	if (value[strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%")])
		return "is neither a host name nor an address; use letters, digits, '.', '-' and ':'";
	return NULL;
}

/* A probe that first asks a name server judges that one. */
static const char *check_address(const char *value)
{
	uint8_t address[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, value, address) != 1 && inet_pton(AF_INET6, value, address) != 1)
		return "is not an IP address; give one like 192.0.2.1";
	return NULL;
}

static const char *check_device(const char *value)
{
	if (strchr(value, '/') || strchr(value, ' ') || strcmp(value, ".") == 0 || strcmp(value, "..") == 0)
		return "is not the name of a network interface; see `ip link`";
	return NULL;
}

static const char *check_url(const char *value)
{
	if (strncmp(value, "http://", 7) != 0 && strncmp(value, "https://", 8) != 0)
		return "is not an address of http:// or https://; give one";
	return NULL;
}

#define FIELD(member) SETTING_FIELD(struct engine_conf, member)
#define KEPT(name)                                                                                           \
	{                                                                                                    \
		.section = "", .key = name, .type = SETTING_KEPT, .fallback = "", .help = "other tools' own" \
	}

static const struct setting rows[] = {
	{"", "vmid", SETTING_UUID, "", FIELD(vmid),
	 .help = "uuid of the engine VM; empty: this host is not deployed"},
	{"", "host_id", SETTING_INT, "", FIELD(host_id), .min = 1, .max = HOST_ID_LIMIT,
	 .help = "number of this host in the lockspace, unique in the cluster"},
	{"", "configured", SETTING_BOOL, "yes", FIELD(configured),
	 .help = "no while a deployment is under way"},
	{"", "fqdn", SETTING_STRING, "", FIELD(fqdn), .check = check_host,
	 .help = "host name of the engine VM"},
	{"", "vm_xml", SETTING_PATH, "", FIELD(vm_xml),
	 .help = "file with the engine VM's libvirt domain XML"},
	{"", "conf", SETTING_PATH, "/run/ovirt-hosted-engine-ha/vm.conf", FIELD(vm_conf),
	 .help = "local copy of the VM's configuration"},
	{"", "sdUUID", SETTING_UUID, "", FIELD(sd_uuid),
	 .help = "uuid of the storage domain; the whiteboard of another one is refused"},
	{"", "lockspace_path", SETTING_PLACE, "", FIELD(lockspace), .help = "sanlock's lockspace"},
	{"", "metadata_path", SETTING_PLACE, "", FIELD(metadata), .url = true, .help = "the whiteboard"},
	{"", "lease_path", SETTING_PLACE, "", FIELD(lease),
	 .help = "the engine's lease; block 0's and the conf volume's follow"},
	{"", "conf_path", SETTING_PLACE, "", FIELD(conf_volume), .help = "the shared configuration"},
	{"", "disk_path", SETTING_PLACE, "", FIELD(disk),
	 .help = "the engine VM's disk; empty: not compared"},
	{"", "lockspace_name", SETTING_STRING, "hosted-engine", FIELD(lockspace_name),
	 .check = check_lock_name, .help = "sanlock's name of the lockspace"},
	{"", "engine_lease_name", SETTING_STRING, "engine", FIELD(engine_lease_name),
	 .check = check_lock_name, .help = "sanlock's name of the engine's lease"},
	{"", "io_timeout", SETTING_INT, "10", FIELD(io_timeout_s), .min = 1, .max = 60, .unit = "s",
	 .help = "sanlock's io_timeout, the same on all hosts"},
	{"", "watchdog_fire_timeout", SETTING_INT, "60", FIELD(watchdog_fire_s), .min = 60, .max = 600,
	 .unit = "s", .help = "time from the last petting to the reset, the same on all hosts"},
	{"", "require_watchdog", SETTING_BOOL, "yes", FIELD(require_watchdog),
	 .help = "no: a host without a working watchdog may run the VM, without the safety it gives"},
	{"", "bridge", SETTING_STRING, "", FIELD(bridge), .check = check_device, .help = "management bridge"},
	{"", "gateway", SETTING_STRING, "", FIELD(gateway), .check = check_address,
	 .help = "address that network_test=ping asks"},
	{"", "network_test", SETTING_WORD, "ping", FIELD(network_test), .words = network_tests,
	 .help = "how the network is judged: pings of gateway, questions to name servers, or connections"},
	{"", "tcp_t_address", SETTING_STRING, "", FIELD(tcp_t_address), .check = check_host,
	 .help = "address that network_test=tcp connects to"},
	{"", "tcp_t_port", SETTING_INT, "", FIELD(tcp_t_port), .min = 1, .max = 65535,
	 .help = "port that network_test=tcp connects to"},
	{"", "health_url", SETTING_STRING, "", FIELD(health_url), .check = check_url,
	 .help = "the engine's health page; empty: http://FQDN/ovirt-engine/services/health"},
	{"", "health_ca", SETTING_PATH, "", FIELD(health_ca),
	 .help = "certificates that an https health_url is checked with"},
	{"", "user", SETTING_STRING, "", FIELD(user),
	 .help = "who we are to an iSCSI target that asks by CHAP; empty: nobody"},
	{"", "password", SETTING_STRING, "", FIELD(password), .secret = true, .help = "its password"},
	KEPT("vm_disk_id"),
	KEPT("vm_disk_vol_id"),
	KEPT("storage"),
	KEPT("mnt_options"),
	KEPT("nfs_version"),
	KEPT("console"),
	KEPT("domainType"),
	KEPT("spUUID"),
	KEPT("connectionUUID"),
	KEPT("ca_cert"),
	KEPT("ca_subject"),
	KEPT("vdsm_use_ssl"),
	KEPT("metadata_volume_UUID"),
	KEPT("metadata_image_UUID"),
	KEPT("lockspace_volume_UUID"),
	KEPT("lockspace_image_UUID"),
	KEPT("conf_volume_UUID"),
	KEPT("conf_image_UUID"),
	KEPT("iqn"),
	KEPT("portal"),
	KEPT("port"),
	KEPT("iscsi_paths_blacklist"),
};

const struct settings engine_settings = {
	.rows = rows,
	.n_rows = sizeof(rows) / sizeof(rows[0]),
	.title = "hosted-engine.conf: this host in its cluster, and the shared storage",
};

bool engine_conf_deployed(const struct engine_conf *conf)
{
	return conf->vmid[0] != '\0';
}

const char *engine_conf_vm(const struct engine_conf *conf)
{
	return engine_conf_vm_shared(conf) ? conf->vm_conf : conf->vm_xml;
}

bool engine_conf_vm_shared(const struct engine_conf *conf)
{
	return !conf->vm_xml[0];
}

static int missing(const char *name, const char *key, const char *why, struct problems *problems)
{
	problems_add(problems, name, 0, key, NULL, "is missing; %s", why);
	return -EINVAL;
}

int engine_conf_check(const struct engine_conf *conf, const char *name, struct problems *problems)
{
	static const char place[] = "give PATH or PATH:OFFSET on the shared storage";
	int r = 0;

	if (!conf->host_id)
		r = missing(name, "host_id", "give this host's number, 1 to 2000", problems);
	if (!conf->lockspace.path[0])
		r = missing(name, "lockspace_path", place, problems);
	if (!conf->metadata.path[0])
		r = missing(name, "metadata_path", place, problems);
	if (!conf->lease.path[0])
		r = missing(name, "lease_path", place, problems);
	if (conf->network_test == NETWORK_TEST_PING && !conf->gateway[0])
		r = missing(name, "gateway", "give the address to ping, or another network_test", problems);
	if (conf->network_test == NETWORK_TEST_TCP && !conf->tcp_t_address[0])
		r = missing(name, "tcp_t_address", "give the address to connect to, or another network_test",
			    problems);
	if (conf->network_test == NETWORK_TEST_TCP && !conf->tcp_t_port)
		r = missing(name, "tcp_t_port", "give the port to connect to, or another network_test",
			    problems);
	return r;
}

int engine_conf_load(const char *path, struct engine_conf *ret, struct problems *problems)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	int r;

	memset(ret, 0, sizeof(*ret));
	settings_defaults(&engine_settings, ret);
	r = keyfile_load(path, false, &file, problems);
	if (r < 0)
		return r;
	r = settings_apply(&engine_settings, file, ret, problems);
	if (r < 0)
		return r;
	if (!ret->health_url[0] && ret->fqdn[0])
		snprintf(ret->health_url, sizeof(ret->health_url), "http://%s/ovirt-engine/services/health",
			 ret->fqdn);
	return engine_conf_deployed(ret) ? engine_conf_check(ret, path, problems) : 0;
}

int engine_conf_load_deployed(const char *path, struct engine_conf *ret, struct problems *problems)
{
	int r = engine_conf_load(path, ret, problems);

	if (r == -ENOENT) {
		problems_add(problems, path, 0, NULL, NULL,
			     "does not exist; this host is not deployed: hosted-engine.conf(5) has the keys "
			     "that it needs");
		return r;
	}
	if (r < 0)
		return r;
	if (!engine_conf_deployed(ret))
		return missing(
			path, "vmid",
			"this host is not deployed: give the uuid of the engine VM, and the other keys "
			"that hosted-engine.conf(5) asks for",
			problems);
	if (!ret->vm_xml[0] && !ret->conf_volume.path[0])
		return missing(
			path, "conf_path",
			"name the conf volume, which has the engine VM's configuration, or in vm_xml a "
			"file with its domain XML",
			problems);
	return 0;
}

int place_format(const struct place *place, char *ret, size_t size)
{
	int n = strstr(place->path, "://") ? snprintf(ret, size, "%s", place->path)
					   : snprintf(ret, size, "%s:%" PRIu64, place->path, place->offset);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}
