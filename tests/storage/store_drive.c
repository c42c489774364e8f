/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Drives a store by lines on its standard input, for tests/storage: one loop as the broker's, an operation in
 * each queue at most. `read QUEUE FIRST COUNT MS` and `write QUEUE BLOCK BYTE MS` answer when they end with
 * `read QUEUE ERROR MS RUNS` (`41*1 00*3`: three blocks of zeros behind one of 0x41) and `write QUEUE ERROR
 * MS`; `health` with `health STUCK STUCK_FOR_MS`; `gap` with the longest time in ms that the loop kept a
 * timer waiting since the last `gap`. Ends with its input. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metadata/store.h"
#include "util/loop.h"

#define TICK_MS 5
#define READ_MAX 256

struct call {
	struct store_op op; /* first */
	enum store_queue queue;
	mono_t begun;
	uint32_t count; /* 0: a write */
	uint8_t blocks[READ_MAX][BLOCK_SIZE];
};

static struct {
	struct loop *loop;
	struct clock_port *clock;
	struct store *store;
	struct timer tick;
	mono_t ticked;
	int64_t gap;
	char line[4096];
	size_t length;
	struct call calls[STORE_QUEUE_COUNT];
} d;

static int block_byte(const uint8_t block[BLOCK_SIZE])
{
	for (size_t i = 1; i < BLOCK_SIZE; i++)
		if (block[i] != block[0])
			return -1;
	return block[0];
}

static void print_runs(const struct call *call)
{
	for (uint32_t i = 0; i < call->count;) {
		int byte = block_byte(call->blocks[i]);
		uint32_t n = 1;

		while (i + n < call->count && block_byte(call->blocks[i + n]) == byte)
			n++;
		if (byte < 0)
			printf(" mixed*%u", n);
		else
			printf(" %02x*%u", (unsigned)byte, n);
		i += n;
	}
}

static void ended(struct store_op *op, int error)
{
	struct call *call = (struct call *)op;

	printf("%s %d %d %lld", call->count ? "read" : "write", (int)call->queue, error,
	       (long long)(d.clock->now(d.clock) - call->begun));
	if (error == 0)
		print_runs(call);
	printf("\n");
}

static void begin(const char *word, unsigned queue, unsigned first, const char *argument, unsigned ms)
{
	struct call *call = &d.calls[queue % STORE_QUEUE_COUNT];
	uint8_t data[BLOCK_SIZE];
	int r;

	call->queue = queue % STORE_QUEUE_COUNT;
	call->op.done = ended;
	call->begun = d.clock->now(d.clock);
	call->op.deadline = call->begun + ms;
	if (strcmp(word, "read") == 0) {
		call->count = (uint32_t)strtoul(argument, NULL, 10);
		if (call->count < 1 || call->count > READ_MAX)
			exit(2);
		memset(call->blocks, 0xee, sizeof(call->blocks));
		r = d.store->read(d.store, call->queue, first, call->count, call->blocks[0], &call->op);
	} else {
		call->count = 0;
		memset(data, (int)strtoul(argument, NULL, 16), sizeof(data));
		r = d.store->write(d.store, call->queue, first, data, &call->op);
		memset(data, 0xdd, sizeof(data));
	}
	if (r < 0)
		ended(&call->op, r);
}

static void health(void)
{
	struct store_health health;

	d.store->health(d.store, &health);
	printf("health %u %lld\n", health.stuck,
	       health.stuck_since == MONO_UNSET ? -1
						: (long long)(d.clock->now(d.clock) - health.stuck_since));
}

static void run_line(const char *line)
{
	unsigned queue, first, ms;
	char word[16], argument[16];

	if (sscanf(line, "%15s %u %u %15s %u", word, &queue, &first, argument, &ms) == 5) {
		begin(word, queue, first, argument, ms);
	} else if (strcmp(line, "health") == 0) {
		health();
	} else if (strcmp(line, "gap") == 0) {
		printf("gap %lld\n", (long long)d.gap);
		d.gap = 0;
	} else {
		fprintf(stderr, "no such line: %s\n", line);
		exit(2);
	}
}

static void input(int fd, short revents, void *data)
{
	ssize_t n = read(fd, d.line + d.length, sizeof(d.line) - d.length - 1);
	char *end;

	if (n <= 0) {
		loop_stop(d.loop);
		return;
	}
	d.length += (size_t)n;
	d.line[d.length] = '\0';
	while ((end = strchr(d.line, '\n'))) {
		*end = '\0';
		run_line(d.line);
		d.length -= (size_t)(end + 1 - d.line);
		memmove(d.line, end + 1, d.length + 1);
	}
}

static void tick(struct timer *timer)
{
	mono_t now = d.clock->now(d.clock);

	if (d.ticked != MONO_UNSET && now - d.ticked - TICK_MS > d.gap)
		d.gap = now - d.ticked - TICK_MS;
	d.ticked = now;
	d.clock->set(d.clock, timer, now + TICK_MS);
}

int main(int argc, char **argv)
{
	struct store_access access = {
		.user = argc > 2 ? argv[2] : "", .password = argc > 3 ? argv[3] : "", .host_name = "driver"};
	char what[256];
	int r;

	if (argc < 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	r = loop_new(&d.loop);
	if (r == 0)
		r = store_open(argv[1], &access, d.loop, &d.store, what, sizeof(what));
	if (r < 0) {
		printf("open %d %s\n", r, what);
		return 1;
	}
	printf("open 0\n");
	d.clock = loop_clock(d.loop);
	d.ticked = MONO_UNSET;
	d.tick.fire = tick;
	tick(&d.tick);
	r = loop_add_fd(d.loop, STDIN_FILENO, POLLIN, input, NULL);
	if (r == 0)
		r = loop_run(d.loop);
	d.clock->cancel(d.clock, &d.tick);
	d.store->close(d.store);
	loop_free(d.loop);
	return r < 0;
}
