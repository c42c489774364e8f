/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which keys agent.conf has and their ranges; what they mean is core/policy.h's. Called by the main
 * functions, each of which checks all files, and by the test of conf/. */
#include "daemon/agent_conf.h"

#include "util/migration_uri.h"

#include <errno.h>
#include <string.h>

#define FIELD(member) SETTING_FIELD(struct agent_conf, member)
#define TIME(name, text, low, high, words)                                                                   \
	{                                                                                                    \
		"policy", #name, SETTING_DURATION, text, FIELD(policy.name), .min = (low), .max = (high),    \
									     .help = words                   \
	}
#define POINTS(name, low, text, words)                                                                       \
	{                                                                                                    \
		"score", #name, SETTING_INT, text, FIELD(policy.weights.name),                               \
			.min = (low), .max = 10000, .unit = "points", .help = words                          \
	}
#define SAMPLES(name, text, words)                                                                           \
	{                                                                                                    \
		"score", #name "_samples", SETTING_INT, text, FIELD(policy.name.samples),                    \
			.min = 1, .max = 1000, .help = words " counts after so many samples in a row"        \
	}
#define HELD(name, text, words)                                                                              \
	{                                                                                                    \
		"score", #name "_held", SETTING_DURATION, text, FIELD(policy.name.ms),                       \
			.min = 0, .max = HOUR, .help = words " counts when it lasted so long"                \
	}

#define SECOND 1000
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* The timestamp of a record must advance every 20 s, which is also when the broker takes a silent agent for
 * dead. */
#define LOOP_MAX (15 * SECOND)

