/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hosted-engine.conf: what this host is in the cluster and where its shared storage is. Read by every
 * program. */
#pragma once

#include "util/settings.h"

#define UUID_SIZE 37	  /* with the NUL */
#define LOCK_NAME_SIZE 48 /* sanlock's, with the NUL */
#define HOST_ID_LIMIT 2000

enum network_test {
	NETWORK_TEST_PING,
	NETWORK_TEST_NONE,
	NETWORK_TEST_DNS,
	NETWORK_TEST_TCP,
	NETWORK_TEST_COUNT
};

/* What ovirt-ha-storage connects; the folder of a domain is STORAGE_RUN_DIR/<sdUUID>. */
#define STORAGE_RUN_DIR "/run/ovirt-ha-storage"

enum domain_type {
	DOMAIN_UNTYPED, /* the storage is there by other means */
	DOMAIN_NFS,
	DOMAIN_NFS3,
	DOMAIN_NFS4,
	DOMAIN_ISCSI,
	DOMAIN_FC,
	DOMAIN_GLUSTERFS,
	DOMAIN_POSIX,
	DOMAIN_TYPE_COUNT
};

enum nfs_version { NFS_AUTO, NFS_V3, NFS_V4, NFS_V4_0, NFS_V4_1, NFS_V4_2, NFS_VERSION_COUNT };
enum storage_choice { STORAGE_AUTO, STORAGE_KERNEL, STORAGE_USERSPACE, STORAGE_CHOICE_COUNT };

struct engine_conf {
	char vmid[UUID_SIZE]; /* the engine VM's uuid, lower case; "": not deployed */
	uint16_t host_id;     /* 1..2000, 0: not set */
	bool configured;
	char fqdn[256];
	char vm_xml[PATH_MAX / 4]; /* file with the domain's XML, "": none */
	char vm_conf[PATH_MAX / 4];

	char sd_uuid[UUID_SIZE]; /* the storage domain's, "": not known */
	struct place lockspace, metadata, lease, conf_volume, disk;
	enum domain_type domain_type;
	enum storage_choice storage_driver;
	char storage[512]; /* SERVER:/EXPORT, SERVER:/VOLUME, portals A[,A..], source of a mount */
	char mnt_options[512];
	enum nfs_version nfs_version;
	char vfs_type[32]; /* of DOMAIN_POSIX */
	char iqn[224];
	uint16_t port;		       /* of the portals */
	uint32_t portal;	       /* iSCSI's portal group tag */
	char lun[256];		       /* its number at the target, or a name in /dev/disk/by-id */
	char user[256], password[256]; /* of iSCSI's CHAP; empty: none */
	char lockspace_name[LOCK_NAME_SIZE];
	char engine_lease_name[LOCK_NAME_SIZE];
	uint32_t io_timeout_s;	  /* 1..60 */
	uint32_t watchdog_fire_s; /* 60..600 */
	bool require_watchdog;

	char bridge[16];
	char gateway[256];
	enum network_test network_test;
	char tcp_t_address[256];
	uint16_t tcp_t_port; /* 0: not set */

	char health_url[512]; /* never empty when fqdn is set */
	char health_ca[PATH_MAX / 4];
};

extern const struct settings engine_settings;

/* Defaults, then the file. 0; -ENOENT: no such file, said to nobody, `ret` has the defaults; else a negative
 * errno with every problem said: -EINVAL for what it says, another when it can't be read. `ret` is filled as
 * far as it goes. Blocks on the file. */
int engine_conf_load(const char *path, struct engine_conf *ret, struct problems *problems);
/* The same for who can't run without it: no file, no vmid and no vm_xml are problems too. 0 or -errno. */
int engine_conf_load_deployed(const char *path, struct engine_conf *ret, struct problems *problems);
/* Are the files of such a domain in a folder? Else it lies on a LUN. */
bool domain_type_files(enum domain_type type);
/* What a deployed host must have besides single values being right: engine_conf_load() checks it when there
 * is a vmid. */
int engine_conf_check(const struct engine_conf *conf, const char *name, struct problems *problems);
/* The part of it that domainType asks for, 0 without one: for a host that is about to be deployed. */
int engine_conf_check_domain(const struct engine_conf *conf, const char *name, struct problems *problems);
bool engine_conf_deployed(const struct engine_conf *conf); /* there is a vmid */
/* The file with the VM's domain XML: vm_xml, or else the local copy of the shared configuration's. */
const char *engine_conf_vm(const struct engine_conf *conf);
/* Its copy must be brought from the conf volume: there is no vm_xml. */
bool engine_conf_vm_shared(const struct engine_conf *conf);
/* "PATH:OFFSET" or "SCHEME://.." into ret. -ENAMETOOLONG. */
int place_format(const struct place *place, char *ret, size_t size);
