/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who owns the lease, who may take it, what is known: rows of facts as they stand in a trace line. Each row
 * begins from a joined host 3 that knows everything, with the peers 2 and 5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/outlook.h"
#include "core/trace.h"
#include "tests/unit/words.h"

/* Fresh, LIVE, generation 4, score 3000 and 3400, renewed at 100 s. */
static const char base[] =
	"now=100000 broker_answers=1 cluster.host_id=3 cluster.generation=7 cluster.membership=joined "
	"cluster.hosts_known=1 cluster.whiteboard_read=1 cluster.maintenance_read=1 cluster.owner=nobody "
	"cluster.io_timeout_s=10 cluster.watchdog_fire_s=60 "
	"peer.2.fault=ok peer.2.generation=4 peer.2.score=3000 peer.2.vm=down peer.2.first_seen=0 "
	"peer.2.changed_at=99000 peer.2.able_since=0 peer.2.vm_since=0 peer.2.host=live "
	"peer.2.host_generation=4 "
	"peer.2.renewed_at=99000 peer.2.io_timeout_s=10 peer.2.watchdog_fire_s=60 "
	"peer.5.fault=ok peer.5.generation=4 peer.5.score=3400 peer.5.vm=down peer.5.first_seen=0 "
	"peer.5.changed_at=99000 peer.5.able_since=0 peer.5.vm_since=0 peer.5.host=live "
	"peer.5.host_generation=4 "
	"peer.5.renewed_at=99000 peer.5.io_timeout_s=10 peer.5.watchdog_fire_s=60";

static const char owned[] = "cluster.owner=host cluster.owner_id=2 cluster.owner_generation=4 ";

static const struct {
	const char *name, *facts;
	enum ownership ownership;
} owners[] = {
	{"nobody's", "", OWNERSHIP_FREE},
	{"not read", "cluster.owner=unread", OWNERSHIP_UNKNOWN},
	{"ours", "cluster.owner=host cluster.owner_id=3 cluster.owner_generation=7", OWNERSHIP_OURS},
	{"ours of an earlier life", "cluster.owner=host cluster.owner_id=3 cluster.owner_generation=6",
	 OWNERSHIP_DEAD},
	{"ours of a later life", "cluster.owner=host cluster.owner_id=3 cluster.owner_generation=8",
	 OWNERSHIP_UNKNOWN},
	{"ours, while our generation is not known",
	 "cluster.owner=host cluster.owner_id=3 cluster.owner_generation=7 cluster.generation=0",
	 OWNERSHIP_UNKNOWN},
	{"another's", "peer.2.vm=down", OWNERSHIP_ALIVE},
	{"another's, FAIL", "peer.2.host=fail", OWNERSHIP_ALIVE},
	{"another's, DEAD", "peer.2.host=dead", OWNERSHIP_DEAD},
	{"another's, FREE", "peer.2.host=free", OWNERSHIP_DEAD},
	{"another's, not listed", "peer.2.host=absent peer.2.host_generation=0", OWNERSHIP_DEAD},
	{"another's, sanlock unknown", "peer.2.host=unknown", OWNERSHIP_UNKNOWN},
	{"another's, of a later life", "peer.2.host_generation=5", OWNERSHIP_DEAD},
	{"another's, get_hosts lags", "peer.2.host_generation=3", OWNERSHIP_UNKNOWN},
	{"another's, unreadable record", "peer.2.fault=bad", OWNERSHIP_ALIVE},
	{"another's, newer record", "peer.2.fault=too-new", OWNERSHIP_ALIVE},
	{"another's, not renewed for 139.999 s", "now=238999", OWNERSHIP_ALIVE},
	{"another's, not renewed for 140 s", "now=239000", OWNERSHIP_OVERDUE},
	{"of a host nobody has seen", "cluster.owner_id=77", OWNERSHIP_DEAD},
	{"get_hosts has not answered", "cluster.hosts_known=0", OWNERSHIP_UNKNOWN},
	{"not joined", "cluster.membership=joining", OWNERSHIP_UNKNOWN},
	{"the broker is away", "broker_answers=0", OWNERSHIP_UNKNOWN},
};

static void test_words(void **state)
{
	CHECK_WORDS(ownership, OWNERSHIP_COUNT);
}

static void take(const char *more, const char *facts, int32_t score, struct outlook *ret,
		 struct rivals *ret_rivals)
{
	static struct peer peers[8];
	struct trace trace;
	char line[2048];
	size_t at = 0;

	trace_init(&trace, peers, 8);
	snprintf(line, sizeof(line), "%s %s %s", base, more, facts);
	if (trace_parse(line, &trace, &at) < 0)
		fail_msg("%s", line + at);
	outlook_take(&trace.known, &trace.policy, trace.now, ret);
	outlook_rivals(&trace.known, &trace.policy, trace.machine.lease_free_since, score, trace.now,
		       ret_rivals);
}

