/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ovirt-ha-notify: tells the operator of state transitions. Started by systemd when one is in the spool, ends
 * when there has been none for a minute. It has no part in what the daemons decide, and none of them waits
 * for it. Exit: 0 nothing to do or stopped, 2 configuration (-n), 1 other. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "notify/alert_conf.h"
#include "notify/alert_sender.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/options.h"
#include "util/paths.h"

static void idle(void *data)
{
	loop_stop(data);
}

static bool stopping(void *data)
{
	return false;
}

static int serve(void)
{
	struct alert_sender *sender = NULL;
	struct loop *loop = NULL;
	char folder[PATH_MAX];
	int r = loop_new(&loop);

	if (r == 0)
		r = loop_on_signals(loop, stopping, NULL);
	if (r == 0)
		r = mail_send_init();
	if (r == 0)
		r = alert_sender_new(loop, idle, loop, &sender);
	if (r == 0)
		r = loop_run(loop);
	if (r < 0)
		log_error("alerts can't be sent: %s: %s", file_path(FILE_SPOOL, folder), strerror(-r));
	alert_sender_free(sender);
	loop_free(loop);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char *argv[])
{
	struct problems problems = {.say = problems_print, .data = stderr};
	struct options options;
	int r = options_parse(argc, argv, "ovirt-ha-notify",
			      "Tells the operator of state transitions, by mail and by a command.", NULL, 0,
			      &options);

	if (r >= 0)
		return r;
	log_open("ovirt-ha-notify", options.debug);
	signal(SIGPIPE, SIG_IGN);
	if (options.check)
		return alert_conf_check(&problems) < 0 ? EXIT_CONFIG : EXIT_SUCCESS;
	return serve();
}
