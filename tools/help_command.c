/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --help: usage, or all about one command. */
#include <string.h>

#include "tools/commands.h"
#include "tools/terminal_text.h"

int command_run_help(const struct invocation *call)
{
	const struct tool_command *command;

	if (!call->operand) {
		command_usage(stdout);
		return 0;
	}
	command = command_find(call->operand);
	if (!command) {
		fputs("Invalid option '", stderr);
		terminal_put(stderr, call->operand, strlen(call->operand));
		fputs("'\n", stderr);
		command_usage(stderr);
		return 1;
	}
	command_help(command, stdout);
	return 0;
}