static void test_owners(void **state)
{
	for (size_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++) {
		bool own = i < 6;
		struct outlook outlook;
		struct rivals rivals;

		take(own ? "" : owned, owners[i].facts, 3400, &outlook, &rivals);
		if (outlook.ownership != owners[i].ownership)
			fail_msg("%s: %s", owners[i].name, ownership_str(outlook.ownership));
		assert_int_equal(outlook_lease_free(&outlook), outlook.ownership == OWNERSHIP_FREE ||
								       outlook.ownership == OWNERSHIP_DEAD ||
								       outlook.ownership == OWNERSHIP_OURS);
		if (outlook.ownership == OWNERSHIP_ALIVE)
			assert_non_null(outlook.owner);
	}
}

static const struct {
	const char *name, *facts;
	bool knowledge;
} knowings[] = {
	{"all", "", true},
	{"not joined", "cluster.membership=none", false},
	{"get_hosts silent", "cluster.hosts_known=0", false},
	{"whiteboard not read", "cluster.whiteboard_read=0", false},
	{"block 0 not read", "cluster.maintenance_read=0", false},
	{"broker away", "broker_answers=0", false},
	{"an id that says up is unknown to sanlock", "peer.2.vm=up peer.2.host=unknown", false},
	{"an id that says down is unknown to sanlock", "peer.2.host=unknown", true},
	{"an unreadable record said up", "peer.2.fault=bad peer.2.vm=up peer.2.host=unknown", true},
	{"the owner is unknown to sanlock",
	 "cluster.owner=host cluster.owner_id=2 cluster.owner_generation=4 peer.2.host=unknown", false},
	{"the lease could not be read", "cluster.owner=unread", false},
	{"the owner is known", "cluster.owner=host cluster.owner_id=2 cluster.owner_generation=4", true},
};

static void test_knowledge(void **state)
{
	for (size_t i = 0; i < sizeof(knowings) / sizeof(knowings[0]); i++) {
		struct outlook outlook;
		struct rivals rivals;

		take("", knowings[i].facts, 3400, &outlook, &rivals);
		if (outlook.knowledge != knowings[i].knowledge)
			fail_msg("%s", knowings[i].name);
	}
}

static const struct {
	const char *name, *facts;
	int32_t score, best;
	unsigned rank;
	bool can_move, claimed_up, migration, differs;
} views[] = {
	{"the highest score", "", 1, 3400, 0, true, false, false, false},
	{"equal to the lower id", "", 3000, 3400, 1, true, false, false, false},
	{"equal to the higher id only", "", 3400, 3400, 0, true, false, false, false},
	{"the best is dead", "peer.5.host=dead", 1, 3000, 0, true, false, false, false},
	{"both dead", "peer.5.host=dead peer.2.host=free", 1, 0, 0, false, false, false, false},
	{"both stale", "now=159000", 1, 0, 0, false, false, false, false},
	{"left a free lease untaken for 60 s", "machine.lease_free_since=40000", 3000, 0, 0, true, false,
	 false, false},
	{"59.999 s", "machine.lease_free_since=40001", 3000, 3400, 1, true, false, false, false},
	{"able for a moment only", "machine.lease_free_since=0 peer.5.able_since=40001", 3000, 3400, 0, true,
	 false, false, false},
	{"says up", "peer.5.vm=up", 1, 3400, 0, true, true, false, false},
	{"says up and is dead", "peer.5.vm=up peer.5.host=dead", 1, 3000, 0, true, false, false, false},
	{"says up and is stale", "peer.5.vm=up peer.5.changed_at=40000", 1, 3000, 0, true, false, false,
	 false},
	{"migrates", "peer.2.migrating_to=5", 1, 3400, 0, true, false, true, false},
	{"migrates, score 0", "peer.2.migrating_to=5 peer.2.score=0", 1, 3400, 0, true, false, true, false},
	{"timing of the lowest id differs", "peer.2.io_timeout_s=5", 1, 3400, 0, true, false, false, true},
	{"its watchdog differs", "peer.2.watchdog_fire_s=10", 1, 3400, 0, true, false, false, true},
	{"timing of a higher id differs", "peer.5.io_timeout_s=5", 1, 3400, 0, true, false, false, false},
	{"lowest id without the keys", "peer.2.io_timeout_s=0", 1, 3400, 0, true, false, false, false},
	{"lowest id not eligible", "peer.2.io_timeout_s=5 peer.2.score=0", 1, 3400, 0, true, false, false,
	 false},
	{"unreadable", "peer.5.fault=bad peer.2.fault=too-new", 1, 0, 0, false, false, false, false},
};

