/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --console and --add-console-password. Decide where a password comes from, and that nobody else sees it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "daemon/agent_conf.h"
#include "tools/commands.h"
#include "tools/deployment.h"
#include "tools/engine_libvirt.h"
#include "tools/json_text.h"
#include "tools/terminal_text.h"
#include "util/cleanup.h"
#include "util/paths.h"

#define VALID_S 120
#define PASSWORD_VARIABLE "OVIRT_HOSTED_ENGINE_CONSOLE_PASSWORD"
#define PASSWORD_MAX 256

struct where {
	struct engine_conf engine;
	struct agent_conf agent;
};

/* As far as it can be understood: the rest is the daemons' affair. */
static bool load(struct where *ret)
{
	struct problems quiet = {0};
	char path[PATH_MAX];

	if (!deployment_load(stderr, &ret->engine))
		return false;
	(void)agent_conf_load(file_path(FILE_AGENT_CONF, path), &ret->engine, &ret->agent, &quiet);
	return true;
}

static int say(int error, const char *what, const char *why)
{
	if (error == -ENOENT) {
		puts("The engine VM is not on this host");
		return 1;
	}
	if (error == -EACCES || error == -EPERM || !why[0])
		why = strerror(-error);
	fprintf(stderr, "%s: ", what);
	terminal_put(stderr, why, strlen(why));
	fputs("; as root, see systemctl status libvirtd\n", stderr);
	return 1;
}

static void say_here(void)
{
	puts("The engine VM is running on this host");
	if (isatty(STDIN_FILENO))
		puts("Leave with ^]");
	fflush(stdout);
}

int command_run_console(const struct invocation *call)
{
	char why[ENGINE_LIBVIRT_WHY_MAX];
	struct where where;
	int r;

	if (!load(&where))
		return 1;
	r = engine_console(where.agent.libvirt_uri, where.engine.vmid, say_here, why);
	return r < 0 ? say(r, "The console cannot be opened", why) : 0;
}

/* From the terminal, without showing it. 0 or 1. */
static int ask(char ret[PASSWORD_MAX])
{
	_cleanup_fclose_ FILE *terminal = fopen("/dev/tty", "r+e");
	struct termios usual, silent;
	sigset_t all, before;
	bool got;

	if (!terminal || tcgetattr(fileno(terminal), &usual) < 0) {
		fputs("No password: give it in the environment, " PASSWORD_VARIABLE ", or on a terminal\n",
		      stderr);
		return 1;
	}
	/* The terminal is not left silent by ^C: it waits until the line is read. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	silent = usual;
	silent.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	silent.c_lflag |= ECHONL;
	tcsetattr(fileno(terminal), TCSAFLUSH, &silent);
	fputs("Password: ", terminal);
	fflush(terminal);
	got = fgets(ret, PASSWORD_MAX, terminal);
	tcsetattr(fileno(terminal), TCSAFLUSH, &usual);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (got)
		ret[strcspn(ret, "\n")] = '\0';
	return got ? 0 : 1;
}

static int take_password(const struct invocation *call, char ret[PASSWORD_MAX])
{
	const char *given = invocation_value(call, "password");

	if (!given)
		given = getenv(PASSWORD_VARIABLE);
	if (given)
		snprintf(ret, PASSWORD_MAX, "%s", given);
	else if (ask(ret) != 0)
		return 1;
	if (ret[0])
		return 0;
	fputs("An empty password would let nobody in: give another one\n", stderr);
	return 1;
}

int command_run_add_console_password(const struct invocation *call)
{
	char why[ENGINE_LIBVIRT_WHY_MAX], password[PASSWORD_MAX], address[300];
	bool json = invocation_value(call, "json");
	struct where where;
	int r;

	if (!load(&where) || take_password(call, password) != 0)
		return 1;
	r = engine_vnc_password(where.agent.libvirt_uri, where.engine.vmid, password, VALID_S, address,
				sizeof(address), why);
	explicit_bzero(password, sizeof(password));
	if (json && (r == 0 || r == -ENOENT))
		return json_answer(json_pack("{s:o, s:i}", "address", json_detail(r == 0 ? address : ""),
					     "valid-for", r == 0 ? VALID_S : 0),
				   r < 0);
	if (r == -ENODEV) {
		fputs("The engine VM has no VNC display: add <graphics type='vnc'> to its definition\n",
		      stderr);
		return 1;
	}
	if (r == -EREMOTEIO)
		/* QEMU takes one for a display that had one when it started. */
		fputs("The VM's definition must give its display a password from the start: passwd= of "
		      "<graphics "
		      "type='vnc'>,\nwith passwdValidTo= in the past while it is to let nobody in.\n",
		      stderr);
	if (r < 0)
		return say(r, "The password cannot be set", why);
	printf("You can now connect the hosted-engine VM with VNC at %s\n", address);
	return 0;
}
