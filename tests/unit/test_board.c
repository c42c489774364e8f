/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The own block of the whiteboard: when it is written and when it is not, on a virtual clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "metadata/identity.h"
#include "tests/unit/broker_world.h"

static void writes_at_once_and_every_loop(void **state)
{
	struct world *world = world_joined(*state);
	struct record record;
	uint64_t first;

	assert_int_equal(world->writes, 0);
	world_publish(world, 3400);
	world_run(world, 10);
	assert_int_equal(world->writes, 1);
	assert_int_equal(world->published_error, 0);
	assert_int_equal(world->published, 1);
	assert_int_equal(world_own(world, &record), RECORD_OK);
	assert_int_equal(record.claim.score, 3400);
	assert_int_equal(record.claim.generation, 1);
	assert_int_equal(record.claim.io_timeout_s, 10);
	assert_string_equal(record.hostname, "host1.example");
	assert_string_equal(record.state, "EngineDown");
	first = record.claim.timestamp;
	world_run(world, 10000);
	assert_int_equal(world->writes, 2);
	world_own(world, &record);
	assert_int_equal(record.claim.timestamp, first + 10);
	world_publish(world, 2400);
	world_run(world, 10);
	assert_int_equal(world->writes, 3);
	world_own(world, &record);
	assert_int_equal(record.claim.score, 2400);
}

/* Safety rule 10: the host id was joined with another io_timeout than hosted-engine.conf has now. */
static void publishes_the_io_timeout_that_sanlock_uses(void **state)
{
	struct world *world = world_joined(*state);
	struct record record;
	char text[TEXT_MAX];

	world_publish(world, 3400);
	world_run(world, 10);
	broker_trouble(world->broker, text);
	assert_null(strstr(text, "io_timeout"));
	world->hosts[0] = (struct lease_host){
		.id = 1, .state = HOST_LIVE, .generation = 1, .timestamp = 7, .io_timeout_s = 20};
	world->n_hosts = 1;
	world_run(world, 11000);
	assert_int_equal(world_cluster(world).lease.io_timeout_s, 20);
	assert_int_equal(world_cluster(world).lease.watchdog_fire_s, 60);
	assert_int_equal(world_own(world, &record), RECORD_OK);
	assert_int_equal(record.claim.io_timeout_s, 20);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "sanlock uses io_timeout 20 s, hosted-engine.conf says 10 s"));
}

/* Safety rule 9 waits for 4 of those, too. */
static void aliens_by_the_io_timeout_that_sanlock_uses(void **state)
{
	struct world *world = *state;
	static struct peer peers[HOST_ID_MAX];
	struct cluster cluster;

	world_record(world, 2, "host2.example", 99, 3, 3400);
	world_joined(*state);
	world->hosts[0] = (struct lease_host){
		.id = 1, .state = HOST_LIVE, .generation = 1, .timestamp = 7, .io_timeout_s = 20};
	world->n_hosts = 1;
	for (uint64_t i = 0; i < 14; i++) {
		world_record(world, 2, "host2.example", 100 + i, 3, 3400);
		world_publish(world, 3400);
		world_run(world, 10000);
		assert_int_equal(broker_facts(world->broker, &cluster, peers), 1);
		if (i == 7)
			assert_int_equal(peers[0].alien_advances, 0);
	}
	assert_true(peers[0].alien_advances > 1);
}

static void same_words_are_not_written_again(void **state)
{
	struct world *world = world_joined(*state);

	world_publish(world, 3400);
	world_run(world, 10);
	for (int i = 0; i < 5; i++) {
		world_publish(world, 3400);
		world_run(world, 100);
	}
	assert_int_equal(world->writes, 1);
	assert_int_equal(world->published, 6);
	assert_int_equal(world->published_error, 0);
}

/* What was not found when it was read back is not on storage, though the agent has nothing new to say. */
static void same_words_are_written_where_they_were_lost(void **state)
{
	static const struct {
		const char *name;
		enum store_fault_kind kind;
	} rows[] = {{"lost", STORE_FAULT_LOST},
		    {"torn", STORE_FAULT_TORN},
		    {"read back stale", STORE_FAULT_STALE}};
	struct world *world = world_joined(*state);
	struct record record;
	char text[TEXT_MAX];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int32_t score = 2000 + (int32_t)i;

		print_message("# %s\n", rows[i].name);
		world_publish(world, 3400);
		world_run(world, 100);
		assert_int_equal(world->published_error, 0);
		world_fault(world, (struct store_fault){.kind = rows[i].kind,
							.queues = 1U << STORE_QUEUE_OWN,
							.count = 1});
		world_publish(world, score);
		world_run(world, 100);
		assert_int_equal(world->published_error, -ESTALE);
		broker_trouble(world->broker, text);
		assert_non_null(strstr(text, "acknowledged and does not stand there"));
		world_heal(world);
		world_publish(world, score);
		world_run(world, 100);
		assert_int_equal(world->published_error, 0);
		broker_trouble(world->broker, text);
		assert_null(strstr(text, "storage"));
		assert_int_equal(world_own(world, &record), RECORD_OK);
		assert_int_equal(record.claim.score, score);
	}
}