static void test_views(void **state)
{
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
		struct outlook o;
		struct rivals rivals;

		take("", views[i].facts, views[i].score, &o, &rivals);
		if (rivals.best != views[i].best || rivals.rank != views[i].rank ||
		    o.can_move != views[i].can_move || o.claimed_up != views[i].claimed_up ||
		    o.migration != views[i].migration || o.timing_differs != views[i].differs)
			fail_msg("%s: best=%d rank=%u can_move=%d claimed_up=%d migration=%d differs=%d",
				 views[i].name, rivals.best, rivals.rank, o.can_move, o.claimed_up,
				 o.migration, o.timing_differs);
	}
}

static void take_facts(const char *facts, struct peer peers[8], struct trace *trace)
{
	char line[2048];
	size_t at = 0;

	trace_init(trace, peers, 8);
	snprintf(line, sizeof(line), "%s %s", base, facts);
	assert_int_equal(trace_parse(line, trace, &at), 0);
}

static void test_target(void **state)
{
	static const struct {
		const char *facts;
		uint16_t wanted, target; /* 0: nobody */
	} rows[] = {
		{"", 0, 5},
		{"", 2, 2},
		{"", 3, 0},
		{"peer.5.score=3000 peer.2.score=3000", 0, 2},
		{"peer.5.generation=0", 0, 2},
		{"peer.5.generation=0", 5, 0},
		{"peer.5.host=dead", 0, 2},
		{"peer.5.maintenance=1", 5, 0},
		{"peer.5.score=0 peer.2.score=0", 0, 0},
		{"peer.2.fault=bad", 2, 0},
		{"peer.5.changed_at=60000", 0, 2},
		{"peer.5.changed_at=60000", 5, 0},
		{"peer.5.changed_at=unset peer.5.host_generation=1 peer.5.claim_generation=1", 5, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static struct peer peers[8];
		const struct peer *target;
		struct trace trace;

		take_facts(rows[i].facts, peers, &trace);
		target = outlook_target(&trace.known, &trace.policy, rows[i].wanted, trace.now);
		if ((target ? target->id : 0) != rows[i].target)
			fail_msg("%s: %u", rows[i].facts, target ? target->id : 0);
	}
}

/* From one to the next, none twice. */
static void test_next_target(void **state)
{
	static const struct {
		const char *facts;
		int32_t score;
		uint16_t id, next; /* 0: nobody */
	} rows[] = {
		{"peer.5.score=3400 peer.2.score=3000", 3400, 5, 2},
		{"peer.5.score=3400 peer.2.score=3000", 3000, 2, 0},
		{"peer.5.score=3000 peer.2.score=3000", 3000, 2, 5},
		{"peer.5.score=3000 peer.2.score=3000", 3000, 5, 0},
		{"peer.5.score=3000 peer.2.score=3000", 3400, 7, 2},
		{"peer.5.score=3400 peer.2.score=3000", 3500, 7, 5},
		{"peer.5.score=3000 peer.2.score=3000 peer.2.maintenance=1", 3400, 7, 5},
		{"peer.5.score=3000 peer.2.score=3000", 0, 2, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static struct peer peers[8];
		const struct peer *next;
		struct trace trace;

		take_facts(rows[i].facts, peers, &trace);
		next = outlook_next_target(&trace.known, &trace.policy, rows[i].score, rows[i].id, trace.now);
		if ((next ? next->id : 0) != rows[i].next)
			fail_msg("%s %d %u: %u", rows[i].facts, rows[i].score, rows[i].id,
				 next ? next->id : 0);
	}
}

static void test_in_turn(void **state)
{
	static const struct {
		const char *name, *facts;
		int32_t score;
		bool in_turn;
	} rows[] = {
		{"nobody before us", "", 3401, true},
		{"of equal score only the lower id goes first", "peer.2.score=3400", 3400, true},
		{"both go first: a loop's wait", "", 3000, false},
		{"one of them is enough", "policy.rank_delay=10000", 3000, false},
		{"both go first, 1 ms less", "policy.rank_delay=4999", 3000, true},
		{"nobody waits", "policy.rank_delay=0", 3000, true},
		{"one of them is dead", "peer.5.host=dead", 3000, true},
		{"one of them is stale", "peer.5.changed_at=40000", 3000, true},
		{"we have no score", "", 0, false},
		{"nor has one of them", "peer.5.score=0", 0, true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static struct peer peers[8];
		struct trace trace;
		char line[2048];
		size_t at = 0;

		trace_init(&trace, peers, 8);
		snprintf(line, sizeof(line), "%s policy.rank_delay=5000 %s", base, rows[i].facts);
		assert_int_equal(trace_parse(line, &trace, &at), 0);
		if (outlook_in_turn(&trace.known, &trace.policy, rows[i].score, trace.now) != rows[i].in_turn)
			fail_msg("%s", rows[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),	  cmocka_unit_test(test_owners),
		cmocka_unit_test(test_knowledge), cmocka_unit_test(test_views),
		cmocka_unit_test(test_target),	  cmocka_unit_test(test_next_target),
		cmocka_unit_test(test_in_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
