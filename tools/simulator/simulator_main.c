/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hosted-engine-sim: asks the code that decides in the agents what it would do. Reads the command line by its
 * table and calls what stands there; works on any machine, deployed or not. */
#include "tools/simulator/simulator_table.h"

int main(int argc, char *argv[])
{
	return command_main(&simulator_commands, argc, argv, NULL);
}
