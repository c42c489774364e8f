/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as an archive of the shared configuration, and as the two heads of its volume. What is taken has
 * all five texts and packs into an archive that says the same; what is refused has a cause that a terminal
 * can show. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "metadata/conf_archive.h"
#include "metadata/conf_layout.h"
#include "tests/fuzz/fuzz_target.h"

static void check_cause(const char *cause)
{
	assert(cause[0] && strlen(cause) < CONF_CAUSE_SIZE);
	for (; *cause; cause++)
		assert(*cause >= 0x20 && *cause < 0x7f);
}

static void pack_and_unpack(struct conf_archive *found)
{
	struct conf_archive again;
	char cause[CONF_CAUSE_SIZE];
	uint8_t *packed;
	size_t size;

	if (found->others > 0) {
		assert(conf_archive_pack(found, &packed, &size) == -ENOTSUP);
		found->others = 0;
	}
	assert(conf_archive_pack(found, &packed, &size) == 0 && size <= CONF_ARCHIVE_MAX);
	assert(conf_archive_unpack(packed, size, &again, cause) == 0 && again.others == 0);
	for (size_t i = 0; i < CONF_ENTRY_COUNT; i++) {
		assert(strlen(found->texts[i].text) == found->texts[i].length);
		assert(strcmp(found->texts[i].text, again.texts[i].text) == 0);
	}
	conf_archive_done(&again);
	free(packed);
}

static void check_heads(const uint8_t *data, size_t size)
{
	uint8_t blocks[2][BLOCK_SIZE] = {0};
	struct conf_place places[2];
	struct conf_heads heads;
	struct conf_plan plan;
	unsigned count;
	int r;

	memcpy(blocks, data, size < sizeof(blocks) ? size : sizeof(blocks));
	if (conf_heads_decode(blocks[0], blocks[1], &heads) < 0)
		return;
	count = conf_heads_places(&heads, places);
	assert(count == 1 || count == 2);
	for (unsigned i = 0; i < count; i++) {
		assert(places[i].length > 0 && places[i].first * (uint64_t)BLOCK_SIZE + places[i].length <=
						       CONF_SPARE_BLOCK * BLOCK_SIZE);
		r = conf_plan_init(&plan, &heads, &places[i], blocks[0], data, 1);
		assert(r == 0 || r == -EOVERFLOW);
		for (unsigned j = 0; r == 0 && j < count; j++)
			assert(plan.next.first != places[j].first &&
			       plan.next.generation > places[j].generation);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf_archive found;
	char cause[CONF_CAUSE_SIZE];
	int r = conf_archive_unpack(data, size, &found, cause);

	assert(r == 0 || r == -EBADMSG);
	if (r == 0) {
		assert(cause[0] == '\0');
		pack_and_unpack(&found);
		conf_archive_done(&found);
	} else {
		check_cause(cause);
	}
	check_heads(data, size);
	return 0;
}
