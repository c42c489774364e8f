/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A saved configuration as the beginning of a new deployment: the machine's definition, mail and what all
 * hosts share hold again, on another storage. Pure but for the file. Called by --deploy and its stages. */
#pragma once

#include "deploy/answers.h"
#include "metadata/conf_archive.h"

#define RESTORE_WHY_SIZE 512

/* Reads what --save-config wrote, and looks whether an engine can be made of it. 0 and *ret, for
 * conf_archive_done(); -errno of the file; -EBADMSG not a whole archive; -EINVAL it is whole, and of no use
 * here; always with a line for people in `ret_why`. Blocks on the file. */
int restore_load(const char *path, struct conf_archive *ret, char ret_why[RESTORE_WHY_SIZE]);

/* The answers of a host that is restored: the machine stays who it is, all else of the saved ones is
 * suggested, but for what is of the storage and of a host. `saved` is restore_load()'s. 0 or -ENOMEM. */
int restore_answers(const struct conf_archive *saved, struct answers *answers);

/* Its hosted-engine.conf without the old storage, for keyfile_free(). 0 or -ENOMEM. */
int restore_conf(const struct conf_archive *saved, struct keyfile **ret);
