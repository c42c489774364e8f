/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tables of the tools' commands: command lines and what is made of them, and that completion files and
 * man pages say the same as the tables. */
#include "tools/command_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/simulator/simulator_table.h"

#define ARGS_MAX 5

static const struct {
	const struct command_set *set;
	const char *page, *completion;
} tools[] = {
	{&hosted_engine_commands, "man/hosted-engine.8.scd", "tools/hosted-engine.bash"},
	{&simulator_commands, "man/hosted-engine-sim.1.scd", "tools/simulator/hosted-engine-sim.bash"},
};

static void test_lines(void **state)
{
	static const struct {
		const char *name;
		const char *args[ARGS_MAX];
		int code;
		const char *command, *option, *value, *operand;
		const char *out, *err; /* beginnings; NULL: empty */
	} rows[] = {
		{"status", {"--vm-status"}, 0, "vm-status", "json", NULL, NULL, NULL, NULL},
		{"status as JSON", {"--vm-status", "--json"}, 0, "vm-status", "json", "", NULL, NULL, NULL},
		{"mode by equals",
		 {"--set-maintenance", "--mode=global"},
		 0,
		 "set-maintenance",
		 "mode",
		 "global",
		 NULL,
		 NULL,
		 NULL},
		{"mode by word",
		 {"--set-maintenance", "--mode", "none"},
		 0,
		 "set-maintenance",
		 "mode",
		 "none",
		 NULL,
		 NULL,
		 NULL},
		{"mode as the guides print it",
		 {"--set-maintenance=local"},
		 0,
		 "set-maintenance",
		 "mode",
		 "local",
		 NULL,
		 NULL,
		 NULL},
		{"operand",
		 {"--dump-whiteboard", "f", "--json"},
		 0,
		 "dump-whiteboard",
		 "json",
		 "",
		 "f",
		 NULL,
		 NULL},
		{"operand last",
		 {"--dump-whiteboard", "--json", "f"},
		 0,
		 "dump-whiteboard",
		 "json",
		 "",
		 "f",
		 NULL,
		 NULL},
		{"help of one", {"--help", "--vm-status"}, 0, "help", NULL, NULL, "--vm-status", NULL, NULL},
		{"help beside it",
		 {"--set-maintenance", "--help"},
		 0,
		 "set-maintenance",
		 "mode",
		 NULL,
		 NULL,
		 NULL,
		 NULL},
		{"a file",
		 {"--vm-start", "--vm-conf=/a=b"},
		 0,
		 "vm-start",
		 "vm-conf",
		 "/a=b",
		 NULL,
		 NULL,
		 NULL},

		{"nothing", {NULL}, 1, NULL, NULL, NULL, NULL, "Usage: ", NULL},
		{"unknown",
		 {"--vm-stat"},
		 1,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "Invalid option '--vm-stat'\nUsage: "},
		{"without dashes",
		 {"vm-status"},
		 1,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "Invalid option 'vm-status'\nUsage: "},
		{"escape codes",
		 {"--\x1b[31m"},
		 1,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "Invalid option '--?[31m'\n"},
		{"value where none goes",
		 {"--vm-status=1"},
		 1,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "Invalid option '--vm-status=1'\n"},
		{"unknown option",
		 {"--vm-status", "--yaml"},
		 1,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "Invalid option '--yaml' for --vm-status\n"},
		{"abbreviated option",
		 {"--vm-status", "--js"},
		 1,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "Invalid option '--js' for --vm-status\n"},
		{"value of an option without",
		 {"--vm-status", "--json=1"},
		 1,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "Option --json takes no value\n"},
		{"twice",
		 {"--vm-status", "--json", "--json"},
		 1,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "Option --json is given twice\n"},
		{"left over",
		 {"--vm-status", "x"},
		 1,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "Invalid argument 'x' for --vm-status\n"},
		{"no mode",
		 {"--set-maintenance"},
		 1,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "You must specify a maintenance mode with --mode\n",
		 NULL},
		{"mode without value",
		 {"--set-maintenance", "--mode"},
		 1,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "You must specify a maintenance mode with --mode\n",
		 NULL},
		{"unknown mode",
		 {"--set-maintenance", "--mode=x"},
		 1,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "Invalid value 'x' for --mode\n",
		 "Give one of: global|local|none\n"},
		{"unknown type",
		 {"--get-shared-config", "fqdn", "--type=x"},
		 1,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "Invalid value 'x' for --type\n",
		 "Give one of: he_local|he_shared|ha|broker\n"},
		{"half a mode",
		 {"--set-maintenance", "--mode=glob"},
		 1,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "Invalid value 'glob' for --mode\n",
		 "Give one of: global|local|none\n"},
		{"empty mode",
		 {"--set-maintenance="},
		 1,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "Invalid value '' for --mode\n",
		 "Give one of: global|local|none\n"},
		{"two modes",
		 {"--set-maintenance=global", "--mode=none"},
		 1,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "Option --mode is given twice\n"},
		{"no file",
		 {"--dump-whiteboard"},
		 1,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "--dump-whiteboard needs a FILE\n"},
		{"two files",
		 {"--dump-whiteboard", "a", "b"},
		 1,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "Invalid argument 'b' for --dump-whiteboard\n"},
		{"no value",
		 {"--vm-start", "--vm-conf"},
		 1,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "Option --vm-conf needs a value\n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *args[ARGS_MAX + 1] = {NULL}, *out_text = NULL, *err_text = NULL;
		struct invocation call = {0};
		size_t size;
		int argc = 0;
		FILE *out = open_memstream(&out_text, &size), *err = open_memstream(&err_text, &size);

		print_message("# %s\n", rows[i].name);
		assert_true(out && err);
		for (; argc < ARGS_MAX && rows[i].args[argc]; argc++)
			args[argc] = (char *)rows[i].args[argc];
		assert_int_equal(command_parse(&hosted_engine_commands, argc, args, out, err, &call),
				 rows[i].code);
		fclose(out);
		fclose(err);
		if (rows[i].out)
			assert_memory_equal(out_text, rows[i].out, strlen(rows[i].out));
		else
			assert_string_equal(out_text, "");
		if (rows[i].err)
			assert_memory_equal(err_text, rows[i].err, strlen(rows[i].err));
		else
			assert_string_equal(err_text, "");
		if (rows[i].code == 0) {
			assert_string_equal(call.command->name, rows[i].command);
			if (rows[i].operand)
				assert_string_equal(call.operand, rows[i].operand);
			else
				assert_null(call.operand);
			if (rows[i].option && rows[i].value)
				assert_string_equal(invocation_value(&call, rows[i].option), rows[i].value);
			else if (rows[i].option)
				assert_null(invocation_value(&call, rows[i].option));
		}
		free(out_text);
		free(err_text);
	}
}

/* What others could see of this process is gone, and the command has it. */
static void test_secret(void **state)
{
	static const struct {
		const char *first, *second, *seen;
	} rows[] = {{"--password=geheim", NULL, "--password=******"}, {"--password", "geheim", "******"}};

	for (size_t i = 0; i < 2; i++) {
		char name[] = "--add-console-password", first[32], second[32] = "";
		char *args[] = {name, first, second};
		struct invocation call;

		strcpy(first, rows[i].first);
		if (rows[i].second)
			strcpy(second, rows[i].second);
		assert_int_equal(command_parse(&hosted_engine_commands, rows[i].second ? 3 : 2, args, stdout,
					       stderr, &call),
				 0);
		assert_string_equal(invocation_value(&call, "password"), "geheim");
		assert_string_equal(rows[i].second ? second : first, rows[i].seen);
		free((char *)invocation_value(&call, "password"));
	}
}

/* Guides print these; the help does not. */
static void test_aliases(void **state)
{
	char clean[] = "--clean_metadata", force[] = "--force-clean";
	char *args[] = {clean, force};
	struct invocation call;

	assert_int_equal(command_parse(&hosted_engine_commands, 2, args, stdout, stderr, &call), 0);
	assert_string_equal(call.command->name, "clean-metadata");
	assert_non_null(invocation_value(&call, "force-cleanup"));
}

static char *read_source(const char *name)
{
	const char *root = getenv("SOURCE_ROOT");
	char path[4096], *text = NULL;
	size_t size = 0;
	ssize_t n;
	FILE *f;

	assert_non_null(root);
	snprintf(path, sizeof(path), "%s/%s", root, name);
	f = fopen(path, "r");
	assert_non_null(f);
	n = getdelim(&text, &size, '\0', f);
	assert_true(n > 0);
	fclose(f);
	return text;
}

/* The lines of `text` from after the line `from` to before the line `to` that `keep` says yes to equal
 * `wanted`. */
static void assert_lines(const char *text, const char *from, const char *to, const char *begin,
			 const char *wanted)
{
	char *found = NULL;
	size_t size;
	FILE *out = open_memstream(&found, &size);
	const char *line = strstr(text, from), *end;

	assert_non_null(out);
	assert_non_null(line);
	line += strlen(from);
	end = strstr(line, to);
	assert_non_null(end);
	while (line < end) {
		size_t len = strcspn(line, "\n");

		if (strncmp(line, begin, strlen(begin)) == 0)
			fprintf(out, "%.*s\n", (int)len, line);
		line += len + 1;
	}
	fclose(out);
	assert_string_equal(found, wanted);
	free(found);
}

static void check_page(const struct command_set *set, const char *name)
{
	char *page = read_source(name), *wanted = NULL, begin[8];
	size_t size;
	FILE *out = open_memstream(&wanted, &size);

	assert_non_null(out);
	for (size_t i = 0; i < set->n_commands; i++) {
		const struct tool_command *c = &set->commands[i];

		fprintf(out, "*%s%s*", set->dashes, c->name);
		if (c->operand)
			fprintf(out, " %s", c->operand);
		if (c->second)
			fprintf(out, " %s", c->second);
		for (int k = 0; k < COMMAND_OPTIONS_MAX && c->options[k].name; k++) {
			const struct command_option *o = &c->options[k];

			fprintf(out, o->needed ? " --%s%s%s" : " [--%s%s%s]", o->name, o->value ? "=" : "",
				o->value ? o->value : "");
		}
		fputc('\n', out);
	}
	fclose(out);
	snprintf(begin, sizeof(begin), "*%s", set->dashes);
	assert_lines(page, "# COMMANDS\n", "\n# ", begin, wanted);
	free(wanted);
	free(page);
}

/* The man page's entries are the table's, in its order, with the same options. */
static void test_man_page(void **state)
{
	for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++)
		check_page(tools[i].set, tools[i].page);
}

