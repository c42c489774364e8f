/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stages on the storage: connecting it, the domain, the engine's disk. Decides when a domain may be laid
 * out over another one, and when it may go again (safety rule 15). */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "metadata/identity.h"
#include "storage/lockspace_watch.h"
#include "storage/storage_driver.h"
#include "tools/deploy_stages.h"
#include "tools/deploy_terminal.h"
#include "tools/storage_ask.h"
#include "util/clock.h"
#include "util/direct_read.h"

#define LOCKSPACE_NAME "hosted-engine"

_Static_assert(STAGE_WHY_SIZE >= DOMAIN_WHY_SIZE && STAGE_WHY_SIZE >= APPLIANCE_WHY_SIZE &&
		       STAGE_WHY_SIZE >= WATCH_WHY_SIZE,
	       "their reasons fit");

CLEANUP_DEFINE(struct lockspace_watch *, lockspace_watch_free)

static int ask_storage(enum storage_request_kind kind, char why[STAGE_WHY_SIZE])
{
	struct storage_reply reply;
	int r = -ENOENT;

	/* A service that was just started has its socket a moment later. */
	for (int i = 0; i < 50 && (r == -ENOENT || r == -ECONNREFUSED); i++) {
		if (i > 0)
			poll(NULL, 0, 100);
		r = storage_ask(kind, &reply);
	}
	if (r < 0)
		return stage_fail(
			why, r, "ovirt-ha-storage does not answer: %s; see systemctl status ovirt-ha-storage",
			strerror(-r));
	reply.text[sizeof(reply.text) - 1] = '\0';
	return reply.error < 0 ? stage_fail(why, reply.error, "%s", reply.text) : 0;
}

/* NFS without the kernel's client: a storage daemon shows files that are there, so the domain is laid out,
 * and looked for, before anything is connected. */
static bool is_share(struct engine_conf *ret)
{
	char why[STORAGE_WHY_SIZE];

	stage_conf_load(ret);
	return (ret->domain_type == DOMAIN_NFS || ret->domain_type == DOMAIN_NFS3) &&
	       storage_driver_choose(storage_drivers, &storage_machine, ret, why) == &storage_userspace;
}

/* Of a share with a domain that is connected: where its files are. */
static void see_share(const struct engine_conf *conf, char ret[PATH_MAX])
{
	char file[PATH_MAX];

	snprintf(file, sizeof(file), STORAGE_RUN_DIR "/%s/%s", conf->sd_uuid,
		 domain_area_names[AREA_METADATA]);
	if (storage_mounts(&storage_machine, file) > 0)
		snprintf(ret, PATH_MAX, STORAGE_RUN_DIR "/%s", conf->sd_uuid);
	else
		snprintf(ret, PATH_MAX, "%s", conf->storage);
}

int stage_run_storage(void *data, char why[STAGE_WHY_SIZE])
{
	struct deployment *deployment = data;
	struct engine_conf conf;
	int r = is_share(&conf) ? domain_read(conf.storage, 0, &deployment->domain, why) : 0;

	if (r == 0)
		return ask_storage(STORAGE_CONNECT, why);
	if (r != -ENODATA && r != -EBADMSG)
		return r;
	why[0] = '\0'; /* there is nothing yet */
	return 0;
}

int stage_reconnect(struct deployment *deployment, char why[STAGE_WHY_SIZE])
{
	int r = ask_storage(STORAGE_DISCONNECT, why);

	return r < 0 ? r : stage_run_storage(deployment, why);
}

int stage_undo_storage(void *data, char why[STAGE_WHY_SIZE])
{
	char path[PATH_MAX];

	(void)data;
	stage_conf_path(path);
	return access(path, F_OK) < 0 ? 0 : ask_storage(STORAGE_DISCONNECT, why);
}

void deployment_place(const struct deployment *deployment, char ret[PATH_MAX])
{
	bool lun = answer_is(&deployment->answers, ANSWER_STORAGE_TYPE, "iscsi") ||
		   answer_is(&deployment->answers, ANSWER_STORAGE_TYPE, "fc");
	struct engine_conf conf;

	if (answer_is(&deployment->answers, ANSWER_STORAGE_TYPE, "path"))
		snprintf(ret, PATH_MAX, "%s", deployment_answer(deployment, ANSWER_STORAGE));
	else if (is_share(&conf))
		see_share(&conf, ret);
	else
		snprintf(ret, PATH_MAX, STORAGE_RUN_DIR "/%s%s", deployment_answer(deployment, ANSWER_DOMAIN),
			 lun ? "/lun" : "");
}

