/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ovirt-ha-storage: its options, its socket and the loop. It decides nothing about storage. Started by
 * systemd as root, for the broker and hosted-engine, which may not mount. Exit: 0 stopped, 2 configuration, 1
 * other. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#include "conf/check_conf.h"
#include "storage/storage_protocol.h"
#include "storage/storage_service.h"
#include "util/log.h"
#include "util/loop.h"
#include "util/options.h"
#include "util/paths.h"
#include "util/seqpacket.h"

static bool stopping(void *data)
{
	sd_notify(0, "STOPPING=1");
	return false;
}

static int serve(struct loop *loop, const char *conf_path)
{
	const char *path = getenv("OVIRT_HA_STORAGE_SOCKET");
	struct storage_service *service;
	int fd, r;

	path = path && path[0] ? path : STORAGE_SOCKET;
	fd = seqpacket_listen(path);
	if (fd < 0) {
		log_error("socket %s can't be served: %s%s", path, strerror(-fd),
			  fd == -EADDRINUSE ? "; another ovirt-ha-storage runs" : "");
		return fd;
	}
	r = storage_service_new(loop, fd, conf_path, storage_drivers, &storage_machine, &service);
	if (r == 0)
		r = loop_on_signals(loop, stopping, NULL);
	if (r < 0) {
		log_error("cannot start: %s", strerror(-r));
		return r;
	}
	sd_notify(0, "READY=1");
	loop_watchdog(loop);
	r = loop_run(loop);
	storage_service_free(service);
	return r;
}

int main(int argc, char *argv[])
{
	struct options options;
	struct loop *loop = NULL;
	char path[PATH_MAX];
	int r = options_parse(argc, argv, "ovirt-ha-storage",
			      "Connects the shared storage of the hosted engine, and disconnects it.", NULL,
			      0, &options);

	if (r >= 0)
		return r;
	log_open("ovirt-ha-storage", options.debug);
	if (options.check)
		return check_conf();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN); /* nobody waits for a child that may hang */
	r = loop_new(&loop);
	if (r == 0)
		r = serve(loop, file_path(FILE_ENGINE_CONF, path));
	loop_free(loop);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
