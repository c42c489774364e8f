/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as block 0 and as the identity block. A command rewrites block 0 whatever stood there. */
#include <assert.h>
#include <string.h>

#include "metadata/global.h"
#include "metadata/identity.h"
#include "tests/fuzz/fuzz_target.h"

static void set_and_read(const uint8_t block[BLOCK_SIZE], bool maintenance)
{
	uint8_t written[BLOCK_SIZE], again[BLOCK_SIZE];
	char cause[GLOBAL_CAUSE_SIZE];

	global_encode(block, maintenance, written);
	assert(global_decode(written, cause) == (maintenance ? FLAG_YES : FLAG_NO));
	for (size_t i = 0; i < sizeof(written); i++)
		assert(written[i] < 0x80);
	global_encode(written, maintenance, again);
	assert(memcmp(written, again, sizeof(again)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t block[BLOCK_SIZE] = {0}, written[BLOCK_SIZE];
	char cause[GLOBAL_CAUSE_SIZE];
	struct identity identity;

	memcpy(block, data, size < sizeof(block) ? size : sizeof(block));
	assert((global_decode(block, cause) == FLAG_UNKNOWN) == (cause[0] != '\0'));
	set_and_read(block, true);
	set_and_read(block, false);
	if (identity_decode(block, &identity) == 0) {
		assert(identity_encode(&identity, written) == 0);
		assert(identity_compare(written, &identity) == IDENTITY_SAME);
	}
	return 0;
}