static const struct setting rows[] = {
	TIME(loop, "10", SECOND, LOOP_MAX, "a decision is taken at the latest so long after the last one"),
	TIME(stale, "60", 2 * SECOND, HOUR, "a record that did not change for so long is not fresh"),
	TIME(bad_health, "5min", SECOND, DAY, "bad health may last so long, then the VM is restarted"),
	TIME(shutdown, "5min", SECOND, DAY, "a shutdown may take so long, then the VM is ended by force"),
	TIME(starting, "10min", SECOND, DAY,
	     "a started VM may take so long to get healthy, then it is stopped"),
	TIME(away, "40", SECOND, HOUR, "time to find out where a VM went"),
	TIME(unexpected, "560", 0, DAY, "the score is 0 for so long after an unexpected shutdown"),
	TIME(retry_window, "10min", SECOND, DAY,
	     "the count of failed starts clears when the last was so long ago"),
	TIME(healthy_clears, "5min", SECOND, DAY,
	     "a VM that is healthy for so long clears the count of failed starts"),
	TIME(untaken, "60", SECOND, HOUR,
	     "a lease left free for so long may be taken by a host that would else wait"),
	TIME(paused, "30", SECOND, HOUR, "a VM may be paused for so long, then it is ended"),
	TIME(kill_limit, "60", 10 * SECOND, HOUR,
	     "QEMU may survive SIGKILL for so long, then the host is reset"),
	TIME(owner_retry, "60", SECOND, HOUR,
	     "time between tries against a live owner whose record can't be read"),
	TIME(rank_delay, "500ms", 0, MINUTE, "hosts of equal score wait so long times their rank"),
	TIME(better_held, "5min", 0, DAY, "a host must be better for so long before the VM moves to it"),
	TIME(move_interval, "30min", 0, DAY, "time between two moves to a better host"),
	{"policy", "better_threshold", SETTING_INT, "800", FIELD(policy.better_threshold), .min = 1,
	 .max = 10000, .unit = "points",
	 .help = "a host must be better by so much before the VM moves to it"},
	POINTS(base, 1, "3400", "score of a host without a fault"),
	POINTS(network, 0, "1600", "off for a failed network, times the share of failed probes"),
	POINTS(mgmt_bridge, 0, "600", "off while the management bridge is down"),
	POINTS(cpu_load, 0, "1000", "off at full CPU load, rising between cpu_load_from and cpu_load_to"),
	POINTS(memory, 0, "400", "off while the VM would not fit into the free memory"),
	POINTS(config, 0, "1000", "off while the VM's configuration is out of date"),
	POINTS(retry, 0, "50", "off for each failed start"),
	{"score", "cpu_load_from", SETTING_INT, "40", FIELD(policy.cpu_load_from), .min = 0, .max = 99,
	 .scale = 10, .unit = "%", .help = "CPU load without a penalty"},
	{"score", "cpu_load_to", SETTING_INT, "90", FIELD(policy.cpu_load_to), .min = 1, .max = 100,
	 .scale = 10, .unit = "%", .help = "CPU load with the full penalty"},
	SAMPLES(network, "3", "a failed network"),
	HELD(network, "30", "a failed network"),
	SAMPLES(cpu, "3", "CPU load"),
	HELD(cpu, "5min", "CPU load"),
	SAMPLES(other, "3", "any other penalty"),
	HELD(other, "0", "any other penalty"),
	{"migration", "live", SETTING_BOOL, "yes", FIELD(policy.live_migration),
	 .help = "yes: a VM that moves is migrated while it runs; no: it is shut down and started"},
	{"migration", "uri", SETTING_STRING, "qemu+tls://{host}/system", FIELD(migration_uri),
	 .check = migration_uri_check,
	 .help = "the other host's libvirt, {host} is its name; memory goes encrypted but with qemu+tcp"},
	{"migration", "limit", SETTING_DURATION, "5min", FIELD(policy.migration), .min = SECOND, .max = DAY,
	 .help = "a migration that takes longer is cancelled"},
	{"migration", "bandwidth", SETTING_INT, "0", FIELD(migration_bandwidth), .min = 0, .max = 1000000,
	 .unit = "MiB/s", .help = "a migration takes so much of the network at most; 0: all it can get"},
	{"migration", "downtime", SETTING_DURATION, "0", FIELD(migration_downtime), .min = 0, .max = MINUTE,
	 .help = "the guest may stand still for so long at the hand-over; 0: as QEMU has it, 300 ms"},
	{"agent", "libvirt_uri", SETTING_STRING, "qemu:///system", FIELD(libvirt_uri),
	 .help = "libvirt connection"},
	{"agent", "libvirt_timeout", SETTING_DURATION, "10", FIELD(libvirt_timeout), .min = SECOND,
	 .max = 10 * MINUTE,
	 .help = "a question to libvirt that takes longer is given up, its answer unknown"},
};

const struct settings agent_settings = {
	.rows = rows,
	.n_rows = sizeof(rows) / sizeof(rows[0]),
	.title = "agent.conf: how the agent decides.\n"
		 "Each line shows a default: take the # away to change it. Times are seconds, or a number "
		 "with ms, s, min or h.",
};

static int check(const struct agent_conf *conf, const char *name, struct problems *problems)
{
	int r = 0;

	if (conf->policy.stale <= conf->policy.loop) {
		problems_add(problems, name, 0, "stale", NULL,
			     "is not longer than loop; make it several loops long");
		r = -EINVAL;
	}
	if (conf->policy.cpu_load_from >= conf->policy.cpu_load_to) {
		problems_add(problems, name, 0, "cpu_load_from", NULL, "is not below cpu_load_to; lower it");
		r = -EINVAL;
	}
	return r;
}

int agent_conf_load(const char *path, const struct engine_conf *engine, struct agent_conf *ret,
		    struct problems *problems)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	int r;

	memset(ret, 0, sizeof(*ret));
	settings_defaults(&agent_settings, ret);
	ret->policy.require_watchdog = engine ? engine->require_watchdog : true;
	ret->policy.lease.io_timeout_s = engine ? engine->io_timeout_s : 10;
	ret->policy.lease.watchdog_fire_s = engine ? engine->watchdog_fire_s : 60;
	r = keyfile_load(path, true, &file, problems);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = settings_apply(&agent_settings, file, ret, problems);
	return r < 0 ? r : check(ret, path, problems);
}
