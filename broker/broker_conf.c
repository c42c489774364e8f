/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which keys broker.conf has. It may not act on them. Called by the main functions, each of which
 * checks all files, and by the test of conf/. */
#include "broker/broker_conf.h"

#include <errno.h>
#include <regex.h>
#include <string.h>

#include "broker/monitor.h"

static const char *check_expression(const char *value)
{
	regex_t expression;

	if (regcomp(&expression, value, REG_EXTENDED | REG_ICASE | REG_NOSUB) != 0)
		return "is not a regular expression; give words like maintenance|start|stop|up|down";
	regfree(&expression);
	return NULL;
}

/* Addresses reach the mail's header and the SMTP dialogue. */
static const char *check_addresses(const char *value)
{
	if (strpbrk(value, "<>\"\\;"))
		return "is not a plain list of addresses; give user@host, more of them separated by commas";
	return NULL;
}

#define FIELD(member) SETTING_FIELD(struct broker_conf, member)

static const struct setting rows[] = {
	{"email", "smtp-server", SETTING_STRING, "localhost", FIELD(smtp_server), .help = "mail server"},
	{"email", "smtp-port", SETTING_INT, "25", FIELD(smtp_port), .min = 1, .max = 65535,
	 .help = "its port"},
	{"email", "smtp-timeout", SETTING_DURATION, "10", FIELD(smtp_timeout_s), .min = 1000, .max = 600000,
	 .scale = 1000, .help = "one attempt to send may take so long"},
	{"email", "destination-emails", SETTING_STRING, "root@localhost", FIELD(destination_emails),
	 .check = check_addresses, .help = "receivers, separated by commas"},
	{"email", "source-email", SETTING_STRING, "root@localhost", FIELD(source_email),
	 .check = check_addresses, .help = "sender"},
	{"notify", "state_transition", SETTING_STRING, "maintenance|start|stop|up|down",
	 FIELD(state_transition), .check = check_expression,
	 .help = "changes of state that are mailed: an expression matched against Old-New"},
	{"monitors", "network_period", SETTING_DURATION, "10", FIELD(network_period), .min = 500,
	 .max = 600000, .help = "time between two rounds of network probes"},
	{"monitors", "network_timeout", SETTING_DURATION, "2", FIELD(network_timeout), .min = 100,
	 .max = 60000, .help = "a probe without an answer for so long has failed"},
	{"monitors", "network_probes", SETTING_INT, "5", FIELD(network_probes), .min = 1, .max = 20,
	 .help = "probes per round"},
	{"monitors", "mgmt_bridge_period", SETTING_DURATION, "10", FIELD(mgmt_bridge_period), .min = 500,
	 .max = 600000, .help = "time between two looks at the management bridge"},
	{"monitors", "mem_free_period", SETTING_DURATION, "10", FIELD(mem_free_period), .min = 500,
	 .max = 600000, .help = "time between two looks at the available memory"},
	{"monitors", "cpu_load_period", SETTING_DURATION, "10", FIELD(cpu_load_period), .min = 500,
	 .max = 600000, .help = "time between two looks at the CPU load"},
	{"monitors", "cpu_load_window", SETTING_DURATION, "15min", FIELD(cpu_load_window), .min = 1000,
	 .max = 3600000, .help = "the CPU load is averaged over so long"},
	{"monitors", "engine_health_period", SETTING_DURATION, "10", FIELD(engine_health_period), .min = 500,
	 .max = 600000, .help = "time between two questions to the engine's health page"},
	{"monitors", "engine_health_timeout", SETTING_DURATION, "5", FIELD(engine_health_timeout), .min = 100,
	 .max = 60000, .help = "an answer that takes longer is none"},
	{"monitors", "storage_domain_period", SETTING_DURATION, "10", FIELD(storage_domain_period),
	 .min = 500, .max = 600000, .help = "time between two judgements of the whiteboard's storage"},
	{"storage", "io_deadline", SETTING_DURATION, "10", FIELD(io_deadline), .min = 500, .max = 60000,
	 .help = "a read or write of the whiteboard that takes longer is reported as stuck and given up"},
};

const struct settings broker_settings = {
	.rows = rows,
	.n_rows = sizeof(rows) / sizeof(rows[0]),
	.title = "broker.conf: how the broker watches the host, and whom it writes to.\n"
		 "Each line shows a default: take the # away to change it. Times are seconds, or a number "
		 "with ms, s, min or h.",
};

static int check_window(const struct broker_conf *conf, const char *name, struct problems *problems)
{
	if (conf->cpu_load_window >= conf->cpu_load_period)
		return 0;
	problems_add(problems, name, 0, "cpu_load_window", NULL,
		     "is shorter than cpu_load_period; make it longer or the period shorter");
	return -EINVAL;
}

int broker_conf_overlay(const struct keyfile *shared, struct broker_conf *conf, struct problems *problems)
{
	struct broker_conf both = *conf;
	int r = settings_apply(&broker_settings, shared, &both, problems);

	if (r == 0)
		r = check_window(&both, keyfile_name(shared), problems);
	if (r == 0)
		*conf = both;
	return r;
}

int broker_conf_load(const char *path, struct broker_conf *ret, struct problems *problems)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	int r;

	memset(ret, 0, sizeof(*ret));
	settings_defaults(&broker_settings, ret);
	r = keyfile_load(path, true, &file, problems);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = settings_apply(&broker_settings, file, ret, problems);
	return r < 0 ? r : check_window(ret, path, problems);
}

void broker_conf_monitor_ms(const struct broker_conf *conf, int64_t ret[MONITOR_COUNT])
{
	/* A round whose probes fail takes longer than its period may be, and is no dead monitor. */
	ret[MONITOR_NETWORK] = conf->network_period + conf->network_timeout +
			       conf->network_probes * (int64_t)NETWORK_SPACING_MS;
	ret[MONITOR_MGMT_BRIDGE] = conf->mgmt_bridge_period;
	ret[MONITOR_MEM_FREE] = conf->mem_free_period;
	ret[MONITOR_CPU_LOAD] = conf->cpu_load_period;
	ret[MONITOR_ENGINE_HEALTH] = conf->engine_health_period + conf->engine_health_timeout;
	ret[MONITOR_STORAGE_DOMAIN] = conf->storage_domain_period;
}
