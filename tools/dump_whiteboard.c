/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --dump-whiteboard: hands the blocks of a whiteboard, or of a copy of one, to the printer. Needs no
 * configuration and no daemon. */
#include <string.h>

#include "tools/board_source.h"
#include "tools/commands.h"
#include "tools/terminal_text.h"
#include "util/cleanup.h"

int command_run_dump_whiteboard(const struct invocation *call)
{
	_cleanup_free_ struct slot_block *blocks = NULL;
	struct board_status status;
	int r;

	r = board_from_file(call->operand, &blocks, &status);
	if (r == 0) {
		if (!invocation_value(call, "json"))
			status_put_text(&status, stdout);
		else
			r = status_put_json(&status, stdout);
	}
	if (r < 0) {
		fputs("Cannot read ", stderr);
		terminal_put(stderr, call->operand, strlen(call->operand));
		fprintf(stderr, ": %s\n", strerror(-r));
	}
	return r < 0;
}
