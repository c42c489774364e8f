/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long it takes to take in 2000 hosts' blocks as a store has read them: all changed, none changed, and to
 * write one. It waits for nothing, so its own time of the processor counts. Asserts no time. */
#include <assert.h>
#include <stdio.h>

#include "metadata/op_queue.h"
#include "metadata/slots.h"
#include "tests/bench/bench_figure.h"
#include "tests/vectors/vector_file.h"

#define PASSES 100
#define PIECE 250 /* blocks, as the broker scans */
#define ENCODES 1000

static const struct lease_timing timing = {10, 60};

CLEANUP_DEFINE(struct slots *, slots_free)

/* One pass over all hosts. */
static void take_all(struct slots *slots, struct op_queue *queue, const uint8_t *image, mono_t now)
{
	struct image *images[PIECE];

	queue->images = images;
	for (queue->first = 1; queue->first <= HOST_ID_MAX; queue->first += PIECE) {
		op_queue_fill(queue, image + (size_t)queue->first * BLOCK_SIZE, PIECE);
		for (uint32_t i = 0; i < PIECE; i++) {
			slots_take_image(slots, (uint16_t)(queue->first + i), images[i], &timing, now);
			image_drop(images[i]);
		}
	}
}

/* Of `images` by turns. */
static int pass_figure(const char *name, double limit_ms, struct slots *slots, struct op_queue *queue,
		       const uint8_t *const images[2])
{
	double values[PASSES];

	for (unsigned i = 0; i < PASSES; i++) {
		double begin = bench_own_ms();

		take_all(slots, queue, images[i % 2], i);
		values[i] = bench_own_ms() - begin;
	}
	return bench_figure(name, "ms", values, PASSES, limit_ms);
}

static int encode_figure(const struct record *record)
{
	uint8_t block[BLOCK_SIZE];
	double values[PASSES];

	for (unsigned i = 0; i < PASSES; i++) {
		double begin = bench_own_ms();

		for (unsigned n = 0; n < ENCODES; n++)
			if (record_encode(record, 1700000000, block) != 0)
				abort();
		values[i] = 1000 * (bench_own_ms() - begin) / ENCODES;
	}
	return bench_figure("encode the own record", "us", values, PASSES, 100);
}

/* The same hosts one second later. */
static uint8_t *image_later(const uint8_t *image, size_t size, struct record *ret_last)
{
	uint8_t *later = calloc(1, size);
	char cause[RECORD_CAUSE_SIZE];

	assert(later);
	for (uint16_t id = 1; id <= HOST_ID_MAX; id++) {
		size_t at = (size_t)id * BLOCK_SIZE;

		if (record_decode(image + at, id, ret_last, cause) != RECORD_OK)
			abort();
		ret_last->claim.timestamp++;
		if (record_encode(ret_last, 1700000000, later + at) != 0)
			abort();
	}
	return later;
}

int main(void)
{
	_cleanup_(slots_free_p) struct slots *slots = NULL;
	struct op_queue queue = {0};
	struct record last;
	size_t size;
	_cleanup_free_ uint8_t *image = vector_read("image-2000hosts.bin", 0, &size);
	_cleanup_free_ uint8_t *later = image_later(image, size, &last);
	uint64_t before;
	int r;

	if (slots_new(0, &slots) < 0)
		return 1;
	r = pass_figure("2000 hosts: decode all changed", 8, slots, &queue,
			(const uint8_t *const[]){image, later});
	take_all(slots, &queue, image, PASSES);
	before = slots_decoded(slots);
	if (r == 0)
		r = pass_figure("2000 hosts: decode none changed", 0.3, slots, &queue,
				(const uint8_t *const[]){image, image});
	if (r == 0)
		r = encode_figure(&last);
	op_queue_done(&queue);
	return r < 0 || slots_decoded(slots) != before;
}
