/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which keys broker.conf has. It may not act on them. Called by the main functions, each of which
 * checks all files, and by the test of conf/. */
#include "broker/broker_conf.h"

#include <errno.h>
#include <regex.h>
#include <string.h>

#include "broker/monitor.h"

static const char *const tls_words[] = {"none", "starttls", "tls", NULL};

_Static_assert(sizeof(tls_words) / sizeof(tls_words[0]) == SMTP_TLS_COUNT + 1,
	       "a kind of TLS without a word");

static const char *const pokes_words[] = {"no", "auto", NULL};

_Static_assert(sizeof(pokes_words) / sizeof(pokes_words[0]) == POKES_COUNT + 1,
	       "a use of corosync without a word");

/* Addresses reach the mail's header and the SMTP dialogue. */
static bool plain(const char *value, const char *also_bad)
{
	for (const char *c = value; *c; c++)
		if (*c < ' ' || *c > '~' || strchr(also_bad, *c))
			return false;
	return true;
}

static const char *check_addresses(const char *value)
{
	if (!plain(value, "<>\"\\;()"))
		return "is not a plain list of addresses; give user@host, more of them separated by commas";
	return NULL;
}

static const char *check_address(const char *value)
{
	return plain(value, "<>\"\\;(), ") ? NULL : "is not one plain address; give user@host";
}

static const char *check_server(const char *value)
{
	if (value[strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%")])
		return "is neither a host name nor an address; give one without a port";
	return NULL;
}

#define WORDS "; give words like maintenance|start|stop|up|down"

static const char *check_expression(const char *value)
{
	static const char *const wrong[] = {
		[REG_ECTYPE] = "is not a regular expression: no such class of letters" WORDS,
		[REG_EESCAPE] = "is not a regular expression: it ends with a backslash" WORDS,
		[REG_EBRACK] = "is not a regular expression: a [ without its ]" WORDS,
		[REG_EPAREN] = "is not a regular expression: a ( or ) without the other" WORDS,
		[REG_EBRACE] = "is not a regular expression: a { without its }" WORDS,
		[REG_BADBR] = "is not a regular expression: no numbers between { and }" WORDS,
		[REG_ERANGE] = "is not a regular expression: a range that ends before it begins" WORDS,
		[REG_ESPACE] = "is too large a regular expression" WORDS,
		[REG_BADRPT] = "is not a regular expression: nothing before a *, + or ?" WORDS,
	};
	regex_t expression;
	int r = regcomp(&expression, value, REG_EXTENDED | REG_ICASE | REG_NOSUB);

	if (r == 0)
		regfree(&expression);
	else if (r < 0 || (size_t)r >= sizeof(wrong) / sizeof(wrong[0]) || !wrong[r])
		return "is not a regular expression" WORDS;
	return r == 0 ? NULL : wrong[r];
}

#define FIELD(member) SETTING_FIELD(struct broker_conf, member)

static const struct setting rows[] = {
	{"email", "smtp-server", SETTING_STRING, "localhost", FIELD(smtp_server), .check = check_server,
	 .help = "mail server"},
	{"email", "smtp-port", SETTING_INT, "25", FIELD(smtp_port), .min = 1, .max = 65535,
	 .help = "its port"},
	{"email", "smtp-timeout", SETTING_DURATION, "10", FIELD(smtp_timeout_s), .min = 1000, .max = 600000,
	 .scale = 1000, .help = "one attempt to send may take so long"},
	{"email", "destination-emails", SETTING_STRING, "root@localhost", FIELD(destination_emails),
	 .check = check_addresses, .help = "receivers, separated by commas"},
	{"email", "source-email", SETTING_STRING, "root@localhost", FIELD(source_email),
	 .check = check_address, .help = "sender"},
	{"email", "smtp-tls", SETTING_WORD, "none", FIELD(smtp_tls), .words = tls_words,
	 .help = "none: mails and the login go in clear; starttls: as on port 587; tls: as on port 465"},
	{"email", "smtp-ca", SETTING_PATH, "", FIELD(smtp_ca),
	 .help = "certificates that the server's is checked with; empty: the system's"},
	{"email", "smtp-user", SETTING_STRING, "", FIELD(smtp_user),
	 .help = "who we are to a server that asks for a login; empty: nobody"},
	{"email", "smtp-password-file", SETTING_PATH, "", FIELD(smtp_password_file),
	 .help = "its first line is the password; mode 0600, owner ovirt-ha; empty: systemd's credential "
		 "smtp-password"},
	{"email", "smtp-retry", SETTING_DURATION, "10", FIELD(smtp_retry), .min = 500, .max = 600000,
	 .help = "first pause after a mail that could not be sent; each one more takes twice as long, 10 min "
		 "at most"},
	{"email", "smtp-keep", SETTING_DURATION, "24h", FIELD(smtp_keep), .min = 60000, .max = 2592000000,
	 .help = "a change of state that could not be mailed for so long is given up"},
	{"notify", "state_transition", SETTING_STRING, "maintenance|start|stop|up|down",
	 FIELD(state_transition), .check = check_expression,
	 .help = "changes of state that are mailed: an expression matched against Old-New"},
	{"notify", "mails_per_minute", SETTING_INT, "10", FIELD(mails_per_minute), .min = 1, .max = 60,
	 .help = "more changes of state than that in a minute are told in one mail"},
	{"notify", "command", SETTING_PATH, "", FIELD(command),
	 .help = "program that is run for each of these changes, with a JSON object on its standard input"},
	{"notify", "command_timeout", SETTING_DURATION, "30", FIELD(command_timeout), .min = 100,
	 .max = 600000, .help = "it is killed after so long"},
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
	{"corosync", "pokes", SETTING_WORD, "auto", FIELD(pokes), .words = pokes_words,
	 .help = "auto: where corosync runs, hosts tell each other at once that their blocks have changed; "
		 "no: blocks are "
		 "read in their rhythm alone"},
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

int broker_conf_load_both(const char *path, const char *copy, struct broker_conf *ret,
			  struct problems *problems)
{
	_cleanup_keyfile_ struct keyfile *shared = NULL;
	int r = broker_conf_load(path, ret, problems);

	if (r == 0 && keyfile_load(copy, true, &shared, NULL) == 0)
		(void)broker_conf_overlay(shared, ret, NULL);
	return r;
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
