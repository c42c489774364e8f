/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides where the whiteboard comes from and what is said when it can't be had. */
#include "tools/simulator/board_option.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/broker_trouble.h"
#include "tools/terminal_text.h"

static void say_file(const char *path, int error)
{
	fputs("Cannot read ", stderr);
	terminal_put(stderr, path, strlen(path));
	fprintf(stderr,
		": %s. Give --whiteboard the file or device that metadata_path in hosted-engine.conf names, "
		"or a copy of it.\n",
		strerror(-error));
}

struct board *board_open(const struct invocation *call)
{
	const char *path = invocation_value(call, "whiteboard");
	struct board *board = calloc(1, sizeof(*board));
	int r;

	if (!board) {
		fputs("Out of memory\n", stderr);
		return NULL;
	}
	r = path ? board_from_place(path, NULL, &board->blocks, &board->status)
		 : board_from_broker(&board->reply, &board->blocks, &board->status);
	if (r == 0)
		return board;
	if (path) {
		say_file(path, r);
	} else {
		broker_trouble_say(r, "");
		fputs("Without the broker: --whiteboard=FILE, where FILE is what metadata_path in "
		      "hosted-engine.conf names.\n",
		      stderr);
	}
	board_close(board);
	return NULL;
}

void board_close(struct board *board)
{
	if (!board)
		return;
	free(board->blocks);
	free(board);
}
