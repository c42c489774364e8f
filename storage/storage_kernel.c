/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's way to storage: a mount, open-iscsi's and multipath's tools, or a disk that is there by
 * itself. It plans and runs nothing. iscsiadm takes a password on its command line alone, where everybody can
 * read it: it goes into the record that iscsiadm has made before. Chosen by storage_service.c. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "storage/storage_driver.h"
#include "util/cleanup.h"

#define QUICK_MS 10000 /* what asks nobody else */
#define MOUNT_MS 60000 /* a server that is being started */
#define LOGIN_MS 60000
#define DEVICE_MS 30000	 /* from the login to udev's names */
#define SESSION_THERE 15 /* iscsiadm's status: logged in already */
#define NO_RECORD 21	 /* and: nothing of it is there */

CLEANUP_DEFINE(DIR *, closedir)

static bool is_nfs(enum domain_type type)
{
	return type == DOMAIN_NFS || type == DOMAIN_NFS3 || type == DOMAIN_NFS4;
}

static int lacks(char why[STORAGE_WHY_SIZE], const char *format, const char *what)
{
	snprintf(why, STORAGE_WHY_SIZE, "this host has no %.60s; %.100s", what, format);
	return -EOPNOTSUPP;
}

static int probe(const struct storage_world *world, const struct engine_conf *conf,
		 char why[STORAGE_WHY_SIZE])
{
	static const char install[] = "install the package that has it";
	char module[64];

	if (is_nfs(conf->domain_type)) {
		if (!storage_program(world, "mount.nfs"))
			return lacks(why, install, "mount.nfs");
		if (!storage_filesystem(world, "nfs") && !storage_filesystem(world, "nfs4"))
			return lacks(why, "load its module: modprobe nfs", "NFS in its kernel");
	} else if (conf->domain_type == DOMAIN_GLUSTERFS) {
		if (!storage_program(world, "mount.glusterfs"))
			return lacks(why, install, "mount.glusterfs");
		if (!storage_filesystem(world, "fuse"))
			return lacks(why, "load its module: modprobe fuse", "FUSE in its kernel");
	} else if (conf->domain_type == DOMAIN_ISCSI) {
		snprintf(module, sizeof(module), "%.40s/class/iscsi_transport", world->sys);
		if (!storage_program(world, "iscsiadm"))
			return lacks(why, install, "iscsiadm");
		if (access(module, F_OK) < 0)
			return lacks(why, "load its module: modprobe iscsi_tcp", "iSCSI in its kernel");
	}
	return 0;
}

/* The options that follow from the other keys come first: the last one counts. A soft mount gives errors
 * where a hard one keeps processes in the kernel for ever; sanlock's lease is what makes that safe. No user
 * of this host becomes root by a file that somebody put there. */
static const char *mount_options(const struct engine_conf *conf, struct storage_plan *plan)
{
	static const char *const versions[NFS_VERSION_COUNT] = {
		[NFS_AUTO] = "",	  [NFS_V3] = ",vers=3",	    [NFS_V4] = ",vers=4",
		[NFS_V4_0] = ",vers=4.0", [NFS_V4_1] = ",vers=4.1", [NFS_V4_2] = ",vers=4.2",
	};
	enum nfs_version version = conf->domain_type == DOMAIN_NFS3   ? NFS_V3
				   : conf->domain_type == DOMAIN_NFS4 ? NFS_V4
								      : conf->nfs_version;
	const char *comma = conf->mnt_options[0] ? "," : "";

	if (is_nfs(conf->domain_type))
		return storage_text(plan, "nosuid,nodev,soft,nosharecache,timeo=100,retrans=3%s%s%s",
				    versions[version], comma, conf->mnt_options);
	return conf->mnt_options;
}

static void connect_files(const struct storage_world *world, const struct engine_conf *conf,
			  struct storage_plan *plan)
{
	const char *folder = storage_folder(plan, world, conf);
	const char *type = conf->domain_type == DOMAIN_POSIX ? (conf->vfs_type[0] ? conf->vfs_type : "auto")
			   : conf->domain_type == DOMAIN_GLUSTERFS ? "glusterfs"
								   : "nfs";

	storage_plan_add(plan, STORAGE_STEP_FOLDER, QUICK_MS, folder, NULL);
	storage_plan_add(plan, STORAGE_STEP_MOUNT, MOUNT_MS, conf->storage, folder, type,
			 mount_options(conf, plan), NULL);
}

