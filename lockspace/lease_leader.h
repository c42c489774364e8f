/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The first sector of a sanlock lease as it lies on storage, for who has to judge leases of a lockspace that
 * nobody can join any more. Pure; bytes are untrusted. */
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
	char lockspace[49]; /* its name, any bytes */
};

/* From at least 512 bytes. What is no sound lease is LEADER_NONE, with the rest zeros. */
void leader_decode(const uint8_t sector[512], struct leader *ret);
