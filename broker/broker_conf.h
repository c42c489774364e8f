/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* broker.conf: how the broker watches the host, and whom it writes to. */
#pragma once

#include "core/snapshot.h"
#include "util/settings.h"

enum smtp_tls { SMTP_TLS_NONE, SMTP_TLS_STARTTLS, SMTP_TLS_TLS, SMTP_TLS_COUNT };

enum pokes { POKES_NO, POKES_AUTO, POKES_COUNT };

struct broker_conf {
	/* [email], [notify] */
	char smtp_server[256];
	uint16_t smtp_port;
	uint32_t smtp_timeout_s;       /* 1..600 */
	char destination_emails[1024]; /* separated by commas */
	char source_email[256];
	uint32_t smtp_tls; /* enum smtp_tls */
	char smtp_ca[512], smtp_user[256], smtp_password_file[512];
	int64_t smtp_retry, smtp_keep; /* ms */
	char state_transition[512];    /* POSIX extended expression, matched without case against Old-New of
					  state names */
	uint32_t mails_per_minute;     /* 1..60 */
	char command[512];	       /* "": none */
	int64_t command_timeout;       /* ms */

	/* [monitors], ms */
	int64_t network_period, network_timeout;
	uint32_t network_probes; /* per round, 1..20 */
	int64_t mgmt_bridge_period, mem_free_period, cpu_load_period;
	int64_t cpu_load_window; /* the load is averaged over it */
	int64_t engine_health_period, engine_health_timeout;
	int64_t storage_domain_period;

	/* [storage], ms */
	int64_t io_deadline; /* of one read or write of the whiteboard */

	/* [corosync] */
	uint32_t pokes; /* enum pokes */
};

extern const struct settings broker_settings;

/* As engine_conf_load(); a file that is not there gives the defaults and 0. */
int broker_conf_load(const char *path, struct broker_conf *ret, struct problems *problems);

/* The shared file over what the struct has from this host's own. 0, or -EINVAL with every problem said and
 * the struct as it was. */
int broker_conf_overlay(const struct keyfile *shared, struct broker_conf *conf, struct problems *problems);

/* This host's own file, as broker_conf_load() has it, and over it `copy`, what this host has of the shared
 * one. A copy that is not there or not right is left out: the broker says so. */
int broker_conf_load_both(const char *path, const char *copy, struct broker_conf *ret,
			  struct problems *problems);

/* The longest time, ms, between two samples of each monitor while it works, slow or failed probes included:
 * one that says nothing for a multiple of it is dead. */
void broker_conf_monitor_ms(const struct broker_conf *conf, int64_t ret[MONITOR_COUNT]);
