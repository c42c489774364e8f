/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of hosted-engine's commands, their options and help. Usage, help, the completion file and the man
 * page follow it. */
#include "tools/command_table.h"

#include "tools/commands.h"

static const struct tool_command tool_commands[] = {
	{
		.name = "help",
		.operand = "[COMMAND]",
		.help = "show this text, or all about one command",
		.details = "COMMAND is given with or without its dashes.\n",
		.run = command_run_help,
	},
	{
		.name = "deploy",
		.options =
			{{.name = "config-append",
			  .value = "FILE",
			  .help = "answers, KEY=VALUE; what it has is not asked"},
			 {.name = "generate-answer",
			  .value = "FILE",
			  .help = "write the answers to FILE, with the passwords, before they are acted on"},
			 {.name = "restore-from-file",
			  .value = "FILE",
			  .help = "the first host again, of a configuration that --save-config wrote"},
			 {.name = "4",
			  .help = "addresses of IPv4 alone: the gateway, the engine's name and its VM"},
			 {.name = "6", .help = "addresses of IPv6 alone"}},
		.help = "deploy the hosted engine on this host",
		.details =
			"Asks for the storage first: where that has no domain this is the first host, which "
			"makes "
			"one, imports the\n"
			"engine's appliance and starts it; else this host joins, and needs to be told little "
			"more. "
			"Before the\n"
			"confirmation the storage is connected for a look, and nothing else changed; ^D and "
			"^C leave "
			"at any question\n"
			"and take that back. Without a terminal all answers come from --config-append or are "
			"defaults. What was\n"
			"broken off, by ^C too, is taken back by hosted-engine-cleanup.\n",
		.root = true,
		.run = command_run_deploy,
	},
	{
		.name = "undeploy",
		.help = "take this host out of the hosted engine",
		.details =
			"Local maintenance first: a VM that runs here moves to another host, and where none "
			"can "
			"take it the\n"
			"command is refused. Then all is as hosted-engine-cleanup does it: the others forget "
			"this host, and its\n"
			"configuration is as before --deploy. What was broken off, another --undeploy "
			"ends.\n",
		.root = true,
		.run = command_run_undeploy,
	},
	{
		.name = "vm-start",
		.options = {{.name = "vm-conf",
			     .value = "FILE",
			     .help = "the VM's configuration to start from"},
			    {.name = "json", .help = "one line of JSON"}},
		.help = "start the engine VM on this host",
		.details = "The agent starts it in every state, in global maintenance too, when the lease "
			   "can be had. Exit\n"
			   "code 0 says that the VM is on its way; --vm-status tells the rest.\n",
		.deployed = true,
		.run = command_run_vm_start,
	},
	{
		.name = "vm-start-paused",
		.options = {{.name = "json", .help = "one line of JSON"}},
		.help = "start the engine VM on this host with its CPUs stopped",
		.details = "In global maintenance only. A paused VM holds no lease.\n",
		.deployed = true,
		.run = command_run_vm_start,
	},
	{
		.name = "vm-shutdown",
		.help = "shut the engine VM on this host down (ACPI)",
		.details = "Outside of global maintenance a host starts it again.\n",
		.deployed = true,
		.run = command_run_vm_stop,
	},
	{
		.name = "vm-poweroff",
		.help = "power the engine VM on this host off",
		.details = "Outside of global maintenance a host starts it again.\n",
		.deployed = true,
		.run = command_run_vm_stop,
	},
	{
		.name = "vm-migrate",
		.options =
			{{.name = "host",
			  .value = "HOST",
			  .help = "where to: a host id, or a name as --vm-status has it; else the best host"},
			 {.name = "wait", .help = "until it has moved, or has not; ^C cancels it"},
			 {.name = "json", .help = "one line of JSON"}},
		.help = "move the engine VM on this host to another one while it runs",
		.details = "Not in global maintenance, which cancels it too. A VM that can't be moved stays "
			   "where it is.\n"
			   "Without --wait the command returns when libvirt has begun.\n",
		.deployed = true,
		.run = command_run_vm_migrate,
	},
	{
		.name = "vm-status",
		.options = {{.name = "json", .help = "one line of JSON"},
			    {.name = "watch", .help = "again every 2 s, on a terminal; ^C ends it"}},
		.help = "show the engine VM and all hosts as the whiteboard has them",
		.details =
			"Every host shows the same, but for lines of time and what its own broker finds of\n"
			"its storage and troubles.\n",
		.deployed = true,
		.run = command_run_vm_status,
	},
	{
		.name = "history",
		.options = {{.name = "json", .help = "one line of JSON"}},
		.help = "show when this host's agent changed its state and why, and the last change of every "
			"host",
		.details = "The last 1000 changes, oldest first.\n",
		.deployed = true,
		.run = command_run_history,
	},
	{
		.name = "console",
		.help = "connect this terminal with the engine VM's serial console",
		.details = "On the host where the VM runs. Leave with ^].\n",
		.deployed = true,
		.root = true,
		.run = command_run_console,
	},
	{
		.name = "add-console-password",
		.options = {{.name = "password",
			     .value = "PASSWORD",
			     .secret = true,
			     .help = "it; better in the environment, OVIRT_HOSTED_ENGINE_CONSOLE_PASSWORD, "
				     "or typed "
				     "when asked for"},
			    {.name = "json", .help = "one line of JSON"}},
		.help = "let who knows a password connect with the engine VM's display (VNC) for 120 s",
		.details = "On the host where the VM runs. VNC compares the first 8 characters.\n",
		.deployed = true,
		.root = true,
		.run = command_run_add_console_password,
	},
	{
		.name = "check-liveliness",
		.options = {{.name = "json", .help = "one line of JSON"}},
		.help = "ask the engine whether it is up",
		.details =
			"Exit code 0: it is; 1: it is not; 2: the configuration does not tell whom to ask.\n",
		.run = command_run_check_liveliness,
	},
	{
		.name = "check-deployed",
		.options = {{.name = "json", .help = "one line of JSON"}},
		.help = "tell whether the hosted engine has been deployed on this host",
		.details = "Exit code 0: it has been; 1: it has not.\n",
		.run = command_run_check_deployed,
	},
	{
		.name = "connect-storage",
		.help = "connect this host's shared storage, as hosted-engine.conf has it",
		.details = "Where it is connected nothing changes. Returns when all of it is there, or five "
			   "minutes "
			   "later at the latest.\n",
		.deployed = true,
		.run = command_run_connect_storage,
	},
	{
		.name = "disconnect-storage",
		.help = "disconnect this host's shared storage",
		.details = "Refused while the engine VM runs on this host or sanlock's lockspace is joined: "
			   "stop "
			   "ovirt-ha-agent and\n"
			   "ovirt-ha-broker first.\n",
		.deployed = true,
		.run = command_run_connect_storage,
	},
	{
		.name = "set-maintenance",
		.assign = "mode",
		.options = {{.name = "mode",
			     .value = "global|local|none",
			     .needed = "You must specify a maintenance mode with --mode",
			     .words = true,
			     .help = "global: no host starts, stops or moves the VM; local: this host has no "
				     "part in it;\n"
				     "none: ends both"},
			    {.name = "wait", .help = "with --mode=local: until the VM runs on another host"}},
		.help = "set the mode of maintenance, or end it",
		.details = "Returns when the change is on the shared storage and has stayed there. In local "
			   "maintenance a VM that\n"
			   "runs here moves to another host; where none can take it, the command is refused "
			   "and nothing changes.\n"
			   "--set-maintenance=MODE says the same.\n",
		.deployed = true,
		.run = command_run_set_maintenance,
	},
	{
		.name = "get-shared-config",
		.operand = "KEY",
		.options = {{.name = "type",
			     .value = "he_local|he_shared|ha|broker",
			     .words = true,
			     .help = "the file that KEY is of: hosted-engine.conf here or on the shared "
				     "storage, "
				     "ha.conf here,\n"
				     "broker.conf on the shared storage; needed where several know KEY"},
			    {.name = "json", .help = "one line of JSON"}},
		.help = "show a setting of the shared configuration, or of this host's",
		.details = "KEY is as in the file; one of broker.conf may have its section before it: "
			   "email.smtp-server. A key that\n"
			   "the file does not set is shown at its default. Needs no daemon; waits 10 s at "
			   "most for "
			   "the storage.\n",
		.run = command_run_get_shared_config,
	},
	{
		.name = "set-shared-config",
		.operand = "KEY",
		.second = "VALUE",
		.operand_needed = "You must specify a key to set",
		.second_needed = "You must specify a new value to set",
		.options = {{.name = "type",
			     .value = "he_local|he_shared|ha|broker",
			     .words = true,
			     .help = "the file that KEY is of, as for --get-shared-config"}},
		.help = "change a setting of the shared configuration, or of this host's",
		.details = "What is shared is written beside what counts until then, under a lease, and read "
			   "back: all "
			   "hosts see the old\n"
			   "or the new, whole. Silent when done. broker.conf reaches the hosts within 20 s; "
			   "ha.conf counts "
			   "at once,\n"
			   "hosted-engine.conf of this host when the daemons start. Waits 10 s for the lease "
			   "and 60 s for the storage at most.\n",
		.root = true,
		.run = command_run_set_shared_config,
	},
	{
		.name = "save-config",
		.operand = "FILE",
		.help = "write the shared configuration to a file, as a tar",
		.details = "FILE is replaced. It has passwords, so only its owner may read it. Waits 10 s at "
			   "most for "
			   "the storage.\n",
		.run = command_run_save_config,
	},
	{
		.name = "test-alert",
		.options = {{.name = "json", .help = "one line of JSON"}},
		.help = "send a test alert by mail, and show what became of it",
		.details = "Goes the way of every alert on this host: the spool, ovirt-ha-notify, the mail "
			   "server "
			   "of broker.conf.\n"
			   "Exit code 0: the server has taken it for all receivers. Needs root.\n",
		.deployed = true,
		.run = command_run_test_alert,
	},
	{
		.name = "reinitialize-lockspace",
		.options =
			{{.name = "force",
			  .help = "outside of global maintenance too, and where the engine's lease can't be "
				  "understood"}},
		.help = "make a damaged lockspace and its leases anew",
		.details = "In global maintenance, with ovirt-ha-agent and ovirt-ha-broker stopped on every "
			   "host. Watches "
			   "first that no host\n"
			   "renews its host id: for 4 times io_timeout, or where an id or the engine's lease "
			   "is not free "
			   "for as long as\n"
			   "sanlock takes to give up a dead host (8 times io_timeout and the watchdog's "
			   "time). No option "
			   "takes that away.\n",
		.deployed = true,
		.root = true,
		.run = command_run_reinitialize_lockspace,
	},
	{
		.name = "clean-metadata",
		.alias = "clean_metadata",
		.options = {{.name = "force-cleanup",
			     .alias = "force-clean",
			     .help = "also the record of an agent that did not stop cleanly"},
			    {.name = "host-id",
			     .value = "N",
			     .help = "of this host id; without it this host's"}},
		.help = "take a host's record off the whiteboard",
		.details =
			"For a host that has left, or whose record is damaged. Watches first that nobody "
			"renews "
			"its host id, as\n"
			"--reinitialize-lockspace does. With this host's own id its daemons must be stopped. "
			"No lease is touched.\n",
		.deployed = true,
		.root = true,
		.run = command_run_clean_metadata,
	},
	{
		.name = "dump-whiteboard",
		.operand = "FILE",
		.options = {{.name = "json", .help = "one line of JSON"}},
		.help = "show what a whiteboard, or a copy of one, says",
		.details = "FILE is a path, or an address of nfs:// or iscsi:// as metadata_path may be. "
			   "Works on "
			   "any host, needs\n"
			   "no daemon. Unreadable blocks are shown with the cause, absent ones left out. "
			   "Exit code "
			   "0 if FILE could\n"
			   "be read.\n",
		.run = command_run_dump_whiteboard,
	},
	{
		.name = "discover-storage",
		.operand = "nfs|iscsi|fc|block",
		.options =
			{{.name = "server",
			  .value = "HOST",
			  .help = "of nfs and iscsi: the server, with :PORT where it is not the usual one"},
			 {.name = "user", .value = "NAME", .help = "of iscsi: the user of CHAP"},
			 {.name = "password-file",
			  .value = "FILE",
			  .help = "its first line is the user's password; without it the environment has\n"
				  "OVIRT_HOSTED_ENGINE_ISCSI_PASSWORD"},
			 {.name = "initiator",
			  .value = "IQN",
			  .help = "of iscsi: this host's name; without it that of "
				  "/etc/iscsi/initiatorname.iscsi"},
			 {.name = "timeout", .value = "SECONDS", .help = "1 to 600, 20 without it"}},
		.help = "list what storage this host can reach, as JSON",
		.details =
			"nfs: the exports of a server. iscsi: the targets of a portal and their LUNs. fc: "
			"the "
			"LUNs of Fibre\n"
			"Channel. block: all disks of this host. Of each LUN it says whether it is free, and "
			"what it holds.\n"
			"Changes nothing; needs neither configuration nor daemons. Returns a second "
			"after the timeout at the latest, whatever hangs.\n",
		.run = command_run_discover_storage,
	},
};

const struct command_set hosted_engine_commands = {
	.program = "hosted-engine",
	.dashes = "--",
	.commands = tool_commands,
	.n_commands = sizeof(tool_commands) / sizeof(tool_commands[0]),
};
