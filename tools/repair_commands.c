/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --reinitialize-lockspace and --clean-metadata. Decide what has to be so before anything on shared storage
 * is made anew (safety rule 15), and say what is not. Nothing is written unless all of it is proven; no
 * option takes the proof away. */
#include <errno.h>
#include <string.h>

#include "metadata/global.h"
#include "metadata/record.h"
#include "storage/lockspace_reset.h"
#include "tools/commands.h"
#include "tools/deployment.h"
#include "tools/host_outside.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/paths.h"

CLEANUP_DEFINE(struct lockspace_watch *, lockspace_watch_free)

static int refuse(const char *why)
{
	fprintf(stderr, "%s\n", why);
	return 1;
}

/* The whole configuration: what is written where must be right. */
static int load(struct engine_conf *ret)
{
	struct problems problems = {.say = problems_print, .data = stderr};
	char path[PATH_MAX];

	return engine_conf_load(file_path(FILE_ENGINE_CONF, path), ret, &problems);
}

static int check_global_maintenance(const struct engine_conf *conf)
{
	char cause[GLOBAL_CAUSE_SIZE];
	uint8_t block[BLOCK_SIZE];

	if (whiteboard_read(conf, 0, block) < 0)
		return 1;
	if (global_decode(block, cause) != FLAG_YES)
		return refuse("The cluster is not in global maintenance: hosted-engine --set-maintenance "
			      "--mode=global, "
			      "before the daemons are stopped; where that can't be set any more, --force");
	return 0;
}

int command_run_reinitialize_lockspace(const struct invocation *call)
{
	_cleanup_(lockspace_watch_free_p) struct lockspace_watch *watch = NULL;
	bool force = invocation_value(call, "force");
	struct engine_conf conf;
	struct reset_request request = {.lockspace = conf.lockspace_name,
					.engine_lease = conf.engine_lease_name,
					.vmid = conf.vmid,
					.damaged_lease = force};
	char why[WATCH_WHY_SIZE];
	int r;

	if (load(&conf) < 0 || host_outside_check(&conf) < 0 ||
	    (!force && check_global_maintenance(&conf) != 0))
		return 1;
	if (host_ids_watch(&conf, 0, &watch) < 0 || host_outside_check(&conf) < 0)
		return 1;
	host_ids_request(&conf, 0, &request.watch);
	r = lockspace_reset(&request, watch, clock_mono(), why);
	return r < 0 ? refuse(why) : 0;
}

/* 0, 1 after it was said why not, 2: there is nothing to clean. */
static int check_record(const uint8_t block[BLOCK_SIZE], uint16_t id, bool force)
{
	char cause[RECORD_CAUSE_SIZE];
	struct record record;
	enum record_fault fault = record_decode(block, id, &record, cause);

	if (fault == RECORD_ABSENT)
		return 2;
	if (force || (fault == RECORD_OK && record.claim.stopped))
		return 0;
	fprintf(stderr,
		"The agent of host id %u did not stop cleanly%s%s: stop it there, or when that host is "
		"certainly off "
		"or gone, --force-cleanup\n",
		id, cause[0] ? "; its record can't be read: " : "", cause);
	return 1;
}

static int parse_id(const char *text, uint16_t *ret)
{
	char *end;
	long id = strtol(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end || id < 1 || id > HOST_ID_MAX)
		return refuse("--host-id is no host id: give 1 to 2000");
	*ret = (uint16_t)id;
	return 0;
}

int command_run_clean_metadata(const struct invocation *call)
{
	static const uint8_t zeros[BLOCK_SIZE];
	_cleanup_(lockspace_watch_free_p) struct lockspace_watch *watch = NULL;
	bool force = invocation_value(call, "force-cleanup");
	const char *given = invocation_value(call, "host-id");
	uint8_t block[BLOCK_SIZE], again[BLOCK_SIZE];
	struct engine_conf conf;
	uint16_t id;
	int r;

	r = deployment_check_vm(stdout);
	if (r != 0)
		return r;
	if (load(&conf) < 0)
		return 1;
	id = conf.host_id;
	if (given && parse_id(given, &id) != 0)
		return 1;
	if (id == conf.host_id && host_outside_check(&conf) < 0)
		return 1;
	if (whiteboard_read(&conf, id, block) < 0)
		return 1;
	r = check_record(block, id, force);
	if (r != 0)
		return r == 1;
	/* What its host still writes would be lost for a moment, and its id taken for free by a join. */
	if (host_ids_watch(&conf, id, &watch) < 0 || whiteboard_read(&conf, id, again) < 0)
		return 1;
	if (memcmp(block, again, BLOCK_SIZE) != 0)
		return refuse(
			"The record was written meanwhile: the agent of that host runs; stop it there first");
	return whiteboard_write(&conf, id, zeros) < 0;
}
