/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What one of the tools understands: one table of commands with their options, help and functions. Parsing,
 * usage, help, the completion file and the option list of the man page all follow it (the last two are tested
 * equal). Parsing is strict: no abbreviations, nothing given twice, nothing left over. Nothing here talks to
 * the broker; the tools' main functions call it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define COMMAND_OPTIONS_MAX 6

struct command_option {
	const char *name;   /* without dashes */
	const char *alias;  /* accepted too, since guides print it, and not shown; NULL: none */
	const char *value;  /* what it takes, for people: "FILE", "global|local|none"; NULL: takes none */
	const char *needed; /* what to say when it is missing; NULL: it may be */
	bool words;	    /* `value` lists all allowed words */
	bool secret;	    /* its value is taken out of the arguments, which others can see */
	const char *help;
};

struct invocation;

struct tool_command {
	const char *name;    /* without dashes */
	const char *alias;   /* as of an option */
	const char *operand; /* what it takes by itself: "FILE"; "[COMMAND]" may be left out; NULL: none */
	const char *second;  /* what it takes after that, never left out; NULL: nothing */
	const char *operand_needed,
		*second_needed; /* what to say when it is missing; NULL: the usual words */
	const char *assign;	/* the option that `--name=VALUE` stands for, NULL: none */
	struct command_option options[COMMAND_OPTIONS_MAX]; /* ends with a NULL name or the array */
	const char *help;				    /* one line */
	const char *details;				    /* lines of the long help */
	bool deployed;					    /* E1 where the host is not deployed */
	bool root;					    /* another user is refused, and logged */
	/* Returns the exit code. */
	int (*run)(const struct invocation *call);
};

struct command_set {
	const char *program;
	const char *dashes;		     /* before a command: "--", or "" */
	const struct tool_command *commands; /* the first is `help` */
	size_t n_commands;
};

struct invocation {
	const struct command_set *set;
	const struct tool_command *command;
	const char *operand, *second;		 /* NULL: not given */
	const char *values[COMMAND_OPTIONS_MAX]; /* by the option's place; NULL: not given, "" for one without
						    value */
	bool help;				 /* --help beside the command */
};

/* The command of that name, with or without its two dashes; NULL: there is none. */
const struct tool_command *command_find(const struct command_set *set, const char *name);
/* The option's value in the call, NULL: not given. The name must be one of the command's. */
const char *invocation_value(const struct invocation *call, const char *option);

/* Reads the arguments after the program's name. 0, or the exit code after it said what is wrong: `out` gets
 * what scripts know from stdout, `err` the rest. */
int command_parse(const struct command_set *set, int argc, char *const argv[], FILE *out, FILE *err,
		  struct invocation *ret);
void command_usage(const struct command_set *set, FILE *out);
void command_help(const struct command_set *set, const struct tool_command *command, FILE *out);

/* What `help` does. */
int command_run_help(const struct invocation *call);

/* A tool's whole main function: parses, asks `check` (NULL: nothing to ask) of a command that needs a
 * deployed host, runs. Output that could not be written is a failure. Returns the exit code. */
int command_main(const struct command_set *set, int argc, char *argv[], int (*check)(FILE *out, FILE *err));
