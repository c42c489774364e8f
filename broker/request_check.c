/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of requests, and what their values may be. May not trust a byte: any member of group ovirt-ha can
 * send. */
#include "broker/request_check.h"

#include <errno.h>
#include <string.h>

/* What each request must look like. `change`: needs more than reading. `agent`: for the registered agent
 * only. */
static const struct {
	size_t size;
	bool change, agent;
} request_rules[REQUEST_KIND_END] = {
	[REQUEST_FACTS] = {sizeof(struct request), false, false},
	[REQUEST_PUBLISH] = {sizeof(struct publish_request), true, true},
	[REQUEST_AGENT] = {sizeof(struct request), true, false},
	[REQUEST_ANSWER] = {sizeof(struct answer_request), true, true},
	[REQUEST_STATUS] = {sizeof(struct request), false, false},
	[REQUEST_BLOCKS] = {sizeof(struct blocks_request), false, false},
	[REQUEST_GLOBAL] = {sizeof(struct global_request), true, false},
	[REQUEST_COMMAND] = {sizeof(struct command_request), true, false},
};

/* The strings end and the enums and booleans have values of theirs. */
static bool well_formed(const union request_message *message, enum request_kind kind)
{
	unsigned char flags[8];

	switch (kind) {
	case REQUEST_PUBLISH:
		/* Copied as bytes: a bool with another value is no bool. */
		memcpy(flags, &message->publish.may_start, 1);
		memcpy(flags + 1, &message->publish.can_move, 1);
		memcpy(flags + 2, &message->publish.config_shared, 1);
		memcpy(flags + 3, &message->publish.watch_closely, 1);
		memcpy(flags + 4, &message->publish.alarm, 1);
		memcpy(flags + 5, &message->publish.claim.maintenance, 1);
		memcpy(flags + 6, &message->publish.claim.stopped, 1);
		memcpy(flags + 7, &message->publish.in_turn, 1);
		for (size_t i = 0; i < sizeof(flags); i++)
			if (flags[i] > 1)
				return false;
		return (unsigned)message->publish.claim.vm < VM_COUNT &&
		       (unsigned)message->publish.claim.health < HEALTH_COUNT &&
		       (unsigned)message->publish.claim.detail < DETAIL_COUNT &&
		       (unsigned)message->publish.engine_reason < ENGINE_REASON_COUNT &&
		       (unsigned)message->publish.state < STATE_COUNT &&
		       (unsigned)message->publish.reason < REASON_COUNT &&
		       message->publish.claim.migrating_to <= HOST_ID_MAX &&
		       memchr(message->publish.move_failed, '\0', MOVE_FAILED_MAX);
	case REQUEST_ANSWER:
		return memchr(message->answer.text, '\0', TEXT_MAX) && message->answer.error <= 0;
	case REQUEST_GLOBAL:
		memcpy(flags, &message->global.maintenance, 1);
		return flags[0] <= 1;
	case REQUEST_COMMAND:
		return memchr(message->command.argument, '\0', TEXT_MAX) && message->command.command >= 1 &&
		       message->command.command < COMMAND_KIND_END;
	default:
		return true;
	}
}

static int fault(int error, const char *why, const char **ret_why)
{
	*ret_why = why;
	return error;
}

int request_check(const void *data, size_t size, union request_message *ret, const char **ret_why)
{
	int32_t kind;

	memset(ret, 0, sizeof(*ret));
	if (size < sizeof(ret->request))
		return fault(-EBADMSG, "a request of the wrong length", ret_why);
	memcpy(ret, data, size < sizeof(*ret) ? size : sizeof(*ret));
	kind = ret->request.header.id;
	if (kind < 1 || kind >= REQUEST_KIND_END)
		return fault(-EOPNOTSUPP, "unknown request", ret_why);
	if (ret->request.version != PROTOCOL_VERSION)
		return fault(-EPROTO, "the client is of another version than the broker", ret_why);
	if (size != request_rules[kind].size || ret->request.header.size != (int32_t)size)
		return fault(-EBADMSG, "a request of the wrong length", ret_why);
	if (!well_formed(ret, (enum request_kind)kind))
		return fault(-EBADMSG, "a malformed request", ret_why);
	return 0;
}

bool request_changes(enum request_kind kind)
{
	return request_rules[kind].change;
}

bool request_is_agents(enum request_kind kind)
{
	return request_rules[kind].agent;
}
