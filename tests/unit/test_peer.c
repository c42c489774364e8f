/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fresh, dead, eligible, alien: rows of a history second by second, and the answers at its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/peer.h"
#include "tests/unit/words.h"

#define S MONO_SECOND

enum what { END, CLAIM, FAULT, HOST };

struct event {
	int64_t at_s;
	enum what what;
	uint64_t timestamp, generation; /* of the record, or of sanlock's answer */
	int value;			/* score, record_fault or host_state */
};

struct row {
	const char *name;
	struct event events[10];
	int64_t ask_s;
	bool fresh, dead, eligible;
};

static const struct row rows[] = {
	{"never seen", {{0, END, 0, 0, 0}}, 10, false, false, false},
	{"renewed",
	 {{0, HOST, 7, 1, HOST_LIVE}, {0, CLAIM, 50, 1, 3400}, {10, CLAIM, 60, 1, 3400}},
	 20,
	 true,
	 false,
	 true},
	{"59.999 s old",
	 {{0, HOST, 7, 1, HOST_LIVE}, {0, CLAIM, 50, 1, 3400}, {1, CLAIM, 60, 1, 3400}},
	 60,
	 true,
	 false,
	 true},
	{"60 s old",
	 {{0, HOST, 7, 1, HOST_LIVE}, {0, CLAIM, 50, 1, 3400}, {1, CLAIM, 60, 1, 3400}},
	 61,
	 false,
	 false,
	 false},
	{"no history, of the generation that renews",
	 {{0, HOST, 7, 1, HOST_LIVE}, {0, CLAIM, 50, 1, 3400}},
	 1,
	 true,
	 false,
	 true},
	{"no history for 60 s",
	 {{0, HOST, 7, 1, HOST_LIVE}, {0, CLAIM, 50, 1, 3400}},
	 60,
	 false,
	 false,
	 false},
	{"no history, of an older generation",
	 {{0, HOST, 7, 2, HOST_LIVE}, {0, CLAIM, 50, 1, 3400}},
	 1,
	 false,
	 true,
	 false},
	{"no history, record without generation",
	 {{0, HOST, 7, 1, HOST_LIVE}, {0, CLAIM, 50, 0, 3400}},
	 1,
	 false,
	 false,
	 false},
	{"no history, sanlock silent", {{0, CLAIM, 50, 1, 3400}}, 1, false, false, false},
	{"no history, sanlock says FAIL",
	 {{0, HOST, 7, 1, HOST_FAIL}, {0, CLAIM, 50, 1, 3400}},
	 1,
	 false,
	 false,
	 false},
	{"score 0",
	 {{0, HOST, 7, 1, HOST_LIVE}, {0, CLAIM, 50, 1, 0}, {1, CLAIM, 51, 1, 0}},
	 2,
	 true,
	 false,
	 false},
	{"DEAD though its record lives",
	 {{0, CLAIM, 50, 1, 3400}, {1, CLAIM, 51, 1, 3400}, {1, HOST, 7, 1, HOST_DEAD}},
	 2,
	 true,
	 true,
	 false},
	{"FREE",
	 {{0, CLAIM, 50, 1, 3400}, {1, CLAIM, 51, 1, 3400}, {1, HOST, 7, 1, HOST_FREE}},
	 2,
	 true,
	 true,
	 false},
	{"not listed",
	 {{0, CLAIM, 50, 1, 3400}, {1, CLAIM, 51, 1, 3400}, {1, HOST, 0, 0, HOST_ABSENT}},
	 2,
	 true,
	 true,
	 false},
	{"sanlock unknown is not dead",
	 {{0, HOST, 7, 1, HOST_LIVE},
	  {0, CLAIM, 50, 1, 3400},
	  {1, CLAIM, 51, 1, 3400},
	  {1, HOST, 0, 0, HOST_UNKNOWN}},
	 2,
	 true,
	 false,
	 true},
	{"sanlock lags: a lower generation",
	 {{0, HOST, 7, 1, HOST_LIVE}, {0, CLAIM, 50, 2, 3400}, {1, CLAIM, 51, 2, 3400}},
	 2,
	 true,
	 false,
	 true},
	{"a higher generation: it came back",
	 {{0, HOST, 7, 3, HOST_LIVE}, {0, CLAIM, 50, 2, 3400}, {1, CLAIM, 51, 2, 3400}},
	 2,
	 true,
	 true,
	 false},
	{"unreadable is not dead",
	 {{0, HOST, 7, 1, HOST_LIVE},
	  {0, CLAIM, 50, 1, 3400},
	  {1, CLAIM, 51, 1, 3400},
	  {1, FAULT, 0, 0, RECORD_BAD}},
	 2,
	 false,
	 false,
	 false},
	{"unreadable at first sight",
	 {{0, FAULT, 0, 0, RECORD_BAD}, {0, HOST, 7, 1, HOST_LIVE}, {1, CLAIM, 50, 1, 3400}},
	 2,
	 true,
	 false,
	 true},
	{"a clock that goes back, no generation known",
	 {{0, CLAIM, 50, 0, 3400}, {1, CLAIM, 40, 0, 3400}},
	 2,
	 true,
	 false,
	 true},
	{"sanlock unknown, of a known generation",
	 {{0, CLAIM, 50, 1, 3400}, {1, CLAIM, 51, 1, 3400}, {1, HOST, 7, 2, HOST_UNKNOWN}},
	 2,
	 true,
	 false,
	 true},
	{"newer is not dead",
	 {{0, HOST, 7, 1, HOST_LIVE}, {0, FAULT, 0, 0, RECORD_TOO_NEW}},
	 2,
	 false,
	 false,
	 false},
	{"readable again",
	 {{0, HOST, 7, 1, HOST_LIVE},
	  {0, CLAIM, 50, 1, 3400},
	  {1, FAULT, 0, 0, RECORD_BAD},
	  {2, CLAIM, 52, 1, 3400}},
	 3,
	 true,
	 false,
	 true},
	{"a late write of the past changes nothing",
	 {{0, HOST, 7, 1, HOST_LIVE},
	  {0, CLAIM, 50, 1, 3400},
	  {1, CLAIM, 51, 1, 3400},
	  {70, CLAIM, 40, 1, 3400}},
	 71,
	 false,
	 false,
	 false},
	{"a rebooted host: clock back, generation up",
	 {{0, HOST, 7, 1, HOST_LIVE},
	  {0, CLAIM, 500, 1, 3400},
	  {70, HOST, 1, 2, HOST_LIVE},
	  {70, CLAIM, 4, 2, 3400}},
	 71,
	 true,
	 false,
	 true},
	{"rebooted into a new lockspace: clock back, the generation the same",
	 {{0, HOST, 470, 1, HOST_LIVE},
	  {0, CLAIM, 500, 1, 3400},
	  {70, HOST, 1, 1, HOST_LIVE},
	  {70, CLAIM, 4, 1, 3400}},
	 71,
	 true,
	 false,
	 true},
	{"the same, and it renews no more",
	 {{0, HOST, 470, 1, HOST_LIVE},
	  {0, CLAIM, 500, 1, 3400},
	  {70, HOST, 1, 1, HOST_FAIL},
	  {70, CLAIM, 4, 1, 3400}},
	 71,
	 false,
	 false,
	 false},
	{"a late write, and renewals that lag by 8N + 2N",
	 {{0, HOST, 400, 1, HOST_LIVE}, {0, CLAIM, 500, 1, 3400}, {70, CLAIM, 450, 1, 3400}},
	 71,
	 false,
	 false,
	 false},
	{"a clone's record of another generation does not hide the host",
	 {{0, HOST, 7, 2, HOST_LIVE},
	  {0, CLAIM, 500, 2, 3400},
	  {70, CLAIM, 9000, 77, 3400},
	  {80, CLAIM, 580, 2, 3400}},
	 81,
	 true,
	 false,
	 true},
	{"a writer without generation is believed",
	 {{0, CLAIM, 500, 0, 3400}, {0, HOST, 7, 1, HOST_LIVE}, {70, CLAIM, 4, 0, 3400}},
	 71,
	 true,
	 false,
	 true},
	{"its block was emptied",
	 {{0, HOST, 7, 1, HOST_LIVE},
	  {0, CLAIM, 50, 1, 3400},
	  {1, CLAIM, 51, 1, 3400},
	  {2, FAULT, 0, 0, RECORD_ABSENT}},
	 3,
	 false,
	 false,
	 false},
	{"the same record again is no renewal",
	 {{0, HOST, 7, 1, HOST_LIVE},
	  {0, CLAIM, 50, 1, 3400},
	  {30, CLAIM, 50, 1, 3400},
	  {59, CLAIM, 50, 1, 3400}},
	 61,
	 false,
	 false,
	 false},
};