/* Nobody uses the domain that is to go (safety rule 15). */
static int watch_domain(const struct domain *domain, const struct lease_timing *timing,
			char why[STAGE_WHY_SIZE])
{
	_cleanup_(lockspace_watch_free_p) struct lockspace_watch *watch = NULL;
	const struct watch_request request = {
		.lockspace_path = domain->areas[AREA_LOCKSPACE].path,
		.lockspace_offset = domain->areas[AREA_LOCKSPACE].offset,
		.lease_path = domain->areas[AREA_LEASES].path,
		.lease_offset = domain->areas[AREA_LEASES].offset,
		.lockspace = domain->identity.lockspace,
		.timing = *timing,
	};
	int r = lockspace_watch_new(&request, &watch, why);

	while (r == 0) {
		r = lockspace_watch_look(watch, clock_mono(), why);
		if (r == 0)
			poll(NULL, 0, STAGE_POLL_MS);
	}
	return r < 0 ? r : 0;
}

int stage_run_domain(void *data, char why[STAGE_WHY_SIZE])
{
	struct deployment *deployment = data;
	struct domain_request request = {
		.identity = {.lockspace = LOCKSPACE_NAME},
		.disk_size = strtoull(deployment_answer(deployment, ANSWER_DISK_SIZE), NULL, 10) << 30,
		.io_timeout_s = (uint32_t)strtoul(deployment_answer(deployment, ANSWER_IO_TIMEOUT), NULL, 10),
		.uid = DOMAIN_OWNER_ID,
		.gid = DOMAIN_OWNER_ID,
		.force = answer_is(&deployment->answers, ANSWER_STORAGE_FORCE, "yes"),
	};
	const struct lease_timing timing = {
		.io_timeout_s = request.io_timeout_s,
		.watchdog_fire_s =
			(uint32_t)strtoul(deployment_answer(deployment, ANSWER_WATCHDOG_TIMEOUT), NULL, 10)};
	struct engine_conf conf;
	char path[PATH_MAX];
	bool share = is_share(&conf);
	int r;

	deployment_place(deployment, path);
	request.path = share ? conf.storage : path;
	snprintf(request.identity.domain, sizeof(request.identity.domain), "%s",
		 deployment_answer(deployment, ANSWER_DOMAIN));
	r = domain_read(path, 0, &deployment->domain, why);
	/* Who could be in a domain that can't be read is not known. */
	if (r < 0 && r != -ENODATA && r != -EBADMSG)
		return r;
	if (r == 0 && !request.force)
		return stage_fail(why, -EEXIST, "%s holds a domain since a moment ago: begin again", path);
	if (r == 0)
		r = watch_domain(&deployment->domain, &timing, why);
	else if (!request.force)
		r = domain_vacant(path, 0, why);
	else if (r == -ENODATA)
		r = 0;
	if (r == 0)
		why[0] = '\0';
	/* Of a part of a domain nobody can tell who uses the rest of it. */
	if (r == -EBADMSG)
		snprintf(why + strlen(why), STAGE_WHY_SIZE - strlen(why),
			 "; whether hosts use it can't be told: stop theirs, take what is there away by "
			 "hand, and begin again");
	if (r == -EEXIST)
		snprintf(why + strlen(why), STAGE_WHY_SIZE - strlen(why),
			 "; give other storage, or storage_force=yes in an answer file, which loses that");
	/* From here on what is there is ours to take away again. */
	if (r == 0)
		r = journal_set(deployment->journal, "domain.uuid", request.identity.domain);
	if (r == 0)
		r = journal_set(deployment->journal, "domain.path", request.path);
	if (r == 0 && share)
		r = ask_storage(STORAGE_DISCONNECT, why); /* an old one's files go */
	if (r < 0)
		return r;
	r = domain_format(&request, &deployment->domain, why);
	if (r < 0 && r != -EUCLEAN)
		(void)journal_set(deployment->journal, "domain.path", NULL); /* it has cleaned up */
	if (r < 0 || !share)
		return r;
	r = ask_storage(STORAGE_CONNECT, why);
	if (r < 0)
		return r;
	see_share(&conf, path);
	return domain_read(path, 0, &deployment->domain, why);
}

/* Hosts that are switched off renew nothing: their records tell of them. The first host's own is that of id
 * 1. */
