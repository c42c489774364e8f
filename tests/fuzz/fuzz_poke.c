/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a message of the corosync group, and as a history of members that come, go and send, each
 * message in turn malformed, forged, repeated or right: what it may cost holds always. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/poke.h"
#include "broker/poke_intake.h"
#include "core/peer.h"
#include "tests/fuzz/fuzz_target.h"

#define MEMBERS 8
#define CLUSTER 3
#define OWN_ID 2

static void decode(const uint8_t *data, size_t size)
{
	struct poke poke = {0};
	uint8_t again[POKE_SIZE];
	/* Of its own length, so that a byte too many is seen. */
	uint8_t *copy = malloc(size ? size : 1);
	int r;

	assert(copy);
	memcpy(copy, data, size);
	r = poke_decode(copy, size, &poke);
	free(copy);
	if (r < 0) {
		assert((r == -EBADMSG || r == -EOPNOTSUPP) && poke.host_id == 0);
		return;
	}
	assert(r == 0 && size == POKE_SIZE);
	assert(poke.host_id >= 1 && poke.host_id <= HOST_ID_MAX && poke.sequence != 0 && poke.what != 0);
	poke_encode(&poke, again);
	assert(memcmp(again, data, POKE_SIZE) == 0);
}

/* Four bytes a turn: who, what, of which host or number, and after how many ms. */
static void live(const uint8_t *data, size_t size)
{
	struct poke_intake intake = {.own_id = OWN_ID, .cluster = CLUSTER};
	mono_t now = 1000, begin = now;
	uint64_t reads = 0;

	for (; size >= 4; data += 4, size -= 4) {
		struct poke_member member = {data[0] % MEMBERS, 1};
		struct poke poke = {.cluster = CLUSTER - (data[1] & 8 ? 1 : 0),
				    .sequence = 1 + data[2],
				    .what = POKE_VM,
				    .host_id = (uint16_t)(1 + (data[1] & 16 ? data[2] : data[0]) % MEMBERS)};
		uint8_t bytes[POKE_SIZE];
		uint16_t id = 0;

		now += data[3];
		poke_encode(&poke, bytes);
		switch (data[1] % 8) {
		case 0:
			poke_intake_came(&intake, member);
			break;
		case 1:
			id = poke_intake_left(&intake, member, now);
			break;
		case 2:
			id = poke_intake_take(&intake, member, data, size < 64 ? size : 64, now);
			break;
		case 3:
			if (data[2] == 0)
				poke_intake_clear(&intake);
			break;
		default:
			id = poke_intake_take(&intake, member, bytes, sizeof(bytes), now);
		}
		assert(id <= HOST_ID_MAX && id != OWN_ID);
		reads += id != 0;
		assert(reads * 1000 <= POKE_BURST_ALL * 1000 + (uint64_t)(now - begin) * POKE_PER_SECOND_ALL);
		assert(intake.n_senders <= MEMBERS);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	decode(data, size);
	live(data, size);
	return 0;
}