/* A write that was given up lands over a newer one: the look of the next loop finds it. */
static void late_write_is_written_over(void **state)
{
	struct world *world = world_joined(*state);
	struct record record;

	world_publish(world, 3400);
	world_run(world, 100);
	world_fault(world, (struct store_fault){.kind = STORE_FAULT_LATE,
						.ops = STORE_FAULT_WRITES,
						.queues = 1U << STORE_QUEUE_OWN,
						.count = 1,
						.delay_ms = 5000});
	world_publish(world, 2000);
	world_run(world, 10000);
	assert_int_equal(world->published_error, -ETIMEDOUT);
	world_publish(world, 1000);
	world_run(world, 4990);
	assert_int_equal(world->published_error, 0);
	assert_int_equal(world_own(world, &record), RECORD_OK);
	assert_int_equal(record.claim.score, 1000);
	world_run(world, 20);
	assert_int_equal(world_own(world, &record), RECORD_OK);
	assert_int_equal(record.claim.score, 2000);
	world_heal(world);
	world_run(world, 10000);
	assert_int_equal(world_own(world, &record), RECORD_OK);
	assert_int_equal(record.claim.score, 1000);
}

static void next_agent_hears_nothing_of_the_last(void **state)
{
	struct world *world = world_joined(*state);

	world_publish(world, 3400);
	broker_agent_detach(world->broker, world);
	world_attach(world);
	world_run(world, 15000);
	assert_true(world->writes > 1);
	assert_int_equal(world->published, 0);
	world_publish(world, 3400);
	world_run(world, 100);
	assert_int_equal(world->published, 1);
}

static void silent_agent_no_timestamp(void **state)
{
	struct world *world = world_joined(*state);
	struct record record;
	uint64_t last;

	world_publish(world, 3400);
	world_run(world, 19900);
	world_own(world, &record);
	last = record.claim.timestamp;
	world_run(world, 60000);
	world_own(world, &record);
	assert_int_equal(record.claim.timestamp, last);
	assert_int_equal(world->writes, 2);
	world_publish(world, 3400);
	world_run(world, 10100);
	world_own(world, &record);
	assert_true(record.claim.timestamp > last);
}

/* It waited for a broker that stood still. */
static void old_word_of_the_agent_is_old(void **state)
{
	struct world *world = world_joined(*state);
	struct publish_request request = {.claim = {.score = 3000, .vm = VM_DOWN, .health = HEALTH_BAD},
					  .timeout_in_ms = -1,
					  .config_age_ms = -1};
	struct record record;
	uint64_t last;

	world_publish(world, 3400);
	world_run(world, 1000);
	request.said_at = world->now - 15000;
	broker_publish(world->broker, &request);
	world_run(world, 1000);
	world_own(world, &record);
	assert_int_equal(record.claim.score, 3000);
	last = record.claim.timestamp;
	world_run(world, 30000);
	world_own(world, &record);
	assert_int_equal(record.claim.timestamp, last);
}

static void nothing_without_the_host_id(void **state)
{
	struct world *world = *state;

	world->join_error = -EIO;
	world_start(world);
	world_attach(world);
	world_publish(world, 3400);
	world_run(world, 30000);
	assert_int_equal(world->writes, 0);
	assert_int_equal(world->published_error, -ENOLCK);
	world->join_error = 0;
	world_run(world, 7000);
	world_publish(world, 3400);
	world_run(world, 100);
	assert_true(world->writes > 0);
	/* Lost again: it stops again. */
	world->membership = MEMBERSHIP_NONE;
	world->qemu_error = -EIO;
	world_run(world, 11000);
	world->writes = 0;
	world_publish(world, 100);
	world_run(world, 15000);
	assert_int_equal(world->writes, 0);
	assert_int_equal(world->published_error, -ENOLCK);
}

