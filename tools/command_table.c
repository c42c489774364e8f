/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of commands and the strict parser over it. Decides what a command line means and what is said
 * about a wrong one; does nothing of it. */
#include "tools/command_table.h"

#include <assert.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/terminal_text.h"

const struct tool_command tool_commands[] = {
	{
		.name = "help",
		.operand = "[COMMAND]",
		.help = "show this text, or all about one command",
		.details = "COMMAND is given with or without its dashes.\n",
		.run = command_run_help,
	},
	{
		.name = "vm-start",
		.options = {{.name = "vm-conf",
			     .value = "FILE",
			     .help = "the VM's configuration to start from"}},
		.help = "start the engine VM on this host",
		.details = "The agent starts it in every state, in global maintenance too, when the lease "
			   "can be had. Exit\n"
			   "code 0 says that the VM is on its way; --vm-status tells the rest.\n",
		.deployed = true,
		.run = command_run_vm_start,
	},
	{
		.name = "vm-start-paused",
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
		.name = "vm-status",
		.options = {{.name = "json", .help = "one line of JSON"}},
		.help = "show the engine VM and all hosts as the whiteboard has them",
		.details =
			"Every host shows the same, but for lines of time and its own broker's troubles.\n",
		.deployed = true,
		.run = command_run_vm_status,
	},
	{
		.name = "check-liveliness",
		.help = "ask the engine whether it is up",
		.details =
			"Exit code 0: it is; 1: it is not; 2: the configuration does not tell whom to ask.\n",
		.run = command_run_check_liveliness,
	},
	{
		.name = "check-deployed",
		.help = "tell whether the hosted engine has been deployed on this host",
		.details = "Exit code 0: it has been; 1: it has not.\n",
		.run = command_run_check_deployed,
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
		.name = "dump-whiteboard",
		.operand = "FILE",
		.options = {{.name = "json", .help = "one line of JSON"}},
		.help = "show what a whiteboard, or a copy of one, says",
		.details = "Works on any host, needs neither configuration nor daemons. Unreadable blocks "
			   "are shown with the cause,\n"
			   "absent ones left out. Exit code 0 if FILE could be read.\n",
		.run = command_run_dump_whiteboard,
	},
};

const size_t tool_commands_count = sizeof(tool_commands) / sizeof(tool_commands[0]);

const struct tool_command *command_find(const char *name)
{
	if (strncmp(name, "--", 2) == 0)
		name += 2;
	for (size_t i = 0; i < tool_commands_count; i++)
		if (strcmp(tool_commands[i].name, name) == 0)
			return &tool_commands[i];
	return NULL;
}

static int option_index(const struct tool_command *command, const char *name, size_t len)
{
	for (int i = 0; i < COMMAND_OPTIONS_MAX && command->options[i].name; i++)
		if (strlen(command->options[i].name) == len &&
		    memcmp(command->options[i].name, name, len) == 0)
			return i;
	return -1;
}

const char *invocation_value(const struct invocation *call, const char *option)
{
	int i = option_index(call->command, option, strlen(option));

	assert(i >= 0);
	return call->values[i];
}

static bool word_allowed(const char *words, const char *value)
{
	size_t len = strlen(value);

	for (const char *word = words; word; word = strchr(word, '|')) {
		word += *word == '|';
		if (strcspn(word, "|") == len && memcmp(word, value, len) == 0)
			return true;
	}
	return false;
}

/* Says `before`, the word as typed but cleaned (it may come from a script's variable with anything in it),
 * and `after`. */
static int refuse(FILE *to, const char *before, const char *word, size_t len, const char *after)
{
	fputs(before, to);
	terminal_put(to, word, len);
	fputs(after, to);
	return 1;
}

static int take_value(const struct tool_command *command, int i, const char *value, FILE *out, FILE *err,
		      struct invocation *ret)
{
	const struct command_option *option = &command->options[i];

	if (ret->values[i])
		return refuse(err, "Option --", option->name, strlen(option->name), " is given twice\n");
	if (option->words && !word_allowed(option->value, value)) {
		fputs("Invalid value '", out);
		terminal_put(out, value, strlen(value));
		fprintf(out, "' for --%s\n", option->name);
		return 1;
	}
	ret->values[i] = value;
	return 0;
}

