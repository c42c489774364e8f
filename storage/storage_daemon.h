/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line of the storage daemon, and the module that it can't do without. */
#pragma once

#include "storage/storage_export.h"

#define DAEMON_ARGS_MAX 40

struct daemon_options {
	char *args[DAEMON_ARGS_MAX + 1]; /* up to a NULL */
	size_t n;
};

/* For these exports of this domain. `host_name` goes into the name that a target knows this host by;
 * `password_file`: where the daemon will find CHAP's password, used when there is a user. 0 or -ENOMEM. */
int storage_daemon_options(const struct engine_conf *conf, const struct storage_exports *exports,
			   const char *host_name, const char *password_file, struct daemon_options *ret);
void storage_daemon_options_done(struct daemon_options *options);

/* Whether the module at `path` (fuse_copy.c) can be loaded, and does what it is for: ld.so warns of one that
 * can't and goes on, and the storage would be written wrong. 0, -errno, or -ELIBBAD; with one line of what to
 * do in `why`. Blocks on the disk. */
int storage_daemon_module(const char *path, char why[STORAGE_EXPORT_WHY_SIZE]);
