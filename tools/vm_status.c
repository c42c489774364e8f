/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --vm-status: asks the broker for its facts and all blocks, sanlock for its renewals, and hands them to the
 * printer. Decides what is said when the broker is away; scripts that asked for JSON get an object then,
 * too. */
#include <errno.h>
#include <string.h>

#include "tools/board_source.h"
#include "tools/broker_trouble.h"
#include "tools/commands.h"
#include "tools/deployment.h"
#include "util/cleanup.h"

#define RENEWALS_MS 40 /* of an answer from memory */

static int refused(int error, bool json)
{
	if (json) {
		_cleanup_free_ char *text = NULL;
		size_t size;
		FILE *memory = open_memstream(&text, &size);

		if (memory) {
			broker_trouble_put(memory, error, "");
			fclose(memory);
			status_put_error(text, stdout);
		}
	}
	return broker_trouble_say(error, "");
}

int command_run_vm_status(const struct invocation *call)
{
	_cleanup_free_ struct slot_block *blocks = NULL;
	bool json = invocation_value(call, "json");
	struct status_reply reply;
	struct board_status status;
	struct sanlock_renewals renewals;
	struct engine_conf conf;
	int r;

	r = deployment_check_finished(stdout);
	if (r != 0)
		return r;
	r = deployment_check_vm(stdout);
	if (r != 0)
		return r;
	r = board_from_broker(&reply, &blocks, &status);
	if (r < 0)
		return refused(r, json);
	/* Asked here, so that the broker runs no command for what people look at now and then. */
	if (deployment_load(stderr, &conf) &&
	    sanlock_renewals_read(conf.lockspace_name, RENEWALS_MS, &renewals) == 0)
		status.renewals = &renewals;

	if (!json) {
		status_put_text(&status, stdout);
		return 0;
	}
	r = status_put_json(&status, stdout);
	return r < 0 ? refused(r, false) : 0;
}
