/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Faults and power cuts of storage for a test program that links this: it stands before the C library's and
 * libaio's calls that write, for the program and for the shared libraries it uses. An operation is a write, a
 * flush, a change of a name, a size, an owner or a mode; they are counted from 0 once armed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum write_fault_kind {
	WRITE_COUNT, /* nothing fails */
	WRITE_KEEP,  /* the same, and writes and flushes are kept for write_fault_kept() */
	WRITE_CUT,   /* the process ends with WRITE_CUT_STATUS instead of the operation */
	WRITE_FAIL,  /* the operation fails with `error`, later ones too unless it is EIO */
};

#define WRITE_CUT_STATUS 99

struct kept_write {
	uint64_t offset;
	size_t size; /* 0: a flush */
	uint8_t *data;
	bool durable; /* without a flush */
};

void write_fault_arm(enum write_fault_kind kind, unsigned at, int error);
/* Ends it. The number of operations since; *ret_fired: the fault came. */
unsigned write_fault_end(bool *ret_fired);
/* What was kept, until the next arming; their number. */
size_t write_fault_kept(const struct kept_write **ret);
