/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What ovirt-ha-storage and its clients say to each other: one SOCK_SEQPACKET message each way, structs as
 * they stand in memory; both ends are of one build and `version` refuses any other. The service takes root
 * and the user ovirt-ha, by SO_PEERCRED. What is connected stands in hosted-engine.conf, which the service
 * reads itself: no client can have it mount anything else. OVIRT_HA_STORAGE_SOCKET in the environment
 * overrides STORAGE_SOCKET, for both. */
#pragma once

#include <stdint.h>

#include "util/engine_conf.h"

#define STORAGE_VERSION 1
#define STORAGE_SOCKET STORAGE_RUN_DIR "/socket"
#define STORAGE_ANSWER_SIZE 384
#define STORAGE_CONNECT_MS 300000 /* a client waits so long; portals that hang may take longer */

enum storage_request_kind {
	STORAGE_CONNECT = 1, /* answered when all is there, at once where it is already */
	STORAGE_DISCONNECT,  /* refused with -EBUSY while the VM runs here or the lockspace is joined */
	STORAGE_STATUS,	     /* answered within seconds, whatever is under way or hangs */
};

struct storage_request {
	uint32_t version;
	uint32_t kind;
};

struct storage_reply {
	uint32_t version;
	uint32_t kind;
	int32_t error;	/* 0 or -errno: -EINPROGRESS (STATUS) what is said is under way; -ETIMEDOUT it is
			   connected and does not  answer, or did not come in time; -EBUSY, -EOPNOTSUPP no
			   driver can; -EINVAL, -ENODATA the file */
	uint32_t state; /* enum storage_state, as far as error leaves it known */
	char text[STORAGE_ANSWER_SIZE]; /* what is wrong and what to do, or what is under way; NUL terminated
					 */
};
