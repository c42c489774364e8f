/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stages of a deployment, for the table in deploy_steps.c alone: each does its part or takes it back, as
 * struct stage says. `data` is the struct deployment. */
#pragma once

#include <stdarg.h>
#include <stdio.h>

#include "tools/deploy_steps.h"

#define STAGE_POLL_MS 1000

/* For `return stage_fail(..)`. */
static inline int __attribute__((format(printf, 3, 4)))
stage_fail(char why[STAGE_WHY_SIZE], int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, STAGE_WHY_SIZE, format, args);
	va_end(args);
	return error;
}

static inline const char *deployment_answer(const struct deployment *deployment, enum answer which)
{
	return answer_get(&deployment->answers, which);
}

/* hosted-engine.conf: its path, and its writing with what it needs of owner and mode. */
void stage_conf_path(char ret[PATH_MAX]);
int stage_conf_save(const struct keyfile *file);
/* As far as it can be read. */
void stage_conf_load(struct engine_conf *ret);

#define STAGE_DECLARE(name)                                                                                  \
	int stage_run_##name(void *data, char why[STAGE_WHY_SIZE]);                                          \
	int stage_undo_##name(void *data, char why[STAGE_WHY_SIZE])

/* deploy_host.c */
STAGE_DECLARE(configuration);
STAGE_DECLARE(qemu_conf);
STAGE_DECLARE(qemu_sanlock);
STAGE_DECLARE(hook);
STAGE_DECLARE(sanlock);
STAGE_DECLARE(sleep);
STAGE_DECLARE(support);
STAGE_DECLARE(storage_service);
STAGE_DECLARE(daemons);

/* deploy_storage.c */
/* Connected anew, as hosted-engine.conf has it by now. Refused while the VM runs here or this host has
 * joined.
 */
int stage_reconnect(struct deployment *deployment, char why[STAGE_WHY_SIZE]);
STAGE_DECLARE(storage);
STAGE_DECLARE(domain);
int stage_run_disk(void *data, char why[STAGE_WHY_SIZE]);

/* deploy_engine.c */
STAGE_DECLARE(cloud_init);
int stage_run_shared(void *data, char why[STAGE_WHY_SIZE]);
int stage_run_wait(void *data, char why[STAGE_WHY_SIZE]);
int stage_run_finish(void *data, char why[STAGE_WHY_SIZE]);
