/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the operator wants to hear of, and how: broker.conf's [email] and [notify], the password, the mail's
 * template. Read anew for each look at the spool, so that a corrected file works without a restart. */
#pragma once

#include <regex.h>
#include <sys/types.h>
#include <time.h>

#include "notify/mail_send.h"
#include "util/problems.h"

struct alert_conf {
	struct broker_conf settings;
	struct mail_server server;
	char *text; /* the mail's template */
	regex_t match;
	char trouble[MAIL_WHY_MAX]; /* why no mail can be sent, "" none: the password */
};

#define ALERT_FILES 5 /* both broker.conf, template, CA, password */

struct alert_files {
	struct file_stamp {
		dev_t device;
		ino_t inode;
		off_t size;
		struct timespec changed; /* its right to be read too */
	} stamps[ALERT_FILES];
};

/* 0, or -errno with the problems said and nothing to release. Blocks. A password or template that can't be
 * had is no failure: the command runs without. */
int alert_conf_load(struct alert_conf *ret, struct problems *problems);
void alert_conf_done(struct alert_conf *conf);
/* True: a file that `conf` was read from, or could not be, is another than *files says, which says it then.
 * `inotify` becomes readable at the next change. */
bool alert_files_changed(struct alert_files *files, const struct alert_conf *conf, int inotify);
/* The rest of what can be wrong, for -n: 0, or -EINVAL with the problems said. */
int alert_conf_check(struct problems *problems);