static void play(struct peer *peer, const struct event *events, size_t n)
{
	peer_init(peer, 2);
	for (size_t i = 0; i < n && events[i].what != END; i++) {
		const struct event *e = &events[i];
		struct claim claim = {
			.timestamp = e->timestamp, .generation = e->generation, .score = e->value};

		if (e->what == CLAIM)
			peer_observe_claim(peer, &claim, &policy_default.lease, e->at_s * S);
		else if (e->what == FAULT)
			peer_observe_fault(peer, (enum record_fault)e->value, e->at_s * S);
		else
			peer_observe_host(peer, (enum host_state)e->value, e->generation, e->timestamp,
					  e->at_s * S);
	}
}

static void test_rows(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		bool fresh, dead, eligible;
		struct peer peer;

		play(&peer, row->events, sizeof(row->events) / sizeof(row->events[0]));
		fresh = peer_fresh(&peer, &policy_default, row->ask_s * S);
		dead = peer_dead(&peer, peer.claim.generation);
		eligible = peer_eligible(&peer, &policy_default, row->ask_s * S);
		if (fresh != row->fresh || dead != row->dead || eligible != row->eligible)
			fail_msg("%s: fresh=%d dead=%d eligible=%d", row->name, fresh, dead, eligible);
	}
}

static void test_not_eligible(void **state)
{
	struct peer peer;
	struct claim claim = {.timestamp = 1, .generation = 1, .score = 3400};

	peer_init(&peer, 2);
	peer_observe_host(&peer, HOST_LIVE, 1, 1, 0);
	peer_observe_claim(&peer, &claim, &policy_default.lease, 0);
	assert_true(peer_eligible(&peer, &policy_default, S));
	claim.maintenance = true;
	peer_observe_claim(&peer, &claim, &policy_default.lease, 0);
	assert_false(peer_eligible(&peer, &policy_default, S));
	claim.maintenance = false;
	claim.stopped = true;
	peer_observe_claim(&peer, &claim, &policy_default.lease, 0);
	assert_false(peer_eligible(&peer, &policy_default, S));
}

