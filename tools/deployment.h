/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How far the hosted engine is deployed on this host, in the words and exit codes that scripts know. Reads
 * hosted-engine.conf; changes nothing. The commands of tools/ call it. */
#pragma once

#include <stdio.h>

#include "util/engine_conf.h"

/* What the configuration says, as far as it can be read. False: it can't be, or what it says of the VM is no
 * uuid; then the reasons are on `err`. A file that is not there is read: it says nothing. */
bool deployment_load(FILE *err, struct engine_conf *ret);
/* Each 0, or the exit code after it said why. */
int deployment_check(FILE *out, FILE *err); /* E1: the host is deployed */
int deployment_check_finished(FILE *out);   /* E2: and no deployment is under way or was broken off */
/* E3: the VM's configuration is here. Asks the broker, where it is not, for what hint helps: blocks for
 * seconds then. */
int deployment_check_vm(FILE *out);
/* An agent is connected with this host's broker. Blocks for seconds where that does not answer. */
bool deployment_agent_runs(void);
