/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The functions behind the table of hosted-engine-sim: each does one command, writes its answer to stdout and
 * everything else to stderr, and returns the exit code. None changes anything outside of the process but the
 * file that it was told to write. */
#pragma once

#include "tools/command_line.h"

int simulator_run_scores(const struct invocation *call);
int simulator_run_what_if(const struct invocation *call);
int simulator_run_replay(const struct invocation *call);
int simulator_run_scenario(const struct invocation *call);