static void foreign_record_stops_publishing(void **state)
{
	struct world *world = world_joined(*state);
	uint8_t theirs[BLOCK_SIZE];

	world_publish(world, 3400);
	world_run(world, 5000);
	world_record(world, 1, "clone.example", 50, 9, 3400);
	memcpy(theirs, world->blocks[1], BLOCK_SIZE);
	world_publish(world, 3400);
	world_run(world, 11000);
	assert_int_equal(world_cluster(world).block, BLOCK_ID_TAKEN);
	world_publish(world, 1000);
	world_run(world, 15000);
	assert_memory_equal(world->blocks[1], theirs, BLOCK_SIZE);
	assert_int_equal(world->published_error, -EEXIST);
	/* It stood still for 60 s: whoever wrote it is gone. */
	for (int i = 0; i < 8; i++) {
		world_publish(world, 1000);
		world_run(world, 10000);
	}
	assert_int_equal(world_cluster(world).block, BLOCK_NONE);
	assert_memory_not_equal(world->blocks[1], theirs, BLOCK_SIZE);
}

/* A clone whose beats fall between ours, while each of our writes ends as a read of all blocks begins: what
 * that read shows may be from before the write. */
static void clone_between_our_writes_is_seen(void **state)
{
	struct world *world = world_joined(*state);
	uint8_t theirs[BLOCK_SIZE];

	world_publish(world, 3400);
	for (int ms = 0; ms < 11000 && !world->io[STORE_QUEUE_SCAN].op; ms++)
		world_run(world, 1);
	assert_non_null(world->io[STORE_QUEUE_SCAN].op);
	world_run(world, 9999);
	world_publish(world, 3000);
	for (unsigned i = 0; i < 3; i++) {
		world_run(world, 4000);
		world_publish(world, 3000);
		world_run(world, 1000);
		world_record(world, 1, "clone.example", 50 + i, 9, 3400);
		memcpy(theirs, world->blocks[1], BLOCK_SIZE);
		world_run(world, 5000);
	}
	world_publish(world, 3000);
	world_run(world, 10);
	assert_int_equal(world_cluster(world).block, BLOCK_ID_TAKEN);
	assert_memory_equal(world->blocks[1], theirs, BLOCK_SIZE);
	assert_int_equal(world->published_error, -EEXIST);
}

/* A line of seven fields, which has no checksum: any name can stand in it. */
static void raw_record(struct world *world, const char *version, const char *name, unsigned timestamp)
{
	memset(world->blocks[1], 0, BLOCK_SIZE);
	snprintf((char *)world->blocks[1], BLOCK_SIZE, "%s|1|%u|1|3400|{\"vm\": \"down\"}|%s", version,
		 timestamp, name);
}

/* What a foreign host calls itself is shown in STATUS= and on terminals: a newline would begin another
 * message to systemd there. */
static void foreign_name_is_cleaned(void **state)
{
	struct world *world = world_joined(*state);
	char text[TEXT_MAX];

	world_publish(world, 3400);
	world_run(world, 5000);
	for (unsigned i = 0; i < 8 && world_cluster(world).block == BLOCK_NONE; i++) {
		raw_record(world, "1", "clone\x1b]0;x\x07\nREADY=1\xc3\xa9", 100 + i);
		world_publish(world, 3400);
		world_run(world, 4000);
	}
	assert_int_equal(world_cluster(world).block, BLOCK_ID_TAKEN);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "clone?]0;x??READY=1??"));
	for (const char *c = text; *c; c++)
		assert_true(*c >= ' ' && *c <= '~');
}

/* However long it stands still, whatever its version's number, and whatever else it holds. */
static void newer_record_is_left_alone(void **state)
{
	static const char *const versions[] = {"2", "17", "99999999999999999999999"};
	struct world *world = world_joined(*state);
	uint8_t theirs[BLOCK_SIZE], ours[BLOCK_SIZE];
	char text[TEXT_MAX];

	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		world_publish(world, 3400);
		world_run(world, 5000);
		assert_int_equal(world->published_error, 0);
		memcpy(ours, world->blocks[1], BLOCK_SIZE);
		raw_record(world, versions[i], "host1.example|x|y|z\nnew-key=1\n", 100);
		memcpy(theirs, world->blocks[1], BLOCK_SIZE);
		world_publish(world, 3400);
		world_run(world, 11000);
		assert_int_equal(world_cluster(world).block, BLOCK_ID_TAKEN);
		broker_trouble(world->broker, text);
		assert_non_null(strstr(text, "block 1 holds the record of a newer version and is not"));
		for (int k = 0; k < 20; k++) {
			world_publish(world, 1000 + k);
			world_run(world, 10000);
		}
		assert_memory_equal(world->blocks[1], theirs, BLOCK_SIZE);
		assert_int_equal(world->published_error, -EEXIST);
		/* The operator clears it, or puts ours back. */
		if (i == 0)
			memset(world->blocks[1], 0, BLOCK_SIZE);
		else
			memcpy(world->blocks[1], ours, BLOCK_SIZE);
		world_publish(world, 3000);
		world_run(world, 25000);
		assert_int_equal(world_cluster(world).block, BLOCK_NONE);
	}
}

