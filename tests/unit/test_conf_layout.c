/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "metadata/conf_archive.h"
#include "metadata/conf_layout.h"
#include "util/cleanup.h"

#define SLOT(n) (1 + (n)*CONF_SLOT_BLOCKS)
#define SIZE 9000 /* of the new archive: three blocks */

static uint8_t archive[CONF_SLOT_SIZE + 1];

/* The head that names generation `generation` in `slot`, as a plan writes it. */
static void make_head(uint64_t generation, uint32_t slot, uint8_t ret[BLOCK_SIZE])
{
	/* A plan whose old place is to be mended writes that first. */
	const struct conf_heads heads = {.sound = {false, true}};
	const struct conf_place old = {generation, SLOT(slot), 100, 0xab};
	struct conf_plan plan;
	uint32_t block;

	assert_int_equal(conf_plan_init(&plan, &heads, &old, archive, archive, 1), 0);
	assert_int_equal(conf_plan_block(&plan, 0, &block, ret), 0);
	assert_int_equal(block, CONF_FIRST_BLOCK);
}

static void test_text(void **state)
{
	const struct conf_place none = {0};
	struct conf_plan plan;
	uint8_t head[BLOCK_SIZE], spare[BLOCK_SIZE];
	char want[256];
	uint32_t block;
	unsigned long crc;
	char *crc_at;

	memset(archive, 'a', SIZE);
	assert_int_equal(conf_plan_init(&plan, NULL, &none, archive, archive, SIZE), 0);
	assert_int_equal(plan.count, 5);
	assert_int_equal(conf_plan_block(&plan, 3, &block, spare), 0);
	assert_int_equal(block, CONF_SPARE_BLOCK);
	assert_int_equal(conf_plan_block(&plan, 4, &block, head), 0);
	assert_int_equal(block, CONF_FIRST_BLOCK);
	assert_memory_equal(head, spare, sizeof(head));
	assert_string_equal(head, "generation");
	assert_string_equal(head + 257, "ustar");
	crc_at = strstr((char *)head + 512, "head_crc32=") + strlen("head_crc32=");
	assert_int_equal(sscanf(crc_at, "%lx", &crc), 1);
	memset(crc_at, '0', 8);
	assert_int_equal(crc, crc32(0, head, sizeof(head)));
	snprintf(want, sizeof(want),
		 "layout=1\ngeneration=1\nslot=2\nlength=9000\ncrc32=%08lx\nhead_crc32=00000000\n",
		 crc32(0, archive, SIZE));
	assert_string_equal(head + 512, want);
	for (size_t i = 512 + strlen(want); i < sizeof(head); i++)
		assert_int_equal(head[i], 0);
}

static void test_archive_blocks(void **state)
{
	const struct conf_place none = {0};
	struct conf_plan plan;
	uint8_t data[BLOCK_SIZE];
	uint32_t block;

	for (size_t i = 0; i < SIZE + 100; i++)
		archive[i] = (uint8_t)(1 + i % 255);
	assert_int_equal(conf_plan_init(&plan, NULL, &none, archive, archive, SIZE), 0);
	for (uint32_t step = 0; step < 3; step++) {
		size_t used = step < 2 ? BLOCK_SIZE : SIZE - 2 * BLOCK_SIZE;

		memset(data, 0xee, sizeof(data));
		assert_int_equal(conf_plan_block(&plan, step, &block, data), 0);
		assert_int_equal(block, SLOT(2) + step);
		assert_memory_equal(data, archive + step * BLOCK_SIZE, used);
		for (size_t i = used; i < BLOCK_SIZE; i++)
			assert_int_equal(data[i], 0);
	}
	assert_int_equal(conf_plan_init(&plan, NULL, &none, archive, archive, 2 * BLOCK_SIZE), 0);
	assert_int_equal(plan.count, 4);
	assert_int_equal(conf_plan_init(&plan, NULL, &none, archive, archive, CONF_SLOT_SIZE), 0);
	assert_int_equal(plan.count, CONF_SLOT_BLOCKS + 2);
	assert_int_equal(conf_plan_init(&plan, NULL, &none, archive, archive, CONF_SLOT_SIZE + 1), -EFBIG);
}

/* No byte of a head may change. */
static void test_each_byte_of_a_head(void **state)
{
	static const uint8_t zeros[BLOCK_SIZE];
	uint8_t head[BLOCK_SIZE];
	struct conf_heads heads;

	make_head(7, 2, head);
	assert_int_equal(conf_heads_decode(head, zeros, &heads), 0);
	assert_true(heads.sound[0] && !heads.sound[1] && !heads.plain);
	assert_true(heads.place[0].generation == 7 && heads.place[0].first == SLOT(2) &&
		    heads.place[0].length == 100 && heads.place[0].crc32 == 0xab);
	for (size_t at = 0; at < sizeof(head); at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			head[at] ^= (uint8_t)(1 << bit);
			if (conf_heads_decode(zeros, head, &heads) != -EBADMSG)
				fail_msg("byte %zu, bit %u", at, bit);
			head[at] ^= (uint8_t)(1 << bit);
		}
	}
}

