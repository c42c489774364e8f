/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a deployment's questions about the storage have to choose from, as it is found at that moment. */
#pragma once

#include "deploy/dialogue.h"

/* Of struct dialogue: iSCSI targets and LUNs, Fibre Channel's LUNs, and the exports of an NFS server that was
 * typed without one. Blocks for some seconds at most. */
void deploy_offer(void *data, enum answer which, const struct answers *answers, const char *typed,
		  struct choices *ret);
