/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which messages the broker lets through: each kind of request as it should be, and with one thing wrong. Any
 * bytes go through it in tests/fuzz/fuzz_request.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/request_check.h"

static const struct {
	enum request_kind kind;
	size_t size;
	bool changes, agents;
} kinds[] = {
	{REQUEST_FACTS, sizeof(struct request), false, false},
	{REQUEST_PUBLISH, sizeof(struct publish_request), true, true},
	{REQUEST_AGENT, sizeof(struct request), true, false},
	{REQUEST_ANSWER, sizeof(struct answer_request), true, true},
	{REQUEST_STATUS, sizeof(struct request), false, false},
	{REQUEST_BLOCKS, sizeof(struct blocks_request), false, false},
	{REQUEST_GLOBAL, sizeof(struct global_request), true, false},
	{REQUEST_COMMAND, sizeof(struct command_request), true, false},
};

/* A message and one byte more. */
struct sent {
	union request_message message;
	uint8_t more;
};

static struct sent good(size_t i)
{
	struct sent sent;

	memset(&sent, 0, sizeof(sent));
	sent.message.request.header.id = (int32_t)kinds[i].kind;
	sent.message.request.header.size = (int32_t)kinds[i].size;
	sent.message.request.version = PROTOCOL_VERSION;
	if (kinds[i].kind == REQUEST_COMMAND)
		sent.message.command.command = COMMAND_VM_START;
	return sent;
}

static int check(const struct sent *sent, size_t size)
{
	union request_message taken;
	const char *why = NULL;
	int r = request_check(sent, size, &taken, &why);

	assert_int_equal(r < 0, why != NULL);
	return r;
}

static void test_kinds(void **state)
{
	_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == REQUEST_KIND_END - 1, "a request is missing");

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct sent sent = good(i);

		assert_int_equal(check(&sent, kinds[i].size), 0);
		assert_int_equal(request_changes(kinds[i].kind), kinds[i].changes);
		assert_int_equal(request_is_agents(kinds[i].kind), kinds[i].agents);
		assert_int_equal(check(&sent, kinds[i].size - 1), -EBADMSG);
		assert_int_equal(check(&sent, kinds[i].size + 1), -EBADMSG);
		assert_int_equal(check(&sent, 3), -EBADMSG);
		assert_int_equal(check(&sent, 0), -EBADMSG);
		sent.message.request.header.size++;
		assert_int_equal(check(&sent, kinds[i].size), -EBADMSG);
		sent.message.request.header.size = -1;
		assert_int_equal(check(&sent, kinds[i].size), -EBADMSG);
		sent.message.request.version++;
		assert_int_equal(check(&sent, kinds[i].size), -EPROTO);
		sent.message.request.header.id = REQUEST_KIND_END;
		assert_int_equal(check(&sent, kinds[i].size), -EOPNOTSUPP);
		sent.message.request.header.id = 0;
		assert_int_equal(check(&sent, kinds[i].size), -EOPNOTSUPP);
		sent.message.request.header.id = -1;
		assert_int_equal(check(&sent, kinds[i].size), -EOPNOTSUPP);
	}
}

/* One value that is none of its type, at the place of each. */
static const struct {
	size_t kind; /* of the table above */
	size_t at, size;
	uint32_t value;
} wrong[] = {
#define FLAG(member)                                                                                         \
	{                                                                                                    \
		1, offsetof(struct publish_request, member), 1, 2                                            \
	}
#define WORD(member, count)                                                                                  \
	{                                                                                                    \
		1, offsetof(struct publish_request, member), 4, count                                        \
	}
	FLAG(may_start),
	FLAG(can_move),
	FLAG(alarm),
	FLAG(in_turn),
	FLAG(watch_closely),
	FLAG(config_shared),
	FLAG(claim.maintenance),
	FLAG(claim.stopped),
	WORD(claim.vm, VM_COUNT),
	WORD(claim.health, HEALTH_COUNT),
	WORD(claim.detail, DETAIL_COUNT),
	WORD(engine_reason, ENGINE_REASON_COUNT),
	WORD(state, STATE_COUNT),
	WORD(reason, REASON_COUNT),
	{1, offsetof(struct publish_request, claim.migrating_to), 2, HOST_ID_MAX + 1},
	{3, offsetof(struct answer_request, error), 4, 1},
	{6, offsetof(struct global_request, maintenance), 1, 255},
	{7, offsetof(struct command_request, command), 4, 0},
	{7, offsetof(struct command_request, command), 4, COMMAND_KIND_END},
};

static void test_values(void **state)
{
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct sent sent = good(wrong[i].kind);

		memcpy((char *)&sent + wrong[i].at, &wrong[i].value, wrong[i].size);
		if (check(&sent, kinds[wrong[i].kind].size) != -EBADMSG)
			fail_msg("row %zu", i);
	}
}

static void test_texts(void **state)
{
	struct sent publish = good(1), answer = good(3), command = good(7);

	memset(publish.message.publish.move_failed, 'x', MOVE_FAILED_MAX);
	assert_int_equal(check(&publish, sizeof(struct publish_request)), -EBADMSG);
	publish.message.publish.move_failed[MOVE_FAILED_MAX - 1] = '\0';
	assert_int_equal(check(&publish, sizeof(struct publish_request)), 0);
	memset(answer.message.answer.text, 'x', TEXT_MAX);
	assert_int_equal(check(&answer, sizeof(struct answer_request)), -EBADMSG);
	answer.message.answer.text[TEXT_MAX - 1] = '\0';
	assert_int_equal(check(&answer, sizeof(struct answer_request)), 0);
	memset(command.message.command.argument, 'x', TEXT_MAX);
	assert_int_equal(check(&command, sizeof(struct command_request)), -EBADMSG);
	command.message.command.argument[TEXT_MAX - 1] = '\0';
	assert_int_equal(check(&command, sizeof(struct command_request)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
