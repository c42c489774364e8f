/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sectors of a sanlock lease as they lie on storage, for what sanlock's library does not tell. Pure; bytes
 * are untrusted. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum leader_kind {
	LEADER_NONE, /* no lease of sanlock's */
	LEADER_HOST_ID,
	LEADER_RESOURCE
};

struct leader {
	enum leader_kind kind;
	unsigned sector_size;  /* 512 or 4096 */
	uint64_t alignment;    /* bytes from one lease to the next */
	unsigned io_timeout_s; /* of a host id: that its host lives by; 0: not said */
	bool free;	       /* it has no owner; the two that follow mean nothing */
	uint64_t owner_id, owner_generation;
	uint64_t version;   /* of a resource: rises with each owner */
	char lockspace[49]; /* its name, any bytes */
};

/* From at least 512 bytes. What is no sound lease is LEADER_NONE, with the rest zeros. */
void leader_decode(const uint8_t sector[512], struct leader *ret);
/* Did the owner that the leader record of a resource names write in its own block, from at least 512 bytes,
 * that it let the lease go? The mark of an earlier version says nothing. */
bool leader_released(const uint8_t block[512], const struct leader *leader);
