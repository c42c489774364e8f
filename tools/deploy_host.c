/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stages that change this host: hosted-engine.conf, libvirt, sanlock, services. Decides what stays of a
 * deployment that is taken back: nothing. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deploy/host_conf.h"
#include "deploy/host_setup.h"
#include "deploy/tool_run.h"
#include "metadata/record.h"
#include "tools/deploy_stages.h"
#include "tools/engine_libvirt.h"
#include "tools/host_outside.h"
#include "util/file_replace.h"
#include "util/paths.h"
#include "util/service_account.h"

#define LEAVE_MS 180000 /* QEMU's end, and the host id's */
#define GUARD LIBEXECDIR "/ovirt-ha-guard"

_Static_assert(STAGE_WHY_SIZE >= HOST_SETUP_TEXT_SIZE, "its reason fits");

CLEANUP_DEFINE(DIR *, closedir)

void stage_conf_path(char ret[PATH_MAX])
{
	file_path(FILE_ENGINE_CONF, ret);
}

/* What stood there before. */
static void before_path(char ret[PATH_MAX])
{
	char path[PATH_MAX];

	stage_conf_path(path);
	snprintf(ret, PATH_MAX, "%.4000s.before-deploy", path);
}

void stage_conf_load(struct engine_conf *ret)
{
	struct problems quiet = {0};
	char path[PATH_MAX];

	stage_conf_path(path);
	engine_conf_load(path, ret, &quiet);
}

/* The daemons read it as the service's user; a password of the storage is for nobody else. */
int stage_conf_save(const struct keyfile *file)
{
	bool secret = keyfile_get(file, "", "password");
	struct service_account account;
	char path[PATH_MAX];
	int r;

	stage_conf_path(path);
	r = keyfile_save(file, path, secret ? 0640 : 0644);
	if (r < 0 || !secret)
		return r;
	service_account_find(&account);
	if (account.has_group && chown(path, (uid_t)-1, account.gid) < 0)
		return -errno;
	return chmod(path, 0640) < 0 ? -errno : 0;
}

int stage_run_configuration(void *data, char why[STAGE_WHY_SIZE])
{
	struct deployment *deployment = data;
	_cleanup_keyfile_ struct keyfile *file = NULL;
	char path[PATH_MAX], before[PATH_MAX];
	int r;

	stage_conf_path(path);
	before_path(before);
	/* Noted first: else the way back could not tell the old one from ours. */
	if (!journal_get(deployment->journal, "conf.before")) {
		bool kept = access(before, F_OK) == 0;

		r = journal_set(deployment->journal, "conf.before",
				kept || access(path, F_OK) == 0 ? "yes" : "no");
		if (r < 0)
			return stage_fail(why, r, "the journal can't be written: %s", strerror(-r));
		if (!kept && rename(path, before) < 0 && errno != ENOENT)
			return stage_fail(why, -errno, "%s can't be put aside: %s", path, strerror(errno));
	}
	r = keyfile_new(path, false, &file);
	if (r == 0)
		r = host_conf_connection(&deployment->answers, deployment_answer(deployment, ANSWER_DOMAIN),
					 file);
	if (r == 0)
		r = stage_conf_save(file);
	return r < 0 ? stage_fail(why, r, "%s can't be written: %s", path, strerror(-r)) : 0;
}

int stage_undo_configuration(void *data, char why[STAGE_WHY_SIZE])
{
	struct deployment *deployment = data;
	const char *was = journal_get(deployment->journal, "conf.before");
	char path[PATH_MAX], before[PATH_MAX];
	int r;

	if (!was)
		return 0; /* the file was not touched yet, or is back */
	stage_conf_path(path);
	before_path(before);
	/* Not put aside yet, or back already: it is the old one, and stays. */
	if ((strcmp(was, "yes") == 0 ? rename(before, path) : unlink(path)) < 0 && errno != ENOENT)
		return stage_fail(why, -errno, "%s: %s", path, strerror(errno));
	r = journal_set(deployment->journal, "conf.before", NULL);
	return r < 0 ? stage_fail(why, r, "the journal can't be written: %s", strerror(-r)) : 0;
}

