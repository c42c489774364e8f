/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What ovirt-ha-guard and its clients say to each other: one SOCK_SEQPACKET message each way, structs as they
 * stand in memory; both ends are of one build and `version` refuses any other. The guard takes root and the
 * user ovirt-ha, by SO_PEERCRED. OVIRT_HA_GUARD_SOCKET in the environment overrides GUARD_SOCKET of
 * fence_port.h, for both. */
#pragma once

#include <stdint.h>

#define GUARD_VERSION 2
#define GUARD_KILL_MS 1000 /* how long the guard waits for the killed to be gone before it answers */
#define GUARD_WHY_MAX 128

enum guard_request_kind {
	GUARD_KILL = 1,	   /* SIGKILL to every QEMU of the engine's uuid */
	GUARD_RESET,	   /* resets the host at once; answered only when that failed */
	GUARD_END_STORAGE, /* SIGKILL to the storage daemon of this host */
};

struct guard_request {
	uint32_t version;
	uint32_t kind;
	char why[GUARD_WHY_MAX]; /* for the log, NUL terminated */
};

struct guard_reply {
	uint32_t version;
	uint32_t kind;
	int32_t error; /* 0 or -errno: -EPERM, -ENODATA not deployed, -EBUSY, or /proc can't be read */
	int32_t alive; /* of the two kills: how many still live after GUARD_KILL_MS; 0: proven gone */
};
