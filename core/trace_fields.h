/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fields of a trace line: one table per struct, which writing and reading walk both, so that what is
 * written can be read. A field that is missing here would make a replay differ from what happened:
 * tests/unit/test_trace.c looks for each byte of the structs. For core/trace_*.c alone. */
#pragma once

#include "core/trace.h"

#define TRACE_TOKEN_MAX 128

enum trace_type {
	TYPE_BOOL,
	TYPE_WORD, /* an enum with a string table */
	TYPE_U8,
	TYPE_U16,
	TYPE_U32,
	TYPE_I32,
	TYPE_U64,
	TYPE_I64,
	TYPE_MOMENT,
	/* Arrays; the key goes on with the word of the index. */
	TYPE_SAMPLES,	/* number/value/known */
	TYPE_CAUSES,	/* number/samples/since/value */
	TYPE_PENALTIES, /* of struct score_memory: since when it applies */
};

struct trace_field {
	const char *name;
	size_t offset;
	enum trace_type type;
	const char *(*str)(unsigned value);
	unsigned count; /* of the words */
};

struct trace_fields {
	const struct trace_field *fields;
	size_t n;
};

extern const struct trace_fields trace_policy_fields, trace_machine_fields, trace_cluster_fields,
	trace_vm_fields, trace_known_fields, trace_peer_fields;
