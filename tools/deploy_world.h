/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What this host, its network, the storage and the appliance say to the answers of a deployment. */
#pragma once

#include "deploy/dialogue.h"
#include "tools/deploy_steps.h"

/* What can be suggested before anything was asked. 0 or -errno, said. */
int deploy_world_suggest(struct answers *answers);
/* Of struct dialogue; `data` is the struct deployment. After the last answer about the storage that is
 * connected and looked at: the journal knows it, and deployment_disconnect() takes it back. */
int deploy_world_learn(void *data, enum answer which, struct answers *answers, char what[DIALOGUE_LINE_SIZE]);
