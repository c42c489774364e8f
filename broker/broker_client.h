/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The client's side of the broker's protocol. For hosted-engine: calls that wait, each at most its
 * `timeout_ms` (0.. ms) and a moment. For the agent: a broker_port driven by the loop. Errors: -ENOTCONN the
 * broker is away (or ended meanwhile), -EACCES not allowed, -ETIMEDOUT it did not answer in time (the
 * connection is of no use afterwards), -EPROTO not of our build or not the broker. */
#pragma once

#include "broker/broker_port.h"

struct broker_client;
struct loop;

int broker_client_open(int timeout_ms, struct broker_client **ret);
/* NULL is fine. */
void broker_client_close(struct broker_client *client);

int broker_client_status(struct broker_client *client, int timeout_ms, struct status_reply *ret);
/* Blocks in use from id `first` on: up to BLOCKS_PER_REPLY in `ret`; *ret_next is what to ask for next, 0:
 * that was all. */
int broker_client_blocks(struct broker_client *client, uint32_t first, int timeout_ms, struct slot_block *ret,
			 uint32_t *ret_n, uint32_t *ret_next);
/* All of them, in an array for free(). `timeout_ms` holds for each piece. */
int broker_client_all_blocks(struct broker_client *client, int timeout_ms, struct slot_block **ret,
			     size_t *ret_n);
/* Comes back when the flag is on storage, read back, and still there two loops later: give it 60 s. `text`:
 * why not, or what to know though it worked; "" when there is nothing to say. The broker's own -errno stands
 * in the result too. */
int broker_client_global(struct broker_client *client, bool maintenance, int timeout_ms, char text[TEXT_MAX]);
/* Comes back when the agent did it. -EHOSTDOWN: no agent. `argument` may be NULL. */
int broker_client_command(struct broker_client *client, enum command command, const char *argument,
			  int timeout_ms, char text[TEXT_MAX]);

/* The agent's, before its loop runs (it looks up an account). Begins to connect at once; `calls` must stay. 0
 * or -errno. */
int broker_client_port_new(struct loop *loop, const struct broker_calls *calls, void *data,
			   struct broker_port **ret);
