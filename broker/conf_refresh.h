/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The shared configuration as this host's daemons have it: copies of vm.conf and broker.conf, brought from
 * the conf volume each period. The agent takes the age of vm.conf's copy (its time of modification) for that
 * of what it says. Used by broker_main.c. */
#pragma once

#include <limits.h>

#include "metadata/conf_transfer.h"
#include "util/settings.h"

struct conf_refresh_config {
	struct place volume;
	char vm_conf[PATH_MAX], broker_conf[PATH_MAX]; /* the copies */
	int64_t period_ms, io_ms;		       /* > 0; the latter for one reading of the volume */
	/* The broker.conf of a generation that is not known to be copied, the first included; in the loop.
	 * The text is valid during the call. */
	void (*changed)(void *data, const char *text, size_t length);
	void *data;
};

struct conf_refresh;

/* Begins at once. What can't be read or written is logged once and tried again; the copies stay then. 0 or
 * -errno. Nothing blocks. */
int conf_refresh_new(const struct conf_refresh_config *config, struct loop *loop, struct conf_refresh **ret);
/* NULL is fine. */
void conf_refresh_free(struct conf_refresh *refresh);
