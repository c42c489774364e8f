/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long it takes to take in 2000 hosts' blocks: all changed, none changed, and one written. Prints what it
 * measured beside what is stated, and the ratio; asserts no time. */
#include <assert.h>
#include <stdio.h>

#include "metadata/slots.h"
#include "tests/vectors/vector_file.h"
#include "util/clock.h"

#define MEASURE_MS 1000

static const struct lease_timing timing = {10, 60};

CLEANUP_DEFINE(struct slots *, slots_free)

/* Alternates between the images until the time is over; the time of one pass over all hosts, in ms. */
static double pass_ms(struct slots *slots, const uint8_t *const images[2])
{
	mono_t begin = clock_mono(), now;
	unsigned passes = 0;

	do {
		const uint8_t *image = images[passes++ % 2];

		for (uint16_t id = 1; id <= HOST_ID_MAX; id++)
			slots_take_block(slots, id, image + (size_t)id * BLOCK_SIZE, &timing, passes);
		now = clock_mono();
	} while (now - begin < MEASURE_MS);
	return (double)(now - begin) / passes;
}

static double encode_us(const struct record *record)
{
	mono_t begin = clock_mono(), now;
	uint8_t block[BLOCK_SIZE];
	unsigned n = 0;

	do {
		for (unsigned i = 0; i < 1000; i++, n++)
			if (record_encode(record, 1700000000, block) != 0)
				abort();
		now = clock_mono();
	} while (now - begin < MEASURE_MS);
	return 1000.0 * (double)(now - begin) / n;
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

static void print(const char *what, double measured, const char *unit, double stated)
{
	printf("%-28s %8.3f %s, stated %6.1f %s, ratio %.3f\n", what, measured, unit, stated, unit,
	       measured / stated);
}

int main(void)
{
	_cleanup_(slots_free_p) struct slots *slots = NULL;
	struct record last;
	size_t size;
	_cleanup_free_ uint8_t *image = vector_read("image-2000hosts.bin", 0, &size);
	_cleanup_free_ uint8_t *later = image_later(image, size, &last);
	uint64_t before;

	if (slots_new(0, &slots) < 0)
		return 1;
	print("decode 2000 changed", pass_ms(slots, (const uint8_t *const[]){image, later}), "ms", 15);
	pass_ms(slots, (const uint8_t *const[]){image, image});
	before = slots_decoded(slots);
	print("decode 2000 unchanged", pass_ms(slots, (const uint8_t *const[]){image, image}), "ms", 1);
	if (slots_decoded(slots) != before)
		return 1;
	print("encode one", encode_us(&last), "us", 100);
	return 0;
}
