/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --vm-status: asks the broker for its facts and all blocks, sanlock for its renewals, and hands them to the
 * printer, once or again and again. Decides what is said when the broker is away; scripts that asked for JSON
 * get an object then, too. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "tools/board_source.h"
#include "tools/broker_trouble.h"
#include "tools/commands.h"
#include "tools/deployment.h"
#include "tools/status_colour.h"
#include "util/cleanup.h"

#define RENEWALS_MS 40 /* of an answer from memory */
#define WATCH_MS 2000
#define CLEAR "\033[H\033[2J\033[3J"

static int refused(int error, bool json)
{
	if (json) {
		_cleanup_free_ char *text = broker_trouble_text(error, "");

		if (text)
			status_put_error(text, stdout);
	}
	return broker_trouble_say(error, "");
}

static int put_text(const struct board_status *status, const char *before)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *memory = open_memstream(&text, &size);

	if (!memory)
		return refused(-ENOMEM, false);
	status_put_text(status, memory);
	if (fclose(memory) != 0)
		return refused(-ENOMEM, false);
	/* In one piece, so that nothing flickers. */
	fputs(before, stdout);
	if (status_colour_wanted(stdout))
		status_put_coloured(text, stdout);
	else
		fputs(text, stdout);
	return 0;
}

static int show(bool json, const char *before)
{
	_cleanup_free_ struct slot_block *blocks = NULL;
	struct status_reply reply;
	struct board_status status;
	struct sanlock_renewals renewals;
	struct engine_conf conf;
	int r = board_from_broker(&reply, &blocks, &status);

	if (r < 0)
		return refused(r, json);
	/* Asked here, so that the broker runs no command for what people look at now and then. */
	if (deployment_load(stderr, &conf) &&
	    sanlock_renewals_read(conf.lockspace_name, RENEWALS_MS, &renewals) == 0)
		status.renewals = &renewals;
	if (!json)
		return put_text(&status, before);
	r = status_put_json(&status, stdout);
	return r < 0 ? refused(r, false) : 0;
}

/* Until the operator ends it, or the terminal is gone. A broker that is away is said, and asked again. */
static int watch(void)
{
	for (;;) {
		(void)show(false, CLEAR);
		if (fflush(stdout) != 0)
			return 1;
		poll(NULL, 0, WATCH_MS);
	}
}

int command_run_vm_status(const struct invocation *call)
{
	bool json = invocation_value(call, "json"), live = invocation_value(call, "watch");
	int r;

	if (live && (json || !isatty(STDOUT_FILENO))) {
		fputs("--watch shows a live view on a terminal: ask again and again for --json instead\n",
		      stderr);
		return 1;
	}
	r = deployment_check_finished(stdout);
	if (r == 0)
		r = deployment_check_vm(stdout);
	if (r != 0)
		return r;
	return live ? watch() : show(json, "");
}
