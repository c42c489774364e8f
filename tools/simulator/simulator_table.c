/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of hosted-engine-sim's commands, their options and help. */
#include "tools/simulator/simulator_table.h"

#include "tools/simulator/simulator_commands.h"

#define WHITEBOARD                                                                                           \
	{                                                                                                    \
		.name = "whiteboard", .value = "FILE",                                                       \
		.help = "read the whiteboard, or a copy of it, from FILE instead of asking the broker"       \
	}
#define JSON                                                                                                 \
	{                                                                                                    \
		.name = "json", .help = "one line of JSON"                                                   \
	}

static const struct tool_command commands[] = {
	{
		.name = "help",
		.operand = "[COMMAND]",
		.help = "show this text, or all about one command",
		.details = "--help says the same.\n",
		.run = command_run_help,
	},
	{
		.name = "scores",
		.options = {WHITEBOARD, JSON},
		.help = "show every host's score and what is off it, why and since when",
		.details = "Asks the broker of this host, or reads a whiteboard or a copy of one. The host "
			   "with the "
			   "highest score\n"
			   "starts the VM when nobody runs it.\n",
		.run = simulator_run_scores,
	},
	{
		.name = "what-if",
		.options =
			{{.name = "kill", .value = "N", .help = "host N loses its power"},
			 {.name = "maintenance",
			  .value = "N|global",
			  .help = "host N is set to local maintenance, or the cluster to global"},
			 {.name = "storage-loss",
			  .value = "N",
			  .help = "nothing that host N reads or writes on the shared storage ends any more"},
			 WHITEBOARD,
			 JSON},
		.help = "tell who would run the VM, when, and why, if that happened now",
		.details = "Simulates the cluster as the whiteboard has it, with the real daemons, and lets "
			   "one thing "
			   "happen. Tells how\n"
			   "the time is made up, each step with its reason, and every score. Nothing really "
			   "happens.\n"
			   "One of the first three options is needed.\n",
		.run = simulator_run_what_if,
	},
	{
		.name = "replay",
		.operand = "LOGLINE|JOURNAL",
		.options = {JSON},
		.help = "take logged steps of an agent again, and tell why each did what it did",
		.details = "An agent logs all that a step knew when it acts: the line `input now=..`. "
			   "LOGLINE is such a "
			   "line; JOURNAL\n"
			   "is a file of the agent's log, - standard input:\n"
			   "    journalctl -u ovirt-ha-agent -o cat | hosted-engine-sim replay -\n"
			   "What the log says of the step is compared with what this version decides. Exit "
			   "code 0: all "
			   "the same;\n"
			   "1: a step differs, or can't be read.\n",
		.run = simulator_run_replay,
	},
	{
		.name = "run",
		.operand = "SCENARIO",
		.options = {JSON,
			    {.name = "svg",
			     .value = "FILE",
			     .help = "also write a picture of it, a lane for each host"},
			    {.name = "log", .help = "also show what the daemons would log"}},
		.help = "play a scenario: the real daemons on simulated hosts, time and faults",
		.details = "SCENARIO is a text file, - standard input; hosted-engine-sim(1) tells how to "
			   "write one, and "
			   "some are in\n"
			   "/usr/share/doc/ovirt-hosted-engine-ha/scenarios. The same scenario gives the "
			   "same log.\n"
			   "Exit code 0 but for a scenario that can't be read, and for two VMs at once.\n",
		.run = simulator_run_scenario,
	},
};

const struct command_set simulator_commands = {
	.program = "hosted-engine-sim",
	.dashes = "",
	.commands = commands,
	.n_commands = sizeof(commands) / sizeof(commands[0]),
};
