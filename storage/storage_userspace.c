/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The way to storage where the kernel has no client for it: one qemu-storage-daemon that shows each part of
 * the domain as a file, by FUSE. systemd starts and ends it (ovirt-ha-storage-daemon@.service), and starts it
 * again whenever it ends: this plans, and runs nothing. Chosen by storage_service.c.
 *
 * Measured with sanlock 3.8.5 at io_timeout 1, of a daemon that was killed and was back 0.2 s later: the
 * renewals go on at the descriptor of the old mount and fail with ENOTCONN each half second; the lockspace is
 * lost 7 to 8 s after the kill; adding it again takes 3.0 s, and sanlock needs no restart. Adding it fails at
 * once while the dead mount is there (ENODEV), and on the file below it (EMSGSIZE), which is why the unit
 * takes both away.
 * QEMU 7.2 gets ENOTCONN at its old descriptor for ever, and ends within 0.1 s when it is killed. While the
 * daemon stands still a QEMU with a write under way stays in state D after SIGKILL; it is gone 20 ms after
 * the daemon, without the write. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "storage/storage_driver.h"
#include "storage/storage_export.h"

#define QUICK_MS 10000
#define START_MS 70000 /* the unit's TimeoutStartSec=60: a server that is being started */
#define STOP_MS 20000

_Static_assert(STORAGE_EXPORT_WHY_SIZE == STORAGE_WHY_SIZE, "one reason goes into the other");

static int plan_exports(const struct storage_world *world, const struct engine_conf *conf,
			struct storage_exports *ret, char why[STORAGE_WHY_SIZE])
{
	char folder[PATH_MAX / 4];
	int n = snprintf(folder, sizeof(folder), "%s/%s", world->run, conf->sd_uuid);

	return n < 0 || (size_t)n >= sizeof(folder) ? -ENAMETOOLONG
						    : storage_exports_plan(conf, folder, ret, why);
}

static int probe(const struct storage_world *world, const struct engine_conf *conf,
		 char why[STORAGE_WHY_SIZE])
{
	struct storage_exports exports;
	char device[64];
	int r = plan_exports(world, conf, &exports, why);

	if (r < 0)
		return -EOPNOTSUPP;
	snprintf(device, sizeof(device), "%.40s/fuse", world->dev);
	if (!storage_program(world, "qemu-storage-daemon")) {
		snprintf(why, STORAGE_WHY_SIZE,
			 "this host has no qemu-storage-daemon; install it, with QEMU's block drivers");
		return -EOPNOTSUPP;
	}
	if (access(device, F_OK) < 0) {
		snprintf(why, STORAGE_WHY_SIZE, "this host has no FUSE; load its module: modprobe fuse");
		return -EOPNOTSUPP;
	}
	return 0;
}

static const char *unit(const struct engine_conf *conf, struct storage_plan *plan)
{
	return storage_text(plan, "ovirt-ha-storage-daemon@%s.service", conf->sd_uuid);
}

static const char *words(const struct storage_world *world, struct storage_plan *plan)
{
	return storage_text(plan, "%s/" STORAGE_DAEMON_WORDS, world->run);
}

static void plan_connect(const struct storage_world *world, const struct engine_conf *conf,
			 struct storage_plan *plan)
{
	struct storage_step *step;

	storage_plan_add(plan, STORAGE_STEP_FOLDER, QUICK_MS, storage_folder(plan, world, conf), NULL);
	step = storage_plan_add(plan, STORAGE_STEP_RUN, START_MS, "systemctl", "start", unit(conf, plan),
				NULL);
	step->words = words(world, plan);
}

/* The unit takes its files away; what it said of a start that failed is no news any more. */
static void plan_disconnect(const struct storage_world *world, const struct engine_conf *conf,
			    struct storage_plan *plan)
{
	struct storage_step *step;

	storage_plan_add(plan, STORAGE_STEP_RUN, STOP_MS, "systemctl", "stop", unit(conf, plan), NULL);
	storage_plan_add(plan, STORAGE_STEP_REMOVE, QUICK_MS, words(world, plan), NULL);
	step = storage_plan_add(plan, STORAGE_STEP_REMOVE, QUICK_MS, storage_folder(plan, world, conf), NULL);
	step->optional = true;
}

static int state(const struct storage_world *world, const struct engine_conf *conf, enum storage_state *ret)
{
	struct storage_exports exports;
	char why[STORAGE_WHY_SIZE], path[PATH_MAX / 4];
	size_t mounted = 0;

	*ret = STORAGE_DISCONNECTED;
	if (plan_exports(world, conf, &exports, why) < 0)
		return 0; /* nothing that this could have connected */
	for (size_t i = 0; i < exports.n; i++) {
		int r = storage_mounts(world, exports.all[i].path);

		if (r < 0)
			return r;
		mounted += r > 0;
	}
	/* Words of a daemon that did not start: systemd goes on trying, which is there to be ended. */
	snprintf(path, sizeof(path), "%.200s/" STORAGE_DAEMON_WORDS, world->run);
	if (mounted > 0 || access(path, F_OK) == 0)
		*ret = mounted == exports.n ? STORAGE_CONNECTED : STORAGE_PARTIAL;
	return 0;
}

const struct storage_driver storage_userspace = {
	.name = "userspace",
	.probe = probe,
	.connect = plan_connect,
	.disconnect = plan_disconnect,
	.state = state,
};