/* Each portal of `storage`: its address as iscsiadm wants it. False: no more. */
static bool next_portal(const char **at, struct storage_plan *plan, const char **ret)
{
	size_t length = strcspn(*at, ",");
	bool bare6 = memchr(*at, ':', length) && **at != '[';

	if (length == 0)
		return false;
	*ret = storage_text(plan, bare6 ? "[%.*s]" : "%.*s", (int)length, *at);
	*at += length + ((*at)[length] == ',');
	return true;
}

static bool lun_number(const struct engine_conf *conf)
{
	return conf->lun[strspn(conf->lun, "0123456789")] == '\0';
}

/* By number the first portal's way to it is taken; who has several ways has multipath, and names its disk. */
static const char *device(const struct storage_world *world, const struct engine_conf *conf,
			  struct storage_plan *plan)
{
	const char *at = conf->storage, *portal = "";
	int bracket;

	if (!lun_number(conf))
		return storage_text(plan, "%s/disk/by-id/%s", world->dev, conf->lun);
	next_portal(&at, plan, &portal);
	bracket = portal[0] == '[';
	return storage_text(plan, "%s/disk/by-path/ip-%.*s:%u-iscsi-%s-lun-%s", world->dev,
			    (int)strlen(portal) - 2 * bracket, portal + bracket, conf->port, conf->iqn,
			    conf->lun);
}

/* The record is made with the portal group's tag, so its file is known: nodes/IQN/ADDRESS,PORT,TAG/default.
 */
static void login(const struct storage_world *world, const struct engine_conf *conf, const char *portal,
		  struct storage_plan *plan)
{
	const char *full = storage_text(plan, "%s:%u,%u", portal, conf->port, conf->portal);
	size_t bracket = portal[0] == '[', length = strlen(portal) - 2 * bracket;
	const char *record = storage_text(plan, "%s/nodes/%s/%.*s,%u,%u/default", world->iscsi, conf->iqn,
					  (int)length, portal + bracket, conf->port, conf->portal);
	struct storage_step *step;

	storage_plan_add(plan, STORAGE_STEP_RUN, QUICK_MS, "iscsiadm", "-m", "node", "-o", "new", "-T",
			 conf->iqn, "-p", full, "-I", "default", NULL);
	/* This service connects it after a boot, and knows when it may. */
	storage_plan_add(plan, STORAGE_STEP_LINE, QUICK_MS, record, "node.startup", "manual", NULL);
	if (conf->user[0]) {
		storage_plan_add(plan, STORAGE_STEP_LINE, QUICK_MS, record, "node.session.auth.authmethod",
				 "CHAP", NULL);
		storage_plan_add(plan, STORAGE_STEP_LINE, QUICK_MS, record, "node.session.auth.username",
				 conf->user, NULL);
		storage_plan_add(plan, STORAGE_STEP_LINE, QUICK_MS, record, "node.session.auth.password",
				 conf->password, NULL);
	}
	step = storage_plan_add(plan, STORAGE_STEP_RUN, LOGIN_MS, "iscsiadm", "-m", "node", "-T", conf->iqn,
				"-p", full, "-l", NULL);
	step->okay = SESSION_THERE;
	/* Several are there for when one is not; without any, the disk does not come. */
	step->optional = strchr(conf->storage, ',') != NULL;
}

static void connect_lun(const struct storage_world *world, const struct engine_conf *conf,
			struct storage_plan *plan)
{
	const char *folder = storage_folder(plan, world, conf), *at = conf->storage, *portal;
	const char *disk = device(world, conf, plan);
	struct storage_step *step;

	if (conf->domain_type == DOMAIN_ISCSI) {
		while (next_portal(&at, plan, &portal))
			login(world, conf, portal, plan);
		/* A unit that came after the login, too. */
		step = storage_plan_add(plan, STORAGE_STEP_RUN, LOGIN_MS, "iscsiadm", "-m", "node", "-T",
					conf->iqn, "-R", NULL);
		step->optional = true;
	}
	if (!lun_number(conf) && storage_program(world, "multipath")) {
		step = storage_plan_add(plan, STORAGE_STEP_RUN, DEVICE_MS, "multipath", NULL);
		step->optional = true;
	}
	storage_plan_add(plan, STORAGE_STEP_AWAIT, DEVICE_MS, disk, NULL);
	/* The kernel may have seen the disk before another host wrote its table: the VM's disk is a
	 * partition. */
	step = storage_plan_add(plan, STORAGE_STEP_RUN, QUICK_MS, "blockdev", "--rereadpt", disk, NULL);
	step->optional = true;
	storage_plan_add(plan, STORAGE_STEP_FOLDER, QUICK_MS, folder, NULL);
	storage_plan_add(plan, STORAGE_STEP_LINK, QUICK_MS, storage_text(plan, "%s/lun", folder), disk, NULL);
}

