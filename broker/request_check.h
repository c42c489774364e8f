/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a client's message must look like before a field of it is used. Pure; used by ipc_server.c, which
 * knows who the client is. */
#pragma once

#include "broker/protocol.h"

union request_message {
	struct request request;
	struct publish_request publish;
	struct answer_request answer;
	struct blocks_request blocks;
	struct global_request global;
	struct command_request command;
};

/* Takes the message of `size` bytes, which lies in memory that the client can still write: it is copied
 * first, no more of it than the largest request has, and the copy is checked. 0; -EOPNOTSUPP: no such
 * request; -EPROTO: another version; -EBADMSG: its length, or a value in it. On failure *ret_why tells the
 * client, and of *ret the header's id is what the client sent, 0: it sent none. */
int request_check(const void *data, size_t size, union request_message *ret, const char **ret_why);

/* More than reading: for root and the service user. `kind` is a request's that was checked. */
bool request_changes(enum request_kind kind);
/* For the registered agent only. */
bool request_is_agents(enum request_kind kind);
