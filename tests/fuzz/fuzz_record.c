/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a host's block, as they are and with their sum made right so that the fields behind it are
 * reached. What can be read can be written, as ASCII, and reads as the same claim again. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "metadata/record.h"
#include "tests/fuzz/fuzz_target.h"

#define SLOT 1

static void write_again(const struct record *record)
{
	char cause[RECORD_CAUSE_SIZE];
	struct record_penalty penalty;
	const char *cursor = record->penalties;
	uint8_t block[BLOCK_SIZE];
	struct claim claim = record->claim;
	struct record again;
	int r;

	while (record_penalty_next(&cursor, &penalty))
		assert(penalty.points >= 0 && penalty.word[0]);
	r = record_encode(record, 0, block);
	/* -EINVAL: a reason that is cut within a character is no text any more. */
	assert(r == 0 || r == -EMSGSIZE || r == -EINVAL);
	if (r < 0)
		return;
	for (size_t i = 0; i < sizeof(block); i++)
		assert(block[i] < 0x80);
	assert(record_decode(block, SLOT, &again, cause) == RECORD_OK);
	if (claim.vm == VM_UP && claim.health == HEALTH_UNKNOWN)
		claim.health = HEALTH_BAD;
	if (claim.io_timeout_s == 0)
		claim.watchdog_fire_s = 0;
	assert(claim.timestamp == again.claim.timestamp && claim.generation == again.claim.generation &&
	       claim.score == again.claim.score && claim.vm == again.claim.vm &&
	       claim.health == again.claim.health && claim.detail == again.claim.detail &&
	       claim.maintenance == again.claim.maintenance && claim.stopped == again.claim.stopped &&
	       claim.migrating_to == again.claim.migrating_to &&
	       claim.io_timeout_s == again.claim.io_timeout_s &&
	       claim.watchdog_fire_s == again.claim.watchdog_fire_s);
}

static void read_one(const uint8_t block[BLOCK_SIZE])
{
	char cause[RECORD_CAUSE_SIZE];
	struct record record;
	enum record_fault fault = record_decode(block, SLOT, &record, cause);

	assert(strlen(cause) < sizeof(cause));
	assert((fault == RECORD_OK || fault == RECORD_ABSENT) == (cause[0] == '\0'));
	if (fault != RECORD_OK)
		return;
	assert(record.host_id == SLOT && record.extra_at + record.extra_length <= BLOCK_SIZE);
	assert(record.claim.score >= 0 && record.claim.migrating_to <= HOST_ID_MAX);
	write_again(&record);
}

static void make_sum_right(uint8_t block[BLOCK_SIZE])
{
	size_t length = RECORD_LINE_MAX, at = 0;
	char sum[9];

	while (length > 0 && block[length - 1] == '\0')
		length--;
	for (int field = 0; field < 9 && at < length; at++)
		field += block[at] == '|';
	if (at + 8 > length)
		return;
	memcpy(block + at, "00000000", 8);
	snprintf(sum, sizeof(sum), "%08x", (uint32_t)crc32(0, block, (uInt)length));
	memcpy(block + at, sum, 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t block[BLOCK_SIZE] = {0};

	memcpy(block, data, size < sizeof(block) ? size : sizeof(block));
	read_one(block);
	make_sum_right(block);
	read_one(block);
	return 0;
}
