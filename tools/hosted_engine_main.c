/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hosted-engine, the operator's command: reads the command line by its table and calls what stands there.
 * Decides nothing but that some commands want a deployed host. */
#include "tools/command_table.h"
#include "tools/deployment.h"

int main(int argc, char *argv[])
{
	return command_main(&hosted_engine_commands, argc, argv, deployment_check);
}