/* Texts with the right CRC that no plan writes. */
static void test_strange_texts(void **state)
{
	static const char *const texts[] = {
		"layout=1\ngeneration=7\nslot=2\nlength=100\ncrc32=000000ab\nhead_crc32=", /* taken */
		"layout=1\ngeneration=0\nslot=2\nlength=100\ncrc32=000000ab\nhead_crc32=",
		"layout=1\ngeneration=18446744073709551616\nslot=2\nlength=100\ncrc32=000000ab\nhead_crc32=",
		"layout=1\ngeneration=-7\nslot=2\nlength=100\ncrc32=000000ab\nhead_crc32=",
		"layout=1\ngeneration=07\nslot=2\nlength=100\ncrc32=000000ab\nhead_crc32=",
		"layout=1\ngeneration= 7\nslot=2\nlength=100\ncrc32=000000ab\nhead_crc32=",
		"layout=2\ngeneration=7\nslot=2\nlength=100\ncrc32=000000ab\nhead_crc32=",
		"layout=1\ngeneration=7\nslot=3\nlength=100\ncrc32=000000ab\nhead_crc32=",
		"layout=1\ngeneration=7\nslot=2\nlength=0\ncrc32=000000ab\nhead_crc32=",
		"layout=1\ngeneration=7\nslot=2\nlength=1392641\ncrc32=000000ab\nhead_crc32=",
		"layout=1\ngeneration=7\nslot=2\nlength=4294967396\ncrc32=000000ab\nhead_crc32=",
		"layout=1\ngeneration=7\nslot=2\nlength=100\ncrc32=000000AB\nhead_crc32=",
		"layout=1\ngeneration=7\nslot=2\nlength=100\ncrc32=ab\nhead_crc32=",
		"layout=1 generation=7 slot=2 length=100 crc32=000000ab head_crc32=",
	};
	static const uint8_t zeros[BLOCK_SIZE];
	struct conf_heads heads;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		uint8_t head[BLOCK_SIZE];
		char *text = (char *)head + 512, crc[9];
		size_t length = strlen(texts[i]);

		make_head(7, 2, head);
		memset(text, 0, BLOCK_SIZE - 512);
		memcpy(text, texts[i], length);
		memcpy(text + length, "00000000\n", 9);
		snprintf(crc, sizeof(crc), "%08lx", crc32(0, head, sizeof(head)));
		memcpy(text + length, crc, 8);
		if (conf_heads_decode(zeros, head, &heads) != (i == 0 ? 0 : -EBADMSG))
			fail_msg("%s", texts[i]);
	}
}

/* What block 0 and the spare head hold; which places are tried in which order, and the plan when one of them
 * is whole. */
enum head { NUL, NOISE, TORN, TAR, G7_S2, G7_S1, G8_S1, LAST };

static const struct row {
	const char *name;
	enum head first, spare;
	int error;
	const char *places;  /* generation of each, in order */
	unsigned whole;	     /* of these */
	const char *steps;   /* see letter() */
	uint64_t generation; /* the new one; 0: none can follow */
	uint32_t slot;
} rows[] = {
	{"never written", NUL, NUL, -ENODATA, "", 0, "aaash", 1, 2},
	{"noise", NOISE, NOISE, -EBADMSG, "", 0, "aaash", 1, 2},
	{"noise and zeros", NUL, NOISE, -EBADMSG, "", 0, "aaash", 1, 2},
	{"first writing cut in its last head", TORN, G7_S2, 0, "7", 0, "haaash", 8, 1},
	{"first writing cut in its spare head", NUL, TORN, -EBADMSG, "", 0, "aaash", 1, 2},
	{"as it should be", G7_S2, G7_S2, 0, "7", 0, "aaash", 8, 1},
	{"cut before the switch", G7_S2, G8_S1, 0, "87", 0, "haaash", 9, 0},
	{"cut before the switch, new one bad", G7_S2, G8_S1, 0, "87", 1, "aaash", 9, 0},
	{"cut in the spare head", G7_S2, TORN, 0, "7", 0, "aaash", 8, 1},
	{"spare head wiped", G7_S2, NUL, 0, "7", 0, "aaash", 8, 1},
	{"first head wiped", NUL, G8_S1, 0, "8", 0, "haaash", 9, 2},
	{"an older write came late", G7_S1, G8_S1, 0, "87", 0, "haaash", 9, 2},
	{"a write of the spare head came late", G8_S1, G7_S2, 0, "87", 0, "aaash", 9, 0},
	{"one generation in two places", G7_S2, G7_S1, 0, "77", 0, "aaash", 8, 0},
	{"of an older version", TAR, NUL, 0, "0", 0, "aaasth", 1, 2},
	{"written by an older version", TAR, G7_S2, 0, "07", 0, "aaasth", 8, 1},
	{"written by an older version, another slot", TAR, G7_S1, 0, "07", 0, "aaasth", 8, 2},
	{"cut while an older version wrote", TAR, G8_S1, 0, "08", 1, "thaaash", 9, 2},
	{"older version, noise", TAR, NOISE, 0, "0", 0, "aaasth", 1, 2},
	{"the last generation", LAST, LAST, 0, "?", 0, "aaash", 0, 0},
};

