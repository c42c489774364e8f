/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The strict parser over a table of commands, and the help made from it. Decides what a command line means
 * and what is said about a wrong one; does nothing of it. */
#include "tools/command_line.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "tools/terminal_text.h"

static bool is_help(const struct tool_command *command)
{
	return strcmp(command->name, "help") == 0;
}

const struct tool_command *command_find(const struct command_set *set, const char *name)
{
	if (strncmp(name, "--", 2) == 0)
		name += 2;
	for (size_t i = 0; i < set->n_commands; i++)
		if (strcmp(set->commands[i].name, name) == 0 ||
		    (set->commands[i].alias && strcmp(set->commands[i].alias, name) == 0))
			return &set->commands[i];
	return NULL;
}

static bool is_name(const char *known, const char *name, size_t len)
{
	return known && strlen(known) == len && memcmp(known, name, len) == 0;
}

static int option_index(const struct tool_command *command, const char *name, size_t len)
{
	for (int i = 0; i < COMMAND_OPTIONS_MAX && command->options[i].name; i++)
		if (is_name(command->options[i].name, name, len) ||
		    is_name(command->options[i].alias, name, len))
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
	terminal_put_word(to, word, len);
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
		terminal_put_word(out, value, strlen(value));
		fprintf(out, "' for --%s\n", option->name);
		fprintf(err, "Give one of: %s\n", option->value);
		return 1;
	}
	ret->values[i] = value;
	if (option->secret) {
		/* It lives as long as the call. */
		ret->values[i] = strdup(value);
		if (!ret->values[i])
			return refuse(err, "Out of memory", "", 0, "\n");
		memset((char *)value, '*', strlen(value));
	}
	return 0;
}

/* A word that the command does not take. */
static int invalid(const struct invocation *call, const char *what, const char *word, FILE *err)
{
	fprintf(err, "Invalid %s", what);
	refuse(err, " '", word, strlen(word), "' for ");
	fprintf(err, "%s%s\nTry: %s --help %s\n", call->set->dashes, call->command->name, call->set->program,
		call->command->name);
	return 1;
}

static int take_argument(int argc, char *const argv[], int *i, FILE *out, FILE *err, struct invocation *ret)
{
	const struct tool_command *command = ret->command;
	const char *arg = argv[*i], *equals;
	int option;

	if (strncmp(arg, "--", 2) != 0 || is_help(command)) {
		if (command->operand && !ret->operand)
			ret->operand = arg;
		else if (command->second && !ret->second)
			ret->second = arg;
		else
			return invalid(ret, "argument", arg, err);
		return 0;
	}
	if (strcmp(arg, "--help") == 0) {
		ret->help = true;
		return 0;
	}

	equals = strchr(arg, '=');
	option = option_index(command, arg + 2, equals ? (size_t)(equals - arg - 2) : strlen(arg + 2));
	if (option < 0)
		return invalid(ret, "option", arg, err);
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

static int missing_operand(const struct invocation *call, const char *name, const char *needed, FILE *out,
			   FILE *err)
{
	if (needed)
		fprintf(out, "%s\n", needed);
	else
		fprintf(err, "%s%s needs a %s\n", call->set->dashes, call->command->name, name);
	return 1;
}

static int no_command(const struct command_set *set, const char *word, FILE *err)
{
	refuse(err, set->dashes[0] ? "Invalid option '" : "Invalid command '", word, strlen(word), "'\n");
	command_usage(set, err);
	return 1;
}

/* The command that a word of `len` bytes calls: written as the set has it, or --help. NULL: none. */
static const struct tool_command *called(const struct command_set *set, const char *word, size_t len)
{
	const struct tool_command *command;
	bool dashed = strncmp(word, "--", 2) == 0;
	char name[64];

	if (len >= sizeof(name))
		return NULL;
	memcpy(name, word, len);
	name[len] = '\0';
	command = command_find(set, name);
	if (command && dashed != (set->dashes[0] != '\0') && !(dashed && is_help(command)))
		return NULL;
	return command;
}

int command_parse(const struct command_set *set, int argc, char *const argv[], FILE *out, FILE *err,
		  struct invocation *ret)
{
	struct invocation call = {.set = set};
	const char *equals;
	int r;

	if (argc == 0) {
		command_usage(set, out);
		return 1;
	}

	equals = strchr(argv[0], '=');
	call.command = called(set, argv[0], equals ? (size_t)(equals - argv[0]) : strlen(argv[0]));
	if (!call.command || (equals && !call.command->assign))
		return no_command(set, argv[0], err);

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
		if (call.command->operand && call.command->operand[0] != '[' && !call.operand)
			return missing_operand(&call, call.command->operand, call.command->operand_needed,
					       out, err);
		if (call.command->second && !call.second)
			return missing_operand(&call, call.command->second, call.command->second_needed, out,
					       err);
	}
	*ret = call;
	return 0;
}

static void put_synopsis(const struct command_set *set, const struct tool_command *command, FILE *out)
{
	fprintf(out, "%s%s", set->dashes, command->name);
	if (command->operand)
		fprintf(out, " %s", command->operand);
	if (command->second)
		fprintf(out, " %s", command->second);
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

void command_usage(const struct command_set *set, FILE *out)
{
	fprintf(out, "Usage: %s COMMAND [OPTIONS]\n\nCommands:\n", set->program);
	for (size_t i = 0; i < set->n_commands; i++) {
		fputs("    ", out);
		put_synopsis(set, &set->commands[i], out);
		fprintf(out, "        %s\n", set->commands[i].help);
	}
	fprintf(out, "\n%s --help COMMAND tells more about one of them.\n", set->program);
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

void command_help(const struct command_set *set, const struct tool_command *command, FILE *out)
{
	fprintf(out, "Usage: %s ", set->program);
	put_synopsis(set, command, out);
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
	if (command->root)
		fputs("\nNeeds root.\n", out);
}

int command_run_help(const struct invocation *call)
{
	const struct tool_command *command;

	if (!call->operand) {
		command_usage(call->set, stdout);
		return 0;
	}
	command = command_find(call->set, call->operand);
	if (!command)
		return no_command(call->set, call->operand, stderr);
	command_help(call->set, command, stdout);
	return 0;
}

/* What the broker does not stand before: its own checks would be another's. */
static int check_user(const struct invocation *call)
{
	if (!call->command->root || geteuid() == 0)
		return 0;
	fprintf(stderr, "%s%s needs root: run it with sudo\n", call->set->dashes, call->command->name);
	openlog(call->set->program, LOG_PID, LOG_AUTHPRIV);
	syslog(LOG_NOTICE, "%s%s refused uid=%u: it needs root", call->set->dashes, call->command->name,
	       getuid());
	closelog();
	return 1;
}

int command_main(const struct command_set *set, int argc, char *argv[], int (*check)(FILE *out, FILE *err))
{
	struct invocation call;
	int code = command_parse(set, argc > 0 ? argc - 1 : 0, argv + 1, stdout, stderr, &call);

	if (code == 0) {
		if (call.help)
			command_help(set, call.command, stdout);
		else if ((code = check_user(&call)) == 0 && call.command->deployed && check)
			code = check(stdout, stderr);
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