static int setup_step(struct deployment *deployment, enum host_setup_step step, bool undo,
		      char why[STAGE_WHY_SIZE])
{
	struct host_setup setup = {.root = "",
				   .require_watchdog =
					   answer_is(&deployment->answers, ANSWER_REQUIRE_WATCHDOG, "yes")};
	char uuid[37] = "", host_name[256] = "", name[49] = "host", reason[ENGINE_LIBVIRT_WHY_MAX];
	int r = 0;

	setup.name = name;
	if (!undo && step == HOST_SETUP_SANLOCK) {
		r = engine_host_uuid("qemu:///system", uuid, reason);
		if (r < 0)
			return stage_fail(why, r,
					  "libvirt does not answer: %.400s; see systemctl status libvirtd",
					  reason);
		if (gethostname(host_name, sizeof(host_name) - 1) < 0)
			return stage_fail(why, -errno, "this host has no name: %s", strerror(errno));
		host_setup_name(uuid, host_name, name);
	}
	return undo ? host_setup_undo(&setup, step, why) : host_setup_do(&setup, step, why);
}

#define SETUP_STEP(name, step)                                                                               \
	int stage_run_##name(void *data, char why[STAGE_WHY_SIZE])                                           \
	{                                                                                                    \
		return setup_step(data, step, false, why);                                                   \
	}                                                                                                    \
	int stage_undo_##name(void *data, char why[STAGE_WHY_SIZE])                                          \
	{                                                                                                    \
		return setup_step(data, step, true, why);                                                    \
	}

SETUP_STEP(qemu_conf, HOST_SETUP_QEMU_CONF)
SETUP_STEP(qemu_sanlock, HOST_SETUP_QEMU_SANLOCK)
SETUP_STEP(hook, HOST_SETUP_HOOK)
SETUP_STEP(sanlock, HOST_SETUP_SANLOCK)
SETUP_STEP(sleep, HOST_SETUP_SLEEP)
SETUP_STEP(support, HOST_SETUP_SUPPORT)
SETUP_STEP(storage_service, HOST_SETUP_STORAGE)

int stage_run_daemons(void *data, char why[STAGE_WHY_SIZE])
{
	return setup_step(data, HOST_SETUP_DAEMONS, false, why);
}

/* This host's own record: nobody takes its id before it is gone. One that another host wrote stays. */
static void forget_record(void)
{
	static const uint8_t zeros[BLOCK_SIZE];
	char host_name[256] = "", cause[RECORD_CAUSE_SIZE];
	uint8_t block[BLOCK_SIZE];
	struct engine_conf conf;
	struct record record;

	stage_conf_load(&conf);
	if (!conf.host_id || !conf.metadata.path[0] || gethostname(host_name, sizeof(host_name) - 1) < 0 ||
	    whiteboard_read(&conf, conf.host_id, block) < 0 ||
	    record_decode(block, conf.host_id, &record, cause) != RECORD_OK ||
	    strcmp(record.hostname, host_name) != 0)
		return;
	(void)whiteboard_write(&conf, conf.host_id, zeros); /* said; clean-metadata elsewhere does it, too */
}

/* Of a cluster that this host is no more part of. */
static void forget_alerts(void)
{
	char path[PATH_MAX];
	_cleanup_(closedir_p) DIR *folder = opendir(file_path(FILE_SPOOL, path));
	const struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(folder), entry->d_name, 0);
}

/* Agent and broker stop; what is left of the VM is ended, and the lockspace left: nothing of this host writes
 * to the storage any more. */
int stage_undo_daemons(void *data, char why[STAGE_WHY_SIZE])
{
	static const enum file kept[] = {FILE_HA_CONF, FILE_SHARED_BROKER_CONF, FILE_AGENT_STATE,
					 FILE_HISTORY, FILE_GLOBAL_FLAG,	FILE_VM_CONF};
	static const char *const args[] = {GUARD, "--leave", NULL};
	const struct tool_run leave = {.args = args, .quiet_ms = LEAVE_MS};
	char reason[512];
	int r = setup_step(data, HOST_SETUP_DAEMONS, true, why);

	if (r < 0)
		return r;
	/* sanlock notices the end of a holder a moment later. */
	for (int i = 0; r == 0 && i < 20; i++) {
		r = tool_run(&leave, reason, sizeof(reason));
		if (r != -EIO)
			break;
		poll(NULL, 0, STAGE_POLL_MS / 2);
		r = i < 19 ? 0 : r;
	}
	if (r < 0)
		return stage_fail(
			why, r,
			"the VM's end, or this host's leave, is not proven: %.300s; see hosted-engine "
			"--vm-status and journalctl -u sanlock, and run this again",
			reason);
	forget_record();
	forget_alerts();
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		char path[PATH_MAX];

		if (unlink(file_path(kept[i], path)) < 0 && errno != ENOENT)
			return stage_fail(why, -errno, "%s: %s", path, strerror(errno));
	}
	return 0;
}
