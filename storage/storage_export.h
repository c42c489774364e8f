/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the storage daemon of this host shows, as far as hosted-engine.conf says it: one file for each part of
 * the domain, at the path that the configuration gives it. Pure. */
#pragma once

#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "util/engine_conf.h"

/* In STORAGE_RUN_DIR: what the daemon said when it could not start; not there while it runs, nor once it was
 * stopped. */
#define STORAGE_DAEMON_WORDS "daemon.words"
#define STORAGE_EXPORTS_MAX 5
#define STORAGE_EXPORT_WHY_SIZE 256

struct storage_export {
	char path[PATH_MAX / 4]; /* the file that it makes; absolute */
	char name[64];		 /* its last part, below the domain's folder: letters, digits, - _ . */
	unsigned lun;		 /* of a target: its number */
	uint64_t offset, size;	 /* bytes of the unit; size 0: all of it */
};

struct storage_exports {
	struct storage_export all[STORAGE_EXPORTS_MAX];
	size_t n;
};

/* Those of lockspace_path, metadata_path, lease_path, conf_path and disk_path that lie in `folder`, each
 * once. On file storage they are called there as below `storage`; on a target `lun` is the unit that lun=
 * names, `lun-N` that of number N, and either with `.OFFSET.SIZE` behind it the bytes there. 0; -EOPNOTSUPP:
 * the daemon does not speak this kind of storage; -EINVAL: it does, and this can't be shown; both with one
 * line of what is wrong and what to do in `why`. */
int storage_exports_plan(const struct engine_conf *conf, const char *folder, struct storage_exports *ret,
			 char why[STORAGE_EXPORT_WHY_SIZE]);
/* The path of a part of a unit that is shown at `unit`, as above. */
static inline void storage_part_path(const char *unit, uint64_t offset, uint64_t size, char ret[PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%.1000s.%" PRIu64 ".%" PRIu64, unit, offset, size);
}

/* The host name or address of "HOST:/PATH", or of the first of "HOST[,HOST..]", without brackets, into `ret`;
 * `*ret_path` (may be NULL) what follows the colon, or "". 0 or -EINVAL. */
int storage_server(const char *source, char ret[256], const char **ret_path);
