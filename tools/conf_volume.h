/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The shared configuration for commands, which may wait for it. */
#pragma once

#include "metadata/conf_transfer.h"
#include "util/settings.h"

/* Reads what counts of the conf volume at `place`, 10 s at most. 0, or -errno as of conf_read(); at -EBADMSG
 * `cause` says what is wrong. *ret, for conf_archive_done(), is untouched on failure. */
int conf_volume_load(const struct place *place, struct conf_archive *ret, char cause[CONF_CAUSE_SIZE]);