/* A broker that is started again comes past no gate: sanlock kept the host id. */
static void restarted_broker_looks_first(void **state)
{
	struct world *world = *state;
	uint8_t theirs[BLOCK_SIZE];

	world->membership = MEMBERSHIP_JOINED;
	world->generation = 1;
	raw_record(world, "2", "host1.example", 100);
	memcpy(theirs, world->blocks[1], BLOCK_SIZE);
	world_start(world);
	world_attach(world);
	world_publish(world, 3400);
	for (int i = 0; i < 20; i++) {
		world_run(world, 5000);
		world_publish(world, 3400);
	}
	assert_int_equal(world->joins, 0);
	assert_int_equal(world_cluster(world).membership, MEMBERSHIP_JOINED);
	assert_int_equal(world->writes, 0);
	assert_memory_equal(world->blocks[1], theirs, BLOCK_SIZE);
}

static void noise_in_our_block_is_repaired(void **state)
{
	struct world *world = world_joined(*state);
	struct record record;

	world_publish(world, 3400);
	world_run(world, 1000);
	memset(world->blocks[1], 0xff, BLOCK_SIZE);
	world_publish(world, 3400);
	world_run(world, 11000);
	assert_int_equal(world_own(world, &record), RECORD_OK);
	assert_int_equal(world_cluster(world).block, BLOCK_NONE);
}

static void failed_write_is_tried_again_and_told(void **state)
{
	struct world *world = world_joined(*state);
	char text[TEXT_MAX];
	struct record record;

	world_publish(world, 3400);
	world_run(world, 10);
	world_fault(world, (struct store_fault){.kind = STORE_FAULT_EIO, .ops = STORE_FAULT_WRITES});
	world_publish(world, 2000);
	world_run(world, 4000);
	assert_int_equal(world->published_error, -EIO);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "writes fail for 3 s"));
	world_heal(world);
	world_run(world, 1100);
	assert_int_equal(world_own(world, &record), RECORD_OK);
	assert_int_equal(record.claim.score, 2000);
}

static void what_to_do_is_said(void **state)
{
	static const struct {
		int error;
		const char *text;
	} rows[] = {
		{-EFBIG, "ends before our block"},
		{-ENOSPC, "make room"},
		{-EROFS, "export it for writing"},
		{-ESTALE, "another file or export"},
		{-EXDEV, "other storage than before"},
		{-EREMOTE, "the portal of the unit itself"},
		{-ENOENT, "not there"},
		{-EACCES, "another user"},
		{-EIO, "check that the storage is there"},
	};
	struct world *world = world_joined(*state);
	char text[TEXT_MAX];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		world->write_error = rows[i].error;
		world_publish(world, 1000 + (int32_t)i);
		world_run(world, 5000);
		broker_trouble(world->broker, text);
		assert_non_null(strstr(text, rows[i].text));
		assert_int_equal(world_cluster(world).block,
				 rows[i].error == -EFBIG ? BLOCK_DOMAIN : BLOCK_NONE);
	}
	world->write_error = 0;
	world_run(world, 2000);
	broker_trouble(world->broker, text);
	assert_null(strstr(text, "writes fail"));
	assert_int_equal(world_cluster(world).block, BLOCK_NONE);
}

/* There is room for 512 bytes. */
static void advice_is_said_once(void **state)
{
	static const char advice[] = "check that the storage is there";
	struct world *world = world_joined(*state);
	char text[TEXT_MAX];
	const char *at;

	world_publish(world, 3400);
	world_run(world, 10);
	world_fault(world, (struct store_fault){.kind = STORE_FAULT_EIO});
	world_publish(world, 2000);
	world_run(world, 12000);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "storage: writes fail for"));
	assert_non_null(strstr(text, "storage: reads fail for"));
	at = strstr(text, advice);
	assert_non_null(at);
	assert_null(strstr(at + 1, advice));
}

