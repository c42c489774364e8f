/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long a store takes for the I/O that the broker asks of it, beside the same done bare, in turns and in
 * one run: `bench_store SPEC [USER PASSWORD]` prints for each row its name, the calls that it takes and the
 * times in us: bare, of a path also bare by a thread, and of the store. It judges nothing: bench_stores.py
 * does. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/bare_io.h"
#include "util/loop.h"

#define TURNS 100 /* of each */
#define IO_MS 10000
#define SCAN_BLOCKS 250 /* at a time, as the broker scans */

static const struct row {
	const char *name;
	uint32_t first, count;
	bool write;
} rows[] = {
	{"own block written", 1, 1, true},
	{"scan of 3 hosts", 1, 3, false},
	{"scan of 2000 hosts", 1, 2000, false},
};

enum way { IN_PLACE, BY_THREAD, STORE, WAYS };

static struct {
	struct loop *loop;
	struct clock_port *clock;
	struct store *store;
	struct bare_io *bare[STORE]; /* NULL: not measured */
	const struct row *row;
	struct store_op op;
	uint32_t done, asked; /* blocks of the scan under way */
	unsigned calls;
	double times[WAYS][TURNS];
	uint8_t data[BLOCK_SIZE], blocks[SCAN_BLOCKS * BLOCK_SIZE];
} b;

/* util/clock.h counts in ms, which is a whole I/O here. */
static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void fail(const char *what, int error)
{
	fprintf(stderr, "%s, %s: %s\n", b.row->name, what, strerror(-error));
	exit(1);
}

static uint32_t next_count(uint32_t done)
{
	return b.row->count - done < SCAN_BLOCKS ? b.row->count - done : SCAN_BLOCKS;
}

static void ask(void)
{
	int r;

	b.asked = next_count(b.done);
	b.calls++;
	b.op.deadline = b.clock->now(b.clock) + IO_MS;
	r = b.row->write ? b.store->write(b.store, STORE_QUEUE_OWN, b.row->first, b.data, &b.op)
			 : b.store->read(b.store, STORE_QUEUE_SCAN, b.row->first + b.done, b.asked, b.blocks,
					 &b.op);
	if (r < 0)
		fail("the store", r);
}

static void ended(struct store_op *op, int error)
{
	if (error < 0)
		fail("the store", error);
	b.done += b.asked;
	if (b.done < b.row->count) {
		ask();
		return;
	}
	loop_stop(b.loop);
}

static void ours(void)
{
	b.done = b.calls = 0;
	ask();
	loop_run(b.loop);
}

static void bare(struct bare_io *io)
{
	int r = 0;

	if (b.row->write)
		r = bare_io_write(io, b.row->first, b.data);
	for (uint32_t done = 0; r == 0 && !b.row->write && done < b.row->count; done += next_count(done))
		r = bare_io_read(io, b.row->first + done, next_count(done), b.blocks);
	if (r < 0)
		fail("bare", r);
}

static void measure(enum way way, int turn)
{
	double begun = now_us();

	if (way == STORE)
		ours();
	else if (b.bare[way])
		bare(b.bare[way]);
	b.times[way][turn] = now_us() - begun;
}

static void print_times(const double *values, size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf("%c%.1f", i ? ',' : '|', values[i]);
}

static void run_row(const struct row *row)
{
	b.row = row;
	for (int way = 0; way < WAYS; way++)
		measure(way, 0); /* connects */
	/* Each after each in turn: a write that shares the file's timestamp with the one before is quick. */
	for (int turn = 0; turn < TURNS; turn++)
		for (int i = 0; i < WAYS; i++)
			measure((turn / 2 + (turn % 2 ? WAYS - i : i)) % WAYS, turn);
	printf("%s|%u", row->name, b.calls);
	for (int way = 0; way < WAYS; way++)
		if (way == STORE || b.bare[way])
			print_times(b.times[way], TURNS);
	putchar('\n');
}

int main(int argc, char **argv)
{
	struct store_access access = {
		.user = argc > 2 ? argv[2] : "", .password = argc > 3 ? argv[3] : "", .host_name = "bench"};
	char what[256] = "can't be used";
	int r;

	if (argc < 2)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	b.row = rows;
	memset(b.data, 0x77, sizeof(b.data));
	b.op.done = ended;
	r = loop_new(&b.loop);
	if (r == 0)
		r = store_open(argv[1], &access, b.loop, &b.store, what, sizeof(what));
	if (r < 0) {
		fprintf(stderr, "%s %s\n", argv[1], what);
		return 1;
	}
	b.clock = loop_clock(b.loop);
	r = bare_io_open(argv[1], &access, false, &b.bare[IN_PLACE]);
	if (r == 0 && argv[1][0] == '/')
		r = bare_io_open(argv[1], &access, true, &b.bare[BY_THREAD]);
	if (r < 0)
		fail("bare", r);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		run_row(&rows[i]);
	for (int way = 0; way < STORE; way++)
		bare_io_close(b.bare[way]);
	b.store->close(b.store);
	loop_free(b.loop);
	return 0;
}
