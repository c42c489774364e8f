/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides how the lines of a deployment look, and that a password is not echoed. What it shows may come from
 * a server or a file: it is cleaned. */
#include "tools/deploy_terminal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "tools/deploy_break.h"
#include "tools/terminal_text.h"

#define INDENT "          "
#define BAR_WIDTH 40

void terminal_say(const char *level, const char *line)
{
	FILE *out = strcmp(level, "ERROR") == 0 ? stderr : stdout;

	fflush(stdout); /* the two go to one terminal in this order */
	fprintf(out, strcmp(level, "WARNING") == 0 ? "[%s] " : "[ %-5s ] ", level);
	terminal_put(out, line, strlen(line));
	fputc('\n', out);
	fflush(out);
}

void terminal_bar(const char *what, unsigned percent)
{
	unsigned full = percent * BAR_WIDTH / 100;

	if (!what) {
		fputs("\r\033[K", stdout);
		fflush(stdout);
		return;
	}
	printf("\r" INDENT "%s [", what);
	for (unsigned i = 0; i < BAR_WIDTH; i++)
		putchar(i < full ? '#' : ' ');
	printf("] %3u %%", percent);
	fflush(stdout);
}

void terminal_wait(const char *what, int64_t seconds)
{
	if (!what)
		fputs("\r\033[K", stdout);
	else
		printf("\r" INDENT "%s: %lld s", what, (long long)seconds);
	fflush(stdout);
}

static void put_lines(FILE *out, const char *line)
{
	while (*line) {
		size_t length = strcspn(line, "\n");

		if (length > 0)
			fputs(INDENT, out);
		terminal_put(out, line, length);
		fputc('\n', out);
		line += length + (line[length] == '\n');
	}
}

void terminal_tell(void *data, const char *line)
{
	(void)data;
	put_lines(stdout, line);
}

void terminal_refuse(void *data, const char *line)
{
	(void)data;
	put_lines(stderr, line);
}

/* ^\ and ^Z are letters then: the terminal is not left silent, and no core keeps the password. */
static void silence(struct termios *ret_usual)
{
	struct termios silent;

	if (tcgetattr(STDIN_FILENO, ret_usual) < 0)
		return;
	silent = *ret_usual;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	silent.c_lflag |= ECHONL;
	silent.c_cc[VQUIT] = silent.c_cc[VSUSP] = _POSIX_VDISABLE;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
}

/* Is there something to read, before a signal asks to leave? stdin has no buffer: what is there is seen. */
static bool wait_for_line(void)
{
	struct pollfd stdin_fd = {.fd = STDIN_FILENO, .events = POLLIN};
	sigset_t usual;
	int r = -1;

	break_hold(&usual);
	if (!break_asked())
		r = ppoll(&stdin_fd, 1, NULL, &usual);
	sigprocmask(SIG_SETMASK, &usual, NULL);
	return r > 0;
}

int terminal_ask(void *data, const char *prompt, bool secret, char *ret, size_t size)
{
	bool hide = secret && isatty(STDIN_FILENO);
	struct termios usual;
	char *line = NULL;
	size_t room = 0;
	ssize_t n = -1;
	int r = 0;

	(void)data;
	setvbuf(stdin, NULL, _IONBF, 0);
	fputs(INDENT, stdout);
	for (const char *at = prompt; *at;) {
		size_t length = strcspn(at, "\n");

		terminal_put(stdout, at, length);
		at += length;
		if (*at) {
			fputs("\n" INDENT, stdout);
			at++;
		}
	}
	fflush(stdout);
	if (hide)
		silence(&usual);
	if (wait_for_line())
		n = getline(&line, &room, stdin);
	if (hide)
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &usual);
	if (n > 0 && line[n - 1] == '\n')
		line[--n] = '\0';
	if (n < 0 || break_asked())
		r = -ECANCELED;
	else if ((size_t)n >= size || strlen(line) != (size_t)n)
		r = -EMSGSIZE;
	else
		memcpy(ret, line, (size_t)n + 1);
	if (line)
		explicit_bzero(line, room);
	free(line);
	return r;
}