/* Dead for whom: the generation in the lease, not the record's. */
static void test_dead_generation(void **state)
{
	struct peer peer;

	peer_init(&peer, 2);
	peer_observe_host(&peer, HOST_LIVE, 5, 1, 0);
	assert_true(peer_dead(&peer, 4));
	assert_false(peer_dead(&peer, 5));
	assert_false(peer_dead(&peer, 6));
	assert_false(peer_dead(&peer, 0));
}

/* What was announced counts until its writer says otherwise, is silent for `stale`, or is dead. */
static void test_migrates(void **state)
{
	struct claim claim = {.timestamp = 50, .generation = 3, .vm = VM_UP};
	const struct claim clone = {.timestamp = 900, .generation = 77};
	struct peer peer;

	peer_init(&peer, 2);
	peer_observe_host(&peer, HOST_LIVE, 3, 7, 0);
	peer_observe_claim(&peer, &claim, &policy_default.lease, 0);
	assert_false(peer_migrates(&peer, &policy_default, 1));
	claim.timestamp++;
	claim.migrating_to = 2;
	peer_observe_claim(&peer, &claim, &policy_default.lease, 10 * S);
	assert_true(peer_migrates(&peer, &policy_default, 10 * S));
	peer_observe_claim(&peer, &claim, &policy_default.lease, 15 * S); /* the same one */
	/* It is torn, and another stands in its block. */
	peer_observe_fault(&peer, RECORD_BAD, 20 * S);
	assert_true(peer_migrates(&peer, &policy_default, 20 * S));
	peer_observe_claim(&peer, &clone, &policy_default.lease, 30 * S);
	assert_true(peer_migrates(&peer, &policy_default, 69 * S));
	assert_false(peer_migrates(&peer, &policy_default, 70 * S));
	peer_observe_host(&peer, HOST_LIVE, 4, 8, 40 * S);
	assert_false(peer_migrates(&peer, &policy_default, 41 * S));
	peer_observe_host(&peer, HOST_LIVE, 3, 9, 42 * S);
	assert_true(peer_migrates(&peer, &policy_default, 42 * S));
	claim.timestamp++;
	claim.migrating_to = 0;
	peer_observe_claim(&peer, &claim, &policy_default.lease, 50 * S);
	assert_false(peer_migrates(&peer, &policy_default, 50 * S));
	/* The first that is seen of it. */
	claim.migrating_to = 1;
	peer_init(&peer, 2);
	peer_observe_host(&peer, HOST_LIVE, 3, 7, 0);
	peer_observe_claim(&peer, &claim, &policy_default.lease, 0);
	assert_true(peer_migrates(&peer, &policy_default, 59 * S));
	assert_false(peer_migrates(&peer, &policy_default, 60 * S));
}

