/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `hosted-engine-sim` understands. simulator_main.c uses it; the completion file and the man page are
 * tested equal to it. */
#pragma once

#include "tools/command_line.h"

extern const struct command_set simulator_commands;
