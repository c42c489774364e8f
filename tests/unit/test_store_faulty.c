/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The faulty store over a store in memory: what each fault leaves on storage and tells its caller, which
 * operations it meets, and that the store's own promises hold under all of them. */
#include "metadata/store_faulty.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "metadata/image.h"
#include "tests/unit/broker_world.h"
#include "util/worker.h"

#define DEADLINE 1000 /* ms after the begin */
#define DELAY 5000

static struct {
	struct world *world; /* its clock and its store, without a broker */
	struct store *store;
	unsigned ends;
	int error;
	mono_t ended;
} bench;

static void done(struct store_op *op, int error)
{
	bench.ends++;
	bench.error = error;
	bench.ended = bench.world->now;
}

static struct store_op op = {.done = done};

static int setup(void **state)
{
	memset(&bench, 0, sizeof(bench));
	bench.world = world_new();
	return store_faulty_new(&bench.world->store, &bench.world->clock, &bench.store);
}

static int teardown(void **state)
{
	bench.store->close(bench.store);
	world_free(bench.world);
	return 0;
}

static void inject(struct store_fault fault)
{
	store_faulty_set(bench.store, &fault);
}

static int begin_write(enum store_queue queue, uint32_t block, uint8_t byte)
{
	uint8_t data[BLOCK_SIZE];

	memset(data, byte, sizeof(data)); /* copied: gone at once */
	op.deadline = bench.world->now + DEADLINE;
	return bench.store->write(bench.store, queue, block, data, &op);
}

/* Runs to the end of the operation, which has exactly one, not within the call and by its deadline. */
static int finish(int begun)
{
	unsigned before = bench.ends;

	assert_int_equal(begun, 0);
	while (bench.ends == before) {
		assert_true(bench.world->now < op.deadline);
		world_run(bench.world, 1);
	}
	assert_int_equal(bench.ends, before + 1);
	return bench.error;
}

static int write_byte(uint32_t block, uint8_t byte)
{
	return finish(begin_write(STORE_QUEUE_OWN, block, byte));
}

static uint8_t blocks[2][BLOCK_SIZE];

static int read_two(uint32_t first)
{
	memset(blocks, '-', sizeof(blocks));
	op.deadline = bench.world->now + DEADLINE;
	return finish(bench.store->read(bench.store, STORE_QUEUE_OWN, first, 2, blocks[0], &op));
}

static int scan_two(uint32_t first)
{
	struct image *images[2] = {NULL, NULL};
	int r;

	memset(blocks, 0, sizeof(blocks)); /* of a block that begins with NUL there is no image */
	op.deadline = bench.world->now + DEADLINE;
	r = finish(bench.store->scan(bench.store, STORE_QUEUE_OWN, first, 2, images, &op));
	for (int i = 0; i < 2; i++) {
		if (!images[i])
			continue;
		assert_false(image_empty(images[i]));
		image_copy(images[i], blocks[i]);
		image_drop(images[i]);
	}
	return r;
}

/* First and last byte of a block on storage. */
static void assert_stands(uint32_t block, uint8_t first, uint8_t last)
{
	assert_int_equal(bench.world->blocks[block][0], first);
	assert_int_equal(bench.world->blocks[block][BLOCK_SIZE - 1], last);
}

