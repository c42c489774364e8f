/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A host's small files, for sim_host.c alone. */
#pragma once

#include "tests/sim/sim_host.h"

void sim_files_init(struct sim_files *files, struct sim_host *host);
/* The agent is gone: nothing is answered any more. */
void sim_files_close(struct sim_files *files);