static void make(enum head head, uint8_t ret[BLOCK_SIZE])
{
	_cleanup_free_ uint8_t *packed = NULL;
	struct conf_archive none = {0};
	size_t size;

	memset(ret, head == NOISE ? 0xa5 : 0, BLOCK_SIZE);
	switch (head) {
	case NUL:
	case NOISE:
		break;
	case TORN:
		make_head(9, 2, ret);
		memset(ret + 540, 0, BLOCK_SIZE - 540);
		break;
	case TAR:
		assert_int_equal(conf_archive_pack(&none, &packed, &size), 0);
		memcpy(ret, packed, size < BLOCK_SIZE ? size : BLOCK_SIZE);
		break;
	case LAST:
		make_head(UINT64_MAX, 0, ret);
		break;
	default:
		make_head(head == G8_S1 ? 8 : 7, head == G7_S2 ? 2 : 1, ret);
		break;
	}
}

/* a: the archive's next block, s: spare head, h: first head, t: first head's header before the old content.
 */
static char letter(uint32_t block, uint32_t archive_next, const uint8_t *data, const uint8_t *first)
{
	struct conf_heads heads;

	if (block == archive_next)
		return 'a';
	assert_true(block == CONF_FIRST_BLOCK || block == CONF_SPARE_BLOCK);
	assert_string_equal(data, "generation");
	if (conf_heads_decode(data, data, &heads) == 0)
		return block == CONF_SPARE_BLOCK ? 's' : 'h';
	assert_int_equal(block, CONF_FIRST_BLOCK);
	assert_memory_equal(data + CONF_TAR_BLOCK, first + CONF_TAR_BLOCK, BLOCK_SIZE - CONF_TAR_BLOCK);
	return 't';
}

static void check_plan(const struct row *row, const uint8_t first[BLOCK_SIZE], const struct conf_heads *heads,
		       const struct conf_place *old)
{
	struct conf_plan plan;
	uint8_t data[BLOCK_SIZE];
	uint32_t archive_blocks = 0;
	char steps[16] = "";
	int r = conf_plan_init(&plan, heads, old, first, archive, SIZE);

	if (r != (row->generation ? 0 : -EOVERFLOW))
		fail_msg("%s: %d", row->name, r);
	if (r < 0)
		return;
	if (plan.next.generation != row->generation || plan.next.first != SLOT(row->slot))
		fail_msg("%s: generation %u in block %u", row->name, (unsigned)plan.next.generation,
			 plan.next.first);
	for (uint32_t i = 0; i < plan.count; i++) {
		uint32_t block;

		assert_int_equal(conf_plan_block(&plan, i, &block, data), 0);
		steps[i] = letter(block, plan.next.first + archive_blocks, data, first);
		archive_blocks += steps[i] == 'a';
	}
	if (strcmp(steps, row->steps) != 0)
		fail_msg("%s: %s", row->name, steps);
}

static void test_rows(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		const struct conf_place none = {0};
		uint8_t first[BLOCK_SIZE], spare[BLOCK_SIZE];
		struct conf_heads heads = {.place = {{.length = 99}}};
		struct conf_place places[2];
		unsigned count;
		int r;

		make(row->first, first);
		make(row->spare, spare);
		r = conf_heads_decode(first, spare, &heads);
		if (r != row->error)
			fail_msg("%s: %d", row->name, r);
		if (r < 0) {
			assert_int_equal(heads.place[0].length, 99); /* untouched */
			check_plan(row, first, NULL, &none);
			continue;
		}
		count = conf_heads_places(&heads, places);
		if (count != strlen(row->places))
			fail_msg("%s: %u places", row->name, count);
		for (unsigned j = 0; j < count; j++) {
			if (row->places[j] != '?' && places[j].generation != (unsigned)(row->places[j] - '0'))
				fail_msg("%s: place %u", row->name, j);
			assert_true(places[j].length > 0 &&
				    (places[j].first == 0) == (places[j].generation == 0));
		}
		check_plan(row, first, &heads, &places[row->whole]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_archive_blocks),
		cmocka_unit_test(test_each_byte_of_a_head),
		cmocka_unit_test(test_strange_texts),
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