static void test_kinds(void **state)
{
	static const struct {
		const char *name;
		struct store_fault fault;
		int write_error;
		uint8_t first, last; /* of the block when the write has ended */
		uint8_t later;	     /* and long after */
		int read_error;
		bool late; /* ends at the deadline */
	} rows[] = {
		{"none", {.kind = STORE_FAULT_NONE}, 0, 'n', 'n', 'n', 0, false},
		{"eio", {.kind = STORE_FAULT_EIO}, -EIO, 'o', 'o', 'o', -EIO, false},
		{"torn", {.kind = STORE_FAULT_TORN}, 0, 'n', 'o', 'n', 0, false},
		{"lost", {.kind = STORE_FAULT_LOST}, 0, 'o', 'o', 'o', 0, false},
		{"stale", {.kind = STORE_FAULT_STALE}, 0, 'n', 'n', 'n', 0, false},
		{"late",
		 {.kind = STORE_FAULT_LATE, .delay_ms = DELAY},
		 -ETIMEDOUT,
		 'o',
		 'o',
		 'n',
		 -ETIMEDOUT,
		 true},
		{"never", {.kind = STORE_FAULT_NEVER}, -ETIMEDOUT, 'o', 'o', 'o', -ETIMEDOUT, true},
		{"delay", {.kind = STORE_FAULT_DELAY, .delay_ms = 300}, 0, 'n', 'n', 'n', 0, false},
		{"delay past the deadline",
		 {.kind = STORE_FAULT_DELAY, .delay_ms = DELAY},
		 -ETIMEDOUT,
		 'o',
		 'o',
		 'o',
		 -ETIMEDOUT,
		 true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool none = rows[i].fault.kind == STORE_FAULT_NONE;
		mono_t begun = bench.world->now;

		print_message("# %s\n", rows[i].name);
		inject((struct store_fault){.kind = STORE_FAULT_NONE});
		assert_int_equal(write_byte(5, 'o'), 0);
		inject(rows[i].fault);
		begun = bench.world->now;
		assert_int_equal(write_byte(5, 'n'), rows[i].write_error);
		assert_stands(5, rows[i].first, rows[i].last);
		assert_int_equal(bench.ended - begun >= DEADLINE, rows[i].late);
		if (rows[i].fault.kind == STORE_FAULT_DELAY && !rows[i].late)
			assert_in_range(bench.ended - begun, 300, 310);
		world_run(bench.world, 2 * DELAY);
		assert_int_equal(bench.world->blocks[5][0], rows[i].later);
		assert_int_equal(read_two(5), rows[i].read_error);
		if (rows[i].read_error == 0)
			assert_int_equal(blocks[0][0],
					 rows[i].fault.kind == STORE_FAULT_STALE ? 'o' : rows[i].later);
		assert_int_equal(store_faulty_fired(bench.store) > 0, !none);
	}
}

/* What stood there when the fault first saw the block, by a read, a scan or a write, until it is healed. */
static void test_stale(void **state)
{
	assert_int_equal(write_byte(5, 'o'), 0);
	assert_int_equal(write_byte(7, 'o'), 0);
	assert_int_equal(write_byte(8, 'o'), 0);
	inject((struct store_fault){.kind = STORE_FAULT_STALE});
	assert_int_equal(read_two(5), 0);
	assert_int_equal(scan_two(8), 0);
	for (uint32_t block = 5; block <= 8; block++)
		assert_int_equal(write_byte(block, 'n'), 0);
	for (int scanned = 0; scanned <= 1; scanned++) {
		assert_int_equal(scanned ? scan_two(5) : read_two(5), 0);
		assert_int_equal(blocks[0][0], 'o');
		assert_int_equal(blocks[1][0], '\0');
		assert_int_equal(scanned ? scan_two(7) : read_two(7), 0);
		assert_int_equal(blocks[0][0], 'o');
		assert_int_equal(blocks[1][0], 'o');
	}
	assert_int_equal(store_faulty_fired(bench.store), 6);
	for (uint32_t block = 5; block <= 8; block++)
		assert_stands(block, 'n', 'n');
	inject((struct store_fault){.kind = STORE_FAULT_NONE});
	assert_int_equal(read_two(7), 0);
	assert_int_equal(blocks[0][0], 'n');
	assert_int_equal(blocks[1][0], 'n');
}

/* Which operations meet it: each row tries a write and a read of block 5 in the own queue, thrice. */
static void test_aim(void **state)
{
	static const struct {
		const char *name;
		struct store_fault fault;
		unsigned fired;
	} rows[] = {
		{"all", {.kind = STORE_FAULT_EIO}, 6},
		{"writes", {.kind = STORE_FAULT_EIO, .ops = STORE_FAULT_WRITES}, 3},
		{"reads", {.kind = STORE_FAULT_EIO, .ops = STORE_FAULT_READS}, 3},
		{"a kind that meets writes alone", {.kind = STORE_FAULT_TORN}, 3},
		{"a kind that meets reads alone", {.kind = STORE_FAULT_STALE}, 3},
		{"the queue", {.kind = STORE_FAULT_EIO, .queues = 1U << STORE_QUEUE_OWN}, 6},
		{"other queues",
		 {.kind = STORE_FAULT_EIO, .queues = 1U << STORE_QUEUE_GLOBAL | 1U << STORE_QUEUE_SCAN},
		 0},
		{"the block", {.kind = STORE_FAULT_EIO, .block = 5}, 6},
		{"another block", {.kind = STORE_FAULT_EIO, .block = 6}, 0},
		{"the first", {.kind = STORE_FAULT_EIO, .count = 1}, 1},
		{"after four", {.kind = STORE_FAULT_EIO, .after = 4}, 2},
		{"one write after one",
		 {.kind = STORE_FAULT_EIO, .ops = STORE_FAULT_WRITES, .after = 1, .count = 1},
		 1},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned failed = 0;

		print_message("# %s\n", rows[i].name);
		inject(rows[i].fault);
		for (int n = 0; n < 3; n++) {
			failed += write_byte(5, 'x') == -EIO;
			failed += read_two(5) == -EIO;
		}
		assert_int_equal(store_faulty_fired(bench.store), rows[i].fired);
		if (rows[i].fault.kind == STORE_FAULT_EIO)
			assert_int_equal(failed, rows[i].fired);
	}
}

/* What hangs is counted, since when is known, a queue that has too much of it begins nothing, and healing
 * ends it: what is under way goes on. */
static void test_stuck(void **state)
{
	struct store_health health;
	mono_t begun;

	inject((struct store_fault){.kind = STORE_FAULT_NEVER});
	begun = bench.world->now;
	for (unsigned i = 0; i < WORKER_STUCK_MAX; i++)
		assert_int_equal(write_byte(5, 'x'), -ETIMEDOUT);
	bench.store->health(bench.store, &health);
	assert_int_equal(health.stuck, WORKER_STUCK_MAX);
	assert_int_equal(health.stuck_since, begun);
	assert_int_equal(health.last_write, MONO_UNSET);
	assert_int_equal(begin_write(STORE_QUEUE_OWN, 5, 'x'), -ETIMEDOUT);
	/* another queue begins one */
	assert_int_equal(begin_write(STORE_QUEUE_GLOBAL, 0, 'g'), 0);
	world_run(bench.world, DEADLINE - 10);

	inject((struct store_fault){.kind = STORE_FAULT_NONE});
	assert_int_equal(finish(0), 0);
	assert_stands(0, 'g', 'g');
	assert_int_equal(write_byte(5, 'y'), 0);
	bench.store->health(bench.store, &health);
	assert_int_equal(health.stuck, 0);
	assert_int_equal(health.stuck_since, MONO_UNSET);
	assert_int_equal(health.last_write, bench.ended);
	world_run(bench.world, 2 * DELAY);
	assert_stands(5, 'y', 'y');
}

/* A late write lands over what was written after it, healed or not, and holds nobody up. */
static void test_late(void **state)
{
	struct store_health health;

	inject((struct store_fault){.kind = STORE_FAULT_LATE, .count = 1, .delay_ms = DELAY});
	assert_int_equal(write_byte(5, 'o'), -ETIMEDOUT);
	assert_int_equal(write_byte(5, 'n'), 0);
	assert_stands(5, 'n', 'n');
	inject((struct store_fault){.kind = STORE_FAULT_NONE});
	bench.store->health(bench.store, &health);
	assert_int_equal(health.stuck, 1);
	/* just as it lands, the queue is in use */
	world_run(bench.world, bench.ended - bench.world->now + DELAY - 3);
	for (int i = 0; i < 10; i++)
		assert_int_equal(read_two(5), 0);
	world_run(bench.world, 100);
	assert_stands(5, 'o', 'o');
	bench.store->health(bench.store, &health);
	assert_int_equal(health.stuck, 0);
	assert_int_equal(health.stuck_since, MONO_UNSET);
}

/* So it does on a store that takes its time: whoever comes meanwhile waits its turn. */
static void test_late_and_slow(void **state)
{
	struct store *slow = bench.store, *both;

	assert_int_equal(store_faulty_new(slow, &bench.world->clock, &both), 0);
	bench.store = both;
	store_faulty_set(slow, &(struct store_fault){.kind = STORE_FAULT_DELAY, .delay_ms = 50});
	inject((struct store_fault){.kind = STORE_FAULT_LATE, .count = 1, .delay_ms = 100});
	assert_int_equal(write_byte(5, 'o'), -ETIMEDOUT);
	world_run(bench.world, 110);
	assert_stands(5, 0, 0);
	assert_int_equal(read_two(5), 0); /* behind the write that lands */
	assert_int_equal(blocks[0][0], 'o');
}

static void test_busy(void **state)
{
	inject((struct store_fault){.kind = STORE_FAULT_NEVER});
	assert_int_equal(begin_write(STORE_QUEUE_OWN, 5, 'x'), 0);
	assert_int_equal(begin_write(STORE_QUEUE_OWN, 5, 'x'), -EBUSY);
	assert_int_equal(bench.store->read(bench.store, STORE_QUEUE_OWN, 5, 1, blocks[0], &op), -EBUSY);
	world_run(bench.world, DEADLINE);
	assert_int_equal(bench.ends, 1);
}

/* Nothing is called of what was under way, and nothing of it is left (the sanitizers see to that). */
static void test_closed(void **state)
{
	inject((struct store_fault){.kind = STORE_FAULT_LATE, .count = 1, .delay_ms = DELAY});
	assert_int_equal(write_byte(5, 'o'), -ETIMEDOUT);
	inject((struct store_fault){.kind = STORE_FAULT_STALE});
	assert_int_equal(read_two(5), 0);
	inject((struct store_fault){.kind = STORE_FAULT_DELAY, .delay_ms = 500});
	assert_int_equal(begin_write(STORE_QUEUE_OWN, 5, 'x'), 0);
	bench.ends = 0;
	bench.store->close(bench.store);
	world_run(bench.world, 2 * DELAY);
	assert_int_equal(bench.ends, 0);
	assert_stands(5, 0, 0);
	assert_int_equal(store_faulty_new(&bench.world->store, &bench.world->clock, &bench.store), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kinds), TEST(test_stale),	    TEST(test_aim),  TEST(test_stuck),
		TEST(test_late),  TEST(test_late_and_slow), TEST(test_busy), TEST(test_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
