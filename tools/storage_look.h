/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A look at what storage this host can reach, by a child process: a resolver, a server or a disk that hangs
 * keeps nobody for longer than the time that was given. Called by --discover-storage and by a deployment. */
#pragma once

#include <jansson.h>

#include "storage/lun.h"

struct storage_look {
	const char *type;	   /* nfs iscsi fc block */
	const char *server;	   /* of nfs and iscsi: HOST, HOST:PORT, [ADDRESS]:PORT */
	const char *initiator;	   /* NULL: this host's own name */
	const char *user, *secret; /* of an iSCSI target that asks by CHAP; user NULL: none */
};

/* What --discover-storage prints: 0, or -errno with a line in `ret_why`; -EINTR: a signal came. Blocks for
 * `seconds` and one more at most. */
int storage_look(const struct storage_look *look, unsigned seconds, json_t **ret,
		 char ret_why[DISCOVERY_WHY_SIZE]);
