/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may do what over the broker's IPC. Used by ipc_server.c. */
#pragma once

#include "util/service_account.h"

enum client_right {
	RIGHT_NONE,
	RIGHT_READ,  /* group ovirt-ha, primary or supplementary */
	RIGHT_CHANGE /* root, user ovirt-ha */
};

/* Of a peer, by the credentials that the kernel gives of it. The supplementary groups are those of the
 * process itself: a user who was added to the group has the right after the next login. Does not block. */
enum client_right client_right(const struct service_account *account, uid_t uid, gid_t gid, pid_t pid);