static void check_completion(const struct command_set *set, const char *name)
{
	char *file = read_source(name), *options = NULL, *values = NULL;
	size_t size;
	FILE *out = open_memstream(&options, &size), *value_out = open_memstream(&values, &size);

	assert_true(out && value_out);
	for (size_t i = 0; i < set->n_commands; i++) {
		const struct tool_command *c = &set->commands[i];
		const char *space = "";

		fprintf(out, "\t\t[%s%s]=\"", set->dashes, c->name);
		if (strcmp(c->name, "help") == 0)
			for (size_t k = 1; k < set->n_commands; k++, space = " ")
				fprintf(out, "%s%s%s", space, set->dashes, set->commands[k].name);
		for (int k = 0; k < COMMAND_OPTIONS_MAX && c->options[k].name; k++, space = " ")
			fprintf(out, "%s--%s%s", space, c->options[k].name, c->options[k].value ? "=" : "");
		fputs("\"\n", out);

		if (c->operand && c->operand[0] != '[') {
			fprintf(value_out, "\t\t[%s%s]=\"", set->dashes, c->name);
			for (const char *p = c->operand; *p; p++)
				fputc(*p == '|' ? ' ' : *p, value_out);
			fputs("\"\n", value_out);
		}
		for (int k = 0; k < COMMAND_OPTIONS_MAX && c->options[k].name; k++) {
			char entry[128];

			if (!c->options[k].value)
				continue;
			snprintf(entry, sizeof(entry), "\t\t[--%s]=\"%s\"\n", c->options[k].name,
				 c->options[k].value);
			for (char *p = entry; *p; p++)
				if (*p == '|')
					*p = ' ';
			/* Two commands may have the same option. */
			fflush(value_out);
			if (!strstr(values, entry))
				fputs(entry, value_out);
		}
	}
	fclose(out);
	fclose(value_out);
	assert_lines(file, "local -A options=(\n", "\t)\n", "\t\t[", options);
	assert_lines(file, "local -A values=(\n", "\t)\n", "\t\t[", values);
	free(options);
	free(values);
	free(file);
}

