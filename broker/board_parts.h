/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the whiteboard's files need of each other: board.c judges whose it is, board_scan.c reads the hosts'
 * blocks, board_own.c writes ours. For these three alone. */
#pragma once

#include "broker/board.h"

#define BOARD_CLOSE_MS 1000
/* Of a watched host that tells of changes. A poke that is lost costs a start so much more at most. */
#define BOARD_TOLD_MS 5000
#define BOARD_RETRY_MS 1000

mono_t board_now(const struct board *board);
void board_set_timer(struct board *board, struct timer *timer, int64_t ms);
/* Each end of a read or write of blocks, but for those that say so. */
void board_note_read(struct board *board, int error);
void board_note_write(struct board *board, int error);
/* Begins to read one block into own_buffer; `done` finds `io` in own_io. 0 or -errno. */
int board_read_own(struct board *board, enum board_own_io io, uint32_t block,
		   void (*done)(struct store_op *op, int error));
void board_judge_domain(struct board *board, const uint8_t block[BLOCK_SIZE]);
void board_judge_own(struct board *board, const uint8_t block[BLOCK_SIZE]);

void board_scan_start(struct board *board);

void board_own_start(struct board *board);
/* A cycle has read our block. */
void board_own_seen(struct board *board, const uint8_t block[BLOCK_SIZE]);
/* Writes what waits to be written. */
void board_own_resume(struct board *board);
