/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Local SOCK_SEQPACKET sockets of the services that run as root: one struct each way, the client known by
 * SO_PEERCRED. Used by ovirt-ha-guard, ovirt-ha-storage and those who ask them. Nothing here blocks. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

/* Serves `path`, for this process's user and group. What systemd passes is not looked at: no unit has a
 * socket, and the guard's has the survivor (daemon/guard_hunt.c). -EADDRINUSE: another process serves it;
 * -errno. */
int seqpacket_listen(const char *path);
/* A connection, close-on-exec. -EAGAIN: its queue is full; -errno. */
int seqpacket_connect(const char *path);
/* Is it root or the service's user who is at the other end? *ret_peer is 0 where that can't be told. */
bool seqpacket_allowed(int fd, uid_t service_uid, struct ucred *ret_peer);
