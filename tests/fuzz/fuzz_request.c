/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a client's message to the broker: as they are, and with the header of the request that the
 * first byte names, so that the checks behind it are reached. What is let through is what the broker may use.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/request_check.h"
#include "tests/fuzz/fuzz_target.h"

static const size_t sizes[REQUEST_KIND_END] = {
	[REQUEST_FACTS] = sizeof(struct request),	  [REQUEST_PUBLISH] = sizeof(struct publish_request),
	[REQUEST_AGENT] = sizeof(struct request),	  [REQUEST_ANSWER] = sizeof(struct answer_request),
	[REQUEST_STATUS] = sizeof(struct request),	  [REQUEST_BLOCKS] = sizeof(struct blocks_request),
	[REQUEST_GLOBAL] = sizeof(struct global_request), [REQUEST_COMMAND] = sizeof(struct command_request),
};

static bool is_bool(const void *at)
{
	return *(const unsigned char *)at <= 1;
}

static void check_publish(const struct publish_request *p)
{
	assert(is_bool(&p->may_start) && is_bool(&p->can_move) && is_bool(&p->alarm) &&
	       is_bool(&p->in_turn) && is_bool(&p->watch_closely) && is_bool(&p->config_shared) &&
	       is_bool(&p->claim.maintenance) && is_bool(&p->claim.stopped));
	/* Each has a word. */
	assert(strcmp(vm_str(p->claim.vm), "?") && strcmp(health_str(p->claim.health), "?") &&
	       strcmp(detail_str(p->claim.detail), "?") && strcmp(engine_reason_str(p->engine_reason), "?") &&
	       strcmp(state_str(p->state), "?") && strcmp(reason_str(p->reason), "?"));
	assert(p->claim.migrating_to <= HOST_ID_MAX && strlen(p->move_failed) < MOVE_FAILED_MAX);
}

static void check(const uint8_t *data, size_t size)
{
	union request_message message;
	const char *why = NULL;
	/* Of its own length, so that a byte too many is seen. */
	uint8_t *copy = malloc(size ? size : 1);
	int r;

	assert(copy);
	memcpy(copy, data, size);
	r = request_check(copy, size, &message, &why);
	assert(memcmp(copy, data, size) == 0);
	free(copy);
	if (r < 0) {
		assert((r == -EOPNOTSUPP || r == -EPROTO || r == -EBADMSG) && why && strlen(why) < TEXT_MAX);
		return;
	}
	assert(r == 0 && !why);
	assert(message.request.header.id >= 1 && message.request.header.id < REQUEST_KIND_END);
	assert(size == sizes[message.request.header.id] && memcmp(&message, data, size) == 0);
	assert(!request_is_agents((enum request_kind)message.request.header.id) ||
	       request_changes((enum request_kind)message.request.header.id));
	switch (message.request.header.id) {
	case REQUEST_PUBLISH:
		check_publish(&message.publish);
		break;
	case REQUEST_ANSWER:
		assert(message.answer.error <= 0 && strlen(message.answer.text) < TEXT_MAX);
		break;
	case REQUEST_GLOBAL:
		assert(is_bool(&message.global.maintenance));
		break;
	case REQUEST_COMMAND:
		assert(message.command.command >= COMMAND_LOCAL_MAINTENANCE_ON &&
		       message.command.command < COMMAND_KIND_END &&
		       strlen(message.command.argument) < TEXT_MAX);
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	union {
		struct request request;
		uint8_t bytes[sizeof(union request_message)];
	} made = {.bytes = {0}};
	unsigned kind;

	check(data, size);
	if (size == 0)
		return 0;
	kind = 1 + data[0] % (REQUEST_KIND_END - 1);
	memcpy(made.bytes + sizeof(made.request), data + 1,
	       size - 1 < sizeof(made) - sizeof(made.request) ? size - 1
							      : sizeof(made) - sizeof(made.request));
	made.request.header.id = (int32_t)kind;
	made.request.header.size = (int32_t)sizes[kind];
	made.request.version = PROTOCOL_VERSION;
	check(made.bytes, sizes[kind]);
	if (sizes[kind] < sizeof(made)) {
		made.request.header.size++;
		check(made.bytes, sizes[kind] + 1);
	}
	return 0;
}
