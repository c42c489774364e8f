/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The shared configuration for commands, which may wait for it. */
#pragma once

#include "lockspace/block0_port.h"
#include "metadata/conf_transfer.h"
#include "util/settings.h"

/* Reads what counts of the conf volume at `place`, 10 s at most. 0, or -errno as of conf_read(); at -EBADMSG
 * `cause` says what is wrong. *ret, for conf_archive_done(), is untouched on failure. */
int conf_volume_load(const struct place *place, struct conf_archive *ret, char cause[CONF_CAUSE_SIZE]);

/* Reads what counts, has `edit` change it, and writes that as a new generation, which is read back: all under
 * the lease of the conf volume. Of the lease's configuration the engine's place, the lockspace and the
 * program are the caller's. `edit` returns 0, or -errno after it said why, and nothing is written then.
 * Blocks: 10 s for the lease, 60 s for the volume, and while storage hangs in a write for as long as the
 * lease lasts. 0 or -errno; then `cause` is what to tell the operator, "" after an error of `edit`. */
int conf_volume_edit(const struct place *place, const struct block0_config *lease,
		     int (*edit)(void *data, struct conf_archive *archive), void *data,
		     char cause[CONF_CAUSE_SIZE]);

/* Writes the first generation to a volume that nobody else knows yet: no lease is needed. 0 or -errno with
 * `cause`; -ESTALE: something is written there already. Blocks 60 s at most. */
int conf_volume_create(const struct place *place, const struct conf_archive *archive,
		       char cause[CONF_CAUSE_SIZE]);
