/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One run of the command; its output goes through files, so that no amount of it blocks anybody. */
#include "tests/unit/command_run.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *slurp(FILE *f)
{
	char *text = NULL;
	size_t size = 0;

	rewind(f);
	if (getdelim(&text, &size, '\0', f) < 0) {
		free(text);
		text = strdup("");
	}
	fclose(f);
	assert(text);
	return text;
}

int command_run(const char *const *args, char **ret_out, char **ret_err)
{
	FILE *out = tmpfile(), *err = tmpfile();
	int status;
	pid_t pid;

	assert(out && err);
	pid = fork();
	assert(pid >= 0);
	if (pid == 0) {
		char *argv[COMMAND_ARGS_MAX + 2] = {(char *)"hosted-engine"};

		for (int i = 0; i < COMMAND_ARGS_MAX && args[i]; i++)
			argv[i + 1] = (char *)args[i];
		dup2(fileno(out), STDOUT_FILENO);
		dup2(fileno(err), STDERR_FILENO);
		alarm(30);
		execv(getenv("HOSTED_ENGINE"), argv);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid)
		status = -1;
	*ret_out = slurp(out);
	*ret_err = slurp(err);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
