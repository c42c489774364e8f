/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The user and the group that the services run as, by one name. They are local, made by sysusers, and looked
 * up once when a program starts: a name service may ask a directory server and block for as long as that is
 * away, so no loop may call it. Used by the broker, its clients and the guard. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define SERVICE_ACCOUNT "ovirt-ha"

struct service_account {
	bool has_user, has_group; /* false: there is none of the name, or it could not be looked up */
	uid_t uid;
	gid_t gid;
};

/* Blocks: before the loop. */
void service_account_find(struct service_account *ret);
