/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hosted-engine.conf from the answers and from what is on the storage. Pure. Called by the stages of a
 * deployment. */
#pragma once

#include "deploy/answers.h"
#include "storage/domain.h"

/* What connects the storage, over what `file` has: enough for ovirt-ha-storage, and not a host that is
 * deployed. `domain`: the uuid that names its folder. 0 or -errno. */
int host_conf_connection(const struct answers *answers, const char *domain, struct keyfile *file);
/* All of it, but not yet deployed to its end (configured=False). `file` has what another host shared, or
 * nothing. -EOPNOTSUPP: the VM's disk has no path of its own there. */
int host_conf_whole(const struct answers *answers, const struct domain *domain, struct keyfile *file);
/* What of it other hosts get, as text for free(). */
int host_conf_shared(const struct keyfile *file, char **ret, size_t *ret_size);
/* The path of the VM's disk, and whether it is a block device. -EOPNOTSUPP as above. */
int host_conf_disk(const struct domain *domain, char ret[PATH_MAX], bool *ret_block);
