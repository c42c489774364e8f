/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --dump-whiteboard: hands the blocks of a whiteboard, or of a copy of one, to the printer. Needs no daemon,
 * and of the configuration who we are to an iSCSI target. */
#include <string.h>
#include <unistd.h>

#include "tools/board_source.h"
#include "tools/commands.h"
#include "tools/deployment.h"
#include "tools/error_advice.h"
#include "tools/terminal_text.h"
#include "util/cleanup.h"

#define SERVER_ADVICE                                                                                        \
	"; check the address, user= and password= in hosted-engine.conf, and that the server lets this "     \
	"host in"

static int refuse(const char *place, const char *why, const char *advice)
{
	fputs("Cannot read ", stderr);
	terminal_put(stderr, place, strlen(place));
	fprintf(stderr, ": %s%s\n", why, advice);
	return 1;
}

int command_run_dump_whiteboard(const struct invocation *call)
{
	_cleanup_free_ struct slot_block *blocks = NULL;
	bool server = strstr(call->operand, "://");
	char name[256] = "localhost", what[256];
	struct board_status status;
	struct store_access access;
	struct engine_conf conf = {0};
	int r;

	if (server) {
		deployment_load(stderr, &conf);
		gethostname(name, sizeof(name) - 1);
		access = (struct store_access){conf.user, conf.password, name};
		if (store_check(call->operand, &access, what, sizeof(what)) < 0)
			return refuse(call->operand, what, "");
	}
	r = board_from_place(call->operand, server ? &access : NULL, &blocks, &status);
	if (r == 0) {
		if (!invocation_value(call, "json"))
			status_put_text(&status, stdout);
		else
			r = status_put_json(&status, stdout);
	}
	if (r == 0)
		return 0;
	return refuse(call->operand, strerror(-r), server ? SERVER_ADVICE : error_advice(r));
}
