/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The broker's libqb IPC: accepts clients by their credentials, checks each message's type, version and exact
 * length, and hands it to broker.c. Slow and silent clients delay nobody: nothing here waits, an answer that
 * a client does not take is dropped with the client. Called by broker_main.c. */
#pragma once

#include "broker/broker.h"
#include "broker/client_right.h"

struct ipc_server;
struct loop;

/* How many clients of each kind at the same time; each costs three rings of /dev/shm. */
#define READERS_MAX 100
#define CHANGERS_MAX 100

/* `account` is copied. 0, or -errno: -EADDRINUSE when a broker runs already. */
int ipc_server_new(struct broker *broker, const struct service_account *account, struct loop *loop,
		   struct ipc_server **ret);
void ipc_server_free(struct ipc_server *server);
