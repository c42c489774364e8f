/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A poke: "my block on the whiteboard says something new, read it". It carries no state: whoever forges,
 * repeats or loses one makes somebody read a block once more, or later. Pure: no I/O, no clock. Sent and
 * taken by poke_link.c.
 *
 * On the wire, POKE_SIZE bytes, all numbers in network byte order:
 *
 *      0  4  the letters oHaP
 *      4  2  version, POKE_VERSION
 *      6  2  host id of the block, 1..HOST_ID_MAX
 *      8  8  cluster, poke_cluster() of the domain's uuid and the lockspace's name
 *     16  8  sequence, 1.., one more with each poke of a broker
 *     24  4  what changed, enum poke_what or-ed, at least one
 *     28  4  zero
 *
 * Of what changed, a greeting alone asks for no read, and bits that are not known here are fine.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define POKE_SIZE 32
#define POKE_VERSION 1

enum poke_what {
	POKE_HELLO = 1, /* its broker joined the group, or greets one that did: so all know whose member is
			   whose */
	POKE_VM = 2,
	POKE_SCORE = 4,
	POKE_MAINTENANCE = 8,
	POKE_STATE = 16, /* state, reason, stopped and all else that is no heartbeat */
};

struct poke {
	uint64_t cluster, sequence;
	uint32_t what;
	uint16_t host_id;
};

/* FNV-1a of "DOMAIN/LOCKSPACE". No secret: who may send is corosync's matter. */
uint64_t poke_cluster(const char *domain, const char *lockspace);
void poke_encode(const struct poke *poke, uint8_t ret[POKE_SIZE]);
/* 0; -EOPNOTSUPP: of another version; -EBADMSG: no poke, then `ret` is untouched. */
int poke_decode(const void *bytes, size_t size, struct poke *ret);
