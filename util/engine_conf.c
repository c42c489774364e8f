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

static const char *const domain_types[] = {"none", "nfs",	"nfs3",	 "nfs4", "iscsi",
					   "fc",   "glusterfs", "posix", NULL};
static const char *const nfs_versions[] = {"auto", "v3", "v4", "v4_0", "v4_1", "v4_2", NULL};
static const char *const storage_choices[] = {"auto", "kernel", "userspace", NULL};

_Static_assert(sizeof(domain_types) / sizeof(domain_types[0]) == DOMAIN_TYPE_COUNT + 1,
	       "a kind of storage without a word");
_Static_assert(sizeof(nfs_versions) / sizeof(nfs_versions[0]) == NFS_VERSION_COUNT + 1,
	       "a version without a word");
_Static_assert(sizeof(storage_choices) / sizeof(storage_choices[0]) == STORAGE_CHOICE_COUNT + 1,
	       "a driver without a word");

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

/* They become arguments of programs, paths and lines of files. */
static const char *check_source(const char *value)
{
	if (value[0] == '-')
		return "begins with -, as an option of a program; give the name or address of the storage";
	if (value[strcspn(value, " \t\"\\")])
		return "has a blank, a quote or a backslash; give the name or address of the storage";
	return NULL;
}

static const char *check_iqn(const char *value)
{
	if (strncmp(value, "iqn.", 4) != 0 && strncmp(value, "eui.", 4) != 0 &&
	    strncmp(value, "naa.", 4) != 0)
		return "is not the name of a target; give one like iqn.2003-01.org.example:disk1";
	if (strchr(value, '/') || check_source(value))
		return "has a byte that a target's name can't have; --discover-storage iscsi shows it";
	return NULL;
}

static const char *check_lun(const char *value)
{
	if (strchr(value, '/') || value[0] == '.' || check_source(value))
		return "is neither a number nor a name in /dev/disk/by-id; --discover-storage shows it";
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
	{"", "domainType", SETTING_WORD, "", FIELD(domain_type), .words = domain_types,
	 .help = "the storage that ovirt-ha-storage connects; none: it is there by other means"},
	{"", "storage_driver", SETTING_WORD, "auto", FIELD(storage_driver), .words = storage_choices,
	 .help = "who connects it: this host's kernel, or a process; auto: the kernel where it can"},
	{"", "storage", SETTING_STRING, "", FIELD(storage), .check = check_source,
	 .help = "SERVER:/EXPORT, SERVER:/VOLUME, iSCSI's portals separated by commas, or what to mount"},
	{"", "mnt_options", SETTING_STRING, "", FIELD(mnt_options), .check = check_source,
	 .help = "options of the mount besides those that follow from the other keys"},
	{"", "nfs_version", SETTING_WORD, "", FIELD(nfs_version), .words = nfs_versions,
	 .help = "of domainType nfs"},
	{"", "vfs_type", SETTING_STRING, "", FIELD(vfs_type), .check = check_source,
	 .help = "of domainType posix: the type of the file system, as mount(8) has it; empty: it finds out"},
	{"", "iqn", SETTING_STRING, "", FIELD(iqn), .check = check_iqn, .help = "the iSCSI target's name"},
	{"", "portal", SETTING_INT, "", FIELD(portal), .min = 1, .max = 65535,
	 .help = "the iSCSI portal group's tag; empty: 1"},
	{"", "port", SETTING_INT, "", FIELD(port), .min = 1, .max = 65535,
	 .help = "of the iSCSI portals; empty: 3260"},
	{"", "lun", SETTING_STRING, "", FIELD(lun), .check = check_lun,
	 .help = "number of the unit at the iSCSI target, or the disk's name in /dev/disk/by-id"},
	{"", "user", SETTING_STRING, "", FIELD(user),
	 .help = "who we are to an iSCSI target that asks by CHAP; empty: nobody"},
	{"", "password", SETTING_STRING, "", FIELD(password), .secret = true, .help = "its password"},
	KEPT("vm_disk_id"),
	KEPT("vm_disk_vol_id"),
	KEPT("console"),
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

bool domain_type_files(enum domain_type type)
{
	return type != DOMAIN_UNTYPED && type != DOMAIN_ISCSI && type != DOMAIN_FC;
}

/* The names that the files of a domain have. A LUN's areas begin where its sectors say: no default. */
static void default_places(struct engine_conf *conf)
{
	const struct {
		struct place *place;
		const char *file;
	} places[] = {{&conf->lockspace, "lockspace"},
		      {&conf->metadata, "metadata"},
		      {&conf->lease, "leases"},
		      {&conf->conf_volume, "conf"}};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (!places[i].place->path[0] && conf->sd_uuid[0] && domain_type_files(conf->domain_type))
			snprintf(places[i].place->path, sizeof(places[i].place->path),
				 STORAGE_RUN_DIR "/%s/%s", conf->sd_uuid, places[i].file);
}

static int wrong(const char *name, const char *key, const char *value, const char *why,
		 struct problems *problems)
{
	problems_add(problems, name, 0, key, value, "%s", why);
	return -EINVAL;
}

int engine_conf_check_domain(const struct engine_conf *conf, const char *name, struct problems *problems)
{
	const char *type = domain_types[conf->domain_type], *colon = strstr(conf->storage, ":/");
	bool server = domain_type_files(conf->domain_type) && conf->domain_type != DOMAIN_POSIX;
	int r = 0;

	if (conf->domain_type == DOMAIN_UNTYPED)
		return 0;
	if (!conf->sd_uuid[0])
		r = missing(name, "sdUUID", "with domainType give the storage domain's uuid", problems);
	if (!conf->storage[0] && conf->domain_type != DOMAIN_FC)
		r = missing(name, "storage", "with domainType say where the storage is", problems);
	else if (server && (!colon || colon == conf->storage))
		r = wrong(name, "storage", conf->storage, "is not SERVER:/PATH; give it so", problems);
	if (conf->domain_type == DOMAIN_ISCSI && !conf->iqn[0])
		r = missing(name, "iqn", "with domainType=iscsi give the target's name", problems);
	if (conf->domain_type == DOMAIN_ISCSI && conf->user[0] && !conf->password[0])
		r = missing(name, "password", "user is nobody to a target without it", problems);
	if (!domain_type_files(conf->domain_type) && !conf->lun[0])
		r = missing(name, "lun", "give the disk that the domain is on", problems);
	if (conf->domain_type == DOMAIN_FC && conf->lun[strspn(conf->lun, "0123456789")] == '\0' &&
	    conf->lun[0])
		r = wrong(name, "lun", conf->lun, "is a number; give the disk's name in /dev/disk/by-id",
			  problems);
	if (conf->nfs_version != NFS_AUTO && conf->domain_type != DOMAIN_NFS)
		r = wrong(name, "nfs_version", nfs_versions[conf->nfs_version],
			  "goes with domainType=nfs alone; take one of the two lines out", problems);
	if (conf->mnt_options[0] && !domain_type_files(conf->domain_type)) {
		problems_add(problems, name, 0, "mnt_options", conf->mnt_options,
			     "can't be used: domainType=%s mounts nothing; take the line out", type);
		r = -EINVAL;
	}
	return r;
}

int engine_conf_check(const struct engine_conf *conf, const char *name, struct problems *problems)
{
	static const char place[] = "give PATH or PATH:OFFSET on the shared storage";
	int r = engine_conf_check_domain(conf, name, problems);

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
	default_places(ret);
	if (!ret->port)
		ret->port = 3260;
	if (!ret->portal)
		ret->portal = 1;
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