/* So are the two tables of the completion file. */
static void test_completion(void **state)
{
	for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++)
		check_completion(tools[i].set, tools[i].completion);
}

static void check_help(const struct command_set *set)
{
	char *usage = NULL;
	size_t size;
	FILE *out = open_memstream(&usage, &size);

	assert_non_null(out);
	command_usage(set, out);
	fclose(out);
	for (size_t i = 0; i < set->n_commands; i++) {
		const struct tool_command *c = &set->commands[i];
		char *help = NULL;

		assert_non_null(strstr(usage, c->name));
		assert_non_null(strstr(usage, c->help));
		out = open_memstream(&help, &size);
		assert_non_null(out);
		command_help(set, c, out);
		fclose(out);
		assert_non_null(strstr(help, c->details));
		for (int k = 0; k < COMMAND_OPTIONS_MAX && c->options[k].name; k++)
			assert_non_null(strstr(help, c->options[k].name));
		free(help);
		assert_ptr_equal(command_find(set, c->name), c);
	}
	free(usage);
}

/* Usage names every command with its line of help, and help of each its options. */
static void test_help(void **state)
{
	for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++)
		check_help(tools[i].set);
}

/* Commands without dashes: --help alone is known with them, too. */
static void test_words(void **state)
{
	static const struct {
		const char *args[ARGS_MAX];
		const char *command, *err;
	} rows[] = {
		{{"scores"}, "scores", NULL},
		{{"scores", "--json"}, "scores", NULL},
		{{"--help"}, "help", NULL},
		{{"help", "scores"}, "help", NULL},
		{{"replay", "-"}, "replay", NULL},
		{{"--scores"}, NULL, "Invalid command '--scores'\nUsage: "},
		{{"score"}, NULL, "Invalid command 'score'\nUsage: "},
		{{"replay"}, NULL, "replay needs a "},
		{{"scores", "x"},
		 NULL,
		 "Invalid argument 'x' for scores\nTry: hosted-engine-sim --help scores\n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *args[ARGS_MAX + 1] = {NULL}, *err_text = NULL;
		struct invocation call = {0};
		size_t size;
		FILE *err = open_memstream(&err_text, &size);
		int argc = 0;

		assert_non_null(err);
		for (; argc < ARGS_MAX && rows[i].args[argc]; argc++)
			args[argc] = (char *)rows[i].args[argc];
		assert_int_equal(command_parse(&simulator_commands, argc, args, err, err, &call),
				 rows[i].err ? 1 : 0);
		fclose(err);
		if (rows[i].err)
			assert_memory_equal(err_text, rows[i].err, strlen(rows[i].err));
		else
			assert_string_equal(call.command->name, rows[i].command);
		free(err_text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secret),	   cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_lines),	   cmocka_unit_test(test_man_page),
		cmocka_unit_test(test_completion), cmocka_unit_test(test_help),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
