/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ovirt-ha-guard's options, its socket, and what it takes from the system before the loop begins. It decides
 * nothing about QEMU. Started by systemd as root with CAP_KILL and CAP_SYS_BOOT; `--prove-gone` before
 * sanlock starts (safety rule 4). */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <systemd/sd-daemon.h>

#include "conf/check_conf.h"
#include "daemon/guard.h"
#include "daemon/guard_watch.h"
#include "lockspace/fence_port.h"
#include "util/engine_conf.h"
#include "util/log.h"
#include "util/options.h"
#include "util/paths.h"
#include "util/seqpacket.h"

#define PROVE_MS 60000

static int prove_gone(const char *path, bool leave)
{
	struct problems problems = {.say = problems_log};
	struct engine_conf conf;
	int r = engine_conf_load(path, &conf, &problems);

	/* The uuid is enough: what else may be wrong with the file is for others to refuse. Without a
	 * readable uuid nothing can be proven. */
	if (r < 0 && r != -ENOENT && !engine_conf_deployed(&conf)) {
		log_error("no proof that the engine VM is gone: %s is not right", path);
		return EXIT_FAILURE;
	}
	if (!engine_conf_deployed(&conf))
		return 0;
	r = guard_prove_gone(conf.vmid, PROVE_MS);
	if (r < 0)
		log_error("no proof that the engine VM is gone vm=%s error=%s", conf.vmid, strerror(-r));
	if (r == 0 && leave) {
		r = guard_leave(conf.lockspace_name, conf.host_id);
		if (r < 0)
			log_warning("lockspace kept, to be tried again error=%s", strerror(-r));
	}
	return r < 0 ? EXIT_FAILURE : 0;
}

static const char *socket_path(void)
{
	const char *path = getenv("OVIRT_HA_GUARD_SOCKET");

	return path && path[0] ? path : GUARD_SOCKET;
}

static int serve(const char *path)
{
	struct guard *guard;
	sigset_t ending;
	int fd, r;

	/* Blocked before any thread is there, so that none takes them. A client that went must not end us. */
	sigemptyset(&ending);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGINT);
	sigprocmask(SIG_BLOCK, &ending, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = seqpacket_listen(socket_path());
	if (fd < 0) {
		log_error("socket %s can't be served: %s%s", socket_path(), strerror(-fd),
			  fd == -EADDRINUSE ? "; another ovirt-ha-guard runs" : "");
		return EXIT_FAILURE;
	}
	r = guard_new(path, fd, &guard);
	if (r < 0) {
		log_error("cannot start error=%s", strerror(-r));
		return r == -EINVAL ? EXIT_CONFIG : EXIT_FAILURE;
	}
	/* So that a host out of memory, or with its system disk away, can still kill. Without MCL_FUTURE: an
	 * allocation over the limit would fail where now it does not. */
	if (mlockall(MCL_CURRENT | MCL_ONFAULT) < 0)
		log_debug("memory is not locked error=%s", strerror(errno));
	r = guard_run(guard);
	if (r < 0)
		log_error("ended error=%s", strerror(-r));
	guard_free(guard);
	return r < 0 ? EXIT_FAILURE : 0;
}

int main(int argc, char *argv[])
{
	bool prove = false, leave = false;
	const struct options_extra extras[] = {
		{"prove-gone", "kill the engine VM here, exit 0 once none is left", &prove},
		{"leave", "the same, then leave the lockspace: this host goes down", &leave},
	};
	struct options options;
	char path[PATH_MAX];
	int r = options_parse(argc, argv, "ovirt-ha-guard",
			      "Kills the engine VM when its lease can't be trusted.", extras,
			      sizeof(extras) / sizeof(extras[0]), &options);

	if (r >= 0)
		return r;
	log_open("ovirt-ha-guard", options.debug);
	file_path(FILE_ENGINE_CONF, path);
	if (options.check)
		return check_conf();
	return prove || leave ? prove_gone(path, leave) : serve(path);
}