static void test_since(void **state)
{
	struct peer peer;
	struct claim claim = {.timestamp = 1, .generation = 1, .score = 100, .vm = VM_UP};

	peer_init(&peer, 2);
	peer_observe_claim(&peer, &claim, &policy_default.lease, 10);
	assert_int_equal(peer.vm_since, 10);
	assert_int_equal(peer.able_since, 10);
	claim.timestamp++;
	peer_observe_claim(&peer, &claim, &policy_default.lease, 20);
	assert_int_equal(peer.vm_since, 10);
	claim.timestamp++;
	claim.vm = VM_DOWN;
	claim.score = 0;
	peer_observe_claim(&peer, &claim, &policy_default.lease, 30);
	assert_int_equal(peer.vm_since, 30);
	assert_true(peer.able_since == MONO_UNSET);
	claim.timestamp++;
	claim.score = 100;
	peer_observe_claim(&peer, &claim, &policy_default.lease, 40);
	assert_int_equal(peer.able_since, 40);
	peer_observe_fault(&peer, RECORD_BAD, 50);
	assert_true(peer.able_since == MONO_UNSET);
}

#define ASK_S 51 /* after the last event of every row */

/* Safety rule 9: 4 x io_timeout (40 s) of absence, and two advances after it. */
static const struct {
	const char *name;
	struct event events[10];
	bool alien;
} aliens[] = {
	{"two advances after 40 s",
	 {{0, HOST, 0, 0, HOST_ABSENT}, {0, CLAIM, 1, 1, 9}, {40, CLAIM, 2, 1, 9}, {41, CLAIM, 3, 1, 9}},
	 true},
	{"one advance can be a late write",
	 {{0, HOST, 0, 0, HOST_ABSENT}, {0, CLAIM, 1, 1, 9}, {40, CLAIM, 2, 1, 9}, {41, CLAIM, 2, 1, 9}},
	 false},
	{"before the 40 s",
	 {{0, HOST, 0, 0, HOST_ABSENT}, {0, CLAIM, 1, 1, 9}, {38, CLAIM, 2, 1, 9}, {39, CLAIM, 3, 1, 9}},
	 false},
	{"FREE",
	 {{0, HOST, 7, 1, HOST_FREE}, {0, CLAIM, 1, 1, 9}, {40, CLAIM, 2, 1, 9}, {41, CLAIM, 3, 1, 9}},
	 true},
	{"another generation",
	 {{0, HOST, 7, 2, HOST_LIVE}, {0, CLAIM, 1, 1, 9}, {40, CLAIM, 2, 1, 9}, {41, CLAIM, 3, 1, 9}},
	 true},
	{"its own generation",
	 {{0, HOST, 7, 1, HOST_LIVE}, {0, CLAIM, 1, 1, 9}, {40, CLAIM, 2, 1, 9}, {41, CLAIM, 3, 1, 9}},
	 false},
	{"no generation in the record",
	 {{0, HOST, 0, 0, HOST_ABSENT}, {0, CLAIM, 1, 0, 9}, {40, CLAIM, 2, 0, 9}, {41, CLAIM, 3, 0, 9}},
	 false},
	{"sanlock silent says nothing",
	 {{0, CLAIM, 1, 1, 9}, {40, CLAIM, 2, 1, 9}, {41, CLAIM, 3, 1, 9}},
	 false},
	{"listed again in between",
	 {{0, HOST, 0, 0, HOST_ABSENT},
	  {0, CLAIM, 1, 1, 9},
	  {20, HOST, 7, 1, HOST_LIVE},
	  {21, HOST, 0, 0, HOST_ABSENT},
	  {50, CLAIM, 2, 1, 9},
	  {51, CLAIM, 3, 1, 9}},
	 false},
	{"mended",
	 {{0, HOST, 0, 0, HOST_ABSENT},
	  {0, CLAIM, 1, 1, 9},
	  {40, CLAIM, 2, 1, 9},
	  {41, CLAIM, 3, 1, 9},
	  {42, HOST, 7, 1, HOST_LIVE}},
	 false},
};

