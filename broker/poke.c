/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bytes of a poke. It decides what is one, not whether it is heeded (poke_intake.c does). */
#include "broker/poke.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "core/peer.h"

static const uint8_t letters[4] = {'o', 'H', 'a', 'P'};

/* As it lies on the wire: without holes, so that it can be copied. */
struct wire {
	uint8_t letters[4];
	uint16_t version, host_id;
	uint64_t cluster, sequence;
	uint32_t what, zero;
};
_Static_assert(sizeof(struct wire) == POKE_SIZE && offsetof(struct wire, zero) == 28, "the format of poke.h");

static uint64_t hash(uint64_t sum, const char *text)
{
	for (; *text; text++)
		sum = (sum ^ (uint8_t)*text) * 0x100000001b3ULL;
	return sum;
}

uint64_t poke_cluster(const char *domain, const char *lockspace)
{
	return hash(hash(hash(0xcbf29ce484222325ULL, domain), "/"), lockspace);
}

void poke_encode(const struct poke *poke, uint8_t ret[POKE_SIZE])
{
	struct wire wire = {.version = htobe16(POKE_VERSION),
			    .host_id = htobe16(poke->host_id),
			    .cluster = htobe64(poke->cluster),
			    .sequence = htobe64(poke->sequence),
			    .what = htobe32(poke->what)};

	memcpy(wire.letters, letters, sizeof(letters));
	memcpy(ret, &wire, sizeof(wire));
}

int poke_decode(const void *bytes, size_t size, struct poke *ret)
{
	struct wire wire;
	struct poke poke;

	if (size < offsetof(struct wire, host_id) || memcmp(bytes, letters, sizeof(letters)) != 0)
		return -EBADMSG;
	memcpy(&wire, bytes, size < sizeof(wire) ? size : sizeof(wire));
	if (be16toh(wire.version) != POKE_VERSION)
		return -EOPNOTSUPP;
	if (size != sizeof(wire))
		return -EBADMSG;
	poke = (struct poke){.cluster = be64toh(wire.cluster),
			     .sequence = be64toh(wire.sequence),
			     .what = be32toh(wire.what),
			     .host_id = be16toh(wire.host_id)};
	if (poke.host_id < 1 || poke.host_id > HOST_ID_MAX || poke.sequence == 0 || poke.what == 0 ||
	    wire.zero != 0)
		return -EBADMSG;
	*ret = poke;
	return 0;
}
