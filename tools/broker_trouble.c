/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which words an error of the broker's client becomes. The broker's own text goes before ours: it
 * knows more. */
#include "tools/broker_trouble.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/terminal_text.h"

static const char *words(int error)
{
	switch (-error) {
	case ENOTCONN:
		return "the broker is not running or has just ended: see systemctl status ovirt-ha-broker";
	case EACCES:
	case EPERM:
		return "not permitted: reading needs root or the group ovirt-ha, changing needs root or the "
		       "user ovirt-ha";
	case ETIMEDOUT:
		return "no answer in time: see systemctl status ovirt-ha-broker ovirt-ha-agent";
	case EPROTO:
		return "the broker is of another version than this command: restart ovirt-ha-broker after an "
		       "upgrade";
	case EHOSTDOWN:
		return "the agent is not running: see systemctl status ovirt-ha-agent";
	default:
		return strerror(-error);
	}
}

void broker_trouble_put(FILE *out, int error, const char *text)
{
	if (!text[0])
		text = words(error);
	terminal_put(out, text, strlen(text));
}

char *broker_trouble_text(int error, const char *text)
{
	char *ret = NULL;
	size_t size;
	FILE *memory = open_memstream(&ret, &size);

	if (!memory)
		return NULL;
	broker_trouble_put(memory, error, text);
	if (fclose(memory) == 0)
		return ret;
	free(ret);
	return NULL;
}

int broker_trouble_say(int error, const char *text)
{
	/* A time-out with a text is the broker's: it answered. */
	if (error == -ENOTCONN || error == -EPROTO || error == -EHOSTDOWN ||
	    (error == -ETIMEDOUT && !text[0]))
		fputs("Cannot connect to the HA daemon, please check the logs.\n", stderr);
	broker_trouble_put(stderr, error, text);
	fputc('\n', stderr);
	return 1;
}

void broker_text_put(FILE *out, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		terminal_put(out, text, len);
		fputc('\n', out);
		text += len + (text[len] == '\n');
	}
}