static void test_alien(void **state)
{
	for (size_t i = 0; i < sizeof(aliens) / sizeof(aliens[0]); i++) {
		struct peer peer;

		play(&peer, aliens[i].events, sizeof(aliens[i].events) / sizeof(aliens[i].events[0]));
		if (peer_alien(&peer, &policy_default, ASK_S * S) != aliens[i].alien)
			fail_msg("%s: alien=%d", aliens[i].name, !aliens[i].alien);
	}
}

/* A record without a generation, of an older writer, is judged by the one that sanlock saw. */
static void test_old_writer_reboots(void **state)
{
	struct claim old = {.timestamp = 900, .score = 1}, new = {.timestamp = 5, .score = 2};
	struct peer peer;

	peer_init(&peer, 2);
	peer_observe_host(&peer, HOST_LIVE, 3, 1, 0);
	peer_observe_claim(&peer, &old, &policy_default.lease, 0);
	assert_false(peer_observe_claim(&peer, &new, &policy_default.lease, 1 * S)); /* a late write */
	assert_int_equal(peer.claim.score, 1);
	peer_observe_host(&peer, HOST_LIVE, 4, 2, 2 * S);
	assert_true(peer_observe_claim(&peer, &new, &policy_default.lease, 3 * S));
	assert_int_equal(peer.claim.score, 2);
}

static void test_alien_ends(void **state)
{
	struct claim claim = {.timestamp = 1, .generation = 1, .stopped = true};
	struct peer peer;

	peer_init(&peer, 2);
	peer_observe_host(&peer, HOST_ABSENT, 0, 0, 0);
	for (int64_t s = 0; s < 100; s++, claim.timestamp++)
		peer_observe_claim(&peer, &claim, &policy_default.lease, s * S);
	assert_false(peer_alien(&peer, &policy_default, 100 * S));

	claim.stopped = false;
	for (int64_t s = 100; s < 200; s++, claim.timestamp++)
		peer_observe_claim(&peer, &claim, &policy_default.lease, s * S);
	assert_true(peer_alien(&peer, &policy_default, 258 * S));
	assert_false(peer_alien(&peer, &policy_default, 259 * S)); /* it died, and left its record behind */
}

static void test_words(void **state)
{
	CHECK_WORDS(host_state, HOST_STATE_COUNT);
	CHECK_WORDS(record_fault, RECORD_FAULT_COUNT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_not_eligible),
		cmocka_unit_test(test_since),
		cmocka_unit_test(test_migrates),
		cmocka_unit_test(test_dead_generation),
		cmocka_unit_test(test_alien),
		cmocka_unit_test(test_alien_ends),
		cmocka_unit_test(test_old_writer_reboots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