static int take_argument(int argc, char *const argv[], int *i, FILE *out, FILE *err, struct invocation *ret)
{
	const struct tool_command *command = ret->command;
	const char *arg = argv[*i], *equals;
	int option;

	if (strncmp(arg, "--", 2) != 0 || command->run == command_run_help) {
		if (!command->operand || ret->operand) {
			refuse(err, "Invalid argument '", arg, strlen(arg), "' for --");
			fprintf(err, "%s\nTry: hosted-engine --help %s\n", command->name, command->name);
			return 1;
		}
		ret->operand = arg;
		return 0;
	}
	if (strcmp(arg, "--help") == 0) {
		ret->help = true;
		return 0;
	}

	equals = strchr(arg, '=');
	option = option_index(command, arg + 2, equals ? (size_t)(equals - arg - 2) : strlen(arg + 2));
	if (option < 0) {
		refuse(err, "Invalid option '", arg, strlen(arg), "' for --");
		fprintf(err, "%s\nTry: hosted-engine --help %s\n", command->name, command->name);
		return 1;
	}
	if (!command->options[option].value) {
		if (equals)
			return refuse(err, "Option --", arg + 2, (size_t)(equals - arg - 2),
				      " takes no value\n");
		return take_value(command, option, "", out, err, ret);
	}
	if (equals)
		return take_value(command, option, equals + 1, out, err, ret);
	/* A value that begins with dashes is far more often a forgotten one; --name=VALUE can still say it.
	 */
	if (*i + 1 < argc && strncmp(argv[*i + 1], "--", 2) != 0)
		return take_value(command, option, argv[++*i], out, err, ret);
	if (command->options[option].needed) {
		fprintf(out, "%s\n", command->options[option].needed);
		return 1;
	}
	return refuse(err, "Option --", arg + 2, strlen(arg + 2), " needs a value\n");
}

int command_parse(int argc, char *const argv[], FILE *out, FILE *err, struct invocation *ret)
{
	struct invocation call = {0};
	const char *equals;
	char name[64];
	int r;

	if (argc == 0) {
		command_usage(out);
		return 1;
	}

	equals = strchr(argv[0], '=');
	if (strncmp(argv[0], "--", 2) == 0) {
		size_t len = equals ? (size_t)(equals - argv[0]) : strlen(argv[0]);

		if (len < sizeof(name)) {
			memcpy(name, argv[0], len);
			name[len] = '\0';
			call.command = command_find(name);
		}
	}
	if (!call.command || (equals && !call.command->assign)) {
		refuse(err, "Invalid option '", argv[0], strlen(argv[0]), "'\n");
		command_usage(err);
		return 1;
	}

	if (equals) {
		int option = option_index(call.command, call.command->assign, strlen(call.command->assign));

		assert(option >= 0);
		r = take_value(call.command, option, equals + 1, out, err, &call);
		if (r != 0)
			return r;
	}
	for (int i = 1; i < argc; i++) {
		r = take_argument(argc, argv, &i, out, err, &call);
		if (r != 0)
			return r;
	}

	if (!call.help) {
		for (int i = 0; i < COMMAND_OPTIONS_MAX && call.command->options[i].name; i++)
			if (call.command->options[i].needed && !call.values[i]) {
				fprintf(out, "%s\n", call.command->options[i].needed);
				return 1;
			}
		if (call.command->operand && call.command->operand[0] != '[' && !call.operand) {
			fprintf(err, "--%s needs a %s\n", call.command->name, call.command->operand);
			return 1;
		}
	}
	*ret = call;
	return 0;
}

static void put_synopsis(const struct tool_command *command, FILE *out)
{
	fprintf(out, "--%s", command->name);
	if (command->operand)
		fprintf(out, " %s", command->operand);
	for (int i = 0; i < COMMAND_OPTIONS_MAX && command->options[i].name; i++) {
		const struct command_option *option = &command->options[i];

		fprintf(out, option->needed ? " --%s" : " [--%s", option->name);
		if (option->value)
			fprintf(out, "=%s", option->value);
		if (!option->needed)
			fputc(']', out);
	}
	fputc('\n', out);
}

void command_usage(FILE *out)
{
	fputs("Usage: hosted-engine COMMAND [OPTIONS]\n\nCommands:\n", out);
	for (size_t i = 0; i < tool_commands_count; i++) {
		fputs("    ", out);
		put_synopsis(&tool_commands[i], out);
		fprintf(out, "        %s\n", tool_commands[i].help);
	}
	fputs("\nhosted-engine --help COMMAND tells more about one of them.\n", out);
}

/* Lines of `text`, each indented. */
static void put_lines(const char *text, const char *indent, FILE *out)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		fprintf(out, "%s%.*s\n", indent, (int)len, text);
		text += len + (text[len] == '\n');
	}
}

void command_help(const struct tool_command *command, FILE *out)
{
	fputs("Usage: hosted-engine ", out);
	put_synopsis(command, out);
	fprintf(out, "\n    %s\n\n", command->help);
	put_lines(command->details, "", out);
	for (int i = 0; i < COMMAND_OPTIONS_MAX && command->options[i].name; i++) {
		const struct command_option *option = &command->options[i];

		fprintf(out, "%s    --%s%s%s\n", i == 0 ? "\nOptions:\n" : "", option->name,
			option->value ? "=" : "", option->value ? option->value : "");
		put_lines(option->help, "        ", out);
	}
	if (command->deployed)
		fputs("\nWorks on a host where the hosted engine is deployed.\n", out);
}
