/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides what a signal does, and when. Handlers write a line at most. */
#include "tools/deploy_break.h"

#include <stddef.h>
#include <unistd.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
#define SIGNALS (sizeof(signals) / sizeof(signals[0]))

/* A handler may not do more. */
static volatile sig_atomic_t asked;

static void leave(int number)
{
	static const char line[] = "\nLeaving; another ^C leaves the storage to hosted-engine-cleanup\n";

	(void)number;
	asked = 1;
	(void)!write(STDERR_FILENO, line, sizeof(line) - 1);
}

static void end(int number)
{
	static const char line[] =
		"\n[ ERROR ] Broken off: hosted-engine-cleanup takes this host back to before; then "
		"--deploy may be tried again\n";

	(void)number;
	(void)!write(STDERR_FILENO, line, sizeof(line) - 1);
	_exit(1);
}

static void handle(void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags}, before;

	for (size_t i = 0; i < SIGNALS; i++) {
		/* nohup(1) has one of them ignored. */
		if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
}

void break_leave(void)
{
	handle(leave, SA_RESETHAND);
}

bool break_asked(void)
{
	return asked;
}

void break_end(void)
{
	handle(end, 0);
}

void break_hold(sigset_t *ret)
{
	sigset_t held;

	sigemptyset(&held);
	for (size_t i = 0; i < SIGNALS; i++)
		sigaddset(&held, signals[i]);
	sigprocmask(SIG_BLOCK, &held, ret);
}
