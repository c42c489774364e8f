/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --vm-migrate: asks the agent here to move the VM live to another host, and with --wait says how far it is
 * and how it ended; ^C cancels it then. It finds out which host is meant; whether that one can take the VM
 * the agent decides. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/broker_client.h"
#include "metadata/record.h"
#include "tools/broker_trouble.h"
#include "tools/commands.h"
#include "tools/json_text.h"
#include "tools/terminal_text.h"
#include "tools/vm_answer.h"
#include "util/cleanup.h"

#define ANSWER_MS 5000
#define BEGIN_MS 70000 /* the agent has 30 s to begin, and its record as long to be written */
#define LOOK_NS (500 * 1000 * 1000)

CLEANUP_DEFINE(struct broker_client *, broker_client_close)

struct move {
	bool json;
	char id[TEXT_MAX]; /* "": the best host */
	char to[TEXT_MAX]; /* its name, "": not yet */
};

/* How it ended, on stdout where JSON is wanted: `moved` below 0 is not known, or not yet. Returns `code`. */
static int end(const struct move *move, int moved, const char *detail, int code)
{
	return !move->json ? code
			   : json_answer(json_pack("{s:o, s:o, s:o}", "to", json_detail(move->to), "moved",
						   json_known(moved), "detail", json_detail(detail)),
					 code);
}

/* Says the line. */
static int refuse(const struct move *move, int moved, const char *why)
{
	terminal_put(stderr, why, strlen(why));
	fputc('\n', stderr);
	return end(move, moved, why, 1);
}

static int trouble(const struct move *move, int moved, int error, const char *text)
{
	_cleanup_free_ char *why = broker_trouble_text(error, text);

	broker_trouble_say(error, text);
	return end(move, vm_answer_lost(error, text) ? -1 : moved, why, 1);
}

/* The whole name, or what stands before its first dot. */
static bool is_name(const char *name, const char *wanted)
{
	size_t length = strlen(wanted);

	return strncmp(name, wanted, length) == 0 && (name[length] == '\0' || name[length] == '.');
}

/* The id as text: whom a record calls so, or the number itself. */
static int find_host(struct broker_client *client, const char *wanted, struct move *move)
{
	_cleanup_free_ struct slot_block *blocks = NULL;
	unsigned found = 0;
	size_t n;
	int r;

	/* An empty variable of a script's: no host at all would be the best one. */
	if (!*wanted)
		return refuse(move, 0, "--host: give a host id or a name; see hosted-engine --vm-status");
	if (wanted[strspn(wanted, "0123456789")] == '\0') {
		snprintf(move->id, TEXT_MAX, "%.10s", wanted);
		return 0;
	}
	r = broker_client_all_blocks(client, ANSWER_MS, &blocks, &n);
	if (r < 0)
		return trouble(move, 0, r, "");
	for (size_t i = 0; i < n; i++) {
		char cause[RECORD_CAUSE_SIZE];
		struct record record;

		if (blocks[i].id == 0 ||
		    record_decode(blocks[i].block, (uint16_t)blocks[i].id, &record, cause) != RECORD_OK)
			continue;
		if (!is_name(record.hostname, wanted))
			continue;
		found++;
		snprintf(move->id, TEXT_MAX, "%u", blocks[i].id);
	}
	if (found == 1)
		return 0;
	return refuse(move, 0,
		      found == 0 ? "--host: no host is called so; see hosted-engine --vm-status"
				 : "--host: more than one host is called so, give the id; see hosted-engine "
				   "--vm-status");
}

/* On a terminal alone, over and over in one line. True: there is such a line. */
static bool show_progress(int32_t copied)
{
	if (!isatty(STDERR_FILENO) || copied < 0)
		return false;
	fprintf(stderr, "\rmemory copied: %3d %%", copied / 10);
	return true;
}

static int tell_end(const struct move *move, const struct status_reply *status)
{
	const struct publish_request *said = &status->published;
	char why[MOVE_FAILED_MAX + 96];

	if (!status->agent_connected)
		return refuse(move, -1,
			      "The agent has gone; what libvirt has begun goes on: see --vm-status.");
	if (said->engine_reason == ENGINE_REASON_MIGRATED) {
		if (!move->json)
			puts("It has moved.");
		return end(move, 1, "", 0);
	}
	if (said->move_failed[0])
		snprintf(why, sizeof(why),
			 "The VM has not moved: %.*s; what it needs: MIGRATION in hosted-engine-ha(7)",
			 MOVE_FAILED_MAX, said->move_failed);
	else
		snprintf(why, sizeof(why), "The VM has not moved: see --history");
	return refuse(move, 0, why);
}

/* `signals` are blocked and come here. The broker tells readers nothing by itself: it is asked. */
static int follow(struct broker_client *client, const struct move *move, const sigset_t *signals)
{
	const struct timespec period = {.tv_nsec = LOOK_NS};
	struct status_reply status;
	char text[TEXT_MAX];
	bool shown = false;
	int r;

	/* It was begun: what can't be asked any more may still move it. */
	for (;;) {
		if (sigtimedwait(signals, NULL, &period) > 0) {
			fputs(shown ? "\ncancelling ...\n" : "cancelling ...\n", stderr);
			shown = false;
			r = broker_client_command(client, COMMAND_VM_MIGRATE_CANCEL, NULL, BEGIN_MS, text);
			if (r < 0 && r != -ENOENT) /* it has ended just now: the status tells how */
				return trouble(move, -1, r, text);
		}
		r = broker_client_status(client, ANSWER_MS, &status);
		if (r < 0)
			return trouble(move, -1, r, "");
		if (!status.agent_connected || status.published.claim.migrating_to == 0) {
			if (shown)
				fputc('\n', stderr);
			return tell_end(move, &status);
		}
		shown |= show_progress(status.published.copied);
	}
}

int command_run_vm_migrate(const struct invocation *call)
{
	_cleanup_(broker_client_close_p) struct broker_client *client = NULL;
	const char *host = invocation_value(call, "host");
	struct move move = {.json = invocation_value(call, "json")};
	char text[TEXT_MAX] = "";
	sigset_t signals;
	int r;

	r = broker_client_open(ANSWER_MS, &client);
	if (r < 0)
		return trouble(&move, 0, r, "");
	if (host && find_host(client, host, &move) != 0)
		return 1;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	if (invocation_value(call, "wait"))
		sigprocmask(SIG_BLOCK, &signals, NULL);
	r = broker_client_command(client, COMMAND_VM_MIGRATE, move.id, BEGIN_MS, text);
	if (r < 0)
		/* Given up, with words or without: it may begin yet, or be under way. */
		return trouble(&move, r == -ETIMEDOUT ? -1 : 0, r, text);
	memcpy(move.to, text, sizeof(text));
	if (!move.json) {
		fputs("The VM is being moved to ", stdout);
		terminal_put(stdout, text, strlen(text));
		fputc('\n', stdout);
		fflush(stdout);
	}
	return invocation_value(call, "wait") ? follow(client, &move, &signals) : end(&move, -1, "", 0);
}
