/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hosted-engine, the operator's command: reads the command line by the table and calls what stands there.
 * Decides nothing but whether the host is deployed, and that output which could not be written is a failure.
 */
#include <errno.h>
#include <string.h>

#include "tools/command_table.h"
#include "tools/deployment.h"

int main(int argc, char *argv[])
{
	struct invocation call;
	int code;

	code = command_parse(argc > 0 ? argc - 1 : 0, argv + 1, stdout, stderr, &call);
	if (code == 0) {
		if (call.help)
			command_help(call.command, stdout);
		else if (call.command->deployed)
			code = deployment_check(stdout, stderr);
		if (code == 0 && !call.help)
			code = call.command->run(&call);
	}
	/* A full disk or a closed pipe must not look like an answer. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "Cannot write the output: %s\n", strerror(errno));
		return 1;
	}
	return code;
}