static int find_others(const struct domain *domain, char why[STAGE_WHY_SIZE])
{
	const size_t size = (size_t)(HOST_ID_LIMIT + 1) * BLOCK_SIZE;
	_cleanup_free_ uint8_t *blocks = aligned_alloc(BLOCK_SIZE, size);
	int r = blocks ? direct_read(domain->areas[AREA_METADATA].path, domain->areas[AREA_METADATA].offset,
				     size, blocks)
		       : -ENOMEM;

	if (r < 0)
		return stage_fail(why, r, "the whiteboard can't be read: %s", strerror(-r));
	for (size_t id = 2; id <= HOST_ID_LIMIT; id++)
		if (blocks[id * BLOCK_SIZE] != '\0')
			return stage_fail(why, -EBUSY,
					  "the host of id %zu was deployed on this storage since: run "
					  "hosted-engine-cleanup there first",
					  id);
	return 0;
}

static int look_for_others(struct deployment *deployment, const struct engine_conf *conf, const char *seen,
			   char why[STAGE_WHY_SIZE])
{
	const struct lease_timing timing = {.io_timeout_s = conf->io_timeout_s,
					    .watchdog_fire_s = conf->watchdog_fire_s};
	const char *uuid = journal_get(deployment->journal, "domain.uuid");
	int r = domain_read(seen, 0, &deployment->domain, why);

	if (r == 0 && strcasecmp(deployment->domain.identity.domain, uuid) != 0)
		return stage_fail(why, -EXDEV,
				  "%.200s holds another domain, so whether hosts use %.36s can't be told: "
				  "set storage= in hosted-engine.conf back",
				  seen, uuid);
	if (r == 0)
		r = watch_domain(&deployment->domain, &timing, why);
	return r < 0 ? r : find_others(&deployment->domain, why);
}

/* The disk of an engine that was up is nobody's to erase by the way. */
int stage_undo_domain(void *data, char why[STAGE_WHY_SIZE])
{
	struct deployment *deployment = data;
	const char *path = journal_get(deployment->journal, "domain.path"),
		   *uuid = journal_get(deployment->journal, "domain.uuid");
	struct engine_conf conf;
	char seen[PATH_MAX];
	bool share;
	int r = 0;

	if (!path || !uuid)
		return 0;
	if (deployment_finished(deployment)) {
		snprintf(why, STAGE_WHY_SIZE, "the domain in %.400s stays, with the engine's disk", path);
		return 0;
	}
	/* The host may have been rebooted since, or its configuration changed after it was connected. */
	if (journal_get(deployment->journal, "stage.storage"))
		r = stage_reconnect(deployment, why);
	if (r < 0)
		return r;
	share = path[0] != '/';
	snprintf(seen, sizeof(seen), "%s", path);
	stage_conf_load(&conf);
	if (share)
		see_share(&conf, seen);
	/* Once others could know of it they are looked for; those of another domain that is there are not. Of
	 * one that can't be read, or not by the way by which they are looked for, nobody can tell. */
	if (journal_get(deployment->journal, "shared")) {
		r = domain_read(path, 0, &deployment->domain, why);
		if (r == 0 && strcasecmp(deployment->domain.identity.domain, uuid) == 0)
			r = look_for_others(deployment, &conf, seen, why);
		else if (r == -ENODATA || r == -EBADMSG)
			r = 0; /* domain_erase() sees it too */
	}
	if (r == 0 && share)
		r = ask_storage(STORAGE_DISCONNECT, why); /* its files go */
	if (r < 0)
		return r;
	r = domain_erase(path, uuid, 0, why);
	if (r == 0)
		why[0] = '\0';
	/* One that was to be replaced, and still is there: it is not ours. */
	if (r == -EXDEV)
		snprintf(why + strlen(why), STAGE_WHY_SIZE - strlen(why),
			 ": not this deployment's domain %.36s, so it stays", uuid);
	return r == -EXDEV ? 0 : r;
}

static int show_progress(unsigned percent, void *data)
{
	struct deployment *deployment = data;

	if (deployment->bar)
		terminal_bar("Importing the disk", percent);
	return 0;
}

int stage_run_disk(void *data, char why[STAGE_WHY_SIZE])
{
	struct deployment *deployment = data;
	const struct domain *domain = &deployment->domain;
	struct appliance_import import = {.path = deployment_answer(deployment, ANSWER_APPLIANCE),
					  .target = domain->areas[AREA_DISK].path,
					  .offset = domain->areas[AREA_DISK].offset,
					  .size = domain->files ? 0 : domain->areas[AREA_DISK].size,
					  .progress = show_progress,
					  .data = deployment};
	uint64_t size;
	int r = appliance_import(&import, &size, why);

	if (deployment->bar)
		terminal_bar(NULL, 0);
	return r;
}
