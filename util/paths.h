/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the files of the system are. Three environment variables move them, for tests: OVIRT_HA_CONF_DIR
 * stands for /etc, OVIRT_HA_STATE_DIR for /var/lib/ovirt-hosted-engine-ha, OVIRT_HA_RUN_DIR for
 * /run/ovirt-hosted-engine-ha. */
#pragma once

#include <limits.h>

enum file {
	FILE_ENGINE_CONF,	 /* /etc/ovirt-hosted-engine/hosted-engine.conf */
	FILE_AGENT_CONF,	 /* /etc/ovirt-hosted-engine-ha/agent.conf */
	FILE_BROKER_CONF,	 /* /etc/ovirt-hosted-engine-ha/broker.conf */
	FILE_QEMU_CONF,		 /* /etc/libvirt/qemu.conf, libvirt's own */
	FILE_HA_CONF,		 /* state directory: ha.conf */
	FILE_SHARED_BROKER_CONF, /* state directory: broker.conf, the copy of the shared one */
	FILE_AGENT_STATE,	 /* state directory: agent-state */
	FILE_HISTORY,		 /* state directory: history, the last transitions */
	FILE_GLOBAL_FLAG,	 /* state directory: global, the last good value of global maintenance */
	FILE_SPOOL,	     /* state directory: spool, a folder: transitions on their way to the operator */
	FILE_MAIL_TEXT,	     /* /etc/ovirt-hosted-engine-ha/notifications/state_transition.txt */
	FILE_DEPLOY_JOURNAL, /* /etc/ovirt-hosted-engine/deploy.journal: root's own, unlike the state
				directory */
	FILE_CLOUD_INIT,     /* state directory: cloud-init.iso, while a deployment is under way */
	FILE_VM_CONF,	     /* run directory: vm.conf */
	FILE_COUNT
};

/* The path in `ret`, which is also returned. Whoever sets an environment variable so long that it is cut gets
 * -ENOENT later. */
const char *file_path(enum file file, char ret[PATH_MAX]);
