/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides where the system's files are. It may not touch them. Called by main functions, once. */
#include "util/paths.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
	const char *variable, *folder, *rest;
} places[] = {
	[FILE_ENGINE_CONF] = {"OVIRT_HA_CONF_DIR", "/etc", "ovirt-hosted-engine/hosted-engine.conf"},
	[FILE_AGENT_CONF] = {"OVIRT_HA_CONF_DIR", "/etc", "ovirt-hosted-engine-ha/agent.conf"},
	[FILE_BROKER_CONF] = {"OVIRT_HA_CONF_DIR", "/etc", "ovirt-hosted-engine-ha/broker.conf"},
	[FILE_QEMU_CONF] = {"OVIRT_HA_CONF_DIR", "/etc", "libvirt/qemu.conf"},
	[FILE_HA_CONF] = {"OVIRT_HA_STATE_DIR", "/var/lib/ovirt-hosted-engine-ha", "ha.conf"},
	[FILE_SHARED_BROKER_CONF] = {"OVIRT_HA_STATE_DIR", "/var/lib/ovirt-hosted-engine-ha", "broker.conf"},
	[FILE_AGENT_STATE] = {"OVIRT_HA_STATE_DIR", "/var/lib/ovirt-hosted-engine-ha", "agent-state"},
	[FILE_HISTORY] = {"OVIRT_HA_STATE_DIR", "/var/lib/ovirt-hosted-engine-ha", "history"},
	[FILE_GLOBAL_FLAG] = {"OVIRT_HA_STATE_DIR", "/var/lib/ovirt-hosted-engine-ha", "global"},
	[FILE_SPOOL] = {"OVIRT_HA_STATE_DIR", "/var/lib/ovirt-hosted-engine-ha", "spool"},
	[FILE_MAIL_TEXT] = {"OVIRT_HA_CONF_DIR", "/etc",
			    "ovirt-hosted-engine-ha/notifications/state_transition.txt"},
	[FILE_DEPLOY_JOURNAL] = {"OVIRT_HA_CONF_DIR", "/etc", "ovirt-hosted-engine/deploy.journal"},
	[FILE_CLOUD_INIT] = {"OVIRT_HA_STATE_DIR", "/var/lib/ovirt-hosted-engine-ha", "cloud-init.iso"},
	[FILE_VM_CONF] = {"OVIRT_HA_RUN_DIR", "/run/ovirt-hosted-engine-ha", "vm.conf"},
};

_Static_assert(sizeof(places) / sizeof(places[0]) == FILE_COUNT, "a file without a place");

const char *file_path(enum file file, char ret[PATH_MAX])
{
	const char *folder;

	assert(file < FILE_COUNT);
	folder = getenv(places[file].variable);
	snprintf(ret, PATH_MAX, "%s/%s", folder && folder[0] ? folder : places[file].folder,
		 places[file].rest);
	return ret;
}