/* Safety rule 8: it named our domain, and was cut short or exchanged. */
static void whiteboard_that_lost_its_name(void **state)
{
	struct world *world = *state;
	const struct identity ours = {.domain = "99999999-2222-3333-4444-555555555555",
				      .lockspace = "hosted-engine"};
	uint8_t last[BLOCK_SIZE];
	char text[TEXT_MAX];

	strcpy(world->config.domain, ours.domain);
	assert_int_equal(identity_encode(&ours, world->blocks[IDENTITY_BLOCK]), 0);
	world_joined(*state);
	world_publish(world, 3400);
	world_run(world, 11000);
	memset(world->blocks[IDENTITY_BLOCK], 0, BLOCK_SIZE);
	world_publish(world, 3400);
	world_run(world, 65000);
	memcpy(last, world->blocks[1], BLOCK_SIZE);
	world_publish(world, 1000);
	world_run(world, 11000);
	assert_int_equal(world_cluster(world).block, BLOCK_DOMAIN);
	assert_int_equal(world->published_error, -EXDEV);
	assert_memory_equal(world->blocks[1], last, BLOCK_SIZE);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "no longer says whose it is"));
	assert_int_equal(identity_encode(&ours, world->blocks[IDENTITY_BLOCK]), 0);
	world_run(world, 65000);
	world_publish(world, 1000);
	world_run(world, 11000);
	assert_int_equal(world_cluster(world).block, BLOCK_NONE);
	assert_memory_not_equal(world->blocks[1], last, BLOCK_SIZE);
}

static void hung_storage_keeps_answering(void **state)
{
	struct world *world = world_joined(*state);
	char text[TEXT_MAX];

	world_publish(world, 3400);
	world_run(world, 10);
	world_fault(world, (struct store_fault){.kind = STORE_FAULT_NEVER});
	world_publish(world, 2000);
	world_run(world, 11000);
	assert_int_equal(world->published_error, -ETIMEDOUT);
	assert_int_equal(world_cluster(world).monitors[MONITOR_STORAGE_DOMAIN].value, 0);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "storage: I/O stuck for 11 s"));
	world_heal(world);
	world_publish(world, 2000);
	world_run(world, 12000);
	assert_int_equal(world_cluster(world).monitors[MONITOR_STORAGE_DOMAIN].value, 1);
	broker_trouble(world->broker, text);
	assert_null(strstr(text, "storage"));
}

static void slow_storage_is_said_and_moves_nothing(void **state)
{
	struct world *world = world_joined(*state);
	char text[TEXT_MAX];

	world_publish(world, 3400);
	world_run(world, 2000);
	broker_trouble(world->broker, text);
	assert_null(strstr(text, "storage"));
	world_fault(world, (struct store_fault){.kind = STORE_FAULT_DELAY, .delay_ms = 1000});
	world_publish(world, 2000);
	world_run(world, 4000);
	assert_int_equal(world->published_error, 0);
	assert_int_equal(world_cluster(world).monitors[MONITOR_STORAGE_DOMAIN].value, 1);
	broker_trouble(world->broker, text);
	assert_non_null(strstr(text, "storage: slow, an I/O took 1001 ms"));
	world_heal(world);
	world_publish(world, 3400);
	world_run(world, 4000);
	broker_trouble(world->broker, text);
	assert_null(strstr(text, "storage"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_ROW(writes_at_once_and_every_loop),
		WORLD_ROW(publishes_the_io_timeout_that_sanlock_uses),
		WORLD_ROW(aliens_by_the_io_timeout_that_sanlock_uses),
		WORLD_ROW(same_words_are_not_written_again),
		WORLD_ROW(same_words_are_written_where_they_were_lost),
		WORLD_ROW(late_write_is_written_over),
		WORLD_ROW(next_agent_hears_nothing_of_the_last),
		WORLD_ROW(silent_agent_no_timestamp),
		WORLD_ROW(old_word_of_the_agent_is_old),
		WORLD_ROW(nothing_without_the_host_id),
		WORLD_ROW(foreign_record_stops_publishing),
		WORLD_ROW(clone_between_our_writes_is_seen),
		WORLD_ROW(foreign_name_is_cleaned),
		WORLD_ROW(newer_record_is_left_alone),
		WORLD_ROW(restarted_broker_looks_first),
		WORLD_ROW(noise_in_our_block_is_repaired),
		WORLD_ROW(failed_write_is_tried_again_and_told),
		WORLD_ROW(what_to_do_is_said),
		WORLD_ROW(advice_is_said_once),
		WORLD_ROW(whiteboard_that_lost_its_name),
		WORLD_ROW(hung_storage_keeps_answering),
		WORLD_ROW(slow_storage_is_said_and_moves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