static void connect_plan(const struct storage_world *world, const struct engine_conf *conf,
			 struct storage_plan *plan)
{
	if (domain_type_files(conf->domain_type))
		connect_files(world, conf, plan);
	else
		connect_lun(world, conf, plan);
}

static void disconnect_plan(const struct storage_world *world, const struct engine_conf *conf,
			    struct storage_plan *plan)
{
	const char *folder = storage_folder(plan, world, conf), *at = conf->storage, *portal;

	if (domain_type_files(conf->domain_type)) {
		storage_plan_add(plan, STORAGE_STEP_UNMOUNT, MOUNT_MS, folder, NULL);
		storage_plan_add(plan, STORAGE_STEP_REMOVE, QUICK_MS, folder, NULL);
		return;
	}
	storage_plan_add(plan, STORAGE_STEP_REMOVE, QUICK_MS, storage_text(plan, "%s/lun", folder), NULL);
	storage_plan_add(plan, STORAGE_STEP_REMOVE, QUICK_MS, folder, NULL);
	if (conf->domain_type != DOMAIN_ISCSI)
		return;
	/* A map keeps its paths, and the kernel would wait for them. */
	if (!lun_number(conf) && storage_program(world, "multipath"))
		storage_plan_add(plan, STORAGE_STEP_RUN, DEVICE_MS, "multipath", "-f",
				 device(world, conf, plan), NULL)
			->optional = true;
	while (next_portal(&at, plan, &portal)) {
		const char *full = storage_text(plan, "%s:%u,%u", portal, conf->port, conf->portal);

		storage_plan_add(plan, STORAGE_STEP_RUN, LOGIN_MS, "iscsiadm", "-m", "node", "-T", conf->iqn,
				 "-p", full, "-u", NULL)
			->okay = NO_RECORD;
		/* With it the password. */
		storage_plan_add(plan, STORAGE_STEP_RUN, QUICK_MS, "iscsiadm", "-m", "node", "-T", conf->iqn,
				 "-p", full, "-o", "delete", NULL)
			->okay = NO_RECORD;
	}
}

/* Is there a session with the target? */
static bool has_session(const struct storage_world *world, const char *iqn)
{
	char path[512], name[256];
	_cleanup_(closedir_p) DIR *sessions = NULL;
	const struct dirent *entry;

	snprintf(path, sizeof(path), "%.100s/class/iscsi_session", world->sys);
	sessions = opendir(path);
	while (sessions && (entry = readdir(sessions))) {
		_cleanup_fclose_ FILE *file = NULL;

		snprintf(path, sizeof(path), "%.100s/class/iscsi_session/%.200s/targetname", world->sys,
			 entry->d_name);
		file = fopen(path, "re");
		if (!file || !fgets(name, sizeof(name), file))
			continue;
		name[strcspn(name, "\n")] = '\0';
		if (strcmp(name, iqn) == 0)
			return true;
	}
	return false;
}

static int state(const struct storage_world *world, const struct engine_conf *conf, enum storage_state *ret)
{
	char folder[512], link[600];
	bool linked, session;
	ssize_t n;
	int r;

	snprintf(folder, sizeof(folder), "%.400s/%s", world->run, conf->sd_uuid);
	if (domain_type_files(conf->domain_type)) {
		r = storage_mounts(world, folder);
		if (r >= 0)
			*ret = r > 0 ? STORAGE_CONNECTED : STORAGE_DISCONNECTED;
		return r < 0 ? r : 0;
	}
	snprintf(link, sizeof(link), "%s/lun", folder);
	n = readlink(link, folder, sizeof(folder));
	linked = n > 0;
	session = conf->domain_type == DOMAIN_ISCSI && has_session(world, conf->iqn);
	/* udev takes the disk's name away when the kernel loses it. */
	if (linked && access(link, F_OK) == 0)
		*ret = conf->domain_type == DOMAIN_FC || session ? STORAGE_CONNECTED : STORAGE_PARTIAL;
	else
		*ret = linked || session ? STORAGE_PARTIAL : STORAGE_DISCONNECTED;
	return 0;
}

const struct storage_driver storage_kernel = {
	.name = "kernel",
	.probe = probe,
	.connect = connect_plan,
	.disconnect = disconnect_plan,
	.state = state,
};
