/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stands in for poke_cpg.c in a build without corosync's library. */
#include <errno.h>

#include "broker/poke_port.h"

int poke_cpg_new(const char *domain, const char *lockspace, struct loop *loop, struct poke_port **ret)
{
	return -EOPNOTSUPP;
}
