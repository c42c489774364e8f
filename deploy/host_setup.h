/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of a host's own configuration a hosted engine needs: libvirt with sanlock and the hook (safety rule
 * 1), sanlock with a watchdog and a name (rules 6 and 8), no sleep, the services. Each step is done once or
 * many times with the same end, and taken back: by lines, so that what the administrator changed since stays.
 * The first time a file is changed its old content is kept in /etc/ovirt-hosted-engine/setup, for people and
 * for the way back, with a record of what was done. Called by deployment and by the clean-up, as root.
 * Everything blocks; nothing is logged. */
#pragma once

#include <stdbool.h>

#define HOST_SETUP_TEXT_SIZE 1024

/* In the order in which they are done; taken back in the reverse one. */
enum host_setup_step {
	HOST_SETUP_QEMU_CONF,	 /* /etc/libvirt/qemu.conf: lock_manager = "sanlock" */
	HOST_SETUP_QEMU_SANLOCK, /* /etc/libvirt/qemu-sanlock.conf: no automatic leases, one required */
	HOST_SETUP_HOOK,	 /* looks for libvirt's hook, which installing put there; changes nothing */
	HOST_SETUP_SANLOCK,	 /* /etc/default/sanlock: -w 1, -e NAME */
	HOST_SETUP_SLEEP,	 /* suspend and hibernation masked */
	HOST_SETUP_SUPPORT,	 /* wdmd, sanlock, libvirtd, guard: enabled, running as their files say */
	HOST_SETUP_STORAGE,	 /* ovirt-ha-storage: the same */
	HOST_SETUP_DAEMONS,	 /* ovirt-ha-broker, ovirt-ha-agent: the same */
	HOST_SETUP_STEP_COUNT
};

struct host_setup {
	const char *root; /* before every path, for tests; "" on a host */
	const char *name; /* sanlock's of this host: host_setup_name()'s; 1..48 bytes of letters, digits, `.`,
			     `_`, `-` */
	/* Of hosted-engine.conf. False: sanlock's -w stays as it is, and wdmd is left alone. */
	bool require_watchdog;
};

/* "set up libvirt's locking", for a line on the terminal. */
const char *host_setup_step_text(enum host_setup_step step);

/* The name that sanlock gets: libvirt's uuid of this host, a dot and the host's name, cut to 48 bytes. `uuid`
 * is the one of libvirt's capabilities. */
void host_setup_name(const char *uuid, const char *host_name, char ret[49]);

/* Does the step. 0: `ret_text` has what was changed, one line per change, each ending in a newline, "" when
 * all was as it has to be. -errno: `ret_text` has one line for people, with what to do; a step that failed
 * may be repeated or taken back. -EINVAL a file that can't be understood, as with a key twice: it stays as it
 * is; -ENOENT something is not installed; -EBUSY sanlock is to be restarted and holds a lockspace; -ETIMEDOUT
 * a service took longer than 90 s; -EIO it failed. Blocks for as long as services take to start. */
int host_setup_do(const struct host_setup *setup, enum host_setup_step step,
		  char ret_text[HOST_SETUP_TEXT_SIZE]);

/* Takes back what host_setup_do() changed here, ever; nothing is nothing, and it may be repeated. Lines that
 * are no longer as it left them stay, and `ret_text` names them. Services that it enabled are disabled, ours
 * are stopped too. libvirtd is restarted at the end of the way back, with HOST_SETUP_QEMU_CONF, when its
 * files changed; sanlock goes on with what it has until it is restarted. Else as above. */
int host_setup_undo(const struct host_setup *setup, enum host_setup_step step,
		    char ret_text[HOST_SETUP_TEXT_SIZE]);
