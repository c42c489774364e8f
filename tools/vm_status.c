/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --vm-status: asks the broker for its facts and all blocks and hands them to the printer. Decides what is
 * said when the broker is away; scripts that asked for JSON get an object then, too. */
#include <errno.h>
#include <string.h>

#include "broker/broker_client.h"
#include "tools/broker_trouble.h"
#include "tools/commands.h"
#include "tools/deployment.h"
#include "tools/status_text.h"
#include "util/cleanup.h"

#define OPEN_MS 5000
#define ANSWER_MS 5000

CLEANUP_DEFINE(struct broker_client *, broker_client_close)

static int fetch(struct status_reply *ret_status, struct slot_block **ret_blocks, size_t *ret_n)
{
	_cleanup_(broker_client_close_p) struct broker_client *client = NULL;
	int r;

	r = broker_client_open(OPEN_MS, &client);
	if (r < 0)
		return r;
	r = broker_client_status(client, ANSWER_MS, ret_status);
	if (r < 0)
		return r;
	return broker_client_all_blocks(client, ANSWER_MS, ret_blocks, ret_n);
}

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
	size_t n = 0;
	int r;

	r = deployment_check_finished(stdout);
	if (r != 0)
		return r;
	r = deployment_check_vm(stdout);
	if (r != 0)
		return r;
	r = fetch(&reply, &blocks, &n);
	if (r < 0)
		return refused(r, json);

	reply.trouble[sizeof(reply.trouble) - 1] = '\0';
	status = (struct board_status){
		.blocks = blocks,
		.n_blocks = n,
		.live = true,
		.now = reply.now,
		.maintenance = reply.cluster.maintenance,
		.own_id = reply.cluster.host_id,
		.trouble = reply.trouble,
	};
	if (!json) {
		status_put_text(&status, stdout);
		return 0;
	}
	r = status_put_json(&status, stdout);
	return r < 0 ? refused(r, false) : 0;
}
