/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `hosted-engine` understands. hosted_engine_main.c and --help use it; the completion file and the man
 * page are tested equal to it. */
#pragma once

#include "tools/command_line.h"

extern const struct command_set hosted_engine_commands;
