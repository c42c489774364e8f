/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the operator wants to hear of, and how: broker.conf's [email] and [notify], the password, the mail's
 * template. Read anew for each look at the spool, so that a corrected file works without a restart. */
#pragma once

#include <regex.h>

#include "notify/mail_send.h"
#include "util/problems.h"

struct alert_conf {
	struct broker_conf settings;
	struct mail_server server;
	char *text; /* the mail's template */
	regex_t match;
	char trouble[MAIL_WHY_MAX]; /* why no mail can be sent, "" none: the password */
};

/* 0, or -errno with the problems said and nothing to release. Blocks. A password or template that can't be
 * had is no failure: the command runs without. */
int alert_conf_load(struct alert_conf *ret, struct problems *problems);
void alert_conf_done(struct alert_conf *conf);
/* The rest of what can be wrong, for -n: 0, or -EINVAL with the problems said. */
int alert_conf_check(struct problems *problems);
