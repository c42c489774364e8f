/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The whiteboard that a command of hosted-engine-sim is about: --whiteboard=FILE, else the broker's. */
#pragma once

#include "tools/board_source.h"
#include "tools/command_line.h"

struct board {
	struct status_reply reply; /* with status.live */
	struct slot_block *blocks;
	struct board_status status; /* points into the others: a board stays where it is */
};

/* NULL, after it said why and what to do. The command must have the option. */
struct board *board_open(const struct invocation *call);
/* NULL is fine. */
void board_close(struct board *board);
